"""The course of a whole window, without heartbeats: how high it is, at which rate it repeats itself, and how well."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.measure.batch import NAN, Batch, Columns, columns
from ecgclip.peaks import RATE

OF_COURSE = ("signal_height_mv", "wave_rate", "chaos", "sine_wave", "axis_twist")  # what is measured here
SPECTRUM = 2048  # samples
LEAST = 2 * RATE  # samples: less is not measured
OUTSIDE = 0.005  # of the samples at either end are artefacts, and no part of the height
SMALLEST_MV = 0.1  # a lower course has no waves
FASTEST, SLOWEST = 500, 40  # waves per minute that are looked for
NEARLY = 0.85  # of the best repetition: a shorter period that is nearly as good is the period
REPEATED = 0.5  # a course that repeats itself with a lower correlation is chaos alone
# A course that never rests. Of PTB-XL's folds 1 to 8 hardly any does, in atrial fibrillation neither.
QUIET = 0.2  # of the fast samples' speed (their 95th percentile): slower is quiet
SMOOTH = 4  # samples: the speed is a mean over so many
RESTING, RESTLESS = 0.5, 0.2  # of the time: a course that is quiet for longer rests, for less never rests
# A sine wave: so much of its power lies at one rate; below, none
SINE, NO_SINE = 0.7, 0.55
WIDTH = 20  # per minute: half the width of a rate in the spectrum
FAST_RATES = (120, 360)  # per minute: those of ventricular flutter, torsades and the sine wave of hyperkalaemia
# Waves that wax and wane, each lead at its own time: by so much (greatest less least over their sum), and not
TWIST, NO_TWIST = 0.5, 0.35


def measure_course(batch: Batch) -> Columns:
    """The course of all leads together: fields of a `Shape`."""
    return columns([_measure_course(signal, batch.mask) for signal in batch.signal])


def _measure_course(signal: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Measure the course of all leads together.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)

    Returns
    -------
    dict
        Fields of a `Shape`.
    """
    leads = signal[mask][:, : SPECTRUM // 2]
    values: dict[str, Any] = dict.fromkeys(OF_COURSE, NAN)
    if not len(leads) or leads.shape[1] < LEAST:
        return values
    outside = round(OUTSIDE * leads.shape[1])
    ordered = np.sort(leads, axis=1)
    values["signal_height_mv"] = float(np.median(ordered[:, -1 - outside] - ordered[:, outside]))
    if values["signal_height_mv"] < SMALLEST_MV:
        return values
    leads = leads - leads.mean(axis=1, keepdims=True)
    power = (np.abs(np.fft.rfft(leads, SPECTRUM, axis=1)) ** 2).sum(axis=0)
    period, repeats = _period(power, leads.shape[1])
    rate, restless = 60 * RATE / period, _restless(leads)
    chaos = restless * float(np.clip((1 - repeats) / (1 - REPEATED), 0, 1))
    fast = FAST_RATES[0] <= rate <= FAST_RATES[1]
    twist = _zone(_waning(leads), NO_TWIST, TWIST) if fast and restless > 0 and repeats > REPEATED else 0.0
    sine = _zone(_share(power, rate), NO_SINE, SINE) if fast and twist != 1 else 0.0
    return values | {"wave_rate": rate, "chaos": chaos, "sine_wave": sine, "axis_twist": twist}


def _period(power: np.ndarray, length: int) -> tuple[int, float]:
    """After how many samples the course repeats itself, and its correlation with itself then."""
    again = np.fft.irfft(power)[: length // 2]
    again = again / again[0] * length / (length - np.arange(len(again)))
    first, last = round(60 * RATE / FASTEST) - 1, round(60 * RATE / SLOWEST) + 1
    part = again[first : last + 1]
    peaks = 1 + np.flatnonzero((part[1:-1] >= part[:-2]) & (part[1:-1] > part[2:]))
    if not len(peaks):
        return first, 0.0
    best = part[peaks].max()
    at = peaks[np.argmax(part[peaks] >= NEARLY * best)] if best > 0 else peaks[0]
    return int(at) + first, float(max(part[at], 0))


def _restless(leads: np.ndarray) -> float:
    """How little the leads rest together: 0 with pauses between the waves, 1 without."""
    speed = np.convolve(np.abs(np.diff(leads, axis=1)).sum(axis=0), np.ones(SMOOTH) / SMOOTH, "valid")
    quiet = (speed < QUIET * np.sort(speed)[-len(speed) // 20]).mean()
    return float(np.clip((RESTING - quiet) / (RESTING - RESTLESS), 0, 1))


def _share(power: np.ndarray, rate: float) -> float:
    """The part of the power that lies at a rate."""
    pace = np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    return float(power[np.abs(pace - rate) < WIDTH].sum() / max(power[pace > SLOWEST].sum(), 1e-12))


def _waning(leads: np.ndarray) -> float:
    """How far the size of a lead waxes and wanes from second to second, median of the leads: 0 to 1."""
    seconds = leads.shape[1] // RATE
    size = leads[:, : seconds * RATE].reshape(len(leads), seconds, RATE).std(axis=2)
    top, bottom = size.max(axis=1), size.min(axis=1)
    return float(np.median((top - bottom) / np.maximum(top + bottom, 1e-9)))


def _zone(value: float, no: float, yes: float) -> float:
    """1 from `yes` on, 0 up to `no`, NaN between."""
    return 1.0 if value >= yes else 0.0 if value <= no else NAN
