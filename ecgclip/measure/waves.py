"""QRS, ST and T of the median beat: edges, widths and heights.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ecgclip.ecg import AVF, I
from ecgclip.measure.alternans import measure_alternans
from ecgclip.measure.batch import NAN, Batch, Columns, columns, row
from ecgclip.measure.median import BEFORE, FINE, STEP, Edges, R, largest_deflection, median_beat, typical_beats
from ecgclip.measure.p_wave import measure_p_wave
from ecgclip.measure.shape import measure_shape
from ecgclip.measure.spikes import fourth_differences, smeared_spikes, spike_before
from ecgclip.spikes import SMEARED

# A pacing spike that is smeared at 100 Hz
SPIKE_REACH = 20  # samples at 100 Hz on either side of R in which one is looked for
SPIKE_END = 0.6  # of the fastest: the last sample above is the end of the spike
NARROW = 100  # ms: a complex with a spike in front is wider
# Edges of QRS: it is fast, and before and after it the beat is slow for a while
TOP_BEFORE, TOP_AFTER = 40, 46  # around R, where the fastest sample is looked for
REACH_BEFORE, REACH_AFTER = 80, 110  # around R, where QRS lies
REFERENCE_BEFORE, REFERENCE_AFTER, REFERENCE_QUANTILE = 50, 75, 0.8  # around R: a spike is seldom as long as a fifth
FAST = 0.3  # of the fastest: QRS is faster than this
BREAK = 25  # 50 ms: a longer break ends the complex
LOW_BEFORE, LOW_AFTER = 0.07, 0.09  # of the fastest: slow, before and after QRS
LOW_NOISE = 1.5  # times the usual speed beside QRS: slow as well, in a noisy beat
BESIDE_BEFORE, BESIDE_AFTER = 45, 15  # beside QRS: from 90 ms before, and from 30 ms after what is fast
EDGE = 60  # 120 ms: how far from the fast part the edges are looked for
QUIET = 6  # 12 ms: how long it has to stay slow
NEVER_QUIET = 12  # 24 ms: where the edge is set if it never stays slow
UPSTROKE = 20  # 40 ms: the start of QRS
# Levels and waves
LEVEL_BEFORE, LEVEL_UNTIL = 12, 1  # the reference level is taken from 24 to 2 ms before QRS
J60, ST_HALF = round(60 / STEP), 3  # ST is measured 60 ms after J, as a mean over 14 ms
MIN_WAVE_MV = 0.05  # smallest Q, R or S wave
AT_J = 2  # 4 ms: what is largest so near the end of QRS is the J point
MIN_AREA = 2  # mV x ms: the axis of a smaller QRS area is not measured
# The T wave
T_PEAK_RR, T_PEAK_MS, T_PEAK_MAX_MS = 0.55, 60, 520  # its peak lies before this part of R-R plus so many ms
T_END_RR, T_END_MIN_MS = 0.72, 300  # its end lies before this part of R-R
T_BEFORE_PEAK, T_AFTER_QRS = 50, 25  # its height is looked for so long before its peak, and so long after QRS
T_LAST, T_WINDOW = 30, 10  # its peak lies 60 ms before the end of the beat; it is looked for in 20 ms at least
MAX_TAIL, MIN_TAIL = 100, 15  # its end lies at most 200 ms after its peak; it is not measured with under 30 ms left
FOOT = 0.12  # of the height: T ends no later than where it has fallen to this
MAX_FOOT = 15  # 30 ms: nor later than this after the end by the tangent


class _QRS(NamedTuple):
    """The edges of QRS, where QRS or a spike before it begins, and the slope at its start over its steepest."""

    onset: int
    offset: int
    start: int
    upstroke: float


def measure_waves(batch: Batch, rr_ms: np.ndarray) -> Columns:
    """The waves of the median beat of each window, which has a beat at least; rr_ms: (n,), the usual R-R interval."""
    windows = zip(batch.signal, batch.peaks, rr_ms.tolist(), batch.spikes, strict=True)
    return columns([_measure_waves(x, batch.mask, peaks, rr, spikes) for x, peaks, rr, spikes in windows])


def _measure_waves(
    signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, rr: float, spikes: np.ndarray
) -> dict[str, Any]:
    """Measure the waves of the median beat.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples; at least one.
    rr : float
        The usual R-R interval, ms.
    spikes : float (spikes, 2)
        Pacing spikes that were taken out of the signal, as of `Prepared.spikes_in`.

    Returns
    -------
    dict
        Fields of a `Measurement`; those of its shape are a dict. And r_after_onset_ms: from the onset of QRS to R.
    """
    beats = typical_beats(signal, mask, peaks)
    beat = median_beat(beats)
    qrs = _find_qrs(beat[mask], beats[:, mask], spike_before(peaks, spikes[:, 0]))
    # The level just before QRS and a spike is the reference for all amplitudes (Fourth Universal Definition of MI).
    level = beat[:, max(qrs.start - LEVEL_BEFORE, 0) : max(qrs.start - LEVEL_UNTIL, 1)]
    beat = beat - level.mean(axis=1, keepdims=True)
    peak, end = _find_t_wave(beat[mask], qrs.onset, qrs.offset, rr)
    j60 = qrs.offset + J60
    p_wave = measure_p_wave(beat, beats, mask, qrs.start, end, rr)
    p_onset = qrs.start - round(p_wave["pr_ms"] / STEP)
    p_offset = p_onset + round(p_wave["p_duration_ms"] / STEP)
    edges = Edges(qrs.start, qrs.onset, qrs.offset, peak, end, rr, p_onset, p_offset)
    of_one = Edges(*(np.array([e]) for e in edges))
    shape = row(measure_shape(beat[None], beats, np.array([len(beats)]), mask, of_one), 0) | measure_alternans(
        signal, mask, peaks, edges
    )
    t_wave = beat[:, max(peak - T_BEFORE_PEAK, qrs.offset + T_AFTER_QRS) : min(end, beat.shape[1])]
    return {
        "r_after_onset_ms": (R - qrs.onset) * STEP,
        "qrs_ms": (qrs.offset - qrs.onset) * STEP,
        "upstroke": qrs.upstroke,
        **_qrs_shape(beat, mask, qrs.onset, qrs.offset),
        "st_mv": np.where(mask, beat[:, j60 - ST_HALF : j60 + ST_HALF + 1].mean(axis=1), NAN),
        "qt_ms": (end - qrs.onset) * STEP,
        "t_mv": np.where(mask, largest_deflection(t_wave), NAN) if t_wave.shape[1] else np.full(12, NAN),
        **p_wave,
        "shape": shape | _table([before_j(row) for row in beat[:, qrs.onset : qrs.offset + 1]], mask),
    }


# ---------------------------------------------------------------------------------------------------------------------
# QRS


def _find_qrs(beat: np.ndarray, beats: np.ndarray, before: float) -> _QRS:
    """beat: the median beat (leads, samples); beats: (beats, leads, samples at 100 Hz).

    before: how long before R a spike was taken out, samples at 100 Hz; NaN without one.
    """
    # How fast the leads move together, mV per sample: the root of the summed squared slopes
    speed = np.sqrt((np.gradient(beat, axis=1) ** 2).sum(axis=0))
    if np.isfinite(before):
        speed[: R - round(before * FINE)] = 0
    onset, offset = _qrs_edges(speed)
    start = onset
    if (offset - onset) * STEP > NARROW and (spike := find_spike(beats)) is not None:
        speed[: (spike + 1) * FINE] = 0  # QRS begins behind the spike
        onset, offset = _qrs_edges(speed)
        start = min(onset, (spike - 2) * FINE)
    steepest = max(speed[onset : offset + 1].max(), 1e-9)
    return _QRS(onset, offset, start, float(speed[onset : onset + UPSTROKE].mean() / steepest))


def find_spike(beats: np.ndarray) -> int | None:
    """The sample of a smeared pacing spike in (beats, leads, BEFORE + AFTER) at 100 Hz; None without one."""
    at, share = smeared_spikes(beats)
    at = at[(share > SMEARED) & (at >= BEFORE - SPIKE_REACH)]
    if not len(at):
        return None
    fast = fourth_differences(beats)
    spike = int(at[np.argmax(fast[at])])
    near = np.flatnonzero(fast[spike : spike + 3] > SPIKE_END * fast[spike])
    return spike + int(near[-1])  # it moves a little from beat to beat


def _qrs_edges(speed: np.ndarray) -> tuple[int, int]:
    """Where QRS starts and ends: speed first stays low for 12 ms, seen from its maximum."""
    top = R - TOP_BEFORE + int(np.argmax(speed[R - TOP_BEFORE : R + TOP_AFTER]))
    # A spike that was not recognised is faster than any QRS complex, so the fastest sample alone is not a reference.
    usual = np.quantile(speed[R - REFERENCE_BEFORE : R + REFERENCE_AFTER], REFERENCE_QUANTILE)
    fast = min(speed[top], 2 * usual)
    active = R - REACH_BEFORE + np.flatnonzero(speed[R - REACH_BEFORE : R + REACH_AFTER] >= FAST * fast)
    runs = np.split(active, np.flatnonzero(np.diff(active) > BREAK) + 1)
    first, last = next((run[0], run[-1]) for run in runs if run[0] <= top <= run[-1])
    before, after = speed[max(first - BESIDE_BEFORE, 0) : first], speed[last + BESIDE_AFTER : last + EDGE]
    low_before = max(LOW_BEFORE * fast, LOW_NOISE * np.median(before))
    low_after = max(LOW_AFTER * fast, LOW_NOISE * np.median(after))
    back = _until_quiet(speed[max(first - EDGE, 0) : first + 1][::-1] < low_before)
    ahead = _until_quiet(speed[last : last + EDGE] < low_after)
    return first - back, last + ahead


def _until_quiet(low: np.ndarray) -> int:
    """How soon it stays low for 12 ms; 24 ms if it never does."""
    held = np.convolve(low, np.ones(QUIET), "valid") == QUIET
    return int(np.argmax(held)) if held.any() else NEVER_QUIET


def _qrs_shape(beat: np.ndarray, mask: np.ndarray, onset: int, offset: int) -> dict[str, Any]:
    """Q, R, S and R' of each lead, the axis, and peak to peak."""
    qrs = beat[:, onset : offset + 1]
    # Net area, not height, so that a narrow spike does not turn the axis.
    area = qrs.sum(axis=1) * STEP
    axis = NAN
    if mask[I] and mask[AVF] and np.hypot(area[I], area[AVF]) > MIN_AREA:
        axis = float(np.degrees(np.arctan2(area[AVF] * 2 / np.sqrt(3), area[I])))
    shape = {"axis_deg": axis, "qrs_pp_mv": np.where(mask, np.ptp(qrs, axis=1), NAN)}
    return _table(list(qrs), mask) | shape


def _table(qrs: Sequence[np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """Q, R, S and R' of each lead, (12,) each; qrs: the samples of each lead from the onset of QRS on."""
    names = ("q_mv", "q_ms", "r_mv", "r_ms", "s_mv", "s_ms", "rprime_mv")
    table = np.full((7, 12), NAN)
    for lead in np.flatnonzero(mask).tolist():
        table[:, lead] = qrs_waves(qrs[lead])
    return dict(zip(names, table, strict=True))


def before_j(x: np.ndarray) -> np.ndarray:
    """QRS of one lead without its last stretch on one side of zero, if that does not turn: J is raised or lowered."""
    edges = np.flatnonzero(np.diff(np.sign(x))) + 1
    last = np.abs(x[edges[-1] :]) if len(edges) else x[:0]
    return x[: edges[-1]] if len(last) and np.argmax(last) >= len(last) - AT_J else x


def qrs_waves(x: np.ndarray) -> tuple[float, ...]:
    """Q, R, S, R' of one lead from the stretches on either side of zero: height and duration; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.sign(x))) + 1
    waves = [(part[np.argmax(np.abs(part))], len(part) * STEP) for part in np.split(x, edges) if len(part)]
    waves = [(height, width) for height, width in waves if abs(height) >= MIN_WAVE_MV]
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


# ---------------------------------------------------------------------------------------------------------------------
# T


def _find_t_wave(beat: np.ndarray, onset: int, offset: int, rr: float) -> tuple[int, int]:
    """Peak and end of T over all leads: the tangent at its steepest fall meets the level that follows."""
    size = np.sqrt((beat**2).mean(axis=0))
    start = offset + J60
    last = min(onset + round(min(T_PEAK_RR * rr + T_PEAK_MS, T_PEAK_MAX_MS) / STEP), len(size) - T_LAST)
    start = min(start, last - T_WINDOW)
    peak = start + int(np.argmax(size[start:last]))
    stop = min(len(size), onset + round(max(T_END_RR * rr, T_END_MIN_MS) / STEP), peak + MAX_TAIL)
    tail = size[peak:stop]
    if len(tail) < MIN_TAIL:
        return peak, peak
    level = tail.min()
    slope = np.gradient(tail)
    steep = int(np.argmin(slope[: max(int(np.argmin(tail)), 5)]))
    end = peak + steep + (tail[steep] - level) / max(-slope[steep], 1e-9)
    # A tangent cuts off the slow foot: go on, 30 ms at most, to where an eighth of the height is left.
    fallen = tail - level < FOOT * (tail[0] - level)
    foot = peak + (int(np.argmax(fallen)) if fallen.any() else len(fallen))
    return peak, int(min(max(end, min(foot, end + MAX_FOOT)), stop))
