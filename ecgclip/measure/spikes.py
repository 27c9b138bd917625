"""Pacing spikes and what the heart answers: which beats are paced, where, and whether each spike is in time and heard.

Spikes come from the raw recording (`ecgclip.spikes`). Where that has too low a rate, as PTB-XL has at 100 Hz, a spike
is smeared over a few samples; it is then recognised in the beats, by its spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecgclip.measure.arrays import NAN
from ecgclip.measure.batch import BEFORE, Batch, Bounds
from ecgclip.measure.smeared import spikes_of_typical
from ecgclip.peaks import RATE
from ecgclip.spikes import MIN_HEIGHT, SMEARED, SMEARED_HALF, band_powers, spectral_share

STEP = 1000 / RATE  # ms per sample
# ms: a spike is of the ventricles from so long before QRS on, until so long after R (fusion)
VENTRICLE, AFTER_R = 80, 20
NEAR_R = 200  # ms: a spike nearer to R is not measured as QRS
ATRIUM = 330  # ms before QRS: an earlier spike is not that of its P wave; pacemakers wait up to 300 ms
APART = 60  # ms: the first of two spikes so far apart is of the atria, however near QRS it is
CONSTANT = 60  # ms: spikes of one chamber are as near to their median distance; conduction may vary
REFRACTORY = 300  # ms after R: an earlier spike came in spite of a beat
WAITED = 400  # ms of recording behind a spike, to call it unanswered
MOST = 0.5  # of the beats
REGULAR = 0.05  # of the interval: spikes that nothing answers are as regular, those of noise are not
MIN_REGULAR = 4  # spikes
MIN_PAIRS = 3  # beats with two spikes, for the range of their distance
SINGLE = 0.5  # of SMEARED: the share from which a single beat has the spike that the others have


@dataclass(frozen=True)
class Spikes:
    """Pacing spikes of one ECG. NaN and None are "not measurable".

    Attributes
    ----------
    atrial : bool or None
        A spike before P, at a constant distance, in most beats.
    ventricular : bool or None
        A spike right before QRS in most beats.
    av_range_ms : float
        The longest less the shortest distance of the two.
    share : float
        Beats with a spike right before QRS, % of all.
    uncaptured : float
        Spikes that no beat answers, outside the refractory period of the one before.
    early : float
        Spikes within 300 ms after the R peak of a beat that is not theirs.
    atrial_contrast, ventricular_contrast : float
        How clearly spikes of a chamber stand out: the logarithm, to the base ten, of what they show over the least that
        counts; less where few beats have one. Above 0 with spikes, and a number without them too, to rank by.
    """

    atrial: bool | None
    ventricular: bool | None
    av_range_ms: float
    share: float
    uncaptured: float
    early: float
    atrial_contrast: float
    ventricular_contrast: float


NOTHING = Spikes(None, None, *[NAN] * 6)
LEAST = -3.0  # the contrast without anything like a spike


def measure_spikes(batch: Batch, r_after_onset_ms: np.ndarray) -> list[Spikes]:
    """The pacing spikes of each window; r_after_onset_ms: (n,), from the onset of QRS to R."""
    found: list[Spikes | None] = [None] * len(batch)
    for i in [i for i, spikes in enumerate(batch.spikes) if len(spikes)]:
        span = batch.around[i], batch.recorded[i]
        found[i] = _of_raw(batch.spikes[i], batch.samples, batch.peaks[i], span, float(r_after_onset_ms[i]))
    rest = np.array([i for i, spikes in enumerate(found) if spikes is None and batch.counts[i]], int)
    if len(rest) and batch.mask.any():
        smeared = _of_beats(batch.of(rest), r_after_onset_ms[rest])
        for i, spikes in zip(rest.tolist(), smeared, strict=True):
            found[i] = spikes
    return [spikes or NOTHING for spikes in found]


# ---------------------------------------------------------------------------------------------------------------------
# From the raw recording


def _of_raw(
    spikes: np.ndarray, samples: int, peaks: np.ndarray, span: tuple[Bounds, Bounds], qrs: float
) -> Spikes | None:
    """None where spikes have neither a beat nor a pace of their own: noise."""
    around, recorded = span
    beats = np.array([t for t in (around[0], *peaks, around[1]) if np.isfinite(t)]) * STEP
    at, height = spikes[:, 0] * STEP, spikes[:, 1]
    following = np.searchsorted(beats, at - AFTER_R)
    until, since = np.append(beats, np.inf)[following] - at, at - np.insert(beats, 0, -np.inf)[following]
    atrium, ventricle = _chambers(at, following, until, qrs)
    alone = ~atrium & ~ventricle
    if alone.mean() > MOST and not _regular(at):
        return None
    inside = (at >= 0) & (at < samples * STEP)
    heard = at + WAITED > max(recorded[1], samples) * STEP  # perhaps, behind the end
    steady = ventricle & (np.abs(until - _median(until[ventricle])) <= CONSTANT)
    here = np.flatnonzero(np.isin(beats, peaks * STEP))
    share = [np.isin(here, following[kind]).mean() if len(here) else NAN for kind in (atrium, steady, ventricle)]
    both = np.intersect1d(following[atrium], following[ventricle])
    delays = [until[atrium & (following == i)][0] - until[ventricle & (following == i)][0] for i in both]
    return Spikes(
        atrial=bool(share[0] >= MOST) if len(here) else None,
        ventricular=bool(share[1] >= MOST) if len(here) else None,
        av_range_ms=float(np.ptp(delays)) if len(delays) >= MIN_PAIRS else NAN,
        share=float(100 * share[2]),
        uncaptured=float((alone & inside & ~heard & (since > REFRACTORY)).sum()),
        early=float((alone & inside & (since <= REFRACTORY)).sum()),
        atrial_contrast=_contrast(height[atrium], share[0]),
        ventricular_contrast=_contrast(height[ventricle], share[2]),
    )


def _chambers(at: np.ndarray, following: np.ndarray, until: np.ndarray, qrs: float) -> tuple[np.ndarray, np.ndarray]:
    """Which spikes, ms, are of the atria and which of the ventricles, bool (spikes,).

    following, until: which beat comes next, and how long it takes to its R peak, ms.
    """
    ventricle = until <= qrs + VENTRICLE
    first_of_two = np.append((np.diff(following) == 0) & (np.diff(at) > APART) & ventricle[1:], False)
    ventricle &= ~first_of_two
    atrium = ~ventricle & (until <= qrs + ATRIUM)
    constant = atrium & (np.abs(until - _median(until[atrium])) <= CONSTANT)
    # A spike that fails may have a beat of the heart's own by chance behind it: most must be at one distance
    return constant & (constant.sum() > MOST * atrium.sum()), ventricle


def _contrast(height: np.ndarray, share: float) -> float:
    """Of spikes so high, times the noise, before such a part of the beats."""
    return max(float(np.log10(np.median(height) / MIN_HEIGHT * min(share / MOST, 1))), LEAST) if share > 0 else LEAST


def _median(x: np.ndarray) -> float:
    return float(np.median(x)) if len(x) else NAN


def spike_before(peaks: np.ndarray, at: np.ndarray) -> float:
    """How long before R most beats have their last spike, samples; NaN where most have none near QRS."""
    if not len(at):
        return NAN
    distance = peaks[:, None] - at
    distance = np.where((distance < -AFTER_R / STEP) | (distance > NEAR_R / STEP), np.inf, distance).min(axis=1)
    near = distance[np.isfinite(distance)]
    return float(np.median(near)) if len(near) > MOST * len(peaks) and np.ptp(near) <= CONSTANT / STEP else NAN


def _regular(at: np.ndarray) -> bool:
    """Whether spikes have a pace of their own; two in turn where both chambers are paced."""
    if len(at) < MIN_REGULAR:
        return False
    gaps = (at[lag:] - at[:-lag] for lag in (1, 2))
    return any(np.median(np.abs(gap - np.median(gap))) <= REGULAR * np.median(gap) for gap in gaps)


# ---------------------------------------------------------------------------------------------------------------------
# From the beats, at 100 Hz


def _of_beats(batch: Batch, r_after_onset_ms: np.ndarray) -> list[Spikes]:
    """The spikes of windows that have a beat at least; r_after_onset_ms: (n,)."""
    window, at, share, _ = spikes_of_typical(batch)
    near = (BEFORE - at) * STEP <= r_after_onset_ms[window] + VENTRICLE
    atrium, ventricle = np.full((2, len(batch)), 10**LEAST)
    np.maximum.at(atrium, window[~near], share[~near] / SMEARED)
    np.maximum.at(ventricle, window[near], share[near] / SMEARED)
    paced = np.zeros(len(batch))  # the part of the beats that have a spike before QRS
    for i, sample in zip(window[near & (share > SMEARED)], at[near & (share > SMEARED)], strict=True):
        beats = batch.split(batch.around_r(BEFORE, BEFORE))[i]
        parts = beats[:, :, sample - SMEARED_HALF : sample + SMEARED_HALF]
        paced[i] = max(paced[i], np.mean(spectral_share(band_powers(parts)) > SINGLE * SMEARED))
    return [_smeared(*of_window) for of_window in zip(atrium.tolist(), ventricle.tolist(), paced.tolist(), strict=True)]


def _smeared(atrium: float, ventricle: float, paced: float) -> Spikes:
    """atrium, ventricle: what shows before P and before QRS, of the least that counts; paced: so many of the beats."""
    unknown = NAN if max(atrium, ventricle) > 1 else 0.0  # spikes without a beat are not seen
    return Spikes(
        atrial=atrium > 1,
        ventricular=paced >= MOST,
        av_range_ms=NAN,
        share=100 * paced,
        uncaptured=unknown,
        early=unknown,
        atrial_contrast=float(np.log10(atrium)),
        ventricular_contrast=float(np.log10(ventricle)),
    )
