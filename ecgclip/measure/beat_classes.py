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

from ecgclip.measure.batch import NAN, Bounds
from ecgclip.measure.beats import SAME_SHAPE
from ecgclip.measure.median import AFTER, BEFORE
from ecgclip.measure.rhythm import EARLY, LATE, MIN_WIDE, intervals_of, qrs_widths, turns_taken
from ecgclip.measure.spikes import spike_before
from ecgclip.measure.waves import find_spike
from ecgclip.peaks import cut_beats
from ecgclip.prepare import find_runs

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
    """The QRS complexes of a window and their timing; arrays are by beat, (beats,)."""

    shapes: np.ndarray  # at each shift, less the mean of each lead: (2 SHIFT + 1, beats, leads x QRS), mV
    alike: np.ndarray  # (beats, beats), correlation at the best shift
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
    def likeness(self) -> np.ndarray:
        """The correlation with the basic shape."""
        return np.median(self.alike[:, self.basic], axis=1)

    @cached_property
    def expected(self) -> float:
        """The interval to expect, ms: between beats of the basic shape; the mean of short and long in bigeminy."""
        inside = self.before[1:]
        plain = _known(inside[self.basic[1:] & self.basic[:-1]])
        if len(plain) > 2 and not turns_taken(plain):
            return median(plain)
        every = _known(inside)
        return float(every.mean()) if len(every) else NAN

    @cached_property
    def early(self) -> np.ndarray:
        """The interval before, of the expected one; where it is not known, a pause behind makes a beat early (0)."""
        return np.where(
            np.isnan(self.before), np.where(self.after > LATE * self.expected, 0, 1), self.before / self.expected
        )


def median(values: np.ndarray) -> float:
    """The median of what is known; NaN where nothing is."""
    known = _known(values)
    return float(np.median(known)) if len(known) else NAN


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def complexes(leads: np.ndarray, peaks: np.ndarray, around: Bounds) -> Complexes:
    """The complexes of (leads, samples) at the R peaks; `around` as in `measure`."""
    before, after = _neighbours(leads, peaks, around)
    shapes = _shapes(leads, peaks)
    norms = np.linalg.norm(shapes, axis=2)
    alike = (shapes @ shapes[SHIFT].T / np.maximum(norms[:, :, None] * norms[SHIFT], 1e-9)).max(axis=0)
    alike = np.maximum(alike, alike.T)
    width, area = qrs_widths(leads, peaks), _areas(leads, peaks)
    shape = _basic_first(clusters(alike, SAME_SHAPE), width, before)
    area = area / max(np.median(area[shape == 0]), 1e-9)
    whole = (peaks >= EDGE) & (peaks + EDGE <= leads.shape[1])
    return Complexes(shapes, alike, shape, width, area, before, after, whole)


def _neighbours(leads: np.ndarray, peaks: np.ndarray, around: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """The intervals before and after each beat, ms; NaN where there is none or a gap in the signal."""
    intervals, whole = intervals_of(leads, peaks, around)
    ends = [int(np.isnan(bound)) for bound in around]
    intervals = np.pad(np.where(whole, intervals, NAN), ends, constant_values=NAN)
    return intervals[:-1], intervals[1:]


def _shapes(leads: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    beats = cut_beats(leads, peaks, QRS // 2 + SHIFT, QRS // 2 + 1 + SHIFT)
    shifted = np.lib.stride_tricks.sliding_window_view(beats, QRS, axis=2).transpose(2, 0, 1, 3)
    shifted = shifted - shifted.mean(axis=3, keepdims=True)
    return shifted.reshape(*shifted.shape[:2], -1)


def _areas(leads: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """How large each complex is: the area under the length of the vector of all leads, mV x samples."""
    beats = cut_beats(leads, peaks, QRS // 2 + 4, QRS // 2 + 6)
    level = (beats[:, :, :BASE].mean(axis=2) + beats[:, :, -BASE:].mean(axis=2)) / 2
    return np.linalg.norm(beats - level[:, :, None], axis=1).sum(axis=1)


def clusters(alike: np.ndarray, threshold: float) -> np.ndarray:
    """Beats that correlate better than the threshold have one number, (beats,); the largest cluster has 0."""
    numbers = np.full(len(alike), -1)
    near = (alike > threshold) | np.eye(len(alike), dtype=bool)
    for number in range(len(alike)):
        free = numbers < 0
        if not free.any():
            break
        counts = np.where(free, near[:, free].sum(axis=1) + alike[:, free].mean(axis=1), -np.inf)
        numbers[free & near[np.argmax(counts)]] = number
    return numbers


def _basic_first(shape: np.ndarray, width: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The numbers of the shapes, with 0 for that of the basic rhythm."""
    count, usual = np.bincount(shape), np.mean(_known(before)) if not np.isnan(before).all() else NAN
    width_of = lambda number: np.median(width[shape == number])
    early_of = lambda number: median(before[shape == number]) / usual
    for other in np.flatnonzero(count >= MIN_NARROW)[1:]:
        wider = width_of(0) - width_of(other)
        narrow = width_of(0) >= NARROW_MS > width_of(other) and wider >= NARROWER_MS and early_of(other) > TURN_EARLY
        turns = early_of(0) < TURN_EARLY and early_of(other) > TURN_LATE
        if narrow or (turns and wider >= 0 and count[other] >= TURN_SHARE * count[0]):
            return np.where(shape == other, 0, np.where(shape == 0, other, shape))
    return shape


def classify(
    beats: Complexes, chaotic: bool, signal: np.ndarray, peaks: np.ndarray, spikes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The class of each beat, str (beats,), and whether it is wide, bool (beats,).

    chaotic: intervals without a pattern, against which nothing is early or late
    """
    other, wide = _wide(beats)
    fusion = _fusion(beats, wide)
    wide &= ~fusion
    fits = beats.likeness > NARROW_SHAPE
    early = ~wide & ~fusion & fits & (beats.early < EARLY) & ~np.isnan(beats.before)
    # The beat after a wide one, or after an interpolated one, is that of the basic rhythm.
    both = np.append(NAN, (beats.before[:-1] + beats.before[1:]) / beats.expected)
    early &= ~np.append(False, wide[:-1]) & ~(np.append(False, early[:-1]) & (np.abs(both - 1) < INTERPOLATED))
    late_wide = other & (beats.early > LATE_WIDE)
    late = fits & (beats.early > LATE_NARROW) & np.append(False, ~(early | wide)[:-1])
    late[1:] &= ~(beats.before[1:] < LATE_STEP * beats.before[:-1])
    if chaotic:
        early, late, late_wide = np.zeros((3, len(wide)), bool)
    wide |= late_wide
    kind = np.where(fits, "usual", "other").astype("<U6")
    for name, which in (("early", early), ("wide", wide), ("late", late | late_wide), ("fusion", fusion)):
        kind[which] = name
    kind[in_runs(wide, MIN_RUN)] = "run"
    # A paced beat is not early; at 100 Hz, noise in front of a PVC may look like a spike.
    on_time = wide.any() and median(beats.early[wide]) > EARLY_WIDE
    smeared = on_time and find_spike(cut_beats(signal, peaks[wide], BEFORE, AFTER)) is not None
    if smeared or np.isfinite(spike_before(peaks[wide], spikes[:, 0])):
        kind[wide] = "paced"
    return kind, wide


def in_runs(flags: np.ndarray, length: int) -> np.ndarray:
    """Which of the flags stand in a row of so many at least, bool."""
    found = np.zeros(len(flags), bool)
    for first, stop in find_runs(flags, length - 1):
        found[first:stop] = True
    return found


def _wide(beats: Complexes) -> tuple[np.ndarray, np.ndarray]:
    """Which beats are wide or large and of another shape, and which of these are so beyond doubt: bool (beats,)."""
    wider, early, large = beats.width - np.median(beats.width[beats.basic]), beats.early, beats.area > LARGE
    other = np.zeros(len(early), bool)
    for limit, least in OTHER_SHAPES:
        other |= (beats.likeness < limit) & (True if least is None else wider >= least)
    other &= ((beats.width >= MIN_WIDE) | large) & (beats.area > SMALL)
    other |= (beats.likeness < LARGE_SHAPE) & (early < EARLY_LARGE) & large
    other &= beats.whole
    beside = np.pad(other & (early < EARLY_WIDE), 1)
    beside = (beside[2:] | beside[:-2]) & (beats.likeness < SURE_SHAPE)
    sure = (beats.likeness < SURE_SHAPE) & (wider >= SURE_WIDER) & large
    return other, other & ((early < EARLY_WIDE) | sure | beside)


def _fusion(beats: Complexes, wide: np.ndarray) -> np.ndarray:
    """Which beats are a mixture of the basic and the most frequent wide shape, bool (beats,)."""
    fused = np.zeros(len(wide), bool)
    number = np.argmax(np.bincount(beats.shape[wide])) if wide.any() else 0
    on_time = (beats.early > FUSED_EARLY[0]) & (beats.early < FUSED_EARLY[1])
    asked = on_time & beats.whole & (beats.likeness < FUSED_SHAPE) & (beats.area > FUSED_LARGE)
    if number == 0 or not asked.any():
        return fused
    mixed = beats.shapes[SHIFT, asked]
    basic = np.median(beats.shapes[SHIFT, beats.basic], axis=0)
    best, parts = np.zeros(len(mixed)), np.zeros((len(mixed), 2))
    for other in np.median(beats.shapes[:, wide & (beats.shape == number)], axis=1):  # at each shift
        pair = np.stack([basic, other], axis=1)
        weights = np.linalg.lstsq(pair, mixed.T, rcond=None)[0]
        fit = np.linalg.norm(pair @ weights, axis=0) / np.maximum(np.linalg.norm(mixed, axis=1), 1e-9)  # a correlation
        parts[fit > best], best = weights.T[fit > best], np.maximum(fit, best)
    least, most = FUSED_PARTS
    fused[asked] = (best > FUSED_FIT) & (parts > least).all(axis=1) & (parts < most).all(axis=1)
    return fused
