"""The shapes of T and U in the median beat: width, symmetry, second phase, notch.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

import numpy as np

from ecgclip.measure.arrays import NAN, at, cut, first_true, last_true
from ecgclip.measure.median import STEP, Edges, maxima

# T
MIN_T_MV = 0.1  # a smaller T has no shape (aha-ecg-2009-iv: flat)
T_BEFORE_PEAK, T_AFTER_QRS = 50, 25  # its apex is looked for as `t_mv` is: so long before the peak over all leads
PHASE_AFTER_J = 30  # 60 ms: phases of T are looked for from there
T_REST = 15  # 30 ms: so far behind its end T may still be falling
PHASE_MV = 0.05  # a smaller deflection is no phase of T
NOTCH_T_MV, NOTCH_T_SHARE = 0.03, 0.1  # mV and part of T: a notch is as deep
FOOT = 0.25  # of the height of T: rise and fall are taken from there on. At half height a normal T is nearly symmetric
SECOND_PEAK = 0.4  # of the higher one: the other peak of a notched T, and a clear second phase, is as high
# U
U_FROM, U_UNTIL, U_LEAST = 10, 140, 60  # 20 to 280 ms after T; with less than 120 ms before the next P, no U is told
U_LEVEL = 10  # samples: the level behind U is a mean over 20 ms
U_BEFORE_P = 10  # 20 ms before the next P
U_TURN_MV = 0.01  # a smaller rise is no wave


def measure_t(beat: np.ndarray, edges: Edges, apex: np.ndarray) -> dict[str, np.ndarray]:
    """Width, symmetry, second phase and notch of T, (n, 12) each; beat: (n, 12, samples), apex as of `t_apex`."""
    offset, stop = edges.offset, np.minimum(edges.end + T_REST, beat.shape[2])
    top = at(beat, apex)
    height, sign = np.abs(top), np.sign(top)[..., None]
    shaped = (height >= MIN_T_MV) & (apex > offset[:, None])
    wave, from_j = cut(beat, offset, stop) * sign, apex - offset[:, None]
    rises, falls = _sides(wave, from_j, np.stack([0.5 * height, FOOT * height]))
    width = (falls[0] + np.where(np.isnan(rises[0]), from_j, rises[0])) * STEP  # T that begins at J
    symmetry = np.minimum(rises[1], falls[1]) / np.maximum(rises[1], falls[1])
    phases = cut(beat, offset + PHASE_AFTER_J, stop)
    late = phases * sign
    least = np.maximum(NOTCH_T_MV, NOTCH_T_SHARE * height)
    peaks = np.count_nonzero(maxima(late, least) & (late > SECOND_PEAK * height[..., None]), axis=2)
    return {
        "t_width_ms": np.where(shaped, width, NAN),
        "t_symmetry": np.where(shaped, symmetry, NAN),
        "t_after_mv": np.where((stop > offset + PHASE_AFTER_J)[:, None], _second_phase(phases), NAN),
        "t_notched": np.where(shaped, peaks > 1, NAN),
    }


def _sides(wave: np.ndarray, apex: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long positive waves rise and fall from each height on, (heights, n, 12); NaN where they are never so low.

    wave: (n, 12, samples); apex: (n, 12); heights: (heights, n, 12)
    """
    low, before = wave < heights[..., None], np.arange(wave.shape[2]) < apex[..., None]
    return apex - last_true(low & before), first_true(low & ~before) - apex


def _second_phase(x: np.ndarray) -> np.ndarray:
    """The later of the two phases of T, signed, (n, 12); 0 if it has one phase; x: (n, 12, samples)."""
    top, bottom = x.argmax(axis=2), x.argmin(axis=2)
    two = (at(x, top) >= PHASE_MV) & (at(x, bottom) <= -PHASE_MV)
    return np.where(two, at(x, np.maximum(top, bottom)), 0.0)


def measure_u(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The height of U over the level behind it, (n, 12); beat: (n, 12, samples)."""
    first = edges.end + U_FROM
    stop = np.minimum(edges.p_onset + edges.rr / STEP - U_BEFORE_P, beat.shape[2]).astype(int)
    heights = np.full(beat.shape[:2], NAN)
    told = np.flatnonzero(stop - first >= U_LEAST)
    beat, first, stop = beat[told], first[told], stop[told]
    part = cut(beat, first, np.minimum(stop, first + U_UNTIL))
    over = part - cut(beat, stop - U_LEVEL, stop).mean(axis=2, keepdims=True)
    heights[told] = np.where(maxima(part, U_TURN_MV), over, 0).max(axis=2)
    return heights


def t_apex(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The apex of T in each lead, int (n, 12): the largest deflection, or that of a clear second phase."""
    stop = np.minimum(np.maximum(edges.end, edges.peak) + 1, beat.shape[2])
    first = np.minimum(np.maximum(edges.peak - T_BEFORE_PEAK, edges.offset + T_AFTER_QRS), edges.peak)
    largest = first[:, None] + np.abs(cut(beat, first, stop)).argmax(axis=2)
    begin = np.minimum(edges.offset + PHASE_AFTER_J, edges.peak)
    part = cut(beat, begin, stop)
    top, bottom = part.argmax(axis=2), part.argmin(axis=2)
    before, after = at(part, np.minimum(top, bottom)), at(part, np.maximum(top, bottom))
    two = (before * after < 0) & (np.abs(after) >= np.fmax(MIN_T_MV, SECOND_PEAK * np.abs(before)))
    return np.where(two, begin[:, None] + np.maximum(top, bottom), largest)
