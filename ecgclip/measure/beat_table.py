"""The heartbeats of a window one by one, and what follows from how they come: runs, patterns, pauses, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ecgclip.ecg import V1, V6, I
from ecgclip.measure.batch import NAN, Batch, Bounds, Columns, row
from ecgclip.measure.beat_classes import (
    EARLY_WIDE,
    NARROW_MS,
    QRS,
    Complexes,
    classify,
    clusters,
    complexes,
    median,
)
from ecgclip.measure.limits import THRESHOLDS
from ecgclip.measure.rhythm import EARLY, MIN_BEATS, irregularity_of, turns_taken
from ecgclip.peaks import RATE, cut_beats
from ecgclip.prepare import find_runs

MS = 1000 / RATE  # of a sample
SAME_WIDE = 0.8  # correlation from which two wide complexes have the same shape
# An early beat every so many: three or more early beats, and so large a part of their distances is the same
PATTERN_BEATS, PATTERN_SHARE = 3, 0.6
PATTERN_LAGS = 4  # the longest pattern, in beats
FEW_EARLY = 0.2  # of all beats: so many early ones may stand in an otherwise regular rhythm
# A pause parts two groups of beats: so long, of the shorter intervals (their third tenth: every second may be a pause)
GROUP_PAUSE, GROUP_BEATS, SHORTER = 1.4, 2, 0.3
OWN_SHAPE = 3  # so many beats of a shape are a class of their own
# A sudden change of rate: the intervals on either side, of which each differs from those beyond
STEP_INTERVALS, STEP_SPREAD = 3, 0.15
# Ashman: a wide beat after a long and a short interval, of the usual one
LONG, SHORT = 1.15, 0.87
FIT_BEFORE, FIT_AFTER, FIT_BEATS = 25, 40, 3  # samples around R that a beat is compared in; fewer beats fit anything
NOTHING_FITS = 30  # %: with less, as in ventricular fibrillation (0 to 1, torsades 66 to 69), nothing is told of beats
# The T wave before a pause: from R, samples; so much larger a difference from the median T than any other beat's
T_FROM, T_UNTIL, T_LARGER, T_LEAST_MV, T_BEATS = 14, 45, 1.5, 0.05, 3
# Bundle branch blocks at 100 Hz: how long a complex is fast (`Complexes.width`), and its waves, mV
BLOCK_MS, BLOCK_MV, BLOCK_BEATS = 100, 0.1, 2


@dataclass(frozen=True, eq=False)
class BeatTable:
    """The heartbeats of a window one by one.

    NaN (None for yes or no) is "not measurable".

    Attributes
    ----------
    kind : str (beats,)
        The class of each beat: usual, early, wide, run, late, fusion, paced, other (see `beat_classes`).
    wide : bool (beats,)
        Whether it is wide and of another shape than the basic ones.
    coupling_ms : float (beats,)
        The interval to the beat before.
    late_narrow, late_wide : float
        Beats that end a pause.
    wide_run : float
        The longest row of wide beats that are not paced; NaN in a wide tachycardia of one shape, which may be either.
    wide_run_rate, wide_run_duration : float
        Its rate, per minute, and its length, ms, as far as it lies in the window.
    beat_shapes : float
        QRS shapes among the wide beats.
    fusion_beats, unclassified_beats : float
        Beats of these classes (*other*; not where several have the same shape).
    period : float
        An early beat every so many: 2 in bigeminy, 3 in trigeminy; 0 without a pattern.
    groups : float
        Groups of beats between pauses that no early beat explains; 0 without a pause.
    compensation : float
        %, the two intervals around an early beat of two usual ones.
    rate_step : float
        Per minute, the largest sudden change of rate.
    long_short : bool or None
        Whether a wide beat or a run begins after a long and a short interval.
    ashman : float
        Wide beats after a long and a short interval, where no early beat explains the long one.
    beat_fit : float
        %, what the median beats explain of the beats.
    both_bundles : bool or None
        Whether there are beats with right and beats with left bundle branch block, none of them early.
    T_differs : bool or None
        Whether the T wave before a pause differs from the others; None without a pause.
    classes : dict of str to Measurement
        The waves of the median beat of each class that is there: early, wide (with runs), late, run. P is not measured.
    """

    kind: np.ndarray
    wide: np.ndarray
    coupling_ms: np.ndarray
    late_narrow: float = NAN
    late_wide: float = NAN
    wide_run: float = NAN
    wide_run_rate: float = NAN
    wide_run_duration: float = NAN
    beat_shapes: float = NAN
    fusion_beats: float = NAN
    period: float = NAN
    groups: float = NAN
    compensation: float = NAN
    rate_step: float = NAN
    ashman: float = NAN
    beat_fit: float = NAN
    unclassified_beats: float = NAN
    long_short: bool | None = None
    both_bundles: bool | None = None
    T_differs: bool | None = None
    classes: Mapping[str, Any] = field(default_factory=dict)

    def of_class(self, name: str) -> np.ndarray:
        """Which beats are of a class, bool (beats,): wide has the runs with it, and nothing that is late or paced."""
        return np.isin(self.kind, ("wide", "run")) if name == "wide" else self.kind == name


def no_table(beats: int = 0) -> BeatTable:
    """The table of beats of which nothing is known."""
    return BeatTable(np.full(beats, "other"), np.zeros(beats, bool), np.full(beats, NAN))


def tabulate(batch: Batch, values: Columns) -> list[BeatTable]:
    """Class and shape of every beat of each window, and what follows; values: what was measured before."""
    return [
        _tabulate(signal, batch.mask, peaks, around, spikes, row(values, i))
        for i, (signal, peaks, around, spikes) in enumerate(
            zip(batch.signal, batch.peaks, batch.around, batch.spikes, strict=True)
        )
    ]


def _tabulate(
    signal: np.ndarray,
    mask: np.ndarray,
    peaks: np.ndarray,
    around: Bounds,
    spikes: np.ndarray,
    values: Mapping[str, Any],
) -> BeatTable:
    """Class and shape of every beat, and what follows.

    Parameters
    ----------
    signal, mask, peaks, around, spikes
        As in `measure`.
    values : dict
        heart_rate, rr_irregularity and qrs_ms, as in a `Measurement`.
    """
    if len(peaks) < MIN_BEATS or not mask.any():
        return no_table(len(peaks))
    beats = complexes(signal[mask], peaks, around)
    fit = _beat_fit(signal[mask], peaks, beats.shape)
    if fit < NOTHING_FITS:
        return replace(no_table(len(peaks)), beat_fit=fit)
    chaotic = not min(values["rr_irregularity"], _irregularity(beats)) < THRESHOLDS["rr_chaotic"]
    kind, wide = classify(beats, chaotic, signal, peaks, spikes)
    count = lambda which: float(np.count_nonzero(which))
    premature = (kind == "early") | (wide & (beats.early < EARLY_WIDE))
    ectopic = wide & (kind != "paced")
    inside = (peaks > QRS // 2) & (peaks + QRS // 2 < signal.shape[1])
    return BeatTable(
        kind=kind,
        wide=wide,
        coupling_ms=beats.before,
        late_narrow=count((kind == "late") & ~wide),
        late_wide=count((kind == "late") & wide),
        fusion_beats=count(kind == "fusion"),
        unclassified_beats=count((kind == "other") & inside & (np.bincount(beats.shape)[beats.shape] < OWN_SHAPE)),
        **_longest_run(beats, ectopic, peaks, values),
        beat_shapes=_beat_shapes(beats, ectopic, values),
        period=_period(premature),
        groups=0.0 if chaotic else _groups(beats, premature & (wide | (not turns_taken(beats.before[1:])))),
        compensation=NAN if chaotic else _compensation(beats, premature),
        rate_step=_rate_step(np.append(beats.before[:1], beats.after)),
        **_long_short(beats, wide, premature),
        beat_fit=fit,
        both_bundles=_both_bundles(signal, mask, peaks, beats, kind),
        T_differs=_t_differs(signal[mask], peaks, beats, premature),
    )


def _irregularity(beats: Complexes) -> float:
    """As `rr_irregularity`, but an early beat every fourth is a pattern, and a few with their pauses do not count."""
    early = (beats.early < EARLY) & ~np.isnan(beats.before)
    few = early.sum() <= FEW_EARLY * len(early)
    kept = [beats.before, beats.before[~(early | np.append(False, early[:-1]))] if few else beats.before]
    known = [rr[~np.isnan(rr)] for rr in kept]
    return min((irregularity_of(rr, PATTERN_LAGS) for rr in known if len(rr) > PATTERN_LAGS + 1), default=np.inf)


# ---------------------------------------------------------------------------------------------------------------------
# Wide beats


def _longest_run(beats: Complexes, ectopic: np.ndarray, peaks: np.ndarray, values: Mapping[str, Any]) -> dict[str, Any]:
    """The longest row of wide beats, its rate and its duration."""
    run = max(find_runs(ectopic, 0).tolist(), key=lambda run: run[1] - run[0], default=(0, 0))
    length = run[1] - run[0]
    one_shape = not ectopic.any() and values["qrs_ms"] >= THRESHOLDS["qrs_wide"]
    if one_shape and values["heart_rate"] > THRESHOLDS["rate_fast"]:
        return {}
    if length < 2:
        return {"wide_run": float(length)}
    duration = float(peaks[run[1] - 1] - peaks[run[0]]) * MS
    rate = 60000 * (length - 1) / duration
    return {"wide_run": float(length), "wide_run_rate": rate, "wide_run_duration": duration}


def _beat_shapes(beats: Complexes, ectopic: np.ndarray, values: Mapping[str, Any]) -> float:
    """How many shapes the wide beats have; in a fast rhythm of wide beats only, the most frequent counts too."""
    all_wide = np.median(beats.width[beats.basic]) >= NARROW_MS and values["heart_rate"] > THRESHOLDS["rate_fast"]
    among = ectopic | (beats.basic & bool(all_wide and ectopic.any()))
    return float(len(np.unique(clusters(beats.alike[np.ix_(among, among)], SAME_WIDE))))


def _long_short(beats: Complexes, wide: np.ndarray, premature: np.ndarray) -> dict[str, Any]:
    """Wide beats that follow a long and then a short interval."""
    before, expected = beats.before, beats.expected
    first = wide & ~np.append(False, wide[:-1])
    fits = np.append(False, (before[:-1] > LONG * expected) & (before[1:] < SHORT * expected)) & first
    explained = np.append([True, False], premature[:-2]) | np.append(False, premature[:-1])
    return {"long_short": bool(fits.any()), "ashman": float(np.count_nonzero(fits & ~explained))}


# ---------------------------------------------------------------------------------------------------------------------
# Patterns in time


def _period(premature: np.ndarray) -> float:
    """The usual distance from one early beat to the next, in beats; 0 without a pattern."""
    at = np.flatnonzero(premature & ~np.append(False, premature[:-1]))
    if len(at) < PATTERN_BEATS:
        return 0.0
    distances = np.bincount(np.diff(at))
    usual = int(np.argmax(distances))
    return float(usual) if distances[usual] >= PATTERN_SHARE * distances.sum() else 0.0


def _groups(beats: Complexes, premature: np.ndarray) -> float:
    """Rows of two beats and more between pauses; a pause after an early beat is that beat's."""
    inside = beats.before[1:]
    plain = inside[~(premature[1:] | premature[:-1]) & ~np.isnan(inside)]
    pause = (inside > GROUP_PAUSE * np.quantile(plain, SHORTER)) & ~premature[:-1] if len(plain) else plain > 0
    if not pause.any():
        return 0.0
    parts = np.split(np.arange(len(premature)), np.flatnonzero(pause) + 1)
    return float(sum(len(part) >= GROUP_BEATS for part in parts))


def _compensation(beats: Complexes, premature: np.ndarray) -> float:
    """The two intervals around an early beat, % of two usual ones, the median of the early beats."""
    alone = premature & ~np.append(premature[1:], False) & ~np.append(False, premature[:-1])
    # the intervals between beats that are not early
    plain = np.where(premature | np.append(False, premature[:-1]), NAN, beats.before)
    around = beats.before + beats.after
    shares = [around[i] / 2 / median(plain[max(i - 4, 0) : i + 6]) for i in np.flatnonzero(alone)]
    return 100 * median(np.array(shares))


def _rate_step(rr: np.ndarray) -> float:
    """The largest difference between the rates of neighbouring rows of intervals (ms), each of them steady."""
    rr = rr[~np.isnan(rr)]
    size = STEP_INTERVALS
    if len(rr) < 2 * size:
        return NAN
    rows = np.lib.stride_tricks.sliding_window_view(rr, size)
    usual = np.median(rows, axis=1)
    steady = np.ptp(rows, axis=1) < STEP_SPREAD * usual
    rate = np.where(steady, 60000 / usual, NAN)
    # one row follows the other at once, or with one interval between (a pause at the end of a tachycardia)
    steps = [np.abs(rate[size + gap :] - rate[: -size - gap]) for gap in (0, 1) if len(rate) > size + gap]
    return float(np.nan_to_num(np.concatenate(steps)).max(initial=0))


# ---------------------------------------------------------------------------------------------------------------------
# Beats against the median beat


def _beat_fit(leads: np.ndarray, peaks: np.ndarray, shape: np.ndarray) -> float:
    """What the median beat of its shape, or of the basic one, explains of a beat: %, the median of the beats."""
    courses = cut_beats(leads, peaks, FIT_BEFORE, FIT_AFTER)
    courses = (courses - courses.mean(axis=2, keepdims=True)).reshape(len(peaks), -1)
    courses /= np.maximum(np.linalg.norm(courses, axis=1, keepdims=True), 1e-9)
    fits = np.full(len(peaks), 0.0)
    for number in [n for n in np.unique(shape) if n == 0 or np.count_nonzero(shape == n) >= FIT_BEATS]:
        middle = np.median(courses[shape == number], axis=0)
        fits = np.maximum(fits, courses @ middle / max(np.linalg.norm(middle), 1e-9))
    return float(100 * np.median(fits**2))


def _t_differs(leads: np.ndarray, peaks: np.ndarray, beats: Complexes, premature: np.ndarray) -> bool | None:
    """Whether T before a pause differs more from the median T than that of any other usual beat."""
    usual = beats.basic & ~premature & (peaks + T_UNTIL <= leads.shape[1]) & ~np.append(premature[1:], False)
    paused = beats.after > GROUP_PAUSE * beats.expected
    others = usual & ~paused & ~np.append(False, paused[:-1]) & ~np.isnan(beats.after)
    if not (usual & paused).any() or others.sum() < T_BEATS:
        return None
    shortest = np.nanmin(np.where(others, beats.after, np.nan), initial=np.inf)
    until = int(min(T_UNTIL, shortest / MS - QRS // 2 - 10))  # not the P wave of a beat that follows sooner
    if until <= T_FROM + 5:
        return None
    t = cut_beats(leads, peaks, -T_FROM, until)
    t = t - cut_beats(leads, peaks, QRS // 2 + 1, -8).mean(axis=2)[:, :, None]
    size = np.sqrt(((t - np.median(t[others], axis=0)) ** 2).mean(axis=1)).max(axis=1)
    return bool(size[usual & paused].max() > max(T_LARGER * size[others].max(), T_LEAST_MV))


def _both_bundles(
    signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, beats: Complexes, kind: np.ndarray
) -> bool | None:
    """Whether some beats have the shape of right and some that of left bundle branch block, neither of them early."""
    if not mask[[I, V1, V6]].all():
        return None
    found = set()
    conducted = (beats.early > EARLY_WIDE) & beats.whole & (beats.width >= BLOCK_MS) & (kind != "paced")
    for number in np.unique(beats.shape[conducted]):
        these = conducted & (beats.shape == number)
        if these.sum() >= BLOCK_BEATS and these.sum() > (beats.shape == number).sum() / 2:
            found.add(_bundle(np.median(cut_beats(signal, peaks[these], QRS // 2 + 1, QRS // 2 + 2), axis=0)))
    return {"right", "left"} <= found


def _bundle(beat: np.ndarray) -> str:
    """Which bundle seems to be blocked in a wide beat (12, samples): the one whose side is reached last."""
    beat = beat - beat[:, :3].mean(axis=1, keepdims=True)
    late = beat[:, QRS // 2 + 1 : QRS // 2 + 7]
    if late[V1].max() > BLOCK_MV and min(late[I].min(), late[V6].min()) < -BLOCK_MV / 2:
        return "right"
    if beat[V1].mean() < 0 < min(beat[I].mean(), beat[V6].mean()) and beat[V1].min() < -3 * BLOCK_MV:
        return "left"
    return ""
