"""Figures by age, sex, device and report language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.evaluate.metrics import Labels, label_table
from ecgclip.evaluate.truth import patient_numbers

AGE_BANDS = (("<40", 40), ("40–64", 65), ("65–79", 80), ("80+", float("inf")))  # name, years below
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
    """Macro AUROC by age band and sex and, where the data set has them, device and report language.

    Each is over the labels with enough positives in its group: groups with other labels are not to be compared.

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
        For each group "by", "group", "records", "labels" (how many count) and "auroc", [value, low, high] or None.
    """
    groups = [groups_of(case) for case in cases]
    patients = patient_numbers(cases)
    rows = []
    for kind in groups[0]:
        for group in sorted({g[kind] for g in groups} - {""}, key=lambda name: (name[0] != "<", name)):
            inside = np.array([g[kind] == group for g in groups])
            people = np.unique(patients[inside], return_inverse=True)[1]
            table, macro = label_table(scores[inside], truth[inside], people, labels, min_positives, seed)
            row = {
                "by": kind,
                "group": group,
                "records": int(inside.sum()),
                "labels": sum(r["in_macro"] for r in table),
            }
            rows.append({**row, "auroc": macro.get("auroc")})
    return rows


def groups_of(case: Case) -> dict[str, str]:
    """The groups that a record belongs to, by kind; "" where that is unknown."""
    band = next((name for name, below in AGE_BANDS if case.age is not None and case.age < below), "")
    language = report_language(case.report)
    return {"age": band, "sex": case.sex or "", "device": case.device, "report language": language}


def report_language(report: str) -> str:
    """The language with the most of its LANGUAGE_WORDS in the report; "" where none has any, or two as many."""
    words = re.findall(r"[^\W\d_]+", report.casefold())
    counts = {language: sum(w in listed.split() for w in words) for language, listed in LANGUAGE_WORDS.items()}
    best, second = sorted(counts.values())[-1:-3:-1]
    return max(counts, key=lambda k: counts[k]) if best > second else ""
