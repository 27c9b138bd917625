"""A user's own folder: WFDB records with diagnoses in their headers, or in a CSV table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path

from ecgclip.data.cases import Case, LabelledRecord, find_concept, make_cases, read_headers
from ecgclip.data.tables import read_rows
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase


def folder(root: Path, kb: KnowledgeBase, source: Callable[[str], str] = lambda record: "folder") -> list[Case]:
    """Load WFDB records with a `#Dx` line of SNOMED CT codes or abbreviations, as in the CinC Challenges 2020 and 2021.

    A concept that some record of a source names is annotated there, so absent where it is not named; all others are
    unknown. Unreadable headers are left out, and those without a diagnosis line.

    Parameters
    ----------
    root : Path
        The folder; records may lie in folders below it.
    kb : KnowledgeBase
        Knows the codes.
    source : function, optional
        Name of a record → its source.
    """
    records = []
    for record, header in read_headers(root):
        if header.get("dx"):
            present = frozenset(c.id for code in header["dx"] if (c := find_concept(kb, code)))
            age, sex = header.get("age"), header.get("sex")
            records.append(LabelledRecord(source(Path(record).name), record, present, age=age, sex=sex))
    return make_cases(root, kb, records)


def labelled(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load a folder with labels.csv: `record` (its path from there), `labels` (separated by ";"), and any of patient,
    age and sex.

    A label is a name, abbreviation or code that the knowledge base knows; a line on stderr names the others.
    """
    table = root / "labels.csv"
    if not table.exists():
        raise EcgclipError(f"{root}: no labels.csv here, with the columns record and labels")
    records, unknown = [], set()
    for row in read_rows(table, _missing_column):
        codes = [code.strip() for code in row.cells["labels"].split(";") if code.strip()]
        concepts = {code: find_concept(kb, code) for code in codes}
        unknown |= {code for code, concept in concepts.items() if concept is None}
        path = row.path_of(row.cells["record"].removesuffix(".hea"))
        sex = {"m": "male", "f": "female"}.get(row.text("sex").lower()[:1])
        present = frozenset(concept.id for concept in concepts.values() if concept)
        patient = row.cells.get("patient", "")
        records.append(LabelledRecord("labelled", str(path), present, patient, row.age(), sex))
    if unknown:
        print(f"note: not in the knowledge base, so left out: {', '.join(sorted(unknown))}", file=sys.stderr)
    return make_cases(root, kb, records)


def _missing_column(columns: Collection[str]) -> str | None:
    missing = sorted({"record", "labels"} - set(columns))
    return f"has no column {missing[0]}" if missing else None
