"""The shapes of the median beat: J point, ST segment, T, U, notches of QRS, delta wave, PR segment and the parts of P.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise. What a
signal of 100 Hz cannot show is not here: an epsilon wave lies above 40 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ecgclip.ecg import V1
from ecgclip.measure.arrays import NAN, at, cut, first_true, last_true, std_of_groups
from ecgclip.measure.batch import Columns
from ecgclip.measure.course import OF_COURSE
from ecgclip.measure.median import FINE, STEP, Edges, largest_deflection, maxima
from ecgclip.measure.qrs_shape import measure_qrs_shape
from ecgclip.measure.t_shape import measure_t, measure_u, t_apex

# ST
J_HALF = 2  # the level at the J point is a mean over 10 ms
SLOPE = 40  # 80 ms: the slope of ST is taken from J so far on (udmi-2018 has J + 60 or 80 ms for its level)
LEAST_ST = 8  # 16 ms: the length of ST is not measured where T has its peak sooner
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
    """
    apex = t_apex(beat, edges)
    by_lead: Columns = {
        **_st(beat, edges, apex),
        "st_scatter_mv": _st_scatter(beats, counts, edges),
        **measure_t(beat, edges, apex),
        "u_mv": measure_u(beat, edges),
        **measure_qrs_shape(beat, edges),
        **_p_wave(beat, edges),
        "pr_level_mv": _pr_level(beat, edges),
    }
    if not mask.all():
        by_lead = {name: np.where(mask, value, NAN) for name, value in by_lead.items()}
    fit = _limb_chest_fit(beat, edges) if mask.all() else np.full(len(beat), NAN)
    return by_lead | {"st_length_ms": _st_length(beat, mask, edges), "limb_chest_fit": fit}


# ---------------------------------------------------------------------------------------------------------------------
# ST


def _st(beat: np.ndarray, edges: Edges, apex: np.ndarray) -> dict[str, np.ndarray]:
    """Level at J, slope and curve of ST, (n, 12) each; apex as of `t_apex`."""
    j = edges.offset
    level = cut(beat, j - J_HALF, j + J_HALF + 1).mean(axis=2)
    time = np.arange(-SLOPE // 2, SLOPE // 2 + 1) * STEP / 1000
    return {
        "j_mv": level,
        "st_slope": cut(beat, j, j + SLOPE + 1) @ time / (time**2).sum(),
        "st_curve_mv": (level + at(beat, apex)) / 2 - at(beat, (j[:, None] + apex) // 2),
    }


def _st_length(beat: np.ndarray, mask: np.ndarray, edges: Edges) -> np.ndarray:
    """From J to where the tangent at the steepest rise of T meets the least level of ST before, over all leads, ms."""
    last = edges.peak - edges.offset
    st = cut(beat, edges.offset, edges.offset + np.maximum(last + 1, LEAST_ST))
    size = np.sqrt(((st if mask.all() else st[:, mask]) ** 2).mean(axis=1))
    rise, place = np.diff(size, axis=1), np.arange(size.shape[1])
    before, after = rise[:, np.maximum(place - 1, 0)], rise[:, np.minimum(place, len(place) - 2)]
    slope = (before + np.where(place < last[:, None], after, before)) / 2
    low = size.argmin(axis=1)
    steep = np.where((place >= low[:, None]) & (place <= last[:, None]), slope, 0).argmax(axis=1)
    steepest, height = at(slope, steep), at(size, steep) - at(size, low)
    rising = steepest > 0  # otherwise T falls from J on
    length = np.where(rising, np.maximum(steep - height / np.where(rising, steepest, 1), 0) * STEP, 0)
    return np.where(last + 1 < LEAST_ST, NAN, length)


def _st_scatter(beats: np.ndarray, counts: np.ndarray, edges: Edges) -> np.ndarray:
    """Standard deviation of the ST level over the beats, (n, 12)."""
    before, after = (np.repeat(e // FINE, counts)[:, None] for e in (edges.start, edges.offset + SLOPE))
    beat = np.arange(len(beats))[:, None]
    level = beats[beat, :, after + [-1, 0, 1]].mean(axis=1) - beats[beat, :, before - [3, 2, 1]].mean(axis=1)
    return np.where(counts[:, None] < MIN_ST_BEATS, NAN, std_of_groups(level, counts))


# ---------------------------------------------------------------------------------------------------------------------
# P


def _p_wave(beat: np.ndarray, edges: Edges) -> dict[str, np.ndarray]:
    """Start, end and notch of P, (n, 12) each."""
    length = edges.p_offset - edges.p_onset
    seen = (length >= MIN_P)[:, None]
    p = cut(beat, edges.p_onset, edges.p_offset + 1)
    place, samples = np.arange(p.shape[2]), length[:, None, None] + 1
    p = p - p[..., :1] - (p[..., -1:] - p[..., :1]) * np.minimum(place / np.maximum(samples - 1, 1), 1)
    start = largest_deflection(p * (place < samples // 2))
    end = largest_deflection(p * (place >= samples - samples // 3))
    parts = {"p_start_mv": start, "p_end_mv": end, "p_notch_ms": _p_notch(p)}
    return {name: np.where(seen, value, NAN) for name, value in parts.items()}


def _pr_level(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The level of the PR segment over that before P, (n, 12); NaN where there is no P, or it follows T too soon."""
    first = edges.p_onset
    t_end = edges.end - edges.rr / STEP
    seen = (edges.p_offset - first >= MIN_P) & (first >= TP_BEFORE) & (t_end <= first - TP_BEFORE)
    before = cut(beat, first - TP_BEFORE, first - TP_UNTIL).mean(axis=2)
    return np.where(seen[:, None], -before, NAN)  # the level before QRS, the end of the PR segment, is 0


def _p_notch(p: np.ndarray) -> np.ndarray:
    """The distance of the first and last peak of P in each lead, ms: (n, 12) of (n, 12, samples)."""
    p = p * np.sign(largest_deflection(p))[..., None]
    least = np.maximum(P_TURN_MV, P_TURN_SHARE * p.max(axis=2))
    peaks = maxima(p, least)
    distance = (last_true(peaks) - first_true(peaks)) * STEP
    return np.where(distance > 0, distance, 0)


# ---------------------------------------------------------------------------------------------------------------------
# The leads together


def _limb_chest_fit(beat: np.ndarray, edges: Edges) -> np.ndarray:
    """The lower correlation of I and II with what the chest leads let expect, (n,), from P to T."""
    parts = zip(beat, edges.p_onset.tolist(), edges.end.tolist(), strict=True)
    products = np.stack([part @ part.T for part in (x[:, first:stop] for x, first, stop in parts)])
    chest = LIMB_OF_CHEST @ products[:, V1:, V1:]
    both = (LIMB_OF_CHEST * products[:, :2, V1:]).sum(axis=2)
    powers = np.diagonal(products, axis1=1, axis2=2)[:, :2] * (LIMB_OF_CHEST * chest).sum(axis=2)
    return (both / np.sqrt(np.maximum(powers, 1e-18))).min(axis=1)
