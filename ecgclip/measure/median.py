"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

import numpy as np

from ecgclip.measure.beats import dominant
from ecgclip.peaks import RATE, cut_beats

BEFORE, AFTER = 46, 66  # samples at 100 Hz around R: 460 ms before R hold the P wave of a long PR interval
FINE = 5  # samples of the median beat for one at 100 Hz
STEP = 1000 / RATE / FINE  # ms per sample of the median beat
R = BEFORE * FINE  # where R lies in the median beat
WHOLE_BEFORE, WHOLE_AFTER = 25, 40  # samples at 100 Hz: a beat with so much signal around it is preferred


def typical_beats(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The dominant beats of (12, samples), (beats, 12, BEFORE + AFTER) at 100 Hz; whole ones where there are any."""
    typical = peaks[dominant(signal[mask], peaks)]
    whole = typical[(typical >= WHOLE_BEFORE) & (typical + WHOLE_AFTER <= signal.shape[1])]
    return cut_beats(signal, whole if len(whole) else typical, BEFORE, AFTER)


def median_beat(beats: np.ndarray) -> np.ndarray:
    """The median of (beats, 12, BEFORE + AFTER), interpolated to 500 Hz: (12, samples)."""
    from scipy.interpolate import CubicSpline

    fine = np.arange((BEFORE + AFTER - 1) * FINE + 1) / FINE
    return CubicSpline(np.arange(BEFORE + AFTER), np.median(beats, axis=0), axis=1)(fine)


def largest_deflection(x: np.ndarray) -> np.ndarray:
    """The largest deflection of each lead of (leads, samples), signed: (leads,)."""
    return x[np.arange(len(x)), np.argmax(np.abs(x), axis=1)]
