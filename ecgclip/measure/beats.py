"""The heartbeats of a whole recording (`find_beats`), and which of them look alike.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.

wfdb has good detectors, but for one lead: at 100 Hz on the first lead of eight hard mitdb records, sensitivity and PPV
are 0.979, 0.929 (xqrs), 0.994, 0.990 (gqrs) and 0.995, 0.989 here, in a fifteenth of gqrs' time; and leads combine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecgclip.measure.arrays import equal_groups, median_of_groups, median_of_known, without_mean
from ecgclip.measure.batch import Batch, once
from ecgclip.peaks import MOST, RATE, REFRACTORY, r_peaks_of_many
from ecgclip.prepare import Prepared, find_runs
from ecgclip.spikes import bare_spikes

GAP = 10  # samples (100 ms): a longer stretch of zeros in all leads is a gap without a signal
LONGEST = 60 * 10 * RATE  # samples searched at once: ten minutes, so that a day fits into memory
MARGIN = 3 * RATE  # samples beside them that are searched too, for the beats at the edge
SILENCE_MARGIN = RATE // 2  # samples at either end of electrical silence that may hold the waves of a beat
# Which beats look alike, by the QRS complex
QRS = 25  # samples of a QRS complex that are compared
SAME_SHAPE = 0.85  # correlation from which two complexes have the same shape
EARLY = 0.8  # of the usual R-R interval: an earlier beat is not counted among the dominant ones
MAX_SAMPLE = 60  # beats that the dominant shape is chosen from


@dataclass(frozen=True, eq=False)
class Beats:
    """The heartbeats of a whole recording, and which of them each of its windows has.

    Attributes
    ----------
    times_s : float (n,)
        All R peaks, s from the start of the recording.
    windows : tuple of int (beats,)
        For each window, its R peaks in samples at 100 Hz from the window's start.
    around : float (windows, 2)
        The R peak before the window's first one and the one after its last one, in samples from the window's start; NaN
        where there is none, or where a gap without a signal lies between.
    recorded : float (windows, 2)
        From where to where the recording has no such gap around the window, in samples from the window's start.
    """

    times_s: np.ndarray
    windows: tuple[np.ndarray, ...]
    around: np.ndarray
    recorded: np.ndarray

    def of(self, rows: np.ndarray) -> Beats:
        """The beats of some of the windows; rows: int (n,), their positions."""
        return Beats(self.times_s, tuple(self.windows[i] for i in rows), self.around[rows], self.recorded[rows])


def find_beats(prepared: Prepared) -> Beats:
    """Find the heartbeats of a recording, over all of its windows at once."""
    return find_beats_of_many([prepared])[0]


def find_beats_of_many(recordings: Sequence[Prepared]) -> list[Beats]:
    """Find the heartbeats of several recordings; as of `find_beats`, in a fraction of the time."""
    stretches = [stretch for i, prepared in enumerate(recordings) for stretch in _stretches(i, prepared)]
    peaks: list[list[np.ndarray]] = [[np.empty(0, int)] for _ in recordings]
    alike: dict[tuple[bytes, int], list[_Stretch]] = {}
    for stretch in stretches:
        alike.setdefault((stretch.mask.tobytes(), int(stretch.active.sum())), []).append(stretch)
    for group in alike.values():
        for part in (group[k : k + MOST] for k in range(0, len(group), MOST)):
            leads = [stretch.signal[stretch.mask] for stretch in part]
            found = r_peaks_of_many(np.stack([x[:, s.active] for x, s in zip(leads, part, strict=True)]))
            for stretch, x, at in zip(part, leads, found, strict=True):
                peaks[stretch.recording].append(stretch.own(x, np.flatnonzero(stretch.active)[at]))
    return [_beats(prepared, np.concatenate(of_one)) for prepared, of_one in zip(recordings, peaks, strict=True)]


class _Stretch(NamedTuple):
    """Neighbouring windows of a recording with the same leads, searched as one signal.

    recording: which one
    low, high: where the windows start and stop, samples of the recording
    begin: where the signal starts, with a margin of other windows
    signal: float32 (12, samples), mV
    active: bool (samples,), without electrical silence
    mask: bool (12,)
    """

    recording: int
    low: int
    high: int
    begin: int
    signal: np.ndarray
    active: np.ndarray
    mask: np.ndarray

    def own(self, leads: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Of R peaks, samples of the signal, those of these windows that are no bare spikes: samples of the recording.

        leads: (leads, samples), those that are usable
        """
        at = self.begin + at[~bare_spikes(leads, at)]
        # a beat at the very edge may lie on either side of it
        return at[(at >= self.low - REFRACTORY // 2) & (at < self.high + REFRACTORY // 2)]


def _stretches(recording: int, prepared: Prepared) -> Iterator[_Stretch]:
    """The stretches of a recording, of ten minutes at most."""
    starts, stops, silence = _samples(prepared)
    first = 0
    for i in range(1, len(starts) + 1):
        goes_on = i < len(starts) and starts[i] <= stops[i - 1] and (prepared.mask[i] == prepared.mask[first]).all()
        if not goes_on or stops[i] - starts[first] > LONGEST:
            low, high = starts[first], stops[i - 1]
            if prepared.columns:  # beside a column, its leads are missing
                own = slice(first, i)
                begin, signal = _joined(prepared.signal[own], starts[own], stops[own], low, high)
            else:
                begin, signal = _joined(prepared.signal, starts, stops, low - MARGIN, high + MARGIN)
            active = np.ones(signal.shape[1], bool)
            for start, stop in silence:
                active[max(start + SILENCE_MARGIN - begin, 0) : max(stop - SILENCE_MARGIN - begin, 0)] = False
            yield _Stretch(recording, low, high, begin, signal, active, prepared.mask[first])
            first = i


def _samples(prepared: Prepared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the windows start and stop, and the silences, int (silences, 2): samples of the recording."""
    starts = np.rint(prepared.start_s * RATE).astype(int)
    return starts, starts + prepared.length, np.rint(np.array(prepared.silence).reshape(-1, 2) * RATE).astype(int)


def _beats(prepared: Prepared, peaks: np.ndarray) -> Beats:
    """The R peaks of a recording, samples, by its windows."""
    starts, stops, silence = _samples(prepared)
    peaks = np.unique(peaks)
    peaks = peaks[np.diff(peaks, prepend=-REFRACTORY) >= REFRACTORY // 2]
    return _by_window(peaks, starts, stops, _gaps(prepared.signal, starts, stops, silence))


def _joined(windows: np.ndarray, starts: np.ndarray, stops: np.ndarray, low: int, high: int) -> tuple[int, np.ndarray]:
    """The signal from low to high (samples of the recording), as far as there is one: its start, and (12, samples)."""
    rows = np.flatnonzero((starts < high) & (stops > low))
    low, high = max(low, starts[rows[0]]), min(high, stops[rows].max())
    signal = np.zeros((12, high - low), np.float32)
    for i in rows[::-1]:  # where two windows overlap, the earlier one is used
        begin, end = max(low, starts[i]), min(high, stops[i])
        signal[:, begin - low : end - low] = windows[i][:, begin - starts[i] : end - starts[i]]
    return low, signal


def _gaps(windows: np.ndarray, starts: np.ndarray, stops: np.ndarray, silence: np.ndarray) -> np.ndarray:
    """Where a recording has no signal for longer than `GAP`: starts and stops, int (gaps + 1, 2), samples.

    The last row is the end of the recording. Electrical silence is signal, also between the windows.
    """
    recorded = np.zeros(max(stops.max(initial=0), silence.max(initial=0)), bool)
    for signal, start, stop in zip(windows, starts, stops, strict=True):
        recorded[start:stop] |= signal[:, : stop - start].any(axis=0)
    for start, stop in silence:
        recorded[start:stop] = True
    return np.vstack([find_runs(~recorded, GAP), (len(recorded), len(recorded))])


def _by_window(peaks: np.ndarray, starts: np.ndarray, stops: np.ndarray, gaps: np.ndarray) -> Beats:
    """R peaks of the whole recording, int (n,), by window; gaps as of `_gaps`."""
    before_gap, after_gap = gaps[:, 0], np.append(0, gaps[:-1, 1])
    windows, around, recorded = [], [], []
    for start, stop in zip(starts, stops, strict=True):
        i, j = np.searchsorted(peaks, (start, stop))
        first, last = (peaks[i], peaks[j - 1]) if j > i else (start, stop)
        low = after_gap[np.searchsorted(after_gap, first, "right") - 1]
        high = before_gap[np.searchsorted(before_gap, last)]
        before = peaks[i - 1] if i and peaks[i - 1] >= low else np.nan
        after = peaks[j] if j < len(peaks) and peaks[j] < high else np.nan
        windows.append(peaks[i:j] - start)
        around.append((before - start, after - start))
        recorded.append((low - start, high - start))
    pairs = lambda rows: np.array(rows, float).reshape(-1, 2)
    return Beats(peaks / RATE, tuple(windows), pairs(around), pairs(recorded))


@once
def similarity(batch: Batch) -> np.ndarray:
    """How alike the QRS complexes of each window are to its dominant one.

    Returns
    -------
    float (n, most beats)
        Correlations, the best of shifts by one sample; NaN behind the last beat of a window.
    """
    alike = np.empty(len(batch.at))
    complexes = batch.around_r(QRS // 2 + 1, QRS // 2 + 2)
    for _, rows in equal_groups(batch.counts):
        alike[rows] = _to_dominant(complexes[rows])
    return batch.by_window(alike)


def _to_dominant(complexes: np.ndarray) -> np.ndarray:
    """How alike complexes, (windows, beats, leads, QRS + 2), are to the dominant one: (windows, beats)."""
    complexes = without_mean(complexes)
    norms = np.sqrt(np.einsum("wbls,wbls->wbs", complexes, complexes) @ at_shifts(QRS, 3))
    windows, beats, leads, _ = complexes.shape
    rows = lambda x: x.reshape(windows, beats, leads * QRS)
    shifted = [rows(complexes[:, :, :, shift : shift + QRS]) for shift in range(3)]
    every = slice(None, None, max(1, beats // MAX_SAMPLE))
    sample = shifted[1][:, every]
    group = _largest_group(sample, norms[:, every, 1])
    template = median_of_groups(sample[group], group.sum(axis=1))[:, :, None]
    sizes = norms * np.sqrt((template**2).sum(axis=1, keepdims=True))
    return (np.concatenate([x @ template for x in shifted], axis=2) / np.maximum(sizes, 1e-9)).max(axis=2)


@lru_cache
def at_shifts(samples: int, shifts: int) -> np.ndarray:
    """Which samples of a stretch are in its part at each shift: 1 and 0, (samples + shifts - 1, shifts)."""
    after = np.arange(samples + shifts - 1)[:, None] - np.arange(shifts)
    return ((after >= 0) & (after < samples)).astype(float)


def _largest_group(shapes: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """The largest group around a real beat: unlike a mean of all, it holds where every second beat is premature.

    shapes: (windows, beats, samples of all leads), norms: (windows, beats) -> bool (windows, beats)
    """
    alike = shapes @ shapes.swapaxes(1, 2) / np.maximum(norms[:, :, None] * norms[:, None], 1e-9)
    close = alike > SAME_SHAPE
    every, centre = np.arange(len(shapes)), np.argmax(close.sum(axis=2) + alike.mean(axis=2), axis=1)
    group = close[every, centre]
    group[every, centre] = True
    return group


@once
def dominant(batch: Batch) -> list[np.ndarray]:
    """Which beats of each window are of the dominant kind, n times bool (beats,): its QRS shape, and not early."""
    at = batch.positions
    usual = median_of_known(np.diff(at, axis=1))[:, None]
    rr = np.diff(at, axis=1, prepend=at[:, :1] - usual)
    chosen = (similarity(batch) > SAME_SHAPE) & (rr > EARLY * median_of_known(rr)[:, None])
    chosen[(batch.counts < 3) | ~chosen.any(axis=1)] = True
    return batch.split(chosen[batch.inside])
