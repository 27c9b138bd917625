"""Linear probe: what a few labels add. A logistic regression on the frozen rhythm vectors, beside the random encoder's.

training cases ─embed─▶ vectors ─a share of them─▶ a logistic regression for each label ─▶ scores of the test cases
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.splits import choose_probe
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import Figures, Labels, label_summary, mean_figures, resample
from ecgclip.evaluate.results import cases_hash, provenance, save
from ecgclip.evaluate.scores import score_columns
from ecgclip.evaluate.truth import (
    cases_to_test,
    choose_labels,
    fold_to_test,
    load_cases,
    patient_numbers,
    truth_table,
    with_a_label,
)
from ecgclip.evaluate.vectors import mean_vectors, random_encoder
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model

SHARES = (0.01, 0.1, 1.0)
C = 0.01  # inverse strength of the L2 penalty on standardised vectors; chosen once, on PTB-XL folds 1–7 against 8


def probe(
    dataset: str,
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int | Sequence[int] | None = None,
    shares: Sequence[float] = SHARES,
    seeds: int = 3,
    min_positives: int = 5,
    labelled: bool = False,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Train a linear probe on each share of the training records, and test it on other patients.

    A figure is the mean over the draws of a share, its interval the bootstrap of that mean by test patient. A label
    without a positive, or a negative, among the drawn records cannot be learnt: its AUROC is 0.5.

    Parameters
    ----------
    path, label_set, out, fold, min_positives, labelled, weights, device
        As of `zeroshot`.
    shares
        Shares of the training records, each in (0, 1].
    seeds
        How often each share is drawn.

    Returns
    -------
    dict
        What `out`/results.json holds; "by_draw" is the macro AUROC of each draw.

    Raises
    ------
    EcgclipError
        As `zeroshot` does, and where no training record is left.
    """
    if bad := [share for share in shares if not 0 < share <= 1]:
        raise EcgclipError(f"a share of {bad[0]:g}: give shares of the training records in (0, 1]")
    model = load_model(weights, device=device)
    fold = fold_to_test(dataset, fold)
    training, test = split(model, dataset, Path(path), fold)
    labels = choose_labels(model, dataset, label_set, [*training, *test], "code")
    if labels.beats:
        raise EcgclipError(f"label set {label_set} is of heartbeats: a probe learns from whole records")
    if labelled:
        training, test = with_a_label(training, labels), with_a_label(test, labels)
    models = [model, random_encoder(model, seed)]
    training_vectors, _, training = mean_vectors(models, training)
    test_vectors, _, test = mean_vectors(models, test)
    training_truth, truth = truth_table(training, labels), truth_table(test, labels)
    task = _Task(
        labels, training_vectors, training_truth, test_vectors, truth, patient_numbers(test), min_positives, seed
    )
    parts = []
    for share in sorted(shares):
        part, scores = _probe_share(task, share, seeds)
        parts.append(part)
    results = {
        "task": "probe",
        "dataset": dataset,
        "label_set": label_set,
        "fold": fold,
        "labelled_only": labelled,
        "records": len(test),
        "patients": int(task.patients.max()) + 1,
        "training_records": len(training),
        "least_positives": min_positives,
        "penalty_c": C,
        **provenance(weights, test, seed),
        "training_data_sha256": cases_hash(training),
        **{k: parts[-1][k] for k in ("macro", "random_encoder", "labels")},
        "shares": parts,
    }
    return save(out, results, score_columns(test, Path(path), labels, truth, scores))


@dataclass(frozen=True, eq=False)
class _Task:
    """What probes are trained and tested on; vectors (records, dim) by the model and by the random encoder."""

    labels: Labels
    training_vectors: Sequence[np.ndarray]
    training_truth: np.ndarray  # int8 (records, labels), 1, 0 or -1
    test_vectors: Sequence[np.ndarray]
    truth: np.ndarray  # of the test records
    patients: np.ndarray  # int (test records,)
    min_positives: int
    seed: int


def _probe_share(task: _Task, share: float, seeds: int) -> tuple[dict[str, Any], np.ndarray]:
    """The results of one share, and the model's scores (test records, labels), the mean over the draws."""
    draws = draw(len(task.training_truth), share, seeds, task.seed)
    scores = [
        [fit(training[d], task.training_truth[d], test) for d in draws]
        for training, test in zip(task.training_vectors, task.test_vectors, strict=True)
    ]
    figures, random_figures = (
        [resample(s, task.truth, task.patients, task.seed) for s in by_draw] for by_draw in scores
    )
    rows, macro = _summary(task, figures)
    for j, row in enumerate(rows):
        row["training_positives"] = round(float(np.mean([(task.training_truth[d, j] == 1).sum() for d in draws])), 1)
    part = {
        "share": share,
        "training_records": len(draws[0]),
        "draws": len(draws),
        "macro": {"auroc": None, **macro},
        "by_draw": [_macro_auroc(task, each) for each in figures],
        "random_encoder": {"auroc": None, **_summary(task, random_figures)[1]},
        "labels": rows,
    }
    return part, np.mean(scores[0], 0)


def _summary(task: _Task, by_draw: Sequence[list[Figures]]) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """The figures of each label in each draw → `label_summary` of their mean over the draws."""
    means = [mean_figures(label) for label in zip(*by_draw, strict=True)]
    return label_summary(means, task.truth, task.labels, task.min_positives)


def _macro_auroc(task: _Task, figures: list[Figures]) -> float | None:
    """The macro AUROC of one draw; None where no label has enough positives."""
    macro = label_summary(figures, task.truth, task.labels, task.min_positives)[1]
    return macro["auroc"][0] if "auroc" in macro else None


def split(model: ECGCLIP, dataset: str, path: Path, fold: int | Sequence[int] | None) -> tuple[list[Case], list[Case]]:
    """Training and test cases, no patient in both (`splits.choose_probe`). Raises EcgclipError where one is empty."""
    training, test = choose_probe(dataset, load_cases(model, dataset, path), cases_to_test(model, dataset, path, fold))
    if not training or not test:
        raise EcgclipError(f"{path}: no patients of {dataset} to {'train' if test else 'test'} on")
    return training, test


def draw(records: int, share: float, seeds: int, seed: int) -> list[np.ndarray]:
    """Draw a share of the records.

    Returns
    -------
    list of arrays
        For each of `seeds` draws int (n,), which of the `records` it holds. The smaller share is part of the larger
        one of the same draw. All records make one draw only.
    """
    count = max(1, round(share * records))
    draws = [np.random.default_rng([seed, i]).permutation(records)[:count] for i in range(seeds)]
    return draws[:1] if count == records else draws


def fit(training: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Train one logistic regression a label, and score the test records.

    Parameters
    ----------
    training : float (n, dim)
        The vectors of the training records.
    truth : int8 (n, labels)
        1 present, 0 absent, -1 unknown: not trained on.
    test : float (m, dim)

    Returns
    -------
    float (m, labels)
        Log odds; 0 for a label that has no positive or no negative.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise EcgclipError('a probe needs scikit-learn: pip install "ecgclip[eval]"') from None
    scale = StandardScaler().fit(training)
    x, x_test = scale.transform(training), scale.transform(test)
    scores = np.zeros((len(test), truth.shape[1]))
    for j in range(truth.shape[1]):
        known = truth[:, j] >= 0
        if len(np.unique(truth[known, j])) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression = LogisticRegression(C=C, max_iter=300).fit(x[known], truth[known, j])
        scores[:, j] = regression.decision_function(x_test)
    return scores
