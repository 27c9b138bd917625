"""Pacing spikes in a raw recording, before anything is resampled or filtered.

    at = find_spikes(signal, rate)            # samples
    heart = without_spikes(signal, rate, at)  # what the heart alone wrote

A spike lasts 0.5 to 2 ms at the electrode and 2 to 12 ms on the paper, by the recorder's bandwidth. It rises and falls
faster than any wave of the heart, out of a quiet stretch, and it comes back several times in 10 s, looking alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ecgclip.peaks import RATE, cut_beats, median_of_rows

LOWEST_RATE = 200  # Hz: below, a spike is smeared over as many samples as a narrow QRS complex has
BLOCK_S = 10.0  # s: noise and spikes are judged within blocks of this length
NEAR_S, FAR_S = 0.008, 0.016  # s: a spike has come back after 8 ms, a wave of the heart not yet
RISE_S = 0.004  # s: over which slopes are taken
APART_S = 0.02  # s: of two spikes nearer than this, the higher one counts
# Heights are told in the noise of each lead, its usual height over 8 ms, and no less than this
MIN_NOISE = 0.01  # mV
MIN_HEIGHT = 6  # times the noise
VISIBLE, LEADS_SHARE = 3, 0.25  # times the noise, in so many of the leads: an electrode alone makes spikes as well
# The height over 8 ms, of that over 16 ms. R waves of PTB-XL at 500 Hz and mitdb reach 0.8, ideal spikes 1, those of
# mitdb's tape recorder 0.65 to 0.9
SHARP, SURELY_SHARP = 0.62, 0.85
# The steepest slope from 50 to 14 ms before, of the spike's own: an R or S wave has the rest of QRS before it
SHOWN = 0.5  # of the height in the highest lead: in the leads where it is as high
BEFORE_S, QUIET, SURELY_QUIET = (0.050, 0.014), 0.6, 0.25
# What follows from 40 to 140 ms after, of the spike's height: one that is less sharp counts before a wide complex only
AFTER_S, FOLLOWED = (0.040, 0.140), 0.9
MIN_SPIKES = 3  # alike, in one block
ALIKE, SIZE = 0.8, 0.5  # correlation over the leads, and the smaller height over the larger
OTHERS = 0.5  # of the spikes' height: where as many other sharp maxima are above, all are noise
PAIR_S = 0.08  # s: so soon after a spike a second one may follow, of the other ventricle
# Where a spike begins and ends
EDGE, LONGEST_S = 0.12, 0.016  # of its steepest slope; s on either side
LEVEL_S = 0.006  # s on either side of that, of which the means are joined by a line
# A smeared spike has as much at 32 to 43 Hz as below, and a QRS complex little above 30 Hz, whatever its shape. Of 29
# paced ECGs of PTB-XL (folds 1 to 8), 21 lie above, and of 994 others, all 394 with wide complexes among them, none.
SMEARED, SPIKE_BAND, QRS_BAND = 0.25, (32, 43), (12, 22)
SMEARED_HALF = 6  # samples on either side of which the spectrum is taken
# A very narrow R wave looks like a smeared spike, but little follows, 40 to 140 ms after (samples), of its height
SMEARED_AFTER, FOLLOWED_SMEARED = (4, 14), 0.15
FOLLOWED_USUAL = 0.5  # of a wide QRS complex


def find_spikes(signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Find pacing spikes.

    Parameters
    ----------
    signal : float32 (leads, samples), mV
        As recorded, gaps bridged.
    rate : float
        Hz; below `LOWEST_RATE`, no spike is found.

    Returns
    -------
    at : int (spikes,)
        Samples, sorted.
    height : float (spikes,)
        Of each, in times the noise, root mean square over the leads.
    """
    return find_spikes_of_many(signal[None], rate)[0]


def find_spikes_of_many(signals: np.ndarray, rate: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find pacing spikes in (n, leads, samples): for each of the recordings what `find_spikes` returns."""
    found: list[list[np.ndarray]] = [[np.empty(0, int)] for _ in signals]
    heights: list[list[np.ndarray]] = [[np.empty(0)] for _ in signals]
    if rate >= LOWEST_RATE:
        live = np.ptp(signals, axis=2) > 0
        margin, samples = round(0.2 * rate), signals.shape[2]
        edges = np.linspace(0, samples, max(1, int(samples / (BLOCK_S * rate))) + 1).astype(int)
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            first = max(start - margin, 0)
            for i, at, height in _in_block(signals[..., first : stop + margin], live, rate):
                inside = (at + first >= start) & (at + first < stop)
                found[i].append(at[inside] + first)
                heights[i].append(height[inside])
    return [(np.concatenate(at), np.concatenate(height)) for at, height in zip(found, heights, strict=True)]


def without_spikes(signal: np.ndarray, rate: float, at: np.ndarray) -> np.ndarray:
    """(leads, samples) with a straight line in place of each spike."""
    longest, rise, few = (max(1, round(s * rate)) for s in (LONGEST_S, RISE_S / 2, LEVEL_S))
    reach = longest + rise
    wide = np.pad(signal, ((0, 0), (reach + few, reach + few)), "edge")
    out = wide.copy()
    for spike in at + reach + few:
        low = spike - reach
        speed = np.sqrt((np.diff(wide[:, low : spike + reach + 1], axis=1) ** 2).sum(axis=0))[rise:-rise]
        inside = np.flatnonzero(speed > EDGE * speed.max())
        if not len(inside):
            continue
        first, last = low + rise + int(inside[0]), low + rise + int(inside[-1]) + 1
        start, stop = wide[:, first - few + 1 : first + 1].mean(axis=1), wide[:, last : last + few].mean(axis=1)
        beside = (few - 1) / 2  # the means stand so many samples outside
        part = (np.arange(last - first + 1) + beside) / (last - first + 2 * beside)
        out[:, first : last + 1] = start[:, None] + (stop - start)[:, None] * part
    return out[:, reach + few : -reach - few]


# ---------------------------------------------------------------------------------------------------------------------


def _in_block(x: np.ndarray, live: np.ndarray, rate: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Recordings of (n, leads, samples) that may have spikes: which one, the spikes of this block, and their heights.

    live: bool (n, leads), False where a lead is flat
    """
    near = _rise(x, max(2, _samples(NEAR_S, rate)))
    noise = np.maximum(1.5 * median_of_rows(np.abs(near), spare=True), MIN_NOISE)
    height = _over_leads(near, noise, live)
    maxima = _maxima(height, _samples(APART_S, rate))
    which, at = np.nonzero(maxima & (height > MIN_HEIGHT))
    seen = (np.abs(near[which, :, at]) > VISIBLE * noise[which]).sum(axis=1) >= LEADS_SHARE * live[which].sum(axis=1)
    which, at = which[seen], at[seen]
    sharp = height[which, at] > SHARP * _wide(x, noise, live, which, at, rate)
    which, at = which[sharp], at[sharp]
    for i in np.flatnonzero(np.bincount(which, minlength=len(x)) >= MIN_SPIKES).tolist():
        others = np.flatnonzero(maxima[i])
        wide = _wide(x, noise, live, np.full(len(others), i), others, rate)
        surely = others[height[i, others] > SURELY_SHARP * wide]
        own = noise[i, live[i], None]
        yield i, *_of_one(x[i, live[i]] / own, near[i, live[i]] / own, height[i], at[which == i], surely, rate)


def _of_one(
    x: np.ndarray, near: np.ndarray, height: np.ndarray, at: np.ndarray, surely: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of one block of a recording, and their heights.

    Parameters
    ----------
    x, near : float (leads, samples)
        The signal and its height over 8 ms, in times the noise.
    height : float (samples,)
        The root mean square of `near`.
    at, surely : int (maxima,)
        The maxima that may be spikes, and all that are as sharp as a spike surely is.
    """
    shown = np.abs(near[:, at]) >= SHOWN * np.abs(near[:, at]).max(axis=0)
    before, after = _surroundings(x, at, shown, rate)
    sharp = np.isin(at, surely)
    spike = (sharp & (before < QUIET)) | ((before < SURELY_QUIET) & (after > FOLLOWED * height[at]))
    spike[spike] = _come_back(near[:, at[spike]].T)
    second = sharp & ~spike & _soon_after(at, at[spike], _samples(PAIR_S, rate))
    second[second] = _come_back(near[:, at[second]].T)
    at = at[spike | second]
    # Noise has sharp maxima of all heights, spikes stand alone
    others = np.setdiff1d(surely[height[surely] > OTHERS * np.median(height[at])], at) if len(at) else at
    at = at if len(others) < len(at) else at[:0]
    return at, height[at]


def _samples(seconds: float, rate: float) -> int:
    return max(1, round(seconds * rate))


def _rise(x: np.ndarray, reach: int) -> np.ndarray:
    """How high each sample of (..., samples) stands over the line between those `reach` before and after."""
    out = np.empty_like(x)
    np.add(x[..., : -2 * reach], x[..., 2 * reach :], out=out[..., reach:-reach])
    np.add(x[..., :1], x[..., reach : 2 * reach], out=out[..., :reach])  # beyond the ends, the last sample
    np.add(x[..., -2 * reach : -reach], x[..., -1:], out=out[..., -reach:])
    out *= -0.5
    out += x
    return out


def _wide(
    x: np.ndarray, noise: np.ndarray, live: np.ndarray, which: np.ndarray, at: np.ndarray, rate: float
) -> np.ndarray:
    """The height over 16 ms at some samples, root mean square over the leads, in times the noise: (maxima,).

    x: (n, leads, samples); noise, live: (n, leads); which, at: int (maxima,), the recording and the sample of each
    """
    reach = max(4, _samples(FAR_S, rate))
    before, after = x[which, :, np.maximum(at - reach, 0)], x[which, :, np.minimum(at + reach, x.shape[2] - 1)]
    far = x[which, :, at] - (before + after) / 2
    return _over_leads(far[..., None], noise[which], live[which])[:, 0]


def _over_leads(x: np.ndarray, noise: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Root mean square over the leads of (n, leads, samples), in times the noise, (n, samples).

    noise: (n, leads); live: bool (n, leads), the leads that count
    """
    weights = live / (noise**2 * np.maximum(live.sum(axis=1, keepdims=True), 1))
    return np.sqrt((weights.astype(x.dtype)[:, None] @ x**2)[:, 0])


def _maxima(height: np.ndarray, apart: int) -> np.ndarray:
    """Where each row of (n, samples) is highest among its neighbours, bool (n, samples)."""
    around, size = np.pad(height, ((0, 0), (apart, apart))), 1
    while size <= 2 * apart:  # each step widens the window that the maximum is taken over
        step = min(size, 2 * apart + 1 - size)
        around = np.maximum(around[:, :-step], around[:, step:])
        size += step
    return (height == around) & (height > 0)


def _surroundings(x: np.ndarray, at: np.ndarray, shown: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The steepest slope before maxima, of their own; and how far the leads go after them, both (maxima,).

    x: (leads, samples); at: int (maxima,); shown: bool (leads, maxima), the leads that count
    """
    rise, near = _samples(RISE_S, rate), _samples(NEAR_S, rate)
    (first, last), (follows, reach) = ([_samples(s, rate) for s in times] for times in (BEFORE_S, AFTER_S))
    wide = np.pad(x, ((0, 0), (reach, reach)), "edge")
    around = sliding_window_view(wide, 2 * reach, axis=1)[:, at]  # (leads, maxima, 2 reach), the maximum in the middle
    part = lambda start, stop: around[..., reach + start : reach + stop]
    share = (shown / shown.sum(axis=0))[..., None]
    slope = np.sqrt(((part(-first, near) - part(-first - rise, near - rise)) ** 2 * share).sum(axis=0))
    level = median_of_rows(part(-first, -last))[..., None]
    after = np.sqrt((((part(follows, reach) - level) ** 2).mean(axis=2, keepdims=True) * share).sum(axis=0)[:, 0])
    return slope[:, : first - last].max(axis=1) / np.maximum(slope[:, -2 * near :].max(axis=1), 1e-9), after


def _soon_after(at: np.ndarray, spikes: np.ndarray, within: int) -> np.ndarray:
    """Which of (maxima,) samples lie behind one of the spikes, by no more than so many samples."""
    distance = at[:, None] - spikes
    return ((distance > 0) & (distance <= within)).any(axis=1)


def _come_back(shapes: np.ndarray) -> np.ndarray:
    """Which of (maxima, leads) come back at least `MIN_SPIKES` times, alike over the leads: bool (maxima,)."""
    size = np.maximum(np.linalg.norm(shapes, axis=1), 1e-9)
    alike = shapes @ shapes.T / np.outer(size, size)
    ratio = size[:, None] / size
    return ((alike > ALIKE) & (ratio > SIZE) & (ratio < 1 / SIZE)).sum(axis=1) >= MIN_SPIKES


# ---------------------------------------------------------------------------------------------------------------------
# At 100 Hz, where a spike is smeared over a few samples


def bare_spikes(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Which R peaks, int (beats,), of (leads, samples) at 100 Hz are spikes that no beat answers: bool (beats,).

    Told from narrow beats only where QRS is wide, as in paced beats: something follows most peaks, and nothing these.
    """
    if len(peaks) < MIN_SPIKES:
        return np.zeros(len(peaks), bool)
    beats = cut_beats(signal, peaks, SMEARED_HALF, SMEARED_AFTER[1])
    height, after = course_of(beats, SMEARED_HALF)
    bare = after < FOLLOWED_SMEARED * height
    if not bare.any() or np.median(after / np.maximum(height, 1e-9)) < FOLLOWED_USUAL:
        return np.zeros(len(peaks), bool)
    return bare & (spectral_share(band_powers(beats[:, :, : 2 * SMEARED_HALF])) > SMEARED)


def course_of(beats: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """How high (beats, leads, samples) are at a sample, and how far they go 40 to 140 ms after, both (beats,)."""
    course = beats - beats[:, :, at - 4 : at - 2].mean(axis=2, keepdims=True)
    height = np.sqrt((course[:, :, at - 1 : at + 2] ** 2).mean(axis=1).max(axis=1))
    return height, np.sqrt((course[:, :, at + SMEARED_AFTER[0] : at + SMEARED_AFTER[1]] ** 2).mean(axis=(1, 2)))


def band_powers(parts: np.ndarray) -> np.ndarray:
    """The power of (beats, leads, 2 SMEARED_HALF) around a sample, summed over the leads, (beats, frequencies).

    Frequencies of `SPIKE_BAND` come first, then as many of `QRS_BAND`.
    """
    waves = parts.reshape(-1, parts.shape[2]) @ _spectrum()
    return (waves**2).reshape(*parts.shape[:2], 2, waves.shape[1] // 2).sum(axis=(1, 2))


def spectral_share(powers: np.ndarray) -> np.ndarray:
    """What beats have fast, of what they have slower, (beats,); powers: (beats, frequencies), as of `band_powers`."""
    fast, slow = np.split(powers, 2, axis=1)
    return fast.mean(axis=1) / np.maximum(slow.mean(axis=1), 1e-12)


@lru_cache(maxsize=1)
def _spectrum() -> np.ndarray:
    """The Fourier transform of what stands over its mean, in both bands: (samples, real and then imaginary parts)."""
    n, hertz = 2 * SMEARED_HALF, np.fft.rfftfreq(64, 1 / RATE)
    waves = np.fft.rfft(np.hanning(n + 2)[1:-1, None] * (np.eye(n) - 1 / n), 64, axis=0)
    both = np.concatenate([waves[(hertz > low) & (hertz < high)] for low, high in (SPIKE_BAND, QRS_BAND)])
    return np.concatenate([both.real, both.imag]).T
