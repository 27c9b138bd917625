"""R-R intervals, premature beats and pauses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.measure.batch import NAN, Batch, Bounds, Columns, columns
from ecgclip.measure.beats import GAP, SAME_SHAPE
from ecgclip.measure.beats import _similarity as similarity
from ecgclip.measure.limits import THRESHOLDS
from ecgclip.peaks import RATE, cut_beats
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
    windows = zip(batch.leads, batch.peaks, batch.around, batch.recorded, strict=True)
    return columns([_measure_rhythm(*window) for window in windows])


def _measure_rhythm(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds) -> dict[str, Any]:
    """Measure rate, regularity, premature beats and pauses.

    Parameters
    ----------
    leads : float (leads, samples), mV at 100 Hz
        The usable leads.
    peaks : int (beats,)
        R peaks, samples.
    around, recorded : (float, float)
        As in `measure`.

    Returns
    -------
    dict
        Fields of a `Measurement`.
    """
    intervals, whole = intervals_of(leads, peaks, around)
    values = {
        "heart_rate": NAN,
        "rr_ms": intervals[whole],
        "regular": None,
        "rr_variation": NAN,
        "rr_irregularity": NAN,
        "n_premature_narrow": 0,
        "n_premature_wide": 0,
        "alternating": None,
        "longest_pause_ms": _longest_pause(leads, peaks, around, recorded, intervals[whole]),
    }
    if not whole.any() or not len(leads):
        return values
    values["heart_rate"] = 60000 / intervals[whole].mean()
    if len(peaks) < MIN_BEATS:
        return values
    narrow, wide = _premature_beats(leads, peaks, around)
    # The intervals beside a wide beat are not those of the underlying rhythm; the shape of beats outside is unknown.
    padded = np.pad(wide, tuple(int(np.isfinite(p)) for p in around))
    plain = intervals[whole & ~(padded[1:] | padded[:-1])]
    plain = plain if len(plain) > 2 else intervals[whole]
    irregularity, variation = irregularity_of(plain), plain.std() / plain.mean()
    if not irregularity < THRESHOLDS["rr_chaotic"]:
        # early beats mean something only against a rhythm that is otherwise regular
        narrow = np.zeros(len(peaks), bool)
    return values | {
        "regular": bool(variation < THRESHOLDS["rr_regular"]),
        "rr_variation": variation,
        "rr_irregularity": irregularity,
        "n_premature_narrow": int(narrow.sum()),
        "n_premature_wide": int(wide.sum()),
        "alternating": _alternates(np.diff(peaks) * 1000 / RATE, wide | narrow),
    }


def intervals_of(leads: np.ndarray, peaks: np.ndarray, around: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """R-R intervals, ms, with those across the edges; and which of them have no gap in the signal, bool."""
    positions = np.array([around[0], *peaks, around[1]])
    positions = positions[np.isfinite(positions)]
    # With a gap in the signal, a beat may be missing in the interval.
    empty = np.cumsum(np.append(0, ~leads.any(axis=0)))
    empty = empty[np.clip(positions, 0, leads.shape[1]).astype(int)]
    return np.diff(positions) * 1000 / RATE, np.diff(empty) <= GAP


def irregularity_of(rr: np.ndarray, lags: int = LAGS) -> float:
    """The median change of R-R intervals over their median, the least over the lags."""
    changes = [np.median(np.abs(rr[lag:] - rr[:-lag])) for lag in range(1, lags + 1) if len(rr) > lag + 2]
    return min(changes, default=NAN) / np.median(rr)


def _premature_beats(leads: np.ndarray, peaks: np.ndarray, around: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Which beats are premature, narrow and wide: two times bool (beats,)."""
    rr = np.diff(peaks) * 1000 / RATE
    before_rr = np.append((peaks[0] - around[0]) * 1000 / RATE, rr)
    alike = similarity(leads, peaks)
    # The interval to expect is the one between beats of the dominant shape; mean of short and long in bigeminy.
    plain = rr[(alike[1:] > SAME_SHAPE) & (alike[:-1] > SAME_SHAPE)]
    expected = np.median(plain) if len(plain) > 2 else rr.mean()
    unknown = np.isnan(before_rr)
    early = np.where(unknown, rr[0] > LATE * expected, before_rr < EARLY * expected)
    early_if_wide = np.where(unknown, early, before_rr < EARLY_WIDE * expected)
    inside = (peaks >= QRS_BEFORE + 1) & (peaks + QRS_BEFORE + 1 <= leads.shape[1])
    wide = inside & _looks_wide(qrs_widths(leads, peaks), alike) & early_if_wide
    return early & ~wide & ~unknown & (alike > NARROW_SHAPE), wide


def _looks_wide(width: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Which beats are wide and of another shape than the dominant ones, bool (beats,)."""
    dominant = alike > SAME_SHAPE
    usual = np.median(width[dominant]) if dominant.any() else np.median(width)
    other = np.zeros(len(width), bool)
    for limit, wider in OTHER_SHAPES:
        other |= (alike < limit) & (True if wider is None else width >= usual + wider)
    return other & (width >= MIN_WIDE)


def _longest_pause(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds, rr_ms: np.ndarray) -> float:
    """The longest time without a heartbeat, ms; without any beat, NaN unless the line is flat: beats may be small."""
    first, last = (peaks[0], peaks[-1]) if len(peaks) else (around[1], around[0])
    before = first - recorded[0] if np.isnan(around[0]) else NAN  # at least so long, and longer if it began before
    after = recorded[1] - last if np.isnan(around[1]) else NAN
    nothing = not len(peaks) and np.isnan(around).all()
    if nothing and leads.any() and (leads.std(axis=1) < FLAT_STD).all():
        before = recorded[1] - recorded[0]
    return float(np.fmax.reduce([NAN, before * 1000 / RATE, after * 1000 / RATE, *rr_ms]))


def _alternates(rr: np.ndarray, premature: np.ndarray) -> bool:
    """Whether short and long intervals take turns, or nearly every second beat is premature."""
    return turns_taken(rr) or bool(premature.sum() >= max(MIN_PREMATURE, PREMATURE_SHARE * len(premature)))


def turns_taken(rr: np.ndarray) -> bool:
    """Whether short and long intervals take turns at least four times."""
    turns = np.diff(rr) / np.median(rr)
    turning = (np.abs(turns) > TURN) & (np.append(np.sign(turns[1:]) == -np.sign(turns[:-1]), True))
    run = longest = 0
    for turn in turning:
        run = run + 1 if turn else 0
        longest = max(longest, run)
    return longest >= MIN_TURNS


def qrs_widths(leads: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """QRS width of every beat, ms: how long the leads together move faster than a fifth of their fastest."""
    speed = np.abs(np.diff(cut_beats(leads, peaks, QRS_BEFORE, QRS_AFTER), axis=2)).sum(axis=1)
    fast = speed > FAST * speed.max(axis=1, keepdims=True)
    return (fast.shape[1] - np.argmax(fast[:, ::-1], axis=1) - np.argmax(fast, axis=1)) * 1000 / RATE
