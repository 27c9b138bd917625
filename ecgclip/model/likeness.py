"""Which ECGs are alike: by the conditions that they are likely to show, rather than by their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.model.calibration import Calibration
from ecgclip.model.results import unit


@dataclass(frozen=True, eq=False)
class Statements:
    """The n conditions that a model was trained on, and how probable they are in any ECG.

    Attributes
    ----------
    vectors : float32 (n, dim)
        Their prompts.
    bank : (reference ECGs, n)
        Similarities of the reference ECGs.
    calibration
        Similarity → probability.
    usual : (n,)
        Mean probability among the reference ECGs.
    classes : bool (n,)
        True for the five diagnostic classes of PTB-XL.
    """

    vectors: np.ndarray
    bank: np.ndarray
    calibration: Calibration
    usual: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(
        cls, concepts: Sequence[str], vectors: np.ndarray, reference: np.ndarray, calibration: Calibration
    ) -> Statements:
        """Make them of concepts (ids), their vectors (n, dim) and those of the reference ECGs (m, dim)."""
        bank = reference @ vectors.T
        classes = np.isin(concepts, list(load_label_set("ptb-xl-super")["labels"].values()))
        return cls(vectors, bank, calibration, calibration(bank, bank).mean(0), classes)

    def probability(self, ecgs: np.ndarray) -> np.ndarray:
        """Vectors of ECGs (m, dim) → the probability of each statement, (m, n)."""
        return self.calibration(ecgs @ self.vectors.T, self.bank)

    def like(self, rhythm: np.ndarray) -> np.ndarray:
        """The vector of an ECG (dim,) → the unit vector to search similar cases with; see `ECGCLIP.like`."""
        probability = self.probability(rhythm[None])[0]
        return unit((probability - self.usual) @ self.vectors)

    def likeness(self, ecgs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Vectors of ECGs (m, dim) and of others (n, dim) → (m, n) from 0 to 1; see `ECGCLIP.likeness`."""
        probability = self.probability(np.vstack([ecgs, others]))
        left, right = probability[: len(ecgs)], probability[len(ecgs) :]
        shared = left @ right.T  # expected number of statements that both have
        no_common_class = np.ones_like(shared)
        for c in np.flatnonzero(self.classes):
            no_common_class *= 1 - np.outer(left[:, c], right[:, c])
        jaccard = shared / (left.sum(1)[:, None] + right.sum(1) - shared)
        return ((1 - no_common_class) + jaccard) / 2
