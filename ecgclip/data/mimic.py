"""MIMIC-IV-ECG: 800,000 records with the reports that the device printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ecgclip.data.cases import Case, LabelledRecord, make_cases
from ecgclip.data.tables import read_rows
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.vocabulary import HEDGED

RECORDS, REPORTS = "record_list.csv", "machine_measurements.csv"
REPORT_COLUMNS = [f"report_{i}" for i in range(18)]
# what joins the parts of a line
JOINTS = re.compile(r"\s*(?:,|;|\s-\s|\bwith\b|\band\b)\s*", re.IGNORECASE)


def mimic_iv_ecg(root: Path, kb: KnowledgeBase, signals: bool = True) -> list[Case]:
    """Load MIMIC-IV-ECG as on PhysioNet (Gow et al. 2023): record_list.csv, machine_measurements.csv, files/p…/s…/….

    A report is the device's lines, report_0 to report_17; a statement is a line, or a part of one, that the knowledge
    base knows by name. A concept that the device states in some record is absent from the records where it
    does not; a hedged one ("possible …") is unknown, and so are all broader ones. Rows without a file are left out;
    signals=False keeps them for their reports.
    """
    for name in (RECORDS, REPORTS):
        if not (root / name).exists():
            raise EcgclipError(f"{root}: no {name} here; give MIMIC-IV-ECG's top folder")
    return make_cases(root, kb, list(_records(root, kb, signals)))


def _records(root: Path, kb: KnowledgeBase, signals: bool) -> Iterator[LabelledRecord]:
    """The rows of the record list that have a report and, with `signals`, a file."""
    meaning = cache(lambda line: _meaning(line, kb))  # the same lines come again and again
    reports = _reports(root / REPORTS)
    for row in read_rows(root / RECORDS):
        path = row.path_of(row.cells["path"])
        lines = reports.get(row.cells["study_id"])
        if lines and (not signals or path.with_suffix(".hea").exists()):
            meanings = [meaning(line) for line in lines]
            hedged: frozenset[str] = frozenset().union(*(doubted for _, doubted in meanings))
            yield LabelledRecord(
                "mimic-iv-ecg",
                str(path),
                frozenset().union(*(stated for stated, _ in meanings)),
                row.cells["subject_id"],
                report=". ".join(lines) + ".",
                doubted=hedged.union(*map(kb.ancestors, hedged)),
            )


def _reports(table: Path) -> dict[str, list[str]]:
    """Study → the lines of its report, without the stops at their ends."""
    reports = {}
    for row in read_rows(table):
        lines = [row.cells.get(column, "").strip() for column in REPORT_COLUMNS]
        reports[row.cells["study_id"]] = [line.rstrip(". ") for line in lines if line]
    return reports


def _meaning(line: str, kb: KnowledgeBase) -> tuple[frozenset[str], frozenset[str]]:
    """A line of a report → the concepts that it states, and those that it hedges."""
    stated: set[str] = set()
    hedged: set[str] = set()
    for part in [line] if kb.find(line) else JOINTS.split(line):
        hedge = HEDGED.match(part)
        if concept := kb.find(part[hedge.end() :] if hedge else part):
            (hedged if hedge else stated).add(concept.id)
    return frozenset(stated), frozenset(hedged)
