"""What a record answers to a test: met, unmet, borderline or not measurable, with the margin and the values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgclip.knowledge.criteria.judge import Judge, tree_of, verdict
from ecgclip.knowledge.criteria.tree import Test
from ecgclip.knowledge.criteria.words import both_ends, say

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Concept, Criterion


@dataclass(frozen=True)
class Answer:
    """The answer to a test.

    Attributes
    ----------
    low, high
        The margin's ends.
    value
        The measured values beside their thresholds, in words.
    """

    low: float
    high: float
    value: str

    @property
    def verdict(self) -> str:
        """What it says: "met", "unmet", "borderline" or "not measurable"."""
        return verdict(self.low, self.high)

    @property
    def margin(self) -> float:
        """Signed distance from the threshold in units of three half-widths; NaN if it is not measurable."""
        if self.verdict == "not measurable":
            return math.nan
        ends = [end for end in (self.low, self.high) if math.isfinite(end)]
        return sum(ends) / len(ends)

    @property
    def degree(self) -> float:
        """How true it is, 0 to 1: the logistic function of the margin; NaN if it is not measurable."""
        return 0.5 * (1 + math.tanh(self.margin / 2))


@dataclass(frozen=True)
class CriterionAnswer:
    """A criterion of a condition with its answer; `answer` is None for a criterion without a test."""

    criterion: Criterion
    answer: Answer | None


def answer(judge: Judge, test: str | Test) -> Answer:
    """Answer a test for one record.

    Raises
    ------
    EcgclipError
        If a text is no test.
    """
    test = tree_of(test) if isinstance(test, str) else test
    return Answer(*both_ends(judge.margin(test)), say(judge, test))


def answer_criteria(judge: Judge, concept: Concept) -> list[CriterionAnswer]:
    """Answer every criterion of a condition, in its order."""
    return [CriterionAnswer(c, answer(judge, c.test) if c.test else None) for c in concept.criteria]
