"""A regular train of P waves, laid through the waves that look like P; some of its P waves may hide in QRS or T.

Times are samples at 100 Hz.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.p_search import HALF, Candidates, Rest
from ecgclip.peaks import cut_beats

MIN_P = 3  # nor has one with fewer P waves
PERIODS = np.geomspace(28, 170, 30)  # P-P: 35 to 214 per minute
BEST = 8  # P waves that are the best ones
WORTH = 0.65  # of the best P waves: one that looks less like P costs more than it brings
STRAY, STRAY_COST = 0.12, 0.15  # a P-P interval that differs from the period by this share costs so much
RESET = 0.8  # cost of a P-P interval that the train does not keep: it starts anew, as after a premature P
RESETS = (0.35, 4.0)  # periods: such an interval, at least and at most
MISSED, DIM, HIDDEN = 0.5, 0.15, 0.06  # cost of a P that is not seen: in the open, where T is, where QRS is
# A P wave beside the train: of the best ones' worth, in the open and where T was; of the usual height
EXTRA_WORTH, EXTRA_HEIGHT = (0.72, 0.85), (0.5, 1.8)
LONGEST_STEP = 3  # periods from one seen P to the next, at most
PARTS = (1 / 2, 1 / 3, 2 / 3)  # of such a step, where P waves are not seen
REACH = 0.5  # periods: so near to other P waves, the train needs none of its own
# A P that always falls into T is taken away with it. In a dissociated train that would have the pace of the ventricles,
# and a slow one, it is looked for once more half way between two P waves.
SAME_RATE, SLOW = 0.08, 100  # P-P over R-R less 1, at most, and R-R in samples, at least
WIDE, CORE = 12, 7  # on either side: a curve through what lies outside the core stands for T
MOVED = 4  # samples: so far from the middle, at most
HALF_HEIGHT, HALF_FIT = 0.5, 0.75  # of P's height, and the correlation with it
KEPT = 0.25  # of the period: a P-P interval that differs more is not part of the train's rhythm
COVERED = 0.4  # share of QRS in 90 ms around the top of P from which P is hidden


class Train(NamedTuple):
    """A regular train of P waves.

    at, worth: (n,), of its P waves
    period: P-P
    pp: P-P intervals that keep the rhythm, those over hidden P waves divided
    missed: where a P should be seen, and is not
    hidden: where one may hide
    score: what the search maximises
    """

    at: np.ndarray
    worth: np.ndarray
    period: float
    pp: np.ndarray
    missed: np.ndarray
    hidden: np.ndarray
    score: float

    @property
    def seen(self) -> float:
        """Of the P waves that should be seen, those that are."""
        return len(self.at) / (len(self.at) + len(self.missed))


def cost_of_missing(rest: Rest) -> np.ndarray:
    """What it costs a train that a P with its top at each sample is not seen, (samples,)."""
    covered = np.convolve(rest.blind, np.ones(9) / 9, "same") >= COVERED
    return np.where(covered, HIDDEN, np.where(rest.dim, DIM, MISSED))


def lay_train(found: Candidates, cost: np.ndarray) -> Train | None:
    """The best regular train through the candidates, over all periods at once; None without one.

    best[p, i] is the most that a train of period p brings that ends with candidate i.
    """
    at, n = found.at, len(found.at)
    if n < MIN_P:
        return None
    brings = found.worth - WORTH * np.sort(found.worth)[-BEST:].mean()
    steps = _cost_of_steps(at, cost)
    best = np.tile(brings, (len(PERIODS), 1))
    before = np.full((len(PERIODS), n), -1)
    every = np.arange(len(PERIODS))
    for i in range(1, n):
        reach = best[:, :i] - steps[:, i, :i]
        j = np.argmax(reach, axis=1)
        gained = reach[every, j]
        best[:, i] += np.maximum(gained, 0)
        before[:, i] = np.where(gained > 0, j, -1)
    row, last = np.unravel_index(np.argmax(best), best.shape)
    rows = [int(last)]
    while before[row, rows[-1]] >= 0:
        rows.append(int(before[row, rows[-1]]))
    return (
        _fill(found, np.array(rows[::-1]), PERIODS[row], cost, float(best[row, last])) if len(rows) >= MIN_P else None
    )


def _cost_of_steps(at: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """What it costs trains of each period to go from P to P: (periods, n, n), from the last index to the second."""
    gap = np.abs(at[:, None] - at)
    ratio = gap / PERIODS[:, None, None]
    steps = np.clip(np.rint(ratio), 1, LONGEST_STEP)
    total = STRAY_COST / STRAY**2 * (ratio / steps - 1) ** 2 * steps
    half, third, two_thirds = (cost[(np.minimum(at[:, None], at) + gap * part).astype(int)] for part in PARTS)
    total += np.where(steps == 2, half, 0) + np.where(steps == 3, third + two_thirds, 0)
    return np.where((ratio > RESETS[0]) & (ratio < RESETS[1]), np.minimum(total, RESET), total)


def _fill(found: Candidates, rows: np.ndarray, period: float, cost: np.ndarray, score: float) -> Train:
    """A train with the places between its P waves, and up to the ends of the window, where no P was found."""
    at = found.at[rows]
    gaps = np.diff(at)
    steps = np.clip(np.rint(gaps / period), 1, LONGEST_STEP)
    kept = np.abs(gaps / steps / period - 1) < KEPT
    pp = np.repeat(gaps / steps, np.where(kept, steps, 0).astype(int))
    period = float(np.median(pp)) if len(pp) else float(period)
    # Beyond its ends the train goes on until other P waves come, as behind a premature one.
    others = found.at[is_clear(found, found.worth[rows], np.zeros(len(found.at), bool))]
    low = max(others[others < at[0] - REACH * period], default=HALF)
    high = min(others[others > at[-1] + REACH * period], default=len(cost) - HALF)
    places = [np.arange(at[0] - period, low + REACH * period, -period)]
    places.append(np.arange(at[-1] + period, high - REACH * period, period))
    for first, gap, k in zip(at[:-1][kept], gaps[kept], steps[kept], strict=True):
        places.append(first + gap * np.arange(1, k) / k)
    empty = np.sort(np.concatenate(places))
    open_ = cost[empty.astype(int)] == MISSED
    return Train(at, found.worth[rows], period, pp, empty[open_], empty[~open_], score)


def is_clear(found: Candidates, train_worth: np.ndarray, dim: np.ndarray) -> np.ndarray:
    """Which candidates are P waves also where no train wants one, bool (n,); `dim`: those where T was."""
    worth = found.worth / np.sort(train_worth)[-BEST:].mean()
    enough = worth > np.where(dim, EXTRA_WORTH[1], EXTRA_WORTH[0])
    return enough & (found.height > EXTRA_HEIGHT[0]) & (found.height < EXTRA_HEIGHT[1])


def with_hidden(train: Train, leads: np.ndarray, blind: np.ndarray, peaks: np.ndarray) -> Train:
    """The train with the P waves that hide in T half way between the others, if there are such.

    Parameters
    ----------
    train
    leads : float (leads, samples)
        With the beats.
    blind : bool (samples,)
        Where QRS hides all else.
    peaks : int (beats,)
    """
    rr, gaps = np.median(np.diff(peaks)), np.diff(train.at)
    if rr < SLOW or abs(train.period / rr - 1) > SAME_RATE:
        return train
    middles = np.rint(train.at[:-1] + gaps / 2)[np.abs(gaps / train.period - 1) < KEPT].astype(int)
    middles = middles[~blind[middles[:, None] + np.arange(-CORE - MOVED, CORE + MOVED + 1)].any(axis=1)]
    if len(middles) < MIN_P:
        return train
    usual = _above_curve(leads, np.rint(train.at).astype(int))
    for shift in sorted(range(-MOVED, MOVED + 1), key=abs):
        wave = _above_curve(leads, middles + shift)
        product, size = (wave * usual).sum(), (usual**2).sum()
        if product > HALF_HEIGHT * size and product > HALF_FIT * np.sqrt(size * (wave**2).sum()):
            at = np.concatenate([train.at, middles + shift])
            order = np.argsort(at)
            worth = np.append(train.worth, np.full(len(middles), np.median(train.worth)))
            return train._replace(at=at[order], worth=worth[order], period=train.period / 2, pp=train.pp / 2)
    return train


def _above_curve(leads: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The median of what stands above a curve of third degree through its surroundings: (leads, 2 CORE + 1)."""
    time = np.arange(-WIDE, WIDE + 1)
    powers = (time[:, None] / WIDE) ** np.arange(4)
    outside = np.abs(time) > CORE
    waves = cut_beats(leads, at, WIDE, WIDE + 1)
    curve = waves[:, :, outside] @ np.linalg.pinv(powers[outside]).T @ powers.T
    return np.median(waves - curve, axis=0)[:, ~outside]
