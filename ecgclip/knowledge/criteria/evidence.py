"""What the criteria of a condition say together: the few numbers that a score rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ecgclip.knowledge.criteria.coverage import coverage
from ecgclip.knowledge.criteria.judge import Judge, midpoint
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
    """What was measured for and against a condition in n records, in arrays (n,); or several, (conditions, n).

    Margins are as of `Judge`.

    Attributes
    ----------
    required
        The margin of all that must be met: required criteria, groups of alternatives, and what speaks against it. NaN
        where it cannot be measured.
    overall
        The mean margin of all criteria, one that cannot be measured as 0: what few of them say, as in one lead, says
        little. What speaks against the condition counts with the opposite sign where it is met, and as 0 where it is
        not: most ECGs lack it. NaN where none can be measured.
    narrower
        The highest margin of what a narrower condition requires, less as far as something else explains it: a wider
        condition is at least as true. NaN where none can be measured.
    explained
        How far another condition explains what was measured, 0 to 1.
    coverage
        The share of the leads asked for that were recorded, 0 to 1.
    """

    required: np.ndarray
    overall: np.ndarray
    narrower: np.ndarray
    explained: np.ndarray
    coverage: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """Whether any criterion could be measured, bool (…, n)."""
        return ~np.isnan(self.overall) | (self.narrower > 0)

    @property
    def features(self) -> np.ndarray:
        """The numbers that a score weighs, float (…, n, `FEATURES`): 0 says nothing.

        A margin is cut into pieces, so that a weight for each makes a curve. What is met counts less as far as
        something else explains it; what is not met is not met. A wider condition is met where a narrower one is; where
        its own criteria cannot be measured, that a narrower one is absent says nothing. Where leads are missing, all
        says as much less.
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
        return np.stack(columns, axis=-1) * self.coverage[..., None]


def weigh(judge: Judge, concept: Concept) -> Evidence:
    """Weigh the criteria of a condition in all records of a judge."""
    kinds = judge.narrower(concept.id)
    tests = [criterion for criterion in concept.criteria if criterion.test]
    margins = [judge.of_text(criterion.test) for criterion in tests]  # type: ignore[arg-type]
    conditions = [judge.condition(each.id) for each in (concept, *kinds)]
    middle = midpoint(np.stack([*conditions, *margins], axis=1))
    required, kind, overall = middle[0], middle[1 : len(conditions)], middle[len(conditions) :]
    if kinds:
        doubt = [explained(judge, each) for each in kinds]
        kind = np.where(kind > 0, kind * (1 - np.array(doubt)), kind)
    narrower = np.fmax.reduce(kind, axis=0, initial=np.nan)
    against = [parse_role(criterion.role).kind == "against" for criterion in tests]
    return Evidence(required, _overall(overall, against), narrower, explained(judge, concept), coverage(judge, concept))


def weigh_all(judge: Judge, concepts: Sequence[Concept]) -> Evidence:
    """Weigh the criteria of several conditions: arrays (conditions, n)."""
    found = [weigh(judge, concept) for concept in concepts]
    return Evidence(*(np.stack([getattr(each, f.name) for each in found]) for f in fields(Evidence)))


def explained(judge: Judge, concept: Concept) -> np.ndarray:
    """How true it is, 0 to 1 (n,), that a condition holds which explains the criteria of this one; unknown is 0."""
    if concept.id not in judge.explained:
        degrees = explanations(judge, concept).values()
        judge.explained[concept.id] = np.fmax.reduce([np.zeros(len(judge.readings)), *degrees])
    return judge.explained[concept.id]


def explanations(judge: Judge, concept: Concept) -> dict[str, np.ndarray]:
    """How far each condition of `explained_by` explains the criteria, 0 to 1 (n,), by its id; NaN is unknown."""
    if not concept.explained_by:
        return {}
    conditions = midpoint(np.stack([judge.condition(other) for other in concept.explained_by], axis=1))
    certain = np.tile(np.inf, len(judge.readings))
    tests = [certain if test == "always" else midpoint(judge.of_text(test)) for test in concept.explained_by.values()]
    degrees = logistic(EXPLAINED * np.minimum(conditions, tests))
    return dict(zip(concept.explained_by, degrees, strict=True))


def logistic(x: np.ndarray) -> np.ndarray:
    """The logistic function, which does not overflow."""
    return 0.5 * (1 + np.tanh(x / 2))


def _overall(margins: np.ndarray, against: Sequence[bool]) -> np.ndarray:
    """The mean of margins (criteria, n), less those against that are met, 0 if unknown; NaN where all are."""
    if not len(margins):
        return np.full(margins.shape[1], np.nan)
    clipped = margins.clip(-FARTHEST, FARTHEST)
    clipped = np.where(np.array(against)[:, None], -clipped.clip(min=0), clipped)
    return np.where(np.isnan(clipped).all(axis=0), np.nan, np.nan_to_num(clipped).mean(axis=0))
