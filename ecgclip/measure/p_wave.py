"""The P wave of the median beat: whether there is one, its edges and its height.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import V1
from ecgclip.measure.arrays import NAN, at, cut, median_of_groups, slopes, sum_of_groups, usable
from ecgclip.measure.batch import Columns
from ecgclip.measure.median import FINE, STEP, largest_deflection

# Where P is looked for
AFTER_T = 5  # 10 ms after the T wave of the beat before
LONGEST_PR, SHORTEST_PR = 190, 55  # 380 and 110 ms before QRS, at most and at least
BEFORE_QRS = 2  # up to 4 ms before QRS
SLOPE_REACH = 40  # 80 ms: the steepest rise and fall lie so near the peak
MIN_COURSES = 3  # with fewer beats, the consistency of P is not measured
# Sinus rhythm has P waves that come back in each beat (consistency: a correlation) and stand out (height, mV);
# fibrillatory waves do not. The values separate sinus rhythm from atrial fibrillation in PTB-XL's training folds.
ABSENT_CONSISTENCY, ABSENT_MV = 0.6, 0.015  # below either, there is no P wave
DOUBTFUL_CONSISTENCY, DOUBTFUL_MV = 0.75, 0.03  # nor below both of these
PRESENT_CONSISTENCY, PRESENT_MV = 0.8, 0.035  # above both, there is one
# A second wave before QRS may be a flutter wave: nearly as high as P, and 120 ms or more from it
SECOND_HEIGHT, SECOND_PROMINENCE, SECOND_DISTANCE = 0.5, 0.4, 60


def measure_p_wave(
    beat: np.ndarray,
    beats: np.ndarray,
    counts: np.ndarray,
    mask: np.ndarray,
    onset: np.ndarray,
    t_end: np.ndarray,
    rr: np.ndarray,
) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Measure P over all leads, in what lies between the T wave before and QRS.

    Parameters
    ----------
    beat : float (n, 12, samples), mV
        The median beats.
    beats : float (beats of all, 12, samples at 100 Hz), mV
    counts : int (n,)
        Beats of each.
    mask : bool (12,)
    onset : int (n,)
        Where QRS, or a spike before it, begins.
    t_end : int (n,)
        Where T ends.
    rr : float (n,)
        The usual R-R interval, ms.

    Returns
    -------
    measured : dict
        Fields of a `Measurement`.
    first, last : int (n,)
        Where P begins and ends.
    """
    start = np.rint(t_end - rr / STEP).astype(int) + AFTER_T
    start = np.minimum(np.maximum(start, np.maximum(onset - LONGEST_PR, 0)), onset - SHORTEST_PR)
    length = onset - BEFORE_QRS - start
    weights, wave = _component(_without_line(cut(usable(beat, mask), start, start + length), length))
    peak = np.argmax(np.where(_inside(wave, length), wave, -np.inf), axis=1)
    first, last = _wave_edges(wave, peak, length)
    height = at(wave, peak) / np.sqrt(mask.sum())
    # Beat by beat: does the same course come back, as P waves do and fibrillatory waves do not?
    courses = (np.repeat(weights, counts, axis=0)[:, None] @ usable(beats, mask))[:, 0]
    consistency = _agreement(courses, -(-start // FINE), (onset - FINE) // FINE, counts)
    found = zip(consistency.tolist(), height.tolist(), _repeats(wave, peak), strict=True)
    values: Columns = {
        "p_consistency": consistency,
        "p_height_mv": height,
        "p_present": [p_present(*of_one) for of_one in found],
        "pr_ms": (onset - start - first) * STEP,
        "p_duration_ms": (last - first) * STEP,
    }
    return values | _by_lead(beat, mask, start + first, start + last), start + first, start + last


def _component(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first principal component of (n, leads, samples), which weighs the leads by how well they show P.

    Returns
    -------
    weights : float (n, leads)
        Of length 1.
    wave : float (n, samples)
        What they weigh, upright.
    """
    some = window[:, :, ::3]
    power, components = np.linalg.eigh(some @ some.transpose(0, 2, 1))
    size = np.sqrt(np.maximum(power[:, -1:], 0))
    weights = components[:, :, -1] * np.minimum(size / 1e-9, 1)  # of nothing, no component
    wave = (weights[:, None] @ window)[:, 0]
    return weights, np.where((wave.max(axis=1) > -wave.min(axis=1))[:, None], wave, -wave)


def _by_lead(beat: np.ndarray, mask: np.ndarray, first: np.ndarray, last: np.ndarray) -> Columns:
    """Heights of P, from its onset to its offset, int (n,), and its negative end in V1."""
    p = cut(beat, first, last + 1)
    sample, length = np.arange(p.shape[2]), (last - first + 1)[:, None]
    line = np.minimum(sample / np.maximum(length - 1, 1), 1)[:, None]
    p = p - p[:, :, :1] - (p[:, :, -1:] - p[:, :, :1]) * line
    v1 = np.maximum(-p[:, V1], 0) * (sample >= length // 3)
    return {
        "p_amplitude_mv": np.where(mask, largest_deflection(p), NAN),
        "p_terminal_v1": v1.sum(axis=1) * STEP if mask[V1] else np.full(len(p), NAN),
    }


def p_present(consistency: float, height: float, repeats: bool) -> bool | None:
    """Whether there is a P wave; None if that is uncertain. Waves that repeat may be flutter."""
    if np.isnan(consistency):
        return None
    if consistency < ABSENT_CONSISTENCY or height < ABSENT_MV:
        return False
    if consistency < DOUBTFUL_CONSISTENCY and height < DOUBTFUL_MV:
        return False
    return True if consistency > PRESENT_CONSISTENCY and height > PRESENT_MV and not repeats else None


def _repeats(wave: np.ndarray, peak: np.ndarray) -> list[bool]:
    """Whether a second wave of nearly the same height stands before QRS, 120 ms or more from P."""
    height = at(wave, peak)[:, None]
    far = np.abs(np.arange(wave.shape[1]) - peak[:, None]) > SECOND_DISTANCE
    repeats = (far & (wave >= SECOND_HEIGHT * height) & (height > 0)).any(axis=1)
    for i in np.flatnonzero(repeats).tolist():
        least = SECOND_PROMINENCE * height[i]
        tops = np.flatnonzero(far[i, 1:-1] & (np.diff(wave[i])[:-1] > 0) & (np.diff(wave[i])[1:] <= 0)) + 1
        high = [top for top in tops.tolist() if wave[i, top] >= SECOND_HEIGHT * height[i]]
        repeats[i] = any(_prominence(wave[i], top) >= least for top in high)
    return repeats.tolist()


def _prominence(x: np.ndarray, top: int) -> float:
    """How far x (n,) falls on both sides of a maximum, before it gets higher."""
    higher = np.concatenate(([-1], np.flatnonzero(x > x[top]), [len(x)]))
    after = np.searchsorted(higher, top)
    return float(x[top] - max(x[higher[after - 1] + 1 : top + 1].min(), x[top : higher[after]].min()))


def _inside(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which samples of the rows of (n, samples), so long each, are of them."""
    return np.arange(x.shape[-1]) < length[:, None]


def _without_line(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(n, ..., samples), so long each, without the straight line through their ends; 0 behind them."""
    last_three = length[:, None] - np.arange(3, 0, -1)
    first = x[..., :3].sum(axis=-1) / 3
    last = x[np.arange(len(x))[:, None], ..., last_three].sum(axis=1) / 3
    wide = (len(x),) + (1,) * (x.ndim - 2) + (x.shape[-1],)
    part = (np.arange(x.shape[-1]) / (length[:, None] - 1)).reshape(wide)
    return (x - first[..., None] - (last - first)[..., None] * part) * _inside(x, length).reshape(wide)


def _wave_edges(wave: np.ndarray, peak: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a wave leaves the level around it: the tangents at its steepest rise and fall."""
    slope, rows = slopes(wave), np.arange(len(wave))
    slope[rows, length - 1] = wave[rows, length - 1] - wave[rows, length - 2]
    after = np.arange(wave.shape[1]) - peak[:, None]
    up = np.argmax(np.where((after >= -SLOPE_REACH) & (after <= 0), slope, -np.inf), axis=1)
    down = np.argmin(np.where((after >= 0) & (after < SLOPE_REACH) & _inside(wave, length), slope, np.inf), axis=1)
    first = up - np.maximum(at(wave, up), 0) / np.maximum(at(slope, up), 1e-6)
    last = down + np.maximum(at(wave, down), 0) / np.maximum(-at(slope, down), 1e-6)
    return np.maximum(first, 0).astype(int), np.minimum(last, length - 1).astype(int)


def _agreement(x: np.ndarray, first: np.ndarray, stop: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Median correlation of each course with the mean of the others of its group; NaN below three courses.

    x : (all, samples); first, stop : int (groups,), from where to where the courses go; counts : of each group.
    """
    first, length = np.repeat(first, counts), np.repeat(stop - first, counts)
    sample = np.arange(length.max())
    inside = sample < length[:, None]
    courses = _without_line(x[np.arange(len(x))[:, None], first[:, None] + sample * inside], length)
    courses = (courses - (courses.sum(axis=1) / length)[:, None]) * inside
    others = np.repeat(sum_of_groups(courses, counts), counts, axis=0) - courses
    norms = np.sqrt((courses**2).sum(axis=1) * (others**2).sum(axis=1))
    agreement = median_of_groups((courses * others).sum(axis=1) / np.maximum(norms, 1e-9), counts)
    return np.where(counts < MIN_COURSES, NAN, agreement)
