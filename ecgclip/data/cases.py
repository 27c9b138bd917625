"""A case: a record, and what is known of it. What a data set does not annotate is unknown, never absent."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ecgclip.data.sets import PATIENTS_UNKNOWN
from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_metadata
from ecgclip.io.records import find_records
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept

UNKNOWN = -1
# Concepts that the measurement decides where no statement is coded (cardiologists rarely code what is plain to see):
# present if any of these findings is present, absent if all are absent. A key that ends in ":" stands for all its
# territories.
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
# PTB-XL's cardiologists code these concepts only where nothing else explains the finding; other data sets code them
# wherever they are seen. So a concept that is not coded counts as absent only if the finding is not measured either.
DOUBTED_CONCEPTS = {
    "sinus-bradycardia": ("rate_below_60",),
    "st-depression": ("st_depression:",),
    "t-wave-inversion": ("t_inversion:",),
}


@dataclass(frozen=True)
class Case:
    """A record, or a stretch of it, and what is known of it.

    Attributes
    ----------
    source : str
        The data set, or the part of Challenge 2020 that it is from.
    path : str
        The record, without .hea.
    patient : str
        Its patient, by the source's own numbers.
    statements : dict
        Concept id → whether it is present. A concept that is not here is unknown.
    annotated : frozenset of str
        Concepts that the source itself names, without what follows from them.
    complete : bool
        Every statement of the source's list is known, so that a report can be composed.
    report : str
        The report; "" where there is none.
    fold : int
        The published fold; 0 where there is none.
    age : float, optional
        In years.
    sex : str, optional
        "female" or "male".
    start_s, stop_s : float
        The stretch, in s; `stop_s` None: all of the record.
    beats : tuple of (float, str)
        Annotated heartbeats: time in s after `start_s`, concept id.
    subclasses : frozenset of str, optional
        Names of PTB-XL's diagnostic subclasses; None where they are not known.
    device : str
        The model of the device.
    """

    source: str
    path: str
    patient: str
    statements: dict[str, bool] = field(default_factory=dict)
    annotated: frozenset[str] = frozenset()
    complete: bool = False
    report: str = ""
    fold: int = 0
    age: float | None = None
    sex: str | None = None
    start_s: float = 0.0
    stop_s: float | None = None
    beats: tuple[tuple[float, str], ...] = ()
    subclasses: frozenset[str] | None = None
    device: str = ""

    @property
    def person(self) -> str:
        """An id that all records of a patient share, or all records of a source that does not identify its patients."""
        return self.source if self.source in PATIENTS_UNKNOWN else f"{self.source}/{self.patient}"

    def share(self, parts: int) -> int:
        """A number below `parts`, the same for all records of a person."""
        return zlib.crc32(self.person.encode()) % parts


@dataclass(frozen=True)
class LabelledRecord:
    """A record as a loader finds it, with the concepts that are present in it; see `Case`.

    `doubted` are concepts that the source leaves open: they are unknown unless they are present.
    """

    source: str
    path: str
    present: frozenset[str]
    patient: str = ""
    age: float | None = None
    sex: str | None = None
    report: str = ""
    doubted: frozenset[str] = frozenset()


def make_cases(root: Path, kb: KnowledgeBase, records: list[LabelledRecord]) -> list[Case]:
    """Turn the records of a folder into cases: a concept that a source names somewhere is absent where it does not.

    A record without a patient is a patient of its own, by its path from `root`, so that the split is the same wherever
    the folder lies.
    """
    listed: dict[str, set[str]] = {}
    for record in records:
        listed.setdefault(record.source, set()).update(record.present)
    cases = []
    for record in records:
        statements = known_statements(kb, record.present, listed[record.source])
        cases.append(
            Case(
                record.source,
                record.path,
                record.patient or Path(record.path).relative_to(root).as_posix(),
                {c: present for c, present in statements.items() if present or c not in record.doubted},
                record.present,
                complete=True,
                report=record.report,
                age=record.age,
                sex=record.sex,
            )
        )
    return cases


def known_statements(kb: KnowledgeBase, present: Iterable[str], listed: Iterable[str]) -> dict[str, bool]:
    """Derive what is known of a record from the concepts that its source lists.

    Parameters
    ----------
    present : iterable of str
        Concepts that the record has.
    listed : iterable of str
        Concepts that the source would have named.

    Returns
    -------
    dict
        Concept id → whether it is present. Broader concepts are present with any narrower one, else absent.
    """
    listed = set(listed)
    statements = {c: False for c in listed | {a for c in listed for a in kb.ancestors(c)}}
    statements.update({c: True for p in set(present) for c in {p} | kb.ancestors(p)})
    return statements


def find_concept(kb: KnowledgeBase, code: str, system: str = "snomed") -> Concept | None:
    """The concept with a code of `system`, or which has that word as its name, alias or code."""
    return kb.by_code(system, code) or kb.find(code)


def read_headers(root: Path) -> Iterator[tuple[str, dict]]:
    """Every record below `root` with its header's metadata; unreadable headers are left out."""
    for record in find_records(root):
        with suppress(EcgclipError):
            yield record, read_metadata(record)
