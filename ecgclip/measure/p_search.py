"""Where P waves are: the QRS-T of each class of beats is taken away, and what is left is searched by P's own shape.

Signals are (leads, samples) in mV at 100 Hz; times are samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ecgclip.measure.beats import SAME_SHAPE
from ecgclip.peaks import RATE, cut_beats

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


class Rest(NamedTuple):
    """What is left when the beats are taken away.

    signal: (leads, samples), 0 where QRS is
    blind: bool (samples,), where QRS hides all else
    dim: bool (samples,), where T was taken away, and with it a P wave that always falls there
    usual: bool (beats,), of the commonest shape
    """

    signal: np.ndarray
    blind: np.ndarray
    dim: np.ndarray
    usual: np.ndarray


class Candidates(NamedTuple):
    """Waves that may be P.

    at: where their tops are
    height: of the usual P
    fit: correlation with its shape
    shape: the shape they were found by, (leads, 2 HALF + 1)
    """

    at: np.ndarray
    height: np.ndarray
    fit: np.ndarray
    shape: np.ndarray

    @property
    def worth(self) -> np.ndarray:
        """How much each looks like P, 0 to 1."""
        return np.minimum(self.height, 1) * self.fit


# ---------------------------------------------------------------------------------------------------------------------
# The beats are taken away


def take_away_beats(leads: np.ndarray, peaks: np.ndarray, values: dict[str, Any]) -> Rest:
    """Take the QRS-T of each beat away, as the median of its class has it, T fitted in height and time.

    Parameters
    ----------
    leads : float (leads, samples)
    peaks : int (beats,)
    values : dict
        Fields of a `Measurement`: qrs_ms, qt_ms, pr_ms, p_consistency.
    """
    n = leads.shape[1]
    rest, blind, dim = leads.copy(), np.zeros(n, bool), np.zeros(n, bool)
    ends = _t_ends(peaks, values)
    classes = _classes(leads, peaks)
    for rows in classes:
        end = QRS_BEFORE + int(np.median(ends[rows]))
        beats = cut_beats(leads, peaks[rows], QRS_BEFORE, end - QRS_BEFORE + TAIL)
        course = np.median(beats, axis=0)
        first, last = _qrs_extent(course)
        fitted = _fitted(beats, course, first, last, end)
        for at, own_end, beat in zip(peaks[rows], ends[rows], fitted, strict=True):
            low, high = max(at - QRS_BEFORE, 0), min(at + own_end + TAIL, at - QRS_BEFORE + beat.shape[1], n)
            rest[:, low:high] -= beat[:, low - at + QRS_BEFORE : high - at + QRS_BEFORE]
            dim[at:high] = True
            blind[max(at - QRS_BEFORE + first - 1, 0) : at - QRS_BEFORE + last + BESIDE] = True
    rest = _band_pass(rest)
    rest[:, blind] = 0
    return Rest(rest, blind, dim, np.isin(np.arange(len(peaks)), classes[0]))


def _t_ends(peaks: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """Where T of each beat ends at the latest, samples after R."""
    qrs = values["qrs_ms"] if np.isfinite(values["qrs_ms"]) else 100
    qt = values["qt_ms"] if np.isfinite(values["qt_ms"]) else 400
    rr = np.diff(peaks, append=peaks[-1] + 2 * RATE)
    before_p = T_SHARE * rr
    if values["p_consistency"] > LOCKED:
        before_p = np.minimum(before_p, rr - (values["pr_ms"] + 0.4 * qrs) / MS - 1)
    return np.maximum(np.minimum(np.clip((qt - 0.4 * qrs) / MS, *T_END), before_p), T_END[0]).astype(int)


def _classes(leads: np.ndarray, peaks: np.ndarray) -> list[np.ndarray]:
    """Rows of the beats of each shape of QRS, the largest class first."""
    shapes = cut_beats(leads, peaks, QRS_BEFORE, QRS_AFTER)
    shapes = (shapes - shapes.mean(axis=2, keepdims=True)).reshape(len(peaks), -1)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-9)
    alike = shapes @ shapes.T > SAME_SHAPE
    np.fill_diagonal(alike, True)  # a beat that is flat in these leads is like none, not even itself
    left, classes = np.ones(len(peaks), bool), []
    while left.any():
        centre = np.argmax((alike & left).sum(axis=1) * left)
        classes.append(np.flatnonzero(alike[centre] & left))
        left &= ~alike[centre]
        left[centre] = False
    return classes


def _qrs_extent(course: np.ndarray) -> tuple[int, int]:
    """First and last sample of QRS in the median course of a class, which has R at `QRS_BEFORE`."""
    speed = np.sqrt((np.gradient(course, axis=1) ** 2).sum(axis=0))[: QRS_BEFORE + QRS_AFTER]
    fast = np.flatnonzero(speed > QRS_SPEED * speed[QRS_BEFORE - 3 : QRS_BEFORE + 4].max())
    if not len(fast):
        return QRS_BEFORE - LEAST_BEFORE, QRS_BEFORE + LEAST_BEFORE
    return max(min(int(fast[0]) - 1, QRS_BEFORE - LEAST_BEFORE), 1), int(fast[-1]) + 1


def _fitted(beats: np.ndarray, course: np.ndarray, first: int, last: int, end: int) -> np.ndarray:
    """The median `course` of (beats, leads, samples), T fitted to each beat in height and time: (beats, ...) again."""
    level_before = slice(first - 1, first + 1)
    beats = beats - beats[:, :, level_before].mean(axis=2, keepdims=True)
    course = course - course[:, level_before].mean(axis=1, keepdims=True)
    course[:, :first] = 0
    # Behind the end of T its foot falls away, and what is higher is not T.
    level = np.abs(course[:, end - 1 : end]) * np.exp(-np.arange(1, TAIL + 1) / TAIL_FALL)
    course[:, end:] = np.clip(course[:, end:], -level, level)
    bend = np.gradient(course, axis=1)
    t_wave, behind = slice(last + BESIDE, end), slice(last + BESIDE, None)
    basis = np.stack([course[:, t_wave].ravel(), bend[:, t_wave].ravel()])
    gram = basis @ basis.T + 1e-6 * np.eye(2)
    gain, shift = np.linalg.solve(gram, basis @ beats[:, :, t_wave].reshape(len(beats), -1).T)
    fitted = np.tile(course, (len(beats), 1, 1))
    gain, shift = np.clip(gain, *GAINS)[:, None, None], np.clip(shift, *SHIFTS)[:, None, None]
    fitted[:, :, behind] = gain * course[:, behind] + shift * bend[:, behind]
    return fitted


def _band_pass(x: np.ndarray) -> np.ndarray:
    """(leads, samples) in `BAND`, without a shift."""
    n, edge = x.shape[1], RATE // 2
    size = 1 << (n + RATE).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    gain = 1 / (1 + (BAND[0] / np.maximum(hertz, 1e-3)) ** 4) / (1 + (hertz / BAND[1]) ** 8)
    padded = np.pad(x - x.mean(axis=1, keepdims=True), ((0, 0), (edge, edge)), "edge")
    return np.fft.irfft(np.fft.rfft(padded, size, axis=1) * gain, size, axis=1)[:, edge : edge + n]


# ---------------------------------------------------------------------------------------------------------------------
# The search


def first_shapes(rest: Rest, rows: np.ndarray, peaks: np.ndarray, consistency: float) -> list[np.ndarray]:
    """Shapes of P to start from, (leads, 2 HALF + 1): what comes back before QRS, and a sinus P."""
    shapes = []
    inside = peaks[peaks > LONGEST_PQ + HALF]
    if consistency > LOCKED and len(inside) > 1:
        course = np.median(cut_beats(rest.signal, inside, LONGEST_PQ + HALF, HALF), axis=0)
        _, _, right = np.linalg.svd(course[:, HALF : LONGEST_PQ + HALF - 3], full_matrices=False)
        top = HALF + int(np.argmax(np.abs(right[0])))
        shapes.append(course[:, top - HALF : top + HALF + 1])
    bump = np.exp(-0.5 * (np.arange(-HALF, HALF + 1) / BUMP) ** 2)
    return [*shapes, SINUS_P[rows][:, None] * (bump - bump.mean())]


def search(rest: Rest, shape: np.ndarray) -> Candidates:
    """Waves of P's shape, which is taken anew from the best of them."""
    energy = np.convolve((rest.signal**2).sum(axis=0), np.ones(2 * HALF + 1), "same")
    found = _match(rest, energy, shape)
    for _ in range(ROUNDS - 1):
        if len(found.at) < 3:
            break
        best = np.rint(found.at[np.argsort(-found.worth)[:SURE]]).astype(int)
        seen = cut_beats(rest.blind[None], best, HALF, HALF + 1).mean(axis=(1, 2)) < CLEAR
        waves = cut_beats(rest.signal, best[seen] if seen.sum() > 2 else best, HALF, HALF + 1)
        found = _match(rest, energy, np.median(waves, axis=0))
    return found


def _match(rest: Rest, energy: np.ndarray, shape: np.ndarray) -> Candidates:
    """Where the rest looks like a shape, whose main component over the leads is its course.

    energy: (samples,), of the rest in a window as long as the shape
    """
    left, size, right = np.linalg.svd(shape, full_matrices=False)
    course = right[0] * size[0]
    along = np.convolve(left[:, 0] @ rest.signal, course[::-1], "same")
    own = np.convolve(~rest.blind, (course**2)[::-1], "same")  # the energy of P, where QRS does not hide it
    height = along / np.maximum(own, 1e-9)
    fit = along / np.sqrt(np.maximum(own * energy, 1e-12))
    likely = (own > OPEN * (course**2).sum()) & (height > MIN_HEIGHT) & (fit > MIN_FIT)
    tops = 1 + np.flatnonzero((height[1:-1] >= height[:-2]) & (height[1:-1] > height[2:]) & likely[1:-1])
    tops = tops[np.argsort(-np.minimum(height[tops], 1) * fit[tops])]
    too_near = np.abs(tops[:, None] - tops) < REFRACTORY
    kept: list[int] = []
    for i in range(len(tops)):
        if not too_near[i, kept].any() and len(kept) < MAX_CANDIDATES:
            kept.append(i)
    at = np.sort(tops[kept])
    bend = height[at - 1] - 2 * height[at] + height[at + 1]
    shift = 0.5 * (height[at - 1] - height[at + 1]) / np.minimum(bend, -1e-9)  # the top of a parabola
    return Candidates(at + np.clip(shift, -0.5, 0.5), height[at], fit[at], shape)
