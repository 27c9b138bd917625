"""Write an ECG in a format that others read, without who the patient is.

    write_ecg(read_ecg("record.dcm"), "folder/record", "edf")        # folder/record.edf

Signals are kept within half a step: 1 µV for 16-bit formats where the range of a lead fits, 0.1 µV in CSV, exactly in
npz. Missing samples, the sampling rate and the metadata are kept.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.values import unsigned

# name → the ending of its files, and where the function that writes one is
WRITERS: dict[str, tuple[str, str]] = {
    "wfdb": (".hea", "ecgclip.io.write_wfdb:write_record"),
    "edf": (".edf", "ecgclip.io.write_edf:write_edf"),
    "dicom": (".dcm", "ecgclip.io.write_dicom:write_dicom"),
    "csv": (".csv", "ecgclip.io.write_tables:write_csv"),
    "npz": (".npz", "ecgclip.io.write_tables:write_npz"),
}
OLDEST = 90  # years, written for every age above 89, by which a person could be recognised
KEPT = ("age", "sex", "device", "statements", "measurements", "dx")  # says nothing of who the patient is


def write_ecg(ecg: ECG, path: str | os.PathLike, to: str, deidentify: bool = True) -> str:
    """Write an ECG, whole or not at all; a file that is there is replaced.

    Parameters
    ----------
    ecg : ECG
    path : str or PathLike
        Of the file, with or without its ending.
    to : str
        wfdb, edf, dicom, csv or npz.
    deidentify : bool
        Leave out the patient's id, the time and the comments, which may name people; see `deidentified`.

    Returns
    -------
    str
        The path of the file; of a WFDB record, its header.

    Raises
    ------
    EcgclipError
        The format is unknown or needs a library that is not installed, the format cannot hold the samples, or the file
        cannot be written.
    """
    target = output_path(path, to)
    module, function = WRITERS[to][1].split(":")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        getattr(import_module(module), function)(deidentified(ecg) if deidentify else ecg, target)
    except OSError as error:
        raise EcgclipError(f"{target}: cannot be written ({error.strerror or error})") from None
    return str(target)


def output_path(path: str | os.PathLike, to: str) -> Path:
    """`path` with the ending of the format. Raises EcgclipError for an unknown format."""
    if to not in WRITERS:
        raise EcgclipError(f"unknown format {to!r} to write: {', '.join(WRITERS)}")
    ending = WRITERS[to][0]
    return Path(os.fspath(path).removesuffix(ending) + ending)


def deidentified(ecg: ECG) -> ECG:
    """Without id, time and comments; what is left are age (90 for any above 89), sex, device and what the device says.

    Statements that name who confirmed them are left out, too.
    """
    kept = {key: ecg.metadata[key] for key in KEPT if ecg.metadata.get(key) is not None}
    if kept.get("age", 0) > OLDEST - 1:
        kept["age"] = OLDEST
    if "statements" in kept:
        kept["statements"] = unsigned(kept["statements"])
    return replace(ecg, metadata=kept)
