"""Heartbeats: where the R peaks are, and what the typical beat looks like.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.
Entry points: `find_beats` (of a whole recording), `r_peaks` (of one stretch) and `median_beat`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ecgclip.prepare import Prepared

RATE = 100  # Hz, the rate of prepared signals
BAND = (5, 20)  # Hz, where QRS complexes stand out: half gain at either end
BEFORE, AFTER = 30, 50  # samples of a median beat before R, and from R on: 300 ms and 500 ms

REFRACTORY = 20  # samples (200 ms): no second QRS complex can follow sooner
SMALLEST_QRS_MV = 0.1  # a lead whose band-passed swing stays below shows no QRS complex
THRESHOLD, LOW_THRESHOLD = 0.4, 0.2  # of the typical QRS feature around; the low one where a beat is overdue
T_WINDOW, T_RATIO = 36, 0.6  # so soon after a QRS complex (samples), what is smaller than this is its T wave
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


def r_peaks(signal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Positions of the R peaks (the largest QRS deflections) as a sorted int array; empty where none is seen.

    signal: float32 (12, samples), mV at 100 Hz; mask: bool (12,), True where the lead is usable.
    Works on any subset of leads and any length: the threshold follows the signal. Raises nothing.
    """
    leads = np.asarray(signal, np.float64)[np.asarray(mask, bool)]
    if leads.size == 0 or leads.shape[1] < RATE // 2:
        return np.empty(0, int)
    band = np.abs(_band_pass(leads))
    height = _block_maxima(band).mean(axis=0)
    beating = height > 0.3 * np.median(height[2 * height >= min(SMALLEST_QRS_MV, 2 * height.max())])
    swing = _typical_maximum(band, beating)
    seen = 2 * swing > SMALLEST_QRS_MV
    here = seen.any(axis=0)  # not where the heart or the recorder rests for long
    if not here.any():
        return np.empty(0, int)
    visible = seen[:, here].mean(axis=1) > 0.5
    if not visible.any():
        return np.empty(0, int)
    band, swing = band[visible], swing[visible]
    slope = np.gradient(band, axis=1)
    energy = _around(slope**2 + (0.5 * band) ** 2, 11, "constant").mean(axis=-1)
    # Each lead counts by its own typical QRS energy, so that a small lead votes as much as a tall one.
    share = energy / np.maximum(_typical_maximum(energy, beating), 1e-9)
    # The median over leads (the mean of two) does not hear a burst of noise in some of them.
    feature = np.where(here, np.median(np.sqrt(np.minimum(share, 4.0)), axis=0), 0)
    candidates = _tops(feature)
    if not len(candidates):
        return np.empty(0, int)
    peaks = _select(candidates, feature / np.maximum(_typical_maximum(feature[None], beating)[0], 1e-9))
    return _refine(peaks, np.mean(band / np.maximum(swing, SMALLEST_QRS_MV / 2), axis=0))


def median_beat(signal: np.ndarray, peaks: np.ndarray, before: int = BEFORE, after: int = AFTER) -> np.ndarray:
    """The median of the dominant beats, float32 (12, before + after), mV; zeros if there is no whole beat.

    signal: float32 (12, samples), mV at 100 Hz; peaks: R positions. Early beats and other shapes are left out.
    """
    whole = peaks[(peaks >= before) & (peaks + after <= signal.shape[1])]
    if len(whole) == 0:
        return np.zeros((signal.shape[0], before + after), np.float32)
    kept = whole[dominant(signal, peaks)[np.isin(peaks, whole)]]
    return np.median(cut(signal, kept if len(kept) else whole, before, after), axis=0).astype(np.float32)


def cut(signal: np.ndarray, peaks: np.ndarray, before: int, after: int) -> np.ndarray:
    """The signal around every peak: (beats, leads, before + after); what lies outside the signal repeats its edge."""
    index = np.clip(peaks[:, None] + np.arange(-before, after), 0, signal.shape[1] - 1)
    return signal[:, index].transpose(1, 0, 2)


def similarity(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How alike the QRS complexes are to the dominant one: correlation (beats,), best of shifts by one sample."""
    shapes = _shapes(cut(signal, peaks, 13, 14))
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


def _band_pass(signal: np.ndarray) -> np.ndarray:
    """(leads, samples) in `BAND`, as by a Butterworth filter of second order run forwards and backwards.

    By numpy alone, as `scipy.signal` takes longer to import than a record takes to answer.
    """
    n, edge = signal.shape[1], RATE // 2
    extended = np.pad(signal, ((0, 0), (edge, edge)), "reflect", reflect_type="odd")
    size = 1 << (n + 2 * edge).bit_length()  # a power of two, the quickest to transform
    warped = np.tan(np.pi * np.fft.rfftfreq(size)[1:-1])  # as the bilinear transform does it; half the rate is infinite
    low, high = np.tan(np.pi * np.array(BAND) / RATE)
    gain = 1 / (1 + ((warped**2 - low * high) / (warped * (high - low))) ** 4)
    spectrum = np.fft.rfft(extended, size, axis=1) * np.concatenate(([0], gain, [0]))
    return np.fft.irfft(spectrum, size, axis=1)[:, edge : edge + n]


def _around(x: np.ndarray, size: int, mode: str) -> np.ndarray:
    """What lies around each sample of (..., samples): (..., samples, size), a view; `mode` is how `np.pad` continues x."""
    padding = [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, padding, mode), size, axis=-1)


def _tops(feature: np.ndarray) -> np.ndarray:
    """Positions of the maxima above 0 that no larger one lies within 90 ms of; of a plateau, its middle."""
    level = np.pad(feature, 1)
    edges = np.flatnonzero(np.diff(level))  # between two of them the level is the same
    up = np.diff(level)[edges] > 0
    tops = ((edges[:-1] + edges[1:] - 1) // 2)[up[:-1] & ~up[1:]]
    first = np.searchsorted(tops, tops - REFRACTORY // 2, "right")
    last = np.searchsorted(tops, tops + REFRACTORY // 2)
    kept = np.ones(len(tops), bool)
    for i in np.argsort(feature[tops])[::-1]:
        if kept[i]:
            kept[first[i] : last[i]] = False
            kept[i] = True
    return tops[kept]


def _block_maxima(x: np.ndarray) -> np.ndarray:
    """(leads, samples) → (leads, blocks), the maxima of blocks that hold a beat down to 40 bpm."""
    count = max(1, x.shape[1] // (3 * RATE // 2))
    return np.stack([part.max(axis=1) for part in np.array_split(x, count, axis=1)], axis=1)


def _typical_maximum(x: np.ndarray, beating: np.ndarray) -> np.ndarray:
    """The usual height of the peaks around each sample, (leads, samples): median over 7 blocks of their maxima.

    beating: bool (blocks,); in a longer recording the others count only where no beating one is near.
    """
    maxima = _block_maxima(x)
    if maxima.shape[1] > 7:
        counts = _around(beating, 7, "edge")
        counts = counts | ~counts.any(axis=-1, keepdims=True)
        smooth = np.nanmedian(np.where(counts, _around(maxima, 7, "edge"), np.nan), axis=-1)
    else:
        smooth = np.median(maxima, axis=-1, keepdims=True)
    index = np.arange(x.shape[1]) * smooth.shape[1] // x.shape[1]
    return smooth[:, index]


def _select(candidates: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """The candidates that are QRS complexes: above the threshold, no T wave, and found again where one is overdue.

    feature: (samples,), 1 where it is as high as is usual around.
    """
    heights = feature[candidates]
    # Flutter waves and artefacts lie between the QRS complexes: where those are large, less passes.
    around = np.sort(_around(heights, min(31, len(heights)), "edge"), axis=-1)
    noise = around[:, 3 * around.shape[1] // 10]
    threshold = np.clip(1.4 * noise, THRESHOLD, 0.6)
    kept: list[int] = []
    for i in np.flatnonzero(heights > threshold):
        if not kept and candidates[i] < T_WINDOW and heights[i] < T_RATIO:
            continue  # T wave of a beat before the start
        if kept:
            gap, ratio = candidates[i] - candidates[kept[-1]], heights[i] / heights[kept[-1]]
            if gap < REFRACTORY:
                if ratio > 1:
                    kept[-1] = i
                continue
            if gap < T_WINDOW and ratio < T_RATIO:
                continue
        kept.append(i)
    return candidates[_search_back(np.array(kept, int), candidates, heights)]


def _search_back(kept: np.ndarray, candidates: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Add the largest candidate above the low threshold in every gap that is long for its surroundings."""
    if len(kept) < 3:
        return kept
    gaps = np.diff(candidates[kept])
    found = []
    for i in np.flatnonzero(gaps > 1.6 * np.median(gaps)):
        usual = np.median(gaps[max(0, i - 4) : i + 5])
        start, end = candidates[kept[i]], candidates[kept[i + 1]]
        between = np.flatnonzero(
            (candidates > start + T_WINDOW) & (candidates < end - T_WINDOW) & (heights > LOW_THRESHOLD)
        )
        if end - start > 1.6 * usual and len(between):
            found.append(between[np.argmax(heights[between])])
    return np.sort(np.concatenate([kept, np.array(found, int)]))


def _refine(peaks: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Move each peak to the largest deflection within 80 ms."""
    index = np.clip(peaks[:, None] + np.arange(-8, 9), 0, len(height) - 1)
    refined = np.unique(index[np.arange(len(peaks)), np.argmax(height[index], axis=1)])
    return refined[np.diff(refined, prepend=-REFRACTORY) >= REFRACTORY // 2]
