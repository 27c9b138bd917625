"""Where P waves are: the QRS-T of each class of beats is taken away, and what is left is searched by P's own shape.

Signals of n windows are (n, leads, samples) in mV at 100 Hz; times are samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.measure.arrays import NAN, cut_beats, median_of_groups, padded, parts, pick
from ecgclip.measure.batch import Batch, Columns
from ecgclip.measure.beats import SAME_SHAPE
from ecgclip.peaks import RATE

MS = 1000 / RATE  # of a sample
# What is taken away of a beat: QRS, and T until it has ended
QRS_BEFORE, QRS_AFTER = 12, 14  # samples before and after R that QRS may take
LEAST_BEFORE = 5  # samples before R that it takes at least
QRS_SPEED = 0.12  # of the fastest: QRS is faster
BESIDE = 3  # samples after QRS that its slopes still disturb
T_END = (18, 48)  # samples after R where T ends, at least and at most
T_SHARE = 0.68  # of R-R: T has ended by then
TAIL, TAIL_FALL = 12, 4.0  # samples after T in which its foot is taken away, and the time in which that falls to 1/e
GAINS, SHIFTS = (0.6, 1.4), (-2.0, 2.0)  # how T of one beat may differ from that of its class: height; samples
# P as the search sees it
BAND = (1.0, 14.0)  # Hz: P has its energy there, and the baseline little
HALF = 7  # samples on either side of the top of P
SINUS_P = np.array([0.05, 0.11, 0.06, -0.08, 0.0, 0.085, 0.02, 0.04, 0.05, 0.05, 0.05, 0.04])  # mV: to start from
BUMP = 2.6  # samples: SD of the course that the search starts from
ROUNDS, SURE = 2, 8  # how often P's shape is taken anew from the P waves found, and from how many of them
LOCKED = 0.75  # consistency of the P window before QRS from which the search starts with what is there
LONGEST_PQ = 38  # samples from the top of P to R, at most
CLEAR = 0.25  # share of QRS in a P wave that its shape is not taken from
OPEN = 0.6  # of P's energy: so much of it must lie outside QRS
MIN_HEIGHT, MIN_FIT = 0.35, 0.4  # of the usual P, and correlation with its shape over all leads
REFRACTORY = 20  # samples: no second P sooner
MAX_CANDIDATES = 26
AT_A_TIME = 8  # windows whose beats are taken away at a time: what is in work then stays in the processor's cache


class Rest(NamedTuple):
    """What is left of n windows when the beats are taken away.

    signal: (n, leads, samples), 0 where QRS is
    blind: bool (n, samples), where QRS hides all else
    dim: bool (n, samples), where T was taken away, and with it a P wave that always falls there
    usual: bool (n, most beats), of the commonest shape; False behind the last beat
    """

    signal: np.ndarray
    blind: np.ndarray
    dim: np.ndarray
    usual: np.ndarray

    def of(self, rows: np.ndarray) -> Rest:
        """That of some of the windows, int (m,)."""
        return self if len(rows) == len(self.signal) else Rest(*(x[rows] for x in self))


class Candidates(NamedTuple):
    """Waves of n windows that may be P, by time; NaN behind the last one of each window.

    at: (n, MAX_CANDIDATES), where their tops are
    height: (n, MAX_CANDIDATES), of the usual P
    fit: (n, MAX_CANDIDATES), correlation with its shape
    course, by_lead: (n, 2 HALF + 1), (n, leads), of the shape they were found by
    """

    at: np.ndarray
    height: np.ndarray
    fit: np.ndarray
    course: np.ndarray
    by_lead: np.ndarray

    @property
    def worth(self) -> np.ndarray:
        """How much each looks like P, 0 to 1."""
        return np.minimum(self.height, 1) * self.fit


# ---------------------------------------------------------------------------------------------------------------------
# The beats are taken away


class _Classes(NamedTuple):
    """The beats of some windows by the shape of QRS, the beats of a class one after the other.

    window, at: int (beats,)
    t_end: int (beats,), samples after R
    counts: int (classes,), beats of each
    first, last, end: int (classes,), of QRS and the end of T, samples from `QRS_BEFORE` before R
    """

    window: np.ndarray
    at: np.ndarray
    t_end: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    last: np.ndarray
    end: np.ndarray


def take_away_beats(batch: Batch, lead_rows: np.ndarray, values: Columns) -> Rest:
    """Take the QRS-T of each beat away, as the median of its class has it, T fitted in height and time.

    Parameters
    ----------
    batch : Batch
        Each window has a beat.
    lead_rows : int (leads,)
        The leads from which they are taken away.
    values : dict
        Fields of a `Measurement`, (n,): qrs_ms, qt_ms, pr_ms, p_consistency.
    """
    n, samples = len(batch), batch.samples
    signal, blind, dim = (
        np.empty((n, len(lead_rows), samples)),
        np.zeros((n, samples), bool),
        np.zeros((n, samples), bool),
    )
    ends, kind, stop = _t_ends(batch, values), np.empty(len(batch.at), int), np.append(0, np.cumsum(batch.counts))
    for some in parts(n, AT_A_TIME):
        leads = np.take(batch.signal[some], lead_rows, axis=1)
        beats = slice(stop[some.start], stop[some.stop])
        window, at = batch.window[beats] - some.start, batch.at[beats]
        kind[beats] = _kinds(leads, window, at, batch.counts[some])
        classes, fitted = _fit(leads, window, at, ends[beats], kind[beats])
        _subtract(leads, blind[some], dim[some], classes, fitted)
        np.multiply(_band_pass(leads), np.where(blind[some], 0.0, 1.0)[:, None], out=signal[some])
    return Rest(signal, blind, dim, padded(kind == 0, batch.counts, False))


def _fit(
    leads: np.ndarray, window: np.ndarray, at: np.ndarray, ends: np.ndarray, kind: np.ndarray
) -> tuple[_Classes, np.ndarray]:
    """The beats by class, and what is taken away of each from `QRS_BEFORE` before R: (beats, leads, samples)."""
    order = np.lexsort((kind, window))
    counts = np.unique(window * (kind.max() + 1) + kind, return_counts=True)[1]
    window, at, ends = window[order], at[order], ends[order]
    end = QRS_BEFORE + median_of_groups(ends, counts).astype(int)
    beats = cut_beats(leads, window, at, QRS_BEFORE, end.max() - QRS_BEFORE + TAIL)
    course = median_of_groups(beats, counts)
    classes = _Classes(window, at, ends, counts, *_qrs_extent(course), end)
    return classes, _fitted(beats, course, classes)


def _subtract(leads: np.ndarray, blind: np.ndarray, dim: np.ndarray, classes: _Classes, fitted: np.ndarray) -> None:
    """Take the fitted beats away, each until its own end of T has passed, and mark where QRS, and where QRS or T is.

    leads: (n, leads, samples), blind, dim: (n, samples); they are changed in place
    """
    at, n = classes.at, leads.shape[2]
    first, last, end = (np.repeat(x, classes.counts) - QRS_BEFORE for x in classes[-3:])
    high = np.minimum(at + np.minimum(classes.t_end, end) + TAIL, n)
    bounds = (np.maximum(at - QRS_BEFORE, 0), at, high, np.maximum(at + first - 1, 0), at + last + BESIDE)
    beats = zip(classes.window.tolist(), fitted, *(x.tolist() for x in bounds), strict=True)
    for i, wave, low, r, stop, qrs_on, qrs_off in beats:
        leads[i, :, low:stop] -= wave[:, low - r + QRS_BEFORE : stop - r + QRS_BEFORE]
        dim[i, r:stop] = True
        blind[i, qrs_on:qrs_off] = True


def _t_ends(batch: Batch, values: Columns) -> np.ndarray:
    """Where T of each beat ends at the latest, samples after R: (beats,)."""
    qrs = np.where(np.isfinite(values["qrs_ms"]), values["qrs_ms"], 100)
    qt = np.where(np.isfinite(values["qt_ms"]), values["qt_ms"], 400)
    pq = np.where(values["p_consistency"] > LOCKED, (values["pr_ms"] + 0.4 * qrs) / MS + 1, -np.inf)
    rr = np.diff(batch.at, append=0)
    rr[np.cumsum(batch.counts) - 1] = 2 * RATE  # behind the last beat
    before_p = np.minimum(T_SHARE * rr, rr - pq[batch.window])
    usual = np.clip((qt - 0.4 * qrs) / MS, *T_END)[batch.window]
    return np.maximum(np.minimum(usual, before_p), T_END[0]).astype(int)


def _kinds(leads: np.ndarray, window: np.ndarray, at: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The shape of QRS of each beat, int (beats,): 0 is the commonest of its window."""
    shapes = cut_beats(leads, window, at, QRS_BEFORE, QRS_AFTER)
    shapes -= shapes.mean(axis=2, keepdims=True)
    there = np.arange(counts.max()) < counts[:, None]
    of_window = np.zeros((*there.shape, shapes[0].size))
    of_window[there] = shapes.reshape(len(shapes), -1)
    product = of_window @ of_window.transpose(0, 2, 1)
    size = np.maximum(np.sqrt(product.diagonal(axis1=1, axis2=2)), 1e-9)
    return kinds(product > SAME_SHAPE * size[:, :, None] * size[:, None], there)[there]


def kinds(alike: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The kind of each thing, int (n, things): 0 are those like the one that most are like, and so on with the others.

    Parameters
    ----------
    alike : bool (n, things, things)
    there : bool (n, things)
        Those that there are; the others are of kind -1.
    """
    kind, left = np.full(there.shape, -1), there.copy()
    alike = alike | np.eye(there.shape[1], dtype=bool)  # a beat that is flat in these leads is like none but itself
    windows, k = np.flatnonzero(left.any(axis=1)), 0
    while len(windows):
        like = alike[windows] & left[windows, None]
        centre = np.argmax(like.sum(axis=2) * left[windows], axis=1)
        group = like[np.arange(len(windows)), centre]
        kind[windows] = np.where(group, k, kind[windows])
        left[windows] &= ~group
        windows, k = windows[left[windows].any(axis=1)], k + 1
    return kind


def _qrs_extent(course: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last sample of QRS in median courses (classes, leads, samples), which have R at `QRS_BEFORE`."""
    slope = np.gradient(course[:, :, : QRS_BEFORE + QRS_AFTER + 1], axis=2)[:, :, :-1]
    speed = np.sqrt((slope**2).sum(axis=1))
    fast = speed > QRS_SPEED * speed[:, QRS_BEFORE - 3 : QRS_BEFORE + 4].max(axis=1, keepdims=True)
    first = np.maximum(np.minimum(np.argmax(fast, axis=1) - 1, QRS_BEFORE - LEAST_BEFORE), 1)
    last = speed.shape[1] - np.argmax(fast[:, ::-1], axis=1)
    any_fast = fast.any(axis=1)
    return np.where(any_fast, first, QRS_BEFORE - LEAST_BEFORE), np.where(any_fast, last, QRS_BEFORE + LEAST_BEFORE)


def _fitted(beats: np.ndarray, course: np.ndarray, classes: _Classes) -> np.ndarray:
    """The median courses (classes, leads, samples), T fitted to each beat in height and time: (beats, ...) again."""
    beats = beats - _level(beats, np.repeat(classes.first, classes.counts))
    course, time = _ending(course - _level(course, classes.first), classes), np.arange(course.shape[2])
    course *= (time >= classes.first[:, None])[:, None]
    bend, final, every = np.gradient(course, axis=2), classes.end + TAIL - 1, np.arange(len(course))
    bend[every, :, final] = course[every, :, final] - course[every, :, final - 1]
    behind = ((time >= classes.last[:, None] + BESIDE) & (time <= final[:, None]))[:, None]
    t_wave = behind & (time < classes.end[:, None])[:, None]
    flat = lambda *x: np.stack(x, axis=1).reshape(len(course), len(x), -1)
    basis, parts = flat(course * t_wave, bend * t_wave), flat(course * ~behind, course * behind, bend * behind)
    solve = np.linalg.inv(basis @ basis.transpose(0, 2, 1) + 1e-6 * np.eye(2)) @ basis
    fitted, stop = beats.reshape(len(beats), -1), np.cumsum(classes.counts)
    lowest, highest = np.transpose([GAINS, SHIFTS])
    for k, rows in enumerate(map(slice, stop - classes.counts, stop)):
        weights = fitted[rows] @ solve[k].T
        fitted[rows] = parts[k, 0] + np.minimum(np.maximum(weights, lowest), highest) @ parts[k, 1:]
    return fitted.reshape(beats.shape)


def _level(x: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The level of each (leads, samples) of x before QRS, which begins at `first`: (len(x), leads, 1)."""
    every = np.arange(len(x))
    return ((x[every, :, first - 1] + x[every, :, first]) / 2)[:, :, None]


def _ending(course: np.ndarray, classes: _Classes) -> np.ndarray:
    """The courses with a foot of T that falls away behind its end; what is higher is not T."""
    after = np.arange(course.shape[2]) - classes.end[:, None] + 1
    fall = np.where(after > TAIL, 0, np.exp(-np.maximum(after, 0) / TAIL_FALL))[:, None]
    foot = np.abs(course[np.arange(len(course)), :, classes.end - 1])[:, :, None] * fall
    return np.where(after[:, None] > 0, np.clip(course, -foot, foot), course)


def _band_pass(x: np.ndarray) -> np.ndarray:
    """(n, leads, samples) in `BAND`, without a shift."""
    n, edge = x.shape[2], RATE // 2
    size = 1 << (n + RATE).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    gain = 1 / (1 + (BAND[0] / np.maximum(hertz, 1e-3)) ** 4) / (1 + (hertz / BAND[1]) ** 8)
    wide = np.empty((*x.shape[:2], n + 2 * edge))
    np.subtract(x, x.mean(axis=2, keepdims=True), out=wide[:, :, edge:-edge])
    wide[:, :, :edge], wide[:, :, -edge:] = wide[:, :, edge, None], wide[:, :, -edge - 1, None]
    spectrum = np.fft.rfft(wide, size)
    spectrum.view(float)[:] *= np.repeat(gain, 2)  # real and imaginary part
    return np.fft.irfft(spectrum, size)[:, :, edge : edge + n]


# ---------------------------------------------------------------------------------------------------------------------
# The search


def shapes_before_qrs(rest: Rest, batch: Batch, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What comes back before QRS in some of the windows, the shape of P to start from.

    Returns
    -------
    int (m,)
        Those of the windows that have two beats or more to tell from.
    float (m, leads, 2 HALF + 1)
    """
    inside = (batch.at > LONGEST_PQ + HALF) & np.isin(batch.window, windows)
    counts = np.bincount(batch.window[inside], minlength=len(batch))
    inside &= counts[batch.window] > 1
    windows = np.flatnonzero(counts > 1)
    beats = cut_beats(rest.signal, batch.window[inside], batch.at[inside], LONGEST_PQ + HALF, HALF)
    course = median_of_groups(beats, counts[windows])
    main, _ = _main(course[:, :, HALF : LONGEST_PQ + HALF - 3])
    top = HALF + np.argmax(np.abs(main), axis=1)
    around = top[:, None, None] + np.arange(-HALF, HALF + 1)
    every, lead = np.arange(len(course))[:, None, None], np.arange(course.shape[1])[:, None]
    return windows, course[every, lead, around]


def sinus_shape(lead_rows: np.ndarray) -> np.ndarray:
    """A sinus P in some of the 12 leads, (leads, 2 HALF + 1): a shape to start from."""
    bump = np.exp(-0.5 * (np.arange(-HALF, HALF + 1) / BUMP) ** 2)
    return SINUS_P[lead_rows][:, None] * (bump - bump.mean())


def search(rest: Rest, shape: np.ndarray) -> Candidates:
    """Waves of P's shape (n, leads, 2 HALF + 1), which is taken anew from the best of them."""
    energy = _correlate(np.einsum("nls,nls->ns", rest.signal, rest.signal), np.ones((len(shape), 2 * HALF + 1)))
    found = _match(rest, energy, shape)
    for _ in range(ROUNDS - 1):
        enough = ~np.isnan(found.at[:, 2])
        found = _match(rest, energy, np.where(enough[:, None, None], _shape_anew(rest, found), shape))
    return found


def _shape_anew(rest: Rest, found: Candidates) -> np.ndarray:
    """The median of the waves that look most like P and that QRS does not hide, (n, leads, 2 HALF + 1)."""
    best = np.argsort(-found.worth, axis=1)[:, :SURE]
    at = pick(found.at, best)
    there = ~np.isnan(at)
    window = np.nonzero(there)[0]
    at = np.rint(at[there]).astype(int)
    seen = there.copy()
    seen[there] = cut_beats(rest.blind[:, None], window, at, HALF, HALF + 1).mean(axis=(1, 2)) < CLEAR
    chosen = np.where(seen.sum(axis=1, keepdims=True) > 2, seen, there)
    waves = cut_beats(rest.signal, window[chosen[there]], at[chosen[there]], HALF, HALF + 1)
    return median_of_groups(waves, chosen.sum(axis=1))


def _match(rest: Rest, energy: np.ndarray, shape: np.ndarray) -> Candidates:
    """Where the rest looks like a shape, whose main component over the leads is its course.

    energy: (n, samples), of the rest in a window as long as the shape
    """
    course, by_lead = _main(shape)
    along = _correlate((by_lead[:, None] @ rest.signal)[:, 0], course)
    own = _correlate(~rest.blind, course**2)  # the energy of P, where QRS does not hide it
    height = along / np.maximum(own, 1e-9)
    inner = height[:, 1:-1]
    window, at = np.nonzero((inner >= height[:, :-2]) & (inner > height[:, 2:]) & (inner > MIN_HEIGHT))
    at += 1
    open_, top = own[window, at], height[window, at]
    fit = along[window, at] / np.sqrt(np.maximum(open_ * energy[window, at], 1e-12))
    likely = (open_ > OPEN * (course**2).sum(axis=1)[window]) & (fit > MIN_FIT)
    likely[likely] = _apart(window[likely], at[likely], (np.minimum(top, 1) * fit)[likely])
    window, at, top, fit = window[likely], at[likely], top[likely], fit[likely]
    before, after = height[window, at - 1], height[window, at + 1]
    shift = 0.5 * (before - after) / np.minimum(before - 2 * top + after, -1e-9)  # the top of a parabola
    there = np.arange(MAX_CANDIDATES) < np.bincount(window, minlength=len(shape))[:, None]
    columns = np.full((3, *there.shape), NAN)
    columns[:, there] = at + np.minimum(np.maximum(shift, -0.5), 0.5), top, fit
    return Candidates(columns[0], columns[1], columns[2], course, by_lead)


def _apart(window: np.ndarray, at: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Which waves are left, bool (waves,), when the best come first and none is nearer than `REFRACTORY` to another.

    Parameters
    ----------
    window, at : int (waves,)
        The window and the place of each, window by window.
    worth : float (waves,)
    """
    counts = np.bincount(window)
    there = np.arange(counts.max(initial=0)) < counts[:, None]
    at, worth = padded(at, counts), padded(worth, counts, -np.inf)
    order = np.argsort(-worth, axis=1, kind="stable")
    rank = np.argsort(order, axis=1)
    near = np.abs(at[:, :, None] - at[:, None]) < REFRACTORY
    better = near & (rank[:, :, None] > rank[:, None])
    left, kept = there.copy(), np.zeros(there.shape, bool)
    while left.any():  # each that is the best of those near it
        best = left & ~(better & left[:, None]).any(axis=2)
        kept |= best
        left &= ~(near & best[:, None]).any(axis=2)
    return (kept & (pick(np.cumsum(pick(kept, order), axis=1), rank) <= MAX_CANDIDATES))[there]


def _main(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The main component of shapes (n, leads, samples): its course (n, samples), and how the leads see it."""
    left, size, right = np.linalg.svd(shape, full_matrices=False)
    return right[:, 0] * size[:, :1], left[:, :, 0]


def _correlate(x: np.ndarray, course: np.ndarray) -> np.ndarray:
    """Each of x (n, samples) around each of its samples with its course (n, 2 HALF + 1); 0 beyond the ends."""
    wide = np.zeros((len(x), x.shape[1] + 2 * HALF))
    wide[:, HALF:-HALF] = x
    return (np.lib.stride_tricks.sliding_window_view(wide, course.shape[1], axis=1) @ course[:, :, None])[:, :, 0]
