"""Text tables: CSV, TSV and columns between blanks, as programs and people write them.

Samples stand in rows or in columns; with or without names, units, comments and times; with a decimal point or comma.
What a table is like is seen in its first lines (`ecgclip.io.layout`); its numbers are then read all at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays, columns
from ecgclip.io.file import HEAD, File
from ecgclip.io.layout import (
    Layout,
    is_clock,
    is_missing,
    is_number,
    is_value,
    layout_of,
    plain_numbers,
    split_cells,
    text_of,
    utf8,
)
from ecgclip.io.preamble import said_in
from ecgclip.io.recording import Recording

_USUAL_COLUMNS = (1, 2, 3, 6, 8, 12, 15)  # leads of a table that names none


def is_table(head: bytes) -> bool:
    """Whether the beginning of a file is a table that may be an ECG: of samples, and not of patients or labels."""
    data = utf8(head)
    layout = layout_of(data) if data else None
    if layout is None:
        return False
    whole = len(head) < HEAD
    body = data[layout.start :]
    if layout.rows_are_leads:
        first = layout.names[0] if layout.names else ""
        if first:
            return columns.is_lead(first) or columns.is_time(first) or first.lower() in ("lead", "leads", "channel")
        return _is_long_line(body, layout)
    if whole and body.strip().count(b"\n") + 1 < arrays.MIN_SAMPLES:
        return False
    if not columns.is_numbered(layout.names) and any(map(columns.is_lead, layout.names)):
        return any(columns.is_lead(name) and k not in layout.texts for k, name in enumerate(layout.names))
    try:
        table = _table(body if whole else body[: body.rfind(b"\n") + 1], layout, "")
    except EcgclipError:
        return False
    if (
        any(layout.names)
        and not any(map(columns.is_any_signal, layout.names))
        and not columns.is_numbered(layout.names)
    ):
        return _has_times(table)
    if len(table.values) < layout.columns and not any(layout.names):
        return False  # words
    signals = [v for v in table.values if not np.isnan(v).all() and (np.diff(v) <= 0).any()]  # what only rises is none
    return len(signals) in _USUAL_COLUMNS and arrays.is_smooth(signals)


def is_numbers(head: bytes) -> bool:
    """Whether the beginning of a file is a table of numbers at all: somebody who names it may call it an ECG."""
    data = utf8(head)
    return bool(data) and layout_of(data) is not None


def _is_long_line(body: bytes, layout: Layout) -> bool:
    """Whether a line without a name goes on past what is seen of it, as a lead's samples do."""
    if b"\n" in body.strip():
        return False
    cells = split_cells(body.decode("utf-8", "replace"), layout.delimiter)[:-1]
    return arrays.is_smooth([_column([cell.replace(",", ".") for cell in cells], None, 0)])


def _has_times(table: _Columns) -> bool:
    try:
        made = columns.recording_of(table.names, table.values, {}, "", table.units)
    except EcgclipError:
        return False
    return any(channel.rate and 49 < channel.rate < 2050 for channel in made.channels)


def read_delimited(file: File) -> Recording:
    """Read the table.

    Raises
    ------
    EcgclipError
        A line is damaged, there are no rows of numbers, or the times are irregular.
    """
    data = text_of(file)
    layout = layout_of(data)
    if layout is None:
        raise EcgclipError(f"{file.name}: no rows of numbers in columns")
    beside = said_in(layout.preamble)
    body = data[layout.start :]
    table = (_rows if layout.rows_are_leads else _table)(body, layout, file.name)
    names, values = table.names, table.values
    beside, scale = _gain(beside, names, table.units)
    if scale != 1:
        values = [v if columns.is_time(name) else v * scale for name, v in zip(names, values, strict=True)]
    return columns.recording_of(names, values, beside, file.name, table.units, table.notes)


def _gain(beside: dict[str, Any], names: Sequence[str], units: Sequence[str]) -> tuple[dict[str, Any], float]:
    """Apply a gain that the comments give, where the columns have no unit of their own."""
    scale = beside.pop("scale", 1.0)
    if any(units) or any(columns.split_unit(name)[1] for name in names if not columns.is_time(name)):
        return beside, 1.0
    return beside, scale


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


@dataclass(frozen=True)
class _Columns:
    """Columns (samples,) with their names and units, and notes."""

    names: tuple[str, ...]
    values: list[np.ndarray]
    units: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _table(body: bytes, layout: Layout, where: str) -> _Columns:
    """The columns of a table. Raises EcgclipError for damage."""
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
    words = [k for k in range(layout.columns) if k in layout.texts or not _must_be_numbers(names[k])]
    kept = [k for k in range(layout.columns) if k not in words or not np.isnan(columns_[k]).all()]
    units = layout.units
    if layout.texts:  # times of the clock are in seconds by now
        units = units or tuple(columns.split_unit(name)[1] or "" for name in names)
        units = tuple("s" if k in layout.texts else unit for k, unit in enumerate(units))
    units = tuple(units[k] for k in kept) if units else ()
    return _Columns(tuple(names[k] for k in kept), [columns_[k] for k in kept], units, tuple(notes))


def _clean(body: bytes, layout: Layout) -> bytes:
    """Rows of numbers with decimal points between commas (or blanks), without quotes, comments and empty lines."""
    if not body.isascii():
        body = plain_numbers(body.decode("utf-8", "replace")).encode("ascii", "replace")
    if b"#" in body or b"%" in body:
        body = re.sub(rb"(?m)^[#%].*\n?", b"", body)
    if b'"' in body and layout.delimiter == ",":  # a decimal comma between quotes
        body = re.sub(rb'"(-?\d+),(\d+)"', rb"\1.\2", body)
    if layout.delimiter != ",":
        between = layout.delimiter.encode()
        body = body.translate(bytes.maketrans(b"," + between, b"." + _separator(layout).encode()))
    if b'"' in body or b"'" in body:
        body = body.translate(None, b"\"'")
    body = body.strip(b"\n")
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
    try:
        values = np.fromstring(text, sep=separator)
    except (ValueError, DeprecationWarning):  # older NumPy only warns of what is no number; the count tells
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
        strict = not layout.names or _must_be_numbers(layout.names[k])
        made.append(_times(cells) if k in layout.texts else _column(cells, where if strict else None, k))
    return made, notes


def _must_be_numbers(name: str) -> bool:
    """Whether a word in the column is damage, and not what the column is for."""
    return not name or columns.is_lead(name) or columns.is_any_signal(name) or columns.is_time(name)


def _column(cells: Sequence[str], where: str | None, k: int) -> np.ndarray:
    """Cells as numbers. Raises EcgclipError for a word, which is not repeated: it may be the patient's name.

    Where no file is named, words are missing values.
    """
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        if is_number(cell):
            values[row] = float(cell)
        elif is_missing(cell) or where is None:
            values[row] = np.nan
        else:
            raise EcgclipError(f"{where}: row {row + 1}, column {k + 1}: not a number")
    return values


def _times(cells: Sequence[str]) -> np.ndarray:
    """Times of the clock in seconds; NaN for words."""
    if not all(map(is_clock, cells)):
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


def _rows(body: bytes, layout: Layout, where: str) -> _Columns:
    """Leads that stand in a line each. Raises EcgclipError where they differ in length."""
    names, values = [], []
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        first = split_cells(line[:200].decode("utf-8", "replace"), layout.delimiter)[0]
        named = not is_value(first)
        rest = line.split(None if layout.delimiter == " " else layout.delimiter.encode(), 1)[1:] if named else [line]
        names.append(first if named else "")
        values.append(_line(_clean(rest[0] if rest else b"", layout), layout, f"{where}: lead {len(names)}"))
    if len(names) > arrays.MAX_CHANNELS + 1 or len({len(v) for v in values}) > 1:
        counts = ", ".join(str(len(v)) for v in values[:4])
        raise EcgclipError(f"{where}: {len(names)} lines of {counts} numbers are not the leads of one ECG")
    return _Columns(tuple(names), values)


def _line(line: bytes, layout: Layout, where: str) -> np.ndarray:
    """The numbers of one line. Raises EcgclipError for a word, which is not repeated: it may be a name."""
    separator = _separator(layout)
    line = line.strip().rstrip(b",")
    n = line.count(b",") + 1 if separator == "," else len(line.split())
    values = _at_once(line, n, separator)
    if values is None:
        cells = [cell.strip() for cell in line.decode("ascii").split(None if separator == " " else ",")]
        bad = next((k for k, cell in enumerate(cells, 1) if not is_number(cell) and not is_missing(cell)), None)
        if bad is not None:
            raise EcgclipError(f"{where}, sample {bad}: not a number")
        values = _column(cells, None, 0)
    values[~np.isfinite(values)] = np.nan
    return values.ravel()
