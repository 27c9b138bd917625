"""What a recording decides by itself, before any model: pauses, wrong electrodes, how much of it is signal.

recording = observe(ecg, prepared, beats, measurements)
recording.decides()["asystole"].words       # "measured: no heartbeat from 5.2 to 20.0 s"
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.measure.arrays import median_of_known
from ecgclip.measure.beats import GAP, Beats
from ecgclip.measure.electrodes import find_exchange
from ecgclip.measure.limits import THRESHOLDS
from ecgclip.measure.measurement import Measurement
from ecgclip.peaks import RATE
from ecgclip.prepare import Prepared

PAUSE, ASYSTOLE = THRESHOLDS["pause"] / 1000, THRESHOLDS["asystole"] / 1000  # s without a heartbeat
# Probabilities, set by hand: the values are measured, but noise may hide a heartbeat or look like an exchange
SURE, LIKELY, HARDLY = 0.97, 0.9, 0.02
SMALL = 0.35  # of the QRS complexes' height: what rises higher in a pause may be a beat that was not found
AFTER_BEAT, BEFORE_BEAT = RATE // 2, RATE // 5  # samples beside a beat that may hold its waves
# All conditions that `Recording.decides` may speak of, whatever a model was trained on
DECIDES = ("asystole", "sinus-arrest", "limb-lead-reversal", "arm-lead-reversal", "dextrocardia")


@dataclass(frozen=True)
class Decision:
    """A condition's probability, the reason in words, and the stretch of the recording, s, that it is about."""

    probability: float
    words: str
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Recording:
    """What can be said of a recording without a model.

    Attributes
    ----------
    seconds : float
        Its length.
    used_s : float
        How much of it lies in a window.
    silence : tuple of (start, stop), s
        Electrical silence while electrodes were on.
    pauses : tuple of (start, stop), s
        Two seconds and more without a heartbeat, silence or not.
    longest_rr_s : float or None
        The longest time without a heartbeat; None without heartbeats.
    longest_rr_start_s : float or None
        When it begins.
    exchange : str
        What seems wrong with the electrodes of the limbs, in words; empty if nothing.
    concepts : tuple of str
        The ids of such an exchange in the knowledge base.
    sinus : bool
        Whether P waves were seen.
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
        """The few conditions that the recording decides, by their id in the knowledge base."""
        decided: dict[str, Decision] = {}
        start, stop = max((*self.silence, *self.pauses), key=lambda part: part[1] - part[0], default=(0.0, 0.0))
        words = f"measured: no heartbeat from {start:.1f} to {stop:.1f} s"
        if stop - start >= ASYSTOLE:
            decided["asystole"] = Decision(SURE, words, start, stop)
        if self.silence and self.sinus and stop - start >= PAUSE:
            decided["sinus-arrest"] = Decision(LIKELY, f"{words}, nor a P wave", start, stop)
        decided |= dict.fromkeys(self.concepts, Decision(LIKELY, f"measured: {self.exchange}", 0.0, self.seconds))
        if decided:
            decided["normal-ecg"] = replace(next(iter(decided.values())), probability=HARDLY)
        return decided


class _Span(NamedTuple):
    """A time without a heartbeat, s, and whether the leads rest in it: no wave is as high as a QRS complex."""

    start: float
    stop: float
    rests: bool


def observe(ecg: ECG, prepared: Prepared, beats: Beats, measurements: Sequence[Measurement]) -> Recording:
    """Collect what a recording tells without a model; beats as of `find_beats`, measurements of each window."""
    spans = list(_spans_without_beat(prepared, beats, _usual_heights(measurements)))
    longest = max(spans, key=lambda span: span.stop - span.start, default=None)
    pauses: dict[tuple[float, float], bool] = {}
    for start, stop, rests in spans:
        if stop - start >= PAUSE:
            pauses[start, stop] = pauses.get((start, stop), True) and rests
    exchange = find_exchange(ecg, prepared, measurements)
    return Recording(
        seconds=prepared.seconds,
        used_s=prepared.used_s,
        silence=prepared.silence,
        pauses=tuple(sorted(span for span, rests in pauses.items() if rests)),
        longest_rr_s=longest.stop - longest.start if longest else None,
        longest_rr_start_s=longest.start if longest else None,
        exchange=exchange.words,
        concepts=exchange.concepts,
        sinus=any(m.p_present for m in measurements),
    )


def _usual_heights(measurements: Sequence[Measurement]) -> np.ndarray:
    """The usual height of the QRS complexes in each lead, mV (12,); NaN where none is known."""
    heights = np.array([m.qrs_pp_mv for m in measurements if m.beats]).reshape(-1, 12)
    return median_of_known(heights.T)


def _spans_without_beat(prepared: Prepared, beats: Beats, heights: np.ndarray) -> Iterator[_Span]:
    """The times without a heartbeat that each window shows; heights as of `_usual_heights`."""
    for i, (around, recorded) in enumerate(zip(beats.around, beats.recorded, strict=True)):
        first, last = (around[k] if np.isfinite(around[k]) else recorded[k] for k in (0, 1))
        at = [float(first), *beats.windows[i].tolist(), float(last)]
        if len(at) == 2 and np.isnan(around).all():
            continue  # no beat was found at all: it may be too small
        offset = float(prepared.start_s[i])
        for a, b in itertools.pairwise(at):
            rests: bool | None = True
            if b - a >= PAUSE * RATE:
                rests = _rests(prepared.signal[i][:, : prepared.length[i]], prepared.mask[i], a, b, heights)
            if rests is not None:
                yield _Span(offset + a / RATE, offset + b / RATE, rests)


def _rests(signal: np.ndarray, mask: np.ndarray, start: float, stop: float, heights: np.ndarray) -> bool | None:
    """Whether the leads of (12, samples) rest between two beats; None where a gap in the signal may hide a beat."""
    part = signal[mask, max(round(start), 0) : max(round(stop), 0)]
    if (~part.any(axis=0)).sum() > GAP:
        return None
    part = part[:, AFTER_BEAT if start >= 0 else 0 :][:, : -BEFORE_BEAT if stop <= signal.shape[1] else None]
    comparable = mask & ~np.isnan(heights)
    if part.shape[1] <= RATE // 5 or not comparable.any():
        return True
    return bool(np.median(np.ptp(part, axis=1)[comparable[mask]] / heights[comparable]) < SMALL)
