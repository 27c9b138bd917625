"""R peaks of a prepared signal, on any subset of the leads.

A prepared signal is float32 (12, samples) in mV at 100 Hz, its baseline removed, zero where the mask is False.
"""

from __future__ import annotations

from itertools import pairwise
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
MOST = 16  # signals that are looked at together: more of them would not stay in the processor's cache
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
    return r_peaks_of_many(np.asarray(signal)[None, np.asarray(mask, bool)])[0]


def r_peaks_of_many(leads: np.ndarray) -> list[np.ndarray]:
    """Find the R peaks of many signals at once.

    Parameters
    ----------
    leads : float (n, leads, samples), mV at 100 Hz
        The usable leads of each.

    Returns
    -------
    list of int (beats,)
        As of `r_peaks`, for each of them.
    """
    if leads.size == 0 or leads.shape[2] < RATE // 2:
        return [np.empty(0, int)] * len(leads)
    return [
        found for i in range(0, len(leads), MOST) for found in _r_peaks(np.asarray(leads[i : i + MOST], np.float32))
    ]


def _r_peaks(leads: np.ndarray) -> list[np.ndarray]:
    peaks = [np.empty(0, int)] * len(leads)
    band = np.abs(_band_pass(leads))
    beating = _beating_blocks(band)
    swing = _typical_maximum(band, beating)
    visible, active = _where_visible(swing)
    patterns, pattern = np.unique(visible, axis=0, return_inverse=True)
    for k, shown in enumerate(patterns):
        rows = np.flatnonzero(pattern.reshape(-1) == k)
        if shown.any():
            seen = band[rows][:, shown], swing[rows][:, shown]
            for i, found in zip(rows.tolist(), _in_visible(*seen, active[rows], beating[rows]), strict=True):
                peaks[i] = found
    return peaks


def _in_visible(band: np.ndarray, swing: np.ndarray, active: np.ndarray, beating: np.ndarray) -> list[np.ndarray]:
    """The R peaks of signals whose leads all show QRS complexes.

    band : (n, leads, samples)
    swing : its `_typical_maximum`
    active : bool (n, samples or 1), where any lead shows complexes
    beating : bool (n, blocks)
    """
    feature = np.where(active, _qrs_feature(band, beating), 0)
    feature /= np.maximum(_typical_maximum(feature[:, None], beating)[:, 0], 1e-9)
    slow, fast = (_select(_local_maxima(feature, r), feature, r) for r in (REFRACTORY, FAST_REFRACTORY))
    chosen = [_with_fast_runs(*both) for both in zip(slow, fast, strict=True)]
    return _refine(chosen, np.mean(band / np.maximum(swing, SMALLEST_QRS_MV / 2), axis=1))


def median_of_rows(x: np.ndarray, spare: bool = False) -> np.ndarray:
    """The median of each row of (..., n), none of it NaN. `np.median` seeks two places at once, which is slow.

    spare: x is not needed any more, and may be put in another order
    """
    half = x.shape[-1] // 2
    x = x if spare else x.copy()
    x.partition(half, axis=-1)
    return x[..., half] if x.shape[-1] % 2 else (x[..., :half].max(axis=-1) + x[..., half]) / 2


def cut_beats(signal: np.ndarray, peaks: np.ndarray, before: int, after: int) -> np.ndarray:
    """The signal around every peak, (beats, leads, before + after); beyond its ends it repeats the last sample."""
    index = np.clip(peaks[:, None] + np.arange(-before, after), 0, signal.shape[1] - 1)
    return signal[:, index].transpose(1, 0, 2)


# ---------------------------------------------------------------------------------------------------------------------
# The feature: how much each sample looks like a QRS complex


def _band_pass(signal: np.ndarray) -> np.ndarray:
    """(n, leads, samples) in `BAND`, as by a Butterworth filter of second order run forwards and backwards.

    By numpy alone, as `scipy.signal` takes longer to import than a record takes to answer.
    """
    n, edge = signal.shape[2], RATE // 2
    before = 2 * signal[..., :1] - signal[..., edge:0:-1]  # mirrored in the first sample, and in the last one
    after = 2 * signal[..., -1:] - signal[..., -2 : -edge - 2 : -1]
    size = quick_size(n + 2 * edge)
    warped = np.tan(np.pi * np.fft.rfftfreq(size)[1:-1])  # as the bilinear transform does it; half the rate is infinite
    low, high = np.tan(np.pi * np.array(BAND) / RATE)
    gain = np.concatenate(([0], 1 / (1 + ((warped**2 - low * high) / (warped * (high - low))) ** 4), [0]))
    spectrum = np.fft.rfft(np.concatenate((before, signal, after), axis=2), size)
    spectrum *= gain.astype(np.float32)
    return np.fft.irfft(spectrum, size)[..., edge : edge + n]


def quick_size(n: int) -> int:
    """The smallest size from n on that is quick to transform: a power of two, or 9/8 or 3/2 of one."""
    power = 1 << (n - 1).bit_length()
    return min(size for size in (power, 9 * power // 16, 3 * power // 4) if size >= n)


def _block_maxima(x: np.ndarray) -> np.ndarray:
    """(n, leads, samples) → (n, leads, blocks), the maximum of each block."""
    n, count = x.shape[2], max(1, x.shape[2] // BLOCK)
    size, longer = divmod(n, count)  # the first blocks are longer by one sample
    first = np.arange(count) * size + np.minimum(np.arange(count), longer)
    return np.maximum.reduceat(x, first, axis=2)


def _beating_blocks(band: np.ndarray) -> np.ndarray:
    """Which blocks hold a beat, bool (n, blocks): not those where the heart or the recorder rests for long."""
    height = _block_maxima(band).mean(axis=1)
    high = 2 * height >= np.minimum(SMALLEST_QRS_MV, 2 * height.max(axis=1, keepdims=True))
    return height > RESTING * _median_where(high, height)[:, None]


def _median_where(which: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The median of some values of each row, (n,); which, x: (n, values), one at least."""
    ordered, count = np.sort(np.where(which, x, np.inf), axis=1), which.sum(axis=1)
    low, high = (np.take_along_axis(ordered, k[:, None], axis=1)[:, 0] for k in ((count - 1) // 2, count // 2))
    return (low + high) / 2


def _typical_maximum(x: np.ndarray, beating: np.ndarray) -> np.ndarray:
    """The usual height of the peaks around each sample: a moving median of the blocks' maxima.

    Parameters
    ----------
    x : (n, leads, samples)
    beating : bool (n, blocks)
        In a longer recording the others count only where no beating one is near.

    Returns
    -------
    (n, leads, samples), or (n, leads, 1) where it is the same everywhere
    """
    maxima = _block_maxima(x)
    if maxima.shape[2] <= SMOOTHING:
        return np.median(maxima, axis=2, keepdims=True)
    counts = _around(beating, SMOOTHING, "edge")
    counts = counts | ~counts.any(axis=-1, keepdims=True)
    smooth = np.nanmedian(np.where(counts[:, None], _around(maxima, SMOOTHING, "edge"), np.nan), axis=-1)
    return smooth[..., np.arange(x.shape[2]) * smooth.shape[2] // x.shape[2]]


def _where_visible(swing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which leads show QRS complexes, bool (n, leads), and where any lead does, bool (n, samples or 1)."""
    seen: np.ndarray = 2 * swing > SMALLEST_QRS_MV
    active: np.ndarray = np.asarray(seen.any(axis=1))
    share = (seen & active[:, None]).sum(axis=2) / np.maximum(active.sum(axis=1), 1)[:, None]
    return share > 0.5, active


def _qrs_feature(band: np.ndarray, beating: np.ndarray) -> np.ndarray:
    """How much each sample looks like a QRS complex, (n, samples); band: (n, leads, samples)."""
    slope = np.gradient(band, axis=2)
    energy = _moving_mean(slope**2 + (0.5 * band) ** 2, ENERGY_WINDOW)
    # Each lead counts by its own typical QRS energy, so that a small lead votes as much as a tall one.
    share = np.minimum(energy / np.maximum(_typical_maximum(energy, beating), 1e-9), MAX_SHARE)
    # The median over leads (the mean of two) ignores a burst of noise in some of them.
    middle = sorted({(share.shape[1] - 1) // 2, share.shape[1] // 2})
    return np.sqrt(np.partition(share, middle, axis=1)[:, middle]).mean(axis=1)


def _moving_mean(x: np.ndarray, size: int) -> np.ndarray:
    """The mean of so many samples, an odd number, around each of (..., samples), with zeros beyond the ends."""
    out, half = x.copy(), size // 2
    for shift in range(1, half + 1):
        out[..., shift:] += x[..., :-shift]
        out[..., :-shift] += x[..., shift:]
    out /= size
    return out


def _around(x: np.ndarray, size: int, mode: Literal["constant", "edge"]) -> np.ndarray:
    """The neighbours of each sample of (..., samples): (..., samples, size), a view; `mode` as in `np.pad`."""
    padding = [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, padding, mode), size, axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# The choice: which maxima of the feature are QRS complexes


def _local_maxima(feature: np.ndarray, refractory: int) -> list[np.ndarray]:
    """Maxima above 0 that have no larger one within half of `refractory`; of a plateau, its middle.

    feature: (n, samples); int (maxima,) for each row
    """
    n, samples = feature.shape
    width = samples + 2 * refractory  # zeros part the rows, which lie one behind the other
    level = np.pad(feature, ((0, 0), (refractory, refractory))).ravel()
    step = np.diff(level)
    edges = np.flatnonzero(step)  # between two of them the level is the same
    up = step[edges] > 0
    tops = ((edges[:-1] + edges[1:] + 1) // 2)[up[:-1] & ~up[1:]]
    tops = tops[_largest_around(tops, level[tops], refractory // 2)]
    row, at = np.divmod(tops, width)
    return np.split(at - refractory, np.searchsorted(row, np.arange(1, n)))


def _largest_around(at: np.ndarray, height: np.ndarray, reach: int) -> np.ndarray:
    """Which of some points are kept, bool (n,), when the highest takes out those nearer than `reach`, and so on.

    at: int (n,), sorted
    """
    first, last = np.searchsorted(at, at - reach, "right"), np.searchsorted(at, at + reach)
    ranges = np.column_stack([first, last]).ravel()
    open_, kept = np.ones(len(at), bool), np.zeros(len(at), bool)
    while open_.any():
        highest = np.maximum.reduceat(np.append(np.where(open_, height, -1.0), -1.0), ranges)[::2]
        chosen = open_ & (height >= highest)
        # of two points of the same height, the later one counts
        again = np.flatnonzero(chosen)
        near = np.diff(at[again]) < reach
        chosen[again[:-1][near]] = False
        kept |= chosen
        open_ &= ~(np.maximum.reduceat(np.append(chosen, False).astype(np.int8), ranges)[::2] > 0)
    return kept


def _select(candidates: list[np.ndarray], feature: np.ndarray, refractory: int) -> list[np.ndarray]:
    """The candidates of each row that are QRS complexes: above the threshold, no T wave, and found where overdue.

    candidates: int (maxima,) for each row
    feature: (n, samples), 1 where it is as high as is usual around
    refractory: samples without a second complex
    """
    heights = [row[at] for row, at in zip(feature, candidates, strict=True)]
    selected = []
    for at, height, threshold in zip(candidates, heights, _thresholds(heights), strict=True):
        chosen = _without_t_waves(at.tolist(), height.tolist(), (height > threshold).tolist(), refractory)
        selected.append(at[_search_back(chosen, at, height)])
    return selected


def _thresholds(heights: list[np.ndarray]) -> list[np.ndarray]:
    """How high a QRS complex must be, for each candidate of each row.

    Flutter waves and artefacts lie between the QRS complexes: where they are large, the threshold rises.
    """
    counts = np.array([len(row) for row in heights])
    stop = np.cumsum(counts)
    first, all_heights = stop - counts, np.concatenate(heights)
    noise = np.zeros(len(all_heights))
    sizes = np.minimum(counts, NEIGHBOURS)
    for size in np.unique(sizes[sizes > 0]).tolist():
        of_size = np.repeat(sizes == size, counts)
        low, high = (np.repeat(ends, counts)[of_size, None] for ends in (first, stop - 1))
        around = np.flatnonzero(of_size)[:, None] + np.arange(size) - size // 2
        tenth = NOISE_TENTH * size // 10
        noise[of_size] = np.partition(all_heights[np.clip(around, low, high)], tenth, axis=1)[:, tenth]
    return np.split(np.clip(NOISE_GAIN * noise, THRESHOLD, MAX_THRESHOLD), stop[:-1])


def _without_t_waves(at: list[int], height: list[float], above: list[bool], refractory: int) -> list[int]:
    """Indices of the candidates above the threshold, of two that are too near the higher one, and no T waves."""
    chosen: list[int] = []
    for i in (i for i, high in enumerate(above) if high):
        if not chosen:
            if at[i] >= T_WINDOW or height[i] >= T_RATIO:  # else the T wave of a beat before the start
                chosen.append(i)
            continue
        gap, ratio = at[i] - at[chosen[-1]], height[i] / height[chosen[-1]]
        if gap < refractory:
            if ratio > 1:
                chosen[-1] = i
        elif gap >= T_WINDOW or ratio >= T_RATIO:
            chosen.append(i)
    return chosen


def _search_back(chosen: list[int], candidates: np.ndarray, heights: np.ndarray) -> list[int]:
    """Add the largest candidate above the low threshold in every gap that is long for its surroundings."""
    if len(chosen) < 3:
        return chosen
    at = candidates[chosen].tolist()
    gaps = [b - a for a, b in pairwise(at)]
    usual = _middle(gaps)
    added = []
    for i in (i for i, gap in enumerate(gaps) if gap > OVERDUE * usual):
        start, end = at[i], at[i + 1]
        inside = (candidates > start + T_WINDOW) & (candidates < end - T_WINDOW)
        between = np.flatnonzero(inside & (heights > LOW_THRESHOLD))
        if end - start > OVERDUE * _middle(gaps[max(0, i - 4) : i + 5]) and len(between):
            added.append(int(between[np.argmax(heights[between])]))
    return sorted([*chosen, *added])


def _middle(values: list[int]) -> float:
    """The median."""
    ordered, n = sorted(values), len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _with_fast_runs(peaks: np.ndarray, fast: np.ndarray) -> np.ndarray:
    """The peaks, in rhythms above 300 a minute those of `fast`, which follow each other sooner."""
    soon = np.diff(fast) <= FAST_GAP
    if np.count_nonzero(soon) < FAST_RUN:
        return peaks
    edges = np.flatnonzero(np.diff(np.concatenate(([False], soon, [False]))))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first >= FAST_RUN:
            run = fast[first : last + 1]
            peaks = np.concatenate([peaks[peaks < run[0]], run, peaks[peaks > run[-1]]])
    return peaks


def _refine(peaks: list[np.ndarray], height: np.ndarray) -> list[np.ndarray]:
    """Move each peak of each row to the largest deflection within 80 ms; height: (n, samples)."""
    row = np.repeat(np.arange(len(peaks)), [len(at) for at in peaks])
    at = np.concatenate(peaks)
    index = np.clip(at[:, None] + np.arange(-REFINE, REFINE + 1), 0, height.shape[1] - 1)
    at = index[np.arange(len(at)), np.argmax(height[row[:, None], index], axis=1)]
    refined = np.split(at, np.searchsorted(row, np.arange(1, len(peaks))))
    return [_apart(np.unique(of_row)) for of_row in refined]


def _apart(peaks: np.ndarray) -> np.ndarray:
    """Sorted peaks without those that follow another one at once."""
    return peaks[np.diff(peaks, prepend=-REFRACTORY) >= REFRACTORY // 2]
