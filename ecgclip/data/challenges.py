"""The PhysioNet/CinC Challenges of 2011, 2017 and 2020, and the data sets inside the last."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from ecgclip.data.cases import Case
from ecgclip.data.folder import folder
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase

# what a label of Challenge 2017 says
LABELS_2017 = {
    "N": {"sinus-rhythm": True, "atrial-fibrillation": False, "atrial-flutter": False, "irregular-rhythm": False},
    "A": {"atrial-fibrillation": True, "sinus-rhythm": False},
    "O": {"irregular-rhythm": True, "atrial-fibrillation": False},
    "~": {},
}


def challenge_2017(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load the PhysioNet/CinC Challenge 2017: one hand-held lead; normal, AF, other rhythm or too noisy."""
    cases = []
    for record, label in _reference(root, "REFERENCE-v3.csv", "REFERENCE.csv"):
        if label not in LABELS_2017:
            raise EcgclipError(
                f"{root}: the reference calls {record.name} {label!r}, which is none of {', '.join(LABELS_2017)}"
            )
        statements = LABELS_2017[label] | {"poor-signal-quality": label == "~"}
        cases.append(Case("challenge-2017", str(record), record.name, statements))
    return cases


def challenge_2011(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load the PhysioNet/CinC Challenge 2011: acceptable signal quality or not."""
    return [
        Case("challenge-2011", str(record), record.name, {"poor-signal-quality": label == "0"})
        for record, label in _reference(root, "REFERENCE.csv")
    ]


def challenge_2020(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load the CinC Challenge 2020/21. The letters before a record's number are its source, with labels of its own."""
    return folder(root, kb, lambda record: record.rstrip("0123456789"))


def cpsc_2018(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load CPSC2018, the A… records of Challenge 2020: nine classes are annotated, and no other finding."""
    codes = ("AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")
    classes = {concept.id for code in codes if (concept := kb.find(code))} | {"normal-ecg"}
    cases = []
    for case in challenge_2020(root, kb):
        if case.source == "A":
            # its class "normal" is written as SNOMED CT's sinus rhythm in the later releases
            present = {"normal-ecg" if c == "sinus-rhythm" else c for c in case.annotated} & classes
            statements = {c: c in present for c in classes}
            cases.append(replace(case, annotated=frozenset(present), statements=statements))
    return cases


def chapman(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load Chapman–Shaoxing–Ningbo as on PhysioNet (Zheng et al. 2022): WFDBRecords/NN/NNN/JSnnnnn with `#Dx` lines."""
    return folder(root, kb, lambda record: "chapman")


def _reference(root: Path, *tables: str) -> list[tuple[Path, str]]:
    """The records below `root`, without .hea, with their labels in the first of the tables that is there."""
    table = next((root / name for name in tables if (root / name).exists()), None)
    if table is None:
        raise EcgclipError(f"{root}: no {' or '.join(reversed(tables))} here")
    records = {file.stem: file.with_suffix("") for file in root.rglob("*.hea")}
    with table.open(newline="", encoding="utf-8") as rows:
        # the public file has no header row, some copies have one: its "record" is not a record
        return [(records[row[0]], row[1]) for row in csv.reader(rows) if len(row) > 1 and row[0] in records]
