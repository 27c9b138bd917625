"""What changes in every second beat: the height of T and of QRS, and the axis of QRS."""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import AVF, I
from ecgclip.measure.batch import NAN
from ecgclip.measure.median import FINE, Edges, R
from ecgclip.peaks import cut_beats

MIN_BEATS = 7  # with fewer, alternation is not told from chance
TURNING_RR = 0.08  # of R-R: with intervals that take turns so much, every second beat is an early one
SMALLEST_MV = 0.05  # root mean square: the alternation of a smaller QRS is not measured
T_HALF = 2  # samples at 100 Hz: the height of T in a beat is a mean over 50 ms
LEVEL = 3  # samples at 100 Hz before QRS
BESIDE = 2  # samples at 100 Hz beside QRS


def measure_alternans(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, edges: Edges) -> dict[str, float]:
    """Measure what takes turns from beat to beat.

    Parameters
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
    peaks : int (beats,)
        R peaks, samples.
    edges : Edges
        Of the median beat.

    Returns
    -------
    dict
        Fields of a `Shape`: T (mV) and QRS (%, root mean square) by which two neighbouring beats differ, in the lead
        with the second largest difference; and the angle (deg) by which their axes differ.
    """
    start, onset, offset, t_peak = (round((at - R) / FINE) for at in edges[:4])
    inside = (peaks + start - LEVEL >= 0) & (peaks + t_peak + T_HALF < signal.shape[1])
    peaks = peaks[inside]
    nothing = {"t_alternans_mv": NAN, "qrs_alternans": NAN, "axis_alternation_deg": NAN}
    if len(peaks) < MIN_BEATS:
        return nothing
    beats = cut_beats(signal, peaks, LEVEL - start, t_peak + T_HALF + 1)
    first = LEVEL - start  # where R is
    beats = beats - beats[:, :, :LEVEL].mean(axis=2, keepdims=True)
    qrs = beats[:, :, first + onset - BESIDE : first + offset + BESIDE + 1]
    values = nothing | {"axis_alternation_deg": _axis_alternation(qrs, mask)}
    if alternation(np.diff(peaks)[:, None].astype(float))[0] > TURNING_RR * np.median(np.diff(peaks)):
        return values
    # the root mean square, as the height of R at 100 Hz depends on where between two samples it lies
    size = np.sqrt((qrs**2).mean(axis=2))[:, mask]
    t_wave = beats[:, mask, -2 * T_HALF - 1 :].mean(axis=2)
    usual = size.mean(axis=0)
    share = np.where(usual > SMALLEST_MV, alternation(size) / np.maximum(usual, SMALLEST_MV), 0.0)
    values["t_alternans_mv"], values["qrs_alternans"] = _second(alternation(t_wave)), 100 * _second(share)
    return values


def alternation(x: np.ndarray) -> np.ndarray:
    """By how much neighbours of (beats, leads) differ that take turns, (leads,); near 0 for any other change."""
    turns = x[1:-1] - (x[:-2] + x[2:]) / 2
    turns[1::2] *= -1
    return np.abs(np.median(turns, axis=0))


def _second(x: np.ndarray) -> float:
    """The second largest, so that an artefact in one lead is not enough; of one lead, its own."""
    return float(np.sort(x)[-2:][0])


def _axis_alternation(qrs: np.ndarray, mask: np.ndarray) -> float:
    """The usual angle between the axes of neighbouring beats, less that between every second one, degrees."""
    if not (mask[I] and mask[AVF]):
        return NAN
    area = qrs.sum(axis=2)
    axis = np.arctan2(area[:, AVF] * 2 / np.sqrt(3), area[:, I])
    one, two = (np.median(np.abs(_turned(axis[lag:] - axis[:-lag]))) for lag in (1, 2))
    return float(np.degrees(max(one - two, 0.0)))


def _turned(angle: np.ndarray) -> np.ndarray:
    """The same angle between -π and π."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
