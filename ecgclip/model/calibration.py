"""Calibration: a logistic curve that turns the similarity of any label into a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """A logistic curve of a similarity and of how unusual it is among reference ECGs.

    It is fitted on validation data over all labels at once, so that it is defined for labels never seen.

    Attributes
    ----------
    weights
        Weights of the four features, see `features`.
    bias
        Intercept of the curve.
    """

    weights: tuple[float, ...] = (0.0, 1.0, 0.0, 0.0)
    bias: float = -2.0

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Calibration:
        """Read what `dataclasses.asdict` made."""
        return cls(tuple(stored["weights"]), stored["bias"])

    def features(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """Describe similarities beside those of the reference ECGs.

        Parameters
        ----------
        similarity : (n, labels)
        bank : (reference ECGs, labels)
            Their similarities to the same labels.

        Returns
        -------
        (n, labels, 4)
            The similarity, its z-score in the bank, its rank in the bank (0 to 1), and the bank's mean.
        """
        mean, sd = bank.mean(0), bank.std(0) + 1e-6
        below = [np.searchsorted(b, s) for b, s in zip(np.sort(bank, 0).T, similarity.T, strict=True)]
        rank = np.stack(below, 1) / max(len(bank), 1)
        columns = [similarity, (similarity - mean) / sd, rank, np.broadcast_to(mean, similarity.shape)]
        return np.stack(columns, -1)

    def curve(self, features: np.ndarray) -> np.ndarray:
        """Map features (…, 4) to probabilities (…)."""
        return 1 / (1 + np.exp(-(features @ np.array(self.weights) + self.bias)))

    def __call__(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """Map similarities (n, labels) to probabilities (n, labels); `bank` as in `features`."""
        return self.curve(self.features(similarity, bank))
