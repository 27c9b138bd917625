"""The shapes of the median beat: J point, ST segment, T, U, notches of QRS, delta wave, PR segment and the parts of P.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise. What a
signal of 100 Hz cannot show is not here: an epsilon wave lies above 40 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ecgclip.ecg import V1, V6
from ecgclip.measure.batch import NAN, Columns, columns
from ecgclip.measure.course import OF_COURSE
from ecgclip.measure.median import FINE, STEP, Edges, largest_deflection, maxima
from ecgclip.measure.qrs_shape import measure_qrs_shape
from ecgclip.measure.t_shape import measure_t, measure_u, t_apex

# ST
J_HALF = 2  # the level at the J point is a mean over 10 ms
SLOPE = 40  # 80 ms: the slope of ST is taken from J so far on (udmi-2018 has J + 60 or 80 ms for its level)
MIN_ST_BEATS = 4  # with fewer, the scatter of ST is not measured
# P and the PR segment
TP_BEFORE, TP_UNTIL = 20, 5  # the level before P is taken from 40 to 10 ms before it
MIN_P = 6  # 12 ms
P_TURN_MV, P_TURN_SHARE = 0.01, 0.1  # mV and part of P: a notch of P is as deep
# I and II as they follow from V1 to V6 on average: least squares over the median beats of 394 ECGs of PTB-XL's folds 1
# to 8. With I or II upside down 99 % fit by 0.3 or less, as 4 % of others do; exchanged LA and LL fit well.
LIMB_OF_CHEST = np.array([[-0.59, 0.26, 0.07, -0.09, -0.06, 0.51], [0.0, -0.05, 0.11, 0.14, -0.23, 0.75]])


@dataclass(frozen=True)
class Shape:
    """The shapes of an ECG.

    Arrays of 12 are by lead in standard order; NaN is "not measurable". Levels are over that before QRS.
    """

    j_mv: np.ndarray  # (12,) level at the J point
    st_slope: np.ndarray  # (12,) mV/s, from J to J + 80 ms
    st_curve_mv: np.ndarray  # (12,) middle of the line from J to the apex of T, over ST there: above 0 is concave
    st_length_ms: float  # from J to the onset of T
    st_scatter_mv: np.ndarray  # (12,) standard deviation of the ST level over the beats
    t_symmetry: np.ndarray  # (12,) shorter of rise and fall over longer, from a quarter of its height on
    t_width_ms: np.ndarray  # (12,) at half height
    t_after_mv: np.ndarray  # (12,) the second phase of a T with two, signed; 0 with one
    t_notched: np.ndarray  # (12,) 1 with two peaks, 0 with one
    u_mv: np.ndarray  # (12,) height over the level behind it; 0 without a U wave
    r_peak_ms: np.ndarray  # (12,) from the onset of QRS to the last R peak; NaN without R
    j_wave_mv: np.ndarray  # (12,) height of a notch at the end of QRS; 0 without; NaN where QRS may be slurred
    notches: np.ndarray  # (12,) of R and S, and R'; at 100 Hz four of ten are not seen
    s_to_j_ms: np.ndarray  # (12,) from the lowest point of QRS to J; NaN without a negative wave
    delta_mv: np.ndarray  # (12,) mean of the first 40 ms of QRS
    pr_level_mv: np.ndarray  # (12,) level of the PR segment over that before P
    p_start_mv: np.ndarray  # (12,) the largest deflection in the first half of P, signed
    p_end_mv: np.ndarray  # (12,) and in its last third
    p_notch_ms: np.ndarray  # (12,) between two peaks of P; 0 with one
    limb_chest_fit: float  # correlation of I, and of II, with what V1 to V6 let expect: the lower one
    # Q, R, S and R' as in a `Measurement`, but a raised J point is no R or R', and a lowered one no S
    q_mv: np.ndarray
    q_ms: np.ndarray
    r_mv: np.ndarray
    r_ms: np.ndarray
    s_mv: np.ndarray
    s_ms: np.ndarray
    rprime_mv: np.ndarray
    # of the beats: by how much two neighbours differ that take turns
    t_alternans_mv: float
    qrs_alternans: float  # %, root mean square
    axis_alternation_deg: float
    # of the whole window, with or without beats
    signal_height_mv: float  # peak to peak, median of leads
    wave_rate: float  # per minute, at which the course repeats itself
    chaos: float  # 0 to 1: high where it never rests and does not repeat itself
    sine_wave: float  # 1 where it is one, 0 where not
    axis_twist: float  # 1 where fast waves wax and wane from lead to lead, 0 where not


def no_shape(n: int) -> Columns:
    """The shapes of n ECGs without a beat, apart from their course as a whole."""
    nothing = {f.name: np.full(n if f.type == "float" else (n, 12), NAN) for f in fields(Shape)}
    return {name: value for name, value in nothing.items() if name not in OF_COURSE}


def measure_shape(beat: np.ndarray, beats: np.ndarray, counts: np.ndarray, mask: np.ndarray, edges: Edges) -> Columns:
    """Measure the shapes of median beats.

    Parameters
    ----------
    beat : float (n, 12, samples), mV over the level before QRS
        The median beats.
    beats : float (beats of all, 12, samples at 100 Hz), mV
        The beats that each is the median of, one after the other.
    counts : int (n,)
        How many those are.
    mask : bool (12,)
    edges : Edges
        Arrays (n,).
    """
    parts = zip(beat, np.split(beats, np.cumsum(counts)[:-1]), strict=True)
    rows = []
    for i, (x, of_beat) in enumerate(parts):
        rows.append(_measure_shape(x, of_beat, mask, Edges(*(np.asarray(e)[i].item() for e in edges))))
    return columns(rows)


def _measure_shape(beat: np.ndarray, beats: np.ndarray, mask: np.ndarray, edges: Edges) -> dict[str, Any]:
    """Measure the shapes of the median beat.

    Parameters
    ----------
    beat : float (12, samples), mV over the level before QRS
        The median beat.
    beats : float (beats, 12, samples at 100 Hz), mV
    mask : bool (12,)
    edges : Edges

    Returns
    -------
    dict
        Fields of a `Shape`.
    """
    by_lead = {
        **_st(beat, edges),
        "st_scatter_mv": _st_scatter(beats, edges),
        **measure_t(beat, edges),
        "u_mv": measure_u(beat, edges),
        **measure_qrs_shape(beat, edges),
        **_p_wave(beat, edges),
    }
    rows: dict[str, Any] = {name: np.where(mask, row, NAN) for name, row in by_lead.items()}
    fit = _limb_chest_fit(beat[:, edges.p_onset : edges.end]) if mask.all() else NAN
    return rows | {"st_length_ms": _st_length(beat[mask], edges), "limb_chest_fit": fit}


# ---------------------------------------------------------------------------------------------------------------------
# ST


def _st(beat: np.ndarray, edges: Edges) -> dict[str, np.ndarray]:
    """Level at J, slope and curve of ST."""
    j = edges.offset
    level = beat[:, j - J_HALF : j + J_HALF + 1].mean(axis=1)
    part = beat[:, j : j + SLOPE + 1]
    time = (np.arange(part.shape[1]) - (part.shape[1] - 1) / 2) * STEP / 1000
    leads, apex = np.arange(len(beat)), t_apex(beat, edges)
    middle = (j + apex) // 2
    return {
        "j_mv": level,
        "st_slope": part @ time / (time**2).sum(),
        "st_curve_mv": (level + beat[leads, apex]) / 2 - beat[leads, middle],
    }


def _st_length(beat: np.ndarray, edges: Edges) -> float:
    """From J to where the tangent at the steepest rise of T meets the least level of ST before, over all leads, ms."""
    size = np.sqrt((beat[:, edges.offset : edges.peak + 1] ** 2).mean(axis=0))
    if len(size) < J_HALF * 4:
        return NAN
    low = int(np.argmin(size))
    slope = np.gradient(size)
    steep = low + int(np.argmax(slope[low:]))
    if slope[steep] <= 0:
        return 0.0  # T falls from J on
    return float(max(steep - (size[steep] - size[low]) / slope[steep], 0) * STEP)


def _st_scatter(beats: np.ndarray, edges: Edges) -> np.ndarray:
    """Standard deviation of the ST level over the beats, (12,)."""
    if len(beats) < MIN_ST_BEATS:
        return np.full(beats.shape[1], NAN)
    before, after = edges.start // FINE, (edges.offset + SLOPE) // FINE
    level = beats[:, :, max(before - 3, 0) : max(before, 1)].mean(axis=2)
    return np.std(beats[:, :, after - 1 : after + 2].mean(axis=2) - level, axis=0)


# ---------------------------------------------------------------------------------------------------------------------
# P


def _p_wave(beat: np.ndarray, edges: Edges) -> dict[str, np.ndarray]:
    """PR segment, start, end and notch of P."""
    names = ("pr_level_mv", "p_start_mv", "p_end_mv", "p_notch_ms")
    first, last = edges.p_onset, edges.p_offset
    if last - first < MIN_P:
        return {name: np.full(len(beat), NAN) for name in names}
    p = beat[:, first : last + 1]
    p = p - np.linspace(p[:, 0], p[:, -1], p.shape[1], axis=1)
    half, third = p.shape[1] // 2, p.shape[1] // 3
    table = (_pr_level(beat, edges), largest_deflection(p[:, :half]), largest_deflection(p[:, -third:]), _p_notch(p))
    return dict(zip(names, table, strict=True))


def _pr_level(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The level of the PR segment over that before P; NaN where P follows T too soon."""
    first = edges.p_onset
    t_end = edges.end - edges.rr / STEP
    if first < TP_BEFORE or t_end > first - TP_BEFORE:
        return np.full(len(beat), NAN)
    before = beat[:, first - TP_BEFORE : first - TP_UNTIL].mean(axis=1)
    return -before  # the level before QRS, the end of the PR segment, is 0


def _p_notch(p: np.ndarray) -> np.ndarray:
    """The distance of the first and last peak of P in each lead, ms."""
    distance = np.zeros(len(p))
    for lead, row in enumerate(p * np.sign(largest_deflection(p))[:, None]):
        peaks = maxima(row, max(P_TURN_MV, P_TURN_SHARE * row.max()))
        distance[lead] = (peaks[-1] - peaks[0]) * STEP if len(peaks) > 1 else 0.0
    return distance


# ---------------------------------------------------------------------------------------------------------------------
# The leads together


def _limb_chest_fit(beat: np.ndarray) -> float:
    """The lower correlation of I and II with what the chest leads let expect; beat: (12, samples) from P to T."""
    limb, expected = beat[:2], LIMB_OF_CHEST @ beat[V1 : V6 + 1]
    norms = np.linalg.norm(limb, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((limb * expected).sum(axis=1) / np.maximum(norms, 1e-9)).min())
