"""Windows that are measured together.

What is measured of n windows is in columns: a dict that has for each name n values, an array (n, ...) of numbers or a
list of what may be None or of unequal length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ecgclip.measure.arrays import NAN, cut_beats, padded, split, usable

Bounds: TypeAlias = tuple[float, float]
Columns: TypeAlias = dict[str, Any]
Parts: TypeAlias = Mapping[int, tuple[np.ndarray, np.ndarray | None]]
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
    parts : dict
        Masked leads that are measured nevertheless → their signal (samples,), NaN where there is none, and its R peaks,
        int (beats,); None: those of the window.
    """

    signal: np.ndarray
    mask: np.ndarray
    peaks: np.ndarray
    around: Bounds | np.ndarray = (NAN, NAN)
    recorded: Bounds | np.ndarray | None = None
    spikes: np.ndarray = NO_SPIKES
    parts: Parts = MappingProxyType({})


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
    parts : n times dict
        As of a `Window`.
    """

    signal: np.ndarray
    mask: np.ndarray
    peaks: Sequence[np.ndarray]
    around: np.ndarray
    recorded: np.ndarray
    spikes: Sequence[np.ndarray]
    parts: Sequence[Parts]

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
        parts = [self.parts[i] for i in rows]
        return Batch(self.signal[rows], self.mask, peaks, self.around[rows], self.recorded[rows], spikes, parts)


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
        [w.parts for w in windows],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Columns


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
