"""Records by path: those that a file, a folder or a glob names, the files of a record, its stamp and its hash."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ecgclip.ecg import EcgclipError, standard_lead
from ecgclip.files import file_sha256
from ecgclip.io.file import HEAD, File, NoEcg
from ecgclip.io.formats import Format, format_by, format_of, kind
from ecgclip.io.read import STANDARD_INPUT, is_wfdb, split_index
from ecgclip.io.wfdb_header import parse_header, path_beside, record_stem, segment_headers, segment_records


@dataclass(frozen=True)
class Found:
    """What a search for records found.

    Attributes
    ----------
    records : list of str
        Paths, sorted: of a WFDB record without .hea; "file#0", "file#1" … of a file that holds several ECGs.
    skipped : Counter
        Files that are no ECG, by what they are.
    """

    records: list[str]
    skipped: Counter[str]


def find_records(pattern: str | os.PathLike) -> list[str]:
    """The records that `pattern` names: a file, a WFDB header, a folder (searched through) or a glob.

    Links to folders are followed, and each record is found once, by its most direct path. The segments of a
    multi-segment record are not records of their own. Files that are no ECG, and pipes and devices, are left out of
    folders and globs.

    Returns
    -------
    list of str
        See `Found`.

    Raises
    ------
    EcgclipError
        There are none, or it is a pipe.
    """
    return survey(pattern).records


def survey(pattern: str | os.PathLike) -> Found:
    """As `find_records`, and what was skipped."""
    pattern = os.fspath(pattern)
    if pattern == STANDARD_INPUT:
        return Found([pattern], Counter())
    file, index = split_index(pattern)
    if os.path.isfile(record_stem(pattern) + ".hea") and is_wfdb(pattern):
        return Found([record_stem(pattern)], Counter())
    if index is not None and os.path.isfile(file):
        return Found([pattern], Counter())
    if os.path.isfile(pattern):
        return Found(_numbered(pattern, ecgs_held(pattern)), Counter())
    if what := _irregular(pattern):
        raise EcgclipError(f"{pattern}: {what}; give it as standard input: -")
    matches = [pattern] if os.path.isdir(pattern) else _glob(pattern)
    files, skipped = _files_of(matches)
    records = {f[: -len(".hea")] for f in files if f.endswith(".hea")}
    of_wfdb = frozenset(records)
    for file in files:
        stem, extension = os.path.splitext(file)
        beside = stem in of_wfdb or file in of_wfdb
        if extension == ".hea" or (beside and extension in (".dat", ".mat")):
            continue
        head = _head(file)
        if head and (row := format_by(head)):
            try:
                records.update(_numbered(file, _held(row, file)))
            except NoEcg:
                skipped["a file of arrays without an ECG"] += 1
        elif not beside:  # the annotations of a record are no file of their own
            skipped["a file that cannot be opened" if head is None else kind(head)] += 1
    if not records:
        counted = f" ({', '.join(f'{n} × {what}' for what, n in skipped.items())})" if skipped else ""
        what = f"holds no ECG{counted}" if matches else "no such record, folder or pattern"
        raise EcgclipError(f"{pattern}: {what}")
    records -= {segment for record in records for segment in segment_records(record)}
    return Found(_once_each(records), skipped)


def _files_of(matches: list[str]) -> tuple[list[str], Counter[str]]:
    """The files among `matches` and in the folders among them; and what cannot be read as a file, counted."""
    files: list[str] = []
    for match in matches:
        if os.path.isdir(match):
            files += [os.path.join(folder, name) for folder, names in _folders(match) for name in names]
        else:
            files.append(match)
    kinds = {file: what for file in files if (what := _irregular(file))}
    return [file for file in files if file not in kinds], Counter(kinds.values())


def _irregular(path: str) -> str | None:
    """What `path` is, if it is neither a file nor a folder; opening a pipe would wait until something is written."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # told when it is opened
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "a pipe" if stat.S_ISFIFO(mode) else "no regular file"


def _head(path: str) -> bytes | None:
    """The bytes that a file is recognised by; None if it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError:
        return None


def _numbered(path: str, held: int | None) -> list[str]:
    """The ECGs in one file: its path, or "path#0" to "path#n"; a damaged file is one, and reading it says why."""
    return [path] if held is None or held <= 1 else [f"{path}#{i}" for i in range(held)]


def ecgs_held(path: str) -> int | None:
    """How many ECGs one file holds; None if that cannot be told, as of a damaged one. Raises NoEcg if none."""
    try:
        return _held(format_of(File(path, _head(path) or b"")), path)
    except NoEcg:
        raise
    except EcgclipError:
        return None


def _held(row: Format, path: str) -> int | None:
    """As `ecgs_held`, of a file whose format is known: the contents are read only where they have to be counted."""
    try:
        return 1 if row.count is None else row.held(File.at(path))
    except NoEcg:
        raise
    except EcgclipError:
        return None


def _once_each(records: set[str]) -> list[str]:
    """Sorted paths of records; of several paths to one record, the shortest in folders."""
    real_folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(record) for record in records}}
    chosen: dict[tuple[str, str], str] = {}
    for record in sorted(records, key=lambda record: (record.count(os.sep), record)):
        folder, name = os.path.split(record)
        chosen.setdefault((real_folders[folder], name), record)
    return sorted(chosen.values())


def _folders(top: str) -> Iterator[tuple[str, list[str]]]:
    """`top` and the folders below it, each once however many links lead to it, with the names of their files."""
    seen: set[str] = set()
    starts = [top]
    for start in starts:  # links are searched last, so that a folder is found by its own path first
        for folder, subfolders, names in os.walk(start):
            if (real := os.path.realpath(folder)) in seen:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders.sort()
            starts += [link for name in subfolders if os.path.islink(link := os.path.join(folder, name))]
            yield folder, names


def _glob(pattern: str) -> list[str]:
    """As glob.glob, but ** enters each folder once, where glob would follow circles of links."""
    separators = re.escape(os.sep + (os.altsep or ""))
    head, *tail = re.split(rf"(?<![^{separators}])\*\*(?:[{separators}]+|$)", pattern, maxsplit=1)
    if not tail:
        return glob.glob(pattern)
    matches: list[str] = []
    for top in glob.glob(head) if head else [os.curdir]:
        for folder, names in _folders(top):
            base = folder if head else folder[len("./") :]
            if tail[0]:
                matches += _glob(os.path.join(glob.escape(base), tail[0]))
            else:
                matches += [os.path.join(base, name) for name in names]
    return matches


def record_files(record: str | os.PathLike) -> list[str]:
    """The files that an ECG is read from.

    One file, but of a WFDB record its header, its segments' headers and the signal files of its leads.

    Raises
    ------
    EcgclipError
        A header cannot be read, or names a file that is missing or outside its folder.
    """
    if not is_wfdb(os.fspath(record)):
        return [split_index(os.fspath(record))[0]]
    header = parse_header(record_stem(record) + ".hea")
    headers = [header, *(segment_headers(header).values() if header.segments else ())]
    named = {(h.path, s.file) for h in headers for s in h.signals if s.file != "~" and standard_lead(s.name)[0]}
    return [*(h.path for h in headers), *sorted({path_beside(*each) for each in named})]


def record_exists(record: str | os.PathLike) -> bool:
    """Whether a record is there: its header or file; of "file#3", whether the file still holds so many ECGs."""
    record = os.fspath(record)
    if os.path.exists(record_stem(record) + ".hea"):
        return True
    file, index = split_index(record)
    if index is None or not os.path.isfile(file):
        return os.path.isfile(file)
    held = _held_now(file, record_stamp(file))
    return held is None or index < held


@lru_cache(maxsize=8)
def _held_now(file: str, stamp: tuple[int, int] | None) -> int | None:
    """As `ecgs_held`, 0 for none: counted once, and not again for each ECG in the file."""
    try:
        return ecgs_held(file)
    except NoEcg:
        return 0


def record_stamp(record: str | os.PathLike) -> tuple[int, int] | None:
    """Sizes (bytes) and times of change (ns, modulo 2⁶³) of a record's files, each summed; None if unreadable."""
    try:
        stats = [os.stat(file) for file in record_files(record)]
    except (EcgclipError, OSError):
        return None
    return sum(s.st_size for s in stats), sum(s.st_mtime_ns for s in stats) % 2**63


def record_hash(record: str | os.PathLike) -> str:
    """SHA-256 over the contents of a record's files. Raises EcgclipError if they cannot be read."""
    index = split_index(os.fspath(record))[1]
    try:
        if index is None:
            return file_sha256(*record_files(record))
        return hashlib.sha256(
            f"{_batch_hash(*record_files(record), record_stamp(record))}#{index}".encode()
        ).hexdigest()
    except OSError as error:
        raise EcgclipError(f"{error.filename or record}: cannot be read ({error.strerror})") from None


@lru_cache(maxsize=8)
def _batch_hash(file: str, stamp: tuple[int, int] | None) -> str:
    """The hash of a file that holds several ECGs: computed once, and not again for each of them."""
    return file_sha256(file)
