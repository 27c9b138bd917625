"""Calibration: how a similarity becomes a probability, and how the criteria of a label change it.

similarity ─Calibration─▶ probability by the vector ─┐
criteria ─evidence─▶ weights of each ────────────────┴─Witnesses─▶ probability ─yielding─▶ beside what it excludes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from ecgclip.knowledge.criteria.evidence import HIGHEST, logistic

MOST_KEPT = 4096  # labels of a `Bank`
SMALLEST = 1e-6  # a probability that is told apart from 0
# From this probability on, a condition takes odds from what it excludes. Chosen on validation: from 0.5 on, conditions
# that are not there take too much (macro AUROC 0.918; from 0.7 on 0.919, without any 0.918).
LIKELY = 0.7
Known: TypeAlias = Literal["trained", "simulated", "untrained"]  # by which ECGs of a condition training had


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


@dataclass(frozen=True, eq=False)
class Bank:
    """Reference ECGs, which tell how unusual a similarity is; what they have with a label is kept.

    Attributes
    ----------
    reference : float32 (ECGs, dim)
        Their vectors.
    """

    reference: np.ndarray
    _kept: dict[bytes, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def similarity(self, labels: np.ndarray) -> np.ndarray:
        """Their similarities to labels (labels, dim): float (ECGs, labels), each column ascending."""
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        keys = [vector.tobytes() for vector in labels]
        # at once, as another thread may clear what is kept
        found = {key: column for key in keys if (column := self._kept.get(key)) is not None}
        if new := [i for i, key in enumerate(keys) if key not in found]:
            columns = np.sort(labels[new].astype(float) @ self.reference.T.astype(float), axis=1)
            found.update(zip([keys[i] for i in new], columns, strict=True))
            self._kept.update(zip([keys[i] for i in new], columns, strict=True))
        return np.stack([found[key] for key in keys], axis=1)


Mix: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Witnesses:
    """How the vector and the criteria of a condition become one probability.

        logit p = slope · logit(p by the vector) + share · (weights · evidence) + bias

    It is fitted over many conditions at once, so that it holds for any that has criteria. No weight is negative: a
    condition never becomes less probable when more is measured that speaks for it.

    Attributes
    ----------
    weights
        Of `ecgclip.knowledge.criteria.FEATURES`.
    bias
        Beside `weights`, for the probability by the criteria alone.
    trained, simulated, untrained
        Slope, share and bias for a condition that training had ECGs of, one that it had only simulated ECGs of, and one
        that it had none of.
    """

    weights: tuple[float, ...]
    bias: float
    trained: Mix = (1.0, 1.0, 0.0)
    untrained: Mix = (1.0, 1.0, 0.0)
    simulated: Mix = (1.0, 1.0, 0.0)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Witnesses:
        """Read what `dataclasses.asdict` made; older versions had no simulated ECGs."""
        mixes = {known: tuple(stored[known]) for known in ("trained", "simulated", "untrained") if known in stored}
        return cls(tuple(stored["weights"]), stored["bias"], **mixes)

    def criteria(self, evidence: np.ndarray) -> np.ndarray:
        """Evidence (…, features) → the probability by the criteria alone, (…)."""
        return logistic(evidence @ np.array(self.weights) + self.bias)

    def together(self, by_vector: np.ndarray, evidence: np.ndarray, known: Known) -> np.ndarray:
        """Probabilities by the vector (…) and evidence (…, features) → probabilities (…)."""
        slope, share, bias = getattr(self, known)
        return logistic(slope * logit(by_vector) + share * (evidence @ np.array(self.weights)) + bias)

    def at_most(self, by_vector: np.ndarray, known: Known) -> np.ndarray:
        """The highest probabilities (…) that any evidence, or none, gives beside those by the vector (…)."""
        return np.fmax(by_vector, self.together(by_vector, np.array(HIGHEST), known))


def logit(probability: np.ndarray) -> np.ndarray:
    """The logarithm of the odds; finite for 0 and 1."""
    probability = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return np.log(probability / (1 - probability))


def yielding(probability: np.ndarray, rival: np.ndarray) -> np.ndarray:
    """Probabilities (…) of conditions beside the highest, (…), of what each excludes.

    Of two conditions that cannot both be there, the odds of one, given that not both are, are its own times the
    probability that the other is absent. That holds for any two; it counts from a `LIKELY` rival on, as the most
    probable of many would else take a little from everything.
    """
    absent = np.minimum((1 - np.nan_to_num(rival)).clip(SMALLEST) / (1 - LIKELY), 1)
    return np.where(absent < 1, absent * probability / (absent * probability + 1 - probability), probability)
