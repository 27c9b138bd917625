"""How much scores change under a gain, a shift and fewer leads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.evaluate.metrics import auroc_table
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.truth import cases_to_test, choose_labels, patient_numbers, truth_table
from ecgclip.evaluate.vectors import select_leads
from ecgclip.io.wfdb import read_ecg
from ecgclip.model.store import load_model
from ecgclip.prepare import prepare

PERTURBATIONS: dict[str, dict[str, Any]] = {
    "gain +20 %": {"gain": 1.2},
    "gain -20 %": {"gain": 0.8},
    "shift of 1 s": {"shift_s": 1.0},
    "leads I, II, V1-V6": {"leads": ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")},
    "limb leads": {"leads": LEADS[:6]},
    "leads II, V5": {"leads": ("II", "V5")},
    "lead II": {"leads": ("II",)},
}


def robustness(
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int = 9,
    weights: str | Path | None = None,
    least: int = 5,
) -> dict[str, Any]:
    """How much scores of PTB-XL records change under a gain, a shift and fewer leads: mean absolute change of the probability,
    correlation of the similarities with those of the whole record, and the macro AUROC."""
    model = load_model(weights)
    cases = cases_to_test(model, "ptb-xl", Path(path), fold)
    labels = choose_labels(model, "ptb-xl", label_set, cases, "code")
    prompts = [model.prompt(n, True, labels.fixed.get(n)) for n in labels.names]
    usable = []
    for case in cases:
        try:
            ecg = read_ecg(case.path)
            for change in PERTURBATIONS.values():  # each must leave something to look at
                prepare(perturb(ecg, **change))
            usable.append((case, ecg))
        except EcgclipError as error:
            print(f"left out: {error}", file=sys.stderr)
    cases, ecgs = [case for case, _ in usable], [ecg for _, ecg in usable]
    if not cases:
        raise EcgclipError(f"{path}: no record could be read in every way that is tried")
    truth, patients = truth_table(cases, labels), patient_numbers(cases)

    def ask(change: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        results = [model.score(model.embed(perturb(e, **change)), prompts).scores for e in ecgs]
        similarity = np.array([[s.similarity for s in r] for r in results])
        return similarity, np.array([[s.probability for s in r] for r in results])

    whole = ask({})
    rows: list[dict[str, Any]] = [
        {"change": "none", "auroc": auroc_table(whole[0], truth, patients, labels, least, 0)[1]}
    ]
    for name, change in PERTURBATIONS.items():
        similarity, probability = ask(change)
        rows.append(
            {
                "change": name,
                "auroc": auroc_table(similarity, truth, patients, labels, least, 0)[1],
                "mean_probability_change": round(float(np.abs(probability - whole[1]).mean()), 4),
                "correlation": round(float(np.corrcoef(similarity.ravel(), whole[0].ravel())[0, 1]), 4),
            }
        )
    results = {"task": "robustness", "dataset": "ptb-xl", "fold": fold, "label_set": label_set, "records": len(cases)}
    return save(out, {**results, **provenance(weights, cases, 0), "changes": rows})


def perturb(ecg: ECG, gain: float = 1.0, shift_s: float = 0.0, leads: Sequence[str] | None = None) -> ECG:
    """A louder or softer copy, one that starts `shift_s` later, or one with fewer leads."""
    ecg = select_leads(ecg, leads) if leads else ecg
    first = round(shift_s * ecg.sampling_rate)
    return ECG(ecg.signal[:, first:] * np.float32(gain), ecg.sampling_rate, ecg.leads, ecg.metadata, ecg.source)
