"""Text tables: CSV, TSV and columns between blanks, as programs and people write them.

Samples stand in rows or in columns; with or without names, units, comments and times; with a decimal point or comma.
What a table is like is seen in its first lines (`layout_of`); its numbers are then read all at once.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays, columns
from ecgclip.io.file import HEAD, File
from ecgclip.io.preamble import said_in
from ecgclip.io.recording import Recording

_BEGINNING = 1 << 16  # characters in which numbers must begin
_MAX_PREAMBLE = 300  # lines
_NUMBER = r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d{1,3})?"
_MISSING = r"|nan|na|n/a|null|none|-|--|[-+]?inf|\?"
_CLOCK = r"\d{1,4}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_DATE = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|[-+]\d\d:?\d\d)?"
_is_number = re.compile(_NUMBER).fullmatch
_is_missing = re.compile(_MISSING, re.IGNORECASE).fullmatch
_is_clock = re.compile(rf"\[?(?:{_CLOCK}|{_DATE})(?: \d\d/\d\d/\d{{4}})?\]?").fullmatch


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Attributes
    ----------
    delimiter : str
        Between columns; " " stands for any blanks.
    decimal_comma : bool
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
    decimal_comma: bool
    start: int
    columns: int
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    preamble: tuple[str, ...] = ()
    texts: tuple[int, ...] = ()
    rows_are_leads: bool = False


def is_table(head: bytes) -> bool:
    """Whether the beginning of a file is a table that may be an ECG: of samples, and not of patients or labels."""
    data = utf8(head)
    layout = layout_of(data) if data else None
    if layout is None:
        return False
    whole = len(head) < HEAD
    if layout.rows_are_leads:
        first = layout.names[0] if layout.names else ""
        return columns.is_lead(first) or columns.is_time(first) if first else b"\n" not in data[layout.start :].strip()
    body = data[layout.start :]
    rows = body.strip().count(b"\n") + 1
    if whole and rows < arrays.MIN_SAMPLES:
        return False
    if any(map(columns.is_lead, layout.names)) and not _is_numbered(layout.names):
        return True
    if layout.columns > arrays.MAX_CHANNELS + 1:
        return False
    values, _, _ = _table(body if whole else body[: body.rfind(b"\n") + 1], layout, "")
    if any(layout.names) and not any(map(columns.is_any_signal, layout.names)) and not _is_numbered(layout.names):
        return _has_times(layout, values)
    return _is_smooth(values)


def _is_numbered(names: Sequence[str]) -> bool:
    """Whether columns are called V1, V2, … to more than V6, as R does where they have no names."""
    return len(names) > 6 and {name.lower() for name in names} >= {f"v{k}" for k in range(1, len(names))}


def _has_times(layout: Layout, values: list[np.ndarray]) -> bool:
    try:
        made = columns.recording_of(layout.names, values, {}, "", layout.units)
    except EcgclipError:
        return False
    return any(channel.rate and 49 < channel.rate < 2050 for channel in made.channels)


def _is_smooth(values: list[np.ndarray]) -> bool:
    """Whether most columns that neither rise nor stay go from sample to sample in small steps."""
    roughness = []
    for column in values:
        column = column[np.isfinite(column)]
        steps = np.diff(column)
        if len(column) >= 16 and len(set(column.tolist())) > 2 and not ((steps > 0).all() or (steps < 0).all()):
            roughness.append(np.abs(steps).mean() / column.std())
    return bool(roughness) and float(np.median(roughness)) < 0.7


def read_delimited(file: File) -> Recording:
    """Read the table.

    Raises
    ------
    EcgclipError
        A line is damaged, there are no rows of numbers, or the times are irregular.
    """
    data = utf8(file.data[:])
    layout = layout_of(data)
    if layout is None:
        raise EcgclipError(f"{file.name}: no rows of numbers in columns")
    beside = said_in(layout.preamble)
    body = data[layout.start :]
    if layout.rows_are_leads:
        names, values, notes = _rows(body, layout, file.name)
    else:
        values, names, notes = _table(body, layout, file.name)
    beside, scale = _gain(beside, names, layout.units)
    if scale != 1:
        values = [v if columns.is_time(name) else v * scale for name, v in zip(names, values, strict=True)]
    return columns.recording_of(names, values, beside, file.name, layout.units, notes)


def _gain(beside: dict[str, Any], names: Sequence[str], units: Sequence[str]) -> tuple[dict[str, Any], float]:
    """Apply a gain that the comments give, where the columns have no unit of their own."""
    scale = beside.pop("scale", 1.0)
    if any(units) or any(columns.split_unit(name)[1] for name in names if not columns.is_time(name)):
        return beside, 1.0
    return beside, scale


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


# ---------------------------------------------------------------------------------------------------------------------
# Layout


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
    comma = delimiter != "," and any(re.search(r"\d,\d", cell) for row in rows for cell in row if not _is_clock(cell))
    if wide:
        name = () if _is_value(rows[0][0]) else (rows[0][0],)
        return Layout(delimiter, comma, start, len(rows[0]), name, preamble=preamble, rows_are_leads=True)
    if not any(names) and len(rows[0]) > 1 and _counted(rows[0]):  # pandas' names for columns without any
        start += len(raw[first]) + 1
    texts = tuple(k for k in range(len(rows[0])) if not all(_is_number(row[k]) or _is_missing(row[k]) for row in rows))
    return Layout(delimiter, comma, start, len(rows[0]), names, units, preamble, texts)


def _split(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without quotes and blanks around them."""
    if delimiter == " ":
        return [cell.strip("\"'") for cell in line.split()]
    if '"' in line:
        return [cell.strip(" \t'") for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    return [cell.strip(" \t'") for cell in line.split(delimiter)]


def _is_value(cell: str) -> bool:
    return bool(_is_number(cell) or _is_missing(cell) or _is_clock(cell))


def _first_rows(lines: Sequence[str], loose: bool) -> tuple[int, str, list[list[str]]] | None:
    """The first line of numbers, the delimiter, and some rows; `loose`: a row may have words, under a row of names."""
    filled = [(k, line) for k, line in enumerate(lines) if line.strip() and line[0] not in "#%"]
    for place in range(len(filled) - 2):
        for delimiter in "\t;|, ":
            if delimiter != " " and delimiter not in filled[place][1]:
                continue
            rows = [_split(line, delimiter) for _, line in filled[place : place + 3]]
            if len({len(row) for row in rows}) > 1 or not all(_is_row(row, loose) for row in rows):
                continue
            if loose and not any(map(columns.is_lead, _split(filled[place - 1][1], delimiter) if place else [])):
                continue
            more = [_split(line, delimiter) for _, line in filled[place + 3 : place + 16]]
            return filled[place][0], delimiter, rows + [row for row in more if len(row) == len(rows[0])]
    return None


def _is_row(cells: Sequence[str], loose: bool) -> bool:
    numbers = sum(map(bool, map(_is_number, cells)))
    if not numbers or len(cells) > 400:
        return False
    return loose and len(cells) > 1 or all(map(_is_value, cells))


def _wide(lines: Sequence[str]) -> tuple[int, str, list[list[str]]] | None:
    """A line with the samples of a lead, as `_first_rows` gives them."""
    for k, line in enumerate(lines[:20]):
        if len(line) < 2 * arrays.MIN_SAMPLES:
            continue
        for delimiter in "\t;|, ":
            cells = _split(line[:_BEGINNING], delimiter)[:-1]
            if len(cells) > arrays.MIN_SAMPLES and all(_is_number(c) or _is_missing(c) for c in cells[1:200]):
                return (k, delimiter, [cells[:200]]) if not _is_tall(lines[k:]) else None
    return None


def _is_tall(lines: Sequence[str]) -> bool:
    """Whether more lines follow than an ECG has leads."""
    return sum(1 for line in lines if line.strip()) > arrays.MAX_CHANNELS + 2


def _is_decimal(rows: Sequence[Sequence[str]], names: Sequence[str], above: str) -> bool:
    """Whether "0,123" in all rows is one number with a decimal comma, and not two columns."""
    if len(rows[0]) != 2 or any(names) or not all(row[1].isdigit() for row in rows):
        return False
    if above.strip() and "," not in above and not _is_number(above.strip()) and ":" not in above:
        return True
    if not all(re.fullmatch(r"-?\d+", row[0]) for row in rows):
        return False
    first = [int(row[0]) for row in rows]
    return len({len(row[1]) for row in rows}) == 1 and not all(b > a for a, b in zip(first, first[1:], strict=False))


def _counted(row: Sequence[str]) -> bool:
    return any(list(row) == [str(k + begin) for k in range(len(row))] for begin in (0, 1))


def _header(lines: Sequence[str], delimiter: str, n: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names and units of `n` columns in the lines before the numbers, and the other lines."""
    rest = [line for line in lines if line.strip()]
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    while rest and n > 0:
        cells = _cells_of_header(rest[-1].lstrip("#% "), delimiter, n)
        if cells is None or any(map(_is_number, cells)):
            break
        if not units and n > 1 and any(cells) and all(columns.is_unit(cell) for cell in cells if cell):
            units = cells
            rest.pop()
            continue
        if n == 1 and re.search(r"[:=,]", cells[0]):
            break
        names = cells
        rest.pop()
        break
    return names, units, tuple(rest)


def _cells_of_header(line: str, delimiter: str, n: int) -> tuple[str, ...] | None:
    """The `n` cells of a row of names; None if it is none."""
    ways = [_split(line, delimiter)]
    if delimiter == " ":
        ways += [[cell.strip(" '\"") for cell in re.split(r"\s{2,}|\t", line.strip())], [line.strip(" '\"")]]
    for cells in ways:
        if len(cells) == n:
            return tuple(cells)
        if n > 2 and len(cells) == n - 1:  # R's rows have names, but their column has none
            return ("", *cells)
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def _table(body: bytes, layout: Layout, where: str) -> tuple[list[np.ndarray], tuple[str, ...], list[str]]:
    """The columns of a table, their names, and notes."""
    names = layout.names or ("",) * layout.columns
    notes: list[str] = []
    body = _clean(body, layout)
    values = None if layout.texts else _at_once(body, layout.columns, _separator(layout))
    if values is None:
        columns_, notes = _one_by_one(body, layout, where)
    else:
        columns_ = list(np.ascontiguousarray(values.T))
    if b"inf" in body.lower():
        columns_ = [np.where(np.isinf(column), np.nan, column) for column in columns_]
    kept = [k for k in range(layout.columns) if k not in layout.texts or not np.isnan(columns_[k]).all()]
    return [columns_[k] for k in kept], tuple(names[k] for k in kept), notes


def _clean(body: bytes, layout: Layout) -> bytes:
    """Rows of numbers with decimal points between commas (or blanks), without quotes, comments and empty lines."""
    if not body.isascii():
        body = plain_numbers(body.decode("utf-8", "replace")).encode("ascii", "replace")
    if b"#" in body or b"%" in body:
        body = re.sub(rb"(?m)^[#%].*\n?", b"", body)
    if b'"' in body and layout.delimiter == ",":  # a decimal comma between quotes
        body = re.sub(rb'"(-?\d+),(\d+)"', rb"\1.\2", body)
    point = b"." if layout.decimal_comma else b","
    delimiter = layout.delimiter.encode()
    table = bytes.maketrans(b"," + delimiter, point + _separator(layout).encode()) if delimiter != b"," else None
    body = body.translate(table, b"\"'").strip(b"\n")
    return re.sub(rb"\n\s*\n", b"\n", body) if b"\n\n" in body or b"\n \n" in body else body


def _separator(layout: Layout) -> str:
    """What stands between the numbers once they are clean."""
    return " " if layout.delimiter == " " else ","


def _at_once(body: bytes, n: int, separator: str) -> np.ndarray | None:
    """All numbers, (rows, n); None where a cell is not a number, or a row is short."""
    rows = body.count(b"\n") + 1
    text = body.replace(b"\n", b",") if separator == "," else body
    if separator == ",":
        if not _is_even(body, n):
            return None
        if b",," in text or text.startswith(b",") or text.endswith(b","):
            text = re.sub(rb"(?<![^,])(?=,|$)", b"nan", text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what is no number; the count tells
        try:
            values = np.fromstring(text, sep=separator)
        except ValueError:
            return None
    return values.reshape(rows, n) if values.size == rows * n else None


def _is_even(body: bytes, n: int) -> bool:
    """Whether each row has `n` cells between commas."""
    characters = np.frombuffer(body, np.uint8)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(body))
    before = np.searchsorted(np.flatnonzero(characters == ord(",")), ends)
    return bool((np.diff(before, prepend=0) == n - 1).all())


def _one_by_one(body: bytes, layout: Layout, where: str) -> tuple[list[np.ndarray], list[str]]:
    """The columns cell by cell, and notes. Raises EcgclipError for what is no number, and for a row that is short."""
    rows = [line.split(None if _separator(layout) == " " else ",") for line in body.decode("ascii").split("\n")]
    notes = []
    if len(rows) > 1 and len(rows[-1]) < layout.columns:
        rows.pop()
        notes.append("left out the last line: it is cut off")
    uneven = next((k for k, row in enumerate(rows) if len(row) != layout.columns), None)
    if uneven is not None:
        n = len(rows[uneven])
        raise EcgclipError(f"{where}: row {uneven + 1} has {n} columns, where the first has {layout.columns}")
    made = []
    for k in range(layout.columns):
        cells = [row[k].strip() for row in rows]
        made.append(_times(cells) if k in layout.texts else _column(cells, where, k))
    return made, notes


def _column(cells: Sequence[str], where: str, k: int) -> np.ndarray:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        if _is_number(cell):
            values[row] = float(cell)
        elif _is_missing(cell):
            values[row] = np.nan
        else:
            raise EcgclipError(f"{where}: row {row + 1}, column {k + 1}: {cell[:40]!r} is not a number")
    return values


def _times(cells: Sequence[str]) -> np.ndarray:
    """Times of the clock in seconds; NaN for words."""
    if not all(map(_is_clock, cells)):
        return np.full(len(cells), np.nan)
    plain = [cell.strip("[]").replace(",", ".") for cell in cells]
    if "-" in plain[0][:8]:
        local = [re.sub(r"\s?(Z|[-+]\d\d:?\d\d)$", "", cell) for cell in plain]
        try:
            stamps = np.array(local, "datetime64[ns]").astype(np.int64)
        except ValueError:  # such as the 31st of February
            return np.full(len(cells), np.nan)
        return (stamps - stamps[0]) / 1e9
    seconds = np.zeros(len(cells))
    for row, cell in enumerate(plain):
        for piece in cell.split(" ")[0].split(":"):
            seconds[row] = 60 * seconds[row] + float(piece)
    return seconds + 86400 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200)  # past midnight


def _rows(body: bytes, layout: Layout, where: str) -> tuple[tuple[str, ...], list[np.ndarray], list[str]]:
    """Names and samples of leads that stand in a line each."""
    names, values = [], []
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        first = _split(line[:200].decode("utf-8", "replace"), layout.delimiter)[0]
        named = not _is_value(first)
        rest = line.split(None if layout.delimiter == " " else layout.delimiter.encode(), 1)[1:] if named else [line]
        names.append(first if named else "")
        values.append(_line(_clean(rest[0] if rest else b"", layout), layout, f"{where}: row {first[:20]}"))
    if len(names) > arrays.MAX_CHANNELS + 1 or len({len(v) for v in values}) > 1:
        counts = ", ".join(str(len(v)) for v in values[:4])
        raise EcgclipError(f"{where}: {len(names)} lines of {counts} numbers are not the leads of one ECG")
    return tuple(names), values, []


def _line(line: bytes, layout: Layout, where: str) -> np.ndarray:
    """The numbers of one line."""
    separator = _separator(layout)
    line = line.strip().rstrip(b",")
    n = line.count(b",") + 1 if separator == "," else len(line.split())
    values = _at_once(line, n, separator)
    if values is None:
        values = _column([c.strip() for c in line.decode("ascii").split(None if separator == " " else ",")], where, 0)
    values[~np.isfinite(values)] = np.nan
    return values.ravel()
