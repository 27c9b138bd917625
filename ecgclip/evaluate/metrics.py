"""Figures of multi-label scores with 95 % bootstrap intervals by patient. Entry points: `label_table`, `calibration`, `difference`.

Shapes: scores and probability float (records, labels); truth int8 (records, labels), 1 present, 0 absent, -1 unknown;
patients int (records,), 0, 1, 2 … A resample draws as many patients as there are, with replacement: two records of one
patient are no independent evidence. It appears as weights (draws, records), how often each record was drawn; row 0 of
`patient_draws` is the data as they are, so that column 0 of every resampled figure is its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 1000
BINS = 10  # of probability, in calibration
BLOCK = 4_000_000  # weights held at once
Figures = dict[str, np.ndarray]  # name → (1 + RESAMPLES,)


@dataclass(frozen=True)
class Labels:
    """Names typed by a user, the concepts whose truth they are scored on, and ids to fix the meaning of a code."""

    names: list[str]
    concepts: list[str]
    fixed: dict[str, str]
    classes: tuple[str, ...] = ()  # PTB-XL's subclasses, where truth goes by those and not by the concepts
    beats: tuple[frozenset[str], ...] = ()  # kinds of beat that each label stands for, where every heartbeat is scored


def patient_draws(patients: np.ndarray, seed: int) -> np.ndarray:
    """int16 (1 + RESAMPLES, people): how often each patient is drawn, after a first row of ones."""
    people = patients.max() + 1
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    return np.vstack([np.ones((1, people)), draws]).astype(np.int16)


def interval(figure: np.ndarray) -> list[float]:
    """(1 + RESAMPLES,) → [value, low, high]."""
    return [round(float(v), 4) for v in (figure[0], *np.nanquantile(figure[1:], [0.025, 0.975]))]


def resample(
    scores: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    seed: int,
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
) -> list[Figures]:
    """For each label its AUROC and average precision and, where `probability` is given, F1, sensitivity and specificity
    of calling what is at least `threshold`; an empty dict for a label without positives or negatives."""
    draws = patient_draws(patients, seed)
    out: list[Figures] = []
    for j in range(truth.shape[1]):
        known = truth[:, j] >= 0
        y, s = truth[known, j] == 1, scores[known, j]
        if not y.any() or y.all():
            out.append({})
            continue
        parts = []
        for block in np.array_split(draws, -(-draws.shape[0] * len(y) // BLOCK)):
            weights = block[:, patients[known]].astype(float)
            parts.append(ranking_figures(s, y, weights))
            if probability is not None:
                parts[-1] |= threshold_figures(probability[known, j] >= threshold, y, weights)
        out.append({k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
    return out


def label_table(
    scores: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    labels: Labels,
    least: int,
    seed: int,
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """`label_summary` of the scores; with `probability` also each label's ECE and Brier score."""
    figures = resample(scores, truth, patients, seed, probability, threshold)
    rows, macro = label_summary(figures, truth, labels, least)
    if probability is None:
        return rows, macro
    for j, row in enumerate(rows):
        known = truth[:, j] >= 0
        if known.any():
            p, y = probability[known, j], truth[known, j]
            row |= {"ece": round(expected_calibration_error(p, y), 4), "brier": round(float(((p - y) ** 2).mean()), 4)}
    return rows, macro


def label_summary(
    figures: Sequence[Figures], truth: np.ndarray, labels: Labels, least: int
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """A label's figures each → a row for each, and the macro; every figure as [value, low, high].

    Macro: the mean over the labels with at least `least` positives and negatives; empty where there is none.
    """
    rows, counted = [], []
    for j, (name, concept) in enumerate(zip(labels.names, labels.concepts, strict=True)):
        positives, negatives = int((truth[:, j] == 1).sum()), int((truth[:, j] == 0).sum())
        row: dict[str, Any] = {"label": name, "concept": concept, "positives": positives}
        row |= {"known": positives + negatives, "auroc": None}
        row |= {k: interval(v) for k, v in figures[j].items()}
        row["in_macro"] = bool(figures[j]) and min(positives, negatives) >= least
        if row["in_macro"]:
            counted.append(figures[j])
        rows.append(row)
    return rows, {k: interval(v) for k, v in mean_figures(counted).items()}


def mean_figures(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over labels or draws of training data; a resample that left one undefined does without it."""
    stacked = {k: np.array([f[k] for f in figures]) for k in figures[0]} if figures else {}
    return {k: _share(np.nansum(v, 0), np.isfinite(v).sum(0, dtype=float)) for k, v in stacked.items()}


def auroc_table(
    scores: np.ndarray, truth: np.ndarray, patients: np.ndarray, labels: Labels, least: int, seed: int
) -> tuple[list[dict[str, Any]], list[float] | None]:
    """`label_table` for those who need no more than the macro AUROC."""
    rows, macro = label_table(scores, truth, patients, labels, least, seed)
    return rows, macro.get("auroc")


def difference(
    one: np.ndarray, other: np.ndarray, truth: np.ndarray, patients: np.ndarray, labels: Labels, least: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """`label_table` of other less one, both scored on the same resamples: a paired comparison."""
    first, second = (resample(scores, truth, patients, seed) for scores in (one, other))
    change = [{k: b[k] - a[k] for k in a} for a, b in zip(first, second, strict=True)]
    return label_summary(change, truth, labels, least)


# --- single figures ---------------------------------------------------------------------------------------------------


def ranking_figures(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> Figures:
    """scores (n,), positive bool (n,), weights (draws, n) → AUROC and average precision, NaN in a draw without both kinds.

    AUROC: the chance that a positive scores higher than a negative, ties counting half. Average precision: precision
    summed over the steps of recall, without interpolation, as in scikit-learn.
    """
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # of each distinct score, ascending
    ranked = weights[:, order]
    up = np.add.reduceat(ranked * positive[order], first, 1)
    down = np.add.reduceat(ranked, first, 1) - up
    found, false = np.cumsum(up[:, ::-1], 1), np.cumsum(down[:, ::-1], 1)
    wins = (up[:, ::-1] * (false[:, -1:] - false + down[:, ::-1] / 2)).sum(1)
    precision = np.divide(found, found + false, out=np.zeros_like(found), where=found > 0)
    both = (found[:, -1] > 0) & (false[:, -1] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = wins / (found[:, -1] * false[:, -1])
        average = (up[:, ::-1] * precision).sum(1) / found[:, -1]
    return {"auroc": np.where(both, auroc, np.nan), "average_precision": np.where(both, average, np.nan)}


def threshold_figures(said: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> Figures:
    """said, positive bool (n,), weights (draws, n) → F1, sensitivity, specificity (draws,), NaN where nothing defines one."""
    right, missed, wrong, rest = (
        weights @ mask.astype(float)
        for mask in (said & positive, ~said & positive, said & ~positive, ~said & ~positive)
    )
    with np.errstate(invalid="ignore"):
        return {
            "f1": 2 * right / (2 * right + wrong + missed),
            "sensitivity": right / (right + missed),
            "specificity": rest / (rest + wrong),
        }


def calibration(probability: np.ndarray, truth: np.ndarray, patients: np.ndarray, seed: int) -> dict[str, Any]:
    """Over all known pairs of record and label: ECE and Brier score [value, low, high], and the bins of a reliability plot.

    ECE (Guo et al. 2017): the distance of mean probability from observed share, over equal-width bins, weighted by size.
    """
    row, _ = np.nonzero(truth >= 0)
    p, y = probability[truth >= 0], truth[truth >= 0]
    people = patients.max() + 1
    cell = patients[row] * BINS + np.minimum((p * BINS).astype(int), BINS - 1)

    def by_patient(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, values, people * BINS).reshape(people, BINS)

    draws = patient_draws(patients, seed).astype(float)
    count, said, true, square = (draws @ by_patient(v) for v in (np.ones_like(p), p, y, (p - y) ** 2))
    pairs = count.sum(1)
    return {
        "ece": interval(np.abs(said - true).sum(1) / pairs),
        "brier": interval(square.sum(1) / pairs),
        "bins": [
            {
                "from": b / BINS,
                "to": (b + 1) / BINS,
                "pairs": int(count[0, b]),
                "mean_probability": round(said[0, b] / count[0, b], 4),
                "observed": interval(_share(true[:, b], count[:, b])),
            }
            for b in range(BINS)
            if count[0, b]
        ],
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray, bins: int = BINS) -> float:
    """probability (n,), truth 0 or 1 (n,) → ECE, as in `calibration`."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(which, probability, bins) - np.bincount(which, truth, bins)
    return float(np.abs(gaps).sum() / len(truth))
