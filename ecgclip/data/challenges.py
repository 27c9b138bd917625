"""The PhysioNet/CinC Challenges of 2011, 2017 and 2020, and what is in the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ecgclip.data.cases import Case, _reference
from ecgclip.data.folder import folder
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase


def challenge_2017(root: Path, kb: KnowledgeBase) -> list[Case]:
    """PhysioNet/CinC Challenge 2017: one hand-held lead; normal, AF, other rhythm or too noisy."""
    meaning = {
        "N": {"sinus-rhythm": True, "atrial-fibrillation": False, "atrial-flutter": False, "irregular-rhythm": False},
        "A": {"atrial-fibrillation": True, "sinus-rhythm": False},
        "O": {"irregular-rhythm": True, "atrial-fibrillation": False},
        "~": {},
    }
    cases = []
    for record, label in _reference(root, "REFERENCE-v3.csv", "REFERENCE.csv"):
        if label not in meaning:
            raise EcgclipError(
                f"{root}: the reference calls {record.name} {label!r}, which is none of {', '.join(meaning)}"
            )
        statements = meaning[label] | {"poor-signal-quality": label == "~"}
        cases.append(Case("challenge-2017", str(record), record.name, statements))
    return cases


def challenge_2011(root: Path, kb: KnowledgeBase) -> list[Case]:
    """PhysioNet/CinC Challenge 2011: acceptable signal quality or not."""
    return [
        Case("challenge-2011", str(record), record.name, {"poor-signal-quality": label == "0"})
        for record, label in _reference(root, "REFERENCE.csv")
    ]


def challenge_2020(root: Path, kb: KnowledgeBase) -> list[Case]:
    """The CinC Challenge 2020/21 folders: the letters before a record's number tell the source, each with labels of its own."""
    return folder(root, kb, lambda record: record.rstrip("0123456789"))


def cpsc_2018(root: Path, kb: KnowledgeBase) -> list[Case]:
    """CPSC2018: the A… records, of which nine classes are annotated; no other finding of theirs is."""
    nine = {kb.find(c).id for c in ("AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")} | {"normal-ecg"}
    cases = []
    for case in challenge_2020(root, kb):
        if case.source == "A":
            # its class "normal" is written as SNOMED CT's sinus rhythm in the later releases
            present = {"normal-ecg" if c == "sinus-rhythm" else c for c in case.annotated} & nine
            cases.append(replace(case, annotated=frozenset(present), statements={c: c in present for c in nine}))
    return cases


def chapman(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Chapman–Shaoxing–Ningbo as on PhysioNet (Zheng et al. 2022): WFDBRecords/NN/NNN/JSnnnnn, with `#Dx` lines."""
    return folder(root, kb, lambda record: "chapman")
