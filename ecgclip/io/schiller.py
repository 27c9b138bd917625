"""Schiller SEMA XML: the samples of each lead as numbers between commas.

Written from other programs that read it; no real file was at hand.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import date_of, iso_time, parse_age
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at, number, samples, sex, unsigned
from ecgclip.io.xml import parse_xml, text_of

MOST_COUNT = 1e9
# Measurement → its names in annotation_global, without blanks and signs
MEASUREMENTS = {
    "heart_rate": ("HR", "VENTRATE", "HEARTRATE"),
    "pr_ms": ("PR", "PQ", "PRINTERVAL", "PQINTERVAL"),
    "qrs_ms": ("QRS", "QRSDURATION"),
    "qt_ms": ("QT", "QTINTERVAL"),
    "qtc_ms": ("QTC", "QTCB"),
    "p_axis": ("PAXIS", "AXISP"),
    "qrs_axis": ("QRSAXIS", "AXISQRS"),
    "t_axis": ("TAXIS", "AXIST"),
}


def read_schiller(file: File) -> Recording:
    """Read the rhythm of a Schiller XML file; averaged beats are left aside.

    Raises
    ------
    EcgclipError
        It has no rhythm, or the samples are damaged or in a form that is not read.
    """
    root = parse_xml(file)
    waves = [wave for wave in root.iter("wavedata") if "RHYTHM" in (text_of(wave, "type") or "RHYTHM").upper()]
    if not waves:
        raise EcgclipError(f"{file.name}: no rhythm in this Schiller XML document: it has no wavedata of ECG_RHYTHMS")
    wave = max(waves, key=lambda wave: sum(len(data.text or "") for data in wave.iter("data")))
    notes = [f"left out {len(waves) - 1} shorter of {len(waves)} rhythms"] if len(waves) > 1 else []
    rate = number(text_of(wave, "resolution/samplerate/value") or text_of(wave, "resolution/samplerate"))
    exponent = text_of(wave, "resolution/samplerate/exponent")
    if rate and exponent not in (None, "0", "1"):
        notes.append(f"assumed {rate:g} Hz: what the exponent {exponent[:20]} of the sampling rate means is not known")
    scale = text_of(wave, "resolution/yres/unitperbit") or text_of(wave, "resolution/yres")
    factor = number(scale)
    known = factor is not None and 0 < factor < 1e9
    unit = (text_of(wave, "resolution/yres/units") or "UV") if known else None
    channels = [
        Channel(_samples(channel, file) * np.float32(factor if known else 1), text_of(channel, "name"), unit, rate)
        for channel in wave.findall("channel")
    ]
    return Recording(channels, _metadata(root), tuple(notes))


def _samples(channel: Element, file: File) -> np.ndarray:
    """Counts, float32 (samples,)."""
    where = f"{file.name}: lead {(text_of(channel, 'name') or 'without a name')[:40]}"
    kind = text_of(channel, "datastype") or "COMMASEPARATE"
    if kind.upper() != "COMMASEPARATE":
        raise EcgclipError(f"{where}: data of the type {kind[:40]} are not read; COMMASEPARATE are")
    data = channel.find("data")
    values = samples("".join(data.itertext()) if data is not None else "", where)
    values[~(np.abs(values) < MOST_COUNT)] = np.nan
    return values


def _metadata(root: Element) -> dict[str, Any]:
    patient, exam = root.find("patdata"), root if root.tag == "examdescript" else root.find("examdescript")
    date, clock = (text_of(exam, f"startdatetime/{what}") or "" for what in ("date", "time"))
    vendor, model = (text_of(exam, f"aquiringdevice/hardware/{what}") or "" for what in ("vendor", "model"))
    age = parse_age(text_of(patient, "age") or "")
    statements = [text_of(text, "textdata") for text in root.iter("textdata") if _is_statement(text)]
    return {
        "age": age if age is not None else age_at(date_of(date), date_of(text_of(patient, "birthdate"))),
        "sex": sex(text_of(patient, "gender")),
        "time": iso_time(f"{date}T{clock[:8]}") or iso_time(date),
        "device": model if vendor.lower() in model.lower() else f"{vendor} {model}".strip(),
        "statements": unsigned(statements),
        "measurements": _measurements(root),
        "patient_id": text_of(patient, "id"),
    }


def _is_statement(text: Element) -> bool:
    """Whether a text is the device's interpretation, not a comment, which may name people."""
    return any(word in (text_of(text, "type") or "").upper() for word in ("INTERPRET", "DIAGNO", "STATEMENT"))


def _measurements(root: Element) -> dict[str, float]:
    """From pairs of name and value, which stand in one annotation_global or in one each."""
    given: dict[str, float] = {}
    for annotation in root.iter("annotation_global"):
        for name, value in zip(annotation.findall("name"), annotation.findall("value"), strict=False):
            measured = number(value.text)
            if measured is not None:
                given.setdefault("".join(filter(str.isalnum, name.text or "")).upper(), measured)
    return {key: given[name] for key, names in MEASUREMENTS.items() for name in names[::-1] if name in given}
