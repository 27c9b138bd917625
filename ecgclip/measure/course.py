"""The course of a whole window, without heartbeats: how high it is, at which rate it repeats itself, and how well."""

from __future__ import annotations

import numpy as np

from ecgclip.measure.batch import NAN, Batch, Columns, at, median, put
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
    """The course of all leads together: fields of a `Shape`."""
    values: Columns = {name: np.full(len(batch), NAN) for name in OF_COURSE}
    leads = batch.leads[:, :, :LONGEST]
    if not leads.shape[1] or leads.shape[2] < LEAST:
        return values
    outside = round(OUTSIDE * leads.shape[2])
    ordered = np.sort(leads, axis=2)
    values["signal_height_mv"] = median(ordered[:, :, -1 - outside] - ordered[:, :, outside])
    rows = np.flatnonzero(values["signal_height_mv"] >= SMALLEST_MV)
    if len(rows):
        put(values, rows, _measure_waves(leads if len(rows) == len(leads) else leads[rows]))
    return values


def _measure_waves(leads: np.ndarray) -> Columns:
    """Rate, chaos, sine wave and twist of (n, leads, samples)."""
    leads = leads - leads.mean(axis=2, keepdims=True)
    period, repeats = _period(leads)
    rate, restless = 60 * RATE / period, _restless(leads)
    chaos = restless * ((1 - repeats) / (1 - REPEATED)).clip(0, 1)
    fast = (rate >= FAST_RATES[0]) & (rate <= FAST_RATES[1])
    twist, sine = np.zeros(len(leads)), np.zeros(len(leads))
    if (rows := np.flatnonzero(fast & (restless > 0) & (repeats > REPEATED))).size:
        twist[rows] = _zone(_waning(leads[rows]), NO_TWIST, TWIST)
    if (rows := np.flatnonzero(fast & (twist != 1))).size:
        sine[rows] = _zone(_share(leads[rows], rate[rows]), NO_SINE, SINE)
    return {"wave_rate": rate, "chaos": chaos, "sine_wave": sine, "axis_twist": twist}


def _power(leads: np.ndarray, samples: int) -> np.ndarray:
    """The power spectrum of (n, leads, samples), all leads together, (n, samples // 2 + 1)."""
    spectrum = np.fft.rfft(leads, samples, axis=2)
    return sum(np.einsum("nlf,nlf->nf", part, part) for part in (spectrum.real, spectrum.imag))


def _period(leads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After how many samples the course repeats itself, int (n,), and its correlation with itself then, (n,)."""
    length = leads.shape[2]
    first, last = round(60 * RATE / FASTEST) - 1, round(60 * RATE / SLOWEST) + 1
    lags = np.arange(first, min(last + 1, length // 2))
    again = np.fft.irfft(_power(leads, PADDED), axis=1)
    part = again[:, lags] / again[:, :1] * length / (length - lags)
    inner = part[:, 1:-1]
    peaks = (inner >= part[:, :-2]) & (inner > part[:, 2:])
    best = np.where(peaks, inner, -np.inf).max(axis=1, keepdims=True)
    place = (peaks & (inner >= np.where(best > 0, NEARLY * best, -np.inf))).argmax(axis=1)
    found = peaks.any(axis=1)
    return np.where(found, lags[1 + place], first), np.where(found, at(inner, place).clip(0), 0.0)


def _restless(leads: np.ndarray) -> np.ndarray:
    """How little the leads rest together, (n,): 0 with pauses between the waves, 1 without."""
    steps = np.diff(leads, axis=2)
    moved = np.abs(steps, out=steps).sum(axis=1)
    samples = moved.shape[1] - SMOOTH + 1
    speed = sum(moved[:, i : i + samples] for i in range(SMOOTH)) / SMOOTH
    quiet = (speed < QUIET * np.sort(speed, axis=1)[:, -samples // 20, None]).mean(axis=1)
    return ((RESTING - quiet) / (RESTING - RESTLESS)).clip(0, 1)


def _share(leads: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """The part of the power that lies at a rate, (n,); rate: (n,)."""
    power, pace = _power(leads, SPECTRUM), np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    near = np.where(np.abs(pace - rate[:, None]) < WIDTH, power, 0).sum(axis=1)
    return near / np.maximum(power[:, pace > SLOWEST].sum(axis=1), 1e-12)


def _waning(leads: np.ndarray) -> np.ndarray:
    """How far the size of a lead waxes and wanes from second to second, median of the leads: 0 to 1, (n,)."""
    seconds = leads.shape[2] // RATE
    size = leads[:, :, : seconds * RATE].reshape(*leads.shape[:2], seconds, RATE).std(axis=3)
    top, bottom = size.max(axis=2), size.min(axis=2)
    return median((top - bottom) / np.maximum(top + bottom, 1e-9))


def _zone(value: np.ndarray, no: float, yes: float) -> np.ndarray:
    """1 from `yes` on, 0 up to `no`, NaN between."""
    return np.where(value >= yes, 1.0, np.where(value <= no, 0.0, NAN))
