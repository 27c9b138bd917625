"""How far a measurement lies from what a test asks for: the margin of a test, and the verdict that follows from it.

A margin is the signed distance from the threshold in units of three half-widths of its zone of doubt. Its ends are
(lowest, highest): the same where all is known, apart for an unknown age or sex, infinite where nothing was measured.
*and* is the lowest margin, *or* the highest, *k of n leads* the k-th highest, *not* the opposite. Many records are
judged at once, and so are the leads of a test: the ends are arrays with a value for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache, reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ecgclip.knowledge.criteria.limits import limit_table
from ecgclip.knowledge.criteria.named import NAMED
from ecgclip.knowledge.criteria.parser import contiguous_groups, leads_of, parse_named, parse_test
from ecgclip.knowledge.criteria.quantities import QUANTITIES
from ecgclip.knowledge.criteria.readings import Leads, Readings
from ecgclip.knowledge.criteria.roles import parse_role
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
    Number,
    Or,
    Sum,
    Test,
    Where,
)

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Concept

Margin: TypeAlias = np.ndarray  # (2, records), the lowest and the highest end; or (2, leads, records)
CLEAR = 1 / 3  # the edge of the zone of doubt, in the unit of a margin
FACT = 2.0  # the margin of a fact: yes and no are six half-widths from doubt
COUNT_HALF_WIDTH = 0.25  # of a count, whose threshold lies half way between two whole numbers
UNKNOWN = np.array([-math.inf, math.inf])  # the ends of the margin of what cannot be measured


def verdict(low: float, high: float) -> str:
    """What the ends of a margin say: "met", "unmet", "borderline" or "not measurable"."""
    if low >= CLEAR:
        return "met"
    if high <= -CLEAR:
        return "unmet"
    return "borderline" if math.isfinite(low) and math.isfinite(high) else "not measurable"


def midpoint(margin: Margin) -> np.ndarray:
    """Margins (2, …) as numbers, (…): the mean of the ends, or the known end of a clear one; NaN if neither."""
    low, high = margin
    known_low, known_high = np.isfinite(low), np.isfinite(high)
    clear_high = np.where(known_high & (high <= -CLEAR), high, math.nan)
    clear = np.where(known_low & (low >= CLEAR), low, clear_high)
    return np.where(known_low & known_high, (np.where(known_low, low, 0) + np.where(known_high, high, 0)) / 2, clear)


@lru_cache(maxsize=4096)
def tree_of(text: str) -> Test:
    """The tree of a test, read once."""
    return parse_test(text)


class Judge:
    """Judges tests by the readings of n records.

    What conditions and criteria ask for is computed when it is first asked for, and kept.

    Parameters
    ----------
    readings
        What was measured.
    concepts
        The conditions that "is" may ask for, by their id.
    """

    def __init__(self, readings: Readings, concepts: Mapping[str, Concept] | None = None):
        self.readings = readings
        self._concepts = concepts or {}
        self._conditions: dict[str, Margin] = {}
        self._in_circles: dict[str, Margin] = {}  # of conditions that ask for themselves, asked alone
        self._open: list[str] = []  # conditions that are being judged: each asks for the next
        self._circular: set[str] = set()  # those of them that were asked for once more
        self._circles = 0  # how often an answer rested on such a one
        self._texts: dict[str, Margin] = {}
        self._named: dict[tuple[str, Leads], Margin] = {}
        self.explained: dict[str, np.ndarray] = {}  # kept for `evidence.explained`
        self.lead_shares: dict[str, np.ndarray | None] = {}  # kept for `coverage.coverage`

    @cached_property
    def unknown(self) -> Margin:
        """The margin of what cannot be measured."""
        return np.tile(UNKNOWN[:, None], len(self.readings))

    def concept(self, concept: str) -> Concept | None:
        """A condition that "is" may ask for, by its id."""
        return self._concepts.get(concept)

    def narrower(self, concept: str) -> list[Concept]:
        """All conditions that are narrower than this one."""
        found: dict[str, Concept] = {}
        waiting = [concept]
        while waiting:
            for each in self._kinds.get(waiting.pop(), []):
                if each.id not in found:
                    found[each.id] = each
                    waiting.append(each.id)
        return list(found.values())

    @cached_property
    def _kinds(self) -> dict[str, list[Concept]]:
        """The conditions that name each one as broader."""
        kinds: dict[str, list[Concept]] = {}
        for each in self._concepts.values():
            for wider in each.broader:
                kinds.setdefault(wider, []).append(each)
        return kinds

    def condition(self, concept: str) -> Margin:
        """The margin of a condition: its required criteria, its groups and what speaks against it, all together."""
        if concept not in self._concepts:
            return self.unknown
        if concept in self._open:
            self._circular.add(concept)
            self._circles += 1
            return self.unknown
        if concept in self._conditions:
            return self._conditions[concept]
        if not self._open and concept in self._in_circles:
            self._circles += 1
            return self._in_circles[concept]
        self._open.append(concept)
        margin = self._by_roles(self._concepts[concept])
        self._open.pop()
        # in a circle the answer rests on what is still open: what was asked first must not answer for the others
        if not self._circular:
            self._conditions[concept] = margin
        elif not self._open:
            self._in_circles[concept] = margin
        self._circular.discard(concept)
        return margin

    def _by_roles(self, concept: Concept) -> Margin:
        needed: list[Margin] = []
        groups: dict[tuple[str, int], list[Margin]] = {}
        for criterion in concept.criteria:
            role = parse_role(criterion.role)
            if role.kind == "supporting":
                continue
            margin = self.of_text(criterion.test) if criterion.test else self.unknown
            if role.kind == "group":
                groups.setdefault((role.group, role.number), []).append(margin)
            else:
                needed.append(_opposite(margin) if role.kind == "against" else margin)
        needed += [_kth(np.stack(margins, 1), number)[:, 0] for (_, number), margins in groups.items()]
        return _lowest(needed) if needed else self.unknown

    # --- margins ------------------------------------------------------------------------------------------------------

    def of_text(self, text: str) -> Margin:
        """The ends of the margin of a test in words."""
        if text in self._texts:
            return self._texts[text]
        circles, margin = self._circles, self.margin(tree_of(text))
        if self._circles == circles:  # else it depends on what was asked first
            self._texts[text] = margin
        return margin

    def margin(self, test: Test, lead: str | None = None) -> Margin:
        """The ends of a test's margin, (2, n); `lead` is that of a test of one lead."""
        return self._margin(test, (lead,))[:, 0]

    def _margin(self, test: Test, leads: Leads) -> Margin:
        """The same in several leads: (2, leads, n), or (2, 1, n) of a test that is not of single leads."""
        if isinstance(test, And):
            return _lowest([self._margin(part, leads) for part in test.tests])
        if isinstance(test, Or):
            return reduce(np.maximum, [self._margin(part, leads) for part in test.tests])
        if isinstance(test, Not):
            return _opposite(self._margin(test.test, leads))
        if isinstance(test, Named):
            if (test.name, leads) not in self._named:
                self._named[test.name, leads] = self._margin(tree_of_named(test.name), leads)
            return self._named[test.name, leads]
        if isinstance(test, Is):
            return self.condition(test.concept)[:, None]
        if isinstance(test, Where):
            return self._in_leads(test)
        if isinstance(test, Fact):
            return _ends(FACT * (2 * self.readings.values(test.quantity, leads) - 1))
        if isinstance(test, Between):
            return self._between(test, leads)
        return self._counted(test, leads) if isinstance(test, Count) else self._compared(test, leads)

    def _in_leads(self, test: Where) -> Margin:
        leads = leads_of(test.places)
        by_lead = self._margin(test.test, leads)
        if test.contiguous:
            groups = _rows_of_groups(int(test.how), leads)
            return by_lead[:, groups].min(axis=2).max(axis=1, keepdims=True)
        return _kth(by_lead, needed_leads(test))

    def _compared(self, test: Compare, leads: Leads) -> Margin:
        value, half_width = self.sum_of(test.left, leads)
        below = test.sign.startswith("<")
        if _is_angle(test.left) and isinstance(test.right, Number):
            return _half_circle(value, test.right, half_width, below)
        threshold, half = self._threshold(test.left, test.sign, test.right, leads, half_width)
        margin = _ends((value - threshold) / (3 * half))
        return _opposite(margin) if below else margin

    def _between(self, test: Between, leads: Leads) -> Margin:
        if _is_angle(test.value) and isinstance(test.low, Number) and isinstance(test.high, Number):
            value, half_width = self.sum_of(test.value, leads)
            return _ends(_in_sector(value, test.low.value, test.high.value, half_width))
        above = self._compared(Compare(test.value, ">=", test.low), leads)
        return np.minimum(above, self._compared(Compare(test.value, "<=", test.high), leads))

    def _counted(self, test: Count, leads: Leads) -> Margin:
        value, _ = self.sum_of(test.value, leads)
        return _ends((0.5 - abs(value - test.number)) / (3 * COUNT_HALF_WIDTH))

    def sum_of(self, value: Sum, leads: Leads) -> tuple[np.ndarray, float]:
        """The values (leads, n) of a sum, or (1, n), and its half-width, that of independent terms."""
        total: np.ndarray | float = 0.0
        spread = 0.0
        for factor, quantity in ((term.factor, term.quantity) for term in value.terms):
            total = total + factor * self.readings.values(quantity, leads)
            spread += (factor * QUANTITIES[quantity.name].half_width) ** 2
        return np.asarray(total), math.sqrt(spread)

    def thresholds_of(self, value: Sum, right: Bound | Sum, lead: str | None) -> np.ndarray:
        """The thresholds that `value` is compared with in one record: several for a patient not fully known."""
        half_width = self.sum_of(value, (lead,))[1]
        return np.ravel(self._threshold(value, ">=", right, (lead,), half_width)[0])

    def _threshold(
        self, value: Sum, sign: str, right: Bound | Sum, leads: Leads, half_width: float
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Threshold and half-width, beside a value (leads, n); or several of each, in front of these axes."""
        if isinstance(right, Limit):
            at = next((term.quantity.lead for term in value.terms if term.quantity.lead), None)
            limits = self._limits(right.name, (at,) if at else leads)
            return -limits[:, 0] if right.negative else limits[:, 0], limits[:, 1]
        if isinstance(right, Sum):
            threshold, other = self.sum_of(right, leads)
            return threshold, math.hypot(half_width, other) or COUNT_HALF_WIDTH
        if QUANTITIES[value.terms[0].quantity.name].unit == "count":
            shift = {">=": -0.5, ">": 0.5, "<=": 0.5, "<": -0.5}[sign]
            return right.value + shift, COUNT_HALF_WIDTH
        return right.value, right.half_width or half_width

    def _limits(self, name: str, leads: Leads) -> np.ndarray:
        """A limit, (most, 2, leads, n): as many as hold for the patient of whom least is known."""
        table, holding = limit_table(name, leads)
        patients = self.readings.patients
        return table[: holding[patients].max(initial=1)][..., patients]


@lru_cache(maxsize=256)
def tree_of_named(name: str) -> Test:
    """The tree of a named test."""
    return parse_named(NAMED[name])


def needed_leads(test: Where) -> int:
    """In how many leads a test must hold."""
    leads = len(leads_of(test.places))
    return test.how if isinstance(test.how, int) else {"any": 1, "all": leads, "most": leads // 2 + 1}[test.how]


@cache
def _rows_of_groups(number: int, leads: tuple[str, ...]) -> np.ndarray:
    """The groups of contiguous leads, int (groups, number), each by its places in `leads`."""
    return np.array([[leads.index(lead) for lead in group] for group in contiguous_groups(number, leads)])


# ---------------------------------------------------------------------------------------------------------------------
# Margins


def _ends(margins: np.ndarray) -> Margin:
    """The ends of margins (leads, n), or of several for each, (several, leads, n); infinite where one is NaN."""
    low, high = (margins.min(axis=0), margins.max(axis=0)) if margins.ndim == 3 else (margins, margins)
    return np.where(np.isnan(low), UNKNOWN[:, None, None], (low, high))


def _lowest(margins: Sequence[Margin]) -> Margin:
    return reduce(np.minimum, margins)


def _kth(margins: np.ndarray, k: int) -> Margin:
    """The k-th highest of margins (2, m, …), or the lowest of fewer: (2, 1, …)."""
    m = margins.shape[1]
    if k == 1 or k >= m:
        return (margins.max if k == 1 else margins.min)(axis=1, keepdims=True)
    return np.sort(margins, axis=1)[:, m - k : m - k + 1]


def _opposite(margin: Margin) -> Margin:
    return -margin[::-1]


def _is_angle(value: Sum) -> bool:
    return QUANTITIES[value.terms[0].quantity.name].unit == "deg"


def _in_sector(value: np.ndarray, low: float, high: float, half_width: float) -> np.ndarray:
    """The margin of an angle from the edges of a sector, which goes clockwise from `low` to `high`."""
    half = ((high - low) % 360) / 2
    away = abs((value - low - half + 180) % 360 - 180)
    return (half - away) / (3 * half_width)


def _half_circle(value: np.ndarray, bound: Number, half_width: float, below: bool) -> Margin:
    """An angle beyond another one: in the half circle that begins (below: ends) there."""
    low = bound.value - 180 if below else bound.value
    return _ends(_in_sector(value, low, low + 180, bound.half_width or half_width))
