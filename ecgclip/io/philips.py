"""Philips XML (Sierra, versions 1.03 and 1.04): all leads in one text, in Base64, mostly packed by XLI.

Base64 ─XLI─▶ counts ─▶ whole limb leads ─▶ without the calibration pulse ─▶ µV
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import LEADS, EcgclipError, standard_lead
from ecgclip.io.file import File
from ecgclip.io.metadata import date_of, iso_time, parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, number, samples, sex, unsigned
from ecgclip.io.xli import unpack_xli
from ecgclip.io.xml import parse_xml, text_of

VERSIONS = re.compile(r"1\.0[34](\..*)?")
NAMED_ORDERS = re.compile(r"STD-12.*|10-WIRE")  # acquisitions whose channels are the twelve leads in the usual order
LIMB = ("III", "aVR", "aVL", "aVF")  # stored as the difference from what leads I and II make of them
MOST_COUNT = 1 << 31
# What XLI may unpack to: samples for each byte of the file (twelve flat lines of ten seconds take fewer), and in all
MOST_SAMPLES_PER_BYTE, MOST_SAMPLES = 20, 1 << 24
PULSE_MV, SHORTEST_PULSE_S, LONGEST_PULSE_S = 1.0, 0.05, 0.5  # of calibration
AGES = ("years", "months", "weeks", "days", "hours")
# Measurement → its elements in versions 1.04 and 1.03
MEASUREMENTS = {
    "heart_rate": ("heartrate", "meanventrate"),
    "pr_ms": ("print", "meanprint"),
    "qrs_ms": ("qrsdur", "meanqrsdur"),
    "qt_ms": ("qtint", "meanqtint"),
    "qtc_ms": ("qtcb", "meanqtc"),
    "p_axis": ("pfrontaxis",),
    "qrs_axis": ("qrsfrontaxis",),
    "t_axis": ("tfrontaxis",),
}


@dataclass(frozen=True)
class _Layout:
    """How the samples are stored.

    names : of the channels, in order; rate : Hz; resolution : µV a count; samples : of a channel; None is not said.
    method : "XLI" or another compression, "" for none; encoding : base64, hex or plain.
    """

    names: list[str]
    rate: float | None
    resolution: float | None
    samples: int | None
    bits: int
    signed: bool
    method: str
    encoding: str


def read_philips(file: File) -> Recording:
    """Read the rhythm of a Philips XML file; representative beats are left aside.

    Raises
    ------
    EcgclipError
        The document is of another type or version, has no rhythm, or is damaged.
    """
    root = parse_xml(file)
    _check_version(root, file)
    waveform = root.find("waveforms/parsedwaveforms")
    if waveform is None:
        raise EcgclipError(f"{file.name}: no rhythm in this Philips XML document: it has no parsedwaveforms")
    notes: list[str] = []
    layout = _layout(root, waveform, notes)
    counts = _whole_leads(_stored("".join(waveform.itertext()), layout, file), layout.method == "XLI", notes)
    length = max(map(len, counts.values()), default=0)
    before = _before_calibration(counts, layout, length)
    if before < length:
        notes.append(f"cut off the calibration pulse: {length - before} samples at the end")
    unit, scale = ("uV", layout.resolution) if layout.resolution else (None, 1.0)
    channels = [
        Channel(counts[name][:before].astype(np.float32) * np.float32(scale), name, unit, layout.rate)
        for name in layout.names
        if name in counts
    ]
    return Recording(channels, _metadata(root), tuple(notes))


def _check_version(root: Element, file: File) -> None:
    kind, version = (text_of(root, f"documentinfo/document{what}") or "none" for what in ("type", "version"))
    if kind not in ("SierraECG", "PhilipsECG") or not VERSIONS.fullmatch(version):
        raise EcgclipError(
            f"{file.name}: document type {kind[:40]}, version {version[:40]}; of Philips XML, SierraECG and PhilipsECG "
            "of version 1.03 and 1.04 are read"
        )


def _layout(root: Element, waveform: Element, notes: list[str]) -> _Layout:
    """What the document says of its samples: beside them in version 1.04, in signalcharacteristics in 1.03."""
    signal = root.find("dataacquisition/signalcharacteristics")

    def said(*names: str) -> str:
        texts = (waveform.get(name) or text_of(signal, name) or "" for name in names)
        return " ".join(next(filter(None, texts), "").split())

    def positive(*names: str) -> float | None:
        value = number(said(*names))
        return value if value is not None and 0 < value < 1e9 else None

    labels = said("leadlabels").split()
    if labels:
        labels = labels[: int(positive("numberofleads") or 0) or None]
    else:
        labels = list(LEADS[: int(positive("numberchannelsallocated") or 0) or None])
        if not NAMED_ORDERS.fullmatch(said("acquisitiontype")):
            notes.append(f"assumed leads {', '.join(labels)}, in this order: the file does not name them")
    rate, duration_ms = positive("samplespersecond", "samplingrate"), positive("durationperchannel")
    encoding, method = said("dataencoding").lower() or "base64", said("compression", "compressmethod").upper()
    if encoding == "plain" or said("compressflag").lower() == "false" or method in ("NONE", "UNCOMPRESSED"):
        method = ""
    return _Layout(
        labels,
        rate,
        positive("resolution", "signalresolution"),
        round(duration_ms * rate / 1000) if duration_ms and rate else None,
        int(positive("bitspersample", "nbitspersample") or 16),
        said("signalsigned").lower() != "false",
        method,
        encoding,
    )


def _stored(text: str, layout: _Layout, file: File) -> dict[str, np.ndarray]:
    """Counts by channel, (samples,), limb leads as they are stored."""
    if layout.encoding == "plain":
        values = samples(text, f"{file.name}: parsedwaveforms")
        if not (np.abs(values) < MOST_COUNT).all():
            raise EcgclipError(f"{file.name}: parsedwaveforms holds a sample that no device gives")
        return _split(np.rint(values).astype(np.int64), layout, file)
    data = _decoded("".join(text.split()), layout.encoding, file)
    if layout.method == "XLI":
        most = min(MOST_SAMPLES_PER_BYTE * len(file), MOST_SAMPLES) // len(layout.names)
        most = min(most, 2 * layout.samples) if layout.samples else most
        return unpack_xli(data, layout.names, layout.samples, most, file.name)
    if layout.method or layout.bits not in (8, 16, 32):
        how = f"packed by {layout.method[:40]}" if layout.method else f"of {layout.bits} bits"
        raise EcgclipError(f"{file.name}: samples {how} are not read; samples packed by XLI, and of 16 bits, are")
    size = layout.bits // 8
    dtype = f"<{'i' if layout.signed else 'u'}{size}"
    return _split(np.frombuffer(data[: len(data) // size * size], dtype), layout, file)


def _decoded(text: str, encoding: str, file: File) -> bytes:
    try:
        if encoding == "base64":
            return binascii.a2b_base64(text)
        if encoding == "hex":
            return bytes.fromhex(text)
    except ValueError as error:
        raise EcgclipError(f"{file.name}: the samples in parsedwaveforms are damaged ({error})") from None
    raise EcgclipError(f"{file.name}: samples in the encoding {encoding[:40]} are not read; Base64, Hex and Plain are")


def _split(values: np.ndarray, layout: _Layout, file: File) -> dict[str, np.ndarray]:
    """Channels that stand one after the other."""
    n = len(layout.names)
    samples = layout.samples or len(values) // n
    if not samples or len(values) < n * samples:
        raise EcgclipError(f"{file.name}: {len(values)} samples for {n} leads of {samples}: the file is cut off")
    return dict(zip(layout.names, values[: n * samples].reshape(n, samples), strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# What the counts stand for


def _whole_leads(counts: dict[str, np.ndarray], packed: bool, notes: list[str]) -> dict[str, np.ndarray]:
    """All leads as they were recorded: a limb lead is stored as what leads I and II make of it, less the lead.

    Where the samples are not packed, some programs store the lead itself: the smaller of the two is the difference.
    """
    wide = {name: samples.astype(np.int64) for name, samples in counts.items()}
    leads = {lead: name for name in counts if (lead := standard_lead(name)[0])}
    limb = [lead for lead in LIMB if lead in leads]
    if not ("I" in leads and "II" in leads):
        if packed and limb:
            notes.append(f"left out {', '.join(limb)}: stored as differences from leads I and II, which are not there")
        return {name: samples for name, samples in wide.items() if not packed or standard_lead(name)[0] not in LIMB}
    first, second = wide[leads["I"]], wide[leads["II"]]
    third = second - first
    for lead in limb:
        if lead == "III":
            derived = third
        elif lead == "aVR":
            derived = -((first + second) >> 1)
        else:
            derived = (first - third if lead == "aVL" else second + third) >> 1
        stored = wide[leads[lead]]
        if packed or np.abs(stored).sum() <= np.abs(derived - stored).sum():
            wide[leads[lead]] = derived - stored
        third = wide[leads["III"]] if lead == "III" else third
    return wide


def _before_calibration(counts: dict[str, np.ndarray], layout: _Layout, length: int) -> int:
    """How many samples stand before the calibration: a pulse of 1 mV, the same in all leads, between zeros."""
    used = [samples for name, samples in counts.items() if standard_lead(name)[0] not in LIMB and samples.any()]
    if not used or not layout.rate or not layout.resolution:
        return length
    leads = np.array(used)
    differ = np.flatnonzero((leads != leads[0]).any(0))
    tail = leads[0, differ[-1] + 1 if len(differ) else 0 :]
    edges = np.flatnonzero(np.diff(tail)) + 1
    if len(edges) < 2 or tail[-1] or tail[edges[-2] - 1]:
        return length
    up, down = edges[-2:]
    height_mv, seconds = tail[up] * layout.resolution / 1000, (down - up) / layout.rate
    if abs(height_mv / PULSE_MV - 1) > 0.1 or not SHORTEST_PULSE_S < seconds < LONGEST_PULSE_S:
        return length
    zeros = min(up - (edges[-3] if len(edges) > 2 else 0), len(tail) - down)  # as many before the pulse as after it
    return length - len(tail) + int(up - zeros)


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _metadata(root: Element) -> dict[str, Any]:
    acquisition, patient = root.find("dataacquisition"), root.find("patient/generalpatientdata")
    date, clock = (acquisition.get(what, "") if acquisition is not None else "" for what in ("date", "time"))
    machine, identity = text_of(acquisition, "machine"), text_of(patient, "patientid")
    interpretation = root.find("interpretations/interpretation")
    given = [] if interpretation is None else interpretation.findall("statement")
    statements = [text_of(statement, "leftstatement") for statement in given] + [text_of(interpretation, "severity")]
    statements = [(statement or "").strip("<>*- ") for statement in statements]
    return {
        "age": _age(patient, date),
        "sex": sex(text_of(patient, "sex")),
        "time": iso_time(f"{date}T{clock}") or iso_time(date),
        "device": machine and f"Philips {machine.removeprefix('Philips ')}",
        "statements": unsigned(statements),
        "measurements": _measurements(root, interpretation),
        "patient_id": identity if identity and re.search(r"\w", identity) else None,
    }


def _age(patient: Element | None, date: str) -> float | None:
    for unit in AGES:
        age = parse_age(f"{text_of(patient, f'age/{unit}') or ''} {unit}")
        if age is not None:
            return age
    return age_at(date_of(date), date_of(text_of(patient, "age/dateofbirth")))


def _measurements(root: Element, interpretation: Element | None) -> dict[str, float]:
    """The device's own; words in their place, such as "Failed", are left out."""
    parts = ("globalmeasurements", "interpretationmeasurements")
    places = [None if interpretation is None else interpretation.find(part) for part in parts]
    places.append(root.find("measurements/globalmeasurements"))
    measured = {}
    for key, names in MEASUREMENTS.items():
        values = (number(text_of(place, name)) for place in places for name in names)
        value = next((value for value in values if value is not None), None)
        if value is not None:
            measured[key] = value
    return measured
