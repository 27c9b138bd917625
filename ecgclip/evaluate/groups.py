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
LANGUAGE_WORDS = {  # frequent in PTB-XL's reports of one language, and in none of the others
    "English": "ecg rhythm the and is are with of or to may due left right branch atrial ventricular wave waves sinus heart",
    "German": "ekg sinusrhythmus lagetyp linkstyp rechtstyp steiltyp normales infarkt oder und mit nicht bei sonst "
    "wahrscheinlich möglich vorhofflimmern sinusbradykardie sinustachykardie schrittmacher linksschenkelblock "
    "rechtsschenkelblock linkshypertrophie bericht",
    "Swedish": "och med ej är eller normalt sinusrytm avvikande bör sinusbradykardi sinustakykardi förmaksflimmer vänster",
}


def subgroups(
    scores: np.ndarray, truth: np.ndarray, cases: Sequence[Case], labels: Labels, least: int, seed: int
) -> list[dict[str, Any]]:
    """Macro AUROC by age band, sex, and where the data set tells them device and report language.

    Each over the labels with at least `least` positives and negatives in the group: where `labels` differ, so does the scale.
    """
    known = [group_of(case) for case in cases]
    rows = []
    for kind in known[0]:
        for group in sorted({k[kind] for k in known} - {""}, key=lambda g: (g[0] != "<", g)):
            at = np.array([k[kind] == group for k in known])
            people = np.unique(patient_numbers(cases)[at], return_inverse=True)[1]
            table, macro = label_table(scores[at], truth[at], people, labels, least, seed)
            row = {"by": kind, "group": group, "records": int(at.sum()), "labels": sum(r["in_macro"] for r in table)}
            rows.append({**row, "auroc": macro.get("auroc")})
    return rows


def group_of(case: Case) -> dict[str, str]:
    """What a record is grouped by; "" where it is not known."""
    band = next((name for name, below in AGE_BANDS if case.age is not None and case.age < below), "")
    language = report_language(case.report)
    return {"age": band, "sex": case.sex or "", "device": case.device, "report language": language}


def report_language(report: str) -> str:
    """The language most of whose common words (LANGUAGE_WORDS) the report has; "" for none, or as many of two."""
    words = re.findall(r"[^\W\d_]+", report.casefold())
    counts = {language: sum(w in known.split() for w in words) for language, known in LANGUAGE_WORDS.items()}
    best, second = sorted(counts.values())[-1:-3:-1]
    return max(counts, key=lambda k: counts[k]) if best > second else ""
