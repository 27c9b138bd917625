"""Writing a simulated ECG as a WFDB record."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import numpy as np

from ecgclip.ecg import ECG, EcgclipError

ADC_GAIN = 1000  # units for 1 mV in a written record
MAX_MV = 32767 / ADC_GAIN  # the largest value that format 16 holds


def write_record(ecg: ECG, path: str | os.PathLike) -> str:
    """Write an ECG as a WFDB record in format 16 at 1 µV. Both files appear whole or not at all.

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
        The name or the folder cannot hold a record.
    """
    import wfdb

    header = Path(str(path).removesuffix(".hea") + ".hea")
    if not re.fullmatch(r"[-\w]+", header.stem):
        raise EcgclipError(f"{path}: a WFDB record name has letters, digits, '-' and '_' only: rename it")
    try:
        header.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=header.parent, prefix=".simulate-") as folder:
            wfdb.wrsamp(
                header.stem,
                fs=ecg.sampling_rate,
                units=["mV"] * len(ecg.leads),
                sig_name=list(ecg.leads),
                p_signal=np.clip(ecg.signal.T.astype(np.float64), -MAX_MV, MAX_MV),
                fmt=["16"] * len(ecg.leads),
                adc_gain=[float(ADC_GAIN)] * len(ecg.leads),
                baseline=[0] * len(ecg.leads),
                comments=_comments(ecg.metadata),
                write_dir=folder,
            )
            for suffix in (".dat", ".hea"):  # the header last: a record is there once its header is
                os.replace(Path(folder, header.stem + suffix), header.with_suffix(suffix))
    except OSError as error:
        raise EcgclipError(f"{header}: cannot write the record ({error.strerror or error})") from error
    return str(header)


def _comments(metadata: dict) -> list[str]:
    """The comment lines of a header: age, sex, and the other comments."""
    age, sex = metadata.get("age"), metadata.get("sex")
    lines = [] if age is None else [f"Age: {age:g}"]
    lines += [] if sex is None else [f"Sex: {str(sex).capitalize()}"]
    return lines + [text for text in metadata.get("comments", []) if not re.match(r"(?i)\s*(age|sex)\s*:", text)]
