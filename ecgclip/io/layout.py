"""How a text table is written: its delimiter, decimal comma, names, units, and where its numbers begin."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays, columns
from ecgclip.io.file import HEAD, File

MAX_BYTES = 1 << 30  # of a text file, which is held in memory several times
_BEGINNING = 1 << 16  # characters in which numbers must begin
_MAX_PREAMBLE = 300  # lines
_NUMBER = r"[-+]?(?:\d+(?:\.\d*|,\d+)?|[.,]\d+)(?:[eE][-+]?\d{1,3})?"
_MISSING = r"|nan|na|n/a|null|none|-|--|[-+]?inf|\?"
_CLOCK = r"\d{1,4}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_DATE = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|[-+]\d\d:?\d\d)?"
is_number = re.compile(_NUMBER).fullmatch
is_missing = re.compile(_MISSING, re.IGNORECASE).fullmatch
is_clock = re.compile(rf"\[?(?:{_CLOCK}|{_DATE})(?: \d\d/\d\d/\d{{4}})?\]?").fullmatch


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Attributes
    ----------
    delimiter : str
        Between columns; " " stands for any blanks. Where it is not a comma, a comma is a decimal one.
    start : int
        Bytes before the first row of numbers.
    columns : int
    names, units : tuple of str
        Of the columns; empty where the file has no such row.
    preamble : tuple of str
        The lines before.
    texts : tuple of int
        Columns that are not numbers: times of the clock, and words.
    rows_are_leads : bool
        A line holds all samples of a lead.
    """

    delimiter: str
    start: int
    columns: int
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    preamble: tuple[str, ...] = ()
    texts: tuple[int, ...] = ()
    rows_are_leads: bool = False


def layout_of(data: bytes) -> Layout | None:
    """The layout of a text by its beginning; None where no rows of numbers are found in it."""
    beginning = data[:_BEGINNING]
    raw = beginning.split(b"\n")
    if len(data) > len(beginning) and len(raw) > 1:
        raw.pop()  # cut
    raw = raw[: _MAX_PREAMBLE + 4]
    lines = plain_numbers(b"\n".join(raw).decode("utf-8", "replace")).split("\n")
    found = _wide(lines) or _first_rows(lines, loose=False) or _first_rows(lines, loose=True)
    if found is None:
        return None
    first, delimiter, rows = found
    start = sum(len(line) + 1 for line in raw[:first])
    wide = len(rows[0]) > 100
    names, units, preamble = _header(lines[:first], delimiter, len(rows[0]) if not wide else -1)
    if not wide and delimiter == "," and _is_decimal(rows, names, lines[first - 1] if first else ""):
        delimiter, rows = " ", [[",".join(row)] for row in rows]
        names, units, preamble = _header(lines[:first], delimiter, 1)
    if wide:
        name = () if is_value(rows[0][0]) else (rows[0][0],)
        return Layout(delimiter, start, len(rows[0]), name, preamble=preamble, rows_are_leads=True)
    if not any(names) and len(rows[0]) > 1 and _counted(rows[0]):  # pandas' names for columns without any
        start += len(raw[first]) + 1
    texts = tuple(k for k in range(len(rows[0])) if not all(is_number(row[k]) or is_missing(row[k]) for row in rows))
    return Layout(delimiter, start, len(rows[0]), names, units, preamble, texts)


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without quotes and blanks around them."""
    if delimiter == " ":
        return [cell.strip("\"'") for cell in line.split()]
    if '"' in line:
        return [cell.strip(" \t'") for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    return [cell.strip(" \t'") for cell in line.split(delimiter)]


def is_value(cell: str) -> bool:
    """Whether a cell is a number, a missing one or a time of the clock."""
    return bool(is_number(cell) or is_missing(cell) or is_clock(cell))


def _first_rows(lines: Sequence[str], loose: bool) -> tuple[int, str, list[list[str]]] | None:
    """The first line of numbers, the delimiter, and some rows; `loose`: a row may have words, under a row of names."""
    filled = [(k, line) for k, line in enumerate(lines) if line.strip() and line[0] not in "#%"]
    for place in range(len(filled) - 2):
        for delimiter in "\t;|, ":
            if delimiter != " " and delimiter not in filled[place][1]:
                continue
            rows = [split_cells(line, delimiter) for _, line in filled[place : place + 3]]
            if len({len(row) for row in rows}) > 1 or not all(_is_row(row, loose) for row in rows):
                continue
            if loose and not any(map(columns.is_lead, split_cells(filled[place - 1][1], delimiter) if place else [])):
                continue
            more = [split_cells(line, delimiter) for _, line in filled[place + 3 : place + 16]]
            rows += [row for row in more if len(row) == len(rows[0])]
            start = place - _rows_above([split_cells(line, delimiter) for _, line in filled[:place]], len(rows[0]))
            return filled[start][0], delimiter, rows
    return None


def _rows_above(above: Sequence[Sequence[str]], n: int) -> int:
    """How many of the lines before three sound rows belong to the table: some with words, or one that is damaged."""
    values = 0  # rows in which a sample is missing, or all are
    while values < len(above) and len(above[-values - 1]) == n and all(map(is_value, above[-values - 1])):
        values += 1
    if values or n == 1:
        return values
    words = 0
    while words < len(above) and len(above[-words - 1]) == n and _is_row(above[-words - 1], loose=True):
        words += 1
    if words and words < len(above) and any(map(columns.is_lead, above[-words - 1])):
        return words
    return max((k for k, row in enumerate(above[:-4:-1], 1) if len(row) == n and _is_row(row, loose=False)), default=0)


def _is_row(cells: Sequence[str], loose: bool) -> bool:
    numbers = sum(map(bool, map(is_number, cells)))
    if not numbers or len(cells) > 400:
        return False
    return loose and len(cells) > 1 or all(map(is_value, cells))


def _wide(lines: Sequence[str]) -> tuple[int, str, list[list[str]]] | None:
    """A line with the samples of a lead, as `_first_rows` gives them."""
    for k, line in enumerate(lines[:20]):
        if len(line) < 2 * arrays.MIN_SAMPLES:
            continue
        for delimiter in "\t;|, ":
            cells = split_cells(line[:_BEGINNING], delimiter)[:-1]
            if len(cells) > arrays.MIN_SAMPLES and all(is_number(c) or is_missing(c) for c in cells[1:200]):
                return (k, delimiter, [cells[:200]]) if not _is_tall(lines[k:]) else None
    return None


def _is_tall(lines: Sequence[str]) -> bool:
    """Whether more lines follow than an ECG has leads."""
    return sum(1 for line in lines if line.strip()) > arrays.MAX_CHANNELS + 2


def _is_decimal(rows: Sequence[Sequence[str]], names: Sequence[str], above: str) -> bool:
    """Whether "0,123" in all rows is one number with a decimal comma, and not two columns."""
    if len(rows[0]) != 2 or any(names) or not all(re.fullmatch(r"\d+([eE][-+]?\d+)?", row[1]) for row in rows):
        return False
    if above.strip() and "," not in above and not is_number(above.strip()) and ":" not in above:
        return True
    if not all(re.fullmatch(r"[-+]?\d+", row[0]) for row in rows):
        return False
    first = [int(row[0][:18]) for row in rows]
    rises = all(b > a for a, b in zip(first, first[1:], strict=False))
    return len({len(row[1]) for row in rows}) == 1 and not rises


def _counted(row: Sequence[str]) -> bool:
    """Whether a row only counts its columns, beside an empty cell over the numbers of the rows or without one."""
    row = row[1:] if not row[0] else row
    return len(row) > 1 and any(list(row) == [str(k + begin) for k in range(len(row))] for begin in (0, 1))


def _header(lines: Sequence[str], delimiter: str, n: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names and units of `n` columns in the lines before the numbers, and the other lines."""
    rest = [line for line in lines if line.strip()]
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    while rest and n > 0:
        cells = _cells_of_header(rest[-1].lstrip("#% "), delimiter, n)
        if cells is None or any(map(is_number, cells)) or cells[0].endswith(("=", ":")):
            break
        if not units and n > 1 and any(cells) and all(columns.is_unit(cell) for cell in cells if cell):
            units = cells
            rest.pop()
            continue
        if n == 1 and re.search(r"[:=,;\t]", cells[0]):
            break
        names = cells
        rest.pop()
        break
    return names, units, tuple(rest)


def _cells_of_header(line: str, delimiter: str, n: int) -> tuple[str, ...] | None:
    """The `n` cells of a row of names; None if it is none."""
    ways = [split_cells(line, delimiter)]
    if delimiter == " ":
        ways += [[cell.strip(" '\"") for cell in re.split(r"\s{2,}|\t", line.strip())], [line.strip(" '\"")]]
    for cells in ways:
        if len(cells) == n:
            return tuple(cells)
        if n > 2 and len(cells) == n - 1:  # R's rows have names, but their column has none
            return ("", *cells)
    return None


def text_of(file: File) -> bytes:
    """All of a text file as `utf8` gives it. Raises EcgclipError where it is too long to be held in memory."""
    if len(file) > MAX_BYTES:
        raise EcgclipError(f"{file.name}: a text of {len(file) >> 20} MiB, more than the 1024 that are read: part it")
    data = file.data[:]
    return utf8(data if data.startswith((b"\xff\xfe", b"\xfe\xff")) else data.rstrip(b"\0"))  # zeros that fill it


def utf8(data: bytes) -> bytes:
    """Text as UTF-8 with line feeds; empty if it is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data[: len(data) // 2 * 2].decode("utf-16", "replace").encode("utf-8", "replace")
    elif b"\0" in data[:HEAD]:
        return b""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def plain_numbers(text: str) -> str:
    """Digits, signs and separators of any script as ASCII; what marks a direction of writing is left out."""
    if text.isascii():
        return text
    table: dict[int, str] = {0x2212: "-", 0x2013: "-", 0x66B: ",", 0x66C: "", 0x200E: "", 0x200F: "", 0x61C: ""}
    table |= {ord(c): str(int(c)) for c in set(text) if c.isdecimal() and not c.isascii()}
    table |= {ord(c): " " for c in "\u00a0\u202f\u2009"}
    return text.translate(table)
