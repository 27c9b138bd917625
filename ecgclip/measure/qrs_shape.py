"""The shapes of QRS in the median beat: R peak time, J wave, notches, the start and the end.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise. A signal
of 100 Hz shows not all: of the leads with a notch in 46 PTB-XL ECGs at 500 Hz, 60 % have one at 100 Hz, and 4 % of
the others.
"""

from __future__ import annotations

import numpy as np

from ecgclip.measure.arrays import NAN, at, cut, last_true
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
    length = edges.offset - edges.onset
    qrs = cut(beat, edges.onset, edges.offset + QRS_REST)
    tops = maxima(qrs, MIN_WAVE_MV)
    positive = tops & (qrs >= MIN_WAVE_MV)
    tallest = np.where(positive, qrs, 0).max(axis=2)
    r_peak = last_true(positive & (qrs >= R_SHARE * tallest[..., None]))
    n_positive = np.count_nonzero(positive, axis=2)
    to_j = cut(beat, edges.onset, edges.offset + 1)
    lowest = to_j.argmin(axis=2)
    return {
        "r_peak_ms": r_peak * STEP,
        "j_wave_mv": _j_wave(cut(beat, edges.onset, edges.offset + J_WAVE_REST), r_peak, length),
        "notches": np.count_nonzero(tops, axis=2) - np.minimum(n_positive, 1.0),
        "s_to_j_ms": np.where(at(to_j, lowest) <= -MIN_WAVE_MV, (length[:, None] - lowest) * STEP, NAN),
        "delta_mv": cut(beat, edges.onset, edges.onset + DELTA).mean(axis=2),
    }


def _j_wave(qrs: np.ndarray, r_peak: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The height of a notch on the descent of R, (n, 12), NaN where it may be slurred.

    qrs: (n, 12, samples) from the onset of QRS on; r_peak: (n, 12), NaN without R; length: of QRS, (n,)
    """
    heights = np.zeros(r_peak.shape)
    window, lead = np.nonzero(r_peak >= 0)
    peak, descent = r_peak[window, lead].astype(int), qrs[window, lead]
    r = at(descent, peak)
    prominent = r >= PROMINENT_R_MV
    window, lead, peak, r, descent = (x[prominent] for x in (window, lead, peak, r, descent))
    length = length[window]
    descent = np.where(np.arange(qrs.shape[2]) < peak[:, None], r[:, None], descent)
    lowest = J_WAVE_SHARE * r
    heights[window, lead] = np.where(_may_be_slurred(descent, length, lowest), NAN, 0.0)
    row, place = turning_points(descent, np.full(len(descent), NOTCH_MV))
    value = descent[row, place]
    of, low, top = row[1:-2], value[1:-2], value[2:-1]
    notch = (row[:-3] == row[3:]) & (low > 0) & (low < top) & (top < lowest[of])
    of, top = of[notch][::-1], top[notch][::-1]  # the first notch of each is set last
    heights[window[of], lead[of]] = top
    return heights


def _may_be_slurred(descent: np.ndarray, length: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Whether the descent of R (to J) goes on slowly below `lowest`, from where it may be high enough for a J wave.

    descent: (rows, samples) from the onset of QRS on, as high as R before R; length: of QRS, (rows,); lowest: (rows,)
    """
    row, place = np.arange(len(descent)), np.arange(descent.shape[1] - 1)
    behind = place >= length[:, None]
    slope = np.where(behind, 0, np.diff(descent, axis=1))
    steep = slope.argmin(axis=1)[:, None]
    slow = (slope > SLUR_SLOPE * slope[row[:, None], steep]) & (place >= steep)
    begin = (slow | behind).argmax(axis=1)
    first, last = descent[row, begin], descent[row, length]
    long = (length + 1 - begin) * STEP >= SLUR_MS
    return long & (first >= SLUR_MV) & (first < lowest) & (last >= 0) & (first - last >= SLUR_FALL_MV)
