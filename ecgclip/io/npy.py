"""NumPy's .npy and .npz files: an array, or a zip archive of arrays by name. Never a pickle."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io import arrays
from ecgclip.io.file import File, NoEcg
from ecgclip.io.recording import Recording

_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<dtype>[^']{2,8})',\s*'fortran_order':\s*(?P<order>True|False),"
    rb"\s*'shape':\s*\((?P<shape>[\d,\s L]*)\),?\s*\}\s*"
)
_DTYPE = re.compile(r"[<>|=](?:f[248]|[iu][1248]|b1|[SU]\d{1,4})")
MAX_ARRAYS = 1000
MAX_BESIDE = 1 << 20  # bytes of an array beside the signal


@dataclass(frozen=True)
class _Head:
    """What stands before the numbers of an array, and where they begin."""

    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def count_npy(file: File) -> int:
    """How many ECGs the file holds. Raises EcgclipError as `read_npy` does."""
    if not file.head.startswith(b"PK"):
        array = _signal(file)
        return arrays.held_by(array.shape, file.name, array.__getitem__)
    with _archive(file) as archive:
        heads = _heads(archive, file)
        chosen = _chosen(heads, file)
        for name in chosen.names:
            _check_size(heads[name].nbytes, file)
        name = chosen.names[0]
        return arrays.held_by(chosen.shape, file.name, lambda place: _taken(archive, name, heads[name], place, file))


def read_npy(file: File, index: int = 0) -> Recording:
    """Read one ECG.

    Raises
    ------
    EcgclipError
        The file is damaged, holds Python objects or no array that is an ECG, or unpacks to more than its size explains.
    """
    if file.head.startswith(b"PK"):
        return _read_npz(file, index)
    return arrays.recording_from(_signal(file), {}, index, file.name)


def _signal(file: File) -> np.ndarray:
    """The array of a .npy file. Raises EcgclipError where it is no ECG, or not all there."""
    head = _array_head(file.data[:65536], file.name)
    if head.dtype.kind not in "fiu" or max(head.shape, default=0) < arrays.MIN_SAMPLES:
        raise NoEcg(f"{file.name}: an array of {head.dtype} with the shape {head.shape} is no ECG")
    return _array(file.data, head, file.name)


def _array_head(data: bytes, where: str) -> _Head:
    """The head of an array. Raises EcgclipError for damage, and for anything but numbers and texts."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        raise EcgclipError(f"{where}: damaged NumPy file: it does not begin as an array")
    width = 2 if data[6] == 1 else 4
    start = 8 + width
    size = int.from_bytes(data[8:start], "little")
    text = data[start : start + size]
    found = _HEADER.fullmatch(text)
    if b"'|O'" in text or b"'O'" in text:
        raise EcgclipError(f"{where}: holds Python objects (a pickle), which are never loaded: save numbers")
    if len(text) < size or found is None or not _DTYPE.fullmatch(found["dtype"].decode("latin-1")):
        kind = found["dtype"].decode("latin-1") if found else "a structure, or damaged"
        raise EcgclipError(f"{where}: not an array of real numbers ({kind})")
    sizes = [n.strip(b" L\n") for n in found["shape"].split(b",")]
    shape = tuple(int(n) for n in sizes if n.isdigit() and len(n) < 16)
    if len(shape) > 8 or len(shape) != sum(map(bool, sizes)):
        raise EcgclipError(f"{where}: damaged NumPy file: no shape")
    dtype = np.dtype(found["dtype"].decode("ascii"))
    return _Head(dtype, found["order"] == b"True", shape, start + size)


def _array(data: Any, head: _Head, where: str) -> np.ndarray:
    """The array that follows its head, not copied."""
    if head.start + head.nbytes > len(data):
        raise EcgclipError(
            f"{where}: cut off: {head.nbytes} bytes of {head.shape} numbers expected, {len(data) - head.start} there"
        )
    flat = np.frombuffer(data, head.dtype, math.prod(head.shape), head.start) if head.dtype.itemsize else np.empty(0)
    return flat.reshape(head.shape, order="F" if head.fortran else "C")


# ---------------------------------------------------------------------------------------------------------------------
# Archives


def _archive(file: File) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file.open())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise EcgclipError(f"{file.name}: damaged .npz file ({error})") from None


def _heads(archive: zipfile.ZipFile, file: File) -> dict[str, _Head]:
    """The head of each array that is numbers or texts. Raises EcgclipError where there is none."""
    heads: dict[str, _Head] = {}
    problem = EcgclipError(f"{file.name}: holds no array")
    for info in archive.infolist()[:MAX_ARRAYS]:
        if info.filename.endswith(".npy"):
            try:
                start = _unpacked(archive, info, [0], 65536, file)[0]
                heads[info.filename[: -len(".npy")]] = _array_head(start, file.name)
            except EcgclipError as error:  # such as Python objects beside the signal
                problem = error
    if not heads:
        raise problem
    return heads


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, starts: list[int], size: int, file: File) -> list[bytes]:
    """`size` bytes of a member from each of `starts` (rising) on, as far as they are there."""
    try:
        pieces = []
        with archive.open(info) as member:
            for start in starts:
                member.seek(start)
                pieces.append(member.read(min(size, max(info.file_size - start, 0))))
        return pieces
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, NotImplementedError) as error:
        raise EcgclipError(f"{file.name}: damaged .npz file: {info.filename[:40]!r} ({error})") from None


def _chosen(heads: dict[str, _Head], file: File) -> arrays.Chosen:
    return arrays.choose_signal({k: head.shape for k, head in heads.items() if head.dtype.kind in "fiu"}, file.name)


def _read_npz(file: File, index: int) -> Recording:
    with _archive(file) as archive:
        heads = _heads(archive, file)
        chosen = _chosen(heads, file)
        beside = {
            name: _member(archive, name, head, file)
            for name, head in heads.items()
            if name not in chosen.names and head.nbytes <= MAX_BESIDE
        }
        if len(chosen.names) > 1:
            vectors = [_member(archive, name, heads[name], file).ravel() for name in chosen.names]
            return arrays.recording_of(np.stack(vectors), beside, file.name, names=list(chosen.names))
        name, head = chosen.names[0], heads[chosen.names[0]]
        axis = arrays.batch_axis(head.shape, file.name, lambda place: _taken(archive, name, head, place, file))
        if axis != 0 or head.fortran:
            return arrays.recording_from(_member(archive, name, head, file), beside, index, file.name)
        # Of a batch one after the other, only what is asked for is unpacked
        indices = sorted({index, *arrays.examples(head.shape[0])})
        some = dict(zip(indices, _some(archive, name, head, indices, file), strict=True))
        beside = arrays.one_of(beside, index, head.shape[0])
        return arrays.recording_of(some[index], beside, file.name, others=list(some.values()))


def _taken(archive: zipfile.ZipFile, name: str, head: _Head, place: arrays.Place, file: File) -> np.ndarray:
    """A part of an array; where it is one ECG of a batch one after the other, only that is unpacked."""
    if isinstance(place[0], int) and not head.fortran:
        return _some(archive, name, head, [place[0]], file)[0][place[1:]]
    return _member(archive, name, head, file)[place]


def _some(archive: zipfile.ZipFile, name: str, head: _Head, indices: list[int], file: File) -> list[np.ndarray]:
    """Some ECGs of a batch."""
    _check_size(head.nbytes, file)
    size = head.nbytes // head.shape[0]
    if len(indices) * size > arrays.MAX_MEMORY:
        raise EcgclipError(f"{file.name}: the ECGs of {name[:80]!r} are larger than 1 GiB")
    starts = [head.start + k * size for k in indices]
    pieces = _unpacked(archive, archive.getinfo(f"{name}.npy"), starts, size, file)
    return [_array(piece, _Head(head.dtype, False, head.shape[1:], 0), file.name) for piece in pieces]


def _check_size(size: int, file: File) -> None:
    if size > arrays.FREE_MEMORY + arrays.EXPANSION * len(file):
        raise EcgclipError(f"{file.name}: an array of {size} bytes is far more than the file explains")


def _member(archive: zipfile.ZipFile, name: str, head: _Head, file: File) -> np.ndarray:
    """An array of the archive."""
    _check_size(head.nbytes, file)
    if head.nbytes > arrays.MAX_MEMORY:
        raise EcgclipError(f"{file.name}: {name[:80]!r} is larger than 1 GiB")
    data = _unpacked(archive, archive.getinfo(f"{name}.npy"), [head.start], head.nbytes, file)
    return _array(data[0], _Head(head.dtype, head.fortran, head.shape, 0), file.name)
