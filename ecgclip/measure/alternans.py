"""What changes in every second beat: the height of T and of QRS, and the axis of QRS."""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import AVF, I
from ecgclip.measure.arrays import NAN, median_of_groups, sum_of_groups
from ecgclip.measure.batch import Batch, Columns
from ecgclip.measure.median import BEFORE, FINE, Edges, R

MIN_BEATS = 7  # with fewer, alternation is not told from chance
TURNING_RR = 0.08  # of R-R: with intervals that take turns so much, every second beat is an early one
SMALLEST_MV = 0.05  # root mean square: the alternation of a smaller QRS is not measured
T_HALF = 2  # samples at 100 Hz: the height of T in a beat is a mean over 50 ms
LEVEL = 3  # samples at 100 Hz before QRS
BESIDE = 2  # samples at 100 Hz beside QRS
NAMES = ("t_alternans_mv", "qrs_alternans", "axis_alternation_deg")


def measure_alternans(batch: Batch, edges: Edges) -> Columns:
    """Measure what takes turns from beat to beat.

    Parameters
    ----------
    batch : Batch
    edges : Edges
        Of the median beats, arrays (n,).

    Returns
    -------
    dict
        Fields of a `Shape`: T (mV) and QRS (%, root mean square) by which two neighbouring beats differ, in the lead
        with the second largest difference; and the angle (deg) by which their axes differ.
    """
    values: Columns = {name: np.full(len(batch), NAN) for name in NAMES}
    start, _, _, t_peak = at_100_hz = np.rint((np.array(edges[:4]) - R) / FINE).astype(int)
    inside = (batch.at + start[batch.window] >= LEVEL) & (batch.at + t_peak[batch.window] + T_HALF < batch.samples)
    counts = np.bincount(batch.window[inside], minlength=len(batch))
    rows = np.flatnonzero(counts >= MIN_BEATS)
    if not len(rows):
        return values
    chosen, counts = np.flatnonzero(inside & (counts >= MIN_BEATS)[batch.window]), counts[rows]
    at, first = batch.at[chosen], chosen[np.cumsum(counts) - counts]  # those of a window follow each other
    edges_of = zip(first.tolist(), counts.tolist(), (BEFORE + at_100_hz.T[rows]).tolist(), strict=True)
    waves = [_waves(batch.beats[i : i + count], *places) for i, count, places in edges_of]
    t_wave, size, area = (np.concatenate(parts) for parts in zip(*waves, strict=True))
    alternates = alternation(np.concatenate((t_wave, size), axis=1), counts)
    usual = sum_of_groups(size, counts) / counts[:, None]
    share = np.where(usual > SMALLEST_MV, alternates[:, 12:] / np.maximum(usual, SMALLEST_MV), 0.0)
    rr = _differences(at, counts, 1)
    turning = alternation(rr, counts - 1) > TURNING_RR * median_of_groups(rr, counts - 1)
    values["t_alternans_mv"][rows] = np.where(turning, NAN, _second(alternates[:, :12][:, batch.mask]))
    values["qrs_alternans"][rows] = np.where(turning, NAN, 100 * _second(share[:, batch.mask]))
    if batch.mask[I] and batch.mask[AVF]:
        values["axis_alternation_deg"][rows] = _axis_alternation(area, counts)
    return values


def _waves(
    beats: np.ndarray, start: int, onset: int, offset: int, t_peak: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T (mV), QRS (mV, root mean square) and the area of QRS in each lead, over the level before QRS: (beats, 12) each.

    beats : (beats, 12, samples at 100 Hz), of one window; start, onset, offset, t_peak : as of `Edges`, in its samples.
    """
    mean = lambda first, stop: beats[:, :, first:stop].sum(axis=2, keepdims=True) / (stop - first)
    level = mean(start - LEVEL, start)
    t_wave = mean(t_peak - T_HALF, t_peak + T_HALF + 1) - level
    qrs = beats[:, :, onset - BESIDE : min(offset + BESIDE, t_peak + T_HALF) + 1] - level
    # the root mean square, as the height of R at 100 Hz depends on where between two samples it lies
    return t_wave[:, :, 0], np.sqrt(np.einsum("bls,bls->bl", qrs, qrs) / qrs.shape[2]), qrs.sum(axis=2)


def alternation(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """By how much neighbours of each group differ that take turns, (groups, ...); near 0 for any other change.

    x: (all beats, ...); counts: int (groups,), three beats at least.
    """
    place = _places(counts)
    middle = np.flatnonzero((place > 0) & (place < np.repeat(counts - 1, counts)))
    turns = x[middle] - (x[middle - 1] + x[middle + 1]) / 2
    turns[place[middle] % 2 == 0] *= -1
    return np.abs(median_of_groups(turns, counts - 2))


def _differences(x: np.ndarray, counts: np.ndarray, lag: int) -> np.ndarray:
    """From each beat of a group to the one so many after it, (differences of all,)."""
    first = np.flatnonzero(_places(counts) < np.repeat(counts - lag, counts))
    return x[first + lag] - x[first]


def _places(counts: np.ndarray) -> np.ndarray:
    """The number of each beat in its group, from 0 on, int (all beats,)."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _second(x: np.ndarray) -> np.ndarray:
    """The second largest of (n, leads), so that an artefact in one lead is not enough; of one lead, its own."""
    return np.sort(x, axis=1)[:, -2:][:, 0]


def _axis_alternation(area: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The usual angle between the axes of neighbouring beats, less that between every second one, degrees.

    area: of QRS, (beats of all, 12).
    """
    axis = np.arctan2(area[:, AVF] * 2 / np.sqrt(3), area[:, I])
    one, two = (median_of_groups(np.abs(_turned(_differences(axis, counts, lag))), counts - lag) for lag in (1, 2))
    return np.degrees((one - two).clip(0))


def _turned(angle: np.ndarray) -> np.ndarray:
    """The same angle between -π and π."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
