"""GE CardioSoft and CASE XML (CardiologyXML): the strip of a resting ECG, with measurements and statements.

Written after what is publicly known of the format; no real file was at hand. The median beat (MedianSamples) is not
read, and neither is the full disclosure of an exercise test.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, factor, moment, number, samples, sex, unsigned
from ecgclip.io.xml import parse_xml, text_of

MEASUREMENTS = {
    "heart_rate": ("VentricularRate", "HeartRate"),
    "pr_ms": ("PQInterval", "PRInterval"),
    "qrs_ms": ("QRSDuration",),
    "qt_ms": ("QTInterval",),
    "qtc_ms": ("QTCInterval", "QTcInterval"),
    "p_axis": ("PAxis",),
    "qrs_axis": ("RAxis", "QRSAxis"),
    "t_axis": ("TAxis",),
}
DATE, CLOCK = ("Year", "Month", "Day"), ("Hour", "Minute", "Second")


def read_cardiosoft(file: File) -> Recording:
    """Read the strip of a CardioSoft XML file; of several, the longest.

    Raises
    ------
    EcgclipError
        It is not well formed, holds no strip, or a sample is not a number.
    """
    root = parse_xml(file)
    strips = list(root.iter("StripData"))
    if not strips:
        parts = [name for name in ("FullDisclosure", "MedianSamples") if next(root.iter(name), None) is not None]
        only = f", only {' and '.join(parts)}" if parts else ""
        raise EcgclipError(f"{file.name}: the CardioSoft file holds no StripData{only}; export a resting ECG")
    strip = max(strips, key=lambda one: sum(len(lead.text or "") for lead in one.iter("WaveformData")))
    notes = [f"left out {len(strips) - 1} shorter strips"] if len(strips) > 1 else []
    rate = number(text_of(strip, "SampleRate"))
    resolution, unit = _resolution(strip, file)
    channels = []
    for lead in strip.findall("WaveformData"):
        name = lead.get("lead", "")[:64] or None
        values = samples(lead.text, f"{file.name}: lead {(name or 'without a name')[:20]}")
        channels.append(Channel(values * np.float32(resolution), name, unit, rate))
    if not any(len(channel.samples) for channel in channels):
        raise EcgclipError(f"{file.name}: the strip of the CardioSoft file holds no samples")
    promised = number(text_of(strip, "ChannelSampleCountTotal"))
    lengths = {len(channel.samples) for channel in channels}
    if promised is not None and lengths != {promised}:
        notes.append(
            f"leads hold {', '.join(map(str, sorted(lengths)[:3]))} samples, not {promised:.0f} as the file says"
        )
    return Recording(channels, _metadata(root), tuple(notes))


def _resolution(strip: Element, file: File) -> tuple[float, str | None]:
    """What one bit is, and in which unit; 1 and None where the file does not say."""
    element = strip.find("Resolution")
    if element is None:
        return 1.0, None
    value = factor(element.text)
    if value is None:
        raise EcgclipError(f"{file.name}: the resolution {(element.text or '').strip()[:20]!r} cannot be")
    unit = (element.get("units") or "uVperLsb").lower().split("per")[0]
    return value, unit


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _metadata(root: Element) -> dict[str, Any]:
    patient, device = root.find("PatientInfo"), next(root.iter("DeviceInfo"), None)
    time = _time(root.find("ObservationDateTime"), *DATE, *CLOCK)
    birth = None if patient is None else _time(patient.find("BirthDateTime"), *DATE)
    interpretation = root.find("Interpretation")
    texts = [] if interpretation is None else [text_of(one, ".") for one in interpretation.iter() if _is_text(one)]
    found = {
        "age": _age(patient, time, birth),
        "sex": sex(text_of(patient, "Gender")),
        "time": None if time is None else time.isoformat(),
        "device": " ".join(filter(None, (text_of(device, "Desc"), text_of(device, "SoftwareVer")))),
        "statements": unsigned(texts),
        "measurements": _measurements(root),
        "comments": unsigned([text_of(root, "ClinicalInfo/ObservationComment")]),
        "patient_id": text_of(patient, "PID"),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _is_text(element: Element) -> bool:
    return element.tag in ("DiagnosisText", "ConclusionText")


def _age(patient: Element | None, time: datetime | None, birth: datetime | None) -> float | None:
    element = None if patient is None else patient.find("Age")
    stated = None if element is None else parse_age(f"{element.text or ''} {element.get('units') or ''}")
    return age_at(time, birth) if stated is None else stated


def _time(element: Element | None, *parts: str) -> datetime | None:
    return None if element is None else moment(*(text_of(element, part) for part in parts))


def _measurements(root: Element) -> dict[str, float]:
    place = root.find("RestingECGMeasurements")
    found = {}
    for key, tags in MEASUREMENTS.items():
        value = next((value for tag in tags if (value := number(text_of(place, tag))) is not None), None)
        if value is not None and (value > 0 or key.endswith("axis")):
            found[key] = value
    return found
