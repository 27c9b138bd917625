"""HL7 annotated ECG (aECG): what sponsors send to the FDA, and what many carts export.

A series of rhythm holds sets of sequences: in each, one sequence is the time (an increment), the others are leads
(origin + scale × digits). Beats that were derived from the rhythm stand in series of their own, and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import EcgclipError, millivolts_per
from ecgclip.io.file import File
from ecgclip.io.metadata import parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, factor, moment, number, samples, sex, unsigned
from ecgclip.io.xml import parse_xml, text_of

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "": 1.0}
LONGEST_SPAN = 5  # times the longest set of sequences: sets that lie further apart are not joined
NO_VALUE = (-32768, 32767)  # the ends of 16 bits, where they stand for more than any heart gives
MOST = 20.0  # mV
# A pulse of 1 mV in all leads at once, which some Philips carts append after a stretch of zeros
PULSE, PULSE_TAIL, PULSE_LENGTH, PULSE_LEADS = 1.0, 2.0, 0.05, 8  # mV, s, s, leads
PULSE_ERROR, ZERO = 0.05, 0.02  # mV
REPORTED_AGE = "21612-7"  # LOINC
TIMES = ("effectiveTime/low", "effectiveTime/center", "effectiveTime")
# What an annotation's code ends in, in MDC's terms or those of a maker -> key of `measurements`
MEASUREMENTS = {
    r"HEART_RATE(_VENT\w*)?|VENT\w*_RATE": "heart_rate",
    r"TIME_PD_P[RQ]": "pr_ms",
    r"TIME_PD_QRS": "qrs_ms",
    r"TIME_PD_QT": "qt_ms",
    r"TIME_PD_QTC\w?": "qtc_ms",
    r"ANGLE_P_FRONT|P_AXIS": "p_axis",
    r"ANGLE_QRS_FRONT|QRS_AXIS": "qrs_axis",
    r"ANGLE_T_FRONT|T_AXIS": "t_axis",
}


@dataclass(frozen=True)
class _Set:
    """Leads that were recorded at the same time; `start` in seconds, on any clock."""

    start: float
    rate: float | None
    channels: list[Channel]

    @property
    def length(self) -> int:
        return max((len(c.samples) for c in self.channels), default=0)


def read_aecg(file: File) -> Recording:
    """Read the rhythm of an HL7 aECG; of several, the longest.

    Raises
    ------
    EcgclipError
        It is not well formed, holds no rhythm, or a lead's samples or scale are no numbers.
    """
    root = parse_xml(file)
    rhythms = [series for series in root.iter("series") if not _derived(series)]
    if not rhythms:
        raise EcgclipError(f"{file.name}: the aECG holds no rhythm, only {_other_series(root)}")
    series = max(rhythms, key=_digits)
    notes = [f"left out {len(rhythms) - 1} shorter rhythm series"] if len(rhythms) > 1 else []
    sets = [_read_set(element, file) for element in series.findall("component/sequenceSet")]
    sets = [one for one in sets if one.length]
    if not sets:
        raise EcgclipError(f"{file.name}: the rhythm of the aECG holds no samples")
    channels = _without_pulse(_joined(sets, notes), notes)
    return Recording(channels, _metadata(root, series), tuple(notes))


def _derived(series: Element) -> bool:
    code = series.find("code")
    return code is not None and bool(re.search("BEAT|MEDIAN|AVERAGE|TEMPLATE", code.get("code", "").upper()))


def _other_series(root: Element) -> str:
    beats = sum(1 for element in root.iter() if element.tag in ("series", "derivedSeries"))
    return f"{beats} series of derived beats" if beats else "a header"


def _digits(series: Element) -> int:
    return sum(len(one.text or "") for one in series.findall("component/sequenceSet/component/sequence/value/digits"))


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def _read_set(element: Element, file: File) -> _Set:
    start, rate, channels = 0.0, None, []
    for sequence in element.findall("component/sequence"):
        code, value = sequence.find("code"), sequence.find("value")
        name = code.get("code", "") if code is not None else ""
        if value is None:
            continue
        if name.startswith("TIME_"):
            start, rate = _clock(value)
        elif value.find("digits") is not None:
            channels.append(_channel(name, value, file))
    return _Set(start, rate, [replace(channel, rate=rate) for channel in channels])


def _clock(value: Element) -> tuple[float, float | None]:
    """Start of a set in seconds, and its sampling rate."""
    head, increment = value.find("head"), value.find("increment")
    step = None if increment is None else _seconds(increment)
    start = 0.0
    if head is not None and (time := _time(head.get("value"))) is not None:
        start = (time - datetime(1970, 1, 1)).total_seconds()
    elif head is not None:
        start = _seconds(head) or 0.0
    return start, 1 / step if step and 1e-6 < step < 1e6 else None


def _seconds(quantity: Element) -> float | None:
    value, unit = number(quantity.get("value")), SECONDS.get((quantity.get("unit") or "").strip())
    return None if value is None or unit is None else value * unit


def _channel(name: str, value: Element, file: File) -> Channel:
    """origin + scale × digits, in the unit of the scale."""
    digits = samples(value.findtext("digits"), f"{file.name}: lead {name[:40]}")
    scale, unit = factor(_value(value, "scale", "value") or "1"), _value(value, "scale", "unit")
    origin, origin_unit = number(_value(value, "origin", "value") or "0"), _value(value, "origin", "unit")
    if scale is None or origin is None or abs(origin) > 1e12:
        raise EcgclipError(f"{file.name}: lead {name[:40]} has a scale or an origin that cannot be")
    millivolts = millivolts_per(unit)
    if origin and millivolts and (of_origin := millivolts_per(origin_unit)):
        origin *= of_origin / millivolts
    volume = np.float32(scale) * digits + np.float32(origin)
    if millivolts and len(volume) and np.fmax.reduce(np.abs(volume)) * millivolts > MOST:
        volume[np.isin(digits, NO_VALUE) & (np.abs(volume) * millivolts > MOST)] = np.nan
    return Channel(volume, name[:64] or None, unit or None)


def _joined(sets: list[_Set], notes: list[str]) -> list[Channel]:
    """One channel for each lead, all from the first start on; NaN where a lead was not recorded."""
    longest = max(sets, key=lambda one: one.length)
    rate = longest.rate or 1.0
    near = [one for one in sets if one.rate == longest.rate]
    first = min(one.start for one in near)
    places = [round(min((one.start - first) * rate, 1e12)) for one in near]
    total = max(place + one.length for place, one in zip(places, near, strict=True))
    if total > LONGEST_SPAN * longest.length:
        near, places, total = [longest], [0], longest.length
    if len(near) < len(sets):
        notes.append(f"left out {len(sets) - len(near)} shorter sets of leads, of another rate or time")
    if len(near) == 1:
        return longest.channels
    leads: dict[str | None, Channel] = {}
    for place, one in zip(places, near, strict=True):
        for channel in one.channels:
            empty = replace(channel, samples=np.full(total, np.nan, np.float32))
            whole = leads.setdefault(channel.name, empty)
            whole.samples[place : place + len(channel.samples)] = channel.samples
    return list(leads.values())


def _without_pulse(channels: list[Channel], notes: list[str]) -> list[Channel]:
    """The channels up to the zeros before a calibration pulse at their end, where there is one."""
    scales = [millivolts_per(channel.unit or "") for channel in channels]
    length, rate = len(channels[0].samples), channels[0].rate
    alike = all(len(channel.samples) == length for channel in channels)
    if not rate or not all(scales) or not alike or len(channels) < PULSE_LEADS:
        return channels
    start = max(0, length - round(PULSE_TAIL * rate))
    tail = np.stack([c.samples[start:] * scale for c, scale in zip(channels, scales, strict=True)])
    high = np.concatenate(([0], (np.abs(tail - PULSE) < PULSE_ERROR).all(0).astype(np.int8), [0]))
    begins, ends = np.flatnonzero(np.diff(high) == 1), np.flatnonzero(np.diff(high) == -1)
    pulses = begins[ends - begins >= PULSE_LENGTH * rate]
    zero = (np.abs(tail[:, : pulses[0] if len(pulses) else 0]) < ZERO).all(0)
    if not zero.any():
        return channels
    last = int(np.flatnonzero(zero)[-1])
    before = np.flatnonzero(~zero[:last])
    keep = start + (int(before[-1]) + 1 if len(before) else 0)
    notes.append(f"left out the last {(length - keep) / rate:.2g} s: a calibration pulse")
    return [replace(channel, samples=channel.samples[:keep]) for channel in channels]


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _metadata(root: Element, series: Element) -> dict[str, Any]:
    times = [_value(place, path, "value") for place in (series, root) for path in TIMES]
    stamp = next((text for text in times if _time(text)), "")
    subject, author = next(root.iter("trialSubject"), None), next(series.iter("seriesAuthor"), None)
    person = None if subject is None else subject.find("subjectDemographicPerson")
    device = (
        text_of(author, "manufacturerOrganization/name"),
        text_of(author, "manufacturedSeriesDevice/manufacturerModelName"),
    )
    annotations = list(_annotations(series))
    texts = _interpretation(annotations)
    comments = texts["COMMENT"] + [text_of(place, "text") for place in root.iter("subjectFindingComment")]
    found = {
        "age": _age(root, person, _time(stamp)),
        "sex": sex(_value(person, "administrativeGenderCode", "code")),
        "time": _iso(stamp),
        "device": " ".join(filter(None, device)),
        "statements": unsigned(texts["RHYTHM"] + texts["STATEMENT"] + texts["SUMMARY"]),
        "measurements": _measurements(annotations),
        "comments": unsigned(comments),
        "patient_id": _value(subject, "id", "extension") or text_of(person, "PatientID"),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _value(parent: Element | None, path: str, attribute: str) -> str:
    found = None if parent is None else parent.find(path)
    return "" if found is None else (found.get(attribute) or "").strip()


def _time(text: str | None) -> datetime | None:
    """An HL7 timestamp, YYYYMMDDhhmmss.fff+zzzz with any part of it left out at the end, in its own time zone."""
    parts = re.match(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(?:\.(\d{1,6}))?", text or "", re.ASCII)
    time = parts and moment(*(part or "0" for part in parts.groups()[:6]))
    return time + timedelta(seconds=float(f"0.{parts[7] or 0}")) if parts and time else None


def _iso(text: str) -> str | None:
    time = _time(text)
    if time is None:
        return None
    return time.isoformat(timespec="seconds") if len(text) > 8 else time.date().isoformat()


def _age(root: Element, person: Element | None, time: datetime | None) -> float | None:
    """By the dates of birth and recording; else as reported."""
    age = age_at(time, _time(_value(person, "birthTime", "value")))
    if age is not None:
        return age
    for observation in root.iter("relatedObservation"):
        if _value(observation, "code", "code") == REPORTED_AGE:
            unit = _value(observation, "value", "unit")
            return parse_age(f"{_value(observation, 'value', 'value')} {unit}")
    return None


def _annotations(series: Element) -> Iterator[tuple[str, Element]]:
    """Code and element of each annotation of the whole ECG, not of one lead; the outer ones first."""
    layer = series.findall("subjectOf/annotationSet")
    layer += series.findall("derivation/derivedSeries/subjectOf/annotationSet")
    while layer:
        layer = [inner for one in layer for inner in one.findall("component/annotation") if not _of_one_lead(inner)]
        yield from ((_value(one, "code", "code"), one) for one in layer)


def _of_one_lead(annotation: Element) -> bool:
    boundaries = annotation.findall("support/supportingROI/component/boundary/code")
    return any("_LEAD_" in code.get("code", "") for code in boundaries)


def _measurements(annotations: list[tuple[str, Element]]) -> dict[str, float]:
    """The device's measurements of the ECG; those of a first beat only where there are no others."""
    found: dict[str, float] = {}
    for code, annotation in annotations:
        key = _measurement(code)
        if key is None or key in found:
            continue
        value = annotation.find("value")
        if value is None or (quantity := number(value.get("value"))) is None:
            continue
        if key.endswith("_ms"):
            quantity *= 1e3 * SECONDS.get(value.get("unit") or "ms", 1e-3)
        if quantity > 0 or key.endswith("axis"):
            found[key] = round(quantity, 3)
    return found


@lru_cache(maxsize=512)
def _measurement(code: str) -> str | None:
    return next((key for ending, key in MEASUREMENTS.items() if re.search(f"_(?:{ending})$", code, re.I)), None)


def _interpretation(annotations: list[tuple[str, Element]]) -> dict[str, list[str]]:
    """Texts of the device: its RHYTHM, each STATEMENT, a SUMMARY and a COMMENT."""
    texts: dict[str, list[str]] = {"RHYTHM": [], "STATEMENT": [], "SUMMARY": [], "COMMENT": []}
    for code, annotation in annotations:
        if code == "MDC_ECG_RHY":
            texts["RHYTHM"].append(_value(annotation, "value", "displayName") or text_of(annotation, "value") or "")
        elif "INTERPRETATION" in code and (part := code.rpartition("_")[2]) in texts:
            texts[part].append((text_of(annotation, "value") or "").rstrip(" ,"))
    return texts
