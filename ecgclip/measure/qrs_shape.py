"""The shapes of QRS in the median beat: R peak time, J wave, notches, the start and the end.

Positions and lengths are samples of 2 ms in the median beat (`ecgclip.measure.median`) unless said otherwise. A signal
of 100 Hz shows not all: of the leads with a notch in 46 PTB-XL ECGs at 500 Hz, 60 % have one at 100 Hz, and 4 % of
the others.
"""

from __future__ import annotations

import numpy as np

from ecgclip.measure.batch import NAN
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
    """R peak time, J wave, notches, the lowest point, and the start of QRS."""
    names = ("r_peak_ms", "j_wave_mv", "notches", "s_to_j_ms")
    table = np.full((4, len(beat)), NAN)
    length = edges.offset - edges.onset
    for lead, row in enumerate(beat[:, edges.onset : edges.offset + J_WAVE_REST]):
        qrs = row[: length + QRS_REST]
        tops = maxima(qrs, MIN_WAVE_MV)
        positive = [i for i in tops if qrs[i] >= MIN_WAVE_MV]
        table[2, lead] = max(len(positive) - 1, 0) + len(tops) - len(positive)
        table[1, lead] = 0.0
        if positive:
            tallest = qrs[positive].max()
            last = [i for i in positive if qrs[i] >= R_SHARE * tallest][-1]
            table[0, lead] = last * STEP
            table[1, lead] = _j_wave(row, last, length)
        lowest = int(np.argmin(qrs[: length + 1]))
        if qrs[lowest] <= -MIN_WAVE_MV:
            table[3, lead] = (length - lowest) * STEP
    start = beat[:, edges.onset : edges.onset + DELTA].mean(axis=1)
    return dict(zip(names, table, strict=True)) | {"delta_mv": start}


def _j_wave(row: np.ndarray, peak: int, length: int) -> float:
    """The height of a notch on the descent of R, NaN where it may be slurred; row begins at QRS onset, R at `peak`."""
    if row[peak] < PROMINENT_R_MV:
        return 0.0
    descent = row[peak:]
    turns = turning_points(descent, NOTCH_MV)
    lowest = J_WAVE_SHARE * row[peak]
    for low, top in zip(turns[1:], turns[2:-1], strict=False):
        if 0 < descent[low] < descent[top] < lowest:
            return float(descent[top])
    return NAN if _may_be_slurred(descent[: length - peak + 1], lowest) else 0.0


def _may_be_slurred(descent: np.ndarray, lowest: float) -> bool:
    """Whether the descent of R (to J) goes on slowly below `lowest`, from where it may be high enough for a J wave."""
    slope = np.diff(descent)
    if not len(slope):
        return False
    steep = int(np.argmin(slope))
    slow = np.flatnonzero(slope[steep:] > SLUR_SLOPE * slope[steep])
    rest = descent[steep + slow[0] :] if len(slow) else descent[:0]
    long = len(rest) * STEP >= SLUR_MS
    return bool(long and SLUR_MV <= rest[0] < lowest and rest[-1] >= 0 and rest[0] - rest[-1] >= SLUR_FALL_MV)
