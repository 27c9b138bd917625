"""Zero-shot evaluation: the figures of each label of a set with 95 % intervals, beside a random encoder.

cases ─embed (as a user does)─▶ similarities to the prompts ─▶ metrics, intervals by patient ─▶ results.json, .md, .png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.evaluate.groups import subgroups, worst_groups
from ecgclip.evaluate.metrics import Labels, calibration, label_table
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.scores import score_columns
from ecgclip.evaluate.truth import (
    NAMINGS,
    cases_to_test,
    choose_labels,
    fold_to_test,
    patient_numbers,
    source_trained,
    truth_table,
    with_a_label,
)
from ecgclip.evaluate.vectors import beat_vectors, mean_vectors, random_encoder
from ecgclip.knowledge.criteria import Judge, Readings
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import Prompt, combine, leaf_vectors
from ecgclip.model.store import load_model


def zeroshot(
    dataset: str,
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int | Sequence[int] | None = None,
    naming: str = "code",
    enrich: bool = True,
    leads: Sequence[str] | None = None,
    min_positives: int = 5,
    labelled: bool = False,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Score the test records of a data set on a label set.

    Parameters
    ----------
    path
        Folder of the data set.
    label_set
        A name out of prompts/label_sets/, or "annotated": all conditions that the data set names.
    out
        Folder to write to; None: nothing is written.
    fold
        The fold or folds to test on; None: the published test fold.
    naming
        How the labels are named: "code", or by their English or German names, "en" or "de".
    enrich
        Ask with the passages of the knowledge base; False: with the bare label.
    leads
        Only these are shown to the model; None: all.
    min_positives
        A label with fewer positives, or negatives, is listed but does not count in the macro average.
    labelled
        Leave out the records without a label of the set, as the published splits of PTB-XL do (Strodthoff et al.
        2021; MERL, Liu et al. 2024).
    weights
        Folder or Hugging Face repo id of the model; None: the shipped one.
    device
        Where the encoders run, as of `load_model`.

    Returns
    -------
    dict
        What `out`/results.json holds.

    Raises
    ------
    EcgclipError
        For a data set or label set that is not there, or one without a usable label.
    """
    _check(naming, leads)
    model = load_model(weights, device=device)
    fold = fold_to_test(dataset, fold)
    cases = cases_to_test(model, dataset, Path(path), fold)
    labels = choose_labels(model, dataset, label_set, cases, naming)
    if labelled:
        cases = with_a_label(cases, labels)
    prompts = [model.prompt(n, enrich, labels.fixed.get(n)) for n in labels.names]
    annotated_beats = sum(len(case.beats) for case in cases)
    models = [model, random_encoder(model, seed)]
    readings: Readings | None = None  # the criteria are of a record, not of a heartbeat
    if labels.beats:
        vectors, cases = beat_vectors(models, cases, leads)
    else:
        vectors, readings, cases = mean_vectors(models, cases, leads)
    truth = truth_table(cases, labels)
    if not (truth >= 0).any():
        raise EcgclipError(f"label set {label_set}: the data set {dataset} says nothing of any of its labels")
    scored = _Scored(cases, labels, truth, patient_numbers(cases), *_scores(model, prompts, readings, *vectors))
    results = {
        "task": "zeroshot",
        "dataset": dataset,
        "label_set": label_set,
        "fold": fold,
        "naming": naming,
        "enriched": enrich,
        "leads": list(leads or LEADS),
        "labelled_only": labelled,
        "source_trained": source_trained(model, dataset),
        "records": len({c.path for c in cases}) if labels.beats else len(cases),
        **({"beats": {"annotated": annotated_beats, "scored": len(cases)}} if labels.beats else {}),
        "patients": int(scored.patients.max()) + 1,
        "least_positives": min_positives,
        "threshold": model.config.threshold,
        **provenance(weights, cases, seed),
        **_figures(model, scored, min_positives, seed),
    }
    return save(out, results, score_columns(cases, Path(path), labels, truth, scored.probability, scored.probability))


def _check(naming: str, leads: Sequence[str] | None) -> None:
    """Raises EcgclipError for a naming or a lead that does not exist."""
    if naming not in NAMINGS:
        raise EcgclipError(f"naming {naming!r} is none of {', '.join(NAMINGS)}")
    if unknown := set(leads or ()) - set(LEADS):
        raise EcgclipError(f"unknown lead {sorted(unknown)[0]!r}; leads are {', '.join(LEADS)}")


@dataclass(frozen=True, eq=False)
class _Scored:
    """The records (or heartbeats) that were scored; arrays (records, labels), patients (records,)."""

    cases: list[Case]
    labels: Labels
    truth: np.ndarray
    patients: np.ndarray
    probability: np.ndarray
    vector: np.ndarray  # the probability by the vector alone
    criteria: np.ndarray  # by the criteria alone; NaN where none can be measured
    random_similarity: np.ndarray  # by the random encoder


def _scores(
    model: ECGCLIP,
    prompts: Sequence[Prompt],
    readings: Readings | None,
    vectors: np.ndarray,
    random_vectors: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """The last four fields of `_Scored`; vectors (records, dim) of the model and of the random encoder."""
    by = model.probabilities(vectors, prompts, Judge(readings, model.kb.concepts) if readings else None)
    random_similarity = combine(prompts, random_vectors @ leaf_vectors(prompts).T, whole=0)
    return by.both, by.vector, by.criteria, random_similarity


def _figures(model: ECGCLIP, scored: _Scored, min_positives: int, seed: int) -> dict[str, Any]:
    """The part of the results that comes from the scores."""
    truth, patients, labels = scored.truth, scored.patients, scored.labels

    def macro_of(score: np.ndarray) -> dict[str, Any]:
        return {"auroc": None, **label_table(score, truth, patients, labels, min_positives, seed)[1]}

    table = scored.probability, truth, patients, labels, min_positives, seed
    rows, macro = label_table(*table, scored.probability, model.config.threshold)
    trained = model.config.training.get("concepts")
    for row in rows:
        row["trained"] = None if trained is None else row["concept"] in trained
    calibrated = calibration(scored.probability, truth, patients, seed)
    groups = subgroups(scored.probability, truth, scored.cases, labels, min_positives, seed)
    return {
        "macro": {"auroc": None, **macro, "ece": calibrated["ece"][0], "brier": calibrated["brier"][0]},
        "alone": {"vector": macro_of(scored.vector), "criteria": _criteria_alone(scored, min_positives, seed)},
        "random_encoder": macro_of(scored.random_similarity),
        "calibration": calibrated,
        "subgroups": groups,
        "worst_groups": worst_groups(groups),
        "labels": rows,
    }


def _criteria_alone(scored: _Scored, min_positives: int, seed: int) -> dict[str, Any]:
    """The macro figures by the criteria alone, over the labels that have any, and how many labels these are."""
    heard = ~np.isnan(scored.criteria).all(0)
    if not heard.any():
        return {"auroc": None, "labels": 0}
    # a record in which nothing can be measured is as probable as the mean
    score = np.where(np.isnan(scored.criteria), np.nanmean(scored.criteria[:, heard]), scored.criteria)
    truth = np.where(heard, scored.truth, -1)
    table = label_table(score, truth, scored.patients, scored.labels, min_positives, seed)
    return {"auroc": None, **table[1], "labels": int(sum(row["in_macro"] for row in table[0]))}
