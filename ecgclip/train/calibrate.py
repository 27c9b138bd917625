"""Calibration: the curve, the witnesses and the threshold that a trained model answers by.

One logistic curve turns the similarity of any label into a probability. It is fitted on the validation split over all
its labels at once, each record–label pair one example. The features say how large the similarity is and how unusual
beside the reference bank, so the curve is defined for labels never seen. Slope and bias beside the criteria
(`ecgclip.train.witnesses`) follow on the same split, and last the threshold from which a description states a label.

All are measured by cross-fitting: validation patients are in five folds, and each fold gets its probabilities from a
curve and a mix, and its descriptions from a threshold, that the four others gave. So is the signal's weight
(`finish.weigh_signal`). What ships is fitted on all of them. The choice among recipes is not cross-fitted, though the
same patients made it: for that, each recipe would have to be trained once more for each fold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.splits import patient_folds
from ecgclip.data.windows import Windows
from ecgclip.evaluate.description import rates, statement_counts, statement_table, statement_truth
from ecgclip.evaluate.metrics import calibration
from ecgclip.explain.sentences import choose_statements
from ecgclip.knowledge.criteria import Readings
from ecgclip.knowledge.criteria.readings import combine
from ecgclip.model.calibration import Calibration, Known, Mix, Witnesses
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig, Reliability
from ecgclip.model.scoring import NORMAL, coherent
from ecgclip.train.sources import Split, Splits
from ecgclip.train.targets import targets
from ecgclip.train.validation import embed_windows
from ecgclip.train.witnesses import (
    SIMULATED_SHARE,
    Evidences,
    Simulated,
    evidences,
    fit_mix,
    readings_of,
    shared_weight,
)

RISING = (0, 1, 2)  # of Calibration.features: the similarity, its distance from the bank's mean, and its rank
HALF = 0.5  # of the weight, where real ECGs only say what is absent
THRESHOLDS = np.arange(2, 39) / 40  # tried; a finer grid would only follow the noise of a small split


# --- the curve and the witnesses --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Examples:
    """What is fitted on: n ECGs and m concepts.

    Attributes
    ----------
    features : (n, m, 4)
        As of `Calibration.features`.
    evidence : Evidences
        Of the criteria, and the truth.
    """

    features: np.ndarray
    evidence: Evidences

    @property
    def truth(self) -> np.ndarray:
        """(n, m): 1 present, 0 absent, -1 unknown."""
        return self.evidence.truth

    def of(self, rows: np.ndarray) -> Examples:
        """Some of the ECGs, bool (n,)."""
        e = self.evidence
        parts = {name: getattr(e, name)[rows] for name in ("features", "measured", "truth")}
        return Examples(self.features[rows], replace(e, **parts))

    def probability(self, curve: Calibration, witnesses: Witnesses | None, known: Known = "trained") -> np.ndarray:
        """(n, m), by a curve and the criteria, each condition as if there were no other."""
        by_vector = curve.curve(self.features)
        if witnesses is None:
            return by_vector
        return np.where(self.evidence.measured, witnesses.together(by_vector, self.evidence.features, known), by_vector)


def examples(
    model: ECGCLIP, held_out: Splits, concepts: Collection[str] | None = None, min_positives: int = 1
) -> Examples:
    """Validation windows and concepts.

    Parameters
    ----------
    concepts : collection of str, optional
        None: all that the cases tell of.
    min_positives : int
        Concepts with fewer are left out.
    """
    split = next(iter(held_out.values()))
    asked = tuple(sorted({c for case in split.cases for c in case.statements} if concepts is None else concepts))
    truth = targets(split.cases, split.windows, asked)
    columns = [j for j in range(len(asked)) if (truth[:, j] == 1).sum() >= min_positives]
    chosen = [asked[j] for j in columns]
    features = np.zeros((len(truth), 0, 4))
    if chosen:
        vectors = np.stack([model.concept_vector(c) for c in chosen])
        similarity = embed_windows(model, split.windows) @ vectors.T
        features = Calibration().features(similarity, model.reference @ vectors.T)
    readings = readings_of(split.windows, split.cases)
    return Examples(features, evidences(model.kb, readings, chosen, truth[:, columns]))


def fit(features: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> Calibration:
    """The curve of examples; the default one where they are not of both kinds.

    A feature that rises with the similarity but gets a weight below 0 is left out: no label becomes less probable when
    an ECG is more similar to it.

    features : (…, 4)
    truth : (…), 1 present, 0 absent, -1 unknown, left out
    weight : (…), of each example, 1 on average; None: all count the same
    """
    from sklearn.linear_model import LogisticRegression

    known = truth >= 0
    if np.unique(truth[known]).size < 2:  # a validation split of a few records
        return Calibration()
    columns = list(range(features.shape[-1]))
    while True:
        weights_of = None if weight is None else weight[known]
        curve = LogisticRegression(C=10.0, max_iter=1000).fit(features[known][:, columns], truth[known], weights_of)
        weights = dict(zip(columns, map(float, curve.coef_[0]), strict=True))
        falling = [c for c in columns if c in RISING and weights[c] < 0]
        if not falling:
            return Calibration(
                tuple(weights.get(c, 0.0) for c in range(features.shape[-1])), float(curve.intercept_[0])
            )
        columns.remove(min(falling, key=weights.__getitem__))


def fit_untrained(hidden: Iterable[Examples]) -> Calibration:
    """Fit the curve of conditions without training ECGs, on examples of conditions that a model was kept from."""
    parts = list(hidden)
    features = np.concatenate([part.features.reshape(-1, 4) for part in parts])
    return fit(features, np.concatenate([part.truth.ravel() for part in parts]))


def simulated_examples(model: ECGCLIP, simulated: Simulated, concepts: Collection[str]) -> Examples:
    """The same of simulated ECGs, for those of some concepts that any of them has."""
    chosen = [c for c in simulated.concepts(model.kb) if c in concepts]
    evidence = simulated.evidences(model.kb, chosen)
    features = np.zeros((len(simulated.ecgs), 0, 4))
    if chosen:
        vectors = np.stack([model.concept_vector(c) for c in chosen])
        similarity = np.stack([e.vector for e in model.encode(simulated.ecgs)]) @ vectors.T
        features = Calibration().features(similarity, model.reference @ vectors.T)
    return Examples(features, evidence)


def mix(
    real: Iterable[Examples],
    simulated: Iterable[Examples],
    curve: Calibration,
    criteria: Witnesses,
    share: float = SIMULATED_SHARE,
) -> Mix:
    """Fit how vector and criteria mix; they count as they are where nothing is both known and measured.

    share : of the weight, that of the simulated ECGs
    """
    columns: list[list[np.ndarray]] = [[], [], []]
    sizes = [0, 0]
    for i, part in [*((0, part) for part in real), *((1, part) for part in simulated)]:
        use = part.evidence.measured & (part.truth >= 0)
        rows = curve.curve(part.features)[use], part.evidence.features[use], part.truth[use]
        for column, values in zip(columns, rows, strict=True):
            column.append(values)
        sizes[i] += int(use.sum())
    by_vector, evidence, truth = map(np.concatenate, columns)
    if not sizes[0] or np.unique(truth).size < 2:
        return 1.0, 1.0, 0.0
    return fit_mix(criteria, by_vector, evidence, truth, shared_weight(sizes[0], sizes[1], share))


Answer = tuple[Calibration, Witnesses | None]  # what turns similarity and evidence into a probability


def calibrate(real: Examples, simulated: Examples, criteria: Witnesses) -> Answer:
    """Fit the curve, and how vector and criteria mix; `criteria` has the weights of the latter."""
    curve = fit(real.features, real.truth)
    return curve, replace(criteria, trained=mix([real], [simulated], curve, criteria))


def calibrate_simulated(
    model: ECGCLIP, held_out: Splits, simulated: Simulated, concepts: Collection[str], criteria: Witnesses
) -> tuple[Calibration, Mix]:
    """Fit curve and mix of the conditions that training had only simulated ECGs of.

    Simulated patients that training did not have show such a condition or lack it. Of real ECGs only this is known:
    what a normal ECG excludes is absent from those that are annotated as normal. Both count for half.
    """
    split = next(iter(held_out.values()))
    real, made = absent_in_normal(model, split, concepts), simulated_examples(model, simulated, concepts)
    features = np.concatenate([part.features.reshape(-1, 4) for part in (real, made)])
    truth = np.concatenate([part.truth.ravel() for part in (real, made)])
    known = truth >= 0
    weight = np.zeros(len(truth))
    sizes = int((real.truth >= 0).sum()), int((made.truth >= 0).sum())
    weight[known] = shared_weight(sizes[0], sizes[1], HALF) * known.sum()
    curve = fit(features, truth, weight)
    return curve, mix([real], [made], curve, criteria, HALF)


def absent_in_normal(model: ECGCLIP, split: Split, concepts: Collection[str]) -> Examples:
    """Validation windows and concepts: absent where an ECG is annotated as normal and excludes them, else unknown."""
    found = examples(model, {"": split}, concepts, min_positives=0)
    normal = np.array([NORMAL in split.cases[i].annotated for i in split.windows.case], bool)
    excludes = model.kb.excluded(NORMAL) if NORMAL in model.kb.concepts else ()  # it may be hidden from a training
    excluded = np.isin(found.evidence.concepts, list(excludes))
    truth = np.where(normal[:, None] & excluded, 0, -1).astype(np.int8)
    return replace(found, evidence=replace(found.evidence, truth=truth))


def cross_fit(model: ECGCLIP, held_out: Splits, simulated: Examples, criteria: Witnesses) -> list[Answer]:
    """For each fold of validation patients, fit on the other folds."""
    all_examples, folds = examples(model, held_out), _folds(held_out)
    return [calibrate(all_examples.of(folds != k), simulated, criteria) for k in range(folds.max() + 1)]


def cross_fitted(model: ECGCLIP, held_out: Splits, answers: list[Answer]) -> dict[str, Any]:
    """How right the probabilities of validation patients are, each fold with its own answer.

    Returns
    -------
    dict
        As of `ecgclip.evaluate.metrics.calibration`; empty where no truth is known.
    """
    all_examples, folds = examples(model, held_out), _folds(held_out)
    if not (all_examples.truth >= 0).any():
        return {}
    probability = np.zeros(all_examples.truth.shape)
    for k, answer in enumerate(answers):
        probability[folds == k] = all_examples.of(folds == k).probability(*answer)
    concepts = all_examples.evidence.concepts
    probability = coherent(model.kb, concepts, probability, concepts)
    patients = np.unique([case.person for case in _cases(held_out)], return_inverse=True)[1]
    return calibration(probability, all_examples.truth, patients, seed=0)


def _cases(held_out: Splits) -> list[Case]:
    """The case of each validation window."""
    split = next(iter(held_out.values()))
    return [split.cases[i] for i in split.windows.case]


def _folds(held_out: Splits) -> np.ndarray:
    return patient_folds(_cases(held_out))


def reliability(figures: dict[str, Any]) -> tuple[Reliability, ...]:
    """The bins of what `cross_fitted` measured, as a model's configuration keeps them."""
    return tuple((b["from"], b["to"], *b["observed"][1:], b["pairs"]) for b in figures.get("bins", ()))


# --- the threshold of a description -----------------------------------------------------------------------------------


def choose_threshold(model: ECGCLIP, held_out: Splits, answers: list[Answer] | None = None) -> float:
    """The probability from which on `describe` states a label, with the best micro F1 on the validation split.

    answers : of `cross_fit`; None: the model's own, for all
    """
    counts, _ = statements(model, held_out, answers)
    return float(THRESHOLDS[_best(counts)]) if counts.any() else ModelConfig.threshold  # nothing is annotated in full


def cross_fitted_f1(model: ECGCLIP, held_out: Splits, answers: list[Answer]) -> float:
    """Micro F1 of the statements, each fold with the threshold that the others choose; NaN if none is annotated."""
    counts, folds = statements(model, held_out, answers)
    if not counts.any():
        return float("nan")
    of_folds = [counts[_best(counts[:, :, folds != k])][:, folds == k] for k in range(folds.max() + 1)]
    return float(rates(np.concatenate(of_folds, 1).sum(1))[2])


def _best(counts: np.ndarray) -> int:
    """The index of the threshold with the best micro F1; counts (thresholds, 3, records)."""
    return int(np.argmax([rates(c.sum(1))[2] for c in counts]))


def statements(model: ECGCLIP, held_out: Splits, answers: list[Answer] | None) -> tuple[np.ndarray, np.ndarray]:
    """How many statements of a description would be right, wrong and missing at each threshold.

    Returns
    -------
    int (THRESHOLDS, 3, records)
    int (records,)
        The records' folds.
    """
    split, kb = next(iter(held_out.values())), model.kb
    records = np.unique(split.windows.case)
    cases = [split.cases[i] for i in records]
    folds = patient_folds(cases)
    vocabulary = sorted(set().union(*(case.annotated for case in cases)))
    truth = statement_truth(kb, cases, vocabulary)
    conditions = (c.id for c in kb.concepts.values() if c.category != "beat")
    concepts = sorted(c for c in conditions if model.trained(c) is not False)
    own = model.config.calibration, model.config.witnesses
    chosen = [own if answers is None else answers[k] for k in folds]
    rows = _probability(model, split.windows, split.cases, concepts, chosen)
    probability = [dict(zip(concepts, row, strict=True)) for row in rows]

    def counts(threshold: float) -> np.ndarray:
        stated = [choose_statements(kb, by_concept, threshold) for by_concept in probability]
        return statement_counts(statement_table(kb, stated, vocabulary), truth).sum(2)

    return np.stack([counts(threshold) for threshold in THRESHOLDS]), folds


def _probability(
    model: ECGCLIP, windows: Windows, cases: list[Case], concepts: list[str], answers: list[Answer]
) -> np.ndarray:
    """(records, concepts) of the records of `windows`, each by its own answer."""
    vectors = np.stack([model.concept_vector(c) for c in concepts])
    of_windows = embed_windows(model, windows)
    records = np.unique(windows.case)
    means = np.stack([of_windows[windows.case == i].mean(0) for i in records])  # as Embedding.vector
    similarity = means / np.linalg.norm(means, axis=1, keepdims=True) @ vectors.T
    features = Calibration().features(similarity, model.reference @ vectors.T)
    combined = np.stack([combine(windows.readings[windows.case == i]) for i in records])
    readings = Readings(combined, [cases[i].age for i in records], [cases[i].sex for i in records])
    nothing = np.full(similarity.shape, -1, np.int8)
    all_examples = Examples(features, evidences(model.kb, readings, concepts, nothing))
    order = np.arange(len(records))
    rows = [all_examples.of(order == i).probability(*answer) for i, answer in enumerate(answers)]
    return coherent(model.kb, concepts, np.concatenate(rows), concepts)
