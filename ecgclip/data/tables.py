"""What is known of archived records besides their headers: a CSV table of reports, labels, age, sex and anything else.

PTB-XL's own ptbxl_database.csv is read as it is, where it lies in a folder that is indexed or at most three above.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase

PTB_XL = "ptbxl_database.csv"
UNKNOWN = {"", "nan", "na", "n/a", "none", "null", "unknown"}  # cells that say nothing of an age
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


def load_facts(
    paths: Iterable[str | os.PathLike], table: str | Path | None, kb: KnowledgeBase, records: Collection[str]
) -> dict[str, Facts]:
    """What `table`, and PTB-XL's where it lies at one of `paths`, say of `records`: their absolute paths, without .hea.

    Of a record that both name, `table` has the last word, cell by cell. A line on stderr says how many rows of `table` name none
    of the records. Raises EcgclipError where all do not, or a row is wrong.
    """
    tables: dict[Path, None] = {}
    for path in paths:
        folder = Path(os.path.abspath(path))
        tables |= {file: None for at in (folder, *folder.parents[:3]) if (file := at / PTB_XL).is_file()}
    own = Path(os.path.abspath(table)) if table else None
    known: dict[str, Facts] = {}
    for file in [*tables, *([own] if own else [])]:
        rows, strangers, stranger = 0, 0, ""
        for said in _rows(file, kb):
            ours = [facts for facts in said if facts.file in records]
            for facts in ours:
                known[facts.file] = _merged(known[facts.file], facts) if facts.file in known else facts
            rows += 1
            if not ours:
                strangers, stranger = strangers + 1, stranger or (said[0].file if said else "")
        if file == own and strangers == rows:
            where = f": its first is {stranger}" if stranger else ""
            raise EcgclipError(f"{table}: none of its {rows:,} rows names a record that is given{where}")
        if file == own and strangers:
            print(f"note: {table}: {strangers:,} of {rows:,} rows name no record that is given", file=sys.stderr)
    return known


def _merged(old: Facts, new: Facts) -> Facts:
    said = {name: getattr(new, name) for name in ("report", "labels", "age", "sex") if getattr(new, name) is not None}
    return replace(old, **said, other=old.other | new.other)


def _rows(file: Path, kb: KnowledgeBase) -> Iterator[list[Facts]]:
    """What each row says, once for each record that it names."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            names = [name for name in NAMES if name in (table.fieldnames or ())]
            if not names:
                raise EcgclipError(f"{file}: has no column `record` that names the records by their paths from here")
            for row in table:
                with line_of(file, table):
                    said = _facts(row, names, file, kb)
                yield said
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgclipError(f"{file}: cannot be read as a table in UTF-8 ({error})") from None


@contextmanager
def line_of(file: Path, table: csv.DictReader) -> Iterator[None]:
    """A ValueError becomes an EcgclipError that names the table and the line at which it is."""
    try:
        yield
    except ValueError as error:
        raise EcgclipError(f"{file}: line {table.line_num}: {error}") from None


def below(folder: Path, name: str) -> Path:
    """Where a table in `folder` says that a record lies. Raises ValueError where that is outside: no table sends us there."""
    path = folder / name
    if ".." in Path(name).parts or not path.is_relative_to(folder):
        raise ValueError(f"record {name[:80]!r} leads out of the folder {folder}")
    if path == folder:
        raise ValueError(f"record {name!r} is no record")
    return path


def years(text: str, ptb_xl: bool = False) -> float | None:
    """An age in years as tables write it; None where a cell is empty or says that it is not known (UNKNOWN).

    ptb_xl: 300 stands for all above 89, as PTB-XL writes it. Raises ValueError for what is no age from 0 to 130.
    """
    if text.strip().lower() in UNKNOWN:
        return None
    age = number(text.strip())
    if ptb_xl and age == 300:
        return 90.0
    if age is None or not 0 <= age <= 130:
        raise ValueError(f"age {text[:40]!r} is no number from 0 to 130")
    return float(age)


def number(text: str) -> int | float | None:
    """A plain decimal number; None for any other text: "1e5" may be a ward, "007" a room."""
    if not re.fullmatch(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?", text):
        return None
    return float(text) if "." in text else int(text)


def _facts(row: dict[str, Any], names: Sequence[str], table: Path, kb: KnowledgeBase) -> list[Facts]:
    """What one row says, for each record that it names; a missing cell, an empty one and "nan" say nothing."""
    cells = {key: (value or "").strip() for key, value in row.items() if key and isinstance(value, str | None)}
    cells = {key: "" if value.lower() == "nan" else value for key, value in cells.items()}
    age = years(cells.get("age", ""), table.name == PTB_XL)
    sex = SEX.get(cells.get("sex", "").lower().removesuffix(".0"))
    used = {*NAMES, "report", "labels", "scp_codes", "age", "sex"}
    said = {key: value for key, value in cells.items() if key not in used and value}
    other = {key: value if number(value) is None else number(value) for key, value in said.items()}
    labels = _labels(cells, kb)
    # these paths are only compared with the records that are given: nothing is read by them, so that any may stand here
    files = [os.path.abspath(table.parent / cells[name].removesuffix(".hea")) for name in names if cells[name]]
    return [Facts(file, cells.get("report"), labels, age, sex, other) for file in files]


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
