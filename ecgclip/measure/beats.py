"""Heartbeats: where the R peaks are, and what the typical beat looks like.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.
Entry points: `find_beats` (of a whole recording), `r_peaks` (of one stretch) and `median_beat`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ecgclip.peaks import RATE, REFRACTORY, cut_beats, r_peaks

if TYPE_CHECKING:
    from ecgclip.prepare import Prepared

BEFORE, AFTER = 30, 50  # samples of a median beat before R, and from R on: 300 ms and 500 ms
GAP = 10  # samples (100 ms): a longer stretch of zeros in all leads is a gap without a signal
LONGEST = 60 * 10 * RATE  # samples searched at once: ten minutes, so that a day fits into memory
MARGIN = 3 * RATE  # samples beside them that are searched too, for the beats at the edge


# wfdb has good detectors, but for one lead: at 100 Hz on the first lead of eight hard mitdb records, sensitivity and
# PPV are 0.979, 0.929 (xqrs), 0.994, 0.990 (gqrs) and 0.995, 0.989 here, in a fifteenth of gqrs' time; leads combine.


@dataclass(frozen=True, eq=False)
class Beats:
    """The heartbeats of a whole recording, and the part that each of its windows has in them.

    times_s: float (n,), all R peaks, s from the start of the recording
    windows: for each window int (beats,), its R peaks in samples at 100 Hz from the window's start
    around: float (windows, 2), the R peak before the window's first one and the one after its last one, in samples from the
        window's start; NaN where there is none, or a gap without a signal lies between
    recorded: float (windows, 2), from where to where the recording has no such gap around the window, on the same scale
    """

    times_s: np.ndarray
    windows: tuple[np.ndarray, ...]
    around: np.ndarray
    recorded: np.ndarray

    def of(self, rows: np.ndarray) -> Beats:
        """The same of some of the windows."""
        return Beats(self.times_s, tuple(self.windows[i] for i in rows), self.around[rows], self.recorded[rows])


def find_beats(prepared: Prepared) -> Beats:
    """The heartbeats of a recording, found over all of its windows at once. Raises nothing."""
    starts = np.rint(prepared.start_s * RATE).astype(int)
    stops = starts + prepared.length
    silence = np.rint(np.array(prepared.silence).reshape(-1, 2) * RATE).astype(int)
    found = [np.empty(0, int)]
    for first, last in _stretches(prepared.mask, starts, stops):
        low, high = starts[first], stops[last - 1]
        begin, signal = _joined(prepared.signal, starts, stops, low - MARGIN, high + MARGIN)
        active = np.ones(signal.shape[1], bool)
        for start, stop in silence:  # less a margin for the waves at its ends
            active[max(start + RATE // 2 - begin, 0) : max(stop - RATE // 2 - begin, 0)] = False
        at = begin + np.flatnonzero(active)[r_peaks(signal[:, active], prepared.mask[first])]
        # a beat at the very edge may lie on either side of it
        found.append(at[(at >= low - REFRACTORY // 2) & (at < high + REFRACTORY // 2)])
    peaks = np.unique(np.concatenate(found))
    peaks = peaks[np.diff(peaks, prepend=-REFRACTORY) >= REFRACTORY // 2]
    return _shared(prepared.signal, peaks, starts, stops, silence)


def _stretches(mask: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last + 1 of neighbouring windows with the same leads, of ten minutes at the most."""
    first = 0
    for i in range(1, len(starts) + 1):
        goes_on = i < len(starts) and starts[i] <= stops[i - 1] and (mask[i] == mask[first]).all()
        if not goes_on or stops[i] - starts[first] > LONGEST:
            yield first, i
            first = i


def _joined(windows: np.ndarray, starts: np.ndarray, stops: np.ndarray, low: int, high: int) -> tuple[int, np.ndarray]:
    """The signal from low to high (samples of the recording), as far as there is one: where it begins, and (12, samples)."""
    rows = np.flatnonzero((starts < high) & (stops > low))
    low, high = max(low, starts[rows[0]]), min(high, stops[rows].max())
    signal = np.zeros((12, high - low), np.float32)
    for i in rows[::-1]:  # where two windows overlap, the earlier one stands
        begin, end = max(low, starts[i]), min(high, stops[i])
        signal[:, begin - low : end - low] = windows[i][:, begin - starts[i] : end - starts[i]]
    return low, signal


def _shared(
    windows: np.ndarray, peaks: np.ndarray, starts: np.ndarray, stops: np.ndarray, silence: np.ndarray
) -> Beats:
    """R peaks of the whole recording, int (n,), as the windows share them."""
    recorded = np.zeros(max(stops.max(initial=0), silence.max(initial=0)), bool)
    for signal, start, stop in zip(windows, starts, stops, strict=True):
        recorded[start:stop] |= signal[:, : stop - start].any(axis=0)
    for start, stop in silence:  # also between the windows
        recorded[start:stop] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([True], recorded, [True])))).reshape(-1, 2)
    edges = edges[edges[:, 1] - edges[:, 0] > GAP]
    before_gap, after_gap = np.append(edges[:, 0], len(recorded)), np.append(0, edges[:, 1])
    inside, around, bounds = [], [], []
    for start, stop in zip(starts, stops, strict=True):
        i, j = np.searchsorted(peaks, (start, stop))
        first, last = (peaks[i], peaks[j - 1]) if j > i else (start, stop)
        low = after_gap[np.searchsorted(after_gap, first, "right") - 1]
        high = before_gap[np.searchsorted(before_gap, last)]
        before = peaks[i - 1] if i and peaks[i - 1] >= low else np.nan
        after = peaks[j] if j < len(peaks) and peaks[j] < high else np.nan
        inside.append(peaks[i:j] - start)
        around.append((before - start, after - start))
        bounds.append((low - start, high - start))
    shape = lambda rows: np.array(rows, float).reshape(-1, 2)
    return Beats(peaks / RATE, tuple(inside), shape(around), shape(bounds))


def median_beat(signal: np.ndarray, peaks: np.ndarray, before: int = BEFORE, after: int = AFTER) -> np.ndarray:
    """The median of the dominant beats, float32 (12, before + after), mV; zeros if there is no whole beat.

    signal: float32 (12, samples), mV at 100 Hz; peaks: R positions. Early beats and other shapes are left out.
    """
    whole = peaks[(peaks >= before) & (peaks + after <= signal.shape[1])]
    if len(whole) == 0:
        return np.zeros((signal.shape[0], before + after), np.float32)
    kept = whole[dominant(signal, peaks)[np.isin(peaks, whole)]]
    return np.median(cut_beats(signal, kept if len(kept) else whole, before, after), axis=0).astype(np.float32)


def similarity(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How alike the QRS complexes are to the dominant one: correlation (beats,), best of shifts by one sample."""
    shapes = _shapes(cut_beats(signal, peaks, 13, 14))
    sample = shapes[:: max(1, len(shapes) // 60), :, 1:-1].reshape(-1, shapes.shape[1] * 25)
    alike = _correlate(sample, sample)
    # The largest group around a real beat: unlike a mean of all, it holds where every second beat is premature.
    centre = np.argmax((alike > 0.85).sum(axis=1) + alike.mean(axis=1))
    group = alike[centre] > 0.85
    template = np.median(sample[group], axis=0, keepdims=True) if group.any() else sample[centre][None]
    shifts = [shapes[:, :, s : s + 25].reshape(len(shapes), -1) for s in range(3)]
    return np.max([_correlate(shift, template)[:, 0] for shift in shifts], axis=0)


def dominant(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Which beats are of the dominant kind, bool (beats,): its QRS shape, and not early."""
    if len(peaks) < 3:
        return np.ones(len(peaks), bool)
    rr = np.diff(peaks, prepend=peaks[0] - np.median(np.diff(peaks)))
    kept = (similarity(signal, peaks) > 0.85) & (rr > 0.8 * np.median(rr))
    return kept if kept.any() else np.ones(len(peaks), bool)


def _shapes(beats: np.ndarray) -> np.ndarray:
    return beats - beats.mean(axis=2, keepdims=True)


def _correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return a @ b.T / np.maximum(norms, 1e-9)


NAN = float("nan")
Bounds: TypeAlias = tuple[float, float]
