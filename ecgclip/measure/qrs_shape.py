"""The shapes of QRS in the median beat: R peak time, J wave, notches, the start and the end.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise. A signal
of 100 Hz shows not all: of the leads with a notch in 46 PTB-XL ECGs at 500 Hz, 60 % have one at 100 Hz, and 4 % of
the others.
"""

from __future__ import annotations

import numpy as np

from ecgclip.measure.batch import NAN, at, cut, last_true
from ecgclip.measure.median import STEP, Edges, maxima, turning_points

QRS_REST = 8  # 16 ms after QRS: its last wave may turn only there
MIN_WAVE_MV = 0.05  # the smallest wave, and the smallest turn of QRS
R_SHARE = 0.5  # of the tallest R: a lower one is a notch or the J wave
DELTA = 20  # 40 ms: the start of QRS
# J wave (Macfarlane 2015): a notch on the second half of the descent of a prominent R, above the level
PROMINENT_R_MV = 0.3
J_WAVE_SHARE = 0.5  # of R: the wave lies lower
J_WAVE_REST = 20  # 40 ms after QRS: a notch may lie behind its edge
NOTCH_MV = 0.02  # a notch is as deep
# A slur is not told from the end of a plain R at 100 Hz (22 % of the normal ECGs of PTB-XL had one in two leads):
# where the descent goes on slowly, from so high, nothing is said
SLUR_MV = 0.08
SLUR_SLOPE, SLUR_FALL_MV, SLUR_MS = 0.3, 0.05, 16  # of the steepest descent; how far, and how long it still falls


def measure_qrs_shape(beat: np.ndarray, edges: Edges) -> dict[str, np.ndarray]:
    """R peak time, J wave, notches, the lowest point, and the start of QRS: (n, 12) each; beat: (n, 12, samples)."""
    length = (edges.offset - edges.onset)[:, None]
    qrs = cut(beat, edges.onset, edges.offset + QRS_REST)
    tops = maxima(qrs.reshape(-1, qrs.shape[2]), MIN_WAVE_MV).reshape(qrs.shape)
    positive = tops & (qrs >= MIN_WAVE_MV)
    tallest = np.where(positive, qrs, 0).max(axis=2)
    r_peak = last_true(positive & (qrs >= R_SHARE * tallest[..., None]))
    n_positive = positive.sum(axis=2)
    complex_ = cut(beat, edges.onset, edges.offset + 1)
    lowest = complex_.argmin(axis=2)
    negative = at(complex_, lowest) <= -MIN_WAVE_MV
    return {
        "r_peak_ms": r_peak * STEP,
        "j_wave_mv": _j_wave(beat, r_peak + edges.onset[:, None], edges.offset),
        "notches": np.maximum(n_positive - 1, 0) + tops.sum(axis=2) - n_positive,
        "s_to_j_ms": np.where(negative, (length - lowest) * STEP, NAN),
        "delta_mv": cut(beat, edges.onset, edges.onset + DELTA).mean(axis=2),
    }


def _j_wave(beat: np.ndarray, r_peak: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The height of a notch on the descent of R, (n, 12), NaN where it may be slurred; r_peak: (n, 12), NaN without."""
    out = np.zeros(r_peak.shape)
    window, lead = np.nonzero(~np.isnan(r_peak))
    peak, row = r_peak[window, lead].astype(int), beat[window, lead]
    prominent = at(row, peak) >= PROMINENT_R_MV
    window, lead, peak, row = window[prominent], lead[prominent], peak[prominent], row[prominent]
    lowest = J_WAVE_SHARE * at(row, peak)
    out[window, lead] = np.where(_may_be_slurred(row, peak, offset[window], lowest), NAN, 0.0)
    descent = cut(row, peak, offset[window] + J_WAVE_REST)
    of, place = np.nonzero(turning_points(descent, NOTCH_MV))
    low, top = descent[of, place][1:-2], descent[of, place][2:-1]
    notch = (of[:-3] == of[3:]) & (0 < low) & (low < top) & (top < lowest[of[1:-2]])
    of, height = of[1:-2][notch][::-1], top[notch][::-1]  # the first of each descent is set last
    out[window[of], lead[of]] = height
    return out


def _may_be_slurred(row: np.ndarray, peak: np.ndarray, offset: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Whether the descent of R (to J) goes on slowly below `lowest`, from where it may be high enough for a J wave.

    row: float (rows, samples); peak, offset, lowest: (rows,); returns bool (rows,)
    """
    if not len(row):
        return np.zeros(0, bool)
    descent = cut(row, peak, offset + 1)
    slope = np.diff(descent, axis=1, append=descent[:, -1:])
    steep = slope.argmin(axis=1)[:, None]
    slow = slope > SLUR_SLOPE * np.take_along_axis(slope, steep, axis=1)
    begin = np.argmax(slow & (np.arange(slope.shape[1]) >= steep), axis=1)
    first, last = at(descent, begin), descent[:, -1]
    long = (offset - peak + 1 - begin) * STEP >= SLUR_MS
    return long & (first >= SLUR_MV) & (first < lowest) & (last >= 0) & (first - last >= SLUR_FALL_MV)
