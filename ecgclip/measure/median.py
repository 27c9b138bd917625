"""The median beat: the typical beats of a signal, their median, interpolated from 100 to 500 Hz."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecgclip.measure.batch import AFTER, BEFORE, Batch, at, median_of_groups, once
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
    """The largest deflection of each lead of (..., leads, samples), signed: (..., leads)."""
    return at(x, np.abs(x).argmax(axis=-1))


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
