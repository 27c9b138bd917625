"""R-R intervals, premature beats and pauses."""

from __future__ import annotations

import numpy as np

from ecgclip.measure.arrays import NAN, in_row, mean_of_known, median_of_known, packed, split
from ecgclip.measure.batch import Batch, Columns, once
from ecgclip.measure.beats import GAP, SAME_SHAPE, similarity
from ecgclip.measure.limits import THRESHOLDS
from ecgclip.peaks import RATE
from ecgclip.prepare import FLAT_STD

MIN_BEATS = 4  # without so many beats, a rate is measured and no rhythm
LAGS = 3  # irregularity is the least change of R-R over so many lags: high only without a pattern
# A premature beat, by the interval before it, of the expected one
EARLY, EARLY_WIDE = 0.87, 0.95  # before any beat, and before a wide one
LATE = 1.1  # after the first beat, whose interval before is not known: a pause makes it premature
# A wide beat: its QRS complex is at least MIN_WIDE ms wide and of another shape. The more it resembles the dominant one
# (correlation), the wider (ms) than usual it must be.
MIN_WIDE = 80
OTHER_SHAPES = ((0.5, None), (0.8, 15), (0.93, 40))
NARROW_SHAPE = 0.8  # correlation with the dominant shape from which an early beat is a narrow one
QRS_BEFORE, QRS_AFTER = 13, 15  # samples around R in which the width is measured
FAST = 0.2  # of the fastest: QRS is faster than this
TURN = 0.2  # of the usual interval: a smaller change does not count as a turn from short to long
MIN_TURNS = 4  # short and long intervals that take turns: every second beat is premature
MIN_PREMATURE, PREMATURE_SHARE = 3, 0.4  # so many premature beats, and of all beats, mean the same


def measure_rhythm(batch: Batch) -> Columns:
    """Rate, regularity, premature beats and pauses: fields of a `Measurement`."""
    intervals, whole = intervals_of(batch)
    rr = np.where(whole, intervals, NAN)
    count = whole.sum(axis=1)
    measured = (count > 0) & batch.mask.any()
    rhythmic = measured & (batch.counts >= MIN_BEATS)
    narrow, wide = _premature_beats(batch, intervals, rhythmic)
    # The intervals beside a wide beat are not those of the underlying rhythm; the shape of beats outside is unknown.
    beside = np.zeros(whole.shape, bool)
    beside[:, :-1] |= wide
    beside[:, 1:] |= wide
    plain = whole & ~beside
    plain = packed(rr, np.where(plain.sum(axis=1, keepdims=True) > 2, plain, whole))
    irregularity, variation = irregularity_of(plain), _variation_of(plain)
    # early beats mean something only against a rhythm that is otherwise regular
    narrow &= (irregularity < THRESHOLDS["rr_chaotic"])[:, None]
    alternating = turns_taken(np.diff(batch.positions, axis=1)) | _every_second(wide | narrow, batch.counts)
    known = lambda values: [value if known else None for value, known in zip(values.tolist(), rhythmic, strict=True)]
    return {
        "heart_rate": np.where(measured, 60000 / mean_of_known(rr), NAN),
        "rr_ms": split(rr[whole], count),
        "regular": known(variation < THRESHOLDS["rr_regular"]),
        "rr_variation": np.where(rhythmic, variation, NAN),
        "rr_irregularity": np.where(rhythmic, irregularity, NAN),
        "n_premature_narrow": narrow.sum(axis=1),
        "n_premature_wide": wide.sum(axis=1),
        "alternating": known(alternating),
        "longest_pause_ms": _longest_pause(batch, rr),
    }


@once
def intervals_of(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The R-R intervals, with those across the edges.

    Returns
    -------
    intervals : float (n, most beats + 1), ms
        Before each beat and, behind the last one of a window, the interval after it; NaN where not known.
    whole : bool (n, most beats + 1)
        Which of them are known and have no gap in the signal: with one, a beat may be missing.
    """
    positions = np.full((len(batch), batch.inside.shape[1] + 2), NAN)
    positions[:, 0] = batch.around[:, 0]
    positions[:, 1:-1][batch.inside] = batch.at
    positions[np.arange(len(batch)), batch.counts + 1] = batch.around[:, 1]
    intervals = np.diff(positions, axis=1) * 1000 / RATE
    empty = np.zeros((len(batch), batch.samples + 1), int)
    np.cumsum(~batch.leads.any(axis=1), axis=1, out=empty[:, 1:])
    within = np.fmin(np.fmax(positions, 0), batch.samples).astype(int)
    missing = np.diff(empty[np.arange(len(batch))[:, None], within], axis=1)
    return intervals, ~np.isnan(intervals) & (missing <= GAP)


def irregularity_of(rr: np.ndarray, lags: int = LAGS) -> np.ndarray:
    """The median change of R-R over its median, the least over the lags; rr: (n, intervals), as `packed` -> (n,)."""
    changes = np.full((lags, *rr.shape), NAN)
    for lag in range(1, lags + 1):
        changes[lag - 1, :, lag:] = np.abs(rr[:, lag:] - rr[:, :-lag])
        changes[lag - 1, np.isnan(rr[:, lag + 2 : lag + 3]).all(axis=1)] = NAN  # too few intervals
    return np.fmin.reduce(median_of_known(changes)) / median_of_known(rr)


def _variation_of(rr: np.ndarray) -> np.ndarray:
    """Standard deviation over mean of (n, intervals)."""
    mean = mean_of_known(rr)
    return np.sqrt(mean_of_known((rr - mean[:, None]) ** 2)) / mean


def _premature_beats(batch: Batch, intervals: np.ndarray, rhythmic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which beats are premature, narrow and wide: two times bool (n, most beats); none where it is not rhythmic."""
    if not rhythmic.any():
        return np.zeros_like(batch.inside), np.zeros_like(batch.inside)
    before = np.where(batch.inside, intervals[:, :-1], NAN)
    rr, alike, peaks = before[:, 1:], similarity(batch), batch.positions
    # The interval to expect is the one between beats of the dominant shape; mean of short and long in bigeminy.
    plain = np.where((alike[:, 1:] > SAME_SHAPE) & (alike[:, :-1] > SAME_SHAPE), rr, NAN)
    enough = (~np.isnan(plain)).sum(axis=1) > 2
    expected = np.where(enough, median_of_known(plain), mean_of_known(rr))[:, None]
    unknown = np.isnan(before)
    early = np.where(unknown, rr[:, :1] > LATE * expected, before < EARLY * expected)
    early_if_wide = np.where(unknown, early, before < EARLY_WIDE * expected)
    judged = (peaks >= QRS_BEFORE + 1) & (peaks + QRS_BEFORE + 1 <= batch.samples) & rhythmic[:, None]
    wide = judged & _looks_wide(qrs_widths(batch), alike) & early_if_wide
    return early & ~wide & ~unknown & (alike > NARROW_SHAPE) & rhythmic[:, None], wide


def _looks_wide(width: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Which beats are wide and of another shape than the dominant ones, bool (n, most beats)."""
    dominant = alike > SAME_SHAPE
    dominant |= ~dominant.any(axis=1, keepdims=True)
    usual = median_of_known(np.where(dominant, width, NAN))[:, None]
    other = np.zeros(width.shape, bool)
    for limit, wider in OTHER_SHAPES:
        other |= (alike < limit) & (True if wider is None else width >= usual + wider)
    return other & (width >= MIN_WIDE)


def _longest_pause(batch: Batch, rr: np.ndarray) -> np.ndarray:
    """The longest time without a heartbeat, ms; without any beat, NaN unless the line is flat: beats may be small."""
    ends, beating = np.cumsum(batch.counts), np.flatnonzero(batch.counts)
    first, last = batch.around[:, 1].copy(), batch.around[:, 0].copy()
    first[beating], last[beating] = batch.at[(ends - batch.counts)[beating]], batch.at[ends[beating] - 1]
    start, stop = batch.recorded.T
    alone = np.isnan(batch.around)
    before = np.where(alone[:, 0], first - start, NAN)  # at least so long, and longer if it began before
    after = np.where(alone[:, 1], stop - last, NAN)
    for i in np.flatnonzero((batch.counts == 0) & alone.all(axis=1)):
        if batch.leads[i].any() and (batch.leads[i].std(axis=1) < FLAT_STD).all():
            before[i] = stop[i] - start[i]
    return np.fmax.reduce([before * 1000 / RATE, after * 1000 / RATE, np.fmax.reduce(rr, axis=1)])


def _every_second(premature: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """Whether nearly every second beat of each window is premature, bool (n,)."""
    most = np.maximum(MIN_PREMATURE, PREMATURE_SHARE * beats)
    return np.greater_equal(premature.sum(axis=1), most)


def turns_taken(rr: np.ndarray) -> np.ndarray:
    """Whether short and long intervals take turns at least four times; rr: (n, intervals), as `packed` -> bool (n,)."""
    turns = np.diff(rr, axis=1) / median_of_known(rr)[:, None]
    turning = np.abs(turns) > TURN
    back = np.isnan(turns[:, 1:]) | (np.sign(turns[:, 1:]) == -np.sign(turns[:, :-1]))
    turning[:, :-1] &= back  # nothing has to follow the last one
    return np.any(in_row(turning, MIN_TURNS), axis=1)


@once
def qrs_widths(batch: Batch) -> np.ndarray:
    """QRS width of every beat: how long the leads together move faster than a fifth of their fastest.

    Returns
    -------
    float (n, most beats), ms
    """
    speed = np.abs(np.diff(batch.around_r(QRS_BEFORE, QRS_AFTER), axis=2)).sum(axis=1)
    fast = speed > FAST * speed.max(axis=1, keepdims=True)
    width = fast.shape[1] - np.argmax(fast[:, ::-1], axis=1) - np.argmax(fast, axis=1)
    return batch.by_window(width * 1000 / RATE)
