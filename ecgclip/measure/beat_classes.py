"""Which class each heartbeat is of, by its QRS complex and its timing.

The classes: *usual* (of the basic rhythm), *early* (premature, not wide), *wide* (wide and of another shape), *run*
(three or more wide beats in a row), *late* (ends a pause, narrow or wide), *fusion* (half usual, half wide), *paced*
(wide with a spike in front, beside usual beats) and *other* (fits none of them).

The constants were chosen on mitdb's DS1 in windows of 10 s, two leads. Of 3,687 beats marked V, 92 % are wide; of the
wide ones, 93 % are marked V (by `n_premature_wide`: 72 and 88 %). Of 371 fusion beats of record 208, 64 % are fusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecgclip.measure.arrays import NAN, equal_groups, in_row, mean_of_known, median_of_known, packed, without_mean
from ecgclip.measure.batch import Batch
from ecgclip.measure.beats import SAME_SHAPE, at_shifts
from ecgclip.measure.rhythm import EARLY, LATE, MIN_WIDE, intervals_of, qrs_widths, turns_taken
from ecgclip.measure.smeared import find_spikes, smeared_spikes
from ecgclip.measure.spikes import spike_before

QRS, SHIFT = 25, 3  # samples of a complex that are compared, at the best of so many shifts to either side
EDGE = 8  # samples of a complex on either side of R without which it is not judged by its shape
BASE = 3  # samples at either end of a complex that are its level
# The basic rhythm is the dominant shape, unless that is wide and a narrow one comes twice or more and not early (a run
# may be most of a window), or unless its beats are early and those of another shape late (bigeminy).
NARROW_MS, NARROWER_MS, MIN_NARROW = 110, 30, 2
TURN_EARLY, TURN_LATE, TURN_SHARE = 0.87, 1.08, 0.5
# A wide beat has another shape than the basic one (correlation below) and is wider (ms). It is early (of the expected
# R-R interval), or beside an early one, or much wider. Or it is early and large (area of that of a basic beat).
OTHER_SHAPES = ((0.5, None), (0.8, 15), (0.85, 40))
EARLY_WIDE, EARLY_LARGE = 0.95, 0.9
LARGE_SHAPE, LARGE, SMALL = 0.8, 1.2, 0.6  # a beat whose area is smaller than SMALL is noise
SURE_SHAPE, SURE_WIDER = 0.6, 40  # of a wide beat that is not early
MIN_RUN = 3  # wide beats in a row
# A fusion beat: on time, and the sum of a basic and a wide beat, each weighted by so much at least and at most, fits
FUSED_PARTS, FUSED_EARLY, FUSED_FIT, FUSED_SHAPE, FUSED_LARGE = (0.2, 1.3), (0.85, 1.1), 0.9, 0.95, 1.15
# A late beat: so long after the one before, of the expected interval and of the interval before that
LATE_NARROW, LATE_WIDE, LATE_STEP = 1.3, 1.15, 1.2
INTERPOLATED = 0.1  # of the expected interval: so near to it are the two intervals around an interpolated beat
NARROW_SHAPE = 0.8  # correlation from which a beat is of the basic shape


@dataclass(frozen=True, eq=False)
class Complexes:
    """The QRS complexes of the windows of a batch and their timing.

    Arrays are by window and beat, (n, most beats); behind the last beat of a window they are NaN, False or -1.
    """

    alike: np.ndarray  # (n, most beats, most beats), correlation at the best shift
    shape: np.ndarray  # int, complexes of one shape have one number; 0 is the basic shape
    width: np.ndarray  # ms, where the leads are faster than a fifth of their fastest
    area: np.ndarray  # of that of a basic beat
    before: np.ndarray  # R-R interval before and after, ms; NaN where not known
    after: np.ndarray
    whole: np.ndarray  # whether enough of the complex lies inside

    @cached_property
    def basic(self) -> np.ndarray:
        """Which are of the basic shape."""
        return self.shape == 0

    @cached_property
    def usual_width(self) -> np.ndarray:
        """The width of the basic beats, ms: (n, 1)."""
        return median_of_known(np.where(self.basic, self.width, NAN))[:, None]

    @cached_property
    def likeness(self) -> np.ndarray:
        """The correlation with the basic shape."""
        return median_of_known(np.where(self.basic[:, None], self.alike, NAN))

    @cached_property
    def expected(self) -> np.ndarray:
        """The interval to expect, ms: between basic beats; the mean of short and long in bigeminy: (n, 1)."""
        inside = self.before[:, 1:]
        plain = packed(inside, self.basic[:, 1:] & self.basic[:, :-1] & ~np.isnan(inside))
        steady = ((~np.isnan(plain)).sum(axis=1) > 2) & ~turns_taken(plain)
        return np.where(steady, median_of_known(plain), mean_of_known(inside))[:, None]

    @cached_property
    def early(self) -> np.ndarray:
        """The interval before, of the expected one; where it is not known, a pause behind makes a beat early (0)."""
        first = np.where(self.after > LATE * self.expected, 0, 1)
        return np.where(self.shape < 0, NAN, np.where(np.isnan(self.before), first, self.before / self.expected))


def complexes(batch: Batch) -> Complexes:
    """The complexes of each window, at its R peaks."""
    intervals, known = intervals_of(batch)
    intervals = np.where(known, intervals, NAN)
    before, after = (np.where(batch.inside, beside, NAN) for beside in (intervals[:, :-1], intervals[:, 1:]))
    alike, width, area = _alike(batch), qrs_widths(batch), _areas(batch)
    shape = clusters(alike, SAME_SHAPE)
    for i in np.flatnonzero((shape > 0).sum(axis=1) >= MIN_NARROW):
        beats = batch.counts[i]
        shape[i, :beats] = _basic_first(shape[i, :beats], width[i, :beats], before[i, :beats])
    area = area / np.maximum(median_of_known(np.where(shape == 0, area, NAN)), 1e-9)[:, None]
    peaks = batch.positions
    whole = (peaks >= EDGE) & (peaks + EDGE <= batch.samples)
    return Complexes(alike, shape, width, area, before, after, whole)


def _alike(batch: Batch) -> np.ndarray:
    """The correlation of each two complexes of a window, at the best shift: (n, most beats, most beats)."""
    alike = np.full((*batch.inside.shape, batch.inside.shape[1]), NAN)
    beats = batch.around_r(QRS // 2 + SHIFT, QRS // 2 + 1 + SHIFT)
    for windows, rows in equal_groups(batch.counts):
        alike[windows, : rows.shape[1], : rows.shape[1]] = _correlations(beats[rows])
    return alike


def _correlations(beats: np.ndarray) -> np.ndarray:
    """The same of (windows, beats, leads, QRS + 2 SHIFT), less the mean of each lead at each shift."""
    windows, count, leads, _ = beats.shape
    beats = without_mean(beats)
    at_shift = lambda shift: beats[:, :, :, shift : shift + QRS]
    rows = lambda x: x.reshape(windows, count, leads * QRS)
    centre = rows(without_mean(at_shift(SHIFT))).swapaxes(1, 2)
    products = np.stack([rows(at_shift(shift)) @ centre for shift in range(2 * SHIFT + 1)], axis=1)
    parts = at_shifts(QRS, 2 * SHIFT + 1)
    sums, squares = beats @ parts, np.einsum("wbls,wbls->wbs", beats, beats) @ parts
    power = squares - np.einsum("wbls,wbls->wbs", sums, sums) / QRS
    norms = np.sqrt(np.maximum(power, 0)).swapaxes(1, 2)
    sizes = norms[:, :, :, None] * norms[:, SHIFT, None, None]
    alike = (products / np.maximum(sizes, 1e-9)).max(axis=1)
    return np.maximum(alike, alike.swapaxes(1, 2))


def _areas(batch: Batch) -> np.ndarray:
    """How large each complex is: the area under the length of the vector of all leads, mV x samples."""
    beats = batch.around_r(QRS // 2 + 4, QRS // 2 + 6)
    ends = np.zeros(beats.shape[2])
    ends[:BASE] = ends[-BASE:] = 1 / (2 * BASE)
    height = beats - (beats @ ends)[:, :, None]
    return batch.by_window(np.sqrt(np.einsum("bls,bls->bs", height, height)).sum(axis=1))


def clusters(alike: np.ndarray, threshold: float) -> np.ndarray:
    """Beats that correlate better than the threshold have one number; the largest cluster has 0.

    alike: (n, beats, beats), NaN where there is no beat -> int (n, beats), -1 where there is none
    """
    numbers = np.full(alike.shape[:2], -1)
    free = ~np.isnan(np.diagonal(alike, axis1=1, axis2=2))
    near = (alike > threshold) | np.eye(alike.shape[1], dtype=bool)
    for number in range(alike.shape[1]):
        left = np.flatnonzero(free.any(axis=1))
        if not len(left):
            break
        among = free[left]
        counts = (near[left] & among[:, None]).sum(axis=2)
        means = np.where(among[:, None], alike[left], 0).sum(axis=2) / among.sum(axis=1)[:, None]
        centre = np.argmax(np.where(among, counts + means, -np.inf), axis=1)
        found = among & near[left, centre]
        numbers[left] = np.where(found, number, numbers[left])
        free[left] &= ~found
    return numbers


def _basic_first(shape: np.ndarray, width: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The numbers of the shapes of one window, (beats,), with 0 for that of the basic rhythm."""
    count, usual = np.bincount(shape), mean_of_known(before)
    width_of = lambda number: np.median(width[shape == number])
    early_of = lambda number: median_of_known(before[shape == number]) / usual
    for other in np.flatnonzero(count >= MIN_NARROW)[1:]:
        wider = width_of(0) - width_of(other)
        narrow = width_of(0) >= NARROW_MS > width_of(other) and wider >= NARROWER_MS and early_of(other) > TURN_EARLY
        turns = early_of(0) < TURN_EARLY and early_of(other) > TURN_LATE
        if narrow or (turns and wider >= 0 and count[other] >= TURN_SHARE * count[0]):
            return np.where(shape == other, 0, np.where(shape == 0, other, shape))
    return shape


def classify(batch: Batch, beats: Complexes, chaotic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of each beat, str (n, most beats), and whether it is wide, bool (n, most beats).

    chaotic: bool (n,), intervals without a pattern, against which nothing is early or late
    """
    other, wide = _wide(beats)
    fusion = _fusion(batch, beats, wide)
    wide &= ~fusion
    fits = beats.likeness > NARROW_SHAPE
    early = ~wide & ~fusion & fits & (beats.early < EARLY) & ~np.isnan(beats.before)
    # The beat after a wide one, or after an interpolated one, is that of the basic rhythm.
    both = np.full(wide.shape, NAN)
    both[:, 1:] = (beats.before[:, :-1] + beats.before[:, 1:]) / beats.expected
    early &= ~behind(wide) & ~(behind(early) & (np.abs(both - 1) < INTERPOLATED))
    late_wide = other & (beats.early > LATE_WIDE)
    late = fits & (beats.early > LATE_NARROW) & behind(~(early | wide))
    late[:, 1:] &= ~(beats.before[:, 1:] < LATE_STEP * beats.before[:, :-1])
    for which in (early, late, late_wide):
        which[chaotic] = False
    wide |= late_wide
    kind = np.where(fits, "usual", "other").astype("<U6")
    in_run = in_runs(wide, MIN_RUN)
    named = (("early", early), ("wide", wide), ("late", late | late_wide), ("fusion", fusion), ("run", in_run))
    for name, which in (*named, ("paced", wide & _paced(batch, beats, wide)[:, None])):
        kind[which] = name
    return kind, wide


def behind(flags: np.ndarray, beats: int = 1) -> np.ndarray:
    """Which beats of (n, most beats) follow a flagged one, so many beats behind it."""
    found = np.zeros_like(flags)
    found[:, beats:] = flags[:, :-beats]
    return found


def ahead(flags: np.ndarray) -> np.ndarray:
    """Which beats of (n, most beats) come right before a flagged one."""
    return behind(flags[:, ::-1])[:, ::-1]


def in_runs(flags: np.ndarray, length: int) -> np.ndarray:
    """Which of the flags, (n, most beats), stand in a row of so many at least."""
    found, first = np.zeros_like(flags), in_row(flags, length)
    for i in range(length):
        found[:, i : i + first.shape[1]] |= first
    return found


def _wide(beats: Complexes) -> tuple[np.ndarray, np.ndarray]:
    """Which beats are wide or large and of another shape, and which of these are so beyond doubt."""
    wider, early, large = beats.width - beats.usual_width, beats.early, beats.area > LARGE
    other = np.zeros(early.shape, bool)
    for limit, least in OTHER_SHAPES:
        other |= (beats.likeness < limit) & (True if least is None else wider >= least)
    other &= ((beats.width >= MIN_WIDE) | large) & (beats.area > SMALL)
    other |= (beats.likeness < LARGE_SHAPE) & (early < EARLY_LARGE) & large
    other &= beats.whole
    early_ones = other & (early < EARLY_WIDE)
    beside = (behind(early_ones) | ahead(early_ones)) & (beats.likeness < SURE_SHAPE)
    sure = (beats.likeness < SURE_SHAPE) & (wider >= SURE_WIDER) & large
    return other, early_ones | (other & (sure | beside))


def _paced(batch: Batch, beats: Complexes, wide: np.ndarray) -> np.ndarray:
    """Whether the wide beats of each window have a spike in front, bool (n,).

    A paced beat is not early; at 100 Hz, noise in front of a PVC may look like a spike.
    """
    paced, some = np.zeros(len(batch), bool), wide.any(axis=1)
    for i in [i for i in np.flatnonzero(some).tolist() if len(batch.spikes[i])]:
        paced[i] = np.isfinite(spike_before(batch.peaks[i][wide[i, : batch.counts[i]]], batch.spikes[i][:, 0]))
    on_time = np.flatnonzero(some & (median_of_known(np.where(wide, beats.early, NAN)) > EARLY_WIDE))
    if len(on_time):
        chosen = np.isin(batch.window, on_time) & wide[batch.inside]
        smeared = smeared_spikes(batch.beats[chosen], wide[on_time].sum(axis=1))
        paced[on_time] |= ~np.isnan(find_spikes(smeared))
    return paced


def _fusion(batch: Batch, beats: Complexes, wide: np.ndarray) -> np.ndarray:
    """Which beats are a mixture of the basic and the most frequent wide shape."""
    on_time = (beats.early > FUSED_EARLY[0]) & (beats.early < FUSED_EARLY[1])
    asked = on_time & beats.whole & (beats.likeness < FUSED_SHAPE) & (beats.area > FUSED_LARGE)
    fused = np.zeros_like(wide)
    for i in np.flatnonzero(wide.any(axis=1) & asked.any(axis=1)):
        number = np.argmax(np.bincount(beats.shape[i, wide[i]]))
        if number:
            count = batch.counts[i]
            shapes = _at_shifts(batch.split(batch.around_r(QRS // 2 + SHIFT, QRS // 2 + 1 + SHIFT))[i])
            of_wide = (wide[i] & (beats.shape[i] == number))[:count]
            mixed = shapes[SHIFT, asked[i, :count]]
            fused[i, asked[i]] = _mixes(mixed, shapes[SHIFT, beats.basic[i, :count]], shapes[:, of_wide])
    return fused


def _at_shifts(beats: np.ndarray) -> np.ndarray:
    """(beats, leads, QRS + 2 SHIFT) at each shift, less the mean of each lead: (2 SHIFT + 1, beats, leads x QRS)."""
    shifted = np.lib.stride_tricks.sliding_window_view(beats, QRS, axis=2).transpose(2, 0, 1, 3)
    return (shifted - shifted.mean(axis=3, keepdims=True)).reshape(*shifted.shape[:2], -1)


def _mixes(mixed: np.ndarray, basic: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Which complexes are the sum of a basic and, at one of the shifts, a wide one.

    mixed, basic: (beats, samples), wide: (shifts, beats, samples) -> bool (beats,)
    """
    middle = np.median(basic, axis=0)
    best, parts = np.zeros(len(mixed)), np.zeros((len(mixed), 2))
    for other in np.median(wide, axis=1):
        pair = np.stack([middle, other], axis=1)
        weights = np.linalg.lstsq(pair, mixed.T, rcond=None)[0]
        fit = np.linalg.norm(pair @ weights, axis=0) / np.maximum(np.linalg.norm(mixed, axis=1), 1e-9)  # a correlation
        parts[fit > best], best = weights.T[fit > best], np.maximum(fit, best)
    least, most = FUSED_PARTS
    return (best > FUSED_FIT) & (parts > least).all(axis=1) & (parts < most).all(axis=1)
