"""The P waves of a window, every one, conducted or not, and how they go with the beats (`measure_atria`).

Signals are in mV at 100 Hz, times in samples unless said otherwise. A P wave is where its top is; from there to R it is
about as long as from its onset to that of QRS.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ecgclip.ecg import AVF, II, III, V1, I
from ecgclip.measure.atrial import flutter_wave
from ecgclip.measure.batch import NAN, Batch, Columns, row
from ecgclip.measure.limits import THRESHOLDS, limits_of
from ecgclip.measure.p_rhythm import MIN_P, Train, cost_of_missing, is_clear, lay_train, with_hidden
from ecgclip.measure.p_search import HALF, MS, Candidates, Rest, first_shapes, search, take_away_beats
from ecgclip.peaks import RATE, cut_beats

SHORTEST_S = 3  # a shorter window has no train
GOOD_START = 0.8  # a train of which so much is seen, with a P for so many of the beats, needs no other search
MIN_LEADS = 4  # in fewer, what is left of T looks like P
EXTRA_APART = 0.35  # periods: a P beside the train is so far from its P waves
# From the top of P to R: at least and at most where P is conducted; and how far it lies from the common one
PQ, SAME_PQ = (6, 42), 3
CLEAR_AFTER = 45  # after a P, so long without a beat: it is not conducted; after a beat of another shape it cannot be
PREMATURE = 0.85  # of the period: a P is early
LATE = 1.5  # periods without a P: one is missing
PAUSE = 1.5  # of the usual R-R: a pause
FOLLOWS = 0.7  # of the beats are followed by a P at the same distance, and of the P waves lie there
MIN_CONDUCTED = 3  # conducted beats from which PR is compared
TRIM = (0.1, 0.9)  # quantiles between which PR ranges: one wave in ten may be misplaced
# P is certain by its consistency, its height and both (units of the zone of doubt, `p_wave`), or by its train
CONSISTENCY, HEIGHT_MV = (0.7, 0.1), (0.0229, 0.4236)  # middle and half of the zone of doubt, that of the log of mV
BOTH, BOTH_SLOPE = (0.5, 0.64), 2.33  # so far beyond the middles, both just deny P; how steeply they come to affirm it
SEEN, FIT, STEADY, COUNT = (0.75, 0.1), (0.65, 0.1), (0.08, 0.02), (4.5, 1.0)  # of a train, likewise
CHAOS, CHAOS_MOST, CHAOS_LEAST = (0.07, 0.0154), 2.0, 0.9  # R-R irregularity takes from the certainty: how fast, most
MOST = 4.0  # certainty, either way
TWO_WAVES = 0.5  # certainty, at most, where a second wave like P stands before QRS
# P before a beat, whatever its shape: of the usual height; and how unlike the usual P (cosine over the leads)
BEFORE_HEIGHT, OTHER_SHAPE = 0.5, 0.75
SAME_P, SHAPE_HEIGHT = 0.7, (0.5, 2.0)  # cosine and height, of the usual P, from which two P waves have one shape
_BY_FIELD = {"atrial_share": "flutter_share", "atrial_contrast": "flutter_contrast", "atrial_mv": "flutter_mv"}
FLUTTER_LIMITS = {name: limits_of()[key] for name, key in _BY_FIELD.items()}
F_BANDS = (1, 4, 9, 14)  # Hz: fibrillatory waves have the middle one
FLUTTER_DOUBT = 2.0  # half-widths below the thresholds of flutter waves down to which they are shown by lead
FLAT = 0.25  # of P's height: the line between P waves is flat below
P_REACH = 9  # on either side of the top of P
RETROGRADE_MV, RETROGRADE_PR = 0.03, 120.0  # mV, ms: P is inverted in II, III and aVF, and just before QRS


@dataclass(frozen=True)
class Atria:
    """The P waves of one window. NaN (None for bool) is "not measurable".

    `p_certainty`, the fibrillatory and the flutter waves are always measured, all else where P waves are likely.
    """

    p_certainty: float = NAN  # above 1: there are P waves; below -1: there are none
    p_rate: float = NAN  # per minute, conducted or not
    pp_variation: float = NAN  # standard deviation over mean of P-P, without premature P waves
    p_shapes: float = NAN  # how many shapes P has
    p_unlocked: float = NAN  # share of the beats without a P wave at the common distance before it
    pr_range_ms: float = NAN  # over the conducted beats
    pr_growth_ms: float = NAN  # last PR before a dropped P less the first after it
    dropped: float = NAN  # P waves that are not conducted and not premature
    dropped_run: float = NAN  # the longest run of P waves that are not conducted
    premature_dropped: float = NAN
    missing: float = NAN  # P waves that did not come
    p_in_pause: float = NAN  # P waves in the longest R-R, but for the one before the beat that ends it
    pause_multiple: float = NAN  # how far the longest R-R over P-P is from a whole number
    rp_ms: float = NAN  # from R to the next P
    retrograde: bool | None = None  # P just before QRS and inverted in II, III and aVF
    flat_between: float = NAN  # share of the time between P waves (QRS and T left out) in which the line is flat
    f_mv: float = NAN  # amplitude of what has the pace of fibrillatory waves in V1, QRS, T and P waves taken away
    f_share: float = NAN  # its part of all that is left there
    flutter_mv: np.ndarray = field(default_factory=lambda: np.full(12, NAN))  # (12,) signed, as of `flutter_wave`
    # of each beat: 1, 0 or NaN
    p_before: np.ndarray = field(default_factory=lambda: np.empty(0))  # a P wave of any shape
    p_early: np.ndarray = field(default_factory=lambda: np.empty(0))  # ... that is premature
    p_other: np.ndarray = field(default_factory=lambda: np.empty(0))  # ... of another shape than the usual one
    at: np.ndarray = field(default_factory=lambda: np.empty(0))  # samples, of the tops of all P waves

    def of(self, beats: np.ndarray) -> Atria:
        """What stands before some of the beats, bool (beats,), alone."""
        return Atria(p_before=self.p_before[beats], p_early=self.p_early[beats], p_other=self.p_other[beats])


class _Waves(NamedTuple):
    """All P waves of a window, by time: of the train and beside it.

    at, premature: (n,)
    of_beat: (n,) the beat that each is conducted to, or -1
    dropped: (n,), clearly not conducted
    """

    at: np.ndarray
    premature: np.ndarray
    of_beat: np.ndarray
    dropped: np.ndarray


def measure_atria(batch: Batch, values: Columns) -> list[Atria]:
    """The P waves of each window and how they go with its beats; values: what was measured before."""
    windows = enumerate(zip(batch.signal, batch.peaks, strict=True))
    return [_measure_atria(signal, batch.mask, peaks, row(values, i)) for i, (signal, peaks) in windows]


def _measure_atria(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, values: dict[str, Any]) -> Atria:
    """Measure the P waves of one window and how they go with its beats.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples.
    values : dict
        The fields of a `Measurement` that are measured before.
    """
    rows = np.flatnonzero(mask)
    if mask[I] and mask[II]:  # the other limb leads follow from them
        rows = rows[(rows <= II) | (rows >= V1)]
    nothing = np.full(len(peaks), NAN)
    clear = flutter_margin(values) > -FLUTTER_DOUBT
    flutter = flutter_wave(signal, mask, peaks, values["atrial_rate"]) if clear else np.full(12, NAN)
    by_beat: dict[str, Any] = dict.fromkeys(("p_before", "p_early", "p_other"), nothing)
    empty = Atria(flutter_mv=flutter, **by_beat)
    if not len(rows) or len(peaks) < MIN_P or signal.shape[1] < SHORTEST_S * RATE:
        return replace(empty, p_certainty=p_certainty(values, None))
    leads = signal[rows]
    rest = take_away_beats(leads, peaks, values)
    best = _best_train(rest, rows, peaks, values)
    certainty = p_certainty(values, best[1] if best else None)
    if best is None or not certainty > 0:
        return replace(empty, p_certainty=certainty, **_fibrillation(rest, rows, np.empty(0)))
    found, train = best
    waves = _all_waves(found, train, peaks, rest)
    conduction = _conduction(waves, train, peaks, rest)
    if conduction["p_unlocked"] >= THRESHOLDS["p_unlocked"]:
        train = with_hidden(train, leads, rest.blind, peaks)
        waves = _all_waves(found, train, peaks, rest)
        conduction = _conduction(waves, train, peaks, rest)
    return Atria(
        p_certainty=certainty,
        p_rate=60 * RATE / train.period,
        pp_variation=float(train.pp.std() / train.pp.mean()) if len(train.pp) > 1 else NAN,
        flat_between=_flat_between(rest, found, waves),
        flutter_mv=flutter,
        retrograde=_retrograde(values),
        at=waves.at,
        **_fibrillation(rest, rows, waves.at),
        **conduction,
        **_pauses(waves, train, peaks),
        **_shapes(rest, found, waves, train, peaks),
    )


def _best_train(
    rest: Rest, rows: np.ndarray, peaks: np.ndarray, values: dict[str, Any]
) -> tuple[Candidates, Train] | None:
    """The train that brings most, of those that each first shape of P leads to."""
    best: tuple[Candidates, Train] | None = None
    cost = cost_of_missing(rest)
    for shape in first_shapes(rest, rows, peaks, values["p_consistency"]):
        found = search(rest, shape)
        train = lay_train(found, cost)
        if train is not None and (best is None or train.score > best[1].score):
            best = found, train
        if best is not None and best[1].seen > GOOD_START and len(best[1].at) > GOOD_START * len(peaks):
            break
    return best


def p_certainty(values: dict[str, Any], train: Train | None) -> float:
    """How certain P waves are: above 1 there are some, below -1 none. From the P before QRS, or from a train.

    Flutter waves are not P waves.
    """
    certainty = NAN
    if np.isfinite(values["p_consistency"]):
        consistency = (values["p_consistency"] - CONSISTENCY[0]) / CONSISTENCY[1]
        height = (np.log(max(values["p_height_mv"], 1e-4)) - np.log(HEIGHT_MV[0])) / HEIGHT_MV[1]
        both = BOTH_SLOPE * (consistency - BOTH[0] + height - BOTH[1]) - 1
        certainty = float(min(consistency, height, both))
        certainty = min(certainty, TWO_WAVES) if values["p_present"] is None else certainty
    chaos = max(values["rr_irregularity"] - CHAOS[0], 0) / CHAOS[1]  # 0 if it is not measured
    if certainty > 0:
        certainty = max(certainty - chaos, -CHAOS_LEAST)
    if train is not None and len(train.pp) > 1:
        numbers = (train.seen, np.median(train.worth), -train.pp.std() / train.pp.mean(), len(train.at))
        zones = (SEEN, FIT, (-STEADY[0], STEADY[1]), COUNT)
        of_train = min((number - middle) / half for number, (middle, half) in zip(numbers, zones, strict=True))
        certainty = np.fmax(certainty, of_train - min(chaos, CHAOS_MOST))
    return float(np.clip(np.fmin(certainty, 1 - flutter_margin(values)), -MOST, MOST))


def flutter_margin(values: dict[str, Any]) -> float:
    """How clear flutter waves are: 0 at the thresholds of share, contrast and height, in half-widths of their zones."""
    margins = [(values[name] - limit.threshold) / limit.margin for name, limit in FLUTTER_LIMITS.items()]
    return float(min(margins)) if np.isfinite(margins).all() else NAN


# ---------------------------------------------------------------------------------------------------------------------
# P waves and beats


def _all_waves(found: Candidates, train: Train, peaks: np.ndarray, rest: Rest) -> _Waves:
    """The P waves of the train and those beside it, and what becomes of each."""
    typical, dim = rest.usual, rest.dim[np.rint(found.at).astype(int)]
    apart = np.abs(found.at[:, None] - train.at).min(axis=1) > EXTRA_APART * train.period
    clear = is_clear(found, train.worth, dim) & ~(dim & (len(rest.signal) < MIN_LEADS))
    extra = found.at[clear & apart]
    # At the same distance behind several beats it is what is left of T.
    behind = _behind(extra, peaks)
    extra = extra[(np.abs(behind[:, None] - behind) <= SAME_PQ).sum(axis=1) < MIN_P]
    at = np.concatenate([train.at, extra])
    order = np.argsort(at)
    at = at[order]
    gap = np.diff(at, prepend=-np.inf)
    # early in a train that goes on in its own time, or that starts anew behind it
    premature = gap < PREMATURE * train.period
    after = np.searchsorted(peaks, at + PQ[0])
    beat = np.minimum(after, len(peaks) - 1)
    conducted = (after < len(peaks)) & (peaks[beat] - at <= PQ[1]) & (np.append(after[1:], -1) != after)
    of_beat = np.where(conducted, beat, -1)
    before = np.maximum(np.searchsorted(peaks, at - 1) - 1, 0)
    blocked = ~typical[before] & (at - peaks[before] < CLEAR_AFTER) & (at > peaks[before])
    near = np.abs(at[:, None] - peaks).min(axis=1) < PQ[0]
    inside = (at > peaks[0]) & (at < peaks[-1])  # a beat at the very edge may be missed
    return _Waves(at, premature, of_beat, ~conducted & ~blocked & ~near & inside)


def _behind(at: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How long after a beat each wave comes; each a distance of its own before the first one."""
    beat = np.searchsorted(peaks, at) - 1
    return np.where(beat < 0, -RATE * np.arange(1, len(at) + 1) ** 2, at - peaks[np.maximum(beat, 0)])


def _conduction(waves: _Waves, train: Train, peaks: np.ndarray, rest: Rest) -> dict[str, Any]:
    """PR of the conducted beats, and P waves that are not conducted."""
    typical = rest.usual
    with_p = np.flatnonzero(waves.of_beat >= 0)
    beats = waves.of_beat[with_p]
    with_p, beats = with_p[typical[beats]], beats[typical[beats]]
    pr = peaks[beats] - waves.at[with_p]
    same = (np.abs(pr[:, None] - pr) <= SAME_PQ).sum(axis=1).max(initial=0)
    could = typical & (peaks > waves.at[0] + PQ[0]) & (peaks > PQ[1])
    # Without conducted ones, P waves within T, at one distance behind the beats, are what is left of T.
    behind = _behind(waves.at, peaks)
    in_t = (waves.of_beat < 0) & rest.dim[np.rint(waves.at).astype(int)]
    follows = np.where(in_t, (np.abs(behind[:, None] - behind) <= SAME_PQ).sum(axis=1), 0)
    follows = (follows > same) & (follows >= FOLLOWS * max(len(peaks), len(waves.at)))
    dropped = np.flatnonzero(waves.dropped & ~waves.premature & ~follows)
    locked = float(max(same, follows.sum()))
    enough = len(pr) >= MIN_CONDUCTED
    rr_before = np.append(NAN, np.diff(peaks))[beats] if len(beats) else np.empty(0)
    return {
        "p_unlocked": 1 - min(locked / could.sum(), 1.0) if could.sum() >= MIN_CONDUCTED else NAN,
        "pr_range_ms": float(np.diff(np.quantile(pr, TRIM))[0] * MS) if enough else NAN,
        "pr_growth_ms": _pr_growth(waves, peaks, dropped),
        "dropped": float(len(dropped)),
        "dropped_run": _dropped_run(waves, train),
        "premature_dropped": float((waves.dropped & waves.premature).sum()),
        "rp_ms": float(np.nanmedian(rr_before - pr) * MS) if enough and np.isfinite(rr_before).any() else NAN,
    }


def _pr_growth(waves: _Waves, peaks: np.ndarray, dropped: np.ndarray) -> float:
    """Median over single dropped P waves: the PR before less the PR after, ms."""
    inside = dropped[(dropped > 0) & (dropped < len(waves.at) - 1)]
    inside = inside[(waves.of_beat[inside - 1] >= 0) & (waves.of_beat[inside + 1] >= 0)]
    pr = peaks[waves.of_beat] - waves.at
    return float(np.median(pr[inside - 1] - pr[inside + 1]) * MS) if len(inside) else NAN


def _dropped_run(waves: _Waves, train: Train) -> float:
    """The longest run of P waves that are not conducted, those that hide in QRS or T counted beside a seen one."""
    at = np.concatenate([waves.at, train.hidden])
    state = np.concatenate([np.where(waves.dropped, 1, 0), np.full(len(train.hidden), 2)])[np.argsort(at)]
    longest = run = seen = 0
    for value in state:
        run, seen = (run + 1, seen + (value == 1)) if value else (0, 0)
        longest = max(longest, run if seen else 0)
    return float(longest)


def _pauses(waves: _Waves, train: Train, peaks: np.ndarray) -> dict[str, Any]:
    """P waves that did not come, and those in the longest R-R."""
    pq = np.median((peaks[waves.of_beat] - waves.at)[waves.of_beat >= 0]) if (waves.of_beat >= 0).any() else PQ[0]
    missing = 0
    for first, second in zip(waves.at[:-1], waves.at[1:], strict=True):
        beats_between = ((peaks > first + pq + SAME_PQ * 5) & (peaks < second)).any()
        hidden = ((train.hidden > first) & (train.hidden < second)).any()
        if second - first > LATE * train.period and not beats_between and not hidden:
            missing += max(round((second - first) / train.period) - 1, 1)
    rr = np.diff(peaks)
    longest = int(np.argmax(rr))
    low, high = peaks[longest], peaks[longest + 1]
    inside = (waves.at > low + PQ[0]) & (waves.at < high - PQ[0]) & (waves.of_beat != longest + 1)
    many = rr[longest] / train.period
    return {
        "missing": float(missing),
        "p_in_pause": float(inside.sum()),
        "pause_multiple": float(abs(many - round(many))) if rr[longest] > PAUSE * np.median(rr) else NAN,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Shapes of P, and what lies between


def _shapes(rest: Rest, found: Candidates, waves: _Waves, train: Train, peaks: np.ndarray) -> dict[str, Any]:
    """How many shapes P has, and what stands before each beat."""
    course = np.linalg.svd(found.shape, full_matrices=False)[2][0]
    of_waves = cut_beats(rest.signal, np.rint(waves.at).astype(int), HALF, HALF + 1) @ course
    usual = np.median(of_waves, axis=0)
    size = max(float(np.linalg.norm(usual)), 1e-9)
    reach = cut_beats(rest.signal, peaks, PQ[1] + HALF, HALF - PQ[0] + 1)
    before = np.lib.stride_tricks.sliding_window_view(reach, len(course), axis=2) @ course  # (beats, leads, tops)
    height = np.linalg.norm(before, axis=1)
    top = np.argmax(height, axis=1)
    every = np.arange(len(peaks))
    highest, alike = height[every, top], before[every, :, top] @ usual / size
    there = highest > BEFORE_HEIGHT * size
    at = peaks - PQ[1] + top
    last = np.array([max(waves.at[waves.at < t - P_REACH], default=NAN) for t in at])
    known = peaks > PQ[1]
    as_float = lambda flags: np.where(known, flags, NAN).astype(float)
    return {
        "p_shapes": _count_shapes(before[every, :, top][known & there] / size),
        "p_before": as_float(there),
        "p_early": np.where(np.isnan(last), NAN, as_float(there & (at - last < PREMATURE * train.period))),
        "p_other": as_float(there & (np.abs(alike) < OTHER_SHAPE * highest)),
    }


def _count_shapes(waves: np.ndarray) -> float:
    """How many shapes (waves, leads) have, of those that more than one wave has."""
    size = np.linalg.norm(waves, axis=1)
    left, shapes = np.flatnonzero((size > SHAPE_HEIGHT[0]) & (size < SHAPE_HEIGHT[1])), 0
    while len(left) > 1:
        cosine = waves[left] @ waves[left].T / (size[left, None] * size[left])
        group = cosine[np.argmax((cosine > SAME_P).sum(axis=1))] > SAME_P
        if group.sum() < 2:
            break
        shapes, left = shapes + 1, left[~group]
    return float(max(shapes, 1))


def _flat_between(rest: Rest, found: Candidates, waves: _Waves) -> float:
    """The share of the time between P waves, QRS and T in which the line is flat."""
    open_ = ~rest.blind & ~rest.dim & ~_near(waves.at, len(rest.blind))
    left, size, right = np.linalg.svd(found.shape, full_matrices=False)
    top = np.abs(right[0]).max() * size[0]
    return float((np.abs(left[:, 0] @ rest.signal[:, open_]) < FLAT * top).mean()) if open_.sum() > RATE else NAN


def _fibrillation(rest: Rest, rows: np.ndarray, at: np.ndarray) -> dict[str, Any]:
    """Height and share of what has the pace of fibrillatory waves in V1; `at`: P waves that are left out."""
    open_ = ~rest.blind & ~_near(at, len(rest.blind))
    lead = next((i for row in (V1, II) for i in np.flatnonzero(rows == row)), 0)
    if open_.sum() < RATE:
        return {"f_mv": NAN, "f_share": NAN}
    n = len(open_)
    size = 1 << n.bit_length()
    spectrum, hertz = np.fft.rfft(rest.signal[lead], size), np.fft.rfftfreq(size, 1 / RATE)
    inside = np.stack([(hertz >= low) & (hertz < high) for low, high in zip(F_BANDS[:-1], F_BANDS[1:], strict=True)])
    power = (np.fft.irfft(inside * spectrum, size, axis=1)[:, :n][:, open_] ** 2).mean(axis=1)
    return {"f_mv": float(np.sqrt(2 * power[1])), "f_share": float(power[1] / max(power.sum(), 1e-12))}


def _near(at: np.ndarray, n: int) -> np.ndarray:
    near = np.zeros(n, bool)
    near[np.clip(np.rint(at).astype(int)[:, None] + np.arange(-P_REACH, P_REACH + 1), 0, n - 1)] = True
    return near


def _retrograde(values: dict[str, Any]) -> bool | None:
    """Whether P stands just before QRS and is inverted in II, III and aVF; None if P is small, or of its own there."""
    inferior = values["p_amplitude_mv"][[II, III, AVF]]
    if not values["p_present"] or np.isnan(inferior).any():
        return None
    if (inferior < -RETROGRADE_MV).all():
        return bool(values["pr_ms"] < RETROGRADE_PR)
    return False if inferior[0] > RETROGRADE_MV else None
