"""GE MUSE XML (RestingECG): the rhythm waveform, with the cart's measurements and statements.

A file may hold the rhythm, the median beat, or both, in any order: the rhythm is found by its type. MUSE stores I, II
and V1 to V6; the other four leads follow from I and II, and `ecgclip.prepare` computes them.
"""

from __future__ import annotations

import base64
import re
import zlib
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, factor, moment, number, sex, unsigned
from ecgclip.io.xml import parse_xml, text_of

USUAL_GAIN = 4.88  # µV per bit, in all files seen
SAMPLE_TYPES = {1: "i1", 2: "<i2", 4: "<i4"}  # bytes of a sample
MEASUREMENTS = {
    "heart_rate": "VentricularRate",
    "pr_ms": "PRInterval",
    "qrs_ms": "QRSDuration",
    "qt_ms": "QTInterval",
    "qtc_ms": "QTCorrected",
    "p_axis": "PAxis",
    "qrs_axis": "RAxis",
    "t_axis": "TAxis",
}


def read_muse(file: File) -> Recording:
    """Read the rhythm of a MUSE XML file.

    Raises
    ------
    EcgclipError
        It is not well formed, holds no rhythm, or the samples of a lead are damaged.
    """
    root = parse_xml(file)
    waveform = _rhythm(root, file)
    rate = _rate(waveform, "Sample") or _rate(root.find("RestingECGMeasurements"), "ECGSample")
    notes: list[str] = []
    channels = [_channel(lead, rate, file, notes) for lead in waveform.findall("LeadData")]
    if not any(len(channel.samples) for channel in channels):
        raise EcgclipError(f"{file.name}: the rhythm waveform of the MUSE file holds no samples")
    return Recording(channels, _metadata(root), tuple(notes))


def _rhythm(root: Element, file: File) -> Element:
    """The longest waveform of type rhythm, or of no type."""
    waveforms = [(text_of(one, "WaveformType") or "", one) for one in root.iter("Waveform")]
    for wanted in ("RHYTHM", ""):
        found = [one for kind, one in waveforms if kind.upper() == wanted]
        if found:
            return max(found, key=lambda one: sum(len(lead.findtext("WaveFormData", "")) for lead in one))
    kinds = ", ".join(list(dict.fromkeys(kind[:20] for kind, _ in waveforms))[:5]) or "no waveform at all"
    raise EcgclipError(f"{file.name}: the MUSE file holds no rhythm, only {kinds}; export it with the rhythm waveform")


def _rate(parent: Element | None, prefix: str) -> float | None:
    """Hz: the sample base, with as many decimals as the exponent says."""
    base = number(text_of(parent, f"{prefix}Base"))
    exponent = number(text_of(parent, f"{prefix}Exponent")) or 0
    return base * 10.0**exponent if base and abs(exponent) <= 9 else None


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def _channel(lead: Element, rate: float | None, file: File, notes: list[str]) -> Channel:
    name = text_of(lead, "LeadID")
    what = f"lead {(name or 'without a name')[:20]}"
    samples = _samples(lead, f"{file.name}: {what}", what, notes)
    gain, unit = factor(text_of(lead, "LeadAmplitudeUnitsPerBit")), text_of(lead, "LeadAmplitudeUnits")
    if not gain:
        gain, unit = USUAL_GAIN, "MICROVOLTS"
        notes.append(f"assumed {USUAL_GAIN} µV per bit, as is usual: the file does not say")
    if (text_of(lead, "LeadOff") or "").upper() == "TRUE":
        notes.append(f"{what}: its electrode was off, so it has no signal")
        samples[:] = np.nan
    return Channel(samples * np.float32(gain), name, unit, rate)


def _samples(lead: Element, where: str, what: str, notes: list[str]) -> np.ndarray:
    """The samples of a lead, float32 (samples,), in bits."""
    text = "".join(lead.findtext("WaveFormData", "").split())
    padding = "" if "=" in text else "=" * (-len(text) % 4)
    try:
        if len(text + padding) % 4:
            raise ValueError("characters are missing, or too many")
        data = base64.b64decode(text + padding, validate=True)
    except ValueError as error:
        raise EcgclipError(f"{where} has samples that are not base64 ({error})") from None
    size = number(text_of(lead, "LeadSampleSize")) or 2
    if size not in SAMPLE_TYPES:
        raise EcgclipError(f"{where} has samples of {size:g} bytes; 1, 2 and 4 are read")
    values = np.frombuffer(data, SAMPLE_TYPES[int(size)], len(data) // int(size))
    promised = number(text_of(lead, "LeadSampleCountTotal"))
    if promised is not None and promised != len(values):
        notes.append(f"{what}: holds {len(values)} samples, not {promised:.0f} as it says")
    checksum = number(text_of(lead, "LeadDataCRC32"))
    if checksum and checksum % 2**32 != zlib.crc32(data):  # some write it with a sign
        notes.append(f"{what}: its checksum is wrong, so some samples may be")
    return values.astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _metadata(root: Element) -> dict[str, Any]:
    patient, test = root.find("PatientDemographics"), root.find("TestDemographics")
    time = _time(text_of(test, "AcquisitionDate"), text_of(test, "AcquisitionTime"))
    age = parse_age(f"{text_of(patient, 'PatientAge') or ''} {text_of(patient, 'AgeUnits') or ''}")
    confirmed = unsigned(_statements(root.find("Diagnosis")))
    statements = unsigned(_statements(root.find("OriginalDiagnosis"))) or confirmed
    found = {
        "age": age_at(time, _time(text_of(patient, "DateofBirth"))) if age is None else age,
        "sex": sex(text_of(patient, "Gender")),
        "time": None if time is None else time.isoformat(),
        "device": text_of(test, "AcquisitionDevice"),
        "statements": statements,
        "measurements": _measurements(root),
        "comments": [] if confirmed == statements else [f"edited: {line}" for line in confirmed],
        "patient_id": text_of(patient, "PatientID"),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _time(date: str | None, time: str | None = None) -> datetime | None:
    """MM-DD-YYYY and hh:mm:ss; a date that begins with its year, or a day above 12, is understood too."""
    numbers = re.findall(r"\d+", date or "", re.ASCII)
    clock = re.findall(r"\d+", time or "0:0:0", re.ASCII)[:3]
    if len(numbers) != 3:
        return None
    if len(numbers[0]) == 4:
        return moment(*numbers, *clock)
    month, day, year = numbers
    return moment(year, month, day, *clock) or moment(year, day, month, *clock)


def _statements(diagnosis: Element | None) -> list[str]:
    """The lines of a diagnosis; a line is one or several statements, the last of them flagged."""
    lines: list[str] = []
    pieces: list[str] = []
    for statement in [] if diagnosis is None else diagnosis.findall("DiagnosisStatement"):
        pieces.append(text_of(statement, "StmtText") or "")
        if any((flag.text or "").strip() == "ENDSLINE" for flag in statement.findall("StmtFlag")):
            lines.append(" ".join(filter(None, pieces)))
            pieces = []
    return [*lines, " ".join(filter(None, pieces))]


def _measurements(root: Element) -> dict[str, float]:
    places = [place for name in ("", "Original") if (place := root.find(f"{name}RestingECGMeasurements")) is not None]
    found = {}
    for key, tag in MEASUREMENTS.items():
        values = [value for place in places if (value := number(text_of(place, tag))) is not None]
        if values and (values[0] > 0 or key.endswith("axis")):
            found[key] = values[0]
    return found
