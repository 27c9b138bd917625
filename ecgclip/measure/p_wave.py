"""The P wave of the median beat: whether there is one, its edges and its height.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.ecg import V1
from ecgclip.measure.batch import NAN
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
    beat: np.ndarray, beats: np.ndarray, mask: np.ndarray, onset: int, t_end: int, rr: float
) -> dict[str, Any]:
    """Measure P over all leads, in what lies between the T wave before and QRS.

    Parameters
    ----------
    beat : float (12, samples), mV
        The median beat.
    beats : float (beats, 12, samples at 100 Hz), mV
    mask : bool (12,)
    onset : int
        Where QRS, or a spike before it, begins.
    t_end : int
        Where T ends.
    rr : float
        The usual R-R interval, ms.

    Returns
    -------
    dict
        Fields of a `Measurement`.
    """
    start = int(np.clip(round(t_end - rr / STEP) + AFTER_T, max(onset - LONGEST_PR, 0), onset - SHORTEST_PR))
    window = _without_line(beat[mask, start : onset - BEFORE_QRS])
    # The first principal component weighs the leads by how well they show P.
    _, _, right = np.linalg.svd(window[:, ::3], full_matrices=False)
    weights = window[:, ::3] @ right[0]
    weights /= max(np.linalg.norm(weights), 1e-9)
    wave = weights @ window
    wave = wave if wave.max() > -wave.min() else -wave
    peak = int(np.argmax(wave))
    first, last = _wave_edges(wave, peak)
    height = float(wave[peak] / np.sqrt(mask.sum()))
    # Beat by beat: does the same course come back, as P waves do and fibrillatory waves do not?
    low, high = -(-start // FINE), (onset - FINE) // FINE
    consistency = _agreement(_without_line(np.tensordot(weights, beats[:, mask, low:high], axes=(0, 1))))
    return {
        "p_consistency": consistency,
        "p_height_mv": height,
        "p_present": p_present(consistency, height, _repeats(wave, peak)),
        "pr_ms": (onset - start - first) * STEP,
        "p_duration_ms": (last - first) * STEP,
        **_by_lead(beat[:, start + first : start + last + 1], mask),
    }


def _by_lead(p: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Heights of P, and its negative end in V1: p is (12, samples) from its onset to its offset."""
    p = p - np.linspace(p[:, 0], p[:, -1], p.shape[1], axis=1)
    v1 = np.clip(-p[V1, p.shape[1] // 3 :], 0, None)
    return {
        "p_amplitude_mv": np.where(mask, largest_deflection(p), NAN),
        "p_terminal_v1": float(v1.sum() * STEP) if mask[V1] else NAN,
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


def _repeats(wave: np.ndarray, peak: int) -> bool:
    """Whether a second wave of nearly the same height stands before QRS, 120 ms or more from P."""
    from scipy.signal import find_peaks

    height, prominence = SECOND_HEIGHT * wave[peak], SECOND_PROMINENCE * wave[peak]
    peaks, _ = find_peaks(wave, height=height, prominence=prominence)
    return bool((np.abs(peaks - peak) > SECOND_DISTANCE).any())


def _without_line(x: np.ndarray) -> np.ndarray:
    """x without the straight line through its ends, along the last axis."""
    first, last = (x[..., :3].mean(axis=-1, keepdims=True), x[..., -3:].mean(axis=-1, keepdims=True))
    return x - first - (last - first) * np.linspace(0, 1, x.shape[-1])


def _wave_edges(wave: np.ndarray, peak: int) -> tuple[int, int]:
    """Where a wave leaves the level around it: the tangents at its steepest rise and fall."""
    slope = np.gradient(wave)
    begin = max(peak - SLOPE_REACH, 0)
    up = begin + int(np.argmax(slope[begin : peak + 1]))
    down = peak + int(np.argmin(slope[peak : peak + SLOPE_REACH]))
    first = up - max(wave[up], 0) / max(slope[up], 1e-6)
    last = down + max(wave[down], 0) / max(-slope[down], 1e-6)
    return int(np.clip(first, 0, peak)), int(np.clip(last, peak, len(wave) - 1))


def _agreement(courses: np.ndarray) -> float:
    """Median correlation of each course with the mean of the others; NaN below three courses."""
    if len(courses) < MIN_COURSES:
        return NAN
    courses = courses - courses.mean(axis=1, keepdims=True)
    others = courses.sum(axis=0) - courses
    norms = np.linalg.norm(courses, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.median((courses * others).sum(axis=1) / np.maximum(norms, 1e-9)))
