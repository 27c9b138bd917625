"""When atria and ventricles beat: a function for each rhythm, from a second before the record to after its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ecgclip.simulate.beats import ESCAPE, PACED, WIDE, Beat, PWave, Rhythm, make_rhythm
from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import Patient, between
from ecgclip.simulate.pattern import draw_pattern
from ecgclip.simulate.waves import NORMAL

SPIKE_BEFORE_S = 0.010  # a spike begins so long before its complex

Draw: TypeAlias = Callable[[Condition, Patient, float, np.random.Generator], Rhythm]


def draw_rhythm(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """The rhythm of a patient with a condition."""
    return RHYTHMS[kind.rhythm](kind, patient, seconds, rng)


def _sinus(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    onsets = _sinus_onsets(60 / patient.rate, _count(patient, seconds), patient, rng)
    lower = 1 - between(kind.alternans, patient.severity)
    beats = [Beat(onset, patient.beat, gain=lower if i % 2 else 1.0) for i, onset in enumerate(onsets)]
    return make_rhythm(beats, _p_waves(patient, onsets))


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
    return make_rhythm(beats, _p_waves(patient, np.delete(onsets, ectopic)))


def _regular(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """An atrial focus that fires more evenly than the sinus node."""
    onsets = _even(patient, seconds, rng)
    return make_rhythm([Beat(onset, patient.beat) for onset in onsets], _p_waves(patient, onsets))


def _multifocal(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Atrial foci that take turns: P waves of several shapes, each with its PR, at changing intervals."""
    onsets = _onsets(60 / patient.rate * rng.normal(1, 0.16, _count(patient, seconds)).clip(0.65, 1.5), rng)
    before = (patient.pr or 0) / 1000 * rng.uniform(0.8, 1.2, len(onsets))
    shapes = rng.choice(["normal", "ectopic", "rae", "lae"], len(onsets))
    p_waves = [PWave(float(t), True, str(shape)) for t, shape in zip(onsets - before, shapes, strict=True)]
    return make_rhythm([Beat(onset, patient.beat) for onset in onsets], p_waves)


def _fibrillation(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    rr = 60 / patient.rate
    onsets = _onsets(rr * rng.gamma(18, 1 / 18, _count(patient, seconds)).clip(0.55, 2), rng)
    return make_rhythm([Beat(onset, patient.beat) for onset in onsets])


def _flutter(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    beats = [Beat(onset, patient.beat) for onset in _even(patient, seconds, rng)]
    return make_rhythm(beats, atrial_rate=flutter_rate(kind, patient))


def _variable_flutter(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Each ventricular cycle is 2, 3 or 4 flutter waves long."""
    rate = flutter_rate(kind, patient)
    ratios = rng.choice([2, 2, 3, 4, 4], 2 * _count(patient, seconds))
    return make_rhythm([Beat(onset, patient.beat) for onset in _onsets(60 / rate * ratios, rng)], atrial_rate=rate)


def _complete(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """The atria beat independently; the escape rhythm starts above or below the bifurcation."""
    onsets = _even(patient, seconds, rng)
    p_onsets = _sinus_onsets(60 / rng.uniform(74, 88), 3 * _count(patient, seconds), patient, rng)
    name = str(rng.choice(kind.other.split()))
    return make_rhythm([Beat(onset, name, ESCAPE) for onset in onsets], _unconducted(p_onsets))


def _ventricular(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """A ventricular focus leads; the sinus node goes on below it, out of step."""
    onsets = _even(patient, seconds, rng)
    p_onsets = _sinus_onsets(60 / rng.uniform(56, 76), 3 * _count(patient, seconds), patient, rng)
    return make_rhythm([Beat(onset, patient.beat, WIDE) for onset in onsets], _unconducted(p_onsets))


def _junctional(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """A focus or a circuit in or beside the AV node: P waves run backwards, after QRS, or are hidden in it."""
    onsets = _even(patient, seconds, rng)
    beats = [Beat(onset, patient.beat) for onset in onsets]
    rate = patient.rate
    if kind.rp is None:
        return make_rhythm(beats, atrial_rate=rate)
    after = rng.uniform(*kind.rp) / 1000
    return make_rhythm(beats, [PWave(onset + after, False, "retrograde") for onset in onsets], atrial_rate=rate)


def _paced(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    onsets = _even(patient, seconds, rng)
    beats = [Beat(onset, patient.beat, PACED) for onset in onsets]
    return make_rhythm(beats, spikes=[onset - SPIKE_BEFORE_S for onset in onsets])


def _atrial_pacing(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    rhythm = _regular(kind, patient, seconds, rng)
    return replace(rhythm, atrial_spikes=[p.onset - SPIKE_BEFORE_S for p in rhythm.p_waves])


def _dual_pacing(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    rhythm = _atrial_pacing(kind, patient, seconds, rng)
    beats = [beat._replace(kind=PACED) for beat in rhythm.beats]
    return replace(rhythm, beats=beats, spikes=[beat.onset - SPIKE_BEFORE_S for beat in beats])


def _capture_failure(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Every third or fourth spike or so is followed by nothing."""
    rhythm = _paced(kind, patient, seconds, rng)
    lost = np.cumsum(rng.integers(2, 5, len(rhythm.beats)))
    return replace(rhythm, beats=[beat for i, beat in enumerate(rhythm.beats) if i not in lost])


def _torsades(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """After some sinus beats with a long QT, a fast run whose axis turns round and round, to the end."""
    rhythm = _sinus(kind, patient, seconds, rng)
    last = max(beat.onset for beat in rhythm.beats if beat.onset < rng.uniform(0.1, 0.35) * seconds)
    cycle, turns = 60 / rng.uniform(190, 250), rng.uniform(1.8, 3.0)  # s; seconds for one turn
    onsets = last + 0.42 + np.cumsum(cycle * rng.normal(1, 0.08, int((seconds + 2) / cycle)))
    run = [Beat(t, "pvc", WIDE, rng.uniform(0.6, 0.9), 2 * np.pi * (t - last) / turns) for t in onsets]
    kept = [p for p in rhythm.p_waves if p.onset < last]
    return make_rhythm([beat for beat in rhythm.beats if beat.onset <= last] + run, kept)


def _nothing(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """No beats. In asystole, the atria of some patients go on."""
    if kind.rhythm != "asystole" or rng.random() < 0.6:
        return make_rhythm([])
    return make_rhythm(
        [], _unconducted(_sinus_onsets(60 / rng.uniform(50, 90), 3 * _count(patient, seconds), patient, rng))
    )


RHYTHMS: dict[str, Draw] = {
    "sinus": _sinus,
    "pvc": _premature,
    "pattern": draw_pattern,
    "regular": _regular,
    "multifocal": _multifocal,
    "af": _fibrillation,
    "flutter": _flutter,
    "fixed flutter": _flutter,
    "variable flutter": _variable_flutter,
    "complete": _complete,
    "ventricular": _ventricular,
    "junctional": _junctional,
    "paced": _paced,
    "atrial pacing": _atrial_pacing,
    "dual pacing": _dual_pacing,
    "capture failure": _capture_failure,
    "torsades": _torsades,
    "vf": _nothing,
    "asystole": _nothing,
}


def flutter_rate(kind: Condition, patient: Patient) -> float:
    """Flutter waves a minute: a multiple of the ventricular rate, near 300."""
    return patient.rate * (kind.ratio if kind.ratio > 1 else round(300 / patient.rate))


def _p_waves(patient: Patient, onsets: np.ndarray) -> list[PWave]:
    """P waves before complexes that begin at `onsets`."""
    return [PWave(float(onset), True, patient.p) for onset in onsets - (patient.pr or 0) / 1000]


def _unconducted(onsets: np.ndarray) -> list[PWave]:
    return [PWave(float(onset), False, NORMAL) for onset in onsets]


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
    return _onsets(rr * (1 + patient.sway * breath + rng.normal(0, 0.012, count)), rng)
