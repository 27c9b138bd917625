"""Linear probe: how much a few labels add. A logistic regression on the frozen rhythm vectors, beside the random encoder's.

training cases ─embed─▶ vectors ─a share of them─▶ one logistic regression a label ─▶ scores of the test cases ─▶ metrics
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import data_set
from ecgclip.data.splits import choose_probe
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.compare import scores_file
from ecgclip.evaluate.metrics import label_summary, mean_figures, resample
from ecgclip.evaluate.results import cases_hash, provenance, save
from ecgclip.evaluate.truth import cases_to_test, choose_labels, load_cases, patient_numbers, truth_table, with_a_label
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
    least: int = 5,
    labelled: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Train on each of `shares` of the training records, drawn `seeds` times, and test; write results into `out`.

    A figure is the mean over the draws, its interval the bootstrap by test patient of that mean; `by_draw` holds the macro
    AUROC of each. A label without a positive (or negative) among the drawn records cannot be learnt: it scores 0.5.
    Raises EcgclipError as `zeroshot` does, and where no training record is left.
    """
    if bad := [share for share in shares if not 0 < share <= 1]:
        raise EcgclipError(f"a share of {bad[0]:g}: give shares of the training records in (0, 1]")
    model = load_model(weights)
    fold = data_set(dataset).published_fold if fold is None else fold
    training, test = split(model, dataset, Path(path), fold)
    labels = choose_labels(model, dataset, label_set, [*training, *test], "code")
    if labels.beats:
        raise EcgclipError(f"label set {label_set} is of heartbeats: a probe learns from whole records")
    if labelled:
        training, test = with_a_label(training, labels), with_a_label(test, labels)
    models = [model, random_encoder(model, seed)]
    known, training = mean_vectors(models, training)
    asked, test = mean_vectors(models, test)
    given, truth, patients = truth_table(training, labels), truth_table(test, labels), patient_numbers(test)
    parts, best = [], np.zeros(truth.shape)
    for share in sorted(shares):
        draws = draw(len(training), share, seeds, seed)
        scores = [[fit(x[d], given[d], y) for d in draws] for x, y in zip(known, asked, strict=True)]
        figures = [[resample(s, truth, patients, seed) for s in each] for each in scores]
        ours, random = ([mean_figures(label) for label in zip(*each, strict=True)] for each in figures)
        rows, macro = label_summary(ours, truth, labels, least)
        drawn = [label_summary(f, truth, labels, least)[1].get("auroc") for f in figures[0]]
        for j, row in enumerate(rows):
            row["training_positives"] = round(float(np.mean([(given[d, j] == 1).sum() for d in draws])), 1)
        parts.append(
            {
                "share": share,
                "training_records": len(draws[0]),
                "draws": len(draws),
                "macro": {"auroc": None, **macro},
                "by_draw": [value and value[0] for value in drawn],
                "random_encoder": {"auroc": None, **label_summary(random, truth, labels, least)[1]},
                "labels": rows,
            }
        )
        best = np.mean(scores[0], 0)
    results = {
        "task": "probe",
        "dataset": dataset,
        "label_set": label_set,
        "fold": fold,
        "labelled_only": labelled,
        "records": len(test),
        "patients": int(patients.max()) + 1,
        "training_records": len(training),
        "least_positives": least,
        "penalty_c": C,
        **provenance(weights, test, seed),
        "training_data_sha256": cases_hash(training),
        **{k: parts[-1][k] for k in ("macro", "random_encoder", "labels")},
        "shares": parts,
    }
    return save(out, results, scores_file(test, Path(path), labels, truth, best))


def split(model: ECGCLIP, dataset: str, path: Path, fold: int | Sequence[int] | None) -> tuple[list[Case], list[Case]]:
    """→ training and test cases, no patient in both (splits.choose_probe)."""
    training, test = choose_probe(dataset, load_cases(model, dataset, path), cases_to_test(model, dataset, path, fold))
    if not training or not test:
        raise EcgclipError(f"{path}: no patients of {dataset} to {'train' if test else 'test'} on")
    return training, test


def draw(records: int, share: float, seeds: int, seed: int) -> list[np.ndarray]:
    """The records of each draw; a smaller share of one seed is part of the larger, and all records are drawn once."""
    count = max(1, round(share * records))
    draws = [np.random.default_rng([seed, i]).permutation(records)[:count] for i in range(seeds)]
    return draws[:1] if count == records else draws


def fit(vectors: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Training vectors (n, dim) with truth 1, 0, -1 (n, labels), test vectors (m, dim) → scores (m, labels), log odds."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise EcgclipError('a probe needs scikit-learn: pip install "ecgclip[eval]"') from None
    scale = StandardScaler().fit(vectors)
    x, y = scale.transform(vectors), scale.transform(asked)
    scores = np.zeros((len(asked), truth.shape[1]))
    for j in range(truth.shape[1]):
        known = truth[:, j] >= 0
        if len(np.unique(truth[known, j])) == 2:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                scores[:, j] = LogisticRegression(C=C, max_iter=300).fit(x[known], truth[known, j]).decision_function(y)
    return scores
