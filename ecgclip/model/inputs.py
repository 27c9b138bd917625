"""The arrays that the ECG encoder reads, from examined windows: the same for torch and for an exported model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgclip.measure.measurement import Measurement
from ecgclip.measure.vector import features_of
from ecgclip.networks.demographics import demographics
from ecgclip.prepare import SAMPLING_RATE, WINDOW, Prepared


def encoder_inputs(
    prepared: Prepared,
    peaks: Sequence[np.ndarray],
    measurements: Sequence[Measurement],
    metadata: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, np.ndarray]:
    """Return what the ECG encoder reads of prepared windows.

    Parameters
    ----------
    prepared
        At least one window.
    peaks
        R peaks of each window, samples at 100 Hz.
    measurements
        Measurements of each window.
    metadata
        Metadata of each window's ECG, for a model that reads age and sex (`ECGConfig.demographics`); None for others.

    Returns
    -------
    dict
        signal float32 (windows, 12, samples), mV at the encoder's rate; mask bool (windows, 12); r_peaks float32
        (windows, beats), s, padded with NaN, at least one column; length int64 (windows,), samples; measured float32
        (windows, features), NaN = unknown; with age and sex two columns more.
    """
    measured = features_of(measurements)
    if metadata is not None:
        who = demographics([m.get("age") for m in metadata], [m.get("sex") for m in metadata])
        measured = np.concatenate([measured, who], 1)
    r_peaks = np.full((len(peaks), max(1, *map(len, peaks))), np.nan, np.float32)
    for row, samples in zip(r_peaks, peaks, strict=True):
        row[: len(samples)] = samples / SAMPLING_RATE
    signal = prepared.encoder_signal
    return {
        "signal": np.ascontiguousarray(signal, np.float32),
        "mask": prepared.mask,
        "r_peaks": r_peaks,
        "length": np.rint(np.asarray(prepared.length) * (signal.shape[-1] / WINDOW)).astype(np.int64),
        "measured": measured,
    }
