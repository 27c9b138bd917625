"""Write an ECG as a DICOM waveform: 12-lead, General or Ambulatory ECG, explicit VR, little endian."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ecgclip.ecg import ECG
from ecgclip.files import write_atomic
from ecgclip.io import dicom
from ecgclip.io.dicom_elements import ITEM, LONG, TRANSFER_SYNTAX
from ecgclip.io.digital import MISSING, Digital, digitise

Element = tuple[int, str, "str | int | bytes | Sequence[Sequence[Element]]"]  # tag, VR, value; or items of a sequence

EXPLICIT = "1.2.840.10008.1.2.1"
TWELVE_LEAD, GENERAL, AMBULATORY = (f"1.2.840.10008.5.1.4.1.1.9.{end}" for end in ("1.1", "1.2", "1.3"))
MAX_TWELVE_LEAD = 16384  # samples
MAX_SHORT, MAX_TEXT, MAX_LONG = 64, 1024, 10240  # characters of LO, ST and LT
UNITS = {"rate": ("/min", "beats per minute"), "axis": ("deg", "degree"), "ms": ("ms", "millisecond")}


def write_dicom(ecg: ECG, path: Path) -> None:
    """Write an ECG as a DICOM file, at 1 µV where its range allows; NaN is the padding value.

    Statements and measurements are annotations; the age is in years, or in months below two years.

    Raises
    ------
    EcgclipError
        A sample is beyond 9 V.
    """
    kind, instance = _sop_class(ecg), _uid()
    meta: list[Element] = [(0x00020001, "OB", b"\0\1"), (0x00020002, "UI", kind), (0x00020003, "UI", instance)]
    meta += [(TRANSFER_SYNTAX, "UI", EXPLICIT), (0x00020012, "UI", "2.25.1")]
    elements: list[Element] = [
        (0x00080005, "CS", "ISO_IR 192"),
        (dicom.SOP_CLASS, "UI", kind),
        (0x00080018, "UI", instance),
        (0x00080060, "CS", "ECG"),
        (0x0020000D, "UI", _uid()),
        (0x0020000E, "UI", _uid()),
        (0x00200013, "IS", "1"),
        *((tag, vr, "") for tag, vr in EMPTY.items()),
        *_description(ecg.metadata),
        (dicom.ANNOTATIONS, "SQ", _annotations(ecg.metadata)),
        (dicom.WAVEFORMS, "SQ", [_group(ecg, digitise(ecg.signal))]),
    ]
    body = _data_set(meta)
    size = _data_set([(0x00020000, "UL", len(body))])
    write_atomic(path, b"\0" * 128 + b"DICM" + size + body + _data_set(elements))


# Elements that a file must have, and that nothing is known of: accession number, referring physician, name, date of
# birth, study id, series number, acquisition context
EMPTY = {0x00080050: "SH", 0x00080090: "PN", 0x00100010: "PN", dicom.BORN: "DA", 0x00200010: "SH", 0x00200011: "IS"}
EMPTY |= {0x00400555: "SQ"}


def _uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _sop_class(ecg: ECG) -> str:
    """12-lead ECG up to 16384 samples; General ECG from 200 Hz on; else Ambulatory ECG."""
    if ecg.sampling_rate < 200:
        return AMBULATORY
    return TWELVE_LEAD if len(ecg.leads) == 12 and ecg.signal.shape[1] <= MAX_TWELVE_LEAD else GENERAL


def _description(metadata: dict) -> list[Element]:
    """The patient, the device and the time."""
    age = metadata.get("age")
    try:
        began = datetime.fromisoformat(metadata.get("time") or "")
    except ValueError:
        began = None
    day, time = (f"{began:%Y%m%d}", f"{began:%H%M%S}") if began else ("", "")
    (together,), *apart = dicom.TAKEN
    return [
        (dicom.PATIENT_ID, "LO", _short(metadata.get("patient", ""))),
        (dicom.SEX, "CS", {"female": "F", "male": "M"}.get(metadata.get("sex") or "", "")),
        (dicom.AGE, "AS", "" if age is None else f"{int(age):03d}Y" if age >= 2 else f"{round(age * 12):03d}M"),
        (0x00104000, "LT", "\n".join(metadata.get("comments", ()))[:MAX_LONG]),
        (dicom.MAKER, "LO", ""),
        (dicom.MODEL, "LO", _short(metadata.get("device", ""))),
        (together, "DT", day + time),
        *((tag, vr, value) for tags in apart for tag, vr, value in zip(tags, ("DA", "TM"), (day, time), strict=True)),
    ]


def _short(text: str) -> str:
    """At most 64 characters, and no backslash, which parts values."""
    return text.replace("\\", "/")[:MAX_SHORT].strip()


def _code(tag: int, value: str, scheme: str, meaning: str) -> Element:
    return tag, "SQ", [[(dicom.CODE, "SH", value), (0x00080102, "SH", scheme), (dicom.MEANING, "LO", meaning)]]


def _group(ecg: ECG, digital: Digital) -> list[Element]:
    """The multiplex group: all leads."""
    numbers = {lead: number for number, lead in dicom.LEAD_NUMBERS.items()}
    channels = [
        [
            _code(dicom.SOURCE, f"2:{numbers[lead]}", "MDC", f"Lead {lead}"),
            (dicom.SENSITIVITY, "DS", str(step)),
            _code(dicom.UNIT, "uV", "UCUM", "microvolt"),
            (dicom.CORRECTION, "DS", "1"),
            (dicom.BASELINE, "DS", str(offset)),
            (0x003A0215, "DS", "0"),  # sample skew
            (dicom.BITS_STORED, "US", 16),
        ]
        for lead, step, offset in zip(ecg.leads, digital.step, digital.offset, strict=True)
    ]
    return [
        (dicom.ORIGINALITY, "CS", "ORIGINAL"),
        (dicom.CHANNEL_COUNT, "US", len(ecg.leads)),
        (dicom.SAMPLE_COUNT, "UL", ecg.signal.shape[1]),
        (dicom.RATE, "DS", f"{ecg.sampling_rate:.12g}"),
        (dicom.GROUP_LABEL, "SH", "RHYTHM"),
        (dicom.CHANNELS, "SQ", channels),
        (dicom.BITS, "US", 16),
        (dicom.KIND, "CS", "SS"),
        (dicom.PADDING, "OW", MISSING.to_bytes(2, "little", signed=True)),
        (dicom.DATA, "OW", digital.samples.T.astype("<i2").tobytes()),
    ]


def _annotations(metadata: dict) -> list[list[Element]]:
    """The device's statements and measurements."""
    whole: list[Element] = [(0x0040A0B0, "US", struct.pack("<HH", 1, 0)), (0x0040A180, "US", 0)]  # all channels
    items = [[*whole, (dicom.TEXT, "ST", text[:MAX_TEXT])] for text in metadata.get("statements", ())]
    for key, value in metadata.get("measurements", {}).items():
        if key in dicom.MEASUREMENTS:
            code, *spellings = dicom.MEASUREMENTS[key]
            meaning = next(text for text in spellings if not text[0].isdigit())
            unit, unit_name = UNITS[key.rpartition("_")[2]]
            name = _code(dicom.ANNOTATION, code, "MDC", meaning)
            units = _code(dicom.NUMBER_UNIT, unit, "UCUM", unit_name)
            items.append([*whole, name, units, (dicom.NUMBER, "DS", f"{value:.10g}")])
    return items


def _data_set(elements: Sequence[Element]) -> bytes:
    return b"".join(_element(*element) for element in sorted(elements, key=lambda element: element[0]))


def _element(tag: int, vr: str, value: str | int | bytes | Sequence[Sequence[Element]]) -> bytes:
    """An element: tag, VR, length and value, filled up to an even number of bytes."""
    if isinstance(value, int):
        value = struct.pack({"US": "<H", "UL": "<I"}[vr], value)
    elif isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        sets = [_data_set(item) for item in value]
        value = b"".join(struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, len(body)) + body for body in sets)
    value += (b"\0" if vr in ("UI", "OB", "OW") else b" ") * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr.encode() in LONG else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value
