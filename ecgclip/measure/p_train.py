"""The P waves of a window, every one, conducted or not, and how they go with the beats (`measure_atria`).

Signals are (n, leads, samples) of n windows in mV at 100 Hz, times in samples unless said otherwise; numbers of one
window are a row, with NaN behind the last one. A P wave is where its top is; from there to R it is
about as long as from its onset to that of QRS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import AVF, II, III, V1, I
from ecgclip.measure.arrays import NAN, cut_beats, median_of_groups, median_of_known, padded, pick, quantile_of_known
from ecgclip.measure.atrial import flutter_waves
from ecgclip.measure.batch import Batch, Columns, put
from ecgclip.measure.limits import THRESHOLDS, limits_of
from ecgclip.measure.p_rhythm import MIN_P, Train, cost_of_missing, is_clear, lay_train, with_hidden
from ecgclip.measure.p_search import (
    HALF,
    LOCKED,
    MS,
    Candidates,
    Rest,
    kinds,
    search,
    shapes_before_qrs,
    sinus_shape,
    take_away_beats,
)
from ecgclip.peaks import RATE

READ = (  # fields of a `Measurement`
    *("p_present", "p_consistency", "p_height_mv", "p_amplitude_mv", "pr_ms", "qrs_ms", "qt_ms", "rr_irregularity"),
    *("atrial_rate", "atrial_share", "atrial_contrast", "atrial_mv"),
)
BY_BEAT = ("p_before", "p_early", "p_other")  # fields of `Atria`, of each beat
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
    flutter_mv: np.ndarray = field(default_factory=lambda: np.full(12, NAN))  # (12,) signed, as of `flutter_waves`
    # of each beat: 1, 0 or NaN
    p_before: np.ndarray = field(default_factory=lambda: np.empty(0))  # a P wave of any shape
    p_early: np.ndarray = field(default_factory=lambda: np.empty(0))  # ... that is premature
    p_other: np.ndarray = field(default_factory=lambda: np.empty(0))  # ... of another shape than the usual one
    at: np.ndarray = field(default_factory=lambda: np.empty(0))  # samples, of the tops of all P waves

    def of(self, beats: np.ndarray) -> Atria:
        """What stands before some of the beats, bool (beats,), alone."""
        return Atria(p_before=self.p_before[beats], p_early=self.p_early[beats], p_other=self.p_other[beats])


class _Waves(NamedTuple):
    """All P waves of n windows, by time: of the train and beside it.

    at: (n, most)
    premature: bool (n, most)
    of_beat: int (n, most), the beat that each is conducted to, or -1
    pr: (n, most), from there to that beat, or NaN
    dropped: bool (n, most), clearly not conducted
    """

    at: np.ndarray
    premature: np.ndarray
    of_beat: np.ndarray
    pr: np.ndarray
    dropped: np.ndarray


def measure_atria(batch: Batch, values: Columns) -> list[Atria]:
    """The P waves of each window and how they go with its beats.

    Parameters
    ----------
    batch : Batch
    values : dict
        Fields of a `Measurement` that are measured before, as columns.
    """
    values = {name: np.asarray(values[name], float) for name in READ}
    values["flutter_margin"] = flutter_margin(values)
    lead_rows = np.flatnonzero(batch.mask)
    if batch.mask[I] and batch.mask[II]:  # the other limb leads follow from them
        lead_rows = lead_rows[(lead_rows <= II) | (lead_rows >= V1)]
    out: Columns = {"p_certainty": p_certainty(values, None), "flutter_mv": _flutter_waves(batch, values)}
    out |= {name: np.full((len(batch), batch.counts.max(initial=0)), NAN) for name in BY_BEAT}
    searched = np.flatnonzero(batch.counts >= MIN_P)
    if len(searched) and len(lead_rows) and batch.samples >= SHORTEST_S * RATE:
        part = batch if len(searched) == len(batch) else batch.of(searched)
        _put(out, searched, _measure_searched(part, lead_rows, _of(values, searched)))
    waves = out.pop("at", np.empty((len(batch), 0)))
    retrograde = [None if np.isnan(x) else bool(x) for x in out.pop("retrograde", np.full(len(batch), NAN)).tolist()]
    by_beat = [out.pop(name) for name in BY_BEAT]
    flutter, lengths = out.pop("flutter_mv"), (~np.isnan(waves)).sum(axis=1).tolist()
    atria = []
    for i, numbers in enumerate(zip(*(column.tolist() for column in out.values()), strict=True)):
        beats = {name: x[i, : batch.counts[i]].copy() for name, x in zip(BY_BEAT, by_beat, strict=True)}
        of_window = {"retrograde": retrograde[i], "flutter_mv": flutter[i], "at": waves[i, : lengths[i]].copy()}
        atria.append(Atria(**dict(zip(out, numbers, strict=True)), **of_window, **beats))
    return atria


def _of(values: Columns, rows: np.ndarray) -> Columns:
    """What was measured of some of the windows, int (m,)."""
    return {name: column[rows] for name, column in values.items()}


def _put(into: Columns, rows: np.ndarray, values: Columns) -> None:
    """As `put`; where `rows` are all windows, their columns as they are."""
    if len(rows) == len(into["p_certainty"]):
        into |= values
    else:
        put(into, rows, values)


def _measure_searched(batch: Batch, lead_rows: np.ndarray, values: Columns) -> Columns:
    """The fields of `Atria` of windows with beats enough, from the leads `lead_rows`, int (leads,)."""
    rest = take_away_beats(batch, lead_rows, values)
    found, train = _best_trains(rest, lead_rows, batch, values["p_consistency"])
    certainty = p_certainty(values, train)
    likely = (certainty > 0) & (train.length > 0)
    if not likely.any():
        return {"p_certainty": certainty, **_fibrillation(rest, lead_rows, np.empty((len(batch), 0)))}
    with_beats = lambda rows: batch.signal[rows][:, lead_rows]
    of_train = _measure_train(rest, found, train, with_beats, padded(batch.at, batch.counts), values)
    out = {name: np.where(likely.reshape(-1, *(1,) * (x.ndim - 1)), x, NAN) for name, x in of_train.items()}
    return out | {"p_certainty": certainty} | _fibrillation(rest, lead_rows, out["at"])


def _measure_train(
    rest: Rest,
    found: Candidates,
    train: Train,
    with_beats: Callable[[np.ndarray], np.ndarray],
    peaks: np.ndarray,
    values: Columns,
) -> Columns:
    """The fields of `Atria` of windows with a train of P waves.

    with_beats: gives the leads (m, leads, samples), beats and all, of some of the windows, int (m,)
    """
    waves = _all_waves(found, train, peaks, rest)
    conduction = _conduction(waves, train, peaks, rest)
    unlocked = np.flatnonzero(conduction["p_unlocked"] >= THRESHOLDS["p_unlocked"])
    hidden = with_hidden(train, unlocked, with_beats(unlocked), rest.blind, peaks)
    if hidden is not train:
        train = hidden
        waves = _all_waves(found, train, peaks, rest)
        conduction = _conduction(waves, train, peaks, rest)
    return {
        "p_rate": 60 * RATE / train.period,
        "pp_variation": train.pp_variation,
        "flat_between": _flat_between(rest, found, waves),
        "retrograde": _retrograde(values),
        "at": waves.at,
        **conduction,
        **_pauses(waves, train, peaks),
        **_shapes(rest, found, waves, train, peaks),
    }


def _best_trains(rest: Rest, lead_rows: np.ndarray, batch: Batch, consistency: np.ndarray) -> tuple[Candidates, Train]:
    """The train of each window that brings most, of those that each first shape of P leads to."""
    cost = cost_of_missing(rest)
    sinus = sinus_shape(lead_rows)
    locked, before_qrs = shapes_before_qrs(rest, batch, np.flatnonzero(consistency > LOCKED))
    shapes = np.tile(sinus, (len(batch), 1, 1))
    shapes[locked] = before_qrs
    found = search(rest, shapes)
    train = lay_train(found, cost)
    good = (train.seen > GOOD_START) & (train.length > GOOD_START * batch.counts)
    again = locked[~good[locked]]
    if len(again):
        other = search(rest.of(again), np.tile(sinus, (len(again), 1, 1)))
        other_train = lay_train(other, cost[again])
        better = other_train.score > train.score[again]
        for old, new in zip((*found, *train), (*other, *other_train), strict=True):
            old[again[better]] = new[better]
    return found, train


def p_certainty(values: Columns, train: Train | None) -> np.ndarray:
    """How certain P waves are, (n,): above 1 there are some, below -1 none. From the P before QRS, or from a train.

    Flutter waves are not P waves; how clear those are is `flutter_margin` in the values.
    """
    consistency = (values["p_consistency"] - CONSISTENCY[0]) / CONSISTENCY[1]
    height = (np.log(np.maximum(values["p_height_mv"], 1e-4)) - np.log(HEIGHT_MV[0])) / HEIGHT_MV[1]
    both = BOTH_SLOPE * (consistency - BOTH[0] + height - BOTH[1]) - 1
    certainty = np.where(np.isfinite(consistency), np.fmin(np.fmin(consistency, height), both), NAN)
    certainty = np.where(np.isnan(values["p_present"]), np.minimum(certainty, TWO_WAVES), certainty)
    chaos = np.maximum(values["rr_irregularity"] - CHAOS[0], 0) / CHAOS[1]
    certainty = np.where(certainty > 0, np.maximum(certainty - chaos, -CHAOS_LEAST), certainty)
    if train is not None:
        numbers = (train.seen, median_of_known(train.worth), -train.pp_variation, train.length)
        zones = (SEEN, FIT, (-STEADY[0], STEADY[1]), COUNT)
        of_train = [(number - middle) / half for number, (middle, half) in zip(numbers, zones, strict=True)]
        certainty = np.fmax(certainty, np.min(of_train, axis=0) - np.minimum(chaos, CHAOS_MOST))
    return np.maximum(np.minimum(np.fmin(certainty, 1 - values["flutter_margin"]), MOST), -MOST)


def flutter_margin(values: Columns) -> np.ndarray:
    """How clear flutter waves are, (n,): 0 at the thresholds of share, contrast and height, in half-widths of them."""
    margins = [(values[name] - limit.threshold) / limit.margin for name, limit in FLUTTER_LIMITS.items()]
    return np.where(np.isfinite(margins).all(axis=0), np.min(margins, axis=0), NAN)


def _flutter_waves(batch: Batch, values: Columns) -> np.ndarray:
    """The flutter waves as of `flutter_waves`, (n, 12); NaN where they are far from clear."""
    waves, clear = np.full((len(batch), 12), NAN), np.flatnonzero(values["flutter_margin"] > -FLUTTER_DOUBT)
    if len(clear):
        waves[clear] = flutter_waves(batch.of(clear), values["atrial_rate"][clear])
    return waves


# ---------------------------------------------------------------------------------------------------------------------
# P waves and beats


def _all_waves(found: Candidates, train: Train, peaks: np.ndarray, rest: Rest) -> _Waves:
    """The P waves of the trains and those beside them, and what becomes of each."""
    at = _with_extra(found, train, peaks, rest)
    # early in a train that goes on in its own time, or that starts anew behind it
    premature = np.zeros(at.shape, bool)
    premature[:, 1:] = at[:, 1:] - at[:, :-1] < PREMATURE * train.period[:, None]
    there = ~np.isnan(at)
    after = np.where(there, _beats_before(peaks, at + PQ[0]), -1)
    next_after = np.concatenate([after[:, 1:], np.full((len(at), 1), -1)], axis=1)
    distance = _peak(peaks, after) - at  # NaN behind the last beat
    conducted = there & (distance <= PQ[1]) & (next_after != after)
    before = np.maximum(_beats_before(peaks, at - 1) - 1, 0)
    since = at - _peak(peaks, before)
    blocked = ~pick(rest.usual, before) & (since < CLEAR_AFTER) & (since > 0)
    near = (np.abs(at[:, :, None] - peaks[:, None]) < PQ[0]).any(axis=2)
    inside = (at > peaks[:, :1]) & (at < np.fmax.reduce(peaks, axis=1)[:, None])  # a beat at the edge may be missed
    dropped = ~conducted & ~blocked & ~near & inside
    return _Waves(at, premature, np.where(conducted, after, -1), np.where(conducted, distance, NAN), dropped)


def _with_extra(found: Candidates, train: Train, peaks: np.ndarray, rest: Rest) -> np.ndarray:
    """The P waves of the trains and the clear ones beside them, by time: (n, most)."""
    dim = _within(rest.dim, found.at)
    apart = ~(np.abs(found.at[:, :, None] - train.at[:, None]) <= EXTRA_APART * train.period[:, None, None]).any(axis=2)
    clear = is_clear(found, train.worth, dim) & ~(dim & (rest.signal.shape[1] < MIN_LEADS))
    extra = np.where(clear & apart, found.at, NAN)
    # At the same distance behind several beats it is what is left of T.
    extra = np.where(_alike(_behind(extra, peaks)) < MIN_P, extra, NAN)
    at = np.sort(np.concatenate([train.at, extra], axis=1), axis=1)
    return at[:, : (~np.isnan(at)).sum(axis=1).max()]


def _beats_before(peaks: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How many beats come before each of `at`, int (n, ...)."""
    return (peaks[:, None] < at[:, :, None]).sum(axis=2)


def _peak(peaks: np.ndarray, beat: np.ndarray) -> np.ndarray:
    """The R peaks of beats, int (n, ...); NaN of those that there are not."""
    none = np.full((len(peaks), 1), NAN)
    return pick(np.concatenate([peaks, none], axis=1), beat)


def _within(where: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whether each of `at` (n, most) lies where a bool (n, samples) says; False of NaN."""
    there = ~np.isnan(at)
    return pick(where, np.rint(np.where(there, at, 0)).astype(int)) & there


def _behind(at: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How long after a beat each wave comes; NaN before the first one."""
    return at - _peak(peaks, _beats_before(peaks, at) - 1)


def _alike(distance: np.ndarray) -> np.ndarray:
    """How many of a row (n, most) are about the same as each of it."""
    return (np.abs(distance[:, :, None] - distance[:, None]) <= SAME_PQ).sum(axis=2)


def _conduction(waves: _Waves, train: Train, peaks: np.ndarray, rest: Rest) -> Columns:
    """PR of the conducted beats, and P waves that are not conducted."""
    beat = np.maximum(waves.of_beat, 0)
    pr = np.where(pick(rest.usual, beat), waves.pr, NAN)
    conducted, beats = (~np.isnan(pr)).sum(axis=1), (~np.isnan(peaks)).sum(axis=1)
    same = _alike(pr).max(axis=1)
    could = (rest.usual & (peaks > waves.at[:, :1] + PQ[0]) & (peaks > PQ[1])).sum(axis=1)
    # Without conducted ones, P waves within T, at one distance behind the beats, are what is left of T.
    in_t = (waves.of_beat < 0) & _within(rest.dim, waves.at)
    follows = np.where(in_t, _alike(_behind(waves.at, peaks)), 0)
    most = np.maximum(beats, (~np.isnan(waves.at)).sum(axis=1))
    follows = (follows > same[:, None]) & (follows >= FOLLOWS * most[:, None])
    dropped = waves.dropped & ~waves.premature & ~follows
    locked = np.minimum(np.maximum(same, follows.sum(axis=1)) / np.maximum(could, 1), 1)
    enough = conducted >= MIN_CONDUCTED
    rr_before = _peak(peaks, beat) - _peak(peaks, beat - 1)  # NaN of the first
    return {
        "p_unlocked": np.where(could >= MIN_CONDUCTED, 1 - locked, NAN),
        "pr_range_ms": np.where(enough, (quantile_of_known(pr, TRIM[1]) - quantile_of_known(pr, TRIM[0])) * MS, NAN),
        "pr_growth_ms": _pr_growth(waves.pr, dropped) * MS,
        "dropped": dropped.sum(axis=1).astype(float),
        "dropped_run": _dropped_runs(waves, train),
        "premature_dropped": (waves.dropped & waves.premature).sum(axis=1).astype(float),
        "rp_ms": np.where(enough, median_of_known(rr_before - pr) * MS, NAN),
    }


def _pr_growth(pr: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Median over single dropped P waves: the PR before less the PR after, (n,) samples."""
    growth = pr[:, :-2] - pr[:, 2:]
    return median_of_known(np.where(dropped[:, 1:-1], growth, NAN))


def _dropped_runs(waves: _Waves, train: Train) -> np.ndarray:
    """The longest runs of P waves that are not conducted, those that hide in QRS or T counted beside a seen one."""
    longest = np.zeros(len(waves.at))
    at = np.concatenate([waves.at, train.hidden], axis=1)
    state = np.concatenate([np.where(waves.dropped, 1, 0), np.full(train.hidden.shape, 2)], axis=1)
    for i in np.flatnonzero(waves.dropped.any(axis=1)):
        run = seen = 0
        for value in state[i, np.argsort(at[i])][: (~np.isnan(at[i])).sum()].tolist():
            run, seen = (run + 1, seen + (value == 1)) if value else (0, 0)
            longest[i] = max(longest[i], run if seen else 0)
    return longest


def _pauses(waves: _Waves, train: Train, peaks: np.ndarray) -> Columns:
    """P waves that did not come, and those in the longest R-R."""
    rr = np.diff(peaks, axis=1)
    longest = np.argmax(np.where(np.isnan(rr), 0, rr), axis=1)[:, None]
    low, high = pick(peaks, longest), pick(peaks, longest + 1)
    inside = (waves.at > low + PQ[0]) & (waves.at < high - PQ[0]) & (waves.of_beat != longest + 1)
    length = (high - low)[:, 0]
    many = length / train.period
    return {
        "missing": _missing(waves, train, peaks),
        "p_in_pause": inside.sum(axis=1).astype(float),
        "pause_multiple": np.where(length > PAUSE * median_of_known(rr), np.abs(many - np.rint(many)), NAN),
    }


def _missing(waves: _Waves, train: Train, peaks: np.ndarray) -> np.ndarray:
    """How many P waves did not come between those that did, where there is no beat and none can hide, (n,)."""
    pq = median_of_known(waves.pr)
    pq = np.where(np.isnan(pq), PQ[0], pq)
    gap = np.diff(waves.at, axis=1) / train.period[:, None]
    window, k = np.nonzero(gap > LATE)
    first, second = waves.at[window, k, None], waves.at[window, k + 1, None]
    beats_between = ((peaks[window] > first + pq[window, None] + SAME_PQ * 5) & (peaks[window] < second)).any(axis=1)
    hidden = ((train.hidden[window] > first) & (train.hidden[window] < second)).any(axis=1)
    many = np.where(beats_between | hidden, 0, np.maximum(np.rint(gap[window, k]) - 1, 1))
    return np.bincount(window, many, len(gap))


# ---------------------------------------------------------------------------------------------------------------------
# Shapes of P, and what lies between


def _shapes(rest: Rest, found: Candidates, waves: _Waves, train: Train, peaks: np.ndarray) -> Columns:
    """How many shapes P has, and what stands before each beat."""
    length = np.linalg.norm(found.course, axis=1, keepdims=True)
    course = found.course / np.where(length > 0, length, 1)  # a flat signal has no course
    usual = _usual_p(rest, waves, course)
    size = np.maximum(np.linalg.norm(usual, axis=1), 1e-9)[:, None]
    top, before = _before_beats(rest, peaks, course)
    highest = np.linalg.norm(before, axis=2)
    alike = np.abs((before @ usual[:, :, None])[:, :, 0]) / size
    there = highest > BEFORE_HEIGHT * size
    at = peaks - PQ[1] + top
    last = _peak(waves.at, _beats_before(waves.at, at - P_REACH) - 1)
    known = peaks > PQ[1]
    as_float = lambda flags: np.where(known, flags, NAN)
    return {
        "p_shapes": _count_shapes(before / size[:, :, None], known & there),
        "p_before": as_float(there),
        "p_early": np.where(np.isnan(last), NAN, as_float(there & (at - last < PREMATURE * train.period[:, None]))),
        "p_other": as_float(there & (alike < OTHER_SHAPE * highest)),
    }


def _usual_p(rest: Rest, waves: _Waves, course: np.ndarray) -> np.ndarray:
    """How high the usual P is in each lead, (n, leads), by its course (n, 2 HALF + 1)."""
    there = ~np.isnan(waves.at)
    window = np.nonzero(there)[0]
    of_waves = cut_beats(rest.signal, window, np.rint(waves.at[there]).astype(int), HALF, HALF + 1)
    return median_of_groups((of_waves @ course[window, :, None])[:, :, 0], there.sum(axis=1))


def _before_beats(rest: Rest, peaks: np.ndarray, course: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest wave with P's course before each beat: at which of the places where P may be, and in each lead.

    Returns
    -------
    int (n, most beats)
        Samples after the earliest place.
    float (n, most beats, leads)
    """
    places = np.arange(PQ[1] - PQ[0] + 1)
    at_place = np.zeros((len(course), len(places) + 2 * HALF, len(places)))
    at_place[:, places[:, None] + np.arange(2 * HALF + 1), places[:, None]] = course[:, None]
    there = ~np.isnan(peaks)
    reach = cut_beats(rest.signal, there.nonzero()[0], peaks[there].astype(int), PQ[1] + HALF, HALF - PQ[0] + 1)
    waves, stop = np.empty((*reach.shape[:2], len(places))), np.cumsum(there.sum(axis=1))
    for kernel, beats in zip(at_place, map(slice, stop - there.sum(axis=1), stop), strict=True):
        waves[beats] = (reach[beats].reshape(-1, reach.shape[2]) @ kernel).reshape(-1, *waves.shape[1:])
    highest = np.argmax((waves**2).sum(axis=1), axis=1)
    top, before = np.zeros(there.shape, int), np.zeros((*there.shape, reach.shape[1]))
    top[there], before[there] = highest, waves[np.arange(len(waves)), :, highest]
    return top, before


def _count_shapes(waves: np.ndarray, there: np.ndarray) -> np.ndarray:
    """How many shapes (n, waves, leads) have, of those that more than one wave has, (n,)."""
    size = np.linalg.norm(waves, axis=2)
    there = there & (size > SHAPE_HEIGHT[0]) & (size < SHAPE_HEIGHT[1])
    waves = waves / np.where(there, size, 1)[:, :, None]
    kind = kinds(waves @ waves.transpose(0, 2, 1) > SAME_P, there)
    several = (kind[:, :, None] == np.arange(kind.shape[1])).sum(axis=1) > 1
    return np.maximum(several.sum(axis=1), 1).astype(float)


def _flat_between(rest: Rest, found: Candidates, waves: _Waves) -> np.ndarray:
    """The share of the time between P waves, QRS and T in which the line is flat, (n,)."""
    open_ = ~(rest.blind | rest.dim | _near(waves.at, rest.blind.shape[1]))
    top = np.abs(found.course).max(axis=1, keepdims=True)
    flat = np.abs((found.by_lead[:, None] @ rest.signal)[:, 0]) < FLAT * top
    time = open_.sum(axis=1)
    return np.where(time > RATE, (flat & open_).sum(axis=1) / np.maximum(time, 1), NAN)


def _fibrillation(rest: Rest, lead_rows: np.ndarray, at: np.ndarray) -> Columns:
    """Height and share of what has the pace of fibrillatory waves in V1; `at`: P waves that are left out."""
    n = rest.blind.shape[1]
    open_ = ~(rest.blind | _near(at, n))
    lead = next((i for row in (V1, II) for i in np.flatnonzero(lead_rows == row)), 0)
    size = 1 << n.bit_length()
    spectrum, hertz = np.fft.rfft(rest.signal[:, lead], size), np.fft.rfftfreq(size, 1 / RATE)
    inside = np.stack([(hertz >= low) & (hertz < high) for low, high in zip(F_BANDS[:-1], F_BANDS[1:], strict=True)])
    waves = np.fft.irfft(inside * spectrum[:, None], size)[:, :, :n]
    time = open_.sum(axis=1)
    power = np.einsum("wbs,wbs,ws->wb", waves, waves, open_) / np.where(time < RATE, NAN, time)[:, None]
    return {"f_mv": np.sqrt(2 * power[:, 1]), "f_share": power[:, 1] / np.maximum(power.sum(axis=1), 1e-12)}


def _near(at: np.ndarray, n: int) -> np.ndarray:
    """Whether a P wave is near, bool (n windows, n samples)."""
    near, there = np.zeros((len(at), n), bool), ~np.isnan(at)
    around = np.rint(at[there]).astype(int)[:, None] + np.arange(-P_REACH, P_REACH + 1)
    near[np.nonzero(there)[0][:, None], np.clip(around, 0, n - 1)] = True
    return near


def _retrograde(values: Columns) -> np.ndarray:
    """Whether P, 1 or 0, is just before QRS and inverted in II, III and aVF; NaN if P is small, or of its own there."""
    inferior = values["p_amplitude_mv"][:, [II, III, AVF]]
    known = (values["p_present"] == 1) & ~np.isnan(inferior).any(axis=1)
    inverted, upright = (inferior < -RETROGRADE_MV).all(axis=1), inferior[:, 0] > RETROGRADE_MV
    short = values["pr_ms"] < RETROGRADE_PR
    return np.where(known & (inverted | upright), inverted & short, NAN)
