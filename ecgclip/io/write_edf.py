"""Write an ECG as EDF+: 16-bit integers in data records of a fixed length, metadata as annotations at its beginning."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.files import write_atomic
from ecgclip.io.digital import LARGEST, MISSING, digitise
from ecgclip.io.edf import END, MONTHS, NO_DATE, WIDTHS
from ecgclip.io.metadata import comment_lines

MAX_RECORD_S = 10  # of a data record
MAX_DEVICE = 40  # characters that fit beside the date


def write_edf(ecg: ECG, path: Path) -> None:
    """Write an ECG as EDF+C, at 1 µV where its range allows; NaN is outside the digital range.

    Where the length asks for it, the last data record is filled up with missing samples, and an annotation says so.

    Raises
    ------
    EcgclipError
        A sample is beyond 9 V.
    """
    digital = digitise(ecg.signal)
    count, duration = data_record(ecg.signal.shape[1], ecg.sampling_rate)
    records = math.ceil(ecg.signal.shape[1] / count)
    padded = np.full((len(ecg.leads), records * count), MISSING, "<i2")
    padded[:, : ecg.signal.shape[1]] = digital.samples
    signals = padded.reshape(len(ecg.leads), records, count).swapaxes(0, 1).reshape(records, -1)
    recording, texts = _recording(ecg.metadata)
    seconds = ecg.signal.shape[1] / ecg.sampling_rate
    ends = seconds if ecg.signal.shape[1] < records * count else None
    annotations = _annotations(texts, records, count / ecg.sampling_rate, ends)
    fields = [
        {
            "label": f"ECG {lead}",
            "unit": "uV",
            "physical_min": str(offset - LARGEST * step),
            "physical_max": str(offset + LARGEST * step),
            "digital_min": str(-LARGEST),
            "digital_max": str(LARGEST),
            "samples": str(count),
        }
        for lead, step, offset in zip(ecg.leads, digital.step, digital.offset, strict=True)
    ]
    whole = {"physical_min": "-1", "physical_max": "1", "digital_min": str(MISSING), "digital_max": str(LARGEST)}
    fields.append({"label": "EDF Annotations", **whole, "samples": str(annotations.shape[1])})
    size = 256 * (len(fields) + 1)
    fixed = ["0".ljust(8), *recording, str(size).ljust(8), "EDF+C".ljust(44), str(records).ljust(8), duration.ljust(8)]
    header = "".join([*fixed, str(len(fields)).ljust(4)])
    header += "".join(field.get(name, "").ljust(width) for name, width in WIDTHS.items() for field in fields)
    write_atomic(path, header.encode("ascii", "replace") + np.hstack([signals, annotations]).tobytes())


def data_record(samples: int, rate: float) -> tuple[int, str]:
    """Samples in a data record, and its duration in s as the eight characters of the header.

    The sampling rate is what matters: the best is one that the two give exactly; then one of which the recording is a
    whole number; then the one nearest to 1 s.
    """

    def badness(count: int) -> tuple[float, bool, float]:
        error = abs(count / float(_eight(count / rate)) / rate - 1)
        return (error if error > 1e-9 else 0, samples % count > 0, abs(math.log(count / rate)))

    most = max(int(rate * MAX_RECORD_S), 1)
    whole = {n for d in range(1, math.isqrt(samples) + 1) if samples % d == 0 for n in (d, samples // d)}
    count = min({n for n in whole if n <= 10 * most} | set(range(1, most + 1)), key=badness)
    return count, _eight(count / rate)


def _eight(value: float) -> str:
    """A positive number in at most eight characters, as exact as they allow."""
    text = f"{value:.{max(7 - len(str(int(value))), 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _recording(metadata: dict) -> tuple[list[str], list[str]]:
    """The fields for patient, recording, date and time; and what of the metadata does not fit into them, as lines."""
    rest = dict(metadata)
    sex = {"female": "F", "male": "M"}.get(rest.pop("sex", None) or "", "X")
    began, device = NO_DATE, "X"
    try:
        time = datetime.fromisoformat(rest.get("time") or "")
    except ValueError:
        time = None
    if time and not time.microsecond and not time.tzinfo and time != NO_DATE:
        began = time
        del rest["time"]
    if rest.get("device", "").isascii() and 0 < len(rest.get("device", "")) <= MAX_DEVICE and "_" not in rest["device"]:
        device = rest.pop("device").replace(" ", "_")
    code = "_".join(rest.get("patient", "").split())[:MAX_DEVICE] or "X"
    day = "X" if began == NO_DATE else f"{began:%d}-{MONTHS[began.month - 1]}-{began:%Y}"
    fields = [f"{code} {sex} X X".ljust(80), f"Startdate {day} X X {device}".ljust(80), f"{began:%d.%m.%y%H.%M.%S}"]
    return fields, comment_lines(rest)


def _annotations(texts: list[str], records: int, duration: float, ends: float | None) -> np.ndarray:
    """The annotation signal, int16 (data records, samples): the times of data records, the texts in order, the end."""
    rows = [f"+{i * duration:.10g}\x14\x14\0".encode() for i in range(records)]
    for i, text in enumerate(texts):
        rows[i * records // len(texts)] += f"+0\x14{text}\x14\0".encode()
    rows[-1] += f"+{ends:.10g}\x14{END}\x14\0".encode() if ends is not None else b""
    size = max(map(len, rows))
    size += size % 2
    return np.frombuffer(b"".join(row.ljust(size, b"\0") for row in rows), "<i2").reshape(records, -1)
