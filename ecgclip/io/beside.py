"""What a file says beside its signal: sampling rate, leads, units, age and sex, by whatever name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgclip.ecg import MAX_RATE, MIN_RATE, EcgclipError, standard_lead
from ecgclip.io.metadata import parse_age, stated
from ecgclip.io.times import rate_of
from ecgclip.io.values import sex

_RATE_NAMES = (  # as `plain` gives them
    *("currsamplerate", "fs", "fsecg", "samplingrate", "samplerate", "samplingfrequency", "samplefrequency"),
    *("samplingfreq", "samplefreq", "sampfreq", "fsamp", "fsample", "sfreq", "srate", "sr", "freq", "frequency"),
    *("rate", "hz", "sampleratehz", "samplingratehz", "samplingfrequencyhz", "fshz"),
)
_LEAD_NAMES = ("leads", "leadnames", "leadname", "lead", "signame", "signames", "chnames", "channels", "channelnames")
_UNIT_NAMES = ("unit", "units", "sigunits")
_QUANTITY = re.compile(
    r"\s*([-+]?\d+(?:\.\d*)?(?:e[-+]?\d{1,2})?)\s*(k?)(?:hz|sps|samples? ?(?:/|per) ?s|1/s|$)", re.IGNORECASE
)
TIME_NAMES = ("t", "time", "times", "timestamp", "timestamps", "timesec", "timems")


def rate_beside(known: Mapping[str, Any], samples: int) -> float | None:
    """The sampling rate in Hz: stored as a number, or by the times of the samples."""
    given = [value for name in _RATE_NAMES if name in known and (value := quantity(known[name])) is not None]
    if given:  # an impossible one is for the reader of the message, and never replaced by an assumed one
        return next((value for value in given if MIN_RATE <= value <= MAX_RATE), given[0])
    for name in TIME_NAMES:
        times = np.asarray(known.get(name, ()))
        if times.size == samples and samples > 1 and times.dtype.kind in "iuf":
            rate = rate_of(times.ravel().astype(float), "ms" if name.endswith("ms") else None)[0]
            if rate is not None:
                return rate
    return None


def quantity(value: Any) -> float | None:
    """The one number in a value as files hold it: a scalar, an array of one, a text such as "500 Hz"; else None."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        found = _QUANTITY.match(value)
        return float(found[1]) * (1000 if found[2] else 1) if found else None
    if isinstance(value, (int, float, np.number)) and not isinstance(value, complex) and np.isfinite(value):
        return float(value)
    return None


def texts(value: Any) -> list[str]:
    """The texts in a value as files hold it: a text with names between commas, a sequence or an array of texts."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return [
            name for name in re.split(r"[,;\s]+" if "," not in value else r"\s*[,;]\s*", value.strip(" []()")) if name
        ]
    if isinstance(value, np.ndarray) and value.dtype.kind in "SUO":
        value = value.ravel().tolist()
    if not isinstance(value, (list, tuple)):
        return []
    found = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value]
    return [item.strip(" \0'\"") for item in found] if all(isinstance(item, str) for item in found) else []


def names_beside(known: Mapping[str, Any]) -> list[str] | None:
    """The names of the leads, as far as they are stored."""
    return next((found for name in _LEAD_NAMES if name in known and (found := texts(known[name]))), None)


def fitting_names(names: Sequence[str] | None, n: int, where: str, notes: list[str]) -> list[str] | None:
    """The names of `n` leads; None, with a note, where the names that are given are those of something else.

    Raises
    ------
    EcgclipError
        They are names of leads, but more or fewer than `n`.
    """
    if not names or len(names) == n:
        return list(names) if names else None
    if sum(standard_lead(name)[0] is not None for name in names) > 1:
        raise EcgclipError(f"{where}: names {len(names)} leads and holds {n}: mend the names in the file")
    notes.append(f"left out the names of leads in the file: {len(names)} for {n} leads")
    return None


def units_beside(known: Mapping[str, Any], n: int) -> list[str | None]:
    """The units of `n` channels, stored as one or as many."""
    found = next((found for name in _UNIT_NAMES if name in known and (found := texts(known[name]))), [])
    if len(found) == n:
        return [*found]
    return [found[0] if len(found) == 1 else None] * n


def metadata_of(known: Mapping[str, Any]) -> dict[str, Any]:
    """Age (years) and sex, where they are clear."""
    metadata: dict[str, Any] = {}
    age = known.get("age")
    text = (texts(age) or [""])[0] if quantity(age) is None else f"{quantity(age):g}"
    years = parse_age(text) if text else None
    if years is not None:
        metadata["age"] = years
    if said := sex(" ".join(texts(known.get("sex", known.get("gender", ""))))):
        metadata["sex"] = said
    elif isinstance(male := known.get("ismale"), (bool, np.bool_)):
        metadata["sex"] = "male" if male else "female"
    return {**stated(texts(known.get("comments", ()))), **metadata}


def plain(name: str) -> str:
    """A name in lower case without what stands between its words: "Sampling_Rate" → "samplingrate"."""
    return re.sub(r"[\s_.\-()\[\]:]+", "", name).lower()


def last_part(name: str) -> str:
    """The name of an array without those of the groups it lies in."""
    return name.rpartition("/")[2]
