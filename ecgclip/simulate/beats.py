"""What a rhythm is made of: beats, P waves and spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

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


def make_rhythm(
    beats: list[Beat],
    p_waves: list[PWave] | None = None,
    atrial_spikes: list[float] | None = None,
    spikes: list[float] | None = None,
    atrial_rate: float | None = None,
) -> Rhythm:
    """A rhythm; the atrial rate, if not given, is that of its P waves."""
    if atrial_rate is None and p_waves:
        atrial_rate = float(60 / np.median(np.diff([p.onset for p in p_waves])))
    return Rhythm(beats, p_waves or [], atrial_spikes or [], spikes or [], atrial_rate)
