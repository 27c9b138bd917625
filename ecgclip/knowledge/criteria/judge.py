"""How far a measurement lies from what a test asks for: the margin of a test, and the verdict that follows from it.

A margin is the signed distance from the threshold in units of three half-widths of its zone of doubt. Its ends are
(lowest, highest): the same where all is known, apart for an unknown age or sex, infinite where nothing was measured.
*and* is the lowest margin, *or* the highest, *k of n leads* the k-th highest, *not* the opposite. Many records are
judged at once: the ends are arrays with a value for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ecgclip.knowledge.criteria.limits import thresholds
from ecgclip.knowledge.criteria.named import NAMED
from ecgclip.knowledge.criteria.parser import contiguous_groups, leads_of, parse_named, parse_test
from ecgclip.knowledge.criteria.quantities import QUANTITIES
from ecgclip.knowledge.criteria.readings import Readings
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

Margin: TypeAlias = tuple[np.ndarray, np.ndarray]  # the ends, (records,) each
CLEAR = 1 / 3  # the edge of the zone of doubt, in the unit of a margin
FACT = 2.0  # the margin of a fact: yes and no are six half-widths from doubt
COUNT_HALF_WIDTH = 0.25  # of a count, whose threshold lies half way between two whole numbers


def verdict(low: float, high: float) -> str:
    """What the ends of a margin say: "met", "unmet", "borderline" or "not measurable"."""
    if low >= CLEAR:
        return "met"
    if high <= -CLEAR:
        return "unmet"
    return "borderline" if math.isfinite(low) and math.isfinite(high) else "not measurable"


def midpoint(margin: Margin) -> np.ndarray:
    """A margin as one number, (records,): the mean of its ends, or the known end of a clear one; NaN if neither."""
    low, high = margin
    middle = np.full(len(low), math.nan)
    known = np.isfinite(low) & np.isfinite(high)
    middle[known] = (low[known] + high[known]) / 2
    middle = np.where(~known & np.isfinite(low) & (low >= CLEAR), low, middle)
    return np.where(~known & np.isfinite(high) & (high <= -CLEAR), high, middle)


@lru_cache(maxsize=4096)
def tree_of(text: str) -> Test:
    """The tree of a test, read once."""
    return parse_test(text)


class Judge:
    """Judges tests by the readings of n records.

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
        self._named: dict[tuple[str, str | None], Margin] = {}
        self._narrower: dict[str, list[Concept]] | None = None
        self.explained: dict[str, np.ndarray] = {}  # kept for `evidence.explained`
        self._circular: set[str] = set()  # those of them that were asked for once more

    @property
    def unknown(self) -> Margin:
        """The margin of what cannot be measured."""
        ends = np.full(len(self.readings), math.inf)
        return -ends, ends

    def narrower(self, concept: str) -> list[Concept]:
        """All conditions that are narrower than this one."""
        if self._narrower is None:
            self._narrower = {}
            for each in self._concepts.values():
                for wider in _ancestors(each, self._concepts):
                    self._narrower.setdefault(wider, []).append(each)
        return self._narrower.get(concept, [])

    def condition(self, concept: str) -> Margin:
        """The margin of a condition: its required criteria, its groups and what speaks against it, all together."""
        if concept not in self._concepts:
            return self.unknown
        if concept in self._open:
            self._circular.add(concept)
            return self.unknown
        if concept in self._conditions:
            return self._conditions[concept]
        if not self._open and concept in self._in_circles:
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
            margin = self.margin(tree_of(criterion.test)) if criterion.test else self.unknown
            if role.kind == "group":
                groups.setdefault((role.group, role.number), []).append(margin)
            else:
                needed.append(_opposite(margin) if role.kind == "against" else margin)
        needed += [_kth(margins, min(number, len(margins))) for (_, number), margins in groups.items()]
        return _lowest(needed) if needed else self.unknown

    # --- margins ------------------------------------------------------------------------------------------------------

    def margin(self, test: Test, lead: str | None = None) -> Margin:
        """The ends of a test's margin, (n,) each; `lead` is that of a test of one lead."""
        if isinstance(test, And):
            return _lowest([self.margin(part, lead) for part in test.tests])
        if isinstance(test, Or):
            return _kth([self.margin(part, lead) for part in test.tests], 1)
        if isinstance(test, Not):
            return _opposite(self.margin(test.test, lead))
        if isinstance(test, Named):
            if (test.name, lead) not in self._named:
                self._named[test.name, lead] = self.margin(tree_of_named(test.name), lead)
            return self._named[test.name, lead]
        if isinstance(test, Is):
            return self.condition(test.concept)
        if isinstance(test, Where):
            return self._in_leads(test)
        if isinstance(test, Fact):
            return _ends([FACT * (2 * self.readings.value(test.quantity, lead) - 1)])
        if isinstance(test, Between):
            return self._between(test, lead)
        return self._counted(test, lead) if isinstance(test, Count) else self._compared(test, lead)

    def _in_leads(self, test: Where) -> Margin:
        leads = leads_of(test.places)
        by_lead = {lead: self.margin(test.test, lead) for lead in leads}
        if test.contiguous:
            groups = contiguous_groups(int(test.how), leads)
            return _kth([_lowest([by_lead[lead] for lead in group]) for group in groups], 1)
        return _kth(list(by_lead.values()), needed_leads(test))

    def _compared(self, test: Compare, lead: str | None) -> Margin:
        value, half_width = self.sum_of(test.left, lead)
        below = test.sign.startswith("<")
        if _is_angle(test.left) and isinstance(test.right, Number):
            return _half_circle(value, test.right, half_width, below)
        limits = self.thresholds_of(test.left, test.sign, test.right, lead)
        margin = _ends([_distance(value, threshold, h) for threshold, h in limits])
        return _opposite(margin) if below else margin

    def _between(self, test: Between, lead: str | None) -> Margin:
        if _is_angle(test.value) and isinstance(test.low, Number) and isinstance(test.high, Number):
            value, half_width = self.sum_of(test.value, lead)
            return _ends([_in_sector(value, test.low.value, test.high.value, half_width)])
        above = self._compared(Compare(test.value, ">=", test.low), lead)
        return _lowest([above, self._compared(Compare(test.value, "<=", test.high), lead)])

    def _counted(self, test: Count, lead: str | None) -> Margin:
        value, _ = self.sum_of(test.value, lead)
        return _ends([(0.5 - abs(value - test.number)) / (3 * COUNT_HALF_WIDTH)])

    def sum_of(self, value: Sum, lead: str | None) -> tuple[np.ndarray, float]:
        """The values (n,) of a sum and its half-width, that of independent terms."""
        total, spread = np.zeros(len(self.readings)), 0.0
        for factor, quantity in ((term.factor, term.quantity) for term in value.terms):
            total += factor * self.readings.value(quantity, lead)
            spread += (factor * QUANTITIES[quantity.name].half_width) ** 2
        return total, math.sqrt(spread)

    def thresholds_of(
        self, value: Sum, sign: str, right: Bound | Sum, lead: str | None
    ) -> list[tuple[np.ndarray | float, np.ndarray | float]]:
        """Thresholds and half-widths that `value` is compared with: several for patients not fully known."""
        _, half_width = self.sum_of(value, lead)
        if isinstance(right, Limit):
            at = next((term.quantity.lead for term in value.terms if term.quantity.lead), lead)
            return [(-t if right.negative else t, h) for t, h in self._limits(right.name, at)]
        if isinstance(right, Sum):
            threshold, other = self.sum_of(right, lead)
            return [(threshold, math.hypot(half_width, other) or COUNT_HALF_WIDTH)]
        if QUANTITIES[value.terms[0].quantity.name].unit == "count":
            shift = {">=": -0.5, ">": 0.5, "<=": 0.5, "<": -0.5}[sign]
            return [(right.value + shift, COUNT_HALF_WIDTH)]
        return [(right.value, right.half_width or half_width)]

    def _limits(self, name: str, lead: str | None) -> list[tuple[np.ndarray, np.ndarray]]:
        """The thresholds and half-widths (n,) of a limit: as many as hold for the patient of whom least is known."""
        of_each = [
            thresholds(name, lead, *patient) for patient in zip(self.readings.age, self.readings.sex, strict=True)
        ]
        most = max(map(len, of_each), default=1)
        table = np.array([[*rows, *(rows[:1] * (most - len(rows)))] for rows in of_each]).reshape(-1, most, 2)
        return [(table[:, i, 0], table[:, i, 1]) for i in range(most)]


@lru_cache(maxsize=256)
def tree_of_named(name: str) -> Test:
    """The tree of a named test."""
    return parse_named(NAMED[name])


def needed_leads(test: Where) -> int:
    """In how many leads a test must hold."""
    leads = len(leads_of(test.places))
    return test.how if isinstance(test.how, int) else {"any": 1, "all": leads, "most": leads // 2 + 1}[test.how]


def _ancestors(concept: Concept, concepts: Mapping[str, Concept]) -> set[str]:
    """Ids of all wider conditions."""
    found: set[str] = set()
    waiting = list(concept.broader)
    while waiting:
        wider = waiting.pop()
        if wider not in found:
            found.add(wider)
            waiting += concepts[wider].broader if wider in concepts else []
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Margins


def _distance(value: np.ndarray, threshold: np.ndarray | float, half_width: np.ndarray | float) -> np.ndarray:
    return (value - threshold) / (3 * half_width)


def _ends(margins: Sequence[np.ndarray]) -> Margin:
    """The lowest and highest of margins (n,); infinite where one of them is NaN."""
    low, high = np.min(margins, axis=0), np.max(margins, axis=0)
    missing = np.isnan(low)
    return np.where(missing, -math.inf, low), np.where(missing, math.inf, high)


def _lowest(margins: Sequence[Margin]) -> Margin:
    return np.min([low for low, _ in margins], axis=0), np.min([high for _, high in margins], axis=0)


def _kth(margins: Sequence[Margin], k: int) -> Margin:
    """The k-th highest."""
    lows, highs = np.array([low for low, _ in margins]), np.array([high for _, high in margins])
    return np.sort(lows, axis=0)[-k], np.sort(highs, axis=0)[-k]


def _opposite(margin: Margin) -> Margin:
    return -margin[1], -margin[0]


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
    return _ends([_in_sector(value, low, low + 180, bound.half_width or half_width)])
