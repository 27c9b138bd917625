"""Write an ECG as CSV or as NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.files import replacing
from ecgclip.io.metadata import comment_lines


def write_csv(ecg: ECG, path: Path) -> None:
    """Write a column a lead, in mV with four decimals; above it the sampling rate, the unit and the metadata.

    Missing is NaN, as in a file of one lead an empty cell would be an empty line.
    """
    about = [f"sampling_rate: {ecg.sampling_rate:.12g} Hz", "unit: mV", *comment_lines(ecg.metadata, "Comment: ")]
    header = [*(f"# {line}" for line in about), ",".join(ecg.leads)]
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        np.savetxt(file, ecg.signal.T, "%.4f", ",", header="\n".join(header), comments="")


def write_npz(ecg: ECG, path: Path) -> None:
    """Write the arrays signal (float32, leads × samples), sampling_rate, leads, unit, and the metadata as lines."""
    arrays: dict[str, Any] = {
        "signal": ecg.signal,
        "sampling_rate": np.float64(ecg.sampling_rate),
        "leads": np.array(ecg.leads),
        "unit": np.array("mV"),
        "comments": np.array(comment_lines(ecg.metadata, "Comment: "), dtype=np.str_),
    }
    if ecg.metadata["age"] is not None:
        arrays["age"] = np.float64(ecg.metadata["age"])
    if ecg.metadata["sex"]:
        arrays["sex"] = np.array(ecg.metadata["sex"])
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
