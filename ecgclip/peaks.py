"""R peaks of a prepared signal, on any subset of the leads.

A prepared signal is float32 (12, samples) in mV at 100 Hz, its baseline removed, zero where the mask is False.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

RATE = 100  # Hz, the rate of prepared signals
BAND = (5, 20)  # Hz, where QRS complexes stand out: half gain at either end
REFRACTORY = 20  # samples (200 ms): a second QRS complex seldom follows sooner
# ... but for rates from 300 to 370 a minute. Single peaks so near are spikes, notches or T waves; a row of them is a
# rhythm. (With 160 ms for all, 216 more false beats are found on mitdb's DS1, 139 of them paced spikes of record 104.)
FAST_REFRACTORY, FAST_GAP, FAST_RUN = 16, 22, 8  # samples, samples, and so many intervals in a row
SMALLEST_QRS_MV = 0.1  # a lead whose band-passed swing stays below shows no QRS complex
RESTING = 0.3  # of the usual height of the blocks: lower blocks hold no beat
# The feature is 1 where it is as high as a QRS complex usually is around there.
THRESHOLD = 0.4  # a QRS complex is higher
MAX_THRESHOLD = 0.6  # among flutter waves or artefacts the threshold rises, up to here
NOISE_GAIN, NOISE_TENTH = 1.4, 3  # ... to so many times the third tenth (30 %) of the candidates around
LOW_THRESHOLD = 0.2  # where a beat is overdue
OVERDUE = 1.6  # times the usual gap
T_WINDOW, T_RATIO = 36, 0.6  # within so many samples after a QRS complex, a peak below this part of it is its T wave
MAX_SHARE = 4.0  # times its usual energy: the feature does not rise beyond
ENERGY_WINDOW = 11  # samples over which energy is averaged, a QRS complex
BLOCK = 3 * RATE // 2  # samples: a block holds a beat down to 40 bpm
SMOOTHING = 7  # blocks: the usual height of a peak is a median over so many
NEIGHBOURS = 31  # candidates from which the noise around one is estimated
REFINE = 8  # samples on either side in which the largest deflection is searched for


def r_peaks(signal: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Find the R peaks (the largest QRS deflections).

    Works on any subset of leads and any length, as the threshold follows the signal.

    Parameters
    ----------
    signal : float32 (12, samples), mV at 100 Hz
    mask : bool (12,)
        True where the lead is usable.

    Returns
    -------
    int (beats,)
        Sorted positions in samples; empty where no peak is seen.
    """
    leads = np.asarray(signal, np.float64)[np.asarray(mask, bool)]
    if leads.size == 0 or leads.shape[1] < RATE // 2:
        return np.empty(0, int)
    band = np.abs(_band_pass(leads))
    beating = _beating_blocks(band)
    swing = _typical_maximum(band, beating)
    visible, active = _where_visible(swing)
    if not visible.any():
        return np.empty(0, int)
    band, swing = band[visible], swing[visible]
    feature = np.where(active, _qrs_feature(band, beating), 0)
    if not feature.any():
        return np.empty(0, int)
    usual = np.maximum(_typical_maximum(feature[None], beating)[0], 1e-9)
    slow, fast = (_select(_local_maxima(feature, r), feature / usual, r) for r in (REFRACTORY, FAST_REFRACTORY))
    peaks = _with_fast_runs(slow, fast)
    return _refine(peaks, np.mean(band / np.maximum(swing, SMALLEST_QRS_MV / 2), axis=0))


def cut_beats(signal: np.ndarray, peaks: np.ndarray, before: int, after: int) -> np.ndarray:
    """The signal around every peak, (beats, leads, before + after); beyond its ends it repeats the last sample."""
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


def _beating_blocks(band: np.ndarray) -> np.ndarray:
    """Which blocks hold a beat, bool (blocks,): not those where the heart or the recorder rests for long."""
    height = _block_maxima(band).mean(axis=0)
    return height > RESTING * np.median(height[2 * height >= min(SMALLEST_QRS_MV, 2 * height.max())])


def _where_visible(swing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which leads show QRS complexes, bool (leads,), and where any lead does, bool (samples,)."""
    seen: np.ndarray = 2 * swing > SMALLEST_QRS_MV
    active: np.ndarray = np.asarray(seen.any(axis=0))
    if not active.any():
        return np.zeros(len(swing), bool), active
    return seen[:, active].mean(axis=1) > 0.5, active


def _qrs_feature(band: np.ndarray, beating: np.ndarray) -> np.ndarray:
    """How much each sample looks like a QRS complex, (samples,)."""
    slope = np.gradient(band, axis=1)
    energy = _around(slope**2 + (0.5 * band) ** 2, ENERGY_WINDOW, "constant").mean(axis=-1)
    # Each lead counts by its own typical QRS energy, so that a small lead votes as much as a tall one.
    share = energy / np.maximum(_typical_maximum(energy, beating), 1e-9)
    # The median over leads (the mean of two) ignores a burst of noise in some of them.
    return np.median(np.sqrt(np.minimum(share, MAX_SHARE)), axis=0)


def _around(x: np.ndarray, size: int, mode: Literal["constant", "edge"]) -> np.ndarray:
    """The neighbours of each sample of (..., samples): (..., samples, size), a view; `mode` as in `np.pad`."""
    padding = [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, padding, mode), size, axis=-1)


def _local_maxima(feature: np.ndarray, refractory: int) -> np.ndarray:
    """Positions of the maxima above 0 that have no larger one within half of `refractory`; of a plateau, its middle."""
    level = np.pad(feature, 1)
    edges = np.flatnonzero(np.diff(level))  # between two of them the level is the same
    up = np.diff(level)[edges] > 0
    tops = ((edges[:-1] + edges[1:] - 1) // 2)[up[:-1] & ~up[1:]]
    first = np.searchsorted(tops, tops - refractory // 2, "right")
    last = np.searchsorted(tops, tops + refractory // 2)
    largest = np.ones(len(tops), bool)
    for i in np.argsort(feature[tops])[::-1]:
        if largest[i]:
            largest[first[i] : last[i]] = False
            largest[i] = True
    return tops[largest]


def _block_maxima(x: np.ndarray) -> np.ndarray:
    """(leads, samples) → (leads, blocks), the maximum of each block."""
    count = max(1, x.shape[1] // BLOCK)
    return np.stack([part.max(axis=1) for part in np.array_split(x, count, axis=1)], axis=1)


def _typical_maximum(x: np.ndarray, beating: np.ndarray) -> np.ndarray:
    """The usual height of the peaks around each sample, (leads, samples): a moving median of the blocks' maxima.

    beating: bool (blocks,); in a longer recording the others count only where no beating one is near.
    """
    maxima = _block_maxima(x)
    if maxima.shape[1] > SMOOTHING:
        counts = _around(beating, SMOOTHING, "edge")
        counts = counts | ~counts.any(axis=-1, keepdims=True)
        smooth = np.nanmedian(np.where(counts, _around(maxima, SMOOTHING, "edge"), np.nan), axis=-1)
    else:
        smooth = np.median(maxima, axis=-1, keepdims=True)
    index = np.arange(x.shape[1]) * smooth.shape[1] // x.shape[1]
    return smooth[:, index]


def _with_fast_runs(peaks: np.ndarray, fast: np.ndarray) -> np.ndarray:
    """The peaks, in rhythms above 300 a minute those of `fast`, which follow each other sooner."""
    flags = np.pad(np.diff(fast) <= FAST_GAP, 1)
    edges = np.flatnonzero(np.diff(flags))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first >= FAST_RUN:
            run = fast[first : last + 1]
            peaks = np.concatenate([peaks[peaks < run[0]], run, peaks[peaks > run[-1]]])
    return peaks


def _select(candidates: np.ndarray, feature: np.ndarray, refractory: int) -> np.ndarray:
    """The candidates that are QRS complexes: above the threshold, no T wave, and found again where one is overdue.

    feature: (samples,), 1 where it is as high as is usual around; refractory: samples without a second complex.
    """
    heights = feature[candidates]
    # Flutter waves and artefacts lie between the QRS complexes: where they are large, the threshold rises.
    around = np.sort(_around(heights, min(NEIGHBOURS, len(heights)), "edge"), axis=-1)
    noise = around[:, NOISE_TENTH * around.shape[1] // 10]
    threshold = np.clip(NOISE_GAIN * noise, THRESHOLD, MAX_THRESHOLD)
    chosen: list[int] = []
    for i in np.flatnonzero(heights > threshold).tolist():
        if not chosen:
            if candidates[i] < T_WINDOW and heights[i] < T_RATIO:
                continue  # T wave of a beat before the start
            chosen.append(i)
            continue
        gap, ratio = candidates[i] - candidates[chosen[-1]], heights[i] / heights[chosen[-1]]
        if gap < refractory:
            if ratio > 1:
                chosen[-1] = i
        elif gap >= T_WINDOW or ratio >= T_RATIO:
            chosen.append(i)
    return candidates[_search_back(np.array(chosen, int), candidates, heights)]


def _search_back(chosen: np.ndarray, candidates: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Add the largest candidate above the low threshold in every gap that is long for its surroundings."""
    if len(chosen) < 3:
        return chosen
    gaps = np.diff(candidates[chosen])
    added = []
    for i in np.flatnonzero(gaps > OVERDUE * np.median(gaps)):
        usual = np.median(gaps[max(0, i - 4) : i + 5])
        start, end = candidates[chosen[i]], candidates[chosen[i + 1]]
        inside = (candidates > start + T_WINDOW) & (candidates < end - T_WINDOW)
        between = np.flatnonzero(inside & (heights > LOW_THRESHOLD))
        if end - start > OVERDUE * usual and len(between):
            added.append(between[np.argmax(heights[between])])
    return np.sort(np.concatenate([chosen, np.array(added, int)]))


def _refine(peaks: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Move each peak to the largest deflection within 80 ms."""
    index = np.clip(peaks[:, None] + np.arange(-REFINE, REFINE + 1), 0, len(height) - 1)
    refined = np.unique(index[np.arange(len(peaks)), np.argmax(height[index], axis=1)])
    return refined[np.diff(refined, prepend=-REFRACTORY) >= REFRACTORY // 2]
