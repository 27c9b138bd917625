"""ECGs of an Apple Watch as the Health app exports them, in any language and number format.

Some lines of a key and a value, then a sample a line. The keys are in the phone's language, so lines are known by their
values and their order: name, date of birth, date, classification, symptoms, software, device, sampling rate, lead,
unit. The first two are not kept; the age follows from them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError, millivolts_per, standard_lead
from ecgclip.io.file import File
from ecgclip.io.layout import plain_numbers, text_of, utf8
from ecgclip.io.metadata import date_of
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, moment

_MAX_LINES = 60  # before the samples
_SAMPLE = re.compile(r'"?[-+]?[\d.,\'’ ]{1,24}"?;*')
_QUANTITY = re.compile(r"(?:[^\W\d][^\d]{0,15}?\s*)?(\d+(?:[.,]\d+)?)\s*([^\d,;]{0,16})").fullmatch
_HERTZ = re.compile(r"hert|hz|herc|гц|герц|赫|ヘルツ|헤르츠|هرتز|הרץ|χερτζ|हर्ट्ज|เฮิ", re.IGNORECASE)
_MICROVOLT = re.compile(r"[µμu]V|мкВ|微伏|mikrovolt|microvolt", re.IGNORECASE)
_RECORDED = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?: ?([-+]\d\d):?(\d\d))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def is_apple(head: bytes) -> bool:
    """Whether a file begins with keys and values, a sampling rate among them, and goes on with a number a line."""
    lines = plain_numbers(utf8(head).decode("utf-8", "replace")).split("\n")[:_MAX_LINES]
    pairs, first = _pairs(lines)
    samples = [line for line in lines[first : first + 6] if line.strip()]
    return len(pairs) > 1 and _rate(pairs) is not None and len(samples) > 2 and all(map(_is_sample, samples[:-1]))


def read_apple(file: File) -> Recording:
    """Read the export.

    Raises
    ------
    EcgclipError
        A sample is not a number.
    """
    lines = text_of(file).split(b"\n", _MAX_LINES)
    pairs, first = _pairs([plain_numbers(line.decode("utf-8", "replace")) for line in lines[:_MAX_LINES]])
    samples = _samples(plain_numbers(b"\n".join(lines[first:]).decode("utf-8", "replace")), file.name)
    rate = _rate(pairs)
    after = pairs[(rate[0] if rate else 0) :]
    unit = next((u for _, value in after if (u := _unit(value))), None)
    channel = Channel(samples, _lead(after), unit, rate[1] if rate else None)
    return Recording([channel], _metadata(pairs, rate[0] if rate else len(pairs)))


def _pairs(lines: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """Keys and values of the lines before the samples, and the number of the first sample's line."""
    pairs: list[tuple[str, str]] = []
    for k, line in enumerate(lines):
        if not line.strip():
            continue
        key, *value = re.split("[,;\t]", line[:1000], maxsplit=1)  # a spreadsheet may have written it again
        if not value or _is_sample(line.strip()):
            return pairs, k
        pairs.append((key.strip(' "'), value[0].strip(' "\t;')))
    return pairs, len(lines)


def _is_sample(line: str) -> bool:
    return len(line) < 40 and _SAMPLE.fullmatch(line) is not None and any(map(str.isdigit, line))


def _rate(pairs: Sequence[tuple[str, str]]) -> tuple[int, float] | None:
    """Which pair is the sampling rate, and its value in Hz."""
    found = []
    for k, (_, value) in enumerate(pairs):
        if quantity := _QUANTITY(value):
            number = float(quantity[1].replace(",", "."))
            found.append((bool(_HERTZ.search(value)), number, k))
    sure = [(number, k) for hertz, number, k in found if hertz]
    likely = [(number, k) for _, number, k in found if 100 <= number <= 1100 and len(pairs[k][1]) > 4]
    if not sure and not likely:
        return None
    number, k = sure[0] if sure else max(likely)
    return k, number


def _unit(value: str) -> str | None:
    if _MICROVOLT.fullmatch(value):
        return "uV"
    return value if len(value) < 12 and millivolts_per(value) is not None else None


def _lead(pairs: Sequence[tuple[str, str]]) -> str | None:
    """The lead: a value that names one, or that has a Roman number in it in whatever language."""
    for _, value in pairs:
        if standard_lead(value)[0]:
            return value
        if found := re.search(r"(?<![A-Za-z])I{1,3}(?![A-Za-z])", value):
            return found[0]
    return None


def _samples(body: str, where: str) -> np.ndarray:
    """A number a line, with a decimal point or comma, with or without thousands."""
    body = re.sub(r"[ '’\"\t;]|\n(?=\n)", "", body).strip("\n")
    commas, points = body.count(","), body.count(".")
    comma = commas > points
    if commas and points:  # one of them marks thousands, and stands first
        both = re.search(r"\.\d+,|,\d+\.", body)
        comma = both[0].endswith(",") if both else comma
    cells = body.replace("." if comma else ",", "").replace(",", ".").split("\n")
    try:
        return np.array(cells, float)
    except ValueError:
        number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?").fullmatch
        bad = next((k for k, cell in enumerate(cells, 1) if not number(cell)), 0)
        raise EcgclipError(f"{where}: sample {bad} is not a number") from None


# ---------------------------------------------------------------------------------------------------------------------
# What the export says apart from the samples


def _metadata(pairs: Sequence[tuple[str, str]], rate: int) -> dict[str, Any]:
    """The time, the age, the device and what it said; by order, from the line of the date to that of the rate."""
    metadata: dict[str, Any] = {}
    at = next((k for k, (_, value) in enumerate(pairs) if _RECORDED.match(value)), None)
    if at is not None:
        day, clock, hours, minutes = _RECORDED.match(pairs[at][1]).groups()  # type: ignore[union-attr]
        metadata["time"] = f"{day}T{clock}" + (f"{hours}:{minutes}" if hours else "")
        age = _age(pairs[at - 1][1], day) if at else None
        if age is not None:
            metadata["age"] = age
        said = [value for _, value in pairs[at + 1 : rate]]
        if said and said[0]:
            metadata["statements"] = [said[0]]
        if len(said) >= 4 and said[1]:
            metadata["comments"] = [f"{pairs[at + 2][0]}: {said[1]}"]
    watch = next((value for _, value in pairs[(at or 0) + 1 :] if "watch" in value.lower()), None)
    if watch:
        metadata["device"] = watch if "apple" in watch.lower() else f"Apple {watch}"
    beats = next((found for _, value in pairs if (found := re.match(r"(\d{2,3})\s*(bpm|spm|/min)", value, re.I))), None)
    if beats:
        metadata["measurements"] = {"heart_rate": float(beats[1])}
    return metadata


def _age(birth: str, recorded: str) -> float | None:
    """Years from a date of birth as a phone writes it to the day of the recording; None where it is unclear."""
    numbers = re.findall(r"\d+", birth)
    year = next((int(n) for n in numbers if len(n) == 4), None)
    if year is None:
        return None
    others = [int(n) for n in numbers if len(n) < 3]
    month = next((k for k, name in enumerate(_MONTHS, 1) if re.search(rf"\b{name}", birth.lower())), None)
    if len(others) == 2:  # the year comes first, or a day that is followed by a month; America's slashes turn that
        first = birth.strip().startswith(str(year)) or ("/" in birth and others[1] > 12)
        month, day = others if first else others[::-1]
    else:  # a month whose name is not known here is taken as July
        month, day = month or 7, others[0] if others else 1
    return age_at(date_of(recorded), moment(year, month, day))
