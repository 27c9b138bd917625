"""DICOM waveforms: General, 12-lead, Ambulatory ECG, and the ECG channels of Hemodynamic recordings.

A file holds groups of channels that were sampled together: the rhythm, a median beat, pressures. The longest original
group with an ECG lead is the rhythm; other original groups add the leads that it lacks, at their time. The sample skew
between channels, below a sampling interval, is ignored.
"""

from __future__ import annotations

import logging
import math
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS, EcgclipError, standard_lead
from ecgclip.io.file import File
from ecgclip.io.metadata import parse_age
from ecgclip.io.recording import Channel, Recording

# What pydicom raises on damaged files, at parsing and at the first look at an element
DAMAGE = (
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
DEFLATED = b"1.2.840.10008.1.2.1.99"
# Numbers of leads, the same after "2:" in MDC codes (ISO/IEEE 11073-10101) and after "5.6.3-9-" in SCP-ECG's
LEAD_NUMBERS = dict(zip((1, 2, 61, 62, 63, 64, *range(3, 9)), LEADS, strict=True))
SAMPLES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
COMPANDED = {"MB": "mu-law", "AB": "A-law"}
AVERAGED = re.compile(r"median|average|representative|template|mean beat", re.IGNORECASE)
PER_MS = {"s": 1000.0, "us": 0.001}
# Codes (MDC, SCP-ECG) or meanings of the device's measurements
MEASUREMENTS = {
    "heart_rate": ("2:16016", "ventricular heart rate", "heart rate", "ventricular rate"),
    "rr_ms": ("5.10.2.1-3", "rr interval", "mean rr interval"),
    "pr_ms": ("2:15872", "5.13.5-7", "pr interval", "pq interval"),
    "qrs_ms": ("2:16156", "5.13.5-9", "qrs duration"),
    "qt_ms": ("2:16160", "5.13.5-11", "qt interval"),
    "qtc_ms": ("2:15876", "5.10.2.5-5", "qtc interval", "corrected qt interval"),
    "p_axis": ("2:16128", "5.10.3-11", "p axis", "p wave axis"),
    "qrs_axis": ("2:16132", "5.10.3-13", "qrs axis"),
    "t_axis": ("2:16136", "5.10.3-15", "t axis", "t wave axis"),
}
KEYS = {spelling: key for key, spellings in MEASUREMENTS.items() for spelling in spellings}
TAGS = (
    *("SOPClassUID", "AcquisitionDateTime", "ContentDate", "ContentTime", "StudyDate", "StudyTime"),
    *("Manufacturer", "ManufacturerModelName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("WaveformAnnotationSequence", "WaveformSequence"),
)


def read_dicom(file: File) -> Recording:
    """Read the rhythm of a DICOM file.

    Returns
    -------
    Recording
        Channels in the unit of their sensitivity; NaN where the file pads.

    Raises
    ------
    EcgclipError
        The file is damaged or deflated, has no waveform, or stores it companded.
    """
    with _quiet():
        dataset = _parse(file)
        groups = [_describe(item) for item in _items(dataset, "WaveformSequence")]
        if not groups:
            what = getattr(_value(dataset, "SOPClassUID"), "name", None) or "of unknown kind"
            raise EcgclipError(f"{file.name}: a DICOM file without a waveform ({what[:60]}), so no ECG")
        chosen, notes = _rhythm(groups)
        channels = [c for group in chosen for c in _channels(group, file, notes)]
        return Recording(channels, _metadata(dataset), tuple(notes))


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom warns of each value that breaks a rule of the standard, of which old files are full."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _parse(file: File) -> Any:
    import pydicom

    if file.data.find(DEFLATED) >= 0:  # pydicom would inflate it whatever its size
        raise EcgclipError(f"{file.name}: a deflated DICOM file, which is not read; store it as Explicit VR Little Endian")
    try:
        return pydicom.dcmread(file.open(), force=True, specific_tags=list(TAGS))
    except DAMAGE as error:
        raise EcgclipError(f"{file.name}: a damaged DICOM file ({' '.join(str(error).split())[:80]})") from None


# ---------------------------------------------------------------------------------------------------------------------
# Elements: None where one lacks or is damaged


def _value(item: Any, keyword: str) -> Any:
    try:
        return item.get(keyword)
    except DAMAGE:
        return None


def _items(item: Any, keyword: str) -> list[Any]:
    from pydicom.sequence import Sequence

    value = _value(item, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _text(item: Any, keyword: str) -> str:
    value = _value(item, keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())


def _number(item: Any, keyword: str) -> float | None:
    """A finite number; the first where there are several."""
    value = _value(item, keyword)
    if not isinstance(value, (str, bytes, int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    try:
        number = float(str(value).strip("\0 "))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _code(item: Any, keyword: str) -> tuple[str, str]:
    """Value and meaning of the first code of a sequence; empty where there is none."""
    codes = _items(item, keyword)
    return (_text(codes[0], "CodeValue"), _text(codes[0], "CodeMeaning")) if codes else ("", "")


# ---------------------------------------------------------------------------------------------------------------------
# Groups of channels


@dataclass(frozen=True)
class Group:
    """A multiplex group, as it describes itself.

    Attributes
    ----------
    item : pydicom.Dataset
    names : tuple of str
        Of the channels.
    seconds, start_s : float
        Its length, and its begin after that of the recording.
    rate : float, optional
        Hz.
    label : str
    rhythm : bool
        Neither derived nor an averaged beat.
    """

    item: Any
    names: tuple[str, ...]
    seconds: float
    start_s: float
    rate: float | None
    label: str
    rhythm: bool

    @property
    def leads(self) -> set[str]:
        return {lead for name in self.names if (lead := standard_lead(name)[0])}


def _describe(item: Any) -> Group:
    rate = _number(item, "SamplingFrequency")
    rate = rate if rate and rate > 0 else None
    label = _text(item, "MultiplexGroupLabel")
    derived = _text(item, "WaveformOriginality").upper() == "DERIVED" or bool(AVERAGED.search(label))
    names = tuple(_lead_name(channel) for channel in _items(item, "ChannelDefinitionSequence"))
    samples = max(_number(item, "NumberOfWaveformSamples") or 0, 0)
    start = (_number(item, "MultiplexGroupTimeOffset") or 0) / 1000
    return Group(item, names, samples / (rate or 1), start, rate, label, not derived)


def _lead_name(channel: Any) -> str:
    """By the number of the lead; else as the file spells it."""
    code, meaning = _code(channel, "ChannelSourceSequence")
    numbered = re.fullmatch(r"(?:2:|5\.6\.3-9-)(\d{1,3})", code)
    lead = LEAD_NUMBERS.get(int(numbered[1])) if numbered else None
    label = _text(channel, "ChannelLabel")
    if lead is None and standard_lead(meaning)[0] is None and label:
        return label
    return lead or meaning or label or code


def _rhythm(groups: list[Group]) -> tuple[list[Group], list[str]]:
    """The groups that make the rhythm, with their begins after the first one's; and notes."""
    ranked = sorted(groups, key=lambda g: (bool(g.leads), g.rhythm, g.seconds), reverse=True)
    chosen, notes = [ranked[0]], []
    for group in ranked[1:]:
        together = [*chosen, group]
        span = max(g.start_s + g.seconds for g in together) - min(g.start_s for g in together)
        fits = span <= sum(g.seconds for g in together) + 1  # one after the other, or at the same time
        new = group.leads - set().union(*(g.leads for g in chosen))
        if new and fits and group.rhythm:
            chosen.append(group)
        elif len(notes) < 4:
            kind = "" if group.rhythm else "derived "
            notes.append(f"left out the {kind}group {group.label[:40] or 'without a label'} ({group.seconds:.3g} s)")
    if not chosen[0].rhythm:
        notes.append(f"assumed that the group {chosen[0].label[:40]} is the rhythm, though the file calls it derived")
    first = min(g.start_s for g in chosen)
    return [replace(g, start_s=g.start_s - first) for g in chosen], notes


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def _channels(group: Group, file: File, notes: list[str]) -> list[Channel]:
    stored = _stored(group, file, notes)  # (channels, samples)
    missing = _padded(group, stored)
    before = round(group.start_s * group.rate) if group.rate else 0
    channels = []
    for i, item in enumerate(_items(group.item, "ChannelDefinitionSequence")):
        values = _extended(stored[i], missing[i] if missing is not None else None, _number(item, "WaveformBitsStored"))
        samples = values.astype(np.float64 if stored.itemsize > 2 else np.float32)
        if missing is not None:
            samples[missing[i]] = np.nan
        unit, factor, offset = _scale(item)
        if not factor:
            notes.append(f"left out {group.names[i][:40]}: its sensitivity is 0")
            continue
        if factor != 1 or offset:
            samples *= factor
            samples += offset  # in the unit, so after the sensitivity
        if before:
            samples = np.concatenate([np.full(before, np.nan, samples.dtype), samples])
        channels.append(Channel(samples, group.names[i] or None, unit, group.rate))
    return channels


def _scale(channel: Any) -> tuple[str | None, float, float]:
    """Unit, its amount per step and at step 0; no unit where the file gives no sensitivity."""
    sensitivity = _number(channel, "ChannelSensitivity")
    if sensitivity is None:
        return None, 1.0, 0.0
    correction = _number(channel, "ChannelSensitivityCorrectionFactor")
    unit = _code(channel, "ChannelSensitivityUnitsSequence")[0]
    factor = sensitivity * (1.0 if correction is None else correction)
    return unit or None, factor, _number(channel, "ChannelBaseline") or 0.0


def _stored(group: Group, file: File, notes: list[str]) -> np.ndarray:
    """The samples as they are stored, (channels, samples); as many as are declared and there."""
    kind = _text(group.item, "WaveformSampleInterpretation").upper()
    if kind in COMPANDED:
        raise EcgclipError(f"{file.name}: the samples are {COMPANDED[kind]} companded ({kind}), which is not read")
    bits = _number(group.item, "WaveformBitsAllocated")
    if kind not in SAMPLES or bits != 8 * np.dtype(SAMPLES[kind]).itemsize:
        raise EcgclipError(f"{file.name}: samples of kind {kind[:10]!r} with {bits or 0:g} bits are not read")
    declared, described = _number(group.item, "NumberOfWaveformChannels"), len(group.names)
    if declared != described or not described:
        raise EcgclipError(f"{file.name}: damaged: {declared or 0:g} channels are declared, {described} described")
    data, order = _bytes(group.item)
    kind_and_order = np.dtype(order + SAMPLES[kind])
    held = len(data) // (kind_and_order.itemsize * described)
    samples = min(held, int(_number(group.item, "NumberOfWaveformSamples") or held))
    if samples <= 0:
        raise EcgclipError(f"{file.name}: damaged: there are no samples in the group {group.label[:40]}".rstrip())
    if samples < round(group.seconds * (group.rate or 1)):
        notes.append(f"the file ends early: {samples / (group.rate or 1):.3g} of {group.seconds:.3g} s are there")
    rows = np.frombuffer(data, kind_and_order, samples * described).reshape(samples, described)
    return np.ascontiguousarray(rows.T, kind_and_order.newbyteorder("="))


def _bytes(item: Any) -> tuple[bytes, str]:
    """WaveformData and its byte order."""
    try:
        element = item.get_item(0x54001010)
    except DAMAGE:
        element = None
    data = getattr(element, "value", None)
    return data if isinstance(data, bytes) else b"", "<" if getattr(element, "is_little_endian", True) else ">"


def _padded(group: Group, stored: np.ndarray) -> np.ndarray | None:
    """Where samples are the padding value; None where none is. 0 is an ECG's usual value, and padding means nothing."""
    value = _value(group.item, "WaveformPaddingValue")
    if isinstance(value, bytes):
        order = _bytes(group.item)[1]
        value = np.frombuffer(value[: stored.itemsize], stored.dtype.newbyteorder(order))[0] if len(value) >= stored.itemsize else None
    if not isinstance(value, (int, np.integer)) or (value == 0 and stored.dtype.kind == "i"):
        return None
    missing = stored == value
    return missing if missing.any() else None


def _extended(values: np.ndarray, missing: np.ndarray | None, bits: float | None) -> np.ndarray:
    """Extend the sign of signed samples of fewer bits than are allocated, where the file has not done so."""
    if values.dtype.kind == "u" or not bits or not 2 <= bits < 8 * values.itemsize:
        return values
    half = 1 << (int(bits) - 1)
    there = values if missing is None else values[~missing]
    if not there.size or there.min() < 0 or not half <= there.max() < 2 * half:
        return values
    return np.where(values >= half, values - values.dtype.type(half) - values.dtype.type(half), values)


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _metadata(dataset: Any) -> dict[str, Any]:
    """What the file says of the patient, the device and the ECG; `Recording` lists the keys."""
    taken = _time(dataset)
    statements, measurements = _annotations(dataset)
    maker, model = (_text(dataset, k) for k in ("Manufacturer", "ManufacturerModelName"))
    known = [word for word in (maker, model) if word.lower() not in ("", "unknown")]
    found = {
        "age": _age(dataset, taken),
        "sex": {"F": "female", "M": "male"}.get(_text(dataset, "PatientSex").upper()),
        "time": taken,
        "device": model if len(known) == 2 and model.lower().startswith(maker.lower()) else " ".join(known),
        "statements": statements,
        "measurements": measurements,
        "patient_id": _text(dataset, "PatientID"),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _time(dataset: Any) -> str | None:
    """When the ECG was taken, as ISO 8601."""
    together = [_text(dataset, "AcquisitionDateTime")]
    together += [_text(dataset, f"{of}Date") + _text(dataset, f"{of}Time") for of in ("Content", "Study")]
    for text in together:
        parts = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?(?:\.\d+)?)?([+-]\d{4})?", text)
        try:
            if parts:
                when = datetime(*(int(p or 0) for p in parts.groups()[:6]))  # type: ignore[arg-type]
                return when.isoformat() if parts[4] else when.date().isoformat()
        except ValueError:
            continue
    return None


def _age(dataset: Any, taken: str | None) -> float | None:
    """Years; where the age is not given, those complete between birth and ECG."""
    given = _text(dataset, "PatientAge")
    if given:
        return parse_age(given)
    born = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", _text(dataset, "PatientBirthDate"))
    if not born or not taken:
        return None
    try:
        days = (date.fromisoformat(taken[:10]) - date(*map(int, born.groups()))).days
    except ValueError:
        return None
    years = days / 365.25
    return None if not 0 <= years <= 130 else float(int(years)) if years >= 2 else round(years, 2)


def _annotations(dataset: Any) -> tuple[list[str], dict[str, float]]:
    """The device's statements and measurements; marks of waves, which have a time, are neither."""
    statements: list[str] = []
    found: dict[str, float] = {}
    for item in _items(dataset, "WaveformAnnotationSequence"):
        if (number := _number(item, "NumericValue")) is not None:
            code, meaning = _code(item, "ConceptNameCodeSequence")
            key = KEYS.get(code) or KEYS.get(re.sub(r" global$", "", meaning.lower()))
            if key:
                unit = _code(item, "MeasurementUnitsCodeSequence")[0]
                found.setdefault(key, number * PER_MS.get(unit, 1.0) if key.endswith("_ms") else number)
        elif "TemporalRangeType" not in item:
            text = _text(item, "UnformattedTextValue")
            text = text or _code(item, "ConceptCodeSequence")[1] or _code(item, "ConceptNameCodeSequence")[1]
            statements += [text] if text else []
    interval = found.pop("rr_ms", 0)
    if interval > 0:
        found.setdefault("heart_rate", round(60_000 / interval, 1))
    return list(dict.fromkeys(statements)), found
