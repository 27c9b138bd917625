"""Descriptions against cardiologists: how many of their statements agree, beside those of the nearest training ECG."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS, data_set
from ecgclip.data.splits import load, trained_sources
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.bootstrap import interval, patient_draws, record_weights
from ecgclip.evaluate.results import cases_hash, provenance, save
from ecgclip.evaluate.truth import cases_to_test, patient_numbers
from ecgclip.evaluate.vectors import embed_cases
from ecgclip.explain.sentences import stated_concepts
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding
from ecgclip.model.store import load_model

RATES = ("precision", "recall", "f1")


def description(
    dataset: str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    fold: int,
    min_positives: int = 5,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Precision and recall of the statements of `describe`, on a fold of an annotated data set such as PTB-XL.

    Beside the description stands a baseline: the annotation of the nearest ECG, by cosine, of the model's training
    folds, without the patients of the fold under test. Statements are compared over all concepts that the data set
    annotates in these records, on both sides with all broader ones: "inferior infarct" also says infarct, as PTB-XL's
    superclasses do. A statement of a concept that the record's annotation leaves open counts neither as right nor as
    wrong.

    Parameters
    ----------
    path
        Folder of the data set, training folds included.
    min_positives
        Records that a concept needs to count in the macro average.
    out, weights, device
        As of `zeroshot`.

    Returns
    -------
    dict
        What `out`/results.json holds.

    Raises
    ------
    EcgclipError
        For a data set without training folds, or where none of their records is there.
    """
    measured_on = [name for name, row in DATA_SETS.items() if row.main and row.folds]
    if dataset not in measured_on:
        names = " or ".join(measured_on)
        raise EcgclipError(f"descriptions are measured on a fold of {names} beside its other folds, not on {dataset!r}")
    model = load_model(weights, device=device)
    test = cases_to_test(model, dataset, Path(path), fold)
    training = training_cases(model, dataset, Path(path), fold, {c.patient for c in test})
    embeddings, test = embed_cases(model, test)
    nearest = nearest_cases(embeddings, *embed_cases(model, training))
    scored = model.score(embeddings, model.prompts(None))
    stated: dict[str, list[Collection[str]]] = {
        "description": [stated_concepts(model, result, model.config.threshold).keys() for result in scored],
        "neighbour": [case.annotated for case in nearest],
    }
    vocabulary = sorted(set().union(*(c.annotated for c in [*test, *training])))
    truth = statement_truth(model.kb, test, vocabulary)
    counts = {
        method: statement_counts(statement_table(model.kb, statements, vocabulary), truth)
        for method, statements in stated.items()
    }
    patients = patient_numbers(test)
    results = {
        "task": "describe",
        "dataset": dataset,
        "fold": fold,
        "threshold": model.config.threshold,
        "records": len(test),
        "training_records": len(training),
        "least_positives": min_positives,
        **provenance(weights, test, seed),
        "training_data_sha256": cases_hash(training),
        "methods": {
            method: statement_rates(counts[method], patients, min_positives, seed)
            | {"not_judged": _not_judged(model.kb, stated[method], vocabulary)}
            for method in stated
        },
        "statements": [
            {"concept": concept, "positives": int((truth[:, j] == 1).sum())}
            | {method: _concept_rates(table[:, :, j].sum(1)) for method, table in counts.items()}
            for j, concept in enumerate(vocabulary)
        ],
    }
    return save(out, results)


def training_cases(model: ECGCLIP, dataset: str, path: Path, fold: int, patients: Collection[str]) -> list[Case]:
    """The records of the model's training and validation folds, without those of `fold` and of these patients.

    Raises EcgclipError where there is none.
    """
    trained = trained_sources(model.config.training).get(dataset, {})
    folds = trained.get("folds", data_set(dataset).training_folds)
    cases = load(dataset, path, model.kb, [f for f in folds if f != fold])
    cases = [c for c in cases if c.patient not in patients]
    if not cases:
        raise EcgclipError(f"{path}: no records of the training folds {', '.join(map(str, folds))} for the baseline")
    return cases


def nearest_cases(embeddings: Sequence[Embedding], others: Sequence[Embedding], cases: Sequence[Case]) -> list[Case]:
    """For each embedding the case, of those that belong to `others`, whose vector is the most similar."""
    queries, candidates = (np.stack([e.vector for e in part]) for part in (embeddings, others))
    return [cases[i] for i in (queries @ candidates.T).argmax(1)]


# --- statements -------------------------------------------------------------------------------------------------------


def statement_table(kb: KnowledgeBase, stated: Sequence[Collection[str]], vocabulary: Sequence[str]) -> np.ndarray:
    """Concepts stated of each record, and all broader ones → bool (records, vocabulary)."""
    with_broader = [{a for c in concepts for a in {c} | kb.ancestors(c)} for concepts in stated]
    return np.array([[c in row for c in vocabulary] for row in with_broader], bool).reshape(
        len(stated), len(vocabulary)
    )


def statement_truth(kb: KnowledgeBase, cases: Sequence[Case], vocabulary: Sequence[str]) -> np.ndarray:
    """int8 (cases, vocabulary): 1 annotated or broader than something annotated, 0 known to be absent, -1 unknown."""
    present = statement_table(kb, [c.annotated for c in cases], vocabulary)
    absent = np.array([[case.statements.get(c) is False for c in vocabulary] for case in cases], bool)
    return np.where(present, 1, np.where(absent, 0, -1)).astype(np.int8)


def statement_counts(stated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which statements are right, wrong and missing.

    Parameters
    ----------
    stated : bool (records, vocabulary)
    truth : int8 (records, vocabulary)
        1 present, 0 absent, -1 unknown.

    Returns
    -------
    bool (3, records, vocabulary)
    """
    return np.stack([stated & (truth == 1), stated & (truth == 0), ~stated & (truth == 1)])


def rates(counts: np.ndarray) -> np.ndarray:
    """Right, wrong and missing statements, numbers (3, …) → precision, recall and F1, (3, …); 0 where undefined."""
    right, wrong, missing = np.asarray(counts, float)
    shares = [(right, right + wrong), (right, right + missing), (2 * right, 2 * right + wrong + missing)]
    return np.stack([np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in shares])


def statement_rates(counts: np.ndarray, patients: np.ndarray, min_positives: int, seed: int) -> dict[str, Any]:
    """Precision, recall and F1, with intervals by patient.

    Parameters
    ----------
    counts : bool (3, records, vocabulary)
        As `statement_counts` returns them.
    patients : int (records,)
        0, 1, 2 …
    min_positives
        Records that a concept needs to count in the macro average.

    Returns
    -------
    dict
        "micro", over all statements, and "macro", the mean over the concepts that count, each [value, low, high] by
        name; "macro" is None where no concept counts.
    """
    weights = record_weights(patient_draws(patients, seed), patients)
    drawn = np.stack([weights @ part.astype(float) for part in counts])  # (3, draws, vocabulary)
    right, _, missing = drawn[:, 0]
    frequent = right + missing >= min_positives

    def intervals(figures: np.ndarray) -> dict[str, list[float]]:
        return {name: interval(figure) for name, figure in zip(RATES, figures, strict=True)}

    macro = intervals(rates(drawn[:, :, frequent]).mean(2)) if frequent.any() else None
    return {"micro": intervals(rates(drawn.sum(2))), "macro": macro}


def _not_judged(kb: KnowledgeBase, stated: Sequence[Collection[str]], vocabulary: Sequence[str]) -> int:
    """How many statements are neither right nor wrong, as the data set annotates neither them nor anything broader."""
    words = set(vocabulary)
    return sum(not ({c} | kb.ancestors(c)) & words for concepts in stated for c in concepts)


def _concept_rates(counts: np.ndarray) -> dict[str, Any]:
    """Numbers (3,) of right, wrong and missing statements of one concept → a row's figures."""
    precision, recall, _ = rates(counts)
    return {
        "predicted": int(counts[:2].sum()),
        "precision": round(float(precision), 4),
        "recall": round(float(recall), 4),
    }
