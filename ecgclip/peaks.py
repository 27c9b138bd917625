"""R peaks of a prepared signal: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False."""

from __future__ import annotations

import numpy as np

RATE = 100  # Hz, the rate of prepared signals
BAND = (5, 20)  # Hz, where QRS complexes stand out: half gain at either end
REFRACTORY = 20  # samples (200 ms): no second QRS complex can follow sooner
SMALLEST_QRS_MV = 0.1  # a lead whose band-passed swing stays below shows no QRS complex
THRESHOLD, LOW_THRESHOLD = 0.4, 0.2  # of the typical QRS feature around; the low one where a beat is overdue
T_WINDOW, T_RATIO = 36, 0.6  # so soon after a QRS complex (samples), what is smaller than this is its T wave


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


def cut(signal: np.ndarray, peaks: np.ndarray, before: int, after: int) -> np.ndarray:
    """The signal around every peak: (beats, leads, before + after); what lies outside the signal repeats its edge."""
    index = np.clip(peaks[:, None] + np.arange(-before, after), 0, signal.shape[1] - 1)
    return signal[:, index].transpose(1, 0, 2)


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
