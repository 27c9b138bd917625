"""Records by path: what a header, a folder or a glob names, the files of a record, and its identity by content."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from ecgclip.ecg import EcgclipError, _lead
from ecgclip.files import file_sha256
from ecgclip.io.wfdb import _inside, _parse_header, _parts, _segments, _stem


def find_records(pattern: str | os.PathLike) -> list[str]:
    """Paths (without .hea) of the records that `pattern` names: a header, a folder (searched through) or a glob.

    Links to folders are followed, and each record is found once, by its most direct path. Raises EcgclipError if there are none.
    """
    pattern = os.fspath(pattern)
    if os.path.isfile(_stem(pattern) + ".hea"):
        return [_stem(pattern)]
    matches = [pattern] if os.path.isdir(pattern) else _glob(pattern)
    files: list[str] = []
    for match in matches:
        if os.path.isdir(match):
            files += [os.path.join(folder, name) for folder, names in _folders(match) for name in names]
        else:
            files.append(match)
    found = {f[: -len(".hea")] for f in files if f.endswith(".hea") and os.path.isfile(f)}
    if not found:
        what = "holds no WFDB header (.hea)" if matches else "no such record, folder or pattern"
        raise EcgclipError(f"{pattern}: {what}")
    found -= {part for record in found for part in _parts(record)}
    real = {folder: os.path.realpath(folder) for folder in {os.path.dirname(record) for record in found}}
    once: dict[tuple[str, str], str] = {}
    for record in sorted(found, key=lambda record: (record.count(os.sep), record)):
        folder, name = os.path.split(record)
        once.setdefault((real[folder], name), record)
    return sorted(once.values())


def _folders(top: str) -> Iterator[tuple[str, list[str]]]:
    """`top` and the folders below it, each once however many links lead to it, with the names of their files."""
    seen: set[str] = set()
    todo = [top]
    for start in todo:  # links come last, so that what is really here keeps its own path
        for folder, below, names in os.walk(start):
            if (real := os.path.realpath(folder)) in seen:
                below.clear()
                continue
            seen.add(real)
            below.sort()
            todo += [link for name in below if os.path.islink(link := os.path.join(folder, name))]
            yield folder, names


def _glob(pattern: str) -> list[str]:
    """As glob.glob does, but ** enters each folder once, where glob goes round in circles of links."""
    separators = re.escape(os.sep + (os.altsep or ""))
    head, *tail = re.split(rf"(?<![^{separators}])\*\*(?:[{separators}]+|$)", pattern, maxsplit=1)
    if not tail:
        return glob.glob(pattern)
    found: list[str] = []
    for top in glob.glob(head) if head else [os.curdir]:
        for folder, names in _folders(top):
            at = folder if head else folder[len("./") :]
            found += _glob(os.path.join(glob.escape(at), tail[0])) if tail[0] else [os.path.join(at, n) for n in names]
    return found


def record_files(record: str | os.PathLike) -> list[str]:
    """The files that an ECG is read from: its header, its segments' headers, the signal files of its leads.

    Raises EcgclipError if a header cannot be read, or names a file that is missing or outside its folder.
    """
    header = _parse_header(_stem(record) + ".hea")
    headers = [header, *(_segments(header).values() if header.segments else ())]
    signals = {_inside(h.path, s.file) for h in headers for s in h.signals if s.file != "~" and _lead(s.name)[0]}
    return [*(h.path for h in headers), *sorted(signals)]


def record_stamp(record: str | os.PathLike) -> tuple[int, int] | None:
    """Bytes and times of change (ns, modulo 2⁶³) of a record's files, each summed up; None if they cannot be told."""
    try:
        stats = [os.stat(file) for file in record_files(record)]
    except (EcgclipError, OSError):
        return None
    return sum(s.st_size for s in stats), sum(s.st_mtime_ns for s in stats) % 2**63


def record_hash(record: str | os.PathLike) -> str:
    """SHA-256 over the contents of a record's files. Raises EcgclipError if they cannot be read."""
    try:
        return file_sha256(*record_files(record))
    except OSError as error:
        raise EcgclipError(f"{error.filename or record}: cannot be read ({error.strerror})") from None
