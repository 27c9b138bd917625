"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.beats import _dominant as dominant
from ecgclip.peaks import RATE, cut_beats

BEFORE, AFTER = 46, 66  # samples at 100 Hz around R: 460 ms before R hold the P wave of a long PR interval
FINE = 5  # samples of the median beat for one at 100 Hz
STEP = 1000 / RATE / FINE  # ms per sample of the median beat
R = BEFORE * FINE  # where R lies in the median beat
WHOLE_BEFORE, WHOLE_AFTER = 25, 40  # samples at 100 Hz: a beat with so much signal around it is preferred


class Edges(NamedTuple):
    """Where the waves of the median beat lie: `start` is where QRS or a spike before it begins, `peak` that of T."""

    start: int
    onset: int
    offset: int
    peak: int
    end: int
    rr: float  # the usual R-R interval, ms
    p_onset: int
    p_offset: int


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


def turning_points(x: np.ndarray, least: float) -> list[int]:
    """Where x (n,) turns by `least` or more: its first sample, then maxima and minima in turn, then where it ends."""
    if not len(x):
        return []
    slope = np.diff(x)
    inner = 1 + np.flatnonzero(slope[1:] * slope[:-1] < 0)
    values = x.tolist()
    turns = [0]
    for i in (*inner.tolist(), len(values) - 1):
        step = values[i] - values[turns[-1]]
        if len(turns) > 1 and step * (values[turns[-1]] - values[turns[-2]]) > 0:
            turns[-1] = i  # it goes on
        elif abs(step) >= least:
            turns.append(i)
    return turns


def maxima(x: np.ndarray, least: float) -> list[int]:
    """The maxima of x between its ends, each `least` or more above the minima beside it."""
    turns = turning_points(x, least)
    return [b for a, b, c in zip(turns, turns[1:], turns[2:], strict=False) if x[b] > x[a] and x[b] > x[c]]
