"""How much scores change with the gain, a shift, fewer leads, and leads that follow each other as on a printout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.evaluate.metrics import label_table
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.truth import cases_to_test, choose_labels, patient_numbers, truth_table
from ecgclip.evaluate.vectors import select_leads
from ecgclip.io.read import read_ecg
from ecgclip.model.calibration import logit
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import Prompt
from ecgclip.model.store import load_model
from ecgclip.plot.layout import arrange
from ecgclip.prepare import prepare

SPEED = 25  # mm/s of a printout
PERTURBATIONS: dict[str, dict[str, Any]] = {
    "gain +20 %": {"gain": 1.2},
    "gain -20 %": {"gain": 0.8},
    "shift of 1 s": {"shift_s": 1.0},
    "leads I, II, V1-V6": {"leads": ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")},
    "limb leads": {"leads": LEADS[:6]},
    "leads II, V5": {"leads": ("II", "V5")},
    "lead II": {"leads": ("II",)},
    "printed, 3 × 4 with II, V1, V5": {"layout": "3x4+3"},
    "printed, 3 × 4 with II": {"layout": "3x4+1"},
    "printed, 3 × 4": {"layout": "3x4+0"},
    "printed, 6 × 2": {"layout": "6x2"},
}


def robustness(
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int = 9,
    weights: str | Path | None = None,
    device: str = "cpu",
    min_positives: int = 5,
) -> dict[str, Any]:
    """How much the scores of PTB-XL records change under each of PERTURBATIONS.

    Parameters
    ----------
    path, label_set, out, fold, weights, device, min_positives
        As of `zeroshot`.

    Returns
    -------
    dict
        What `out`/results.json holds: for each change the macro AUROC, the mean absolute change of the probability,
        and the correlation of the similarities with those of the unchanged records.

    Raises
    ------
    EcgclipError
        As `zeroshot` does, and where no record can be read in every way.
    """
    model = load_model(weights, device=device)
    cases = cases_to_test(model, "ptb-xl", Path(path), fold)
    labels = choose_labels(model, "ptb-xl", label_set, cases, "code")
    prompts = [model.prompt(n, True, labels.fixed.get(n)) for n in labels.names]
    cases, ecgs = _usable(cases)
    if not cases:
        raise EcgclipError(f"{path}: no record could be read in every way that is tried")
    truth, patients = truth_table(cases, labels), patient_numbers(cases)

    def auroc(score: np.ndarray) -> list[float] | None:
        return label_table(score, truth, patients, labels, min_positives, 0)[1].get("auroc")

    probability = _scores(model, prompts, ecgs, {})
    rows: list[dict[str, Any]] = [{"change": "none", "auroc": auroc(probability)}]
    for name, change in PERTURBATIONS.items():
        changed = _scores(model, prompts, ecgs, change)
        rows.append(
            {
                "change": name,
                "auroc": auroc(changed),
                "mean_probability_change": round(float(np.abs(changed - probability).mean()), 4),
                "correlation": round(float(np.corrcoef(logit(changed).ravel(), logit(probability).ravel())[0, 1]), 4),
            }
        )
    results = {"task": "robustness", "dataset": "ptb-xl", "fold": fold, "label_set": label_set, "records": len(cases)}
    return save(out, {**results, **provenance(weights, cases, 0), "changes": rows})


def _usable(cases: Sequence[Case]) -> tuple[list[Case], list[ECG]]:
    """The cases that can be prepared under every perturbation, with their ECGs; the others are named on stderr."""
    usable, ecgs = [], []
    for case in cases:
        try:
            ecg = read_ecg(case.path)
            for change in PERTURBATIONS.values():
                prepare(perturb(ecg, **change))
        except EcgclipError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            usable.append(case)
            ecgs.append(ecg)
    return usable, ecgs


def _scores(model: ECGCLIP, prompts: Sequence[Prompt], ecgs: Sequence[ECG], change: dict[str, Any]) -> np.ndarray:
    """The probabilities of the perturbed ECGs, float (ecgs, prompts)."""
    results = model.score(model.embed_many([perturb(ecg, **change) for ecg in ecgs]), prompts)
    return np.array([[score.probability for score in result.scores] for result in results])


def perturb(
    ecg: ECG,
    gain: float = 1.0,
    shift_s: float = 0.0,
    leads: Sequence[str] | None = None,
    layout: str | None = None,
) -> ECG:
    """The ECG multiplied by `gain`, begun `shift_s` seconds later, with only these leads (None: all).

    layout: of a printout, as of `ecgclip plot`: what it does not show is missing
    """
    ecg = select_leads(ecg, leads) if leads else ecg
    first = round(shift_s * ecg.sampling_rate)
    signal = ecg.signal[:, first:] * np.float32(gain)
    if layout:
        shown = np.zeros(signal.shape, bool)
        for strip in arrange(layout, ecg.leads, 0, ecg.seconds, ecg.seconds, SPEED):
            start, stop = (round(s * ecg.sampling_rate) for s in (strip.first, strip.first + strip.seconds))
            shown[ecg.leads.index(strip.lead), start:stop] = True
        signal = np.where(shown, signal, np.float32(np.nan))
    return ECG(signal, ecg.sampling_rate, ecg.leads, ecg.metadata, ecg.source)
