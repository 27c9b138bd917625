"""Windows that are measured together, and arithmetic on groups of unequal size.

What is measured of n windows is in columns: a dict that has for each name n values, an array (n, ...) of numbers or a
list of what may be None or of unequal length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

NAN = float("nan")
Bounds: TypeAlias = tuple[float, float]
Columns: TypeAlias = dict[str, Any]
NO_SPIKES = np.empty((0, 2))


class Window(NamedTuple):
    """One window as it is measured.

    Attributes
    ----------
    signal : float (12, samples), mV at 100 Hz
    mask : bool (12,)
        True where the lead is usable.
    peaks : int (beats,)
        R peaks, samples.
    around : (float, float)
        The R peaks before and after the window, in samples from its start, as of `find_beats`; NaN where there is none.
    recorded : (float, float), optional
        From where to where there is a recording around the window without a gap; the window itself if None.
    spikes : float (spikes, 2)
        Pacing spikes that were found in the raw recording, as of `Prepared.spikes_in`.
    """

    signal: np.ndarray
    mask: np.ndarray
    peaks: np.ndarray
    around: Bounds | np.ndarray = (NAN, NAN)
    recorded: Bounds | np.ndarray | None = None
    spikes: np.ndarray = NO_SPIKES


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows with the same leads and the same length.

    Attributes
    ----------
    signal : float64 (n, 12, samples), mV at 100 Hz
        Baseline removed, zeros where the mask is False.
    mask : bool (12,)
    peaks : n times int (beats,)
        R peaks of each window, samples.
    around, recorded : float (n, 2)
        As of a `Window`.
    spikes : n times float (spikes, 2)
    """

    signal: np.ndarray
    mask: np.ndarray
    peaks: Sequence[np.ndarray]
    around: np.ndarray
    recorded: np.ndarray
    spikes: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.signal)

    @property
    def samples(self) -> int:
        """Samples of each window."""
        return self.signal.shape[2]

    @cached_property
    def leads(self) -> np.ndarray:
        """The usable leads, (n, leads, samples)."""
        return self.signal if self.mask.all() else self.signal[:, self.mask]

    @cached_property
    def counts(self) -> np.ndarray:
        """Beats of each window, int (n,)."""
        return np.array([len(peaks) for peaks in self.peaks], int)

    @cached_property
    def at(self) -> np.ndarray:
        """R peaks of all windows, one window after the other, int (beats of all,)."""
        return np.concatenate([np.empty(0, int), *self.peaks]).astype(int)

    @cached_property
    def window(self) -> np.ndarray:
        """The window of each of `at`, int (beats of all,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def of(self, rows: np.ndarray, peaks: Sequence[np.ndarray] | None = None) -> Batch:
        """Some of the windows, int (m,), a window more than once if need be; `peaks`: others than their own."""
        peaks = [self.peaks[i] for i in rows] if peaks is None else peaks
        spikes = [self.spikes[i] for i in rows]
        return Batch(self.signal[rows], self.mask, peaks, self.around[rows], self.recorded[rows], spikes)


def batches(windows: Sequence[Window], most: int) -> list[tuple[np.ndarray, Batch]]:
    """Windows by length and leads, `most` at a time: which ones, int (m,), and these as a batch."""
    groups: dict[tuple[int, bytes], list[int]] = {}
    for i, window in enumerate(windows):
        groups.setdefault((window.signal.shape[1], np.asarray(window.mask, bool).tobytes()), []).append(i)
    parts = [rows[i : i + most] for rows in groups.values() for i in range(0, len(rows), most)]
    return [(np.array(rows), _batch([windows[i] for i in rows])) for rows in parts]


def _batch(windows: Sequence[Window]) -> Batch:
    whole = (0.0, float(windows[0].signal.shape[1]))
    return Batch(
        np.array([w.signal for w in windows], np.float64),
        np.asarray(windows[0].mask, bool),
        [np.asarray(w.peaks, int) for w in windows],
        np.array([w.around for w in windows], float).reshape(-1, 2),
        np.array([whole if w.recorded is None else w.recorded for w in windows], float).reshape(-1, 2),
        [w.spikes for w in windows],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Columns


def columns(rows: Sequence[dict[str, Any]]) -> Columns:
    """Dicts with the same names, one a window, as columns: arrays where all values are numbers or of one shape."""
    return {name: _column([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _column(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return columns(values)
    numbers = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values)
    if numbers or (all(isinstance(v, np.ndarray) for v in values) and len({v.shape for v in values}) == 1):
        return np.array(values)
    return values


def put(into: Columns, rows: np.ndarray, values: Columns) -> None:
    """Set, in place, the values of some windows, int (m,); a new name is NaN or None in the others."""
    size = len(next(iter(into.values())))
    for name, column in values.items():
        if isinstance(column, dict):
            put(into[name], rows, column)
        elif isinstance(column, np.ndarray):
            if name not in into:
                into[name] = np.full((size, *column.shape[1:]), NAN)
            into[name][rows] = column
        else:
            into.setdefault(name, [None] * size)
            for i, value in zip(rows.tolist(), column, strict=True):
                into[name][i] = value


def row(values: Columns, i: int) -> dict[str, Any]:
    """What the columns say of one window; numbers as Python has them."""
    out = {}
    for name, column in values.items():
        value = row(column, i) if isinstance(column, dict) else column[i]
        out[name] = value.item() if isinstance(value, np.generic) else value
    return out


# ---------------------------------------------------------------------------------------------------------------------
# Groups: rows that follow each other belong together, so many of each


def cut_beats(signal: np.ndarray, window: np.ndarray, at: np.ndarray, before: int, after: int) -> np.ndarray:
    """The signal around beats; beyond the ends of a window its last sample is repeated.

    Parameters
    ----------
    signal : float (n, leads, samples)
    window, at : int (beats,)
        The window and the sample of each.
    before, after : int
        Samples.

    Returns
    -------
    float (beats, leads, before + after)
    """
    index = np.clip(at[:, None] + np.arange(-before, after), 0, signal.shape[2] - 1)
    return signal[window[:, None, None], np.arange(signal.shape[1])[:, None], index[:, None]]


def cut(x: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Stretches of unequal length: behind the end of a shorter one its last sample is repeated.

    Parameters
    ----------
    x : float (n, ..., samples)
    first, stop : int (n,)
        Where each stretch begins and ends; an empty one is one sample long.

    Returns
    -------
    float (n, ..., the longest); of one row a view
    """
    samples = x.shape[-1]
    begins = [min(max(begin, 0), samples - 1) for begin in first.tolist()]
    ends = [max(min(end, samples), begin + 1) for begin, end in zip(begins, stop.tolist(), strict=True)]
    if len(x) == 1:
        return x[..., begins[0] : ends[0]]
    longest = max((end - begin for begin, end in zip(begins, ends, strict=True)), default=1)
    out = np.empty((*x.shape[:-1], longest))
    for stretch, row, begin, end in zip(out, x, begins, ends, strict=True):
        stretch[..., : end - begin] = row[..., begin:end]
        if end - begin < longest:
            stretch[..., end - begin :] = row[..., end - 1 : end]
    return out


def first_true(x: np.ndarray) -> np.ndarray:
    """The first index along the last axis where it is True, float (...); NaN where it never is."""
    return np.where(x.any(axis=-1), x.argmax(axis=-1), NAN)


def last_true(x: np.ndarray) -> np.ndarray:
    """The last index along the last axis where it is True, float (...); NaN where it never is."""
    return x.shape[-1] - 1 - first_true(x[..., ::-1])


def at(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The sample of each row, (...): of (..., samples) at int (...)."""
    return x.ravel().take(np.arange(0, x.size, x.shape[-1]).reshape(index.shape) + index)


def median(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """The median along an axis of at least one number, none of them NaN; as `np.median`, with less to do beside."""
    n, x = x.shape[axis], np.sort(x, axis=axis)  # faster than to partition, as NumPy sorts with vector instructions
    low, high = x.take((n - 1) // 2, axis=axis), x.take(n // 2, axis=axis)
    return low if n % 2 else (low + high) / 2


def median_of_known(x: np.ndarray) -> np.ndarray:
    """The median of what is not NaN along the last axis; NaN where nothing is."""
    some = np.concatenate((x, np.full((*x.shape[:-1], 1), NAN)), axis=-1)
    rows = np.sort(some.reshape(-1, some.shape[-1]), axis=1)  # NaN comes last
    known = np.count_nonzero(~np.isnan(rows), axis=1)
    low, high = (rows[np.arange(len(rows)), kth] for kth in (np.maximum(known - 1, 0) // 2, known // 2))
    return ((low + high) / 2).reshape(x.shape[:-1])


def median_of_groups(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median of each group, (groups, ...), NaN of an empty one; x: (all rows, ...), counts: int (groups,)."""
    out = np.full((len(counts), *x.shape[1:]), NAN)
    first = np.cumsum(counts) - counts
    for count in np.unique(counts[counts > 0]):
        groups = np.flatnonzero(counts == count)
        out[groups] = median(x[first[groups, None] + np.arange(count)], axis=1)
    return out


def sum_of_groups(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sum of each group, (groups, ...), 0 of an empty one; x: (all rows, ...), counts: int (groups,)."""
    out, some = np.zeros((len(counts), *x.shape[1:])), counts > 0
    if some.any():
        out[some] = np.add.reduceat(x, (np.cumsum(counts) - counts)[some], axis=0)
    return out


def std_of_groups(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The standard deviation of each group, (groups, ...), NaN of an empty one; parameters as of `sum_of_groups`."""
    size = np.where(counts > 0, counts, NAN).reshape(-1, *(1,) * (x.ndim - 1))
    away = x - np.repeat(sum_of_groups(x, counts) / size, counts, axis=0)
    return np.sqrt(sum_of_groups(away**2, counts) / size)


def padded(x: np.ndarray, counts: np.ndarray, fill: float = NAN) -> np.ndarray:
    """Numbers of groups, (all rows,), as an array (groups, most), filled up behind those of smaller groups."""
    inside = np.arange(counts.max(initial=0)) < counts[:, None]
    out = np.full(inside.shape, fill, np.result_type(x, fill))
    out[inside] = x
    return out
