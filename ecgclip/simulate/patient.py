"""One simulated patient: what the seed draws, and the waves of the beats that the leads see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ecgclip.simulate.conditions import Condition, Range
from ecgclip.simulate.waves import DOWER, GRID, Waves, beat_rows, scaled, span, sum_of_waves

ECTOPIC_QT = 50.0  # ms: a ventricular ectopic repolarises later
QRS_MV, T_PART = 0.03, 0.1  # what counts as QRS in any lead, and the part of its peak at which T ends
P_MV = 0.015


@dataclass(frozen=True)
class Patient:
    """The parameters of one simulated patient, drawn by the seed.

    rate: ventricular beats a minute
    pr, qtc: ms
    breaths: Hz
    stretch: scales the QRS complex in time
    t_gain: scales the T wave in height
    mixing: (8, 8), turns and scales the leads
    beat: the prevailing one in the table
    severity: 0 to 1
    """

    rate: float
    pr: float | None
    qtc: float
    age: int
    sex: str
    breaths: float
    stretch: float
    t_gain: float
    mixing: np.ndarray
    beat: str
    severity: float

    @staticmethod
    def draw(kind: Condition, rng: np.random.Generator, own: np.random.Generator) -> Patient:
        """Draw a patient: what every patient has from `rng`, what only the condition has from `own`."""
        frontal, horizontal = np.deg2rad(rng.normal(0, (7, 5)).clip(-14, 14))
        turn = _rotation(0, 1, frontal) @ _rotation(0, 2, horizontal)
        mixing = np.eye(8) + DOWER @ (turn - np.eye(3)) @ np.linalg.pinv(DOWER)
        gains = rng.uniform(0.9, 1.15) * rng.normal(1, [0, 0] + [0.05] * 6)  # chest electrodes are placed by hand
        rate, late, two_to_one = rng.uniform(*kind.rate), rng.random(), rng.random() < 0.25
        severity = own.uniform(*kind.severity)
        return Patient(
            rate=rate * (2 if kind.rhythm == "flutter" and two_to_one else 1),
            pr=kind.pr and kind.pr[0] + late * (kind.pr[1] - kind.pr[0]),
            qtc=between(kind.qtc, severity) + rng.uniform(395, 420),
            age=int(rng.integers(*kind.age)),
            sex=str(rng.choice(["female", "male"])),
            breaths=rng.uniform(0.2, 0.3),
            stretch=rng.uniform(0.96, 1.04),
            t_gain=rng.uniform(0.9, 1.15),
            mixing=gains[:, None] * mixing,
            beat=str(own.choice(kind.beat.split())),
            severity=severity,
        )

    def waves(self, name: str, part: str, scale: float = 1, gain: float = 1) -> Waves:
        """A part of a beat, scaled in time and in height, as a function of time."""
        severity = self.severity if name == self.beat else 1
        return partial(sum_of_waves, scaled(beat_rows(name, part, severity), scale, gain), self.mixing)

    def qt_ms(self, rr: float, name: str) -> float:
        """QT after an RR interval of `rr` seconds (Fridericia)."""
        return (self.qtc + ECTOPIC_QT * (name == "pvc")) * np.clip(rr, 0.4, 1.8) ** (1 / 3)

    def p_wave(self, name: str) -> Waves:
        """The P wave of a beat as a function of time from its onset."""
        wave = self.waves(name, "P")
        on, _ = span(wave(GRID), P_MV)
        return lambda t: wave(t + on)

    def depolarisation(self, name: str) -> tuple[Waves, float]:
        """QRS of one beat as a function of time from its onset, and its duration in ms."""
        wave = self.waves(name, "QRS", self.stretch)
        on, off = span(wave(GRID), QRS_MV)
        return lambda t: wave(t + on), off - on

    def complex(self, name: str, qt: float) -> Waves:
        """QRS and T of one beat as a function of time from the onset of QRS, with the given QT (ms)."""
        qrs, duration = self.depolarisation(name)
        scale = qt / span(self.waves(name, "T")(GRID), T_PART, relative=True)[1]
        t_wave = self.waves(name, "T", scale, self.t_gain)
        # Repolarisation follows depolarisation: ST and T grow out of the last third of the QRS complex.
        return lambda t: qrs(t) + t_wave(t) / (1 + np.exp(-(t - 0.7 * duration) / 6))


def between(pair: Range, severity: float) -> float:
    """From the first of a pair at severity 0 to the second at 1."""
    return pair[0] + severity * (pair[1] - pair[0])


def _rotation(a: int, b: int, angle: float) -> np.ndarray:
    turn = np.eye(3)
    turn[[a, b], [a, b]] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn
