"""ECGs to measure: simulated ones, and heartbeats drawn by hand, so that every number is known."""

import numpy as np

from ecgclip.ecg import ECG, LEADS
from ecgclip.measure.beats import find_beats
from ecgclip.measure.guideline import findings
from ecgclip.measure.measurement import measure, measure_windows
from ecgclip.measure.recording import observe
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

PLAIN = ("normal", "sinus-tachycardia", "sinus-bradycardia", "first-degree-av-block", "rbbb", "lvh", "inferior-stemi")
WEIGHT = np.linspace(0.6, 1.7, 12)  # how much each lead sees of the same course


def measure_simulated(condition, seed=0, mask=None):
    """The measurement of a simulated ECG, and its metadata."""
    ecg = simulate(condition, seed=seed)
    prepared = prepare(ecg)
    signal, mask = prepared.signal[0], prepared.mask[0] if mask is None else mask
    return measure(signal * mask[:, None], mask, r_peaks(signal * mask[:, None], mask)), ecg.metadata


def findings_of(condition, seed=0):
    """The findings of a simulated ECG."""
    m, metadata = measure_simulated(condition, seed)
    return findings(m, metadata["age"], metadata["sex"])


def windows_of(signal, rate=100.0):
    """The measurements of each window of (12, samples)."""
    prepared = prepare(ECG(signal, rate, LEADS))
    return measure_windows(prepared, find_beats(prepared))


def observed(ecg):
    """The Recording of an ECG."""
    prepared = prepare(ecg)
    beats = find_beats(prepared)
    return observe(ecg, prepared, beats, measure_windows(prepared, beats))


def resting(start_s, stop_s, seconds=20.0, sd=0.002, condition="normal"):
    """A rhythm whose heart rests for a while, at 100 Hz: what is left is noise of `sd` mV."""
    ecg = simulate(condition, seed=1, seconds=seconds, sampling_rate=100)
    signal = ecg.signal.copy()
    part = signal[:, round(100 * start_s) : round(100 * stop_s)]
    part[:] = np.random.default_rng(0).normal(0, sd, part.shape)
    return ECG(signal, 100, LEADS)


def heartbeats(at_s, wide=(), p=0.15, t=0.3, seconds=10):
    """(12, samples) in mV at 100 Hz, and the R peaks, samples: P, QRS and T are Gaussians.

    at_s: when each R peak is; wide: the indices of beats that are broad and have no P; p, t: heights, mV
    """
    time = np.arange(round(seconds * 100)) / 100
    wave = lambda at, sd, height: height * np.exp(-(((time - at) / sd) ** 2) / 2)
    course = np.zeros(len(time))
    for i, r in enumerate(at_s):
        if i in wide:
            course += wave(r, 0.045, 1.2) + wave(r + 0.34, 0.05, -t)
        else:
            course += wave(r - 0.16, 0.02, p) + wave(r, 0.012, 1) + wave(r + 0.3, 0.04, t)
    return WEIGHT[:, None] * course, np.round(np.array(at_s) * 100).astype(int)


def measure_drawn(*args, mask=None, **kwargs):
    """The measurement of `heartbeats`."""
    signal, peaks = heartbeats(*args, **kwargs)
    return measure(signal, np.ones(12, bool) if mask is None else mask, peaks)
