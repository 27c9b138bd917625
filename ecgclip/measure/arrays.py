"""Arithmetic on arrays of windows: medians without NaN checks, stretches of unequal length, groups of unequal size.

A group is rows that follow each other and belong together, as the beats of a window do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

NAN = float("nan")


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
