"""Windows that are measured together, and arithmetic on groups of unequal size.

What is measured of n windows is in columns: a dict that has for each name n values, an array (n, ...) of numbers or a
list of what may be None or of unequal length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

NAN = float("nan")
Bounds: TypeAlias = tuple[float, float]
Columns: TypeAlias = dict[str, Any]
T = TypeVar("T")
BEFORE, AFTER = 46, 66  # samples around R that are cut out: 460 ms before R hold the P wave of a long PR interval
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
        return usable(self.signal, self.mask)

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

    @cached_property
    def beats(self) -> np.ndarray:
        """The signal around each of `at`, (beats of all, 12, BEFORE + AFTER)."""
        return cut_beats(self.signal, self.window, self.at, BEFORE, AFTER)

    def around_r(self, before: int, after: int) -> np.ndarray:
        """A part of `beats` in the usable leads, (beats of all, leads, before + after)."""
        part = self.beats[:, :, BEFORE - before : BEFORE + after]
        return part if self.mask.all() else part[:, self.mask]

    @cached_property
    def inside(self) -> np.ndarray:
        """Which of an array (n, most beats) of `by_window` are beats, bool."""
        return np.arange(self.counts.max(initial=0)) < self.counts[:, None]

    def by_window(self, x: np.ndarray, fill: float = NAN) -> np.ndarray:
        """What is known of each of `at` as an array (n, most beats), filled up behind the last beat of a window."""
        return padded(x, self.counts, fill)

    @cached_property
    def positions(self) -> np.ndarray:
        """The R peaks by window, float (n, most beats), NaN behind the last one."""
        return self.by_window(self.at)

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        """What is known of each of `at`, n times (beats, ...)."""
        return split(x, self.counts)

    def of(self, rows: np.ndarray, peaks: Sequence[np.ndarray] | None = None) -> Batch:
        """Some of the windows, int (m,), a window more than once if need be; `peaks`: others than their own."""
        if peaks is None and np.array_equal(rows, np.arange(len(self))):
            return self  # with what is known of it
        peaks = [self.peaks[i] for i in rows] if peaks is None else peaks
        spikes = [self.spikes[i] for i in rows]
        return Batch(self.signal[rows], self.mask, peaks, self.around[rows], self.recorded[rows], spikes)


def once(function: Callable[[Batch], T]) -> Callable[[Batch], T]:
    """A function of a batch that is asked for several times: its answer is kept with the batch."""

    @wraps(function)
    def kept(batch: Batch) -> T:
        answers = batch.__dict__.setdefault("answers", {})
        if function not in answers:
            answers[function] = function(batch)
        return answers[function]

    return kept


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


def usable(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The usable leads of (n, 12, ...), x itself if all are."""
    return x if mask.all() else x[:, mask]


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
    first, samples, size = at - before, signal.shape[2], before + after
    if not len(at):
        return np.empty((0, signal.shape[1], size))
    left, right = (max(0, int(edge)) for edge in (-first.min(), first.max() + size - samples))
    if left or right:
        signal = np.concatenate((signal[:, :, [0] * left], signal, signal[:, :, [-1] * right]), axis=2)
    return np.lib.stride_tricks.sliding_window_view(signal, size, axis=2)[window, :, first + left]


def slopes(x: np.ndarray) -> np.ndarray:
    """How fast (..., samples) rise at each sample, per sample: as `np.gradient`, with less to do beside."""
    out = np.empty(x.shape)
    np.subtract(x[..., 2:], x[..., :-2], out=out[..., 1:-1])
    out[..., 1:-1] /= 2
    out[..., 0], out[..., -1] = x[..., 1] - x[..., 0], x[..., -1] - x[..., -2]
    return out


def without_mean(x: np.ndarray) -> np.ndarray:
    """(..., samples) less the mean of the samples; by a product, which takes less than `np.mean` where they are few."""
    return x - (x @ np.full(x.shape[-1], 1 / x.shape[-1]))[..., None]


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


def quantile(x: np.ndarray, share: float) -> np.ndarray:
    """A quantile along the last axis, between two samples by a line; as `np.quantile`, with less to do beside."""
    x, place = np.sort(x), share * (x.shape[-1] - 1)
    low, high = x[..., int(place)], x[..., min(int(place) + 1, x.shape[-1] - 1)]
    return low + (high - low) * (place - int(place))


def median_of_known(x: np.ndarray) -> np.ndarray:
    """The median of what is not NaN along the last axis; NaN where nothing is."""
    if not x.shape[-1]:
        return np.full(x.shape[:-1], NAN)
    rows = np.sort(x.reshape(-1, x.shape[-1]), axis=1)  # NaN comes last
    known, every = (~np.isnan(rows)).sum(axis=1), np.arange(len(rows))
    middle = (rows[every, (known - 1) // 2] + rows[every, known // 2]) / 2
    return middle.reshape(x.shape[:-1])


def quantile_of_known(x: np.ndarray, q: float) -> np.ndarray:
    """A quantile of what is not NaN along the last axis of (rows, n), as `np.quantile`; NaN where nothing is."""
    rows = np.sort(np.concatenate((x, np.full((len(x), 1), NAN)), axis=1), axis=1)  # NaN comes last
    place = np.maximum((~np.isnan(rows)).sum(axis=1) - 1, 0) * q
    below, part = place.astype(int), place % 1
    low, high = rows[np.arange(len(rows)), below], rows[np.arange(len(rows)), np.ceil(place).astype(int)]
    return np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))


def mean_of_known(x: np.ndarray) -> np.ndarray:
    """The mean of what is not NaN along the last axis; NaN where nothing is."""
    known = ~np.isnan(x)
    count = known.sum(axis=-1)
    return np.where(count, np.where(known, x, 0).sum(axis=-1), NAN) / np.maximum(count, 1)


def equal_groups(counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of the same size, none empty: which ones, int (m,), and the positions of their rows, int (m, size)."""
    first = np.cumsum(counts) - counts
    for count in sorted(set(counts.tolist()) - {0}):
        groups = np.flatnonzero(counts == count)
        yield groups, first[groups, None] + np.arange(count)


def median_of_groups(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median of each group, (groups, ...), NaN of an empty one; x: (all rows, ...), counts: int (groups,)."""
    if len(counts) and x.size and counts.min() == counts.max():
        return median(x.reshape(len(counts), -1, *x.shape[1:]), axis=1)
    out = np.full((len(counts), *x.shape[1:]), NAN)
    for groups, rows in equal_groups(counts):
        out[groups] = median(x[rows], axis=1)
    return out


def parts(n: int, most: int) -> list[slice]:
    """0 to n in turn, at most so many at a time."""
    return [slice(i, min(i + most, n)) for i in range(0, n, most)]


def pick(x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What stands in each row of (n, most) at these places, int (n, ...): (n, ...)."""
    return x[np.arange(len(x)).reshape(-1, *(1,) * (at.ndim - 1)), at]


def sum_of_groups(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sum of each group, (groups, ...), 0 of an empty one; x: (all rows, ...), counts: int (groups,)."""
    out, some = np.zeros((len(counts), *x.shape[1:])), counts > 0
    if some.any():
        out[some] = np.add.reduceat(x, (np.cumsum(counts) - counts)[some], axis=0)
    return out


def split(x: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """(all rows, ...) by groups, each (count, ...)."""
    stops = np.cumsum(counts).tolist()
    return [x[stop - count : stop] for stop, count in zip(stops, counts.tolist(), strict=True)]


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


def packed(x: np.ndarray, kept: np.ndarray, fill: float = NAN) -> np.ndarray:
    """The numbers of each row of (rows, n) that are kept, bool (rows, n), moved to its start, filled up behind."""
    return padded(x[kept], kept.sum(axis=1), fill)


def in_row(flags: np.ndarray, length: int) -> np.ndarray:
    """Where so many flags in a row begin, bool (rows, n - length + 1); flags: bool (rows, n)."""
    first = flags.copy()
    for further in range(1, length):
        first = first[:, :-1]
        first &= flags[:, further:]
    return first
