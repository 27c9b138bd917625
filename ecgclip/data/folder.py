"""A folder of one's own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

from ecgclip.data.cases import Case, _headers, _listed
from ecgclip.data.tables import below, line_of, years
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase


def folder(root: Path, kb: KnowledgeBase, source: Callable[[str], str] = lambda record: "folder") -> list[Case]:
    """WFDB records with a `#Dx` line of SNOMED CT codes or abbreviations, as in the CinC challenges 2020 and 2021.

    A concept that some record of a source names is annotated there, so absent where it is not named; all others are unknown.
    `source` tells the source from the record's name. Unreadable headers are left out, and those without a diagnosis line.
    """
    found = []
    for record, known in _headers(root):
        if known.get("dx"):
            present = {c.id for code in known["dx"] if (c := kb.by_code("snomed", code) or kb.find(code))}
            found.append((source(Path(record).name), record, known, present))
    return _listed(root, kb, found)


def labelled(root: Path, kb: KnowledgeBase) -> list[Case]:
    """A folder with labels.csv: `record` (its path from there), `labels` (separated by ";"), and any of patient, age, sex.

    A label is a name, abbreviation or code that the knowledge base knows; a line on stderr names the others.
    """
    table = root / "labels.csv"
    if not table.exists():
        raise EcgclipError(f"{root}: no labels.csv here, with the columns record and labels")
    found, unknown = [], set()
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        if missing := {"record", "labels"} - set(rows.fieldnames or ()):
            raise EcgclipError(f"{table}: has no column {sorted(missing)[0]}")
        for row in rows:
            codes = [code.strip() for code in (row["labels"] or "").split(";") if code.strip()]
            known = {code: kb.by_code("snomed", code) or kb.find(code) for code in codes}
            unknown |= {code for code, concept in known.items() if concept is None}
            with line_of(table, rows):
                record = str(below(root, (row["record"] or "").removesuffix(".hea")))
                age = years(row.get("age") or "")
            sex = {"m": "male", "f": "female"}.get((row.get("sex") or "").strip().lower()[:1])
            about = {"patient": row.get("patient"), "age": age, "sex": sex}
            found.append(("labelled", record, about, {c.id for c in known.values() if c}))
    if unknown:
        print(f"note: not in the knowledge base, so left out: {', '.join(sorted(unknown))}", file=sys.stderr)
    return _listed(root, kb, found)
