"""AliveCor Kardia JSON: a recording as Kardia's API gives it, with one or six leads.

Written from the public documentation of the API; no real file was at hand.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import iso_time
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import number

MOST_BYTES = 1 << 24  # Python's objects take up to thirty times as much; five minutes of six leads are 5 MB


def read_kardia(file: File) -> Recording:
    """Read the signal that Kardia recorded; without it, the one that it filtered, which a note tells.

    Raises
    ------
    EcgclipError
        It is no recording, one of twelve leads (whose form is not documented), damaged, or longer than 16 MiB.
    """
    document = _parsed(file)
    if "data12L" in document:
        raise EcgclipError(f"{file.name}: a recording of Kardia 12L, whose form is not documented, is not read")
    data = _part(document, "data")
    raw = _part(data, "raw")
    stored = raw or _part(data, "enhanced")
    samples = _part(stored, "samples")
    if not samples:
        raise EcgclipError(f"{file.name}: not a recording of Kardia's API: it has no data.raw.samples")
    notes = () if raw else ("the signal as Kardia filtered it (enhanced): the file has no raw one",)
    rate, nanovolts = (number(str(stored.get(name))) for name in ("frequency", "amplitudeResolution"))
    unit, scale = ("nV", nanovolts) if nanovolts and 0 < nanovolts < 1e9 else (None, 1.0)
    channels = [Channel(_samples(samples[key], key, file) * scale, _text(key), unit, rate) for key in samples]
    return Recording(channels, _metadata(document), notes)


def _parsed(file: File) -> dict[str, Any]:
    if len(file) > MOST_BYTES:
        raise EcgclipError(f"{file.name}: {len(file) / 1e6:.0f} MB of JSON, more than a recording of Kardia's has")
    try:
        document = json.loads(bytes(file.data[:]))
    except RecursionError:
        raise EcgclipError(f"{file.name}: JSON with too many lists within each other") from None
    except ValueError as error:
        raise EcgclipError(f"{file.name}: damaged JSON ({str(error)[:100]})") from None
    if not isinstance(document, dict):
        raise EcgclipError(f"{file.name}: not a recording of Kardia's API: a JSON list")
    return document


def _part(parent: dict[str, Any], name: str) -> dict[str, Any]:
    part = parent.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    """A text on one line, without halves of characters, which JSON may hold and nothing prints; "" for all else."""
    return " ".join(value.encode("utf-8", "replace").decode().split()) if isinstance(value, str) else ""


def _samples(values: Any, name: str, file: File) -> np.ndarray:
    """Counts, float64 (samples,)."""
    try:
        samples = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        samples = np.zeros((0, 0))
    if not isinstance(values, list) or samples.ndim != 1:
        raise EcgclipError(f"{file.name}: the samples of {_text(name)[:40]} are not a list of numbers")
    samples[~(np.abs(samples) < 1e20)] = np.nan
    return samples


def _metadata(document: dict[str, Any]) -> dict[str, Any]:
    model = _text(_part(document, "deviceInfo").get("hardwareType"))
    determination = _text(document.get("algorithmDetermination"))
    qt = {name: _part(_part(document, "qtMeasurement"), name).get("Value") for name in ("qt", "qtcb")}
    measured = {"heart_rate": document.get("heartRate"), "qt_ms": qt["qt"], "qtc_ms": qt["qtcb"]}
    numbers = {key: number(str(value)) for key, value in measured.items()}
    return {
        "time": iso_time(_text(document.get("recordedAt"))),
        "device": f"AliveCor {model or 'Kardia'}",
        "statements": [determination.replace("_", " ")] if determination else [],
        "measurements": {key: value for key, value in numbers.items() if value is not None},
        "patient_id": _text(document.get("patientID")),
    }
