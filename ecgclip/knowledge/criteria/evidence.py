"""What the criteria of a condition say together: the few numbers that a score rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecgclip.knowledge.criteria.judge import Judge, midpoint, tree_of
from ecgclip.knowledge.criteria.roles import parse_role

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Concept

# `Evidence.features`: none of them falls when more speaks for the condition
FEATURES = (
    "required_far_below", "required_below", "required_above", "required_far_above",
    "overall_below", "overall_above", "narrower", "not_explained",
)  # fmt: skip
FAR = 1.0  # a required margin beyond has a weight of its own
FARTHEST, FARTHEST_OVERALL = 3.0, 2.0  # beyond so many units a margin says no more
HIGHEST = (0.0, 0.0, FAR, FARTHEST - FAR, 0.0, FARTHEST_OVERALL, FARTHEST_OVERALL, 0.0)  # where all speaks for it
EXPLAINED = 3.0  # the margin of an explanation counts as a logistic of its half-width


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured for and against a condition in n records; margins as of `Judge`, in arrays (n,).

    Attributes
    ----------
    required
        The margin of all that must be met: required criteria, groups of alternatives, and what speaks against it. NaN
        where it cannot be measured.
    overall
        The mean margin of all criteria, those against with the opposite sign, one that cannot be measured as 0: what
        few of them say, as in one lead, says little. NaN where none can be measured.
    narrower
        The highest margin of what a narrower condition requires, less as far as something else explains it: a wider
        condition is at least as true. NaN where none can be measured.
    explained
        How far another condition explains what was measured, 0 to 1.
    """

    required: np.ndarray
    overall: np.ndarray
    narrower: np.ndarray
    explained: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """Whether any criterion could be measured, bool (n,)."""
        return ~np.isnan(self.overall) | (self.narrower > 0)

    @property
    def features(self) -> np.ndarray:
        """The numbers that a score weighs, float (n, `FEATURES`): 0 says nothing.

        A margin is cut into pieces, so that a weight for each makes a curve. What is met counts less as far as
        something else explains it; what is not met is not met. A wider condition is met where a narrower one is; where
        its own criteria cannot be measured, that a narrower one is absent says nothing.
        """
        counts, overall = 1 - self.explained, np.nan_to_num(self.overall)
        own = np.where(self.required > 0, self.required.clip(max=FARTHEST) * counts, self.required)
        narrower = np.nan_to_num(self.narrower.clip(0, FARTHEST))
        required = np.where(np.isnan(own), narrower, np.fmax(own, self.narrower))
        columns = [
            np.clip(required, -FARTHEST, -FAR) + FAR,
            np.clip(required, -FAR, 0),
            np.clip(required, 0, FAR),
            np.clip(required, FAR, FARTHEST) - FAR,
            np.clip(overall, -FARTHEST_OVERALL, 0),
            np.clip(overall, 0, FARTHEST_OVERALL) * counts,
            narrower.clip(max=FARTHEST_OVERALL),
            -self.explained,
        ]
        return np.stack(columns, axis=1)


def weigh(judge: Judge, concept: Concept) -> Evidence:
    """Weigh the criteria of a condition in all records of a judge."""
    margins = []
    for criterion in concept.criteria:
        if criterion.test:
            margin = midpoint(judge.margin(tree_of(criterion.test))).clip(-FARTHEST, FARTHEST)
            margins.append(-margin if parse_role(criterion.role).kind == "against" else margin)
    narrower = np.full(len(judge.readings), np.nan)
    for other in judge.narrower(concept.id):
        margin = midpoint(judge.condition(other.id))
        narrower = np.fmax(narrower, np.where(margin > 0, margin * (1 - explained(judge, other)), margin))
    required = midpoint(judge.condition(concept.id))
    return Evidence(required, _overall(margins, len(narrower)), narrower, explained(judge, concept))


def explained(judge: Judge, concept: Concept) -> np.ndarray:
    """How true it is, 0 to 1 (n,), that a condition holds which explains the criteria of this one; unknown is 0."""
    if concept.id not in judge.explained:
        degrees = explanations(judge, concept).values()
        judge.explained[concept.id] = np.fmax.reduce([np.zeros(len(judge.readings)), *degrees])
    return judge.explained[concept.id]


def explanations(judge: Judge, concept: Concept) -> dict[str, np.ndarray]:
    """How far each condition of `explained_by` explains the criteria, 0 to 1 (n,), by its id; NaN is unknown."""
    degrees = {}
    for other, test in concept.explained_by.items():
        margin = midpoint(judge.condition(other))
        if test != "always":
            margin = np.minimum(margin, midpoint(judge.margin(tree_of(test))))
        degrees[other] = logistic(EXPLAINED * margin)
    return degrees


def logistic(x: np.ndarray) -> np.ndarray:
    """The logistic function, which does not overflow."""
    return 0.5 * (1 + np.tanh(x / 2))


def _overall(margins: Sequence[np.ndarray], records: int) -> np.ndarray:
    """The mean of margins (n,), 0 for what is unknown; NaN where all are."""
    if not margins:
        return np.full(records, np.nan)
    return np.where(np.isnan(margins).all(axis=0), np.nan, np.nan_to_num(margins).mean(axis=0))
