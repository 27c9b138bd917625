"""Read an ECG from a file of any format, or from a stream.

    ecg = read_ecg("record.hea")        # or .dcm, .xml, .scp, .edf, .csv …: docs/formats.md
    ecg.signal                          # float32 (leads, samples), mV, NaN = missing

A file is recognised by its content (`ecgclip.io.formats`), not by its name. Only a WFDB record is found by its name, as
it is several files.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import BinaryIO

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.formats import format_of
from ecgclip.io.metadata import parse_comments
from ecgclip.io.recording import Given, make_ecg
from ecgclip.io.wfdb import read_wfdb
from ecgclip.io.wfdb_header import parse_header, record_stem

STANDARD_INPUT = "-"


def read_ecg(
    path: str | os.PathLike | BinaryIO,
    *,
    name: str | None = None,
    sampling_rate: float | None = None,
    unit: str | None = None,
    leads: Sequence[str] | None = None,
    keep_ids: bool = False,
) -> ECG:
    """Read one ECG.

    Signals that are not one of the twelve leads are left out, with a note.

    Parameters
    ----------
    path : str, path or binary file object
        A WFDB record with or without .hea, or a file of another format; "file#3" is the fourth ECG of a file that holds
        several; "-" is standard input.
    name : str, optional
        What messages call a file object.
    sampling_rate : float, optional
        Hz; overrules the file.
    unit : str, optional
        Of the samples: mV, uV, V or nV; overrules the file.
    leads : sequence of str, optional
        A name for each channel of the file, in order; overrules the file.
    keep_ids : bool
        Keep the patient's id in `metadata["patient"]` instead of a salted hash of it.

    Raises
    ------
    EcgclipError
        The file cannot be read, or holds no ECG lead or less than 2 s of it. The message is one line that begins with
        the path.
    """
    given = Given(sampling_rate, unit, None if leads is None else tuple(leads), keep_ids)
    if not isinstance(path, (str, os.PathLike)):
        return _read_file(File.of(path, name or str(getattr(path, "name", "stream"))), None, given)
    path = os.fspath(path)
    if path == STANDARD_INPUT:
        return _read_file(File.of(_standard_input(), name or "standard input"), None, given)
    if is_wfdb(path):
        if not os.path.exists(path) and not os.path.isfile(record_stem(path) + ".hea"):
            raise EcgclipError(f"{path}: no such file or record")
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise EcgclipError(f"{path}: a pipe or a device; give it as standard input: -")
        return read_wfdb(path, given)
    file, index = split_index(path)
    return _read_file(File.at(file), index, given, path)


def _standard_input() -> BinaryIO:
    """A reader of its own: Python aborts at exit if a thread, as of an interrupted program, waits in sys.stdin's."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except OSError:  # replaced by what is no file
        return sys.stdin.buffer


def read_metadata(path: str | os.PathLike) -> dict:
    """The metadata that `read_ecg` gives; of a WFDB record from the header alone. Raises EcgclipError as it does."""
    path = os.fspath(path)
    if is_wfdb(path):
        return parse_comments(parse_header(record_stem(path) + ".hea").comments)
    return read_ecg(path).metadata


def is_wfdb(path: str) -> bool:
    """Whether a path names a WFDB record: it ends in .hea, or a header lies beside and there is no such file."""
    return path.endswith(".hea") or not os.path.isfile(split_index(path)[0]) or _is_signal_file(path)


def _is_signal_file(path: str) -> bool:
    """Whether `path` is a signal file that the header with the same name names, such as a .mat file of a Challenge."""
    stem, extension = os.path.splitext(path)
    if extension not in (".dat", ".mat") or not os.path.isfile(stem + ".hea"):
        return False
    try:
        return any(signal.file == os.path.basename(path) for signal in parse_header(stem + ".hea").signals)
    except EcgclipError:
        return True  # reading the record tells what is wrong with its header


def split_index(path: str) -> tuple[str, int | None]:
    """ "batch.h5#3" → ("batch.h5", 3); a file whose own name ends like that stays whole."""
    found = re.fullmatch(r"(.+)#(\d{1,9})", path, re.DOTALL)
    return (found[1], int(found[2])) if found and not os.path.exists(path) else (path, None)


def _read_file(file: File, index: int | None, given: Given, source: str | None = None) -> ECG:
    return make_ecg(format_of(file).read(file, index), source or file.name, given)
