"""The heartbeats of a window one by one, and what follows from how they come: runs, patterns, pauses, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ecgclip.ecg import V1, V6, I
from ecgclip.measure.arrays import NAN, equal_groups, median, median_of_known, packed, quantile_of_known, without_mean
from ecgclip.measure.batch import BEFORE, Batch, Columns, row
from ecgclip.measure.beat_classes import (
    EARLY_WIDE,
    NARROW_MS,
    NARROW_SHAPE,
    QRS,
    Complexes,
    ahead,
    behind,
    classify,
    clusters,
    complexes,
)
from ecgclip.measure.limits import THRESHOLDS
from ecgclip.measure.rhythm import EARLY, LATE, MIN_BEATS, intervals_of, irregularity_of, turns_taken
from ecgclip.peaks import RATE
from ecgclip.prepare import find_runs

MS = 1000 / RATE  # of a sample
SAME_WIDE = 0.8  # correlation from which two wide complexes have the same shape
# An early beat every so many: three or more early beats, and so large a part of their distances is the same
PATTERN_BEATS, PATTERN_SHARE = 3, 0.6
PATTERN_LAGS = 4  # the longest pattern, in beats
FEW_EARLY = 0.2  # of all beats: so many early ones may stand in an otherwise regular rhythm
BEATS_BEFORE = 3  # whose intervals an early narrow beat is compared with
# A pause parts two groups of beats: so long, of the shorter intervals (their third tenth: every second may be a pause)
GROUP_PAUSE, SHORTER = 1.4, 0.3
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
    chaotic : bool or None
        Whether the intervals have no pattern, a few early beats and their pauses aside.
    early_narrow, early_wide : float
        Premature beats. A narrow one comes early by `narrow_coupling`, a wide one by the usual interval.
    narrow_coupling : float
        %, how early the earliest narrow beat comes: the larger of two shares, of the interval before it in the median
        of the three before that, and of 1.1 times this interval in the one after it.
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
    early_narrow: float = NAN
    early_wide: float = NAN
    narrow_coupling: float = NAN
    compensation: float = NAN
    rate_step: float = NAN
    ashman: float = NAN
    beat_fit: float = NAN
    unclassified_beats: float = NAN
    long_short: bool | None = None
    chaotic: bool | None = None
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
    """Class and shape of every beat of each window, and what follows.

    Parameters
    ----------
    batch : Batch
    values : dict
        heart_rate, rr_irregularity and qrs_ms, as in a `Measurement`.
    """
    tables = [no_table(count) for count in batch.counts.tolist()]
    enough = batch.counts >= MIN_BEATS
    if not enough.any() or not batch.mask.any():
        return tables
    beats = complexes(batch)
    fit = _beat_fit(batch, beats.shape)
    rr_irregularity, own = values["rr_irregularity"], _irregularity(beats)
    chaotic = ~(np.where(own < rr_irregularity, own, rr_irregularity) < THRESHOLDS["rr_chaotic"])
    kind, wide = classify(batch, beats, chaotic)
    of_windows = _of_windows(batch, beats, kind, wide, chaotic, values) | {"beat_fit": fit}
    for i in np.flatnonzero(enough).tolist():
        if fit[i] < NOTHING_FITS:
            tables[i] = replace(tables[i], beat_fit=float(fit[i]))
            continue
        own_beats = slice(batch.counts[i])
        tables[i] = BeatTable(kind[i, own_beats], wide[i, own_beats], beats.before[i, own_beats], **row(of_windows, i))
    return tables


def _of_windows(
    batch: Batch, beats: Complexes, kind: np.ndarray, wide: np.ndarray, chaotic: np.ndarray, values: Columns
) -> Columns:
    """What follows from the classes of the beats; kind, wide, chaotic as of `classify`."""
    count = lambda which: which.sum(axis=1).astype(float)
    premature = (kind == "early") | (wide & (beats.early < EARLY_WIDE))
    ectopic = wide & (kind != "paced")
    late, peaks, coupling = kind == "late", batch.positions, _coupling(beats, wide)
    inside = (peaks > QRS // 2) & (peaks + QRS // 2 < batch.samples)
    of_shape = (beats.shape[:, :, None] == beats.shape[:, None]).sum(axis=2)
    return {
        "late_narrow": count(late & ~wide),
        "late_wide": count(late & wide),
        "fusion_beats": count(kind == "fusion"),
        "unclassified_beats": count((kind == "other") & inside & (of_shape < OWN_SHAPE)),
        **_longest_run(ectopic, peaks, values),
        "beat_shapes": _beat_shapes(beats, ectopic, values),
        "period": _period(premature),
        "groups": np.where(chaotic, 0.0, _groups(batch, beats, premature, wide)),
        "chaotic": chaotic.tolist(),
        "early_narrow": count(coupling < EARLY),
        "early_wide": count(ectopic & (beats.early < EARLY_WIDE)),
        "narrow_coupling": 100 * np.fmin.reduce(coupling, axis=1),
        "compensation": np.where(chaotic, NAN, _compensation(beats, premature)),
        "rate_step": _rate_step(packed(*intervals_of(batch))),
        **_long_short(beats, wide, premature),
        "both_bundles": _both_bundles(batch, beats, kind),
        "T_differs": _t_differs(batch, beats, premature),
    }


def _irregularity(beats: Complexes) -> np.ndarray:
    """As `rr_irregularity`, but an early beat every fourth is a pattern, and a few with their pauses do not count."""
    known, early = ~np.isnan(beats.before), (beats.early < EARLY) & ~np.isnan(beats.before)
    few = early.sum(axis=1) <= FEW_EARLY * (beats.shape >= 0).sum(axis=1)
    kept = np.concatenate((known, known & ~(few[:, None] & (early | behind(early)))))
    found = irregularity_of(packed(np.concatenate((beats.before, beats.before)), kept), PATTERN_LAGS)
    found[kept.sum(axis=1) <= PATTERN_LAGS + 1] = np.inf
    return np.fmin(found[: len(few)], found[len(few) :])


# ---------------------------------------------------------------------------------------------------------------------
# Wide beats


def _longest_run(ectopic: np.ndarray, peaks: np.ndarray, values: Columns) -> Columns:
    """The longest row of wide beats, its rate and its duration."""
    length, duration = np.zeros(len(ectopic)), np.full(len(ectopic), NAN)
    for i in np.flatnonzero(ectopic.any(axis=1)):
        start, stop = max(find_runs(ectopic[i], 0).tolist(), key=lambda run: run[1] - run[0])
        length[i], duration[i] = stop - start, (peaks[i, stop - 1] - peaks[i, start]) * MS
    one_shape = ~ectopic.any(axis=1) & (values["qrs_ms"] >= THRESHOLDS["qrs_wide"])
    duration[length < 2] = NAN
    return {
        "wide_run": np.where(one_shape & (values["heart_rate"] > THRESHOLDS["rate_fast"]), NAN, length),
        "wide_run_rate": 60000 * (length - 1) / duration,
        "wide_run_duration": duration,
    }


def _beat_shapes(beats: Complexes, ectopic: np.ndarray, values: Columns) -> np.ndarray:
    """How many shapes the wide beats have; in a fast rhythm of wide beats only, the most frequent counts too."""
    if not ectopic.any():
        return np.zeros(len(ectopic))
    all_wide = (beats.usual_width[:, 0] >= NARROW_MS) & (values["heart_rate"] > THRESHOLDS["rate_fast"])
    among = ectopic | (beats.basic & (all_wide & ectopic.any(axis=1))[:, None])
    shapes, some = np.zeros(len(among)), among.any(axis=1)
    alike = np.where(among[some, :, None] & among[some, None], beats.alike[some], NAN)
    shapes[some] = clusters(alike, SAME_WIDE).max(axis=1, initial=-1) + 1
    return shapes


def _long_short(beats: Complexes, wide: np.ndarray, premature: np.ndarray) -> Columns:
    """Wide beats that follow a long and then a short interval."""
    if not wide.any():
        return {"long_short": [False] * len(wide), "ashman": np.zeros(len(wide))}
    before, expected = beats.before, beats.expected
    fits = wide & ~behind(wide)
    fits[:, 1:] &= (before[:, :-1] > LONG * expected) & (before[:, 1:] < SHORT * expected)
    fits[:, 0] = False
    explained = behind(premature, 2) | behind(premature)
    explained[:, 0] = True
    unexplained = (fits & ~explained).sum(axis=1).astype(float)
    return {"long_short": fits.any(axis=1).tolist(), "ashman": unexplained}


# ---------------------------------------------------------------------------------------------------------------------
# Patterns in time


def _period(premature: np.ndarray) -> np.ndarray:
    """The usual distance from one early beat to the next, in beats; 0 without a pattern."""
    first, period = premature & ~behind(premature), np.zeros(len(premature))
    for i in np.flatnonzero(first.sum(axis=1) >= PATTERN_BEATS):
        distances = np.bincount(np.diff(np.flatnonzero(first[i])))
        usual = int(np.argmax(distances))
        period[i] = usual if distances[usual] >= PATTERN_SHARE * distances.sum() else 0
    return period


def _groups(batch: Batch, beats: Complexes, premature: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Rows of two beats and more between pauses; a pause after an early beat is that beat's."""
    inside = beats.before[:, 1:]
    if premature.any():
        complete = (~np.isnan(inside) | ~batch.inside[:, 1:]).all(axis=1)
        premature = premature & (wide | ~(complete & turns_taken(inside))[:, None])
    plain = np.where(premature[:, 1:] | premature[:, :-1], NAN, inside)
    pause = (inside > GROUP_PAUSE * quantile_of_known(plain, SHORTER)[:, None]) & ~premature[:, :-1]
    together = batch.inside[:, 1:] & ~pause
    return (together & ~behind(together)).sum(axis=1) * pause.any(axis=1).astype(float)


def _coupling(beats: Complexes, wide: np.ndarray) -> np.ndarray:
    """How early each narrow beat comes, (n, most beats): see `BeatTable.narrow_coupling`; NaN for the others.

    Sinus arrhythmia shortens the intervals by and by, and a faster rhythm stays fast: a premature beat comes early
    beside both. Where the interval behind a beat is not known, it must come early beside the shortest one before it;
    where none before it is known, beside the expected one.
    """
    before, after = beats.before, beats.after
    edge = np.full((len(before), BEATS_BEFORE), NAN)
    near = np.lib.stride_tricks.sliding_window_view(
        np.concatenate((edge, before), axis=1)[:, :-1], BEATS_BEFORE, axis=1
    )
    usual = np.where(np.isnan(after), np.fmin.reduce(near, axis=2), median_of_known(near))
    usual = np.where(np.isnan(usual), beats.expected, usual)
    asked = ~wide & ~behind(wide) & (beats.likeness > NARROW_SHAPE)
    return np.where(asked, np.fmax(before / usual, LATE * before / after), NAN)


def _compensation(beats: Complexes, premature: np.ndarray) -> np.ndarray:
    """The two intervals around an early beat, % of two usual ones, the median of the early beats."""
    alone = premature & ~ahead(premature) & ~behind(premature)
    if not alone.any():
        return np.full(len(alone), NAN)
    # the intervals between beats that are not early, from four before a beat to five after it
    plain = np.where(premature | behind(premature), NAN, beats.before)
    edge = np.full((len(plain), 5), NAN)
    near = np.lib.stride_tricks.sliding_window_view(np.concatenate((edge[:, 1:], plain, edge), axis=1), 10, axis=1)
    shares = np.full(alone.shape, NAN)
    shares[alone] = (beats.before + beats.after)[alone] / 2 / median_of_known(near[alone])
    return 100 * median_of_known(shares)


def _rate_step(rr: np.ndarray) -> np.ndarray:
    """The largest difference between the rates of neighbouring rows of intervals, each of them steady.

    rr: (n, intervals), ms, as `packed` -> (n,), per minute
    """
    size = STEP_INTERVALS
    step = np.where((~np.isnan(rr)).sum(axis=1) < 2 * size, NAN, 0)
    rows = np.sort([rr[:, i : rr.shape[1] - size + 1 + i] for i in range(size)], axis=0)
    usual = rows[size // 2]
    rate = np.where(rows[-1] - rows[0] < STEP_SPREAD * usual, 60000 / usual, NAN)
    for gap in (0, 1):  # one row follows the other at once, or with one interval between, a pause after a tachycardia
        steps = np.abs(rate[:, size + gap :] - rate[:, : -size - gap])
        step = np.maximum(step, np.fmax.reduce(steps, axis=1, initial=0))
    return step


# ---------------------------------------------------------------------------------------------------------------------
# Beats against the median beat


def _beat_fit(batch: Batch, shape: np.ndarray) -> np.ndarray:
    """What the median beat of its shape, or of the basic one, explains of a beat: %, the median of the beats, (n,)."""
    fit, beats = np.full(len(batch), NAN), batch.around_r(FIT_BEFORE, FIT_AFTER)
    for windows, rows in equal_groups(batch.counts):
        fit[windows] = 100 * median(_fits(beats[rows], shape[windows, : rows.shape[1]]) ** 2)
    return fit


def _fits(beats: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The correlation of (windows, beats, leads, samples) with the median beat that fits best: (windows, beats)."""
    courses = without_mean(beats).reshape(*shape.shape, beats.shape[2] * beats.shape[3])
    courses /= np.maximum(np.sqrt(np.einsum("wbs,wbs->wb", courses, courses)), 1e-9)[:, :, None]
    fits = np.zeros(shape.shape)
    for number in range(shape.max() + 1):
        of = shape == number
        some = np.flatnonzero(of.sum(axis=1) >= (FIT_BEATS if number else 1))
        for i in some.tolist():
            middle = median(courses[i] if of[i].all() else courses[i, of[i]], axis=0)
            fits[i] = np.maximum(fits[i], courses[i] @ middle / max(np.sqrt(middle @ middle), 1e-9))
    return fits


def _t_differs(batch: Batch, beats: Complexes, premature: np.ndarray) -> list[bool | None]:
    """Whether T before a pause differs more from the median T than that of any other usual beat."""
    paused = beats.after > GROUP_PAUSE * beats.expected
    if not paused.any():
        return [None] * len(batch)
    usual = beats.basic & ~premature & (batch.positions + T_UNTIL <= batch.samples) & ~ahead(premature)
    others = usual & ~paused & ~behind(paused) & ~np.isnan(beats.after)
    asked = (usual & paused).any(axis=1) & (others.sum(axis=1) >= T_BEATS)
    differs: list[bool | None] = [None] * len(batch)
    for i in np.flatnonzero(asked).tolist():
        shortest = beats.after[i, others[i]].min()
        until = int(min(T_UNTIL, shortest / MS - QRS // 2 - 10))  # not the P wave of a beat that follows sooner
        if until > T_FROM + 5:
            own = slice(batch.counts[i])
            t = _t_waves(batch.split(batch.around_r(BEFORE, T_UNTIL))[i], until)
            size = np.sqrt(((t - np.median(t[others[i, own]], axis=0)) ** 2).mean(axis=1)).max(axis=1)
            most = size[others[i, own]].max()
            differs[i] = bool(size[(usual & paused)[i, own]].max() > max(T_LARGER * most, T_LEAST_MV))
    return differs


def _t_waves(beats: np.ndarray, until: int) -> np.ndarray:
    """T of (beats, leads, samples from BEFORE samples before R), over the level before QRS, until so long after R."""
    level = beats[:, :, BEFORE - QRS // 2 - 1 : BEFORE - 8].mean(axis=2, keepdims=True)
    return beats[:, :, BEFORE + T_FROM : BEFORE + until] - level


def _both_bundles(batch: Batch, beats: Complexes, kind: np.ndarray) -> list[bool | None]:
    """Whether some beats have the shape of right and some that of left bundle branch block, neither of them early."""
    if not batch.mask[[I, V1, V6]].all():
        return [None] * len(batch)
    conducted = (beats.early > EARLY_WIDE) & beats.whole & (beats.width >= BLOCK_MS) & (kind != "paced")
    both: list[bool | None] = [False] * len(batch)
    for i in np.flatnonzero(conducted.sum(axis=1) >= 2 * BLOCK_BEATS).tolist():
        found = set()
        for number in np.unique(beats.shape[i, conducted[i]]):
            of = beats.shape[i] == number
            these = conducted[i] & of
            if these.sum() >= BLOCK_BEATS and these.sum() > of.sum() / 2:
                own = batch.split(batch.beats)[i][these[: batch.counts[i]]]
                found.add(_bundle(np.median(own[:, :, BEFORE - QRS // 2 - 1 : BEFORE + QRS // 2 + 2], axis=0)))
        both[i] = {"right", "left"} <= found
    return both


def _bundle(beat: np.ndarray) -> str:
    """Which bundle seems to be blocked in a wide beat (12, samples): the one whose side is reached last."""
    beat = beat - beat[:, :3].mean(axis=1, keepdims=True)
    late = beat[:, QRS // 2 + 1 : QRS // 2 + 7]
    if late[V1].max() > BLOCK_MV and min(late[I].min(), late[V6].min()) < -BLOCK_MV / 2:
        return "right"
    if beat[V1].mean() < 0 < min(beat[I].mean(), beat[V6].mean()) and beat[V1].min() < -3 * BLOCK_MV:
        return "left"
    return ""
