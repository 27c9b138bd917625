"""How much the criteria of a condition weigh beside its vector: what `ecgclip.model.calibration.Witnesses` holds.

The weights of the criteria are fitted without any vector, over all conditions that the training ECGs tell of and those
of simulated ECGs. Nothing in them was trained on these ECGs, so that training ECGs serve as well as others. How they
mix with the vector follows on the validation split, and again on simulated ECGs: those stand for ECGs unlike the
training ECGs, such as another hospital's, of which a vector knows less and a guideline as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS
from ecgclip.data.windows import Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import FEATURES, Judge, Readings, weigh
from ecgclip.knowledge.criteria.evidence import logistic
from ecgclip.measure.examined import Examined, examine_many
from ecgclip.model.calibration import Mix, Witnesses, logit
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.simulate import CONDITIONS, simulate
from ecgclip.train.sources import Splits
from ecgclip.train.targets import targets

SEEDS = range(5000, 5004)  # simulated patients to fit on; tests and benchmarks have others
# Simulated ECGs have so much of the weight of all examples. On validation, mixes fitted with 0, 0.2, 0.3, 0.4 and 0.5
# reach macro AUROC 0.943, 0.946, 0.946, 0.944 and 0.942 (by the vector alone 0.941), on simulated ECGs 0.953, 0.975,
# 0.980, 0.982 and 0.984 (0.940). The F1 of descriptions is 0.670 with 0.2 and 0.656 with 0.3.
SIMULATED_SHARE = 0.2
PENALTY = 1e-3  # on the squares of the weights


@dataclass(frozen=True, eq=False)
class Evidences:
    """The evidence for m conditions in n ECGs.

    Attributes
    ----------
    concepts
        Ids.
    features : (n, m, FEATURES)
    measured : bool (n, m)
    truth : int8 (n, m)
        1 present, 0 absent, -1 unknown.
    """

    concepts: tuple[str, ...]
    features: np.ndarray
    measured: np.ndarray
    truth: np.ndarray

    def pairs(self, chosen: Collection[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features (pairs, FEATURES) and truth (pairs,) of what is known and measured, of some concepts or all."""
        columns = [j for j, c in enumerate(self.concepts) if chosen is None or c in chosen]
        use = self.measured[:, columns] & (self.truth[:, columns] >= 0)
        return self.features[:, columns][use], self.truth[:, columns][use].astype(float)


def readings_of(windows: Windows, cases: list[Case]) -> Readings:
    """The readings of windows, with the age and sex of their patients."""
    of_window = [cases[i] for i in windows.case]
    return Readings(windows.readings, [c.age for c in of_window], [c.sex for c in of_window])


def evidences(kb: KnowledgeBase, readings: Readings, concepts: Iterable[str], truth: np.ndarray) -> Evidences:
    """The evidence for concepts in ECGs; truth (n, concepts)."""
    judge, concepts = Judge(readings, kb.concepts), tuple(concepts)
    found = [weigh(judge, kb.concepts[c]) for c in concepts]
    empty = np.zeros((len(readings), 0))
    return Evidences(
        concepts,
        np.stack([e.features for e in found], 1) if found else empty[:, :, None].repeat(len(FEATURES), 2),
        np.stack([e.measured for e in found], 1) if found else empty.astype(bool),
        truth,
    )


def real_evidences(kb: KnowledgeBase, windows: Windows, cases: list[Case], min_positives: int = 5) -> Evidences:
    """The evidence for all conditions that some of a split's ECGs have."""
    concepts = tuple(sorted({c for case in cases for c in case.statements if c in kb.concepts}))
    truth = targets(cases, windows, concepts)
    enough = (truth == 1).sum(0) >= min_positives
    chosen = [c for c, many in zip(concepts, enough, strict=True) if many]
    return evidences(kb, readings_of(windows, cases), chosen, truth[:, enough])


def all_real_evidences(kb: KnowledgeBase, splits: Splits) -> list[Evidences]:
    """The same of each source, but for those that are simulated."""
    return [real_evidences(kb, s.windows, s.cases) for name, s in splits.items() if not DATA_SETS[name].made]


@dataclass(frozen=True, eq=False)
class Simulated:
    """Simulated ECGs, examined, and the conditions that they have."""

    ecgs: list[Examined]
    truths: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        seeds: Iterable[int] = SEEDS,
        sampling_rate: int = SAMPLING_RATE,
        conditions: Iterable[str] | None = None,
    ) -> Simulated:
        """Each of some conditions of the simulator, None: all, with every seed; sampling_rate: of the encoder, Hz."""
        ecgs = [simulate(condition, seed) for condition in conditions or CONDITIONS for seed in seeds]
        examined = [e for e in examine_many(ecgs, sampling_rate) if isinstance(e, Examined)]
        assert len(examined) == len(ecgs), "each simulated ECG has a signal"
        return cls(examined, [ecg.metadata["truth"] for ecg in ecgs])

    def concepts(self, kb: KnowledgeBase) -> tuple[str, ...]:
        """The conditions that any of them has."""
        return tuple(sorted({c for truth in self.truths for c in truth["concepts"]} & kb.concepts.keys()))

    def evidences(self, kb: KnowledgeBase, concepts: Iterable[str]) -> Evidences:
        """The evidence for conditions, and whether the ECGs have them."""
        concepts = tuple(concepts)
        return evidences(kb, self.readings, concepts, self.truth(concepts))

    @property
    def readings(self) -> Readings:
        """What was measured in them."""
        return Readings.stack([Readings.of_examined(e) for e in self.ecgs])

    def truth(self, concepts: Sequence[str]) -> np.ndarray:
        """Whether the ECGs have conditions, int8 (ECGs, concepts): 1 yes, 0 no, -1 unknown."""
        rows = [[1 if c in t["concepts"] else -1 if c in t["unknown"] else 0 for c in concepts] for t in self.truths]
        return np.array(rows, np.int8).reshape(len(rows), len(concepts))


def fit_criteria(real: Sequence[Evidences], simulated: Evidences, without: Collection[str] = ()) -> Witnesses:
    """Fit the weights of the criteria alone; `without`: concepts that are left out."""
    parts = [e.pairs(set(e.concepts) - set(without)) for e in (*real, simulated)]
    weight = shared_weight(sum(len(y) for _, y in parts[:-1]), len(parts[-1][1]))
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    *weights, bias = fit_logistic(x, y, weight, PENALTY)
    return Witnesses(tuple(float(w) for w in weights), float(bias))


def fit_mix(
    witnesses: Witnesses, by_vector: np.ndarray, evidence: np.ndarray, truth: np.ndarray, weight: np.ndarray
) -> Mix:
    """Fit slope, share and bias of vector and criteria.

    by_vector : (pairs,), probabilities; evidence : (pairs, FEATURES); truth : (pairs,), 0 or 1; weight : (pairs,)
    """
    x = np.stack([logit(by_vector), evidence @ np.array(witnesses.weights)], 1)
    slope, share, bias = map(float, fit_logistic(x, truth, weight))
    return slope, share, bias


def shared_weight(real: int, simulated: int, share: float = SIMULATED_SHARE) -> np.ndarray:
    """The weight of each example, those of the simulated ECGs last, which have `share` of it where there are both."""
    share = share if real and simulated else float(simulated > 0)
    return np.append(np.full(real, (1 - share) / max(real, 1)), np.full(simulated, share / max(simulated, 1)))


def fit_logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Logistic regression whose weights are not negative.

    Parameters
    ----------
    x : (n, k)
    y : (n,)
        0 or 1.
    weight : (n,)
        Of each example; they sum to 1.
    penalty
        On the squares of the weights.

    Returns
    -------
    (k + 1,)
        The weights, then the bias.
    """
    from scipy.optimize import minimize

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        z = x @ weights + bias
        error = weight * (logistic(z) - y)
        value = (weight * (np.logaddexp(0, z) - y * z)).sum() + penalty * (weights**2).sum()
        return float(value), np.append(x.T @ error + 2 * penalty * weights, error.sum())

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    return minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
