"""Columns of numbers with names: which are times, which are leads, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError, millivolts_per, standard_lead
from ecgclip.io import arrays
from ecgclip.io.beside import fitting_names, metadata_of, names_beside, plain, rate_beside, units_beside
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.times import rate_of

_TIME_UNITS = {"s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "sekunden": "s", "sek": "s"}
_TIME_UNITS |= {"ms": "ms", "msec": "ms", "millisecond": "ms", "milliseconds": "ms", "us": "us", "µs": "us", "ns": "ns"}
_TIMES = re.compile(
    r"(elapsed|phone|sensor|record(ed|ing)?|system|unix|relative)?(time|zeit|temps|tiempo|tempo|tijd|tid|timestamp|timestamps|"
    r"times|date|datetime|datum|fecha|heure|hora|uhrzeit|x|t|seconds|secs|sec|s|ms|milliseconds)"
)
_COUNTS = re.compile(r"|samples?|sample(number|nr|no|index|#)|#|index|idx|n|nr|no|nseq|counter|unnamed0|indexlevel0")
_SHORT = ("", "x", "t", "s", "n", "nr", "no")  # names of times only where the values rise
_ANY_SIGNAL = re.compile(
    r"((ecg|ekg|ch|channel|chan|kanal|voie|canal|lead|signal|sig|value|values|wert|voltage|spannung|amplitude|data|raw|"
    r"adc|[muµ]?v|millivolts?|microvolts?|y|col|column|ecg(value|signal|raw|data|voltage|filtered|uv|mv)s?))?\d*"
)


def split_unit(name: str) -> tuple[str, str | None]:
    """Name and unit of "I [mV]", "time (ms)" or "ecg_uV"; the unit is None where there is none."""
    name = name[:100]
    bracketed = re.fullmatch(r"(.*?)\s*[\[({]\s*([^\])}]{1,16}?)\s*[\])}]\s*", name)
    for found in (bracketed, re.fullmatch(r"(.+?)(?:\s*[/_]\s*|\s+)([^\s/_]{1,12})\s*", name)):
        if found and (is_unit(found[2]) or (found is bracketed and not standard_lead(name)[0])):
            return found[1].strip(), found[2]
    return name.strip(), None


def is_unit(text: str) -> bool:
    """Whether a text is a unit of voltage or time."""
    text = text.strip(" ()[]")
    return text.lower() in _TIME_UNITS or millivolts_per(text) is not None or text.lower() in ("adu", "hh:mm:ss.mmm")


def is_time(name: str) -> bool:
    """Whether a column of this name holds the times of the samples, or counts them."""
    name = plain(split_unit(name)[0])
    return bool(_TIMES.fullmatch(name) or _COUNTS.fullmatch(name))


def is_lead(name: str) -> bool:
    return standard_lead(split_unit(name)[0])[0] is not None


def is_any_signal(name: str) -> bool:
    """Whether a column's name says that it is a signal but not of which lead: "value", "ch1", "ECG [mV]"."""
    name = plain(split_unit(name)[0])
    return bool(name and _ANY_SIGNAL.fullmatch(name)) and not is_time(name)


def recording_of(
    names: Sequence[str],
    values: Sequence[np.ndarray],
    beside: Mapping[str, Any],
    where: str,
    units: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Recording:
    """A recording of columns.

    Parameters
    ----------
    names : sequence of str
        Of the columns; "" where the file gives none.
    values : sequence of float (samples,)
        NaN is missing.
    beside : dict
        What the file says apart from the columns; see `ecgclip.io.arrays.recording_of`.
    where : str
        The file; messages begin with it.
    units : sequence of str
        Of the columns, where a row of units gives them.
    notes : sequence of str

    Raises
    ------
    EcgclipError
        The times are irregular, and nothing else gives a sampling rate; or there are names for more or fewer leads.
    """
    notes = list(notes)
    known = {plain(name): value for name, value in beside.items()}
    split = [split_unit(name) for name in names]
    own = [unit.strip(" ()[]") for unit in units] or [unit or "" for _, unit in split]
    bare = [name for name, _ in split]
    times = _time_columns(bare, values)
    rate, places = _rate(times, bare, values, own, known, where, notes)
    signals = [k for k in range(len(bare)) if k not in times and not (not bare[k] and np.isnan(values[k]).all())]
    labels = _labels([bare[k] for k in signals], names_beside(known) or [], where, notes)
    fallback = units_beside(known, 1)[0]
    channels = [
        Channel(_placed(values[k], places), name, own[k] or fallback, rate)
        for k, name in zip(signals, labels, strict=True)
        if name != ""
    ]
    return Recording(channels, metadata_of(known), tuple(notes))


def _time_columns(names: Sequence[str], values: Sequence[np.ndarray]) -> list[int]:
    """Which columns are times or counts: by name; without names, a first one that rises in equal steps."""
    if any(names):
        likely = [k for k, name in enumerate(names) if is_time(name)]
        named = [k for k in likely if names[k].lower() not in _SHORT or arrays.rises(values[k])]
        return named if len(named) < len(names) else []
    return [0] if len(names) > 1 and arrays.rises(values[0]) else []


def _rate(
    times: Sequence[int],
    names: Sequence[str],
    values: Sequence[np.ndarray],
    units: Sequence[str],
    known: Mapping[str, Any],
    where: str,
    notes: list[str],
) -> tuple[float | None, np.ndarray | None]:
    """The sampling rate in Hz, and the places of the samples where some are left out."""
    said = rate_beside(known, 0)
    problems = []
    for k in times:
        unit = _TIME_UNITS.get(units[k].lower()) or _TIME_UNITS.get(names[k].lower())
        rate, places, problem = rate_of(values[k], unit)
        if problem:
            problems.append(f"column {names[k] or k + 1}: {problem}")
        elif rate is not None and not _counts(names[k]):
            if unit is None:
                notes.append(f"assumed {rate:.6g} Hz, by the steps of column {names[k] or k + 1}: it has no unit")
            if places is not None:
                notes.append(f"{int(places[-1]) + 1 - len(places)} samples are missing, by their times")
            if said and abs(said - rate) > 0.01 * rate:
                notes.append(f"the times give {rate:.6g} Hz, where the file says {said:g} Hz")
            return rate, places
    if problems and said is None:
        raise EcgclipError(f"{where}: no sampling rate: {problems[0]}; samples must be at equal distances")
    return said, None


def _counts(name: str) -> bool:
    return bool(name and _COUNTS.fullmatch(plain(name)))


def _placed(samples: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    if places is None:
        return samples
    placed = np.full(int(places[-1]) + 1, np.nan)
    placed[places] = samples
    return placed


def is_numbered(names: Sequence[str]) -> bool:
    """Whether columns are called V1, V2, … to V10 and more, as R does where they have no names; V9 is a lead."""
    lower = {name.lower() for name in names}
    return "v10" in lower and lower >= {f"v{k}" for k in range(1, len(names))}


def _labels(names: Sequence[str], said: Sequence[str], where: str, notes: list[str]) -> Sequence[str | None]:
    """What the channels are called: None for a signal of some lead, "" for what is none beside such a one."""
    if not any(names):
        if len(said) != len(names):
            said = [name for name in said if not is_time(name)]
        return fitting_names(said, len(names), where, notes) or [None] * len(names)
    if is_numbered(names):
        return [None] * len(names)
    if any(map(is_lead, names)) or not any(map(is_any_signal, names)):
        return [name or None for name in names]
    left_out = [name for name in names if not is_any_signal(name)]
    notes += [f"left out {name[:40]}: not one of the twelve leads" for name in left_out]
    return [None if is_any_signal(name) else "" for name in names]
