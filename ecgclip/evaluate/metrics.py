"""Figures of multi-label scores with 95 % intervals. Entry points: `label_table`, `calibration`, `difference`.

Shapes: scores and probability float (records, labels); truth int8 (records, labels), 1 present, 0 absent, -1 unknown;
patients int (records,), 0, 1, 2 …; a resampled figure (1 + RESAMPLES,), as in `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.evaluate.bootstrap import interval, patient_draws, record_weights

BINS = 10  # of probability, in calibration
BLOCK = 4_000_000  # weights held at once
Figures = dict[str, np.ndarray]  # name → (1 + RESAMPLES,)
Intervals = dict[str, list[float]]  # name → [value, low, high]


@dataclass(frozen=True)
class Labels:
    """The labels that are scored.

    Attributes
    ----------
    names
        The name of each label, as it is asked.
    concepts
        The concept of each, an id of the knowledge base; truth goes by it.
    fixed
        Name → concept id, for codes, whose meaning the label set fixes.
    classes
        PTB-XL's diagnostic subclasses, where truth goes by those and not by the concepts.
    beats
        The kinds of beat that each label stands for, where every heartbeat is scored.
    """

    names: list[str]
    concepts: list[str]
    fixed: dict[str, str]
    classes: tuple[str, ...] = ()
    beats: tuple[frozenset[str], ...] = ()


# --- tables -----------------------------------------------------------------------------------------------------------


def label_table(
    scores: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    labels: Labels,
    min_positives: int,
    seed: int,
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
) -> tuple[list[dict[str, Any]], Intervals]:
    """The figures of each label, and their mean.

    Parameters
    ----------
    min_positives
        Positives, and negatives, that a label needs to count in the mean.
    probability
        Where given, each label also has F1, sensitivity and specificity, ECE and Brier score.
    threshold
        The probability from which on a label counts as predicted.

    Returns
    -------
    list of dict, dict
        A row for each label and the macro averages, as in `label_summary`.
    """
    figures = resample(scores, truth, patients, seed, probability, threshold)
    rows, macro = label_summary(figures, truth, labels, min_positives)
    if probability is None:
        return rows, macro
    for j, row in enumerate(rows):
        known = truth[:, j] >= 0
        if known.any():
            p, y = probability[known, j], truth[known, j]
            row |= {"ece": round(expected_calibration_error(p, y), 4), "brier": round(float(((p - y) ** 2).mean()), 4)}
    return rows, macro


def difference(
    first: np.ndarray,
    second: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    labels: Labels,
    min_positives: int,
    seed: int,
) -> tuple[list[dict[str, Any]], Intervals]:
    """`label_table` of the second scores less the first, a paired comparison: both are scored on the same resamples."""
    before, after = (resample(scores, truth, patients, seed) for scores in (first, second))
    change = [{k: b[k] - a[k] for k in a} for a, b in zip(before, after, strict=True)]
    return label_summary(change, truth, labels, min_positives)


def label_summary(
    figures: Sequence[Figures], truth: np.ndarray, labels: Labels, min_positives: int
) -> tuple[list[dict[str, Any]], Intervals]:
    """Sum up the resampled figures of each label.

    Parameters
    ----------
    figures
        The figures of each label, as `resample` returns them.
    min_positives
        Positives, and negatives, that a label needs to count in the mean.

    Returns
    -------
    rows : list of dict
        For each label its name, concept, positives, known records, figures as [value, low, high], and whether it
        counts in the mean.
    macro : dict
        The mean of each figure over the labels that count, [value, low, high]; empty where none does.
    """
    rows, counted = [], []
    for j, (name, concept) in enumerate(zip(labels.names, labels.concepts, strict=True)):
        positives, negatives = int((truth[:, j] == 1).sum()), int((truth[:, j] == 0).sum())
        row: dict[str, Any] = {"label": name, "concept": concept, "positives": positives}
        row |= {"known": positives + negatives, "auroc": None}
        row |= {k: interval(v) for k, v in figures[j].items()}
        row["in_macro"] = bool(figures[j]) and min(positives, negatives) >= min_positives
        if row["in_macro"]:
            counted.append(figures[j])
        rows.append(row)
    return rows, {k: interval(v) for k, v in mean_figures(counted).items()}


def resample(
    scores: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    seed: int,
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
) -> list[Figures]:
    """The figures of each label in every resample.

    Returns
    -------
    list of dict
        For each label AUROC and average precision and, where `probability` is given, F1, sensitivity and specificity
        at `threshold`; an empty dict for a label without positives or without negatives.
    """
    draws = patient_draws(patients, seed)
    figures: list[Figures] = []
    for j in range(truth.shape[1]):
        known = truth[:, j] >= 0
        positive = truth[known, j] == 1
        if not positive.any() or positive.all():
            figures.append({})
            continue
        blocks = []
        for block in np.array_split(draws, -(-draws.shape[0] * len(positive) // BLOCK)):
            weights = record_weights(block, patients[known])
            blocks.append(ranking_figures(scores[known, j], positive, weights))
            if probability is not None:
                blocks[-1] |= threshold_figures(probability[known, j] >= threshold, positive, weights)
        figures.append({k: np.concatenate([b[k] for b in blocks]) for k in blocks[0]})
    return figures


def mean_figures(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over labels, or over draws of training data, without those that are NaN in a resample."""
    stacked = {k: np.array([f[k] for f in figures]) for k in figures[0]} if figures else {}
    return {k: _share(np.nansum(v, 0), np.isfinite(v).sum(0, dtype=float)) for k, v in stacked.items()}


# --- single figures ---------------------------------------------------------------------------------------------------


def ranking_figures(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> Figures:
    """How well scores rank the positives above the negatives.

    AUROC: the chance that a positive scores higher than a negative, ties counting half. Average precision: precision
    summed over the steps of recall, without interpolation, as in scikit-learn.

    Parameters
    ----------
    scores : (n,)
    positive : bool (n,)
    weights : (draws, n)
        How often each record is drawn.

    Returns
    -------
    dict
        "auroc" and "average_precision", (draws,), NaN in a draw without positives or without negatives.
    """
    order = np.argsort(scores, kind="stable")
    # where each distinct score begins, ascending
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    ranked = weights[:, order]
    positives = np.add.reduceat(ranked * positive[order], first, 1)
    negatives = np.add.reduceat(ranked, first, 1) - positives
    positives, negatives = positives[:, ::-1], negatives[:, ::-1]  # from the highest score down
    true, false = np.cumsum(positives, 1), np.cumsum(negatives, 1)
    wins = (positives * (false[:, -1:] - false + negatives / 2)).sum(1)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    defined = (true[:, -1] > 0) & (false[:, -1] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = wins / (true[:, -1] * false[:, -1])
        average = (positives * precision).sum(1) / true[:, -1]
    return {"auroc": np.where(defined, auroc, np.nan), "average_precision": np.where(defined, average, np.nan)}


def threshold_figures(predicted: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> Figures:
    """How often a yes or no is right.

    Parameters
    ----------
    predicted, positive : bool (n,)
    weights : (draws, n)
        How often each record is drawn.

    Returns
    -------
    dict
        "f1", "sensitivity" and "specificity", (draws,), NaN where a draw does not define one.
    """
    tp, fn, fp, tn = (
        weights @ mask.astype(float)
        for mask in (predicted & positive, ~predicted & positive, predicted & ~positive, ~predicted & ~positive)
    )
    with np.errstate(invalid="ignore"):
        return {"f1": 2 * tp / (2 * tp + fp + fn), "sensitivity": tp / (tp + fn), "specificity": tn / (tn + fp)}


def calibration(probability: np.ndarray, truth: np.ndarray, patients: np.ndarray, seed: int) -> dict[str, Any]:
    """How far probabilities are from observed shares, over all pairs of record and label whose truth is known.

    ECE (Guo et al. 2017): the distance of mean probability from observed share, over bins of equal width, weighted by
    their size.

    Returns
    -------
    dict
        "ece" and "brier" (the Brier score) as [value, low, high], and the "bins" of a reliability plot, without empty
        ones.
    """
    record, _ = np.nonzero(truth >= 0)
    p, y = probability[truth >= 0], truth[truth >= 0]
    people = patients.max() + 1
    cell = patients[record] * BINS + _bin(p)
    draws = patient_draws(patients, seed).astype(float)

    def by_bin(values: np.ndarray) -> np.ndarray:
        """The sum of the pairs' values in each bin, (draws, BINS)."""
        return draws @ np.bincount(cell, values, people * BINS).reshape(people, BINS)

    pairs, predicted, observed, squares = (by_bin(values) for values in (np.ones_like(p), p, y, (p - y) ** 2))
    return {
        "ece": interval(np.abs(predicted - observed).sum(1) / pairs.sum(1)),
        "brier": interval(squares.sum(1) / pairs.sum(1)),
        "bins": [
            {
                "from": b / BINS,
                "to": (b + 1) / BINS,
                "pairs": int(pairs[0, b]),
                "mean_probability": round(predicted[0, b] / pairs[0, b], 4),
                "observed": interval(_share(observed[:, b], pairs[:, b])),
            }
            for b in range(BINS)
            if pairs[0, b]
        ],
    }


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """The ECE, as in `calibration`, of probabilities (n,) with truth 0 or 1 (n,)."""
    which = _bin(probability)
    gaps = np.bincount(which, probability, BINS) - np.bincount(which, truth, BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _bin(probability: np.ndarray) -> np.ndarray:
    """The number of each probability's bin, int of the same shape; a probability of 1 is in the last bin."""
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
