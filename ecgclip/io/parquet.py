"""Parquet files: a column for each lead, or a row for each ECG whose column holds lists of samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays, columns
from ecgclip.io.file import File
from ecgclip.io.recording import Recording

EXPANSION = 2000  # numbers that repeat are stored in almost no space: rows for one byte of the file
MAX_METADATA = 16 << 20  # bytes


def count_parquet(file: File) -> int:
    """How many ECGs the file holds. Raises EcgclipError as `read_parquet` does."""
    with _opened(file) as table:
        return table.metadata.num_rows if _lists(table.schema_arrow) else 1


def read_parquet(file: File, index: int = 0) -> Recording:
    """Read one ECG.

    Raises
    ------
    EcgclipError
        The file is damaged or has no columns of numbers, or takes far more memory than its size explains.
    """
    with _opened(file) as table:
        beside = _said(table.schema_arrow)
        if _lists(table.schema_arrow):
            return _read_row(table, index, beside, file)
        data = table.read(columns=_numeric(table.schema_arrow), use_threads=False)
        values = {name: _column(data.column(k), file) for k, name in enumerate(data.column_names)}
    return columns.recording_of(list(values), list(values.values()), beside, file.name)


@contextmanager
def _opened(file: File) -> Iterator[Any]:
    """The file. What the library raises over a damaged one becomes EcgclipError."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(
            pa.BufferReader(pa.py_buffer(file.data)),
            thrift_string_size_limit=MAX_METADATA,
            thrift_container_size_limit=MAX_METADATA,
        ) as table:
            _check_size(table, file)
            yield table
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError) as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EcgclipError(f"{file.name}: damaged Parquet file ({what})") from None


def _check_size(table: Any, file: File) -> None:
    """Raise EcgclipError where the file says that it holds far more than its size explains.

    What single columns say of themselves is not asked for: where that is damaged, pyarrow ends the process.
    """
    data = table.metadata
    groups = [data.row_group(k) for k in range(data.num_row_groups)]
    rows, unpacked = [g.num_rows for g in groups], [g.total_byte_size for g in groups]
    if min([0, *rows, *unpacked]) < 0 or data.num_rows != sum(rows):
        raise EcgclipError(f"{file.name}: damaged Parquet file (numbers of rows that do not fit)")
    expected = max(8 * data.num_rows * data.num_columns, sum(unpacked))
    if expected > min(arrays.FREE_MEMORY + EXPANSION * len(file), 8 * arrays.MAX_MEMORY):
        raise EcgclipError(f"{file.name}: takes far more memory than the file explains")


def _said(schema: Any) -> dict[str, Any]:
    """The file's own pairs of key and text, such as a sampling rate; not what libraries write for themselves."""
    pairs = list((schema.metadata or {}).items())[:100]
    texts = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in pairs if len(v) <= 1000}
    return {name: text for name, text in texts.items() if name not in ("pandas", "ARROW:schema")}


def _lists(schema: Any) -> list[str]:
    """Names of the columns whose rows are lists of numbers, or lists of such lists."""
    import pyarrow.types as types

    found = []
    for field in schema:
        kind, depth = field.type, 0
        while _is_list(kind) and depth < 3:
            kind, depth = kind.value_type, depth + 1
        if 0 < depth < 3 and (types.is_floating(kind) or types.is_integer(kind)):
            found.append(field.name)
    return found


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _numeric(schema: Any) -> list[str]:
    import pyarrow.types as types

    kinds = (types.is_floating, types.is_integer, types.is_timestamp)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)][:256]


def _column(column: Any, file: File) -> np.ndarray:
    """A column as numbers; times as seconds; NaN where there is none."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        nanoseconds = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        if nanoseconds.null_count or not len(nanoseconds):
            raise EcgclipError(f"{file.name}: the column of times has gaps")
        whole = nanoseconds.to_numpy()
        return (whole - whole[0]) / 1e9
    return column.to_numpy()


def _read_row(table: Any, index: int, beside: dict[str, Any], file: File) -> Recording:
    """One row of a file with a row for each ECG."""
    rows, place = _rows_with(table, index)
    names = _lists(table.schema_arrow)
    lists = {name: _samples(rows.column(name)[place], file) for name in names}
    for name in rows.column_names:
        value = rows.column(name)[place]
        if name not in lists and value.is_valid and (not _is_list(value.type) or len(value) <= 64):
            beside[name] = value.as_py()
    chosen = arrays.choose_signal({name: array.shape for name, array in lists.items()}, file.name)
    if len(chosen.names) > 1:
        signal = np.stack([lists[name].ravel() for name in chosen.names])
        return arrays.recording_of(signal, beside, file.name, names=list(chosen.names))
    column = rows.column(chosen.names[0])
    others = [_samples(column[k], file) for k in arrays.examples(len(column))] if len(column) > 1 else []
    others = [other for other in others if max(other.shape) >= arrays.MIN_SAMPLES]
    return arrays.recording_of(lists[chosen.names[0]], beside, file.name, others=others)


def _rows_with(table: Any, index: int) -> tuple[Any, int]:
    """The row group with row number `index`, and the row's place in it; only that group is read."""
    for k in range(table.metadata.num_row_groups):
        rows = table.metadata.row_group(k).num_rows
        if index < rows:
            return table.read_row_group(k, use_threads=False).combine_chunks(), index
        index -= rows
    raise KeyError(index)


def _samples(value: Any, file: File) -> np.ndarray:
    """A list of numbers, or lists of equal length, as an array."""
    if not value.is_valid:
        return np.empty(0)
    inner = value.values
    if not _is_list(inner.type):
        return inner.to_numpy(zero_copy_only=False)
    rows = [row.values.to_numpy(zero_copy_only=False) for row in inner if row.is_valid]
    if len({len(row) for row in rows}) != 1:
        raise EcgclipError(f"{file.name}: the leads of one row differ in length")
    return np.stack(rows)
