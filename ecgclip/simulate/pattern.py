"""A sinus rhythm with what disturbs it, cycle by cycle, as a pattern of letters says: ectopic beats, blocks, pauses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecgclip.simulate.beats import EARLY, ESCAPE, USUAL, WIDE, Beat, PWave, Rhythm, make_rhythm
from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import Patient

REFRACTORY = 0.5  # part of a cycle after a complex in which the next one is not conducted
WENCKEBACH_S = 0.16  # by which PR grows in all before a beat is dropped
ARREST_S = (2.2, 3.8)  # how long a sinus node stands still


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
    return make_rhythm(walk.beats, walk.p_waves, atrial_rate=float(60 / walk.cycle))
