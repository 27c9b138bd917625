"""How much the criteria of a condition weigh beside its vector: what `ecgclip.model.calibration.Witnesses` holds.

The weights of the criteria are fitted without any vector, over all conditions that the training ECGs tell of and those
of simulated ECGs. Nothing in them was trained on these ECGs, so that training ECGs serve as well as others. Slope and
bias of the vector follow on the validation split, with the weights held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.windows import Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import FEATURES, Judge, Readings, weigh
from ecgclip.measure.examined import examine
from ecgclip.model.calibration import Witnesses, logit
from ecgclip.simulate import CONDITIONS, simulate
from ecgclip.train.targets import targets

SEEDS = range(5000, 5004)  # simulated patients to fit on; tests and benchmarks have others
SIMULATED_SHARE = 0.3  # of the weight of all examples
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


def simulated_evidences(kb: KnowledgeBase, seeds: Iterable[int] = SEEDS) -> Evidences:
    """The evidence for all conditions of simulated ECGs."""
    ecgs = [simulate(condition, seed) for condition in CONDITIONS for seed in seeds]
    readings = [Readings.of_record(examine(ecg).measurements, ecg.metadata["age"], ecg.metadata["sex"]) for ecg in ecgs]
    truths = [ecg.metadata["truth"] for ecg in ecgs]
    concepts = tuple(sorted({c for t in truths for c in t["concepts"]} & kb.concepts.keys()))
    table = [[1 if c in t["concepts"] else -1 if c in t["unknown"] else 0 for c in concepts] for t in truths]
    return evidences(kb, Readings.stack(readings), concepts, np.array(table, np.int8))


def fit_criteria(real: list[Evidences], simulated: Evidences | None, without: Collection[str] = ()) -> Witnesses:
    """Fit the weights of the criteria alone; `without`: concepts that are left out."""
    parts = [e.pairs(set(e.concepts) - set(without)) for e in (*real, *([simulated] if simulated else []))]
    weight = np.concatenate([np.full(len(y), 1.0) for _, y in parts])
    if simulated:
        count = len(parts[-1][1])
        weight[-count:] *= SIMULATED_SHARE / (1 - SIMULATED_SHARE) * (len(weight) - count) / max(count, 1)
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    *weights, bias = fit_logistic(x, y, weight=weight, penalty=PENALTY)
    return Witnesses(tuple(float(w) for w in weights), float(bias))


def fit_slope(
    witnesses: Witnesses, by_vector: np.ndarray, evidence: np.ndarray, truth: np.ndarray
) -> tuple[float, float]:
    """Fit slope and bias of the vector beside the criteria.

    by_vector : (pairs,), probabilities; evidence : (pairs, FEATURES); truth : (pairs,), 0 or 1
    """
    offset = evidence @ np.array(witnesses.weights)
    slope, bias = fit_logistic(logit(by_vector)[:, None], truth, offset=offset)
    return float(slope), float(bias)


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    offset: np.ndarray | float = 0.0,
    weight: np.ndarray | None = None,
    penalty: float = 0.0,
) -> np.ndarray:
    """Logistic regression whose weights are not negative.

    Parameters
    ----------
    x : (n, k)
    y : (n,)
        0 or 1.
    offset : (n,)
        Added to the logit.
    weight : (n,)
        Of each example.
    penalty
        On the squares of the weights.

    Returns
    -------
    (k + 1,)
        The weights, then the bias.
    """
    from scipy.optimize import minimize

    weight = np.full(len(y), 1 / max(len(y), 1)) if weight is None else weight / weight.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        z = x @ weights + bias + offset
        error = weight * (0.5 * (1 + np.tanh(z / 2)) - y)
        value = (weight * (np.logaddexp(0, z) - y * z)).sum() + penalty * (weights**2).sum()
        return float(value), np.append(x.T @ error + 2 * penalty * weights, error.sum())

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    return minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
