"""Calibration: one logistic curve turns the similarity of any label into a probability.

It is fitted on the validation split over all its labels at once, each record–label pair one example. The features say
how large the similarity is and how unusual beside the reference bank, so the curve is defined for labels never seen.
The threshold from which a description states a label is chosen afterwards, on the same split.

Both are measured by cross-fitting: validation patients are in five folds, and each fold gets its probabilities from a
curve, and its descriptions from a threshold, that the four others gave. So is the signal's weight
(`finish.weigh_signal`). What ships is fitted on all of them. The choice among recipes is not cross-fitted, though the
same patients made it: for that, each recipe would have to be trained once more for each fold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from ecgclip.data.splits import patient_folds
from ecgclip.data.windows import Windows
from ecgclip.evaluate.description import rates, statement_counts, statement_table, statement_truth
from ecgclip.evaluate.metrics import expected_calibration_error
from ecgclip.explain.sentences import choose_statements
from ecgclip.model.calibration import Calibration
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.train.sources import Splits
from ecgclip.train.targets import targets
from ecgclip.train.validation import embed_windows

RISING = (0, 1, 2)  # of Calibration.features: the similarity, its distance from the bank's mean, and its rank
THRESHOLDS = np.arange(2, 39) / 40  # tried; a finer grid would only follow the noise of a small split


# --- the curve --------------------------------------------------------------------------------------------------------


def calibrate(model: ECGCLIP, held_out: Splits, min_positives: int = 1) -> Calibration:
    """Fit the curve on validation windows and the concepts with enough positives; unknown pairs are left out."""
    return fit(*examples(model, held_out, min_positives=min_positives))


def calibrate_untrained(models: Iterable[tuple[ECGCLIP, Splits, Collection[str]]]) -> Calibration:
    """Fit the curve of conditions without training ECGs, on models each of which had some conditions hidden from it.

    Parameters
    ----------
    models
        Each with a validation split, loaded by a recipe that hides nothing, and the concepts hidden from its training.
    """
    parts = [examples(model, held_out, hidden) for model, held_out, hidden in models]
    return fit(*(np.concatenate([part[i].reshape(-1, *part[i].shape[2:]) for part in parts]) for i in (0, 1)))


def examples(
    model: ECGCLIP, held_out: Splits, concepts: Collection[str] | None = None, min_positives: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """What a curve is fitted on: validation windows and concepts.

    Parameters
    ----------
    concepts : collection of str, optional
        None: all that the cases tell of.
    min_positives : int
        Concepts with fewer are left out.

    Returns
    -------
    features : (windows, concepts, 4)
    truth : (windows, concepts)
        1 present, 0 absent, -1 unknown.
    """
    split = next(iter(held_out.values()))
    asked = tuple(sorted({c for case in split.cases for c in case.statements} if concepts is None else concepts))
    truth = targets(split.cases, split.windows, asked)
    columns = [j for j in range(len(asked)) if (truth[:, j] == 1).sum() >= min_positives]
    if not columns:
        return np.zeros((len(truth), 0, 4)), truth[:, columns]
    vectors = np.stack([model.concept_vector(asked[j]) for j in columns])
    similarity = embed_windows(model, split.windows) @ vectors.T
    return Calibration().features(similarity, model.reference @ vectors.T), truth[:, columns]


def fit(features: np.ndarray, truth: np.ndarray) -> Calibration:
    """The curve of examples; the default one where they are not of both kinds.

    A feature that rises with the similarity but gets a weight below 0 is left out: no label becomes less probable when
    an ECG is more similar to it.

    features : (…, 4)
    truth : (…), 1 present, 0 absent, -1 unknown, left out
    """
    from sklearn.linear_model import LogisticRegression

    known = truth >= 0
    if np.unique(truth[known]).size < 2:  # a validation split of a few records
        return Calibration()
    columns = list(range(features.shape[-1]))
    while True:
        curve = LogisticRegression(C=10.0, max_iter=1000).fit(features[known][:, columns], truth[known])
        weights = dict(zip(columns, map(float, curve.coef_[0]), strict=True))
        falling = [c for c in columns if c in RISING and weights[c] < 0]
        if not falling:
            return Calibration(
                tuple(weights.get(c, 0.0) for c in range(features.shape[-1])), float(curve.intercept_[0])
            )
        columns.remove(min(falling, key=weights.__getitem__))


def cross_fit(model: ECGCLIP, held_out: Splits) -> tuple[list[Calibration], float]:
    """For each fold of validation patients the curve fitted on the other folds, and the ECE of its probabilities.

    The ECE is NaN where no truth is known.
    """
    split = next(iter(held_out.values()))
    features, truth = examples(model, held_out)
    folds = patient_folds([split.cases[i] for i in split.windows.case])
    curves = [fit(features[folds != k], truth[folds != k]) for k in range(folds.max() + 1)]
    probability = np.stack([curves[k].curve(row) for k, row in zip(folds, features, strict=True)])
    known = truth >= 0
    return curves, expected_calibration_error(probability[known], truth[known]) if known.any() else float("nan")


# --- the threshold of a description -----------------------------------------------------------------------------------


def choose_threshold(model: ECGCLIP, held_out: Splits, curves: list[Calibration] | None = None) -> float:
    """The probability from which on `describe` states a label, with the best micro F1 on the validation split.

    curves : of `cross_fit`; None: the model's own calibration, for all
    """
    counts, _ = statements(model, held_out, curves)
    return float(THRESHOLDS[_best(counts)]) if counts.any() else ModelConfig.threshold  # nothing is annotated in full


def cross_fitted_f1(model: ECGCLIP, held_out: Splits, curves: list[Calibration]) -> float:
    """Micro F1 of the statements, each fold with the threshold that the others choose; NaN if none is annotated."""
    counts, folds = statements(model, held_out, curves)
    if not counts.any():
        return float("nan")
    of_folds = [counts[_best(counts[:, :, folds != k])][:, folds == k] for k in range(folds.max() + 1)]
    return float(rates(np.concatenate(of_folds, 1).sum(1))[2])


def _best(counts: np.ndarray) -> int:
    """The index of the threshold with the best micro F1; counts (thresholds, 3, records)."""
    return int(np.argmax([rates(c.sum(1))[2] for c in counts]))


def statements(model: ECGCLIP, held_out: Splits, curves: list[Calibration] | None) -> tuple[np.ndarray, np.ndarray]:
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
    chosen = [model.config.calibration if curves is None else curves[k] for k in folds]
    rows = _probability(model, split.windows, concepts, chosen)
    probability = [dict(zip(concepts, row, strict=True)) for row in rows]

    def counts(threshold: float) -> np.ndarray:
        stated = [choose_statements(kb, by_concept, threshold) for by_concept in probability]
        return statement_counts(statement_table(kb, stated, vocabulary), truth).sum(2)

    return np.stack([counts(threshold) for threshold in THRESHOLDS]), folds


def _probability(model: ECGCLIP, windows: Windows, concepts: list[str], curves: list[Calibration]) -> np.ndarray:
    """(records, concepts) of the records of `windows`, each by its own curve."""
    vectors = np.stack([model.concept_vector(c) for c in concepts])
    of_windows = embed_windows(model, windows)
    means = np.stack([of_windows[windows.case == i].mean(0) for i in np.unique(windows.case)])  # as Embedding.vector
    similarity = means / np.linalg.norm(means, axis=1, keepdims=True) @ vectors.T
    features = Calibration().features(similarity, model.reference @ vectors.T)
    return np.stack([curve.curve(row) for curve, row in zip(curves, features, strict=True)])
