"""The values behind an answer, in words: "ST elevation in II +0.22, III +0.30, aVF +0.26 mV (≥ 0.10)"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ecgclip.knowledge.criteria.judge import Judge, Margin, needed_leads, tree_of_named, verdict
from ecgclip.knowledge.criteria.parser import leads_of, needs_lead
from ecgclip.knowledge.criteria.quantities import QUANTITIES, is_measured
from ecgclip.knowledge.criteria.tree import (
    And,
    Between,
    Bound,
    Compare,
    Count,
    Fact,
    Is,
    Limit,
    Named,
    Not,
    Or,
    Quantity,
    Sum,
    Test,
    Where,
)

MOST_LEADS = 6  # values shown of a test in more leads
DIGITS = {"mV": 2, "ratio": 2, "mV/s": 1, "lead": 1, "mVms": 1}  # after the point
SIGNED = {"P", "QRS_net", "ST", "T", "discordance", "J", "T_after", "delta", "PR_level", "P_start", "P_end", "F"}
SHOWN_SIGNS = {">=": "≥", "<=": "≤"}


def say(judge: Judge, test: Test) -> str:
    """The measured values of a test beside their thresholds; the judge has the readings of one record."""
    return _say(judge, test, (None,), False)


def _say(judge: Judge, test: Test, leads: Sequence[str | None], negated: bool) -> str:
    if isinstance(test, And | Or):
        word = ", and " if isinstance(test, And) else ", or "
        parts = _shown_parts(judge, test, leads) if isinstance(test, Or) and not negated else test.tests
        unwanted = [p.test.concept for p in parts if isinstance(p, Not) and isinstance(p.test, Is)]
        others = [p for p in parts if not (isinstance(p, Not) and isinstance(p.test, Is))]
        text = word.join(dict.fromkeys([*(_say(judge, p, leads, False) for p in others), *_absent(judge, unwanted)]))
        return f"not ({text})" if negated else text
    if isinstance(test, Not):
        return _say(judge, test.test, leads, not negated)
    if isinstance(test, Named):
        return _say(judge, tree_of_named(test.name), leads, negated)
    if isinstance(test, Where):
        return _say(judge, test.test, _shown_leads(judge, test), negated)
    if isinstance(test, Is):
        if negated:
            return ", ".join(_absent(judge, [test.concept]))
        return f"{test.concept}: {verdict(*both_ends(judge.condition(test.concept)))}"
    leads = leads if needs_lead(test) else (None,)
    if isinstance(test, Fact):
        return _fact(judge, test, leads)
    return _comparison(judge, test, leads, negated)


def _absent(judge: Judge, concepts: Sequence[str]) -> list[str]:
    """Conditions that a criterion wants unmet, by what they are: ["lbbb, wpw: unmet (not met)"]."""
    by_verdict: dict[str, list[str]] = {}
    for concept in concepts:
        by_verdict.setdefault(verdict(*both_ends(judge.condition(concept))), []).append(concept)
    return [f"{', '.join(named)}: {found} (not met)" for found, named in by_verdict.items()]


def _shown_parts(judge: Judge, test: Or, leads: Sequence[str | None]) -> Sequence[Test]:
    """Of alternatives those that are met, or else nearly met; all where none is."""
    answers = [
        {verdict(*both_ends(judge.margin(part, lead))) for lead in (leads if needs_lead(part) else (None,))}
        for part in test.tests
    ]
    for answer in ("met", "borderline"):
        if shown := [part for part, found in zip(test.tests, answers, strict=True) if answer in found]:
            return shown
    return test.tests


def both_ends(margin: Margin) -> tuple[float, float]:
    """The ends of the margin of one record."""
    return margin[0].item(), margin[1].item()


def _shown_leads(judge: Judge, test: Where) -> list[str | None]:
    """All leads of a few; of many, those in which the test holds or nearly does, or else the nearest to it."""
    leads = leads_of(test.places)
    if len(leads) <= MOST_LEADS:
        return list(leads)
    margins = {lead: both_ends(judge.margin(test.test, lead)) for lead in leads}
    near = [lead for lead in leads if verdict(*margins[lead]) in ("met", "borderline")]
    best = sorted(leads, key=lambda lead: -margins[lead][1] if math.isfinite(margins[lead][1]) else math.inf)
    chosen = (near or best[: max(2, needed_leads(test))])[:MOST_LEADS]
    return [lead for lead in leads if lead in chosen]


def _fact(judge: Judge, test: Fact, leads: Sequence[str | None]) -> str:
    values = {lead: judge.readings.value(test.quantity, lead).item() for lead in leads}
    words = _name(test.quantity)
    known = {lead: "yes" if value else "no" for lead, value in values.items() if not math.isnan(value)}
    if not known:
        return f"{words} {_missing([test.quantity])}"
    return f"{words}: " + ", ".join(f"{lead} {word}" if lead else word for lead, word in known.items())


def _comparison(judge: Judge, test: Compare | Between | Count, leads: Sequence[str | None], negated: bool) -> str:
    left = test.left if isinstance(test, Compare) else test.value
    kind = QUANTITIES[left.terms[0].quantity.name]
    below = isinstance(test, Compare) and test.sign.startswith("<")
    words = _sum_name(left, below)
    values = {lead: judge.sum_of(left, (lead,))[0].item() for lead in leads}
    known = {lead: value for lead, value in values.items() if not math.isnan(value)}
    if not known:
        return f"{words} {_missing([term.quantity for term in left.terms])}"
    bounds = _bounds(judge, test, left, list(known))
    fixed = [] if isinstance(test, Compare) and isinstance(test.right, Sum) else bounds
    digits = max((_digits_for(kind.unit, t) for rows in fixed for ts in rows.values() for t in ts), default=0)
    digits = max(digits, DIGITS.get(kind.unit, 0))
    sign = "+" if left.terms[0].quantity.name in SIGNED and len(left.terms) == 1 else ""
    numbers = {lead: f"{round(value, digits) + 0.0:{sign}.{digits}f}" for lead, value in known.items()}  # no -0
    shown = ", ".join(f"{lead} {number}" if lead else number for lead, number in numbers.items())
    unit = "°" if kind.unit == "deg" else f" {kind.typed_unit}" if kind.typed_unit else ""
    limits = " to ".join(_limit_text(rows, digits) for rows in bounds)
    return f"{words}{' in' if None not in known else ''} {shown}{unit} ({'not ' * negated}{_sign(test)}{limits})"


def _sign(test: Compare | Between | Count) -> str:
    if isinstance(test, Between):
        return ""
    if isinstance(test, Count):
        return "= "
    name = f" {_sum_name(test.right, False)}:" if isinstance(test.right, Sum) else ""
    return f"{SHOWN_SIGNS.get(test.sign, test.sign)}{name} "


def _bounds(
    judge: Judge, test: Compare | Between | Count, left: Sum, leads: list[str | None]
) -> list[dict[str | None, list[float]]]:
    """One threshold, or the two of `Between`, for each lead; each several numbers for a patient not fully known."""
    if isinstance(test, Count):
        return [{None: [float(test.number)]}]
    ends: tuple[Bound | Sum, ...] = (test.right,) if isinstance(test, Compare) else (test.low, test.high)
    rows = []
    for end in ends:
        if isinstance(end, Limit | Sum):
            rows.append({lead: judge.thresholds_of(left, end, lead).tolist() for lead in leads})
        else:
            rows.append({None: [end.value]})
    return rows


def _limit_text(rows: dict[str | None, list[float]], digits: int) -> str:
    """Thresholds by lead: "0.10", or "0.20 in V2 V3, 0.10 in V4"."""
    by_text: dict[str, list[str]] = {}
    for lead, limits in rows.items():
        numbers = dict.fromkeys("?" if math.isnan(x) else f"{x:.{digits}f}" for x in (min(limits), max(limits)))
        by_text.setdefault(" to ".join(numbers), []).append(lead or "")
    if len(by_text) == 1:
        return next(iter(by_text))
    return ", ".join(f"{text} in {' '.join(leads)}" for text, leads in by_text.items())


def _digits_for(unit: str, threshold: float) -> int:
    usual = DIGITS.get(unit, 0)
    finer = abs(threshold * 10**usual - round(threshold * 10**usual)) > 1e-6
    return usual + 1 if finer and unit in ("mV", "ratio") else usual


def _sum_name(value: Sum, below: bool) -> str:
    return "".join(_term_names(value, below))


def _term_names(value: Sum, below: bool) -> Iterator[str]:
    for i, term in enumerate(value.terms):
        factor = abs(term.factor) if i else term.factor
        if i:
            yield " - " if term.factor < 0 else " + "
        yield (f"{factor:g} × " if factor != 1 else "") + _name(term.quantity, below)


def _name(quantity: Quantity, below: bool = False) -> str:
    words = QUANTITIES[quantity.name].words.split("|")
    beats = f" of {quantity.beats} beats" if quantity.beats else ""
    return words[-1 if below else 0] + beats + (f" in {quantity.lead}" if quantity.lead else "")


def _missing(quantities: Sequence[Quantity]) -> str:
    measured = all(is_measured(q.name, q.beats) for q in quantities)
    return "not measured in this record" if measured else "not measured yet"
