"""How many statements of a description cardiologists wrote too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS, data_set
from ecgclip.data.splits import load, trained_sources
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import RESAMPLES
from ecgclip.evaluate.results import cases_hash, provenance, save
from ecgclip.evaluate.truth import cases_to_test, patient_numbers
from ecgclip.evaluate.vectors import embed_cases
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding
from ecgclip.model.store import load_model


def description(
    dataset: str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    fold: int,
    least: int = 5,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How many statements of `describe` a fold's cardiologists wrote too, and how many of theirs it has; into `out`/results.json.

    Beside the description stands a baseline: the annotation of the nearest ECG (by cosine) among those of the model's training
    folds in the same folder, without the patients of the fold under test. Statements are compared over all that the data set annotates in these records, and on
    both sides with all that is broader in it: "inferior infarct" also says infarct, as PTB-XL's superclasses do. Where a
    record's annotation leaves a statement open, saying it counts neither way. least: positives for the macro average.
    Raises EcgclipError where the data set has no folds, or there is no training ECG.
    """
    from ecgclip.explain.sentences import say

    measured_on = [name for name, row in DATA_SETS.items() if row.main and row.folds]
    if dataset not in measured_on:
        names = " or ".join(measured_on)
        raise EcgclipError(f"descriptions are measured on a fold of {names} beside its other folds, not on {dataset!r}")
    model = load_model(weights)
    kb = model.kb
    test = cases_to_test(model, dataset, Path(path), fold)
    training = _training_cases(model, dataset, Path(path), fold, {c.patient for c in test})
    embeddings, test = embed_cases(model, test)
    nearest = _nearest(embeddings, *embed_cases(model, training))
    said: dict[str, list[Collection[str]]] = {
        "description": [say(model, e, model.config.threshold).keys() for e in embeddings],
        "neighbour": [case.annotated for case in nearest],
    }
    vocabulary = sorted(set().union(*(c.annotated for c in [*test, *training])))
    truth = statement_truth(kb, test, vocabulary)
    counts = {k: statement_counts(statement_table(kb, v, vocabulary), truth) for k, v in said.items()}
    patients = patient_numbers(test)
    known = set(vocabulary)
    results = {
        "task": "describe",
        "dataset": dataset,
        "fold": fold,
        "threshold": model.config.threshold,
        "records": len(test),
        "training_records": len(training),
        "least_positives": least,
        **provenance(weights, test, seed),
        "training_data_sha256": cases_hash(training),
        "methods": {
            name: statement_rates(table, patients, least, seed)
            # said, but the data set has no word for it: neither right nor wrong
            | {"not_judged": sum(not ({c} | kb.ancestors(c)) & known for row in said[name] for c in row)}
            for name, table in counts.items()
        },
        "statements": [
            {"concept": concept, "positives": int((truth[:, j] == 1).sum())}
            | {name: _row(table[:, :, j].sum(1)) for name, table in counts.items()}
            for j, concept in enumerate(vocabulary)
        ],
    }
    return save(out, results)


def _training_cases(model: ECGCLIP, dataset: str, path: Path, fold: int, patients: Collection[str]) -> list[Case]:
    """The records of the folds that the model was trained on (validation patients too), none of these patients among them."""
    record = trained_sources(model.config.training).get(dataset, {})
    trained = record.get("folds", data_set(dataset).training_folds)
    cases = load(dataset, path, model.kb, [f for f in trained if f != fold])
    cases = [c for c in cases if c.patient not in patients]
    if not cases:
        raise EcgclipError(f"{path}: no records of the training folds {', '.join(map(str, trained))} for the baseline")
    return cases


def _nearest(embeddings: Sequence[Embedding], others: Sequence[Embedding], cases: Sequence[Case]) -> list[Case]:
    """For each embedding the case whose ECG has the most similar vector."""
    ours, theirs = (np.stack([e.vector for e in x]) for x in (embeddings, others))
    return [cases[i] for i in (ours @ theirs.T).argmax(1)]


def statement_table(kb: KnowledgeBase, said: Sequence[Collection[str]], vocabulary: Sequence[str]) -> np.ndarray:
    """Concepts said of each record → bool (records, vocabulary), with what is broader."""
    whole = [{a for c in concepts for a in {c} | kb.ancestors(c)} for concepts in said]
    return np.array([[c in row for c in vocabulary] for row in whole], bool).reshape(len(said), len(vocabulary))


def statement_truth(kb: KnowledgeBase, cases: Sequence[Case], vocabulary: Sequence[str]) -> np.ndarray:
    """int8 (cases, vocabulary): 1 annotated or broader than something annotated, 0 known to be absent, -1 unknown."""
    present = statement_table(kb, [c.annotated for c in cases], vocabulary)
    absent = np.array([[case.statements.get(c) is False for c in vocabulary] for case in cases], bool)
    return np.where(present, 1, np.where(absent, 0, -1)).astype(np.int8)


def statement_counts(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """said bool, truth 1, 0, -1 (records, vocabulary) → bool (3, records, vocabulary): rightly, wrongly, wrongly not said."""
    return np.stack([said & (truth == 1), said & (truth == 0), ~said & (truth == 1)])


def rates(counts: np.ndarray) -> np.ndarray:
    """counts (3, …) rightly, wrongly, wrongly not said → (3, …) precision, recall, F1; 0 where nothing was said or is true."""
    right, wrong, missed = np.asarray(counts, float)
    shares = [(right, right + wrong), (right, right + missed), (2 * right, 2 * right + wrong + missed)]
    return np.stack([np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in shares])


def statement_rates(counts: np.ndarray, patients: np.ndarray, least: int, seed: int) -> dict[str, Any]:
    """counts (3, records, vocabulary), patients (records,) → micro and macro precision, recall and F1, each [value, low, high].

    Macro: the mean over the statements with at least `least` positives; None where there is none.
    """
    people = patients.max() + 1
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    once = counts.sum(1, dtype=float)  # (3, vocabulary)
    drawn = np.stack([draws[:, patients] @ c.astype(float) for c in counts])  # (3, draws, vocabulary)
    often = once[0] + once[2] >= least

    def interval(value: np.ndarray, resampled: np.ndarray) -> dict[str, list[float]]:
        low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
        names = ("precision", "recall", "f1")
        return {n: [round(float(x[i]), 4) for x in (value, low, high)] for i, n in enumerate(names)}

    macro = interval(rates(once[:, often]).mean(1), rates(drawn[:, :, often]).mean(2)) if often.any() else None
    return {"micro": interval(rates(once.sum(1)), rates(drawn.sum(2))), "macro": macro}


def _row(counts: np.ndarray) -> dict[str, Any]:
    """counts (3,) of one statement → how often it was said where that can be judged, with what precision and recall."""
    precision, recall, _ = rates(counts)
    return {
        "predicted": int(counts[:2].sum()),
        "precision": round(float(precision), 4),
        "recall": round(float(recall), 4),
    }
