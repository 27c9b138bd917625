"""MATLAB files of versions 4 and 5; version 7.3 is HDF5 (`ecgclip.io.hdf5`).

A file is a list of named variables: arrays of numbers, texts, cells and structures. Objects, functions and whatever
else MATLAB would evaluate is left alone. Known shapes are the Challenges' `val`, CPSC2018's structure ECG (sex, age,
data), and an array with its sampling rate and leads beside.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays
from ecgclip.io.file import File
from ecgclip.io.recording import Recording

CPSC_RATE = 500.0  # of CPSC2018, whose files do not say it
_HEADER = 128  # bytes of version 5
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "S1"}
_TYPES |= {17: "u2", 18: "u4"}  # UTF-16 and UTF-32
_CELL, _STRUCT, _CHAR = 1, 2, 4  # classes of arrays; 6 to 15 are numbers
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OLD_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")  # version 4
MAX_DEPTH, MAX_CELLS = 4, 1000  # of structures and cells


def is_mat4(head: bytes) -> bool:
    """Whether a file begins as MATLAB's version 4, which has no signature: a type, a size and a name that fit."""
    return any(_old_variable(head, 0, order) is not None for order in "<>")


def count_mat(file: File) -> int:
    """How many ECGs the file holds. Raises EcgclipError as `read_mat` does."""
    variables = _variables(file)
    chosen = _chosen(variables, file)
    array = variables[chosen.names[0]]
    return arrays.held_by(chosen.shape, file.name, array.__getitem__)


def read_mat(file: File, index: int = 0) -> Recording:
    """Read one ECG.

    Raises
    ------
    EcgclipError
        The file is damaged or holds no array that is an ECG, or would take more memory than its size explains.
    """
    variables = _variables(file)
    chosen = _chosen(variables, file)
    taken = [variables.pop(name) for name in chosen.names]
    if len(taken) > 1:
        signal = np.stack([vector.ravel() for vector in taken])
        recording = arrays.recording_of(signal, variables, file.name, names=list(chosen.names))
    else:
        recording = arrays.recording_from(taken[0], variables, index, file.name)
    if chosen.names == ("ECG/data",) and not any(channel.rate for channel in recording.channels):
        note = f"assumed {CPSC_RATE:g} Hz: the file gives none, and its structure is the data set CPSC2018's"
        channels = [type(c)(c.samples, c.name, c.unit or "mV", CPSC_RATE) for c in recording.channels]
        return Recording(channels, recording.metadata, (*recording.notes, note))
    return recording


def _chosen(variables: dict[str, Any], file: File) -> arrays.Chosen:
    numeric = {name: value.shape for name, value in variables.items() if _is_numeric(value)}
    return arrays.choose_signal(numeric, file.name)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _variables(file: File) -> dict[str, Any]:
    """All variables by name: arrays, texts, lists of texts; the fields of a structure as "structure/field"."""
    if "variables" not in file.parsed:
        flat: dict[str, Any] = {}
        for name, value in _read_old(file) if is_mat4(file.head) else _Reader(file).variables():
            _flatten(name, value, flat)
        file.parsed["variables"] = flat
    return dict(file.parsed["variables"])


def _flatten(name: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for field, inner in value.items():
            _flatten(f"{name}/{field}", inner, flat)
    elif value is not None:
        flat[name] = value


# ---------------------------------------------------------------------------------------------------------------------
# Version 4


def _old_variable(data: bytes | mmap.mmap, at: int, order: str) -> tuple[int, int, int, int, int] | None:
    """Type, rows, columns, whether complex, and length of the name of the variable at `at`; None if there is none."""
    header = data[at : at + 20]
    if len(header) < 20:
        return None
    kind, rows, columns, imaginary, length = np.frombuffer(header, order + "i4").tolist()
    name = bytes(data[at + 20 : at + 20 + max(0, min(length, 64))])
    machine, digits = divmod(kind, 1000)
    sound = machine == (order == ">") and digits % 10 in (0, 1, 2) and digits // 10 < len(_OLD_TYPES)
    if not (sound and rows >= 0 and columns >= 0 and imaginary in (0, 1) and 1 < length <= 64):
        return None
    if len(name) < length or name[-1] or not name[:-1].decode("latin-1").isidentifier():
        return None
    return kind % 1000, rows, columns, imaginary, length


def _read_old(file: File) -> Iterator[tuple[str, Any]]:
    """The variables of a file of version 4. Raises EcgclipError for damage."""
    order = "<" if _old_variable(file.head, 0, "<") else ">"
    at = 0
    while at < len(file):
        header = _old_variable(file.data, at, order)
        if header is None:
            raise EcgclipError(f"{file.name}: damaged MATLAB file: no variable begins at byte {at}")
        kind, rows, columns, imaginary, length = header
        name = file.data[at + 20 : at + 19 + length].decode("latin-1")
        dtype = np.dtype(order + _OLD_TYPES[kind // 10])
        start = at + 20 + length
        at = start + rows * columns * dtype.itemsize * (1 + imaginary)
        if at > len(file):
            raise EcgclipError(f"{file.name}: cut off: {name} should have {rows} × {columns} numbers")
        values = np.frombuffer(file.data, dtype, rows * columns, start).reshape(columns, rows).T
        if kind % 10 == 1:
            yield name, ["".join(map(chr, row.astype(np.int64).clip(0, 255))).strip() for row in values[:MAX_CELLS]]
        elif kind % 10 == 0 and not imaginary:
            yield name, values


# ---------------------------------------------------------------------------------------------------------------------
# Version 5


class _Reader:
    """The elements of a file of version 5; every size is checked against the bytes that are there."""

    def __init__(self, file: File):
        if len(file) < _HEADER or file.data[126:128] not in (b"IM", b"MI"):
            raise EcgclipError(f"{file.name}: damaged MATLAB file: its header is cut or has no byte order")
        self.file = file
        self.order = "<" if file.data[126:128] == b"IM" else ">"
        self.left = min(arrays.FREE_MEMORY + arrays.EXPANSION * len(file), arrays.MAX_MEMORY)

    def damaged(self, what: str) -> EcgclipError:
        return EcgclipError(f"{self.file.name}: damaged MATLAB file: {what}")

    def variables(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each variable."""
        whole = memoryview(self.file.data)
        at = _HEADER
        while at + 8 <= len(whole):
            kind, content, at = self._element(whole, at, padded=False)
            if kind == 0:
                return  # zeros that fill the file
            if kind == _COMPRESSED:
                unpacked = memoryview(self._inflate(content))
                kind, content, _ = self._element(unpacked, 0)
            if kind == _MATRIX:
                yield self._matrix(content, 0)

    def _inflate(self, content: memoryview) -> bytes:
        """A compressed element; no more is unpacked than the size of the file explains."""
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(content, self.left)
        except zlib.error as error:
            raise self.damaged(f"a variable cannot be unpacked ({error})") from None
        self.left -= len(unpacked)
        if self.left <= 0:
            raise self.damaged("a variable takes far more memory than the file explains")
        return unpacked

    def _element(self, data: memoryview, at: int, padded: bool = True) -> tuple[int, memoryview, int]:
        """Type and content of the element at `at`, and where the next one begins."""
        if at + 8 > len(data):
            raise self.damaged("an element is cut off")
        kind, size = np.frombuffer(data, self.order + "u4", 2, at).tolist()
        if kind >> 16:  # up to four bytes that stand in the tag
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise self.damaged(f"a short element of {size} bytes")
        else:
            start = at + 8
            end = start + size + (-size % 8 if padded and kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise self.damaged(f"an element of {size} bytes where {len(data) - start} are left")
        return kind, data[start : start + size], end

    def _numbers(self, data: memoryview, at: int) -> tuple[np.ndarray, int]:
        kind, content, after = self._element(data, at)
        if kind not in _TYPES:
            raise self.damaged(f"numbers of an unknown type {kind}")
        dtype = np.dtype(self.order + _TYPES[kind])
        return np.frombuffer(content, dtype, len(content) // dtype.itemsize), after

    def _matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """Name and value; the value is None for what is left alone."""
        if not len(data):
            return "", None
        flags, at = self._numbers(data, 0)
        if not len(flags):
            raise self.damaged("an array without a class")
        kind, is_complex = int(flags[0]) & 0xFF, bool(int(flags[0]) & 0x800)
        shape, at = self._numbers(data, at)
        if kind not in (*_CLASSES, _CELL, _STRUCT, _CHAR):  # objects, functions, sparse arrays
            return "", None
        _, text, at = self._element(data, at)
        name, dims = bytes(text).decode("utf-8", "replace"), [int(n) for n in shape[:8]]
        if not 2 <= len(dims) <= 8 or min(dims) < 0:
            raise self.damaged(f"array {name[:40]!r} has the shape {dims[:8]}")
        if kind in (_CELL, _STRUCT):
            return name, self._nested(data, at, kind, int(np.prod(dims, dtype=object)), depth)
        values, _ = self._numbers(data, at)
        if len(values) != np.prod(dims, dtype=object):
            raise self.damaged(f"array {name[:40]!r} has {len(values)} numbers for the shape {dims}")
        if kind == _CHAR:
            return name, _text(values, dims)
        with np.errstate(invalid="ignore"):
            values = (values.view("u1") if values.dtype.kind == "S" else values).astype(_CLASSES[kind], copy=False)
        return name, None if is_complex else values.reshape(dims, order="F")

    def _nested(self, data: memoryview, at: int, kind: int, count: int, depth: int) -> Any:
        """A structure as a dict, or a cell array of texts as a list; None for anything deeper, larger or mixed."""
        fields: list[str] = []
        if kind == _STRUCT:
            length, at = self._numbers(data, at)
            _, text, at = self._element(data, at)
            width = int(length[0]) if len(length) else 0
            if width < 1 or len(text) > 64 * MAX_CELLS:
                raise self.damaged("a structure without names of fields")
            fields = [bytes(text[i : i + width]).split(b"\0")[0].decode("latin-1") for i in range(0, len(text), width)]
        if depth >= MAX_DEPTH or count > MAX_CELLS or (kind == _STRUCT and count != 1):
            return None
        values = []
        for _ in range(len(fields) if kind == _STRUCT else count):
            inner, content, at = self._element(data, at)
            values.append(self._matrix(content, depth + 1)[1] if inner == _MATRIX else None)
        if kind == _STRUCT:
            return dict(zip(fields, values, strict=True))
        return values if all(isinstance(value, str) for value in values) else None


def _text(values: np.ndarray, dims: list[int]) -> str | list[str] | None:
    """A row of characters as a text, several rows as a list of texts."""
    if len(dims) != 2 or values.size > 1 << 16:
        return None
    codes = values.view("u1") if values.dtype.kind == "S" else values
    rows = codes.reshape(dims, order="F")
    lines = ["".join(chr(code) for code in row.tolist() if 0 < code < 0xD800).strip() for row in rows]
    return lines[0] if len(lines) == 1 else lines
