"""Atrial waves between the QRS complexes, by their spectrum: flutter waves have a rate, fibrillation has many."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.ecg import AVF, II, III, V1
from ecgclip.measure.batch import NAN, Batch, Columns, columns
from ecgclip.peaks import RATE

ATRIAL_LEADS = (II, III, AVF, V1)  # where flutter waves stand out
FLUTTER_PER_MINUTE = (220, 370)  # the band that is searched for flutter waves
SLOWEST, SLOW = 40, 200  # waves per minute: the band of T waves
FASTEST = 600  # waves per minute: all atrial waves are slower
WIDTH = 25  # waves per minute: half the width of a peak in the spectrum
SPECTRUM = 2048  # samples
HARMONICS, PHASES = 3, 48  # of a flutter wave, and the points of its course
RATE_DOUBT = 2.0  # per minute: the spectrum tells the rate so well
QRS = 6  # samples on either side of R that a line replaces


def measure_atrial_waves(batch: Batch) -> Columns:
    """The strongest wave in the band of flutter: fields of a `Measurement`."""
    return columns([_measure_atrial_waves(x, batch.mask, p) for x, p in zip(batch.signal, batch.peaks, strict=True)])


def _measure_atrial_waves(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict[str, Any]:
    """Measure the strongest wave in the band of flutter, in what is left when a line replaces each QRS complex.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples.

    Returns
    -------
    dict
        Fields of a `Measurement`.
    """
    names = ("atrial_rate", "atrial_share", "atrial_contrast", "atrial_mv")
    signal = signal[:, :SPECTRUM]
    leads = [lead for lead in ATRIAL_LEADS if mask[lead]] or np.flatnonzero(mask)
    between = np.ones(signal.shape[1], bool)
    between[np.clip(peaks[:, None] + np.arange(-QRS, QRS + 1), 0, signal.shape[1] - 1)] = False
    if not len(leads) or between.sum() < RATE:
        return dict.fromkeys(names, NAN)
    power = _power(signal[leads], between)
    pace = np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    inside = lambda low, high: (pace > low) & (pace < high)
    flutter = np.flatnonzero(inside(*FLUTTER_PER_MINUTE))
    rate = pace[flutter[np.argmax(power[flutter])]]
    wave = power[inside(rate - WIDTH, rate + WIDTH)].sum()
    fast, slow = power[inside(FLUTTER_PER_MINUTE[0], FASTEST)].sum(), power[inside(SLOWEST, SLOW)].sum()
    # the power of a sine is a quarter of its squared amplitude on either side
    amplitude = 2 * np.sqrt(wave / SPECTRUM / len(leads))
    return dict(zip(names, (rate, wave / max(fast, 1e-12), wave / max(wave + slow, 1e-12), amplitude), strict=True))


def flutter_wave(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, rate: float) -> np.ndarray:
    """The flutter wave of each lead: the mean of all, peak to peak, mV (12,).

    Negative where it falls slowly and rises fast (the sawtooth of the inferior leads), positive where it rises slowly.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples.
    rate : float
        Per minute, of the flutter waves.
    """
    n = min(signal.shape[1], SPECTRUM)
    near = np.clip(peaks[:, None] + np.arange(-QRS, QRS + 1), 0, n - 1)
    between = np.ones(n, bool)
    between[near] = False
    if between.sum() < RATE or not mask.any():
        return np.full(12, NAN)
    x = signal[:, :n] - signal[:, :n].mean(axis=1, keepdims=True)
    # A least-squares fit of three harmonics in the time between the complexes; the rate is taken where it fits best.
    rates = rate + np.arange(-RATE_DOUBT, RATE_DOUBT + 0.1, 0.5)
    time = np.arange(n)[between] / RATE
    phases = 2 * np.pi * rates[:, None] / 60 * time
    first = np.abs(np.exp(-1j * phases) @ x[:, between].T) ** 2
    pace = rates[np.argmax(first[:, mask].sum(axis=1))] / 60
    angles = 2 * np.pi * pace * np.outer(time, np.arange(1, HARMONICS + 1))
    basis = np.concatenate([np.ones((len(time), 1)), np.cos(angles), np.sin(angles)], axis=1)
    weights = np.linalg.lstsq(basis, x[:, between].T, rcond=None)[0]
    turn = 2 * np.pi * np.outer(np.arange(PHASES) / PHASES, np.arange(1, HARMONICS + 1))
    wave = np.concatenate([np.cos(turn), np.sin(turn)], axis=1) @ weights[1:]
    slope = np.diff(wave, axis=0, append=wave[:1])
    sign = np.where(slope.max(axis=0) > -slope.min(axis=0), -1.0, 1.0)
    return np.where(mask, sign * np.ptp(wave, axis=0), NAN)


def _power(leads: np.ndarray, between: np.ndarray) -> np.ndarray:
    """The power spectrum of (leads, samples), summed over the leads, when a line replaces what is not `between`."""
    time = np.arange(leads.shape[1])
    x = np.stack([np.interp(time, time[between], row[between]) for row in leads])
    window = np.hanning(x.shape[1])
    x = (x - x.mean(axis=1, keepdims=True)) * window
    return (np.abs(np.fft.rfft(x, SPECTRUM, axis=1)) ** 2).sum(axis=0) / (window**2).sum()
