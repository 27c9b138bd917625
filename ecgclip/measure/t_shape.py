"""The shapes of T and U in the median beat: width, symmetry, second phase, notch.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise.
"""

from __future__ import annotations

import numpy as np

from ecgclip.measure.batch import NAN
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


def measure_t(beat: np.ndarray, edges: Edges) -> dict[str, np.ndarray]:
    """Width, symmetry, second phase and notch of T."""
    table = np.full((4, len(beat)), NAN)
    stop = min(edges.end + T_REST, beat.shape[1])
    for lead, apex in enumerate(t_apex(beat, edges).tolist()):
        row = beat[lead]
        table[2, lead] = _second_phase(row[edges.offset + PHASE_AFTER_J : stop])
        height = abs(row[apex])
        if height < MIN_T_MV or apex <= edges.offset:
            continue
        wave = row[edges.offset : stop] * np.sign(row[apex])
        rise, fall = _sides(wave, apex - edges.offset, 0.5)
        table[0, lead] = (fall + (apex - edges.offset if np.isnan(rise) else rise)) * STEP  # T that begins at J
        rise, fall = _sides(wave, apex - edges.offset, FOOT)
        table[1, lead] = min(rise, fall) / max(rise, fall) if rise + fall > 0 else NAN
        least = max(NOTCH_T_MV, NOTCH_T_SHARE * height)
        peaks = [i for i in maxima(wave[PHASE_AFTER_J:], least) if wave[PHASE_AFTER_J + i] > SECOND_PEAK * height]
        table[3, lead] = len(peaks) > 1
    return dict(zip(("t_width_ms", "t_symmetry", "t_after_mv", "t_notched"), table, strict=True))


def _sides(wave: np.ndarray, apex: int, share: float) -> tuple[float, float]:
    """How long a positive wave rises and falls from a share of its height on; NaN where it does not get there."""
    low = wave < share * wave[apex]
    before, after = np.flatnonzero(low[:apex]), np.flatnonzero(low[apex:])
    return apex - before[-1] if len(before) else NAN, float(after[0]) if len(after) else NAN


def _second_phase(x: np.ndarray) -> float:
    """The later of the two phases of T, signed; 0 if it has one phase."""
    if not len(x):
        return NAN
    top, bottom = int(np.argmax(x)), int(np.argmin(x))
    if x[top] < PHASE_MV or x[bottom] > -PHASE_MV:
        return 0.0
    return float(x[max(top, bottom)])


def measure_u(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The height of U over the level behind it, (12,)."""
    stop = int(min(edges.p_onset + edges.rr / STEP - U_BEFORE_P, beat.shape[1]))
    part = beat[:, edges.end + U_FROM : stop]
    if part.shape[1] < U_LEAST:
        return np.full(len(beat), NAN)
    level = part[:, -U_LEVEL:].mean(axis=1)
    heights = np.zeros(len(beat))
    for lead, row in enumerate(part[:, :U_UNTIL]):
        heights[lead] = max((row[i] - level[lead] for i in maxima(row, U_TURN_MV)), default=0.0)
    return heights.clip(0)


def t_apex(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The apex of T in each lead, int (12,): the largest deflection, or that of a clear second phase."""
    stop = max(edges.end, edges.peak) + 1
    first = min(max(edges.peak - T_BEFORE_PEAK, edges.offset + T_AFTER_QRS), edges.peak)
    largest = first + np.argmax(np.abs(beat[:, first:stop]), axis=1)
    begin = min(edges.offset + PHASE_AFTER_J, edges.peak)
    part, leads = beat[:, begin:stop], np.arange(len(beat))
    top, bottom = np.argmax(part, axis=1), np.argmin(part, axis=1)
    before, after = (part[leads, at] for at in (np.minimum(top, bottom), np.maximum(top, bottom)))
    two = (before * after < 0) & (np.abs(after) >= np.fmax(MIN_T_MV, SECOND_PEAK * np.abs(before)))
    return np.where(two, begin + np.maximum(top, bottom), largest)
