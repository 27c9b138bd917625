"""QRS, ST and T of the median beat: edges, widths and heights.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.ecg import AVF, I
from ecgclip.measure.alternans import measure_alternans
from ecgclip.measure.arrays import NAN, at, cut, median, padded, quantile, slopes, usable
from ecgclip.measure.batch import Batch, Columns
from ecgclip.measure.median import FINE, STEP, Edges, R, largest_deflection, median_beats, typical_beats
from ecgclip.measure.p_wave import measure_p_wave
from ecgclip.measure.shape import measure_shape
from ecgclip.measure.smeared import find_spikes, spikes_of_typical
from ecgclip.measure.spikes import spike_before

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
WAVES = ("q_mv", "q_ms", "r_mv", "r_ms", "s_mv", "s_ms", "rprime_mv")
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
    """The edges of QRS, where QRS or a spike before it begins, and the slope at its start over its steepest: (n,)."""

    onset: np.ndarray
    offset: np.ndarray
    start: np.ndarray
    upstroke: np.ndarray


def measure_waves(batch: Batch, rr_ms: np.ndarray) -> Columns:
    """Measure the waves of the median beat of each window, which has a beat at least.

    Parameters
    ----------
    batch : Batch
    rr_ms : float (n,)
        The usual R-R interval.

    Returns
    -------
    dict
        Fields of a `Measurement`; those of its shape are a dict. And r_after_onset_ms: from the onset of QRS to R.
    """
    mask, (beats, counts) = batch.mask, typical_beats(batch)
    beat = median_beats(beats, counts)
    qrs = _find_qrs(batch, usable(beat, mask))
    # The level just before QRS and a spike is the reference for all amplitudes (Fourth Universal Definition of MI).
    beat -= cut(beat, qrs.start - LEVEL_BEFORE, qrs.start - LEVEL_UNTIL).mean(axis=2, keepdims=True)
    peak, end = _find_t_wave(usable(beat, mask), qrs.onset, qrs.offset, rr_ms)
    p_wave, p_onset, p_offset = measure_p_wave(beat, beats, counts, mask, qrs.start, end, rr_ms)
    edges = Edges(qrs.start, qrs.onset, qrs.offset, peak, end, rr_ms, p_onset, p_offset)
    shape = measure_shape(beat, beats, counts, mask, edges) | measure_alternans(batch, edges)
    j60 = qrs.offset + J60
    of_qrs, before_j = _qrs_shape(beat, mask, qrs.onset, qrs.offset)
    return {
        "r_after_onset_ms": (R - qrs.onset) * STEP,
        "qrs_ms": (qrs.offset - qrs.onset) * STEP,
        "upstroke": qrs.upstroke,
        **of_qrs,
        "st_mv": np.where(mask, cut(beat, j60 - ST_HALF, j60 + ST_HALF + 1).mean(axis=2), NAN),
        "qt_ms": (end - qrs.onset) * STEP,
        "t_mv": np.where(mask, _t_height(beat, edges), NAN),
        **p_wave,
        "shape": shape | before_j,
    }


# ---------------------------------------------------------------------------------------------------------------------
# QRS


def _find_qrs(batch: Batch, beat: np.ndarray) -> _QRS:
    """Find QRS in the median beats, (n, leads, samples)."""
    # How fast the leads move together, mV per sample: the root of the summed squared slopes
    low, high = R - REACH_BEFORE - EDGE, R + REACH_AFTER + EDGE
    rise = (beat[:, :, low + 1 : high + 1] - beat[:, :, low - 1 : high - 1]) / 2
    speed = np.zeros((len(beat), beat.shape[2]))
    np.sqrt(np.einsum("nls,nls->ns", rise, rise), out=speed[:, low:high])
    for i in [i for i, spikes in enumerate(batch.spikes) if len(spikes)]:
        before = spike_before(batch.peaks[i], batch.spikes[i][:, 0])  # R, a spike that was taken out
        speed[i, : R - round(before * FINE) if np.isfinite(before) else 0] = 0
    onset, offset = _qrs_edges(speed)
    start, wide = onset.copy(), (offset - onset) * STEP > NARROW
    if wide.any():
        spike = np.where(wide, find_spikes(spikes_of_typical(batch)), NAN)
        found = np.flatnonzero(~np.isnan(spike))
        for i in found.tolist():
            speed[i, : int(spike[i] + 1) * FINE] = 0  # QRS begins behind the spike
        if len(found):
            onset[found], offset[found] = _qrs_edges(speed[found])
            start[found] = np.minimum(onset[found], (spike[found] - 2) * FINE)
    steepest = np.maximum(cut(speed, onset, offset + 1).max(axis=1), 1e-9)
    return _QRS(onset, offset, start, cut(speed, onset, onset + UPSTROKE).mean(axis=1) / steepest)


def _qrs_edges(speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where QRS starts and ends: speed, (n, samples), first stays low for 12 ms, seen from its maximum."""
    top = R - TOP_BEFORE + np.argmax(speed[:, R - TOP_BEFORE : R + TOP_AFTER], axis=1)
    # A spike that was not recognised is faster than any QRS complex, so the fastest sample alone is not a reference.
    usual = quantile(speed[:, R - REFERENCE_BEFORE : R + REFERENCE_AFTER], REFERENCE_QUANTILE)
    fast = np.minimum(at(speed, top), 2 * usual)
    active = speed[:, R - REACH_BEFORE : R + REACH_AFTER] >= FAST * fast[:, None]
    first, last = (R - REACH_BEFORE + edge for edge in _run_around(active, top - (R - REACH_BEFORE)))
    before, after = cut(speed, first - BESIDE_BEFORE, first), cut(speed, last + BESIDE_AFTER, last + EDGE)
    low_before = np.maximum(LOW_BEFORE * fast, LOW_NOISE * median(before))[:, None]
    low_after = np.maximum(LOW_AFTER * fast, LOW_NOISE * median(after))[:, None]
    back = _until_quiet(cut(speed, first - EDGE, first + 1)[:, ::-1] < low_before)
    ahead = _until_quiet(cut(speed, last, last + EDGE) < low_after)
    return first - back, last + ahead


def _run_around(active: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last sample of the run of active ones, (n, samples), that `top` is one of; short breaks are within."""
    sample, most = np.arange(active.shape[1]), active.shape[1] + BREAK
    so_far = np.maximum.accumulate(np.where(active, sample, -most), axis=1)
    to_come = np.minimum.accumulate(np.where(active, sample, most + BREAK)[:, ::-1], axis=1)[:, ::-1]
    begins = active[:, 1:] & (sample[1:] - so_far[:, :-1] > BREAK)
    ends = active[:, :-1] & (to_come[:, 1:] - sample[:-1] > BREAK)
    first = np.where(begins & (sample[1:] <= top[:, None]), sample[1:], -1).max(axis=1)
    last = np.where(ends & (sample[:-1] >= top[:, None]), sample[:-1], most).min(axis=1)
    return np.maximum(first, to_come[:, 0]), np.minimum(last, so_far[:, -1])


def _until_quiet(low: np.ndarray) -> np.ndarray:
    """How soon it stays low for 12 ms, (n,) of bool (n, samples); 24 ms if it never does."""
    held = low[:, : 1 - QUIET].copy()
    for ahead in range(1, QUIET):
        held &= low[:, ahead : ahead + held.shape[1]]
    return np.where(held.any(axis=1), held.argmax(axis=1), NEVER_QUIET)


def _qrs_shape(beat: np.ndarray, mask: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> tuple[Columns, Columns]:
    """Q, R, S and R' of each lead, the axis, and peak to peak; and Q, R, S and R' where the J point is none of them."""
    qrs, length = cut(beat, onset, offset + 1), offset + 1 - onset
    # Net area, not height, so that a narrow spike does not turn the axis.
    inside = np.arange(qrs.shape[2]) < length[:, None]
    one, avf = ((qrs[:, lead] * inside).sum(axis=1) * STEP for lead in (I, AVF))
    measured = mask[I] and mask[AVF]
    axis = np.degrees(np.arctan2(avf * 2 / np.sqrt(3), one))
    shape = {
        "axis_deg": np.where(measured & (np.hypot(one, avf) > MIN_AREA), axis, NAN),
        "qrs_pp_mv": np.where(mask, np.ptp(qrs, axis=2), NAN),
    }
    of_leads = usable(qrs, mask)
    waves = qrs_waves(of_leads.reshape(-1, qrs.shape[2]), np.repeat(length, of_leads.shape[1]))
    every, before_j = np.full((2, 7, len(beat), 12), NAN)
    every[:, :, mask], before_j[:, :, mask] = (table.reshape(7, len(beat), -1) for table in waves)
    return shape | dict(zip(WAVES, every, strict=True)), dict(zip(WAVES, before_j, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# Q, R, S and R'


def qrs_waves(x: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q, R, S and R' from the stretches of QRS on either side of zero.

    Parameters
    ----------
    x : float (rows, samples), mV
        QRS of any leads.
    length : int (rows,)
        How long each is.

    Returns
    -------
    every : float (7, rows)
        `WAVES` of each row; 0 where there is none.
    before_j : float (7, rows)
        The same without the last stretch if that does not turn: J is raised or lowered.
    """
    inside = np.arange(x.shape[1]) < length[:, None]
    side = np.sign(x)
    begins = inside.copy()
    begins[:, 1:] &= side[:, 1:] != side[:, :-1]
    counts, values, start = begins.sum(axis=1), x[inside], np.flatnonzero(begins[inside])
    size, stop, last = np.abs(values), np.cumsum(length), np.cumsum(counts) - 1
    high, width = np.maximum.reduceat(size, start), np.concatenate((start[1:], [len(values)])) - start
    # In the last stretch of more than one, what is largest within so many samples of J is no wave
    for back in range(1, AT_J + 1):
        size[np.maximum(stop - back, stop - length)] = 0
    at_j = last[(np.maximum.reduceat(size, start)[last] < high[last]) & (counts > 1)]
    is_wave = np.tile(high >= MIN_WAVE_MV, (2, 1))
    is_wave[1, at_j] = False
    counts = np.add.reduceat(is_wave, last - counts + 1, axis=1, dtype=int).ravel()
    both = (np.tile(x, (2, 1))[is_wave] for x in (side[begins] * high, width * STEP))
    every, before_j = np.split(_named(*(padded(x, counts, 0.0) for x in both)), 2, axis=1)
    return every, before_j


def _named(height: np.ndarray, width: np.ndarray) -> np.ndarray:
    """`WAVES`, (7, rows), from height and duration of the waves of each row in turn, (rows, waves); 0 behind them."""
    q, r, s, rprime = table = np.zeros((4, 2, len(height)))
    for wave in np.stack([height, width]).transpose(2, 0, 1):
        up, down = wave[0] > 0, wave[0] < 0
        before_r, before_rprime = r[0] == 0, rprime[0] == 0
        for name, which in (
            (rprime, up & ~before_r & (s[0] < 0) & (wave[0] > rprime[0])),
            (r, up & before_r),
            (q, down & before_r & (wave[0] < q[0])),
            (s, down & ~before_r & before_rprime & (wave[0] < s[0])),
        ):
            np.copyto(name, wave, where=which)
    return table.reshape(8, -1)[:7]


# ---------------------------------------------------------------------------------------------------------------------
# T


def _find_t_wave(
    beat: np.ndarray, onset: np.ndarray, offset: np.ndarray, rr: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Peak and end of T over all leads: the tangent at its steepest fall meets the level that follows.

    beat: (n, leads, samples); onset, offset: of QRS, (n,); rr: (n,), ms.
    """
    size = np.sqrt((beat**2).mean(axis=1))
    samples = size.shape[1]
    latest = np.rint(np.minimum(T_PEAK_RR * rr + T_PEAK_MS, T_PEAK_MAX_MS) / STEP).astype(int)
    last = np.minimum(onset + latest, samples - T_LAST)
    start = np.minimum(offset + J60, last - T_WINDOW)
    peak = start + cut(size, start, last).argmax(axis=1)
    until = np.rint(np.maximum(T_END_RR * rr, T_END_MIN_MS) / STEP).astype(int)
    stop = np.minimum(np.minimum(samples, onset + until), peak + MAX_TAIL)
    tail = cut(size, peak, stop)
    level, lowest = tail.min(axis=1), tail.argmin(axis=1)
    slope = slopes(tail)
    falling = np.arange(tail.shape[1]) < np.maximum(lowest, 5)[:, None]
    steep = np.argmin(np.where(falling, slope, np.inf), axis=1)
    end = peak + steep + (at(tail, steep) - level) / np.maximum(-at(slope, steep), 1e-9)
    # A tangent cuts off the slow foot: go on, 30 ms at most, to where an eighth of the height is left.
    fallen = tail - level[:, None] < FOOT * (tail[:, 0] - level)[:, None]
    foot = np.where(fallen.any(axis=1), peak + fallen.argmax(axis=1), stop)
    end = np.minimum(np.maximum(end, np.minimum(foot, end + MAX_FOOT)), stop).astype(int)
    return peak, np.where(stop - peak < MIN_TAIL, peak, end)


def _t_height(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The largest deflection of T in each lead, signed, (n, 12)."""
    first, stop = (
        np.maximum(edges.peak - T_BEFORE_PEAK, edges.offset + T_AFTER_QRS),
        np.minimum(edges.end, beat.shape[2]),
    )
    return np.where((first < stop)[:, None], largest_deflection(cut(beat, first, stop)), NAN)
