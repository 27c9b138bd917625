"""A regular train of P waves, laid through the waves that look like P; some of its P waves may hide in QRS or T.

Times are samples at 100 Hz. Numbers of one window are a row; NaN stands behind the last one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.arrays import NAN, median_of_known, parts, pick
from ecgclip.measure.p_search import HALF, MAX_CANDIDATES, REFRACTORY, Candidates, Rest
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
AT_A_TIME = 1000  # pairs of candidates: what is in work then stays in the processor's cache
COVERED = 0.4  # share of QRS in 90 ms around the top of P from which P is hidden


class Train(NamedTuple):
    """A regular train of P waves in each of n windows; no P waves where there is none.

    at, worth: (n, most), of its P waves
    period: (n,), P-P
    pp: (n, most), P-P intervals that keep the rhythm, those over hidden P waves divided
    missed: (n,), how often a P should be seen, and is not
    hidden: (n, most), where one may hide
    score: (n,), what the search maximises
    """

    at: np.ndarray
    worth: np.ndarray
    period: np.ndarray
    pp: np.ndarray
    missed: np.ndarray
    hidden: np.ndarray
    score: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """P waves that are seen, (n,)."""
        return (~np.isnan(self.at)).sum(axis=1)

    @property
    def seen(self) -> np.ndarray:
        """Of the P waves that should be seen, those that are, (n,)."""
        return self.length / np.maximum(self.length + self.missed, 1)

    @property
    def pp_variation(self) -> np.ndarray:
        """Standard deviation over mean of P-P, (n,); NaN with fewer than two."""
        known = ~np.isnan(self.pp)
        count = np.where(known.sum(axis=1) > 1, known.sum(axis=1), NAN)
        mean = np.where(known, self.pp, 0).sum(axis=1) / count
        squares = np.where(known, (self.pp - mean[:, None]) ** 2, 0).sum(axis=1) / count
        return np.sqrt(squares) / mean


def cost_of_missing(rest: Rest) -> np.ndarray:
    """What it costs a train that a P with its top at each sample is not seen, (n, samples)."""
    hidden = np.zeros((len(rest.blind), rest.blind.shape[1] + 9), int)
    hidden[:, 5:-4] = rest.blind
    hidden = np.cumsum(hidden, axis=1)
    covered = hidden[:, 9:] - hidden[:, :-9] >= 9 * COVERED
    return np.where(covered, HIDDEN, np.where(rest.dim, DIM, MISSED))


def lay_train(found: Candidates, cost: np.ndarray) -> Train:
    """The best regular train through the candidates of each window, over all periods at once.

    best[w, i, p] is the most that a train of period p brings that ends with candidate i.
    """
    counts = (~np.isnan(found.at)).sum(axis=1)
    order = np.argsort(-counts, kind="stable")  # those with a further candidate come first
    best, before = _best_ends(found.at[order], _brings(found.worth[order]), counts[order], cost[order])
    most = np.argmax(best.transpose(0, 2, 1).reshape(len(best), -1), axis=1)
    period, last = np.divmod(most, MAX_CANDIDATES)
    chosen, links = np.zeros(found.at.shape, bool), before[np.arange(len(order)), :, period].tolist()
    for window, i, link in zip(order.tolist(), last.tolist(), links, strict=True):
        while i >= 0:
            chosen[window, i] = True
            i = link[i]
    chosen &= chosen.sum(axis=1, keepdims=True) >= MIN_P
    back = np.argsort(order)
    score = np.where(chosen.any(axis=1), best.max(axis=(1, 2))[back], -np.inf)
    return _fill(found, chosen, PERIODS[period[back]], cost, score)


def _brings(worth: np.ndarray) -> np.ndarray:
    """What each candidate brings a train, (n, MAX_CANDIDATES); -inf behind the last one."""
    return np.where(np.isnan(worth), -np.inf, worth - WORTH * _best(worth)[:, None])


def _best(worth: np.ndarray) -> np.ndarray:
    """The mean worth of the best P waves of each window, (n,)."""
    best = np.sort(-worth, axis=1)[:, :BEST]
    known = ~np.isnan(best)
    count = known.sum(axis=1)
    return -best.sum(axis=1, where=known) / np.where(count > 0, count, NAN)


def _best_ends(
    at: np.ndarray, brings: np.ndarray, counts: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What trains that end with each candidate bring, and the candidate before: both (n, MAX_CANDIDATES, periods).

    counts: int (n,), candidates, falling from window to window
    """
    best = np.repeat(brings[:, :, None], len(PERIODS), axis=2)
    before = np.empty(best.shape, int)
    index = np.arange(MAX_CANDIDATES)
    # all pairs of candidates, the later one before the window and the earlier one
    pairs = (index < index[:, None])[:, None] & (index[:, None] < counts)[:, :, None]
    later, window, earlier = np.nonzero(pairs)
    steps = np.empty((len(window), len(PERIODS)))
    for some in parts(len(window), AT_A_TIME):
        w = window[some]
        steps[some] = _cost_of_steps(at[w, earlier[some]], at[w, later[some]], cost, w)
    start, gained = 0, np.zeros(best.shape)
    for i, many in enumerate((counts > index[:, None]).sum(axis=1).tolist()):
        if i and many:
            reach = best[:many, :i] - steps[start : start + many * i].reshape(many, i, -1)
            gained[:many, i], before[:many, i] = reach.max(axis=1), reach.argmax(axis=1)
            best[:many, i] += np.maximum(gained[:many, i], 0)
            start += many * i
    return best, np.where(gained > 0, before, -1)


def _cost_of_steps(first: np.ndarray, second: np.ndarray, cost: np.ndarray, window: np.ndarray) -> np.ndarray:
    """What it costs trains of each period to go from P to P: (pairs, periods)."""
    gap = second - first
    ratio = gap[:, None] / PERIODS
    steps = np.minimum(np.maximum(np.rint(ratio), 1), LONGEST_STEP)
    total = STRAY_COST / STRAY**2 * (ratio - steps) ** 2 / steps
    half, third, two_thirds = (cost[window, (first + gap * part).astype(int)][:, None] for part in PARTS)
    total += (steps == 2) * half + (steps == 3) * (third + two_thirds)
    return np.where((ratio > RESETS[0]) & (ratio < RESETS[1]), np.minimum(total, RESET), total)


def _fill(found: Candidates, chosen: np.ndarray, period: np.ndarray, cost: np.ndarray, score: np.ndarray) -> Train:
    """Trains with the places between their P waves, and up to the ends of the windows, where no P was found."""
    order = np.argsort(~chosen, axis=1, kind="stable")
    at, worth = (pick(np.where(chosen, x, NAN), order) for x in (found.at, found.worth))
    gaps = np.diff(at, axis=1)
    steps = np.clip(np.rint(gaps / period[:, None]), 1, LONGEST_STEP)
    kept = np.abs(gaps / steps / period[:, None] - 1) < KEPT
    step = np.arange(LONGEST_STEP)
    pp = np.where((kept[:, :, None] & (step < steps[:, :, None])), (gaps / steps)[:, :, None], NAN)
    pp = pp.reshape(len(at), -1)
    period = np.where(kept.any(axis=1), median_of_known(pp), period)
    inside = np.where(kept[:, :, None] & (step > 0) & (step < steps[:, :, None]), step, NAN)
    inside = at[:, :-1, None] + gaps[:, :, None] * inside / steps[:, :, None]
    places = [*_beyond(found, at, worth, period, cost.shape[1]), inside.reshape(len(at), -1)]
    empty = np.sort(np.concatenate(places, axis=1), axis=1)[:, : cost.shape[1] // REFRACTORY]
    there = ~np.isnan(empty)
    open_ = pick(cost, np.where(there, empty, 0).astype(int)) == MISSED
    missed = (open_ & there).sum(axis=1)
    return Train(at, worth, period, pp, missed, np.sort(np.where(open_, NAN, empty), axis=1), score)


def _beyond(
    found: Candidates, at: np.ndarray, worth: np.ndarray, period: np.ndarray, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places before and behind a train, on which it goes on until other P waves come, as behind a premature one."""
    others = is_clear(found, worth, np.zeros(found.at.shape, bool))
    first, last = at[:, 0], np.fmax.reduce(at, axis=1)
    low = np.where(others & (found.at < (first - REACH * period)[:, None]), found.at, -np.inf).max(axis=1)
    high = np.where(others & (found.at > (last + REACH * period)[:, None]), found.at, np.inf).min(axis=1)
    low, high = np.where(np.isinf(low), HALF, low), np.where(np.isinf(high), samples - HALF, high)
    on = period[:, None] * np.arange(1, samples // REFRACTORY)
    before, behind = first[:, None] - on, last[:, None] + on
    low, high = (low + REACH * period)[:, None], (high - REACH * period)[:, None]
    return np.where(before > low, before, NAN), np.where(behind < high, behind, NAN)


def is_clear(found: Candidates, train_worth: np.ndarray, dim: np.ndarray) -> np.ndarray:
    """Which candidates are P waves also where no train wants one, bool (n, ...); `dim`: those where T was."""
    worth = found.worth / _best(train_worth)[:, None]
    enough = worth > np.where(dim, EXTRA_WORTH[1], EXTRA_WORTH[0])
    return enough & (found.height > EXTRA_HEIGHT[0]) & (found.height < EXTRA_HEIGHT[1])


def with_hidden(train: Train, which: np.ndarray, leads: np.ndarray, blind: np.ndarray, peaks: np.ndarray) -> Train:
    """The trains, some with the P waves that hide in T half way between the others, where there are such.

    Parameters
    ----------
    train
    which : int (m,)
        The trains that are looked at.
    leads : float (m, leads, samples)
        With the beats.
    blind : bool (n, samples)
        Where QRS hides all else.
    peaks : float (n, most beats)
    """
    rr = median_of_known(np.diff(peaks, axis=1))
    slow = (rr >= SLOW) & (np.abs(train.period / rr - 1) <= SAME_RATE)
    for i, x in zip(which, leads, strict=True):
        at = train.at[i, : train.length[i]]
        hidden = _hidden(at, train.period[i], x, blind[i]) if slow[i] else np.empty(0)
        if len(hidden):
            train = _with(train, i, hidden)
    return train


def _hidden(at: np.ndarray, period: float, leads: np.ndarray, blind: np.ndarray) -> np.ndarray:
    """P waves that hide in T half way between those `at` (P waves,) of one window, none or a few."""
    gaps = np.diff(at)
    middles = np.rint(at[:-1] + gaps / 2)[np.abs(gaps / period - 1) < KEPT].astype(int)
    middles = middles[~blind[middles[:, None] + np.arange(-CORE - MOVED, CORE + MOVED + 1)].any(axis=1)]
    if len(middles) < MIN_P:
        return middles[:0]
    usual = _above_curve(leads, np.rint(at).astype(int))
    for shift in sorted(range(-MOVED, MOVED + 1), key=abs):
        wave = _above_curve(leads, middles + shift)
        product, size = (wave * usual).sum(), (usual**2).sum()
        if product > HALF_HEIGHT * size and product > HALF_FIT * np.sqrt(size * (wave**2).sum()):
            return middles + shift
    return middles[:0]


def _with(train: Train, i: int, hidden: np.ndarray) -> Train:
    """The trains, that of window i with further P waves in the middles between the others."""
    at, worth = (np.pad(x, ((0, 0), (0, len(hidden))), constant_values=NAN) for x in (train.at, train.worth))
    n = train.length[i]
    at[i, n : n + len(hidden)], worth[i, n : n + len(hidden)] = hidden, median_of_known(train.worth[i : i + 1])
    order = np.argsort(at[i])
    at[i], worth[i] = at[i, order], worth[i, order]
    half = np.where(np.arange(len(at)) == i, 0.5, 1)
    return train._replace(at=at, worth=worth, period=train.period * half, pp=train.pp * half[:, None])


def _above_curve(leads: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The median of what stands above a curve of third degree through its surroundings: (leads, 2 CORE + 1)."""
    time = np.arange(-WIDE, WIDE + 1)
    powers = (time[:, None] / WIDE) ** np.arange(4)
    outside = np.abs(time) > CORE
    waves = cut_beats(leads, at, WIDE, WIDE + 1)
    curve = waves[:, :, outside] @ np.linalg.pinv(powers[outside]).T @ powers.T
    return np.median(waves - curve, axis=0)[:, ~outside]
