"""CSV tables about records: their rows, with cells that are checked as they are read.

A message names the table and the line. PTB-XL's ptbxl_database.csv is one of these tables.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgclip.ecg import EcgclipError

PTB_XL_TABLE = "ptbxl_database.csv"
AGE_UNKNOWN = {"", "nan", "na", "n/a", "none", "null", "unknown"}
# PTB-XL writes 0 and 1
SEX = {"0": "male", "1": "female", "m": "male", "f": "female", "male": "male", "female": "female"}


@dataclass(frozen=True)
class Row:
    """A row of a table; `line` is where it ends, and `cells` are as written, by column, "" where one is missing.

    Every method raises EcgclipError where a cell is wrong.
    """

    table: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """A cell without the blanks around it; "" where it is missing, empty or "nan"."""
        text = self.cells.get(column, "").strip()
        return "" if text.lower() == "nan" else text

    def integer(self, column: str) -> int:
        """A cell that must be a whole number."""
        try:
            return int(self.cells.get(column, ""))
        except ValueError:
            raise self.wrong(f"{column} {self.cells.get(column, '')[:40]!r} is not a whole number") from None

    def path_of(self, record: str) -> Path:
        """Where a record lies whose path from the table is `record`. One outside the table's folder is wrong."""
        folder = self.table.parent
        path = folder / record
        if ".." in Path(record).parts or not path.is_relative_to(folder):
            raise self.wrong(f"record {record[:80]!r} leads out of the folder {folder}")
        if path == folder:
            raise self.wrong(f"record {record!r} is not a record")
        return path

    def age(self) -> float | None:
        """The cell `age`, in years; None where it is not known. In PTB-XL's table 300 stands for all above 89."""
        text = self.text("age")
        if self.table.name == PTB_XL_TABLE and number(text) == 300:
            return 90.0
        try:
            return years(text)
        except ValueError as error:
            raise self.wrong(str(error)) from None

    def sex(self) -> str | None:
        """The cell `sex`: "female", "male" or None."""
        return SEX.get(self.text("sex").lower().removesuffix(".0"))

    def scp_codes(self) -> list[str]:
        """The SCP-ECG statements in the cell `scp_codes`, which PTB-XL writes as {'code': likelihood, …}."""
        text = self.text("scp_codes")
        try:
            codes = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            codes = None
        if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
            raise self.wrong(f"scp_codes {text[:40]!r} is not {{'code': likelihood, …}}")
        return list(codes)

    def wrong(self, problem: str) -> EcgclipError:
        """The exception for a problem in this row."""
        return EcgclipError(f"{self.table}: line {self.line}: {problem}")


def read_rows(table: Path, problem: Callable[[Collection[str]], str | None] = lambda columns: None) -> Iterator[Row]:
    """Read a CSV table in UTF-8, row by row.

    Parameters
    ----------
    table : Path
        The file. Its first line names the columns.
    problem : function, optional
        Given the columns, says what is wrong with them, or None.

    Raises
    ------
    EcgclipError
        The file cannot be read, or there is a problem with its columns.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if found := problem(rows.fieldnames or ()):
                raise EcgclipError(f"{table}: {found}")
            for row in rows:
                # a short row has None in its last columns; what a long one has beyond them stands under None
                cells = {key: value or "" for key, value in row.items() if key is not None}
                yield Row(table, rows.line_num, cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgclipError(f"{table}: cannot be read as a table in UTF-8 ({error})") from None


def years(text: str) -> float | None:
    """An age in years as tables write it; None where it is not known. Raises ValueError for what is not 0 to 130."""
    if text.strip().lower() in AGE_UNKNOWN:
        return None
    age = number(text.strip())
    if age is None or not 0 <= age <= 130:
        raise ValueError(f"age {text[:40]!r} is not a number from 0 to 130")
    return float(age)


def number(text: str) -> int | float | None:
    """A plain decimal number; None for any other text: "1e5" may be a ward, "007" a room."""
    if not re.fullmatch(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?", text):
        return None
    return float(text) if "." in text else int(text)
