"""When atria and ventricles beat: a function for each rhythm, from a second before the record to after its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import Patient, between
from ecgclip.simulate.waves import NORMAL

SPIKE_BEFORE_S = 0.010  # a spike begins so long before its complex
REFRACTORY = 0.5  # part of a cycle after a complex in which the next one is not conducted
WENCKEBACH_S = 0.16  # by which PR grows in all before a beat is dropped
ARREST_S = (2.2, 3.8)  # how long a sinus node stands still
USUAL, EARLY, WIDE, ESCAPE, PACED = "usual", "early", "wide", "escape", "paced"  # where a beat comes from


class Beat(NamedTuple):
    """A beat of the ventricles: onset of QRS (s), name in the table, class, factor in height and turn (radians)."""

    onset: float
    name: str
    kind: str = USUAL
    gain: float = 1.0
    turn: float = 0.0


class PWave(NamedTuple):
    """A P wave: its onset (s), whether ventricles follow it, and its name in the table."""

    onset: float
    conducted: bool
    name: str


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
    lower = 1 - between(kind.alternans, patient.severity)
    beats = [Beat(onset, patient.beat, gain=lower if i % 2 else 1.0) for i, onset in enumerate(onsets)]
    return _made(beats, _p_waves(patient, onsets))


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
    return _made(beats, _p_waves(patient, np.delete(onsets, ectopic)))


def _regular(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """An atrial focus that fires more evenly than the sinus node."""
    onsets = _even(patient, seconds, rng)
    return _made([Beat(onset, patient.beat) for onset in onsets], _p_waves(patient, onsets))


def _multifocal(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Atrial foci that take turns: P waves of several shapes, each with its PR, at changing intervals."""
    onsets = _onsets(60 / patient.rate * rng.normal(1, 0.16, _count(patient, seconds)).clip(0.65, 1.5), rng)
    before = (patient.pr or 0) / 1000 * rng.uniform(0.8, 1.2, len(onsets))
    shapes = rng.choice(["normal", "ectopic", "rae", "lae"], len(onsets))
    p_waves = [PWave(float(t), True, str(shape)) for t, shape in zip(onsets - before, shapes, strict=True)]
    return _made([Beat(onset, patient.beat) for onset in onsets], p_waves)


def _fibrillation(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    rr = 60 / patient.rate
    onsets = _onsets(rr * rng.gamma(18, 1 / 18, _count(patient, seconds)).clip(0.55, 2), rng)
    return _made([Beat(onset, patient.beat) for onset in onsets])


def _flutter(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    beats = [Beat(onset, patient.beat) for onset in _even(patient, seconds, rng)]
    return _made(beats, atrial_rate=flutter_rate(kind, patient))


def _variable_flutter(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Each ventricular cycle is 2, 3 or 4 flutter waves long."""
    rate = flutter_rate(kind, patient)
    ratios = rng.choice([2, 2, 3, 4, 4], 2 * _count(patient, seconds))
    return _made([Beat(onset, patient.beat) for onset in _onsets(60 / rate * ratios, rng)], atrial_rate=rate)


def _complete(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """The atria beat independently; the escape rhythm starts above or below the bifurcation."""
    onsets = _even(patient, seconds, rng)
    p_onsets = _sinus_onsets(60 / rng.uniform(74, 88), 3 * _count(patient, seconds), patient, rng)
    name = str(rng.choice(kind.other.split()))
    return _made([Beat(onset, name, ESCAPE) for onset in onsets], _unconducted(p_onsets))


def _ventricular(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """A ventricular focus leads; the sinus node goes on below it, out of step."""
    onsets = _even(patient, seconds, rng)
    p_onsets = _sinus_onsets(60 / rng.uniform(56, 76), 3 * _count(patient, seconds), patient, rng)
    return _made([Beat(onset, patient.beat, WIDE) for onset in onsets], _unconducted(p_onsets))


def _junctional(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """A focus or a circuit in or beside the AV node: P waves run backwards, after QRS, or are hidden in it."""
    onsets = _even(patient, seconds, rng)
    beats = [Beat(onset, patient.beat) for onset in onsets]
    rate = patient.rate
    if kind.rp is None:
        return _made(beats, atrial_rate=rate)
    after = rng.uniform(*kind.rp) / 1000
    return _made(beats, [PWave(onset + after, False, "retrograde") for onset in onsets], atrial_rate=rate)


def _paced(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    onsets = _even(patient, seconds, rng)
    beats = [Beat(onset, patient.beat, PACED) for onset in onsets]
    return _made(beats, spikes=[onset - SPIKE_BEFORE_S for onset in onsets])


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
    return _made([beat for beat in rhythm.beats if beat.onset <= last] + run, kept)


def _nothing(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """No beats. In asystole, the atria of some patients go on."""
    if kind.rhythm != "asystole" or rng.random() < 0.6:
        return _made([])
    return _made([], _unconducted(_sinus_onsets(60 / rng.uniform(50, 90), 3 * _count(patient, seconds), patient, rng)))


class _Walk:
    """A sinus rhythm that is walked through cycle by cycle, with what disturbs it."""

    def __init__(self, kind: Condition, patient: Patient, rng: np.random.Generator):
        self.patient, self.rng = patient, rng
        self.cycle, self.pr = 60 / (patient.rate * kind.ratio), (patient.pr or 0) / 1000
        self.ectopic = str(rng.choice(kind.other.split()))
        self.beats: list[Beat] = []
        self.p_waves: list[PWave] = []
        self.due = -1.5 + rng.uniform(0, 0.6) - self.pr  # when the sinus node fires next
        self.last_p, self.last_qrs = self.due - self.cycle, self.due - self.cycle + self.pr
        self.waits = 0  # beats since the last one that was not conducted, for PR that grows

    def step(self, letter: str) -> None:
        """One letter of a pattern."""
        if letter == "V":
            return self._ventricular()
        while self.due + self.pr < self.last_qrs + REFRACTORY * self.cycle:  # hidden in a ventricular beat
            self._wait()
        STEPS[letter](self)

    def _wait(self, seconds: float | None = None) -> None:
        """The sinus node fires again after a cycle, which varies with respiration, or after so many seconds."""
        breath = np.sin(2 * np.pi * self.patient.breaths * self.due)
        varied = self.cycle * (1 + self.patient.sway * breath + self.rng.normal(0, 0.012))
        self.due += varied if seconds is None else seconds

    def _p(self, onset: float, conducted: bool, name: str | None = None) -> None:
        self.p_waves.append(PWave(onset, conducted, name or self.patient.p))
        self.last_p = onset

    def _qrs(self, onset: float, kind: str, name: str | None = None) -> None:
        self.beats.append(Beat(onset, name or self.patient.beat, kind))
        self.last_qrs = onset

    def usual(self) -> None:
        self.waits = 0
        self._p(self.due, True)
        self._qrs(self.due + self.pr, USUAL)
        self._wait()

    def later(self) -> None:
        """PR is longer than that of the beat before, by less each time."""
        self.waits += 1
        self._p(self.due, True)
        self._qrs(self.due + self.pr + WENCKEBACH_S * (1 - 0.5**self.waits), USUAL)
        self._wait()

    def dropped(self) -> None:
        self._p(self.due, False)
        self._wait()

    def exit_block(self) -> None:
        self._wait()

    def arrest(self) -> None:
        self._wait(self.rng.uniform(*ARREST_S))

    def atrial(self) -> None:
        """An early beat from the atria, which resets the sinus node."""
        onset = self.last_p + self.cycle * self.rng.uniform(0.56, 0.7)
        self._p(onset, True, "ectopic")
        self._qrs(onset + 1.05 * self.pr, EARLY)
        self.due = onset + self.cycle * self.rng.uniform(1.02, 1.15)

    def blocked_atrial(self) -> None:
        onset = self.last_p + self.cycle * self.rng.uniform(0.4, 0.48)
        self._p(onset, False, "ectopic")
        self.due = onset + self.cycle * self.rng.uniform(1.02, 1.12)

    def junctional(self) -> None:
        """An early beat from the AV node; its P wave is hidden."""
        onset = self.last_qrs + self.cycle * self.rng.uniform(0.58, 0.7)
        self._qrs(onset, EARLY)
        self.due = onset - self.pr + self.cycle * self.rng.uniform(1.1, 1.3)

    def escape(self) -> None:
        """The sinus node stands still; after a while, the AV node fires."""
        onset = self.last_qrs + self.rng.uniform(1.3, 1.7)
        self._qrs(onset, ESCAPE)
        self.due = onset + self.cycle * self.rng.uniform(0.8, 1)

    def _ventricular(self) -> None:
        """An early beat from a ventricle. The sinus node is not reset; a run goes on faster than it began."""
        run = bool(self.beats) and self.beats[-1].kind == WIDE
        early = self.rng.uniform(0.34, 0.42) if run else self.cycle * self.rng.normal(0.6, 0.015)
        self._qrs(self.last_qrs + early, WIDE, self.ectopic)


# What the letters of a pattern mean, besides V: an early ventricular beat.
STEPS: dict[str, Callable[[_Walk], None]] = {
    "N": _Walk.usual,
    "W": _Walk.later,
    "P": _Walk.dropped,
    "-": _Walk.exit_block,
    "~": _Walk.arrest,
    "A": _Walk.atrial,
    "B": _Walk.blocked_atrial,
    "K": _Walk.junctional,
    "J": _Walk.escape,
}


def draw_pattern(kind: Condition, patient: Patient, seconds: float, rng: np.random.Generator) -> Rhythm:
    """A sinus rhythm with what the letters of the condition's pattern say."""
    walk, words = _Walk(kind, patient, rng), kind.pattern.split()
    letters = str(rng.choice(words))[rng.integers(0, 2) :]
    while min(walk.due, walk.last_qrs) < seconds + 1.5:
        for letter in letters:
            walk.step(letter)
        letters = str(rng.choice(words))
    return _made(walk.beats, walk.p_waves, atrial_rate=float(60 / walk.cycle))


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
