"""What files of arrays have in common: which array is the signal, which axis is time, what stands beside it.

MATLAB, NumPy, HDF5 and Parquet files name arrays and numbers as their authors liked. Here those names are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS, MAX_RATE, MIN_RATE, EcgclipError, standard_lead
from ecgclip.io.beside import (
    TIME_NAMES,
    fitting_names,
    last_part,
    metadata_of,
    names_beside,
    plain,
    rate_beside,
    units_beside,
)
from ecgclip.io.file import NoEcg
from ecgclip.io.recording import SCALES, Channel, Recording, height, likely_unit

MAX_CHANNELS = 16  # more rows than this are not the leads of one ECG, but as many ECGs of one lead
USUAL_COUNTS = (8, 12)  # leads of a resting ECG, stored with or without those that follow from others
MIN_SAMPLES = 100  # 2 s at the lowest sampling rate; a shorter array is no signal
FREE_MEMORY, EXPANSION = 64 << 20, 100  # bytes that any file may take unpacked, and how often its own size
MAX_MEMORY = 1 << 30  # bytes that one ECG may take unpacked, whatever the file

_SIGNAL_NAMES = (
    "tracings",
    "signal",
    "signals",
    "ecg",
    "ekg",
    "val",
    "data",
    "p_signal",
    "waveform",
    "waveforms",
    "feats",
)
Place = tuple[int | slice, ...]  # a part of an array, as in array[place]
CODE_RATE, CODE_SAMPLES = 400.0, 4096  # of the CODE data sets, whose files do not say it


@dataclass(frozen=True)
class Chosen:
    """Which arrays of a file are its signal.

    Attributes
    ----------
    names : tuple of str
        One array; or several vectors, each a lead.
    shape : tuple of int
        Of the array; (leads, samples) for several.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]


def choose_signal(shapes: Mapping[str, tuple[int, ...]], where: str) -> Chosen:
    """Choose the signal among the numeric arrays of a file, by name and then by size.

    Parameters
    ----------
    shapes : dict of str → tuple of int
        Of each numeric array; axes of length 1 count for nothing.
    where : str
        The file; the message begins with it.

    Raises
    ------
    NoEcg
        None is long enough.
    EcgclipError
        Two are as likely.
    """
    long = {name: shape for name, shape in shapes.items() if len(shape) <= 4 and max(shape, default=0) >= MIN_SAMPLES}
    for known in _SIGNAL_NAMES:
        for name in long:
            if plain(last_part(name)) == plain(known):
                return Chosen((name,), long[name])
    leads = [name for name, shape in long.items() if standard_lead(last_part(name))[0] and max(shape) == np.prod(shape)]
    if leads and len({max(long[name]) for name in leads}) == 1:
        return Chosen(tuple(leads), (len(leads), max(long[leads[0]])))
    others = [name for name in long if plain(last_part(name)) not in TIME_NAMES]
    likely = [name for name in others if "ecg" in plain(last_part(name))] or others
    if not likely:
        held = ", ".join(f"{last_part(name)[:40]} {shape}" for name, shape in list(shapes.items())[:5]) or "none"
        raise NoEcg(f"{where}: no array of at least {MIN_SAMPLES} samples is an ECG (arrays: {held[:200]})")
    sizes = {name: int(np.prod(long[name], dtype=object)) for name in likely}
    largest = [name for name in likely if sizes[name] == max(sizes.values())]
    if len(largest) > 1:
        which = ", ".join(last_part(name)[:40] for name in largest[:5])
        raise EcgclipError(f"{where}: which array is the ECG? {which}; name it 'ecg' in the file")
    return Chosen((largest[0],), long[largest[0]])


# ---------------------------------------------------------------------------------------------------------------------
# Axes


def batch_axis(shape: Sequence[int], where: str, take: Callable[[Place], np.ndarray]) -> int | None:
    """Along which axis an array holds several ECGs; None where it is one.

    (n, leads, samples) and (n, samples, leads) hold n; (leads, samples, n), as MATLAB's users like it, too; and so do
    n rows of one lead. Axes of length 1 do not make a batch. `take` gives a part of the array: where both the first
    and the last axis may be the leads, the samples tell: eight patients' lead I must not become eight leads.

    Raises
    ------
    EcgclipError
        They do not tell.
    """
    sizes = [n for n in shape if n > 1]
    if len(shape) == 3 and shape[0] in USUAL_COUNTS and shape[1] >= MIN_SAMPLES:
        axis = _axis_by_einthoven(shape, where, take) if shape[2] in (1, 2, 3, *USUAL_COUNTS) else 2
        return axis if shape[axis] > 1 else None
    if len(shape) == 3:
        if min(shape[1:]) <= MAX_CHANNELS and max(shape[1:]) >= MIN_SAMPLES:
            return 0
        return 2 if min(shape[:2]) <= MAX_CHANNELS and max(shape[:2]) >= MIN_SAMPLES else None
    return 0 if len(shape) == 2 and len(sizes) == 2 and min(sizes) > MAX_CHANNELS else None


def _axis_by_einthoven(shape: Sequence[int], where: str, take: Callable[[Place], np.ndarray]) -> int:
    """The axis of the ECGs in (leads, samples, ECGs) or (ECGs, samples, leads), by which twelve rows are the leads."""
    every = slice(None)
    first = shape[0] == len(LEADS) and follows_einthoven(take((every, every, 0)))
    last = shape[2] == len(LEADS) and follows_einthoven(take((0, every, every)).T)
    if first == last:
        raise EcgclipError(
            f"{where}: the first or the last axis of the array of shape {tuple(shape)} may be the leads; "
            "save it as (ECGs, leads, samples)"
        )
    return 2 if first else 0


def follows_einthoven(rows: np.ndarray) -> bool:
    """Whether the first three rows (leads, samples) are I, II and III: I + III = II."""
    i, ii, iii = np.nan_to_num(_thinned(rows[:3]))
    return bool(np.std(ii) > 0 and np.std(ii - i - iii) <= 0.1 * np.std(ii))


def _thinned(rows: np.ndarray) -> np.ndarray:
    """Some thousand samples of each row (leads, samples), evenly: the beginning may be padding."""
    return rows[:, :: max(rows.shape[1] // 2000, 1)].astype(np.float64)


def held_by(shape: Sequence[int], where: str, take: Callable[[Place], np.ndarray]) -> int:
    """How many ECGs an array of this shape holds; `take` gives a part of it.

    Raises
    ------
    NoEcg
        No axis is one of leads, or rows that might be ECGs of one lead are features of something else.
    EcgclipError
        Two axes may be the leads.
    """
    axis = batch_axis(shape, where, take)
    if axis is None:
        if sum(n > 1 for n in shape) > 2 or len(shape) > 3:
            raise NoEcg(f"{where}: the array of shape {tuple(shape)} has no axis of leads")
        return 1
    if len(shape) == 2 and not is_smooth([np.ravel(take(part(shape, 0, k))) for k in examples(shape[0])]):
        raise NoEcg(f"{where}: an array of shape {tuple(shape)} whose rows are no signals is no ECG")
    return shape[axis]


def part(shape: Sequence[int], axis: int, index: int) -> Place:
    """What to take of an array of this shape to have ECG number `index` along `axis`."""
    return tuple(index if k == axis else slice(None) for k in range(len(shape)))


def by_leads(signal: np.ndarray, names: Sequence[str] | None, where: str) -> np.ndarray:
    """One ECG as (leads, samples): the longer axis is time, or the one that does not have as many rows as names."""
    signal = signal.reshape([n for n in signal.shape if n > 1] or [1])
    if signal.ndim == 1:
        return signal[None]
    if signal.ndim > 2:
        raise EcgclipError(f"{where}: the array of shape {signal.shape} has no axis of leads")
    rows, columns = signal.shape
    if names and rows != columns and len(names) in (rows, columns):
        return signal if rows == len(names) else signal.T
    return signal if rows <= columns else signal.T


def is_smooth(signals: Sequence[np.ndarray]) -> bool:
    """Whether most signals (samples,) that are not flat go from sample to sample in small steps.

    What is measured at 50 Hz and more does: in 240 records of four data sets the mean step was at most 0.66 standard
    deviations. Independent numbers give 1.13.
    """
    roughness = []
    for signal in signals:
        finite = signal[np.isfinite(signal)].astype(np.float64)
        if len(finite) >= 16 and len(set(finite.tolist())) > 2:
            roughness.append(np.abs(np.diff(finite)).mean() / finite.std())
    return bool(roughness) and float(np.median(roughness)) < 0.8


def rises(values: np.ndarray) -> bool:
    """Whether numbers rise in steps of about equal size, as times do."""
    steps = np.diff(values)
    return bool(len(steps) and (steps > 0).all() and steps.max() <= 3 * np.median(steps))


# ---------------------------------------------------------------------------------------------------------------------
# What stands beside the signal


def recording_from(array: np.ndarray, beside: Mapping[str, Any], index: int, where: str) -> Recording:
    """Recording number `index` of an array that is in memory, or mapped; see `recording_of`."""
    axis = batch_axis(array.shape, where, array.__getitem__)
    if axis is None:
        return recording_of(array, beside, where)
    held = array.shape[axis]
    others = [array[part(array.shape, axis, k)] for k in examples(held)]
    return recording_of(array[part(array.shape, axis, index)], one_of(beside, index, held), where, others=others)


def one_of(beside: Mapping[str, Any], index: int, held: int) -> dict[str, Any]:
    """What is said of ECG number `index`, where an array beside the signal says something of each of `held` ECGs."""
    return {k: v[index] if isinstance(v, np.ndarray) and v.shape[:1] == (held,) else v for k, v in beside.items()}


def recording_of(
    signal: np.ndarray,
    beside: Mapping[str, Any],
    where: str,
    *,
    others: Sequence[np.ndarray] = (),
    names: Sequence[str] | None = None,
) -> Recording:
    """A recording of one array and what the file says beside it.

    Parameters
    ----------
    signal : number
        Time is its longer axis.
    beside : dict of str → number, str, array or sequence
        By the names in the file: sampling rate, leads, unit, age, sex, time.
    where : str
        The file; messages begin with it.
    others : sequence of array
        Some ECGs of the batch that this one is of: zeros at its ends are then padding, and a unit that the file does
        not give is guessed from all of them, so that it is the same for all.
    names : sequence of str, optional
        Of the channels; else they are looked for in `beside`.

    Raises
    ------
    EcgclipError
        The array has no axis of leads, or there are names for more or fewer leads than it has.
    """
    known = {plain(last_part(name)): value for name, value in beside.items()}
    notes: list[str] = []
    names = list(names) if names else names_beside(known)
    channels = by_leads(signal, names, where)
    names = fitting_names(names, len(channels), where, notes) or _usual_names(channels, notes) or [""] * len(channels)
    rate = rate_beside(known, channels.shape[1])
    if rate is None and len(others) and signal.shape[-2:] == (CODE_SAMPLES, 12):
        rate = _code_rate(notes)
    units = units_beside(known, len(channels))
    if len(others):
        channels = _without_padding(channels, notes)
        if not any(units):
            usual = rate if rate and MIN_RATE <= rate <= MAX_RATE else 500.0
            channels, units = _in_common_unit(channels, others, usual, notes)
    samples = channels if channels.dtype.kind == "f" else channels.astype(np.float32)
    made = [Channel(c, name or None, unit, rate) for c, name, unit in zip(samples, names, units, strict=True)]
    return Recording(made, metadata_of(known), tuple(notes))


def _code_rate(notes: list[str]) -> float:
    notes.append(f"assumed {CODE_RATE:g} Hz: the file gives none, and 12 leads of 4096 samples are the CODE data set's")
    return CODE_RATE


def _usual_names(channels: np.ndarray, notes: list[str]) -> list[str] | None:
    """The order of twelve unnamed leads, where aVR is minus the mean of I and II; None where it is the usual one.

    Some data sets have aVL, aVF, aVR (CODE-test), and some I, II, III, aVR, aVF, aVL; the signal tells.
    """
    if len(channels) != 12:
        return None
    if not follows_einthoven(channels):
        return None  # these are not I, II and III: nothing follows
    i, ii, _, *augmented = np.nan_to_num(_thinned(channels[:6]))
    expected = {"aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}
    order = [min(expected, key=lambda lead: np.std(row - expected[lead])) for row in augmented]
    if order == list(LEADS[3:6]) or sorted(order) != sorted(expected):
        return None
    notes.append(f"assumed leads I, II, III, {', '.join(order)}, V1 to V6: the file names none, and these fit")
    return [*LEADS[:3], *order, *LEADS[6:]]


def examples(held: int) -> list[int]:
    """Numbers of a few ECGs of a batch, evenly."""
    return sorted({k * (held - 1) // 7 for k in range(8)})


def _in_common_unit(
    channels: np.ndarray, others: Sequence[np.ndarray], rate: float, notes: list[str]
) -> tuple[np.ndarray, list[str | None]]:
    """The channels in mV, by the amplitude of all `others`; the unit is None for each where they are flat."""
    heights = [height(_without_padding(by_leads(other, None, ""), []).astype(np.float32), rate) for other in others]
    if not any(heights):
        return channels, [None] * len(channels)
    typical = float(np.median([h for h in heights if h]))
    unit = likely_unit(typical)
    notes.append(f"assumed {unit}, by the amplitude of this and other ECGs of the file: it gives no unit")
    return channels * np.float32(SCALES[unit]), ["mV"] * len(channels)


def _without_padding(channels: np.ndarray, notes: list[str]) -> np.ndarray:
    """The samples between the first and the last that is not zero in all leads."""
    used = np.flatnonzero((channels != 0).any(0))
    if not len(used) or len(used) == channels.shape[1]:
        return channels
    first, last = used[0], used[-1] + 1
    if (cut := channels.shape[1] - (last - first)) >= MIN_SAMPLES:
        notes.append(f"left out {first} samples before and {cut - first} after the ECG: zeros that fill the array")
        return channels[:, first:last]
    return channels
