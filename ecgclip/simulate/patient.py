"""One simulated patient: what the seed draws, and the waves of the beats that the leads see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ecgclip.simulate.conditions import Condition, Range
from ecgclip.simulate.waves import DOWER, GRID, ROWS, Waves, beat_rows, scaled, span, sum_of_waves

ECTOPIC = ("pvc", "pvc-lv")
ECTOPIC_QT = 50.0  # ms: a ventricular ectopic repolarises later
QRS_MV, T_PART = 0.03, 0.1  # what counts as QRS in any lead, and the part of its peak at which T ends
P_MV = 0.015
FAST = 160.0  # beats a minute from which QT goes on to shorten below an R-R interval of 0.4 s
# The eight leads as combinations of those of electrodes in their places: arms exchanged, and a heart on the right
ARMS = np.eye(8)
ARMS[:2, :2] = [[-1, 0], [-1, 1]]
MIRROR = ARMS.copy()
MIRROR[2:, 2:] = 0  # V1 and V2 change places; V3 to V6 look at the side where the heart is not
MIRROR[[2, 3, 4, 5, 6, 7], [3, 2, 2, 2, 2, 2]] = [1, 1, 0.7, 0.45, 0.3, 0.2]
LEG = np.eye(8)  # left arm and left leg exchanged
LEG[:2, :2] = [[0, 1], [1, 0]]
CHEST = np.eye(8)[[0, 1, 4, 3, 2, 5, 6, 7]]  # V1 and V3 exchanged
ELECTRODES = {"usual": np.eye(8), "arms": ARMS, "leg": LEG, "chest": CHEST, "mirror": MIRROR}


@dataclass(frozen=True)
class Patient:
    """The parameters of one simulated patient, drawn by the seed.

    rate: ventricular beats a minute
    pr, qtc: ms
    breaths: Hz
    stretch: scales the QRS complex in time
    p_gain, qrs_gain, t_gain: scale P, QRS and T in height
    mixing: (8, 8), turns and scales the leads
    qrs_mixing: the same for QRS
    sway: part by which respiration changes the cycle of the sinus node
    beat, p: the prevailing beat and the P wave of the sinus node in the table
    severity: 0 to 1, or a little more
    """

    rate: float
    pr: float | None
    qtc: float
    age: int
    sex: str
    breaths: float
    stretch: float
    p_gain: float
    qrs_gain: float
    t_gain: float
    mixing: np.ndarray
    qrs_mixing: np.ndarray
    sway: float
    beat: str
    p: str
    severity: float

    @staticmethod
    def draw(kind: Condition, rng: np.random.Generator, own: np.random.Generator) -> Patient:
        """Draw a patient: what every patient has from `rng`, what only the condition has from `own`."""
        angles = np.deg2rad(rng.normal(0, (7, 5)).clip(-14, 14))
        gains = rng.uniform(0.9, 1.15) * rng.normal(1, [0, 0] + [0.05] * 6)  # chest electrodes are placed by hand
        rate, late, two_to_one = rng.uniform(*kind.rate), rng.random(), rng.random() < 0.25
        severity = own.uniform(*kind.severity)
        electrodes, turn = ELECTRODES[kind.leads], turned(*angles)
        qrs_turn = turn.copy()
        qrs_turn[:2] = turned(angles[0] + np.deg2rad(between(kind.turn, severity)), angles[1])[:2]  # the limb leads
        qrs_gain = between(kind.height, severity)
        return Patient(
            rate=rate * (2 if kind.rhythm == "flutter" and two_to_one else 1),
            pr=kind.pr and kind.pr[0] + late * (kind.pr[1] - kind.pr[0]),
            qtc=between(kind.qtc, severity) + rng.uniform(395, 420),
            age=int(rng.integers(*kind.age)),
            sex=str(rng.choice(["female", "male"])),
            breaths=rng.uniform(0.2, 0.3),
            stretch=rng.uniform(0.96, 1.04) * between(kind.wide, severity),
            p_gain=between(kind.p, severity),
            qrs_gain=qrs_gain,
            t_gain=rng.uniform(0.9, 1.15) * between(kind.t, severity),
            mixing=electrodes @ (gains[:, None] * turn),
            qrs_mixing=electrodes @ (gains[:, None] * qrs_turn * qrs_gain),
            sway=between(kind.sway, severity),
            beat=str(own.choice(kind.beat.split())),
            p=str(own.choice(kind.p_wave.split())),
            severity=severity,
        )

    def waves(self, name: str, part: str, scale: float = 1, gain: float = 1) -> Waves:
        """A part of a beat, scaled in time and in height, as a function of time."""
        severity = self.severity if name in (self.beat, self.p) else 1
        mixing = self.qrs_mixing if part in ("QRS", "J") else self.mixing
        return partial(sum_of_waves, scaled(beat_rows(name, part, severity), scale, gain), mixing)

    def qt_ms(self, rr: float, name: str) -> float:
        """QT after an RR interval of `rr` seconds (Fridericia)."""
        ectopic = ECTOPIC_QT * (name in ECTOPIC)
        return (self.qtc + ectopic) * np.clip(rr, 0.4 if self.rate < FAST else 0.25, 1.8) ** (1 / 3)

    def p_wave(self, name: str) -> Waves:
        """The P wave of a beat as a function of time from its onset, with the repolarisation of the atria."""
        wave, after = self.waves(name, "P", gain=self.p_gain), self.waves(self.beat, "Ta")
        on, _ = span(wave(GRID), P_MV * self.p_gain)
        return lambda t: wave(t + on) + after(t + on)

    def depolarisation(self, name: str) -> tuple[Waves, float]:
        """QRS of one beat as a function of time from its onset, and its duration in ms."""
        wave = self.waves(name, "QRS", self.stretch)
        on, off = span(wave(GRID), QRS_MV * min(self.qrs_gain, 1))
        return lambda t: wave(t + on), off - on

    def complex(self, name: str, qt: float) -> Waves:
        """QRS and T of one beat as a function of time from the onset of QRS, with the given QT (ms)."""
        qrs, duration = self.depolarisation(name)
        scale = qt / span(self.waves(name, "T")(GRID), T_PART, relative=True)[1]
        t_wave, u_wave = self.waves(name, "T", scale, self.t_gain), self.waves(name, "U", scale)
        j_wave = self.waves(name, "J", self.stretch)

        def both(t: np.ndarray) -> np.ndarray:
            # Repolarisation follows depolarisation: ST and T grow out of the last third of the QRS complex.
            return qrs(t) + t_wave(t) / (1 + np.exp(-(t - 0.7 * duration) / 6))

        if f"{name} J" not in ROWS and f"{name} U" not in ROWS:
            return both
        return lambda t: both(t) + j_wave(t - duration) + u_wave(t)


def between(pair: Range, severity: float) -> float:
    """From the first of a pair at severity 0 to the second at 1."""
    return pair[0] + severity * (pair[1] - pair[0])


def turned(frontal: float, horizontal: float) -> np.ndarray:
    """(8, 8), the leads of a heart that is turned by such angles, from those of one that is not."""
    turn = _rotation(0, 1, frontal) @ _rotation(0, 2, horizontal)
    return np.eye(8) + DOWER @ (turn - np.eye(3)) @ np.linalg.pinv(DOWER)


def _rotation(a: int, b: int, angle: float) -> np.ndarray:
    turn = np.eye(3)
    turn[[a, b], [a, b]] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn
