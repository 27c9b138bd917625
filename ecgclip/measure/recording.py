"""What the recording itself decides, before any model: pauses, electrodes in the wrong place, and how much of it is signal.

recording = observe(ecg, prepared, beats, measurements)
recording.decides()["asystole"].words       # "measured: no heartbeat from 5.2 to 20.0 s"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgclip.ecg import ECG, II, III, LEADS, V1, V4, V5, V6, I
from ecgclip.measure.beats import GAP, Beats
from ecgclip.measure.measurement import Measurement
from ecgclip.peaks import RATE
from ecgclip.prepare import LIMB, Prepared

PAUSE = 2.0  # s: ACC/AHA/HRS 2018 on bradycardia
STANDSTILL = 3.0  # s without a heartbeat: asystole, as studies of syncope count it (ISSUE-3, Brignole et al. 2012)
# How sure that is, set by hand: the facts are measured, and noise may still hide a heartbeat or look like an exchange
SURE, LIKELY, HARDLY = 0.97, 0.9, 0.02
SMALL = 0.35  # of the QRS complexes' height: what rises higher in a pause may be a beat that was not found
# PTB-XL's folds 1 to 8 stay below the first in all of 3,365 ECGs (at most 0.0001), and above the second in 99.9 %.
MISFIT = 0.005  # of the limb leads' energy, that no pair of leads explains
FLAT = 0.15  # of the smaller of the two other leads' size, standard deviation
WAVE = {
    "p": (0.02, 0.25),
    "qrs": (0.1, 5.0),
    "t": (0.0, 2.0),
}  # mV: from where its sign counts, and up to where it is one
# Which exchange leaves which lead flat, as both of its electrodes are then on the legs.
FLAT_BY = {
    I: "both arm electrodes with those of the legs",
    II: "the electrodes of the right arm and the right leg",
    III: "the electrodes of the left arm and the right leg",
}
# All conditions that `Recording.decides` may speak of, whatever a model was trained on
DECIDES = ("asystole", "sinus-arrest", "limb-lead-reversal", "arm-lead-reversal", "dextrocardia")


@dataclass(frozen=True)
class Decision:
    """A condition's probability, why in words, and the stretch of the recording, s, that it is said of."""

    probability: float
    words: str
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Recording:
    """What can be said of a recording without a model.

    seconds: its length; used_s: how much of it lies in a window
    silence: starts and stops, s, of electrical silence while electrodes were on
    pauses: starts and stops, s, of two seconds and more without a heartbeat, silence or not
    longest_rr_s: the longest time without a heartbeat, and longest_rr_start_s: when it begins; None without heartbeats
    exchange: what seems wrong with the electrodes of the limbs, in words; empty if nothing
    concepts: those of the knowledge base that such an exchange is
    sinus: whether P waves were seen
    """

    seconds: float
    used_s: float
    silence: tuple[tuple[float, float], ...]
    pauses: tuple[tuple[float, float], ...]
    longest_rr_s: float | None
    longest_rr_start_s: float | None
    exchange: str
    concepts: tuple[str, ...]
    sinus: bool

    def decides(self) -> dict[str, Decision]:
        """The few conditions that this decides, by their id in the knowledge base."""
        decided: dict[str, Decision] = {}
        start, stop = max((*self.silence, *self.pauses), key=lambda part: part[1] - part[0], default=(0.0, 0.0))
        words = f"measured: no heartbeat from {start:.1f} to {stop:.1f} s"
        if stop - start >= STANDSTILL:
            decided["asystole"] = Decision(SURE, words, start, stop)
        if self.silence and self.sinus and stop - start >= PAUSE:
            decided["sinus-arrest"] = Decision(LIKELY, f"{words}, nor a P wave", start, stop)
        decided |= dict.fromkeys(self.concepts, Decision(LIKELY, f"measured: {self.exchange}", 0.0, self.seconds))
        if decided:
            decided["normal-ecg"] = replace(next(iter(decided.values())), probability=HARDLY)
        return decided


def observe(ecg: ECG, prepared: Prepared, beats: Beats, measurements: Sequence[Measurement]) -> Recording:
    """What a recording says of itself; beats as of `find_beats`, measurements of each window. Raises nothing."""
    spans = list(_spans(prepared, beats, measurements))
    longest = max(spans, key=lambda span: span[1] - span[0], default=None)
    pauses: dict[tuple[float, float], bool] = {}
    for first, last, rests in spans:
        if last - first >= PAUSE:
            pauses[first, last] = pauses.get((first, last), True) and rests
    exchange, concepts = _exchange(ecg, prepared, measurements)
    return Recording(
        prepared.seconds,
        prepared.used_s,
        prepared.silence,
        tuple(sorted(span for span, rests in pauses.items() if rests)),
        longest[1] - longest[0] if longest else None,
        longest[0] if longest else None,
        exchange,
        concepts,
        any(m.p_present for m in measurements),
    )


def _spans(
    prepared: Prepared, beats: Beats, measurements: Sequence[Measurement]
) -> Iterator[tuple[float, float, bool]]:
    """The times without a heartbeat that each window shows: start and stop, s, and whether the leads rest in between."""
    heights = np.array([m.qrs_pp_mv for m in measurements if m.beats]).reshape(-1, 12)
    usual, shown = np.full(12, np.nan), ~np.isnan(heights).all(axis=0)
    usual[shown] = np.nanmedian(heights[:, shown], axis=0) if len(heights) else np.nan
    for i, (around, recorded) in enumerate(zip(beats.around, beats.recorded, strict=True)):
        first, last = (around[k] if np.isfinite(around[k]) else recorded[k] for k in (0, 1))
        at = np.array([first, *beats.windows[i], last])
        if len(at) == 2 and np.isnan(around).all():
            continue  # no beat was found at all: it may be too small
        signal, mask, offset = prepared.signal[i][:, : prepared.length[i]], prepared.mask[i], prepared.start_s[i]
        for a, b in zip(at[:-1], at[1:], strict=True):
            start, stop, rests = float(offset + a / RATE), float(offset + b / RATE), True
            if b - a >= PAUSE * RATE:
                part = signal[mask, max(round(a), 0) : max(round(b), 0)]
                if (~part.any(axis=0)).sum() > GAP:
                    continue  # without a signal, a beat may be missing
                part = part[:, RATE // 2 if a >= 0 else 0 :][:, : -RATE // 5 if b <= signal.shape[1] else None]
                known = mask & ~np.isnan(usual)
                if part.shape[1] > RATE // 5 and known.any():
                    rests = bool(np.median(np.ptp(part, axis=1)[known[mask]] / usual[known]) < SMALL)
            yield start, stop, rests


def _exchange(ecg: ECG, prepared: Prepared, measurements: Sequence[Measurement]) -> tuple[str, tuple[str, ...]]:
    """What seems wrong with the limb electrodes, in words, and the concepts of the knowledge base that it is."""
    usable = prepared.mask[:, :6].all(axis=0)
    recorded = [
        i for i in np.flatnonzero(usable).tolist() if LEADS[i] in ecg.leads and LEADS[i] not in prepared.derived
    ]
    if len(recorded) < 2:
        return "", ()
    limb = prepared.signal[:, recorded].swapaxes(0, 1).reshape(len(recorded), -1).astype(float)
    limb = limb - limb.mean(axis=1, keepdims=True)
    energy = limb @ limb.T
    misfit = _misfit(energy, recorded, np.ones(len(recorded)))
    if misfit > MISFIT:  # Einthoven: all six follow from two
        flips = [_misfit(energy, recorded, 1 - 2 * (np.arange(len(recorded)) == k)) for k in range(len(recorded))]
        best, second = np.argsort(flips)[:2]
        if flips[best] < min(MISFIT, 0.2 * flips[second]):
            return f"{LEADS[recorded[best]]} looks upside down", ("limb-lead-reversal",)
        return "the limb leads do not fit each other (I + III = II): wrongly connected or named?", (
            "limb-lead-reversal",
        )
    size = (LIMB[:3] @ np.linalg.pinv(LIMB[recorded]) @ limb).std(axis=1)
    heights = np.array([m.qrs_pp_mv[:3] for m in measurements if m.beats])
    height = np.median(heights, axis=0) if len(heights) else np.zeros(3)
    for lead, words in FLAT_BY.items():
        # an artefact in two leads makes the third small, but not its complexes
        if all(np.nan_to_num(x[lead]) < FLAT * np.delete(x, lead).min() for x in (size, height)):
            return f"{LEADS[lead]} is flat and the other limb leads are not: {words} exchanged?", (
                "limb-lead-reversal",
            )
    return _mirrored(measurements)


def _misfit(energy: np.ndarray, leads: Sequence[int], signs: np.ndarray) -> float:
    """The part of the leads' energy (n, n) that no I and II explain, with each lead times its sign."""
    explained = LIMB[leads] @ np.linalg.pinv(LIMB[leads])
    rest = np.eye(len(leads)) - explained
    return float(np.trace(rest @ (energy * np.outer(signs, signs))) / max(np.trace(energy), 1e-12))


def _mirrored(measurements: Sequence[Measurement]) -> tuple[str, tuple[str, ...]]:
    """Arms exchanged, or the heart on the right: sinus beats, all negative in I. None of PTB-XL's folds 1 to 8 is so."""
    sinus = [m for m in measurements if m.p_present]
    if not sinus:
        return "", ()
    middle = lambda row: np.median([row(m) for m in sinus], axis=0)
    r = middle(lambda m: np.fmax(m.r_mv, m.rprime_mv))
    waves = {
        "p": middle(lambda m: m.p_amplitude_mv),
        "qrs": r + middle(lambda m: np.fmin(m.q_mv, m.s_mv)),
        "t": middle(lambda m: m.t_mv),
    }
    net = waves["qrs"]
    against = lambda lead, sign: all(low < sign * waves[name][lead] < high for name, (low, high) in WAVE.items())
    if not against(I, -1):
        return "", ()
    if against(V6, 1) and net[V5] > 0 and r[V6] > r[V1]:
        words = "P, QRS and T are negative in I and positive in V6: the arm electrodes exchanged?"
        return words, ("arm-lead-reversal", "limb-lead-reversal")
    if net[V6] < 0 and r[V6] < 0.5 * r[V1 : V4 + 1].max() and r[V6] <= r[V5]:
        return "P, QRS and T are negative in I, and R falls from V1 to V6: a heart on the right?", ("dextrocardia",)
    return "", ()
