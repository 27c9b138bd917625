"""Weak labels: what the criteria alone say of every condition, for ECGs that nobody annotated with it.

The annotations of a data set tell of a few dozen conditions. The knowledge base has criteria of all, and their weights
are fitted on the training ECGs before training starts, over all annotated conditions at once. So each ECG has a
probability of each condition that can be measured in it, and the vectors learn those that no ECG was annotated with.
"""

from __future__ import annotations

import numpy as np

from ecgclip.data.cases import UNKNOWN
from ecgclip.data.sets import DATA_SETS
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import Judge, weigh
from ecgclip.model.calibration import Witnesses
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, Splits
from ecgclip.train.targets import targets
from ecgclip.train.witnesses import all_real_evidences, evidences, fit_criteria, readings_of, real_evidences

ENOUGH_LEADS = 6  # a view with fewer leads than that, of more recorded ones, may not show what the criteria were met by


class WeakLabels:
    """The probability of every condition by its criteria, for the windows of all sources.

    Attributes
    ----------
    concepts : tuple of str
        All of the knowledge base; none where the recipe has no such loss.
    probability : dict of source → float16 (windows, concepts)
        NaN where no criterion can be measured, and where an annotation decides.
    """

    def __init__(self, recipe: Recipe, splits: Splits, kb: KnowledgeBase):
        self.concepts: tuple[str, ...] = ()
        self.probability: dict[str, np.ndarray] = {}
        if recipe.weighs("criteria"):
            self.concepts = tuple(kb.concepts)
            witnesses = fit_on(splits, kb)
            self.probability = {source: self._judge(split, kb, witnesses) for source, split in splits.items()}

    def _judge(self, split: Split, kb: KnowledgeBase, witnesses: Witnesses) -> np.ndarray:
        judge = Judge(readings_of(split.windows, split.cases), kb.concepts)
        table = np.full((len(split.windows), len(self.concepts)), np.nan, np.float16)
        for j, concept in enumerate(self.concepts):
            evidence = weigh(judge, kb.concepts[concept])
            table[:, j] = np.where(evidence.measured, witnesses.criteria(evidence.features), np.nan)
        table[targets(split.cases, split.windows, self.concepts) != UNKNOWN] = np.nan
        return table

    def columns(self, source: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        """criteria_soft (b, concepts) of some windows of a source; nothing without weak labels."""
        return {"criteria_soft": self.probability[source][rows].astype(np.float32)} if self.concepts else {}

    def hide_unshown(self, columns: dict[str, np.ndarray], shown: np.ndarray, recorded: np.ndarray) -> None:
        """Make the weak labels unknown of views that leave out too many leads; shown, recorded: bool (b, 12)."""
        if self.concepts:
            columns["criteria_soft"][shown.sum(1) < np.minimum(ENOUGH_LEADS, recorded.sum(1))] = np.nan


def fit_on(splits: Splits, kb: KnowledgeBase) -> Witnesses:
    """Fit the weights of the criteria on training windows, those of simulated ECGs apart."""
    real = all_real_evidences(kb, splits)
    for source, split in splits.items():
        if DATA_SETS[source].made:
            return fit_criteria(real, real_evidences(kb, split.windows, split.cases))
    some = next(iter(splits.values()))
    none = np.zeros((len(some.windows), 0), np.int8)
    return fit_criteria(real, evidences(kb, readings_of(some.windows, some.cases), (), none))
