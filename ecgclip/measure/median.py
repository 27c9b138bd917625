"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.batch import at
from ecgclip.measure.beats import _dominant as dominant
from ecgclip.peaks import RATE, cut_beats

BEFORE, AFTER = 46, 66  # samples at 100 Hz around R: 460 ms before R hold the P wave of a long PR interval
FINE = 5  # samples of the median beat for one at 100 Hz
STEP = 1000 / RATE / FINE  # ms per sample of the median beat
R = BEFORE * FINE  # where R lies in the median beat
WHOLE_BEFORE, WHOLE_AFTER = 25, 40  # samples at 100 Hz: a beat with so much signal around it is preferred


class Edges(NamedTuple):
    """Where the waves of n median beats lie, arrays (n,).

    `start` is where QRS or a spike before it begins, `peak` that of T.
    """

    start: np.ndarray
    onset: np.ndarray
    offset: np.ndarray
    peak: np.ndarray
    end: np.ndarray
    rr: np.ndarray  # the usual R-R interval, ms
    p_onset: np.ndarray
    p_offset: np.ndarray


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
    """The largest deflection of each row of (..., samples), signed: (...)."""
    return at(x, np.abs(x).argmax(axis=-1))


def turning_points(x: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rows turn by `least` or more: at their first sample, then at maxima and minima in turn, then at their end.

    Parameters
    ----------
    x : float (rows, samples)
        A row may be filled up by its last sample.
    least : float (rows,), above 0

    Returns
    -------
    row, place : int (turns of all,)
        Row by row.
    """
    rises, falls = x[:, 1:] > x[:, :-1], x[:, 1:] < x[:, :-1]
    edges = np.zeros(x.shape, bool)
    edges[:, 1:-1] = rises[:, :-1] & falls[:, 1:] | falls[:, :-1] & rises[:, 1:]
    edges[:, 0] = edges[:, -1] = True
    at = np.flatnonzero(edges)
    turns, last, direction, enough, of_row = [], 0.0, 0.0, 0.0, iter(least.tolist())
    for i, (place, value) in enumerate(zip((at % x.shape[1]).tolist(), x.ravel()[at].tolist(), strict=True)):
        step = value - last
        if not place:
            turns.append(i)
            last, direction, enough = value, 0.0, next(of_row)
        elif step * direction > 0:  # it goes on
            turns[-1], last = i, value
        elif not -enough < step < enough:
            turns.append(i)
            last, direction = value, step
    return np.divmod(at[turns], x.shape[1])


def maxima(x: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """The maxima of each row between its ends, each `least` or more above the minima beside it.

    Parameters
    ----------
    x : float (..., samples)
        A row may be filled up by its last sample.
    least : float (...) or a number, above 0

    Returns
    -------
    bool (..., samples)
    """
    rows = x.reshape(-1, x.shape[-1])
    row, place = turning_points(rows, np.full(x.shape[:-1], least).ravel())
    value, out = rows[row, place], np.zeros(rows.shape, bool)
    top = (row[:-2] == row[2:]) & (value[:-2] < value[1:-1]) & (value[1:-1] > value[2:])
    out[row[1:-1][top], place[1:-1][top]] = True
    return out.reshape(x.shape)
