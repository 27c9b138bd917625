"""From a condition and a seed to an ECG: beats, atrial waves and noise in one signal."""

from __future__ import annotations

import difflib

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.simulate.beats import Rhythm
from ecgclip.simulate.conditions import CONDITIONS, Condition
from ecgclip.simulate.noise import NOISES, fibrillating, fluttering, noise, quivering
from ecgclip.simulate.patient import Patient, turned
from ecgclip.simulate.rhythm import draw_rhythm, flutter_rate
from ecgclip.simulate.truth import truth_of
from ecgclip.simulate.waves import Waves, twelve

SECONDS = (2.0, 3600.0)  # shortest and longest record
SAMPLING_RATES = (100.0, 2000.0)  # Hz; below 100 Hz a QRS complex is no longer sampled
SPIKE = np.array([0.50, -0.70, -0.55, -0.80, -0.90, -0.80, -0.60, -0.40])  # mV, in the order of the table
LEVELS = ("p_mv", "j_mv", "st_mv", "t_mv", "r_mv", "s_mv")  # of the truth, by lead
ATRIAL_SPIKE = np.array([0.15, 0.35, 0.20, 0.22, 0.22, 0.20, 0.20, 0.18])
SPIKE_S = 0.002
OWN = 16  # what only the condition draws comes from a generator of its own


def simulate(condition: str, seed: int = 0, seconds: float = 10, sampling_rate: float = 500) -> ECG:
    """Simulate a 12-lead ECG. The same arguments give the same signal.

    Parameters
    ----------
    condition : str
        A key of `CONDITIONS`.
    seed : int
        The patient, from 0 up.
    seconds : float
        2 to 3600.
    sampling_rate : float
        Hz, 100 to 2000.

    Returns
    -------
    ECG
        float32 (12, seconds * sampling_rate), mV. `metadata` has age, sex, comments and `truth`, taken from the
        noise-free model.

        heart_rate (ventricular, /min); of the usual beat, or of the most frequent one where none is usual: pr_ms
        (None where P waves are absent or not conducted), qrs_ms, qt_ms, axis_deg (of the QRS area), and {lead: mV} of
        j_mv (at the J point), st_mv (60 ms later), t_mv (the largest deflection of T, signed), r_mv and s_mv (the
        highest and lowest point of QRS). All of these are None in a record without beats. p_ms and p_mv of the usual
        P wave, None without P waves.

        Of the record: r_peaks_s, and for each of them qrs_onsets_s and beat_classes (usual, early: narrow and
        premature, wide: from a ventricle, escape, paced); p_onsets_s of all P waves and p_conducted; spikes_s;
        atrial_rate (/min; None in fibrillation); severity (0 to 1, or a little more); concepts (ids of the knowledge
        base that hold, broader ones included) and unknown (ids that may hold; no other id holds).

    Raises
    ------
    EcgclipError
        The condition is unknown, or the seed, length or sampling rate is out of range.
    """
    _check_arguments(condition, seed, seconds, sampling_rate)
    kind, rng = CONDITIONS[condition], np.random.default_rng(seed)
    patient = Patient.draw(kind, rng, np.random.default_rng([seed, OWN]))
    rhythm = draw_rhythm(kind, patient, seconds, rng)

    time = np.arange(int(np.ceil(seconds * sampling_rate - 1e-6))) / sampling_rate
    respiration = np.sin(2 * np.pi * patient.breaths * time + rng.uniform(0, 2 * np.pi))
    signal = np.zeros((8, time.size))
    _add_p_waves(signal, time, rhythm, patient)
    _add_beats(signal, time, rhythm, patient, respiration, sampling_rate, rng)
    signal += _continuous_waves(kind, patient, time, rng)
    signal += noise(NOISES[kind.noise], time, respiration, sampling_rate, rng)
    truth = truth_of(kind, patient, rhythm, seconds)
    if condition == "flat-lead":
        signal[LEADS.index("V2") - 4] = 0
        truth |= {name: truth[name] | {"V2": 0.0} for name in LEVELS}
    comments = [f"Simulated: {condition}, seed {seed}"]
    metadata = {"age": patient.age, "sex": patient.sex, "comments": comments, "truth": truth}
    return ECG(twelve(signal.astype(np.float32)), float(sampling_rate), LEADS, metadata=metadata)


def _check_arguments(condition: str, seed: int, seconds: float, sampling_rate: float) -> None:
    if condition not in CONDITIONS:
        alike = ", ".join(difflib.get_close_matches(str(condition), CONDITIONS, n=4, cutoff=0))
        raise EcgclipError(
            f"unknown condition {condition!r}: do you mean {alike}? `ecgclip simulate --list` prints all"
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise EcgclipError(f"seed must be a whole number from 0 up, not {seed!r}")
    for name, value, (low, high), unit in (
        ("seconds", seconds, SECONDS, "s"),
        ("sampling_rate", sampling_rate, SAMPLING_RATES, "Hz"),
    ):
        if not (isinstance(value, (int, float, np.number)) and low <= value <= high):
            raise EcgclipError(f"{name} must be {low:g} to {high:g} {unit}, not {value!r}")


def _add(
    signal: np.ndarray, time: np.ndarray, onset: float, waves: Waves, gain: float = 1.0, turn: float = 0.0
) -> None:
    """Add `waves` from `onset` (s) on to `signal` (8, n) in place, where they are not zero, turned by radians."""
    window = slice(*np.searchsorted(time, (onset - 0.2, onset + 1.0)))
    values = gain * waves((time[window] - onset) * 1000)
    signal[:, window] += turned(turn, turn) @ values if turn else values


def _add_p_waves(signal: np.ndarray, time: np.ndarray, rhythm: Rhythm, patient: Patient) -> None:
    shapes = {name: patient.p_wave(name) for name in {p.name for p in rhythm.p_waves}}
    for p in rhythm.p_waves:
        _add(signal, time, p.onset, shapes[p.name])


def _add_beats(
    signal: np.ndarray,
    time: np.ndarray,
    rhythm: Rhythm,
    patient: Patient,
    respiration: np.ndarray,
    sampling_rate: float,
    rng: np.random.Generator,
) -> None:
    """Add QRS and T of all beats, with the spikes of paced ones, to `signal` (8, n) in place.

    QT follows the R-R interval before a beat and the usual one; the height varies a little, and with respiration.
    """
    if not rhythm.beats:
        return
    rr = 60 / patient.rate
    before = [rhythm.beats[0].onset - rr] + [beat.onset for beat in rhythm.beats[:-1]]
    for previous, beat in zip(before, rhythm.beats, strict=True):
        qt = patient.qt_ms(0.7 * rr + 0.3 * (beat.onset - previous), beat.name)
        gain = rng.normal(1, 0.015) * (1 + 0.03 * np.interp(beat.onset, time, respiration))
        _add(signal, time, beat.onset, patient.complex(beat.name, qt), gain * beat.gain, beat.turn)
    width = max(1, round(SPIKE_S * sampling_rate))  # at least one sample
    for spikes, size in ((rhythm.spikes, SPIKE), (rhythm.atrial_spikes, ATRIAL_SPIKE)):
        for at in (round(spike * sampling_rate) for spike in spikes):
            signal[:, max(at, 0) : max(at + width, 0)] += size[:, None]


def _continuous_waves(
    kind: Condition, patient: Patient, time: np.ndarray, rng: np.random.Generator
) -> np.ndarray | float:
    """Flutter and fibrillation: float (8, samples) mV, or 0."""
    if kind.rhythm.endswith("flutter"):
        return fluttering(flutter_rate(kind, patient), time, rng)
    if kind.rhythm == "vf":
        return quivering(patient.severity, time, rng)
    return fibrillating(time, rng) if kind.rhythm == "af" else 0
