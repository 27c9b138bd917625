"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecgclip.measure.arrays import at, median_of_groups
from ecgclip.measure.batch import AFTER, BEFORE, Batch, once
from ecgclip.measure.beats import dominant
from ecgclip.peaks import RATE

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


@once
def typical_beats(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The dominant beats of each window, which has one at least; whole ones where there are any.

    Returns
    -------
    beats : float (beats of all, 12, BEFORE + AFTER), at 100 Hz
    counts : int (n,)
        How many of them each window has.
    """
    typical, window = np.concatenate(dominant(batch)), batch.window
    whole = typical & (batch.at >= WHOLE_BEFORE) & (batch.at + WHOLE_AFTER <= batch.samples)
    chosen = np.where(np.bincount(window, whole)[window] > 0, whole, typical)
    return batch.beats[chosen], np.bincount(window[chosen], minlength=len(batch))


def median_beats(beats: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median of the beats of each window, as of `typical_beats`, interpolated to 500 Hz: (n, 12, samples)."""
    return median_of_groups(beats, counts) @ _spline()


@lru_cache(maxsize=1)
def _spline() -> np.ndarray:
    """The cubic spline through the samples of a beat, not-a-knot at its ends: a matrix (samples, samples at 500 Hz)."""
    n = BEFORE + AFTER
    neighbours, one = np.eye(n, k=-1) + np.eye(n, k=1), np.eye(n)
    # The second derivatives follow from the second differences. At an end, the third is that of the next piece.
    equations, differences = neighbours + 4 * one, 6 * (neighbours - 2 * one)
    equations[0, :3] = equations[-1, -3:] = 1, -2, 1
    differences[[0, -1]] = 0
    second = np.linalg.solve(equations, differences)
    fine = np.arange((n - 1) * FINE + 1)
    left = np.minimum(fine // FINE, n - 2)
    after = (fine / FINE - left)[:, None]
    before = 1 - after
    line = before * one[left] + after * one[left + 1]
    return (line + (before**3 - before) / 6 * second[left] + (after**3 - after) / 6 * second[left + 1]).T


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
