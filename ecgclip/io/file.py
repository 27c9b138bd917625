"""The contents of one file: read at once, or mapped where it is long."""

from __future__ import annotations

import io
import mmap
import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ecgclip.ecg import EcgclipError

HEAD = 8192  # bytes that a format is recognised by
MOST_READ = 1 << 28  # bytes that are read at once; what is longer is mapped, and must not be cut short meanwhile
MAX_STREAM = 1 << 30  # bytes; a stream is held in memory


class NoEcg(EcgclipError):
    """A sound file of a format that is read, without an ECG: labels or features in an array. A folder may hold some."""


@dataclass(frozen=True, eq=False)
class File:
    """One file, or what came through a stream.

    Attributes
    ----------
    name : str
        Its path, or what the user calls the stream: messages begin with it.
    data : bytes or mmap
        All of it; slices are bytes, and `np.frombuffer` reads it without a copy.
    parsed : dict
        What a reader keeps between counting the ECGs and reading one.
    """

    name: str
    data: bytes | mmap.mmap
    parsed: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, path: str | os.PathLike) -> File:
        """Read or map the file at `path`. Raises EcgclipError if it is not there, is empty or cannot be read."""
        path = os.fspath(path)
        try:
            with open(path, "rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    raise EcgclipError(f"{path}: the file is empty")
                if os.fstat(file.fileno()).st_size <= MOST_READ:
                    return cls(path, file.read())
                return cls(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or error
            raise EcgclipError(f"{path}: cannot be read ({problem})") from None

    @classmethod
    def of(cls, stream: BinaryIO, name: str) -> File:
        """Read a stream to its end. Raises EcgclipError if it is empty, too long, or gives text instead of bytes."""
        if isinstance(stream, io.TextIOBase) or not hasattr(stream, "read"):
            raise EcgclipError(f"{name}: give a path or a file object opened in binary mode, as in open(path, 'rb')")
        try:
            data = stream.read(MAX_STREAM + 1)
        except (OSError, ValueError) as error:
            raise EcgclipError(f"{name}: cannot be read ({error})") from None
        if not isinstance(data, bytes):
            raise EcgclipError(f"{name}: gives {type(data).__name__} and no bytes; open it in binary mode")
        if not data or len(data) > MAX_STREAM:
            raise EcgclipError(f"{name}: the stream is {'longer than 1 GiB' if data else 'empty'}")
        return cls(name, data)

    @property
    def head(self) -> bytes:
        return self.data[:HEAD]

    def __len__(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        """A file object over the contents, for libraries that read one; a mapped file is not copied."""
        return io.BufferedReader(_Contents(self.data))


class _Contents(io.RawIOBase):
    """Bytes, or a map, as a file that is read and sought in."""

    def __init__(self, data: bytes | mmap.mmap):
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        if start + offset < 0:
            raise OSError("sought before the beginning of the file")
        self._at = start + offset
        return self._at
