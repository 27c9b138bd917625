"""The course of a whole window, without heartbeats: how high it is, at which rate it repeats itself, and how well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgclip.measure.arrays import NAN, at, median
from ecgclip.measure.batch import Batch, Columns, put
from ecgclip.peaks import RATE

OF_COURSE = ("signal_height_mv", "wave_rate", "chaos", "sine_wave", "axis_twist")  # what is measured here
SPECTRUM = 2048  # samples
LONGEST = SPECTRUM // 2  # samples: of a longer window, the first ones are measured
LEAST = 2 * RATE  # samples: less is not measured
OUTSIDE = 0.005  # of the samples at either end are artefacts, and no part of the height
SMALLEST_MV = 0.1  # a lower course has no waves
FASTEST, SLOWEST = 500, 40  # waves per minute that are looked for
PADDED = 1200  # samples: the spectrum of the repetition, for `LONGEST` and the slowest wave
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
    """The course of all leads together: fields of a `Shape`.

    What takes whole leads goes window by window: all windows at once would not fit the processor's cache.
    """
    values: Columns = {name: np.full(len(batch), NAN) for name in OF_COURSE}
    leads = batch.leads[:, :, :LONGEST]
    if not leads.shape[1] or leads.shape[2] < LEAST:
        return values
    values["signal_height_mv"] = median(np.array([_heights(x) for x in leads]))
    rows = np.flatnonzero(values["signal_height_mv"] >= SMALLEST_MV)
    if len(rows):
        put(values, rows, _measure_waves([leads[i] for i in rows.tolist()]))
    return values


def _measure_waves(windows: Sequence[np.ndarray]) -> Columns:
    """Rate, chaos, sine wave and twist of n times (leads, samples)."""
    windows = [x - x.mean(axis=1, keepdims=True) for x in windows]
    period, repeats = _period(np.array([_power(x, PADDED) for x in windows]), windows[0].shape[1])
    rate, restless = 60 * RATE / period, _restless(np.array([_steps(x) for x in windows]))
    chaos = restless * ((1 - repeats) / (1 - REPEATED)).clip(0, 1)
    fast = (rate >= FAST_RATES[0]) & (rate <= FAST_RATES[1])
    twist, sine = np.zeros(len(windows)), np.zeros(len(windows))
    for i in np.flatnonzero(fast & (restless > 0) & (repeats > REPEATED)).tolist():
        twist[i] = _zone(_waning(windows[i]), NO_TWIST, TWIST)
    for i in np.flatnonzero(fast & (twist != 1)).tolist():
        sine[i] = _zone(_share(_power(windows[i], SPECTRUM), rate[i]), NO_SINE, SINE)
    return {"wave_rate": rate, "chaos": chaos, "sine_wave": sine, "axis_twist": twist}


def _heights(leads: np.ndarray) -> np.ndarray:
    """The height of each lead of (leads, samples), mV (leads,), without artefacts."""
    ordered, outside = np.sort(leads, axis=1), round(OUTSIDE * leads.shape[1])
    return ordered[:, -1 - outside] - ordered[:, outside]


def _power(leads: np.ndarray, samples: int) -> np.ndarray:
    """The power spectrum of (leads, samples), all leads together, (samples // 2 + 1,)."""
    parts = np.ascontiguousarray(np.fft.rfft(leads, samples, axis=1)).view(float)  # real and imaginary in turn
    return np.einsum("lf,lf->f", parts, parts).reshape(-1, 2).sum(axis=1)


def _period(power: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """After how many samples the course repeats itself, int (n,), and its correlation with itself then, (n,).

    power: (n, frequencies); length: of the windows, samples
    """
    first, last = round(60 * RATE / FASTEST) - 1, round(60 * RATE / SLOWEST) + 1
    lags = np.arange(first, min(last + 1, length // 2))
    again = np.fft.irfft(power, axis=1)
    part = again[:, lags] / again[:, :1] * length / (length - lags)
    inner = part[:, 1:-1]
    peaks = (inner >= part[:, :-2]) & (inner > part[:, 2:])
    best = np.where(peaks, inner, -np.inf).max(axis=1, keepdims=True)
    place = (peaks & (inner >= np.where(best > 0, NEARLY * best, -np.inf))).argmax(axis=1)
    found = peaks.any(axis=1)
    return np.where(found, lags[1 + place], first), np.where(found, at(inner, place).clip(0), 0.0)


def _steps(leads: np.ndarray) -> np.ndarray:
    """How far (leads, samples) move from sample to sample, all leads together, (samples - 1,)."""
    steps = np.diff(leads, axis=1)
    return np.abs(steps, out=steps).sum(axis=0)


def _restless(steps: np.ndarray) -> np.ndarray:
    """How little the leads rest together, (n,): 0 with pauses between the waves, 1 without; steps: (n, samples)."""
    samples = steps.shape[1] - SMOOTH + 1
    speed = sum(steps[:, i : i + samples] for i in range(SMOOTH)) / SMOOTH
    quiet = (speed < QUIET * np.sort(speed, axis=1)[:, -samples // 20, None]).mean(axis=1)
    return ((RESTING - quiet) / (RESTING - RESTLESS)).clip(0, 1)


def _share(power: np.ndarray, rate: float) -> float:
    """The part of the power that lies at a rate."""
    pace = np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    return float(power[np.abs(pace - rate) < WIDTH].sum() / max(power[pace > SLOWEST].sum(), 1e-12))


def _waning(leads: np.ndarray) -> float:
    """How far the size of a lead waxes and wanes from second to second, median of the leads: 0 to 1."""
    seconds = leads.shape[1] // RATE
    size = leads[:, : seconds * RATE].reshape(len(leads), seconds, RATE).std(axis=2)
    top, bottom = size.max(axis=1), size.min(axis=1)
    return float(median((top - bottom) / np.maximum(top + bottom, 1e-9)))


def _zone(value: float, no: float, yes: float) -> float:
    """1 from `yes` on, 0 up to `no`, NaN between."""
    return 1.0 if value >= yes else 0.0 if value <= no else NAN
