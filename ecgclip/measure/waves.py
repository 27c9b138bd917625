"""P, QRS, ST and T of the median beat: edges, widths and heights."""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import AVF, V1, I
from ecgclip.measure.beats import NAN, dominant
from ecgclip.peaks import RATE, cut_beats

BEFORE, AFTER = 46, 66  # samples of the beat to delineate: 460 ms before R hold the P wave of a long PR interval
FINE = 5  # the median beat is interpolated to 500 Hz, one sample 2 ms
STEP = 1000 / RATE / FINE  # ms per interpolated sample
# What a beat has at 32 to 43 Hz, of what it has at 12 to 22 Hz: 20 of 29 paced ECGs of PTB-XL (folds 1 to 8) lie above,
# and 3 of 3,336 others.
SPIKE = 0.2
NARROW = 100  # ms: a complex with a spike in front is wider


def _waves(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, rr: float) -> dict:
    from scipy.interpolate import CubicSpline

    kept = peaks[dominant(signal[mask], peaks)]
    inside = kept[(kept >= 25) & (kept + 40 <= signal.shape[1])]
    kept = inside if len(inside) else kept
    beats = cut_beats(signal, kept, BEFORE, AFTER)
    coarse = np.arange(BEFORE + AFTER)
    beat = CubicSpline(coarse, np.median(beats, axis=0), axis=1)(np.arange((BEFORE + AFTER - 1) * FINE + 1) / FINE)
    r = BEFORE * FINE
    speed = _speed(beat[mask])
    onset, offset = _qrs_edges(speed, r)
    spike = _spike(beats[:, mask]) if (offset - onset) * STEP > NARROW else None
    if spike is not None:
        speed[: (spike + 1) * FINE] = 0  # QRS begins behind the spike
        onset, offset = _qrs_edges(speed, r)
    # Level just before QRS and a spike, the reference for all amplitudes (Fourth Universal Definition of MI).
    start = onset if spike is None else min(onset, (spike - 2) * FINE)
    beat = beat - beat[:, max(start - 12, 0) : max(start - 1, 1)].mean(axis=1, keepdims=True)
    values = {"qrs_ms": (offset - onset) * STEP, "upstroke": _upstroke(speed, onset, offset)}
    values |= _qrs_shape(beat, mask, onset, offset)
    j60 = offset + round(60 / STEP)
    values["st_mv"] = np.where(mask, beat[:, j60 - 3 : j60 + 4].mean(axis=1), NAN)
    peak, end = _t_wave(beat[mask], onset, offset, rr)
    values["qt_ms"] = (end - onset) * STEP
    window = beat[:, max(peak - 50, offset + 25) : min(end, beat.shape[1])]
    values["t_mv"] = np.where(mask, _largest(window), NAN) if window.shape[1] else np.full(12, NAN)
    return values | _p_wave(beat, beats, mask, start, end, rr)


def _speed(beat: np.ndarray) -> np.ndarray:
    """How fast the leads move together, (samples,), mV per sample: the root of the summed squared slopes."""
    return np.sqrt((np.gradient(beat, axis=1) ** 2).sum(axis=0))


def _spike(beats: np.ndarray) -> int | None:
    """The sample of a pacing spike in (beats, leads, BEFORE + AFTER) at 100 Hz; None without one.

    A QRS complex has little above 30 Hz, whatever its shape, and a spike has as much there as below.
    """
    around = beats[:, :, BEFORE - 22 : BEFORE + 22]
    fast = np.median((np.diff(around, 4, axis=2) ** 2).sum(axis=1), axis=0)
    at, last = BEFORE - 20 + int(np.argmax(fast)), BEFORE - 20 + int(np.flatnonzero(fast > 0.6 * fast.max())[-1])
    part = beats[:, :, at - 8 : at + 8]
    part = (part - part.mean(axis=2, keepdims=True)) * np.hanning(18)[1:-1]
    power = np.median((np.abs(np.fft.rfft(part, 64)) ** 2).sum(axis=1), axis=0)
    hertz = np.fft.rfftfreq(64, 1 / RATE)
    above, below = (power[(hertz > low) & (hertz < high)].mean() for low, high in ((32, 43), (12, 22)))
    return min(last, at + 2) if above > SPIKE * below else None  # it moves a little from beat to beat


def _qrs_edges(speed: np.ndarray, r: int) -> tuple[int, int]:
    """Where QRS starts and ends: speed first stays low for 12 ms, seen from its maximum."""
    top = r - 40 + int(np.argmax(speed[r - 40 : r + 46]))
    # A spike that was not recognised is faster than any QRS complex: the reference is what a fifth of the time around exceeds.
    fast = min(speed[top], 2 * np.quantile(speed[r - 50 : r + 75], 0.8))
    # The complex is all that is fast without a break of 50 ms.
    active = r - 80 + np.flatnonzero(speed[r - 80 : r + 110] >= 0.3 * fast)
    runs = np.split(active, np.flatnonzero(np.diff(active) > 25) + 1)
    first, last = next((run[0], run[-1]) for run in runs if run[0] <= top <= run[-1])
    before, after = speed[max(first - 45, 0) : first], speed[last + 15 : last + 60]
    low = max(0.07 * fast, 1.5 * np.median(before))
    low_after = max(0.09 * fast, 1.5 * np.median(after))
    back = _quiet(speed[max(first - 60, 0) : first + 1][::-1] < low)
    ahead = _quiet(speed[last : last + 60] < low_after)
    return first - back, last + ahead


def _quiet(low: np.ndarray) -> int:
    """How soon it stays low for 12 ms; 24 ms if it never does."""
    held = np.convolve(low, np.ones(6), "valid") == 6
    return int(np.argmax(held)) if held.any() else 12


def _upstroke(speed: np.ndarray, onset: int, offset: int) -> float:
    return float(speed[onset : onset + 20].mean() / max(speed[onset : offset + 1].max(), 1e-9))


def _largest(x: np.ndarray) -> np.ndarray:
    return x[np.arange(len(x)), np.argmax(np.abs(x), axis=1)]


def _qrs_shape(beat: np.ndarray, mask: np.ndarray, onset: int, offset: int) -> dict:
    names = ("q_mv", "q_ms", "r_mv", "r_ms", "s_mv", "s_ms", "rprime_mv")
    table = np.full((7, 12), NAN)
    qrs = beat[:, onset : offset + 1]
    for lead in np.flatnonzero(mask):
        table[:, lead] = _complex(qrs[lead])
    # Net area, not height, so that a narrow spike does not turn the axis.
    area = qrs.sum(axis=1) * STEP
    axis = NAN
    if mask[I] and mask[AVF] and np.hypot(area[I], area[AVF]) > 2:
        axis = float(np.degrees(np.arctan2(area[AVF] * 2 / np.sqrt(3), area[I])))
    return dict(zip(names, table, strict=True)) | {
        "axis_deg": axis,
        "qrs_pp_mv": np.where(mask, np.ptp(qrs, axis=1), NAN),
    }


def _complex(x: np.ndarray, least: float = 0.05) -> tuple[float, ...]:
    """Q, R, S, R' of one lead from the stretches on either side of zero: depth and duration; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.sign(x))) + 1
    waves = [(part[np.argmax(np.abs(part))], len(part) * STEP) for part in np.split(x, edges) if len(part)]
    waves = [(height, width) for height, width in waves if abs(height) >= least]
    q = r = s = rprime = (0.0, 0.0)
    for wave in waves:
        if wave[0] < 0:
            if r[0] == 0:
                q = wave if wave[0] < q[0] else q
            elif rprime[0] == 0:
                s = wave if wave[0] < s[0] else s
        elif r[0] == 0:
            r = wave
        elif s[0] < 0:
            rprime = wave if wave[0] > rprime[0] else rprime
    return *q, *r, *s, rprime[0]


def _t_wave(beat: np.ndarray, onset: int, offset: int, rr: float) -> tuple[int, int]:
    """Peak and end of T over all leads: the tangent at its steepest fall meets the level that follows."""
    size = np.sqrt((beat**2).mean(axis=0))
    start = offset + round(60 / STEP)
    last = min(onset + round(min(0.55 * rr + 60, 520) / STEP), len(size) - 30)
    start = min(start, last - 10)
    peak = start + int(np.argmax(size[start:last]))
    stop = min(len(size), onset + round(max(0.72 * rr, 300) / STEP), peak + 100)
    tail = size[peak:stop]
    if len(tail) < 15:
        return peak, peak
    level = tail.min()
    slope = np.gradient(tail)
    steep = int(np.argmin(slope[: max(int(np.argmin(tail)), 5)]))
    end = peak + steep + (tail[steep] - level) / max(-slope[steep], 1e-9)
    # A tangent cuts off the slow foot: go on, 30 ms at most, to where an eighth of the height is left.
    foot = peak + _first(tail - level < 0.12 * (tail[0] - level))
    return peak, int(min(max(end, min(foot, end + 15)), stop))


def _p_wave(beat: np.ndarray, beats: np.ndarray, mask: np.ndarray, onset: int, t_end: int, rr: float) -> dict:
    """P over all leads, in what lies between the T wave before and QRS."""
    start = int(np.clip(round(t_end - rr / STEP) + 5, max(onset - 190, 0), onset - 55))
    window = _level(beat[mask, start : onset - 2])
    # The first principal component weighs the leads by how well they show P.
    _, _, right = np.linalg.svd(window[:, ::3], full_matrices=False)
    weights = window[:, ::3] @ right[0]
    weights /= max(np.linalg.norm(weights), 1e-9)
    bump = weights @ window
    bump = bump if bump.max() > -bump.min() else -bump
    peak = int(np.argmax(bump))
    first, last = _wave_edges(bump, peak)
    height = float(bump[peak] / np.sqrt(mask.sum()))
    # Beat by beat: does the same course come back, as P waves do and fibrillatory waves do not?
    low, high = -(-start // FINE), (onset - 5) // FINE
    courses = _level(np.tensordot(weights, beats[:, mask, low:high], axes=(0, 1)))
    consistency = _agreement(courses)
    pr = (onset - start - first) * STEP
    values = {"p_consistency": consistency, "p_height_mv": height}
    values["p_present"] = _p_present(consistency, height, _repeats(bump, peak))
    p = beat[:, start + first : start + last + 1]
    p = p - np.linspace(p[:, 0], p[:, -1], p.shape[1], axis=1)
    v1 = np.clip(-p[V1, p.shape[1] // 3 :], 0, None)
    return values | {
        "pr_ms": pr,
        "p_duration_ms": (last - first) * STEP,
        "p_amplitude_mv": np.where(mask, _largest(p), NAN),
        "p_terminal_v1": float(v1.sum() * STEP) if mask[V1] else NAN,
    }


def _p_present(consistency: float, height: float, repeats: bool) -> bool | None:
    """Separates sinus rhythm from atrial fibrillation in PTB-XL's training folds; waves that repeat may be flutter."""
    if np.isnan(consistency):
        return None
    if consistency < 0.6 or height < 0.015 or (consistency < 0.75 and height < 0.03):
        return False
    return True if consistency > 0.8 and height > 0.035 and not repeats else None


def _repeats(bump: np.ndarray, peak: int) -> bool:
    """Whether a second wave of nearly the same height stands before QRS, 120 ms or more from P."""
    from scipy.signal import find_peaks

    peaks, _ = find_peaks(bump, height=0.5 * bump[peak], prominence=0.4 * bump[peak])
    return bool((np.abs(peaks - peak) > 60).any())


def _level(x: np.ndarray) -> np.ndarray:
    """x without the straight line through its ends, along the last axis."""
    first, last = (x[..., :3].mean(axis=-1, keepdims=True), x[..., -3:].mean(axis=-1, keepdims=True))
    return x - first - (last - first) * np.linspace(0, 1, x.shape[-1])


def _wave_edges(bump: np.ndarray, peak: int) -> tuple[int, int]:
    """Where a wave leaves the level around it: the tangents at its steepest rise and fall."""
    slope = np.gradient(bump)
    up = max(peak - 40, 0) + int(np.argmax(slope[max(peak - 40, 0) : peak + 1]))
    down = peak + int(np.argmin(slope[peak : peak + 40]))
    first = up - max(bump[up], 0) / max(slope[up], 1e-6)
    last = down + max(bump[down], 0) / max(-slope[down], 1e-6)
    return int(np.clip(first, 0, peak)), int(np.clip(last, peak, len(bump) - 1))


def _first(low: np.ndarray) -> int:
    return int(np.argmax(low)) if low.any() else len(low)


def _agreement(courses: np.ndarray) -> float:
    """Median correlation of each course with the mean of the others; NaN below three courses."""
    if len(courses) < 3:
        return NAN
    courses = courses - courses.mean(axis=1, keepdims=True)
    others = courses.sum(axis=0) - courses
    norms = np.linalg.norm(courses, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.median((courses * others).sum(axis=1) / np.maximum(norms, 1e-9)))
