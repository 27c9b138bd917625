"""ISHNE Holter 1.0: a header of 522 bytes, a block of any text, then samples of 16 bits, the leads in turn.

Numbers are little-endian; -9 is "not known".
"""

from __future__ import annotations

from binascii import crc_hqx
from datetime import datetime
from struct import unpack_from
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import age_at

HEADER = 522  # bytes
MAX_LEADS = 12
LEAD_OFF = -32768  # in place of a sample
NAMES = dict(enumerate(("X", "Y", "Z", "I", "II", "III", *LEADS[3:], "ES", "AS", "AI"), 2))


def read_ishne(file: File) -> Recording:
    """Read an ISHNE Holter file.

    Returns
    -------
    Recording
        Channels in nV; NaN where a lead was off.

    Raises
    ------
    EcgclipError
        The header is cut off or damaged, or no sample follows it.
    """
    if len(file) < HEADER:
        raise EcgclipError(f"{file.name}: cut off: the header of an ISHNE file has {HEADER} bytes, this {len(file)}")
    notes: list[str] = []
    text_length, promised, _, begin = unpack_from("<4i", file.data, 10)
    count = unpack_from("<h", file.data, 156)[0]
    if not 1 <= count <= MAX_LEADS:
        raise EcgclipError(f"{file.name}: damaged: an ISHNE file has 1 to {MAX_LEADS} leads, and this {count}")
    if not HEADER <= begin < len(file):
        raise EcgclipError(f"{file.name}: cut off or damaged: samples from byte {begin} on, of {len(file)} bytes")
    end_of_header = min(HEADER + max(text_length, 0), len(file))
    if unpack_from("<H", file.data, 8)[0] not in (0, crc_hqx(file.data[10:end_of_header], 0xFFFF)):
        notes.append("the checksum of the header is wrong: it may be damaged")
    samples = _samples(file, begin, count, promised, notes)
    return Recording(_channels(file.data[:HEADER], samples), _metadata(file.data[:HEADER]), tuple(notes))


def _samples(file: File, begin: int, leads: int, promised: int, notes: list[str]) -> np.ndarray:
    """The samples as they are stored, int16 (samples, leads); a note where the header gives another number."""
    there = (len(file) - begin) // (2 * leads)
    if not there:
        raise EcgclipError(f"{file.name}: has a header and no samples")
    # some recorders count the samples of all leads together
    count = there if promised <= 0 or promised == there * leads else min(promised, there)
    if promised <= 0:
        notes.append(f"assumed {there} samples, as many as follow the header: it does not say how many")
    elif promised > there and promised != there * leads:
        notes.append(f"cut off: {there} of {promised} samples of each lead are there")
    return np.frombuffer(file.data, "<i2", count * leads, begin).reshape(count, leads)


def _channels(header: bytes, samples: np.ndarray) -> list[Channel]:
    codes = unpack_from("<12h", header, 158)
    nanovolts = unpack_from("<12h", header, 206)
    rate = unpack_from("<h", header, 272)[0]
    channels = []
    for stored, code, resolution in zip(samples.T, codes, nanovolts, strict=False):
        values = stored.astype(np.float32)
        values[stored == LEAD_OFF] = np.nan
        known = resolution > 0
        values *= resolution if known else 1
        channels.append(Channel(values, NAMES.get(code), "nV" if known else None, float(rate) if rate > 0 else None))
    return channels


def _metadata(header: bytes) -> dict[str, Any]:
    sex, _, *dates = unpack_from("<2h9h", header, 128)
    clock = unpack_from("<3h", header, 150)
    day = _date(*dates[3:6])
    recorder = _text(header[232:272])
    metadata = {
        "age": age_at(day, _date(*dates[:3])),
        "sex": {1: "male", 2: "female"}.get(sex),
        "time": _time(day, *clock),
        "device": None if recorder.lower() in ("analog", "digital") else recorder,
        "patient_id": _text(header[108:128]),
    }
    return {key: value for key, value in metadata.items() if value not in (None, "")}


def _date(day: int, month: int, year: int) -> datetime | None:
    try:
        return datetime(year, month, day)
    except ValueError:
        return None


def _time(day: datetime | None, hour: int, minute: int, second: int) -> str | None:
    """When the recording began, ISO 8601; the day alone where the time is not known."""
    if day is None:
        return None
    try:
        return day.replace(hour=hour, minute=minute, second=second).isoformat()
    except ValueError:
        return day.date().isoformat()


def _text(field: bytes) -> str:
    return " ".join(field.split(b"\0")[0].decode("latin-1").split())
