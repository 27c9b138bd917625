"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.batch import at, padded
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
    """The largest deflection of each lead of (..., leads, samples), signed: (..., leads)."""
    return at(x, np.abs(x).argmax(axis=-1))


def turning_points(x: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """Where the rows of x turn by `least` or more: their first sample, then maxima and minima in turn, then their end.

    Parameters
    ----------
    x : float (rows, samples)
    least : float (rows,) or a number, above 0

    Returns
    -------
    bool (rows, samples)
        A row whose last sample is repeated ends at the last of them.
    """
    slope = np.diff(x, axis=1)
    candidates = np.zeros(x.shape, bool)
    candidates[:, 1:-1] = slope[:, 1:] * slope[:, :-1] < 0
    candidates[:, -1] = True
    row, place = np.nonzero(candidates)
    counts = np.bincount(row, minlength=len(x))
    values = padded(x[row, place], counts)
    last, direction = x[:, 0].copy(), np.zeros(len(x))
    moved, goes_on = np.zeros((2, *values.shape), bool)
    for k, value in enumerate(values.T):  # the k-th candidate of every row
        step = value - last
        goes_on[:, k] = on = step * direction > 0
        moved[:, k] = to = on | (np.abs(step) >= least)
        np.copyto(last, value, where=to)
        np.copyto(direction, step, where=to)
    inside = np.arange(values.shape[1]) < counts[:, None]
    moved, goes_on = moved[inside], goes_on[inside]
    row, place, goes_on = row[moved], place[moved], goes_on[moved]
    final = np.ones(len(row), bool)
    final[:-1] = (row[1:] != row[:-1]) | ~goes_on[1:]
    turns = np.zeros(x.shape, bool)
    turns[:, 0] = True
    turns[row[final], place[final]] = True
    return turns


def maxima(x: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """The maxima of each row of (rows, samples) between its ends, each `least` or more above the minima beside it.

    Parameters and the returned array are as of `turning_points`.
    """
    row, place = np.nonzero(turning_points(x, least))
    rise = np.diff(x[row, place])
    out = np.zeros(x.shape, bool)
    top = 1 + np.flatnonzero((row[:-2] == row[2:]) & (rise[:-1] > 0) & (rise[1:] < 0))
    out[row[top], place[top]] = True
    return out
