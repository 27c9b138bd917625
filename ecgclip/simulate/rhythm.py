"""When atria and ventricles beat: a function for each rhythm, from a second before the record to after its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import Patient

SPIKE_BEFORE_S = 0.010  # a spike begins so long before its complex
USUAL, EARLY, WIDE, ESCAPE, PACED = "usual", "early", "wide", "escape", "paced"  # where a beat comes from


class Beat(NamedTuple):
    """A beat of the ventricles: the onset of QRS (s), its name in the table and its class."""

    onset: float
    name: str
    kind: str = USUAL


class PWave(NamedTuple):
    """A P wave: its onset (s), whether ventricles follow it, and its name in the table."""

    onset: float
    conducted: bool = True
    name: str = "normal"


@dataclass(frozen=True)
class Rhythm:
    """All beats and P waves, the spikes before P waves and before complexes (s), and atrial beats a minute."""

    beats: list[Beat]
    p_waves: list[PWave]
    atrial_spikes: list[float]
    spikes: list[float]
    atrial_rate: float | None


Draw: TypeAlias = Callable[[Condition, Patient, float, np.random.Generator], Rhythm]


def draw_rhythm(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """The rhythm of a patient with a condition."""
    return RHYTHMS[kind.rhythm](kind, patient, seconds, rng)


def _sinus(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    onsets = _sinus_onsets(60 / patient.rate, _count(patient, seconds), patient, rng)
    beats = [Beat(onset, patient.beat) for onset in onsets]
    return _made(beats, _p_waves(onsets - (patient.pr or 0) / 1000))


def _premature(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Replace some sinus beats by early ventricular ones. The sinus rhythm is not reset; the P wave there is hidden."""
    rr, count = 60 / patient.rate, _count(patient, seconds)
    onsets = _sinus_onsets(rr, count, patient, rng)
    beats = [Beat(onset, patient.beat) for onset in onsets]
    gaps = [rng.integers(1, 3), *rng.integers(3, 6, count)]
    ectopic = np.searchsorted(onsets, 0) + np.cumsum(gaps)
    ectopic = ectopic[ectopic < count]
    for i in ectopic:
        beats[i] = Beat(onsets[i - 1] + rr * rng.normal(0.6, 0.015), "pvc", WIDE)
    return _made(beats, _p_waves(np.delete(onsets - (patient.pr or 0) / 1000, ectopic)))


def _fibrillation(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    rr = 60 / patient.rate
    onsets = _onsets(rr * rng.gamma(18, 1 / 18, _count(patient, seconds)).clip(0.55, 2), rng)
    return _made([Beat(onset, patient.beat) for onset in onsets])


def _flutter(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    beats = [Beat(onset, patient.beat) for onset in _even(patient, seconds, rng)]
    return _made(beats, atrial_rate=flutter_rate(patient))


def _complete(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """The atria beat independently; the escape rhythm starts above or below the bifurcation."""
    onsets = _even(patient, seconds, rng)
    p_onsets = _sinus_onsets(60 / rng.uniform(74, 88), 3 * _count(patient, seconds), patient, rng)
    name = str(rng.choice(kind.escape.split()))
    return _made([Beat(onset, name, ESCAPE) for onset in onsets], _p_waves(p_onsets, False))


def _paced(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    onsets = _even(patient, seconds, rng)
    beats = [Beat(onset, patient.beat, PACED) for onset in onsets]
    return _made(beats, spikes=[onset - SPIKE_BEFORE_S for onset in onsets])


RHYTHMS: dict[str, Draw] = {
    "sinus": _sinus,
    "pvc": _premature,
    "af": _fibrillation,
    "flutter": _flutter,
    "complete": _complete,
    "paced": _paced,
}


def flutter_rate(patient: Patient) -> float:
    """Flutter waves a minute: an even multiple of the ventricular rate, near 300."""
    return patient.rate * round(300 / patient.rate)


def _made(
    beats: list[Beat],
    p_waves: list[PWave] | None = None,
    atrial_spikes: list[float] | None = None,
    spikes: list[float] | None = None,
    atrial_rate: float | None = None,
) -> Rhythm:
    if atrial_rate is None and p_waves:
        atrial_rate = float(60 / np.median(np.diff([p.onset for p in p_waves])))
    return Rhythm(beats, p_waves or [], atrial_spikes or [], spikes or [], atrial_rate)


def _p_waves(onsets: np.ndarray, conducted: bool = True, name: str = "normal") -> list[PWave]:
    return [PWave(float(onset), conducted, name) for onset in onsets]


def _count(patient: Patient, seconds: float) -> int:
    return int((seconds + 4) / (60 / patient.rate) * 1.2) + 4


def _onsets(intervals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """When beats of such intervals begin, s: the first one 0.9 to 1.5 s before the record."""
    return np.cumsum(intervals) - intervals[0] - 1.5 + rng.uniform(0, 0.6)


def _even(patient: Patient, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Onsets of a rhythm that varies by less than a hundredth, s."""
    return _onsets(60 / patient.rate * rng.normal(1, 0.003, _count(patient, seconds)), rng)


def _sinus_onsets(rr: float, count: int, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Onsets of a sinus rhythm, s: it varies with respiration, and a little from beat to beat."""
    breath = np.sin(2 * np.pi * patient.breaths * rr * np.arange(count))
    return _onsets(rr * (1 + 0.025 * breath + rng.normal(0, 0.012, count)), rng)
