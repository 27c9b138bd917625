"""Calibration: a similarity becomes a probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """similarity → probability for any label: a logistic curve of the similarity and of how unusual it is in the bank.

    Fitted on the validation split over all labels at once, so that it also holds for a label never seen.
    """

    weights: tuple[float, ...] = (0.0, 1.0, 0.0, 0.0)
    bias: float = -2.0

    def features(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """similarity (n, labels), bank (m, labels) similarities of the reference ECGs → (n, labels, 4)."""
        mean, sd = bank.mean(0), bank.std(0) + 1e-6
        below = [np.searchsorted(b, s) for b, s in zip(np.sort(bank, 0).T, similarity.T, strict=True)]
        rank = np.stack(below, 1) / max(len(bank), 1)  # share of the bank that is less similar
        columns = [similarity, (similarity - mean) / sd, rank, np.broadcast_to(mean, similarity.shape)]
        return np.stack(columns, -1)

    def __call__(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        return self.curve(self.features(similarity, bank))

    def curve(self, features: np.ndarray) -> np.ndarray:
        """features (…, 4) → probability (…)."""
        return 1 / (1 + np.exp(-(features @ np.array(self.weights) + self.bias)))
