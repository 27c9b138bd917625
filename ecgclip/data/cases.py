"""A case: a record, and what is known of it. What a data set does not annotate is unknown, never absent."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ecgclip.ecg import EcgclipError
from ecgclip.io.records import find_records
from ecgclip.io.wfdb import read_metadata
from ecgclip.knowledge.base import KnowledgeBase

UNKNOWN = -1
# PTB-XL's superclasses and the concepts of the same meaning
SUPERCLASSES = {
    "NORM": "normal-ecg",
    "MI": "myocardial-infarction",
    "STTC": "st-t-change",
    "CD": "conduction-disturbance",
    "HYP": "hypertrophy",
}
# Concepts that a measurement decides, whoever wrote the report (a cardiologist rarely codes what is plain to see): present
# with any of these findings, absent without all of them. A key that ends in ":" stands for all its territories.
MEASURED_CONCEPTS = {
    "tachycardia": ("rate_above_100",),
    "bradycardia": ("rate_below_60",),
    "left-axis-deviation": ("axis_left",),
    "right-axis-deviation": ("axis_right",),
    "extreme-axis-deviation": ("axis_extreme",),
    "short-pr-interval": ("pr_below_120",),
    "poor-r-wave-progression": ("poor_r_progression",),
    "prolonged-qt-interval": ("qtc_prolonged",),
    "short-qt-interval": ("qtc_short",),
    "st-elevation": ("st_elevation:",),
    "tall-t-waves": ("t_tall:",),
}
# Concepts that PTB-XL's cardiologists code where nothing else explains the finding, and others wherever they see it: not coded
# means absent only where it is not measured either.
DOUBTED_CONCEPTS = {
    "sinus-bradycardia": ("rate_below_60",),
    "st-depression": ("st_depression:",),
    "t-wave-inversion": ("t_inversion:",),
}
# Of Challenge 2020: PTB Diagnostic and INCART, with several records of many patients and no word of whose they are
UNTOLD = {"S", "I"}


@dataclass(frozen=True)
class Case:
    """A record (or a stretch of it) and what is known of it."""

    source: str
    path: str
    patient: str
    statements: dict[str, bool] = field(default_factory=dict)  # concept id → present; a concept not here is unknown
    annotated: frozenset[str] = (
        frozenset()
    )  # of those present, the ones written in the source, without what follows from them
    complete: bool = False  # every statement of the source's list is known, so that a report can be composed
    report: str = ""
    fold: int = 0
    age: float | None = None
    sex: str | None = None
    start_s: float = 0.0
    stop_s: float | None = None
    beats: tuple[tuple[float, str], ...] = ()  # (s, concept id)
    subclasses: frozenset[str] | None = None  # PTB-XL's names of the diagnostic subclasses; None: unknown
    device: str = ""

    @property
    def person(self) -> str:
        """The same for all records of a patient, and for all of a source that does not tell which records are of one."""
        return self.source if self.source in UNTOLD else f"{self.source}/{self.patient}"

    def share(self, parts: int) -> int:
        """A number below `parts`, the same for all records of a person."""
        return zlib.crc32(self.person.encode()) % parts


def known_statements(kb: KnowledgeBase, present: Iterable[str], listed: Iterable[str]) -> dict[str, bool]:
    """What follows from the `present` ones out of the `listed` concepts: broader concepts too, absent where no part is present."""
    present, listed = set(present), set(listed)
    statements = {c: False for c in listed | {a for c in listed for a in kb.ancestors(c)}}
    statements.update({c: True for p in present for c in {p} | kb.ancestors(p)})
    return statements


def _reference(root: Path, *names: str) -> list[tuple[Path, str]]:
    """Records, without .hea and in `root` or below it, with their labels; of the tables the first that is there."""
    table = next((root / name for name in names if (root / name).exists()), None)
    if table is None:
        raise EcgclipError(f"{root}: no {' or '.join(reversed(names))} here")
    records = {file.stem: file.with_suffix("") for file in root.rglob("*.hea")}
    with table.open(newline="", encoding="utf-8") as rows:
        # the public file has no header row, some copies have one: its "record" is no record
        return [(records[row[0]], row[1]) for row in csv.reader(rows) if len(row) > 1 and row[0] in records]


def _headers(root: Path) -> Iterator[tuple[str, dict]]:
    """Every record below `root` with what its header tells."""
    for record in find_records(root):
        with suppress(EcgclipError):
            yield record, read_metadata(record)


def _listed(root: Path, kb: KnowledgeBase, found: list[tuple[str, str, dict, set[str]]]) -> list[Case]:
    """Source, record, metadata (age, sex, patient) and concepts present → cases: what a source names somewhere, it annotates."""
    listed: dict[str, set[str]] = {}
    for name, _, _, present in found:
        listed.setdefault(name, set()).update(present)
    return [
        Case(
            name,
            record,
            known.get("patient")
            or Path(record).relative_to(root).as_posix(),  # the same split wherever the folder lies
            known_statements(kb, present, listed[name]),
            frozenset(present),
            complete=True,
            age=known.get("age"),
            sex=known.get("sex"),
        )
        for name, record, known, present in found
    ]
