"""Metadata of archived records besides their headers: a CSV table of reports, labels, age, sex and anything else.

PTB-XL's own ptbxl_database.csv is read where it lies in a folder that is indexed, or at most three above.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgclip.data.cases import find_concept
from ecgclip.data.tables import PTB_XL_TABLE, Row, number, read_rows
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase

RECORD_COLUMNS = ("record", "filename_lr", "filename_hr")  # each names a record by its path from the table
USED_COLUMNS = {*RECORD_COLUMNS, "report", "labels", "scp_codes", "age", "sex"}


@dataclass(frozen=True)
class Metadata:
    """What a table says of a record; None where it says nothing.

    Attributes
    ----------
    file : str
        The record's absolute path, without .hea.
    report : str, optional
    labels : list of str, optional
        Names of concepts; words that the knowledge base does not know are kept as they are.
    age : float, optional
        In years.
    sex : str, optional
        "F" or "M".
    other : dict
        All other columns with a value: numbers where they are plain, else text.
    """

    file: str
    report: str | None = None
    labels: list[str] | None = None
    age: float | None = None
    sex: str | None = None
    other: dict[str, Any] = field(default_factory=dict)

    def updated(self, new: Metadata) -> Metadata:
        """A copy in which the values of `new` replace these."""
        given = {name: getattr(new, name) for name in ("report", "labels", "age", "sex")}
        given = {name: value for name, value in given.items() if value is not None}
        return replace(self, **given, other=self.other | new.other)


def load_metadata(
    paths: Iterable[str | os.PathLike], table: str | Path | None, kb: KnowledgeBase, records: Collection[str]
) -> dict[str, Metadata]:
    """Read what tables say of some records.

    Parameters
    ----------
    paths : iterable of paths
        What is indexed: PTB-XL's table is looked for there.
    table : path, optional
        A table of the user's own. Where both name a record, it has the last word, cell by cell. A line on stderr says
        how many of its rows name none of the records.
    kb : KnowledgeBase
        Gives the labels their names.
    records : collection of str
        Absolute paths, without .hea.

    Returns
    -------
    dict
        Absolute path of a record, without .hea → its metadata.

    Raises
    ------
    EcgclipError
        No row of `table` names one of the records, or a cell is wrong.
    """
    by_record: dict[str, Metadata] = {}
    for file in _ptb_xl_tables(paths):
        _read_into(by_record, file, kb, records)
    if table:
        row_count, unmatched, first_unmatched = _read_into(by_record, Path(os.path.abspath(table)), kb, records)
        if unmatched == row_count:
            where = f": its first is {first_unmatched}" if first_unmatched else ""
            raise EcgclipError(f"{table}: none of its {row_count:,} rows names a record that is given{where}")
        if unmatched:
            note = f"{unmatched:,} of {row_count:,} rows name no record that is given"
            print(f"note: {table}: {note}", file=sys.stderr)
    return by_record


def _ptb_xl_tables(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """PTB-XL's tables at these paths or at most three folders above, each once."""
    folders = (Path(os.path.abspath(path)) for path in paths)
    tables = (above / PTB_XL_TABLE for folder in folders for above in (folder, *folder.parents[:3]))
    return [file for file in dict.fromkeys(tables) if file.is_file()]


def _read_into(
    by_record: dict[str, Metadata], table: Path, kb: KnowledgeBase, records: Collection[str]
) -> tuple[int, int, str]:
    """Add what a table says of `records`; returns its rows, those without a match (numbers), and the first of these."""
    row_count, unmatched, first_unmatched = 0, 0, ""
    for row_metadata in _rows(table, kb):
        row_count += 1
        matched = [metadata for metadata in row_metadata if metadata.file in records]
        for metadata in matched:
            old = by_record.get(metadata.file)
            by_record[metadata.file] = old.updated(metadata) if old else metadata
        if not matched:
            unmatched += 1
            first_unmatched = first_unmatched or (row_metadata[0].file if row_metadata else "")
    return row_count, unmatched, first_unmatched


def _rows(table: Path, kb: KnowledgeBase) -> Iterator[list[Metadata]]:
    """What each row says, once for each record that it names."""

    def problem(columns: Collection[str]) -> str | None:
        if set(columns) & set(RECORD_COLUMNS):
            return None
        return "has no column `record` that names the records by their paths from here"

    for row in read_rows(table, problem):
        yield _metadata(row, kb)


def _metadata(row: Row, kb: KnowledgeBase) -> list[Metadata]:
    """What one row says, for each record that it names."""
    age, sex, labels = row.age(), row.sex(), _labels(row, kb)
    texts = {column: row.text(column) for column in row.cells if column and column not in USED_COLUMNS}
    other = {column: text if number(text) is None else number(text) for column, text in texts.items() if text}
    report = row.text("report") if "report" in row.cells else None
    # these paths are only compared with the records that are given: nothing is read by them, so any may stand here
    names = [row.text(column) for column in RECORD_COLUMNS if row.text(column)]
    files = [os.path.abspath(row.table.parent / name.removesuffix(".hea")) for name in names]
    return [Metadata(file, report, labels, age, sex and sex[0].upper(), other) for file in files]


def _labels(row: Row, kb: KnowledgeBase) -> list[str] | None:
    if row.text("scp_codes"):
        return concept_names(row.scp_codes(), kb, "scp")
    if "labels" in row.cells:
        return concept_names([label.strip() for label in row.text("labels").split(";") if label.strip()], kb)
    return None


def concept_names(codes: Sequence[str], kb: KnowledgeBase, system: str = "snomed") -> list[str]:
    """Codes or words → the knowledge base's names of the same concepts; what it does not know stays as it is."""
    concepts = [(code, find_concept(kb, code, system)) for code in codes]
    return list(dict.fromkeys(concept.name if concept else code for code, concept in concepts))
