"""The arrays that the ECG encoder reads, from examined windows: the same for torch and for an exported model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgclip.measure.measurement import Measurement
from ecgclip.measure.vector import features_of
from ecgclip.prepare import SAMPLING_RATE, WINDOW, Prepared


def encoder_inputs(
    prepared: Prepared, peaks: Sequence[np.ndarray], measurements: Sequence[Measurement]
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

    Returns
    -------
    dict
        signal float32 (windows, 12, samples), mV at the encoder's rate; mask bool (windows, 12); r_peaks float32
        (windows, beats), s, padded with NaN, at least one column; length int64 (windows,), samples; measured float32
        (windows, features), NaN = unknown.
    """
    r_peaks = np.full((len(peaks), max(1, *map(len, peaks))), np.nan, np.float32)
    for row, samples in zip(r_peaks, peaks, strict=True):
        row[: len(samples)] = samples / SAMPLING_RATE
    signal = prepared.encoder_signal
    return {
        "signal": np.ascontiguousarray(signal, np.float32),
        "mask": prepared.mask,
        "r_peaks": r_peaks,
        "length": np.rint(np.asarray(prepared.length) * (signal.shape[-1] / WINDOW)).astype(np.int64),
        "measured": features_of(measurements),
    }
