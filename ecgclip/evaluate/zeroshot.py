"""Zero-shot evaluation: figures for each label with bootstrap intervals, beside a random encoder; two models in pairs.

cases ─embed (as a user does)─▶ similarities to the prompts ─▶ metrics, 95 % interval by patient ─▶ results.json, .md, .png
                             └▶ descriptions ─▶ precision and recall of their statements, beside the nearest neighbour's
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecgclip.data.sets import data_set
from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.evaluate.compare import scores_file
from ecgclip.evaluate.groups import subgroups
from ecgclip.evaluate.metrics import calibration, label_table
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.truth import (
    NAMINGS,
    cases_to_test,
    choose_labels,
    patient_numbers,
    source_trained,
    truth_table,
    with_a_label,
)
from ecgclip.evaluate.vectors import beat_vectors, mean_vectors, random_encoder
from ecgclip.model.prompts import combine, leaf_vectors
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
    least: int = 5,
    labelled: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a data set on a label set (or "annotated": all that the data set names) and write results into `out`.

    naming: what is typed: the label set's codes, or its English or German names. leads: only these are shown to the model.
    least: labels with fewer positives (or negatives) are listed but not in the macro average. labelled: without the records
    that have no label of the set, as in the published splits of PTB-XL (Strodthoff et al. 2021; MERL, Liu et al. 2024).
    Raises EcgclipError for a data set or label set that is not there, or one without a usable label.
    """
    if naming not in NAMINGS:
        raise EcgclipError(f"naming {naming!r} is none of {', '.join(NAMINGS)}")
    if unknown := set(leads or ()) - set(LEADS):
        raise EcgclipError(f"unknown lead {sorted(unknown)[0]!r}; leads are {', '.join(LEADS)}")
    model = load_model(weights)
    fold = data_set(dataset).published_fold if fold is None else fold
    cases = cases_to_test(model, dataset, Path(path), fold)
    labels = choose_labels(model, dataset, label_set, cases, naming)
    if labelled:
        cases = with_a_label(cases, labels)
    prompts = [model.prompt(n, enrich, labels.fixed.get(n)) for n in labels.names]
    vectors = leaf_vectors(prompts)
    embed = beat_vectors if labels.beats else mean_vectors
    annotated = sum(len(case.beats) for case in cases)
    (ours, random), cases = embed([model, random_encoder(model, seed)], cases, leads)
    truth, patients = truth_table(cases, labels), patient_numbers(cases)
    if not (truth >= 0).any():
        raise EcgclipError(f"label set {label_set}: the data set {dataset} says nothing of any of its labels")
    leaves = [leaf for prompt in prompts for leaf in prompt.leaves]
    probability = combine(prompts, model.probability(ours @ vectors.T, leaves), whole=1)
    similarity, chance = (combine(prompts, rhythm @ vectors.T, whole=0) for rhythm in (ours, random))
    threshold = model.config.threshold
    rows, macro = label_table(similarity, truth, patients, labels, least, seed, probability, threshold)
    calibrated = calibration(probability, truth, patients, seed)
    named = model.config.training.get("concepts")
    for row in rows:
        row["trained"] = None if named is None else row["concept"] in named
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
        "records": len(cases) if not labels.beats else len({c.path for c in cases}),
        **({"beats": {"annotated": annotated, "scored": len(cases)}} if labels.beats else {}),
        "patients": int(patients.max()) + 1,
        "least_positives": least,
        "threshold": threshold,
        **provenance(weights, cases, seed),
        "macro": {"auroc": None, **macro, "ece": calibrated["ece"][0], "brier": calibrated["brier"][0]},
        "random_encoder": {"auroc": None, **label_table(chance, truth, patients, labels, least, seed)[1]},
        "calibration": calibrated,
        "subgroups": subgroups(similarity, truth, cases, labels, least, seed),
        "labels": rows,
    }
    scores = scores_file(cases, Path(path), labels, truth, similarity, probability)
    return save(out, results, scores)
