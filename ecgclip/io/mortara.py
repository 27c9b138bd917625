"""Mortara ELI XML: a CHANNEL for each lead with its samples in Base64.

Written from public descriptions and other programs that read it; no real file was at hand.
"""

from __future__ import annotations

import binascii
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import MAX_RATE, MIN_RATE, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import date_of, iso_time, parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, number, sex, unsigned
from ecgclip.io.xml import parse_xml

# Measurement → its attributes of TYPICAL_CYCLE or of the root
MEASUREMENTS = {
    "heart_rate": ("VENT_RATE",),
    "pr_ms": ("PR_DURATION", "PR_INTERVAL", "PR_INT"),
    "qrs_ms": ("QRS_DURATION",),
    "qt_ms": ("QT", "QT_INT", "QT_INTERVAL"),
    "qtc_ms": ("QTC", "QTC_INT", "QTC_INTERVAL"),
    "p_axis": ("P_AXIS",),
    "qrs_axis": ("QRS_AXIS",),
    "t_axis": ("T_AXIS",),
}


def read_mortara(file: File) -> Recording:
    """Read the rhythm of a Mortara ELI XML file; the typical cycle, which is an average, is left aside.

    Raises
    ------
    EcgclipError
        It has no channels, or their samples are damaged or in a form that is not read.
    """
    root = parse_xml(file)
    notes: list[str] = []
    channels = [_channel(channel, file, notes) for channel in root.iter("CHANNEL")]
    if not channels:
        raise EcgclipError(
            f"{file.name}: an XML document ECG without a CHANNEL: not of Mortara's ELI, or without rhythm"
        )
    return Recording(channels, _metadata(root), tuple(notes))


def _channel(channel: Element, file: File, notes: list[str]) -> Channel:
    name = " ".join(channel.get("NAME", "").split())
    where = f"{file.name}: lead {(name or 'without a name')[:40]}"
    samples = _samples(channel, where)
    declared = number(channel.get("DURATION"))
    if declared is not None and len(samples) < declared:
        notes.append(f"lead {name[:40]} has {len(samples)} of the {declared:g} samples that the file names")
    offset = number(channel.get("OFFSET"))
    if offset and abs(offset) < 1e6:
        samples = samples + np.float32(offset)
    per_millivolt = number(channel.get("UNITS_PER_MV"))
    unit = "mV" if per_millivolt and 1e-3 < per_millivolt < 1e9 else None
    if unit:
        samples = samples / np.float32(per_millivolt)
    rate = number(channel.get("SAMPLE_FREQ"))
    return Channel(samples, name or None, unit, rate if rate and MIN_RATE <= rate <= MAX_RATE else None)


def _samples(channel: Element, where: str) -> np.ndarray:
    """Counts, float32 (samples,)."""
    encoding, bits = (" ".join(channel.get(*said).split()) for said in (("ENCODING", "BASE64"), ("BITS", "16")))
    if encoding.upper() != "BASE64" or bits not in ("8", "16", "32"):
        raise EcgclipError(f"{where}: {bits[:20]} bits in {encoding[:20]} are not read; 16 bits in BASE64 are")
    try:
        data = binascii.a2b_base64("".join((channel.get("DATA") or channel.text or "").split()))
    except ValueError as error:
        raise EcgclipError(f"{where}: its samples are damaged ({error})") from None
    size, kind = int(bits) // 8, "u" if channel.get("FORMAT", "").upper() == "UNSIGNED" else "i"
    return np.frombuffer(data[: len(data) // size * size], f"<{kind}{size}").astype(np.float32)


def _metadata(root: Element) -> dict[str, Any]:
    subject, source = (next(root.iter(name), Element(name)) for name in ("SUBJECT", "SOURCE"))
    fields = {
        field.get("LABEL", "").strip(":& ").lower(): field.get("VALUE", "") for field in root.iter("DEMOGRAPHIC_FIELD")
    }
    time = iso_time(root.get("ACQUISITION_TIME_XML")) or iso_time(root.get("ACQUISITION_TIME"))
    given = subject if subject.get("AGE") else root
    age = parse_age(f"{given.get('AGE') or fields.get('age', '')}{given.get('AGE_UNITS', '')}")
    birth = subject.get("DOB_XML") or subject.get("DOB") or fields.get("dob")
    maker, model = source.get("MANUFACTURER", ""), source.get("MODEL", "")
    statements = [statement.get("TEXT", "").strip() for statement in root.iter("STATEMENT")]
    return {
        "age": age if age is not None else age_at(date_of(time), date_of(birth)),
        "sex": sex(subject.get("GENDER") or fields.get("sex")),
        "time": time,
        "device": model if maker.split(" ")[0].lower() in model.lower() else f"{maker} {model}".strip(),
        "statements": unsigned(text for text in statements if text.upper() != "UNCONFIRMED REPORT"),
        "measurements": _measurements(root),
        "patient_id": subject.get("ID") or fields.get("id"),
    }


def _measurements(root: Element) -> dict[str, float]:
    cycle = root.find("TYPICAL_CYCLE")
    given = {**root.attrib, **(cycle.attrib if cycle is not None else {})}
    measured = {}
    for key, names in MEASUREMENTS.items():
        value = next((n for n in map(number, map(given.get, names)) if n is not None), None)
        if value is not None:
            measured[key] = value
    return measured
