"""What is known of archived records besides their headers: a CSV table of reports, labels, age, sex and anything else.

PTB-XL's own ptbxl_database.csv is read as it is, where it lies in a folder that is indexed or at most three above.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge import KnowledgeBase

PTB_XL = "ptbxl_database.csv"
NAMES = ("record", "filename_lr", "filename_hr")  # columns that name a record, by a path relative to the table
SEX = {"0": "M", "1": "F", "m": "M", "f": "F", "male": "M", "female": "F"}  # PTB-XL writes 0 and 1


@dataclass(frozen=True)
class Facts:
    """One row; None where the table says nothing."""

    file: str  # absolute, without .hea
    report: str | None = None
    labels: list[str] | None = None
    age: float | None = None
    sex: str | None = None  # F or M
    other: dict[str, Any] = field(default_factory=dict)


def load_facts(paths: Iterable[str | os.PathLike], table: str | Path | None, kb: KnowledgeBase) -> dict[str, Facts]:
    """The rows of `table`, and of PTB-XL's where it lies at one of `paths`, by the record's absolute path without .hea.

    Of a record that both name, `table` has the last word, cell by cell.
    """
    tables: dict[Path, None] = {}
    for path in paths:
        folder = Path(os.path.abspath(path))
        tables |= {file: None for at in (folder, *folder.parents[:3]) if (file := at / PTB_XL).is_file()}
    known: dict[str, Facts] = {}
    for file in [*tables, *([Path(table).absolute()] if table else [])]:
        for facts in _rows(file, kb):
            known[facts.file] = _merged(known[facts.file], facts) if facts.file in known else facts
    return known


def _merged(old: Facts, new: Facts) -> Facts:
    said = {name: getattr(new, name) for name in ("report", "labels", "age", "sex") if getattr(new, name) is not None}
    return replace(old, **said, other=old.other | new.other)


def _rows(file: Path, kb: KnowledgeBase) -> Iterator[Facts]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            names = [name for name in NAMES if name in (table.fieldnames or ())]
            if not names:
                raise EcgclipError(f"{file}: has no column `record` that names the records by their paths from here")
            for row in table:
                try:
                    yield from _facts(row, names, file.parent, kb)
                except ValueError as error:
                    raise EcgclipError(f"{file}: line {table.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgclipError(f"{file}: cannot be read as a table in UTF-8 ({error})") from None


def _facts(row: dict[str, Any], names: Sequence[str], folder: Path, kb: KnowledgeBase) -> Iterator[Facts]:
    """What one row says, for each record that it names; a missing cell, an empty one and "nan" say nothing."""
    cells = {key: (value or "").strip() for key, value in row.items() if key and isinstance(value, str | None)}
    cells = {key: "" if value.lower() == "nan" else value for key, value in cells.items()}
    try:
        age = float(cells["age"]) if cells.get("age") else None
    except ValueError:
        raise ValueError(f"age {cells['age'][:40]!r} is no number") from None
    sex = SEX.get(cells.get("sex", "").lower().removesuffix(".0"))
    used = {*NAMES, "report", "labels", "scp_codes", "age", "sex"}
    other = {key: _value(value) for key, value in cells.items() if key not in used and value}
    labels = _labels(cells, kb)
    for name in names:
        if cells[name]:
            file = os.path.abspath(folder / cells[name].removesuffix(".hea"))
            yield Facts(file, cells.get("report"), labels, age, sex, other)


def _labels(row: dict[str, str], kb: KnowledgeBase) -> list[str] | None:
    if text := row.get("scp_codes"):
        try:
            codes = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            codes = None
        if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
            raise ValueError(f"scp_codes {text[:40]!r} is not {{'code': likelihood, …}}")
        return names_of(list(codes), kb, "scp")
    if "labels" in row:
        return names_of([label.strip() for label in row["labels"].split(";") if label.strip()], kb)
    return None


def names_of(codes: Sequence[str], kb: KnowledgeBase, system: str = "snomed") -> list[str]:
    """Codes or words → the knowledge base's names of the same concepts; what it does not know stays as it is."""
    concepts = [(code, kb.by_code(system, code) or kb.find(code)) for code in codes]
    return list(dict.fromkeys(concept.name if concept else code for code, concept in concepts))


def _value(text: str) -> Any:
    """A number where it is one, so that a condition can compare it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and math.isfinite(value) else text  # JSON knows no infinity
