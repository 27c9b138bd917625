"""Atrial waves between the QRS complexes, by their spectrum: flutter waves have a rate, fibrillation has many."""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import AVF, II, III, V1
from ecgclip.measure.arrays import NAN
from ecgclip.measure.batch import Batch, Columns
from ecgclip.peaks import RATE

ATRIAL_LEADS = (II, III, AVF, V1)  # where flutter waves stand out
FLUTTER_PER_MINUTE = (220, 370)  # the band that is searched for flutter waves
SLOWEST, SLOW = 40, 200  # waves per minute: the band of T waves
FASTEST = 600  # waves per minute: all atrial waves are slower
WIDTH = 25  # waves per minute: half the width of a peak in the spectrum
SPECTRUM = 2048  # samples
PACE = 60 * np.fft.rfftfreq(SPECTRUM, 1 / RATE)
PACE = PACE[PACE < FASTEST]  # waves per minute: what is read of the spectrum
HARMONICS, PHASES = 3, 48  # of a flutter wave, and the points of its course
RATE_DOUBT = 2.0  # per minute: the spectrum tells the rate so well
QRS = 6  # samples on either side of R that a line replaces


def measure_atrial_waves(batch: Batch) -> Columns:
    """Measure the strongest wave in the band of flutter, in what is left when a line replaces each QRS complex.

    Returns
    -------
    dict
        Fields of a `Measurement`, each (n,).
    """
    names = ("atrial_rate", "atrial_share", "atrial_contrast", "atrial_mv")
    leads = [lead for lead in ATRIAL_LEADS if batch.mask[lead]] or np.flatnonzero(batch.mask)
    between = _between(batch)
    enough = between.sum(axis=1) >= RATE
    if not len(leads) or not enough.any():
        return {name: np.full(len(batch), NAN) for name in names}
    power = _power(batch.signal[:, leads, :SPECTRUM], between, len(PACE))
    inside = lambda low, high: (low < PACE) & (high > PACE)
    flutter = np.flatnonzero(inside(*FLUTTER_PER_MINUTE))
    rate = PACE[flutter[np.argmax(power[:, flutter], axis=1)]]
    wave = (power * inside(rate[:, None] - WIDTH, rate[:, None] + WIDTH)).sum(axis=1)
    fast, slow = (power[:, inside(*band)].sum(axis=1) for band in ((FLUTTER_PER_MINUTE[0], FASTEST), (SLOWEST, SLOW)))
    # the power of a sine is a quarter of its squared amplitude on either side
    amplitude = 2 * np.sqrt(wave / SPECTRUM / len(leads))
    values = (rate, wave / np.maximum(fast, 1e-12), wave / np.maximum(wave + slow, 1e-12), amplitude)
    return {name: np.where(enough, value, NAN) for name, value in zip(names, values, strict=True)}


def _between(batch: Batch) -> np.ndarray:
    """Where there is no QRS complex, bool (n, samples), in the first `SPECTRUM` samples."""
    n = min(batch.samples, SPECTRUM)
    between = np.ones((len(batch), n), bool)
    near = batch.at[:, None] + np.arange(-QRS, QRS + 1)
    between[batch.window[:, None], np.minimum(np.maximum(near, 0), n - 1)] = False
    return between


def _power(leads: np.ndarray, between: np.ndarray, many: int) -> np.ndarray:
    """The first of the power spectrum of (n, leads, samples), summed over the leads, (n, many).

    A line replaces what is not `between`.
    """
    x = _bridged(leads, between)
    window = np.hanning(x.shape[2])
    x -= x.mean(axis=2, keepdims=True)
    x *= window
    spectrum = np.fft.rfft(x, SPECTRUM)[:, :, :many]
    return (spectrum.real**2 + spectrum.imag**2).sum(axis=1) / (window**2).sum()


def _bridged(leads: np.ndarray, between: np.ndarray) -> np.ndarray:
    """(n, leads, samples) with a line from the last to the next of the samples `between`, where others lie there."""
    time, n = np.arange(leads.shape[2]), leads.shape[2]
    last = np.maximum.accumulate(np.where(between, time, -1), axis=1)
    following = np.minimum.accumulate(np.where(between, time, n)[:, ::-1], axis=1)[:, ::-1]
    window, at = np.nonzero(~between)
    last, following = last[window, at], following[window, at]
    last, following = np.where(last < 0, following, last), np.where(following == n, last, following)  # at the ends
    last, following = np.minimum(last, n - 1), np.maximum(following, 0)
    part = ((at - last) / np.maximum(following - last, 1))[:, None]
    leads = leads.copy()
    first, second = leads[window, :, last], leads[window, :, following]
    leads[window, :, at] = first + part * (second - first)
    return leads


def flutter_waves(batch: Batch, rate: np.ndarray) -> np.ndarray:
    """The flutter wave of each lead: the mean of all, peak to peak, mV (n, 12).

    Negative where it falls slowly and rises fast (the sawtooth of the inferior leads), positive where it rises slowly.

    Parameters
    ----------
    batch : Batch
    rate : float (n,)
        Per minute, of the flutter waves.
    """
    between, waves = _between(batch), np.full((len(batch), 12), NAN)
    some = np.flatnonzero(between.sum(axis=1) >= RATE) if batch.mask.any() else np.empty(0, int)
    if not len(some):
        return waves
    between, x = between[some, :, None], batch.signal[some, :, : between.shape[1]]
    x = (x - x.mean(axis=2, keepdims=True)).transpose(0, 2, 1) * between
    # A least-squares fit of three harmonics in the time between the complexes; the rate is taken where it fits best.
    time = np.arange(x.shape[1]) / RATE
    pace = _best_pace(x[:, :, batch.mask], time, rate[some])
    angles = 2 * np.pi * pace[:, None, None] * np.outer(time, np.arange(1, HARMONICS + 1))
    basis = np.concatenate([np.ones((len(some), len(time), 1)), np.cos(angles), np.sin(angles)], axis=2) * between
    weights = np.linalg.solve(basis.transpose(0, 2, 1) @ basis, basis.transpose(0, 2, 1) @ x)
    turn = 2 * np.pi * np.outer(np.arange(PHASES) / PHASES, np.arange(1, HARMONICS + 1))
    wave = np.concatenate([np.cos(turn), np.sin(turn)], axis=1) @ weights[:, 1:]
    slope = np.diff(wave, axis=1, append=wave[:, :1])
    sign = np.where(slope.max(axis=1) > -slope.min(axis=1), -1.0, 1.0)
    waves[some] = np.where(batch.mask, sign * np.ptp(wave, axis=1), NAN)
    return waves


def _best_pace(x: np.ndarray, time: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Waves per second that x (n, samples, leads) has most of, (n,), near the rate per minute (n,)."""
    beside = np.arange(-RATE_DOUBT, RATE_DOUBT + 0.1, 0.5)
    waves = np.exp(2j * np.pi / 60 * rate[:, None] * time)[:, None] * np.exp(2j * np.pi / 60 * beside[:, None] * time)
    fit = ((waves.real @ x) ** 2 + (waves.imag @ x) ** 2).sum(axis=2)
    return (rate + beside[np.argmax(fit, axis=1)]) / 60
