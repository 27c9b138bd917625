"""DICOM waveforms: General, 12-lead, Ambulatory ECG, and the ECG channels of Hemodynamic recordings.

A file holds groups of channels that were sampled together: the rhythm, a median beat, pressures. The longest original
group with an ECG lead is the rhythm; other original groups add the leads that it lacks, at their time. The sample skew
between channels, below a sampling interval, is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS, EcgclipError, standard_lead
from ecgclip.io.dicom_elements import Item, data_set
from ecgclip.io.file import File
from ecgclip.io.formats import format_by
from ecgclip.io.metadata import parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, moment, sex, unsigned

# Numbers of leads, the same after "2:" in MDC codes (ISO/IEEE 11073-10101) and after "5.6.3-9-" in SCP-ECG's
LEAD_NUMBERS = dict(zip((1, 2, 61, 62, 63, 64, *range(3, 9)), LEADS, strict=True))
SAMPLES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
COMPANDED = {"MB": "mu-law", "AB": "A-law"}
AVERAGED = re.compile(r"median|average|representative|template|mean beat", re.IGNORECASE)
LEAST, MOST = 1e-20, 1e20  # of a sensitivity, whatever its unit
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
# Tags
SOP_CLASS, MAKER, MODEL = 0x00080016, 0x00080070, 0x00081090
TAKEN = (0x0008002A,), (0x00080023, 0x00080033), (0x00080020, 0x00080030)  # acquisition, content, study: date, time
DOCUMENT = 0x00420011
PATIENT_ID, BORN, SEX, AGE = 0x00100020, 0x00100030, 0x00100040, 0x00101010
WAVEFORMS, OFFSET_MS, ORIGINALITY = 0x54000100, 0x00181068, 0x003A0004
CHANNEL_COUNT, SAMPLE_COUNT, RATE, GROUP_LABEL = 0x003A0005, 0x003A0010, 0x003A001A, 0x003A0020
CHANNELS, CHANNEL_LABEL, SOURCE = 0x003A0200, 0x003A0203, 0x003A0208
SENSITIVITY, UNIT, CORRECTION, BASELINE, BITS_STORED = 0x003A0210, 0x003A0211, 0x003A0212, 0x003A0213, 0x003A021A
BITS, KIND, PADDING, DATA = 0x54001004, 0x54001006, 0x5400100A, 0x54001010
ANNOTATIONS, ANNOTATION, RANGE, TEXT, NUMBER = 0x0040B020, 0x0040A043, 0x0040A130, 0x00700006, 0x0040A30A
CODED, NUMBER_UNIT, CODE, MEANING = 0x0040A168, 0x004008EA, 0x00080100, 0x00080104
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "a CT image",
    "1.2.840.10008.5.1.4.1.1.4": "an MR image",
    "1.2.840.10008.5.1.4.1.1.7": "a secondary capture: a picture",
    "1.2.840.10008.5.1.4.1.1.104.1": "an encapsulated PDF that is empty",
    "1.2.840.10008.1.3.10": "a directory: read the files beside it",
}


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
    dataset = data_set(file)
    groups = [_describe(item) for item in dataset.items(WAVEFORMS)]
    if not groups:
        if document := dataset.raw(DOCUMENT):
            return _printed(File(file.name, document), dataset)
        kind = dataset.text(SOP_CLASS)
        what = CLASSES.get(kind, f"SOP class {kind[:64]}" if kind else "of unknown kind")
        raise EcgclipError(f"{file.name}: a DICOM file without a waveform ({what}), so no ECG")
    chosen, notes = _rhythm(groups)
    channels = [channel for group in chosen for channel in _channels(group, file, notes)]
    return Recording(channels, _metadata(dataset), tuple(notes))


def _printed(document: File, dataset: Item) -> Recording:
    """The ECG of an encapsulated PDF, as archives keep printouts, with what the DICOM file says of it."""
    row = format_by(document.data[:5])
    if row is None or row.name != "PDF":
        raise EcgclipError(f"{document.name}: a DICOM file with a document that is no PDF, and without a waveform")
    printed = row.read(document)
    return replace(printed, metadata=printed.metadata | _metadata(dataset))


def _code(item: Item, tag: int) -> tuple[str, str]:
    """Value and meaning of the first code of a sequence; empty where there is none."""
    codes = item.items(tag)
    return (codes[0].text(CODE), codes[0].text(MEANING)) if codes else ("", "")


# ---------------------------------------------------------------------------------------------------------------------
# Groups of channels


@dataclass(frozen=True)
class Group:
    """A multiplex group, as it describes itself.

    Attributes
    ----------
    item : Item
    channels : list of Item
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

    item: Item
    channels: list[Item]
    names: tuple[str, ...]
    seconds: float
    start_s: float
    rate: float | None
    label: str
    rhythm: bool

    @cached_property
    def leads(self) -> set[str]:
        return {lead for name in self.names if (lead := standard_lead(name)[0])}


def _describe(item: Item) -> Group:
    rate = item.number(RATE)
    rate = rate if rate and rate > 0 else None
    label = item.text(GROUP_LABEL)
    derived = item.text(ORIGINALITY).upper() == "DERIVED" or bool(AVERAGED.search(label))
    channels = item.items(CHANNELS)
    names = tuple(map(_lead_name, channels))
    held = item.size(DATA) * 8 // ((item.count(BITS) or 8) * max(len(names), 1))
    samples = min(item.count(SAMPLE_COUNT) or held, held)
    start = (item.number(OFFSET_MS) or 0) / 1000
    return Group(item, channels, names, samples / (rate or 1), start, rate, label, not derived)


def _lead_name(channel: Item) -> str:
    """By the number of the lead; else as the file spells it."""
    code, meaning = _code(channel, SOURCE)
    numbered = re.fullmatch(r"(?:2:|5\.6\.3-9-)(\d{1,3})", code)
    lead = LEAD_NUMBERS.get(int(numbered[1])) if numbered else None
    label = channel.text(CHANNEL_LABEL)
    if lead is None and standard_lead(meaning)[0] is None and label:
        return label
    return lead or meaning or label or code


def _rhythm(groups: list[Group]) -> tuple[list[Group], list[str]]:
    """The groups that make the rhythm, with their begins after the first one's; and notes."""
    ranked = sorted(groups, key=lambda g: (bool(g.leads), g.rhythm, g.seconds), reverse=True)
    chosen: list[Group] = [ranked[0]]
    notes: list[str] = []
    for group in ranked[1:]:
        together = [*chosen, group]
        span = max(g.start_s + g.seconds for g in together) - min(g.start_s for g in together)
        # together or one after the other: what lies between takes no more memory than the file
        fits = group.rate == chosen[0].rate and span <= 1.1 * sum(g.seconds for g in together)
        if group.rhythm and fits and group.leads - set().union(*(g.leads for g in chosen)):
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
    kind = np.float64 if stored.itemsize > 2 else np.float32
    before = round(group.start_s * group.rate) if group.rate else 0
    channels = []
    for i, item in enumerate(group.channels):
        values = _extended(stored[i], missing[i] if missing is not None else None, item.count(BITS_STORED))
        samples: np.ndarray = values.astype(kind)
        if missing is not None:
            samples[missing[i]] = np.nan
        unit, factor, offset = _scale(item)
        if not LEAST < abs(factor) < MOST or abs(offset) > MOST:
            notes.append(f"left out {group.names[i][:40]}: its sensitivity is {factor:g} and its baseline {offset:g}")
            continue
        if factor != 1 or offset:
            samples = samples * kind(factor) + kind(offset)  # in the unit, so after the sensitivity
        if before:
            samples = np.concatenate([np.full(before, np.nan, samples.dtype), samples])
        channels.append(Channel(samples, group.names[i] or None, unit, group.rate))
    return channels


def _scale(channel: Item) -> tuple[str | None, float, float]:
    """Unit, its amount per step and at step 0; no unit where the file gives no sensitivity."""
    sensitivity = channel.number(SENSITIVITY)
    if sensitivity is None:
        return None, 1.0, 0.0
    correction = channel.number(CORRECTION)
    unit = _code(channel, UNIT)[0]
    factor = sensitivity * (1.0 if correction is None else correction)
    return unit or None, factor, channel.number(BASELINE) or 0.0


def _stored(group: Group, file: File, notes: list[str]) -> np.ndarray:
    """The samples as they are stored, (channels, samples); as many as are declared and there."""
    kind = group.item.text(KIND).upper()
    if kind in COMPANDED:
        raise EcgclipError(f"{file.name}: the samples are {COMPANDED[kind]} companded ({kind}), which is not read")
    bits = group.item.count(BITS)
    if kind not in SAMPLES or bits != 8 * np.dtype(SAMPLES[kind]).itemsize:
        what = (
            f"samples of kind {kind[:10]!r} with {bits or 0} bits are not read"
            if kind
            else "damaged: no kind of samples"
        )
        raise EcgclipError(f"{file.name}: {what}")
    declared, described = group.item.count(CHANNEL_COUNT), len(group.names)
    if declared != described or not described:
        raise EcgclipError(f"{file.name}: damaged: {declared or 0:g} channels are declared, {described} described")
    data, stored = group.item.raw(DATA), np.dtype(group.item.coding.order + SAMPLES[kind])
    held = len(data) // (stored.itemsize * described)
    samples = min(held, int(group.item.count(SAMPLE_COUNT) or held))
    if samples <= 0:
        raise EcgclipError(f"{file.name}: damaged: there are no samples in the group {group.label[:40]}".rstrip())
    if samples < (promised := group.item.count(SAMPLE_COUNT) or 0):
        notes.append(f"the file ends early: {samples} of {promised} samples are there")
    rows = np.frombuffer(data, stored, samples * described).reshape(samples, described)
    return np.ascontiguousarray(rows.T, stored.newbyteorder("="))


def _padded(group: Group, stored: np.ndarray) -> np.ndarray | None:
    """Where samples are the padding value; None where none is. 0 is an ECG's usual value, and padding means nothing."""
    raw = group.item.raw(PADDING)[: stored.itemsize]
    if len(raw) < stored.itemsize:
        return None
    value = np.frombuffer(raw, np.dtype(group.item.coding.order + stored.dtype.str[1:]))[0]
    if value == 0 and stored.dtype.kind == "i":
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


def _metadata(dataset: Item) -> dict[str, Any]:
    """What the file says of the patient, the device and the ECG; `Recording` lists the keys."""
    taken, time = _time(dataset)
    statements, measurements = _annotations(dataset)
    maker, model = dataset.text(MAKER), dataset.text(MODEL)
    known = [word for word in (maker, model) if word.lower() not in ("", "unknown")]
    found = {
        "age": _age(dataset, taken),
        "sex": sex(dataset.text(SEX)),
        "time": time,
        "device": model if len(known) == 2 and model.lower().startswith(maker.lower()) else " ".join(known),
        "statements": statements,
        "measurements": measurements,
        "patient_id": dataset.text(PATIENT_ID),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _time(dataset: Item) -> tuple[datetime | None, str | None]:
    """When the ECG was taken, and as ISO 8601: a date alone where no time is given."""
    for text in ("".join(map(dataset.text, tags)) for tags in TAKEN):
        parts = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?(?:\.\d+)?)?([+-]\d{4})?", text)
        if parts and (when := moment(*(part or "0" for part in parts.groups()[:6]))):
            return when, when.isoformat() if parts[4] else when.date().isoformat()
    return None, None


def _age(dataset: Item, taken: datetime | None) -> float | None:
    """Years; where the age is not given, those between birth and ECG."""
    if given := dataset.text(AGE):
        return parse_age(given)
    born = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", dataset.text(BORN))
    return age_at(taken, moment(*born.groups())) if born else None


def _annotations(dataset: Item) -> tuple[list[str], dict[str, float]]:
    """The device's statements and measurements; marks of waves, which have a time, are neither."""
    statements: list[str] = []
    found: dict[str, float] = {}
    for item in dataset.items(ANNOTATIONS):
        if (number := item.number(NUMBER)) is not None:
            code, meaning = _code(item, ANNOTATION)
            key = KEYS.get(code) or KEYS.get(re.sub(r" global$", "", meaning.lower()))
            if key:
                unit = _code(item, NUMBER_UNIT)[0]
                found.setdefault(key, number * PER_MS.get(unit, 1.0) if key.endswith("_ms") else number)
        elif RANGE not in item:
            text = item.text(TEXT)
            text = text or _code(item, CODED)[1] or _code(item, ANNOTATION)[1]
            statements += [text] if text else []
    interval = found.pop("rr_ms", 0)
    if interval > 0:
        found.setdefault("heart_rate", round(60_000 / interval, 1))
    return unsigned(statements), found
