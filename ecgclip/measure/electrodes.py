"""Limb electrodes in the wrong place: leads upside down, exchanged or misnamed, and the heart on the right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import ECG, II, III, LEADS, V1, V4, V5, V6, I
from ecgclip.measure.arrays import median
from ecgclip.measure.measurement import Measurement
from ecgclip.prepare import LIMB, Prepared

# PTB-XL's folds 1 to 8 stay below MISFIT in all of 3,365 ECGs (at most 0.0001), and above FLAT in 99.9 %.
MISFIT = 0.005  # of the limb leads' energy, that no pair of leads explains
FLAT = 0.15  # of the smaller of the two other leads' size, standard deviation
CLEARLY_BEST = 0.2  # of the second-best misfit: only then is one lead named as upside down
FALLING = 0.5  # of the tallest R of V1 to V4: R in V6 is smaller where the heart is on the right
# mV: from where the sign of a wave counts, and up to where it is such a wave
WAVES = {"p": (0.02, 0.25), "qrs": (0.1, 5.0), "t": (0.0, 2.0)}
# Which exchange leaves which lead flat, as both of its electrodes are then on the legs
FLAT_BY = {
    I: "both arm electrodes with those of the legs",
    II: "the electrodes of the right arm and the right leg",
    III: "the electrodes of the left arm and the right leg",
}


class Exchange(NamedTuple):
    """What seems wrong with the limb electrodes, in words (empty if nothing), and its ids in the knowledge base."""

    words: str = ""
    concepts: tuple[str, ...] = ()


def find_exchange(ecg: ECG, prepared: Prepared, measurements: Sequence[Measurement]) -> Exchange:
    """Judge whether the limb electrodes are in the right place; measurements of each window."""
    usable = np.flatnonzero(prepared.mask[:, :6].all(axis=0)).tolist()
    recorded = [i for i in usable if LEADS[i] in ecg.leads and LEADS[i] not in prepared.derived]
    if len(recorded) < 2:  # on a printout, other leads may be measured
        return _mirrored(measurements) if prepared.columns or prepared.parts is not None else Exchange()
    limb = prepared.signal[:, recorded].swapaxes(0, 1).reshape(len(recorded), -1).astype(float)
    limb = limb - limb.mean(axis=1, keepdims=True)
    words = _inconsistent(limb @ limb.T, recorded) or _flat_lead(limb, recorded, measurements)
    return Exchange(words, ("limb-lead-reversal",)) if words else _mirrored(measurements)


def _inconsistent(energy: np.ndarray, leads: list[int]) -> str:
    """What is wrong with leads that do not fit each other, in words; all six follow from two (Einthoven).

    energy: float (n, n), the products of the leads with each other
    """
    if _misfit(energy, leads, np.ones(len(leads))) <= MISFIT:
        return ""
    flips = [_misfit(energy, leads, 1 - 2 * (np.arange(len(leads)) == k)) for k in range(len(leads))]
    best, second = np.argsort(flips)[:2]
    if flips[best] < min(MISFIT, CLEARLY_BEST * flips[second]):
        return f"{LEADS[leads[best]]} looks upside down"
    return "the limb leads do not fit each other (I + III = II): wrongly connected or named?"


def _misfit(energy: np.ndarray, leads: Sequence[int], signs: np.ndarray) -> float:
    """The part of the leads' energy (n, n) that no I and II explain, with each lead times its sign."""
    unexplained = np.eye(len(leads)) - LIMB[leads] @ _of_leads(*leads)
    return float((unexplained * (energy * signs * signs[:, None])).sum() / max(energy.trace(), 1e-12))


@cache
def _of_leads(*leads: int) -> np.ndarray:
    """What gives I and II of the limb leads, (2, leads)."""
    return np.linalg.pinv(LIMB[list(leads)])


def _flat_lead(limb: np.ndarray, leads: list[int], measurements: Sequence[Measurement]) -> str:
    """Which of I, II and III is flat while the others are not, in words; limb: float (leads, samples), mV."""
    size = (LIMB[:3] @ _of_leads(*leads) @ limb).std(axis=1)
    heights = np.array([m.qrs_pp_mv[:3] for m in measurements if m.beats])
    both = np.array([size, _usual(heights) if len(heights) else np.zeros(3)])
    others = np.minimum(both[:, [II, I, I]], both[:, [III, III, II]])
    # an artefact in two leads makes the third small, but not its complexes
    flat = (np.where(np.isnan(both), 0, both) < FLAT * others).all(axis=0)
    for lead, exchanged in FLAT_BY.items():
        if flat[lead]:
            return f"{LEADS[lead]} is flat and the other limb leads are not: {exchanged} exchanged?"
    return ""


def _mirrored(measurements: Sequence[Measurement]) -> Exchange:
    """Arms exchanged, or the heart on the right: sinus beats all negative in I. PTB-XL's folds 1 to 8 have none."""
    sinus = [m for m in measurements if m.p_present]
    if not sinus:
        return Exchange()
    p, t = (_usual(np.array([getattr(m, name) for m in sinus])) for name in ("p_amplitude_mv", "t_mv"))
    r = _usual(np.array([np.fmax(m.r_mv, m.rprime_mv) for m in sinus]))
    net = r + _usual(np.array([np.fmin(m.q_mv, m.s_mv) for m in sinus]))
    waves = {"p": p, "qrs": net, "t": t}

    def all_have(sign: int, lead: int) -> bool:
        return all(low < sign * waves[name][lead] < high for name, (low, high) in WAVES.items())

    if not all_have(-1, I):
        return Exchange()
    if all_have(1, V6) and net[V5] > 0 and r[V6] > r[V1]:
        words = "P, QRS and T are negative in I and positive in V6: the arm electrodes exchanged?"
        return Exchange(words, ("arm-lead-reversal", "limb-lead-reversal"))
    if net[V6] < 0 and r[V6] < FALLING * r[V1 : V4 + 1].max() and r[V6] <= r[V5]:
        words = "P, QRS and T are negative in I, and R falls from V1 to V6: a heart on the right?"
        return Exchange(words, ("dextrocardia",))
    return Exchange()


def _usual(rows: np.ndarray) -> np.ndarray:
    """The median of (windows, ...); NaN where one is."""
    return np.where(np.isnan(rows).any(axis=0), np.nan, median(rows, axis=0))
