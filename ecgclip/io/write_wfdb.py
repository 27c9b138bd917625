"""Write an ECG as a WFDB record in format 16."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.digital import Digital, digitise
from ecgclip.io.metadata import comment_lines


def write_record(ecg: ECG, path: str | os.PathLike) -> str:
    """Write an ECG as a WFDB record, at 1 µV where its range allows. Both files appear whole or not at all.

    Parameters
    ----------
    ecg : ECG
    path : str or PathLike
        The record, with or without .hea.

    Returns
    -------
    str
        The path of the header.

    Raises
    ------
    EcgclipError
        The name or the folder cannot hold a record, or a sample is beyond 9 V.
    """
    header = Path(str(path).removesuffix(".hea") + ".hea")
    if not re.fullmatch(r"[-\w]+", header.stem):
        raise EcgclipError(f"{path}: a WFDB record name has letters, digits, '-' and '_' only: rename it")
    digital = digitise(ecg.signal)
    try:
        header.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=header.parent, prefix=".ecgclip-") as folder:
            digital.samples.T.astype("<i2").tofile(Path(folder, header.stem + ".dat"))
            text = "\n".join([*_signal_lines(ecg, digital, header.stem), *_comments(ecg)]) + "\n"
            Path(folder, header.name).write_text(text, encoding="utf-8", newline="\n")
            for suffix in (".dat", ".hea"):  # the header last: a record is there once its header is
                os.replace(Path(folder, header.stem + suffix), header.with_suffix(suffix))
    except OSError as error:
        raise EcgclipError(f"{header}: cannot write the record ({error.strerror or error})") from error
    return str(header)


def _signal_lines(ecg: ECG, digital: Digital, name: str) -> list[str]:
    lines = [f"{name} {len(ecg.leads)} {ecg.sampling_rate:.12g} {ecg.signal.shape[1]}"]
    for lead, samples, step, offset in zip(ecg.leads, *digital, strict=True):
        checksum = int(samples.sum(dtype=int)) % 65536
        lines.append(f"{name}.dat 16 {1000 / step}({-offset // step})/mV 16 0 {samples[0]} {checksum} 0 {lead}")
    return lines


def _comments(ecg: ECG) -> list[str]:
    return [f"# {line}" for line in comment_lines(ecg.metadata)]
