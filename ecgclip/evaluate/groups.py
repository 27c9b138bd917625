"""Figures by age, sex, device, source and report language: how far the worst group lies below the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.evaluate.bootstrap import interval
from ecgclip.evaluate.metrics import Labels, label_summary, mean_figures, resample
from ecgclip.evaluate.truth import patient_numbers

AGE_BANDS = (("<40", 40), ("40–59", 60), ("60–79", 80), ("80+", float("inf")))  # name, years below
UNKNOWN = "unknown"
ENOUGH_RECORDS, ENOUGH_LABELS = 30, 3  # of a group that may be called the worst, and labels compared in it
# Words that are frequent in the reports of one language in PTB-XL, and in none of the others
LANGUAGE_WORDS = {
    "English": "ecg rhythm the and is are with of or to may due left right branch atrial ventricular wave waves sinus "
    "heart",
    "German": "ekg sinusrhythmus lagetyp linkstyp rechtstyp steiltyp normales infarkt oder und mit nicht bei sonst "
    "wahrscheinlich möglich vorhofflimmern sinusbradykardie sinustachykardie schrittmacher linksschenkelblock "
    "rechtsschenkelblock linkshypertrophie bericht",
    "Swedish": "och med ej är eller normalt sinusrytm avvikande bör sinusbradykardi sinustakykardi förmaksflimmer "
    "vänster",
}


def subgroups(
    scores: np.ndarray, truth: np.ndarray, cases: Sequence[Case], labels: Labels, min_positives: int, seed: int
) -> list[dict[str, Any]]:
    """Macro AUROC by age band, sex, device, source and report language, where these tell the records apart.

    The macro AUROC of a group is over the labels with enough positives in it, so that two groups may have other labels.
    Its gap compares the same labels: for each, the mean AUROC within the other groups of the kind where the label can
    be measured, less that within this group. The AUROC of all records would be no measure for it: that also counts how
    well the old are told from the young.

    Parameters
    ----------
    scores : float (records, labels)
    truth : int8 (records, labels)
        1 present, 0 absent, -1 unknown.
    min_positives
        Positives, and negatives, that a label needs in a group.

    Returns
    -------
    list of dict
        For each group "by", "group", "records", "labels" (how many count), "auroc", [value, low, high] or None,
        "compared" (labels that count here and in another group) and "gap", as "auroc", above 0 if it is worse than
        the others. All intervals are from the same resamples of patients.
    """
    groups, patients = [groups_of(case) for case in cases], patient_numbers(cases)
    rows = []
    for kind in groups[0]:
        names = sorted({g[kind] for g in groups}, key=lambda name: (name == UNKNOWN, name[0] != "<", name))
        if len(names) < 2:
            continue
        figures: dict[str, dict[int, np.ndarray]] = {}  # group → label that counts in it → resampled AUROC
        for group in names:
            inside = np.array([g[kind] == group for g in groups])
            known = np.where(inside[:, None], truth, -1)
            resampled = resample(scores, known, patients, seed)
            table, macro = label_summary(resampled, known, labels, min_positives)
            figures[group] = {j: resampled[j]["auroc"] for j, row in enumerate(table) if row["in_macro"]}
            row = {"by": kind, "group": group, "records": int(inside.sum()), "labels": len(figures[group])}
            rows.append({**row, "auroc": macro.get("auroc")})
        for row, group in zip(rows[-len(names) :], names, strict=True):
            row |= _gap(group, figures)
    return rows


def _gap(group: str, figures: dict[str, dict[int, np.ndarray]]) -> dict[str, Any]:
    """How much lower the AUROC is in a group than in the others, as `subgroups` returns it."""
    gaps = []
    for label, own in figures[group].items():
        elsewhere = [{"auroc": of[label]} for name, of in figures.items() if name != group and label in of]
        if elsewhere:
            gaps.append({"gap": mean_figures(elsewhere)["auroc"] - own})
    return {"compared": len(gaps), "gap": interval(mean_figures(gaps)["gap"]) if gaps else None}


def worst_groups(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each kind the group with the largest gap, among those with `ENOUGH_RECORDS` and `ENOUGH_LABELS` compared.

    It was picked because it looks worst: its gap is rather too large than too small, whatever the interval says.

    Parameters
    ----------
    rows
        As `subgroups` returns them.
    """
    comparable = [r for r in rows if r["records"] >= ENOUGH_RECORDS and r["compared"] >= ENOUGH_LABELS]
    kinds = dict.fromkeys(row["by"] for row in comparable)
    return [max((row for row in comparable if row["by"] == kind), key=lambda row: row["gap"][0]) for kind in kinds]


def groups_of(case: Case) -> dict[str, str]:
    """The group that a record belongs to, by kind."""
    band = next((name for name, below in AGE_BANDS if case.age is not None and case.age < below), "")
    found = {"age": band, "sex": case.sex, "device": case.device, "source": case.source}
    found["report language"] = report_language(case.report)
    return {kind: group or UNKNOWN for kind, group in found.items()}


def report_language(report: str) -> str:
    """The language with the most of its LANGUAGE_WORDS in the report; "" where none has any, or two as many."""
    words = re.findall(r"[^\W\d_]+", report.casefold())
    counts = {language: sum(w in listed.split() for w in words) for language, listed in LANGUAGE_WORDS.items()}
    best, second = sorted(counts.values())[-1:-3:-1]
    return max(counts, key=lambda k: counts[k]) if best > second else ""
