"""Baseline wander, noise and flat leads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.measure.batch import NAN, Batch, Columns, columns
from ecgclip.peaks import cut_beats

LEVEL_BEFORE, LEVEL_UNTIL = 10, 5  # samples before R: the level before QRS is taken from 100 to 50 ms before
MIN_BEATS = 4  # with fewer, baseline wander is not measured
MIN_LEADS = 8  # usable leads of an otherwise complete recording


def measure_quality(batch: Batch) -> Columns:
    """How good the signal is: fields of a `Measurement`."""
    return columns([_measure_quality(x, batch.mask, p) for x, p in zip(batch.signal, batch.peaks, strict=True)])


def _measure_quality(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict[str, Any]:
    """Measure how good the signal is.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples.

    Returns
    -------
    dict
        Fields of a `Measurement`.
    """
    leads = signal[mask]
    if not len(leads) or signal.shape[1] < 3:
        return {"baseline_wander_mv": NAN, "noise_mv": NAN, "flat_leads": None}
    # The second difference keeps what is above about 30 Hz; the median over time leaves out the QRS complexes.
    noise = np.median(np.abs(np.diff(leads, 2, axis=1)), axis=1) / 2
    wander = NAN
    if len(peaks) >= MIN_BEATS:
        levels = cut_beats(leads, peaks[peaks >= LEVEL_BEFORE], LEVEL_BEFORE, -LEVEL_UNTIL).mean(axis=2)
        wander = float(np.max(np.std(levels, axis=0), initial=0.0))
    return {
        "baseline_wander_mv": wander,
        "noise_mv": float(np.median(noise)),
        "flat_leads": int((~mask).sum()) if mask.sum() >= MIN_LEADS else None,
    }
