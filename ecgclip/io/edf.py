"""Read EDF, EDF+ and BDF: a header in text, then data records, each with a stretch of every signal.

fields ─▶ _Signal: scale and place in a data record ─▶ int16 or int24 ─▶ Channel in the unit of the file

Header fields are read as recorders write them, not as the standard asks: decimal commas, blanks, a count of data
records of -1 or too high, a start time that no clock shows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ecgclip.ecg import LEADS, MAX_RATE, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.metadata import free_comments, parse_comments
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.values import MAX_AGE, age_at, moment
from ecgclip.io.values import sex as sex_of
from ecgclip.io.wfdb_header import MAX_EXPANSION, MAX_GAP_S

BLOCK = 256  # bytes of the header for the file, and again for each signal
WIDTHS = {"label": 16, "sensor": 80, "unit": 8, "physical_min": 8, "physical_max": 8, "digital_min": 8}
WIDTHS |= {"digital_max": 8, "filters": 80, "samples": 8, "reserved": 32}  # bytes of a signal's fields, in order
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
MAX_SIGNALS = 9999  # the field has four digits
MAX_SIGNAL_RATE = 1e6  # Hz; what is beyond it is damage
MAX_ANNOTATIONS, MAX_TEXT = 1000, 1000  # that are kept, characters of one
END = "Recording ends"  # an annotation of EDF+; what follows it in the last data record is filling

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PATIENT = re.compile(r"(\S+) ([FMX]) (X|\d\d?-[A-Za-z]{3}-\d{4})(?: (.*))?")
_AGE = re.compile(r"\bage\W*(\d{1,3}(?:\.\d+)?)|\b(\d{1,3}) ?(?:y|yr|yrs|years?)\b", re.IGNORECASE)
_STAMPED = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,12})?)(?:\x15[\d.]*)?\x14([^\0]*)")  # onset, texts
NO_DATE = datetime(1985, 1, 1)  # what stands for no date at all


@dataclass(frozen=True)
class _Signal:
    """One signal, as its fields describe it: physical = gain × digital + offset."""

    label: str
    unit: str | None
    gain: float  # NaN where the ranges make no sense
    offset: float
    low: float  # digital; what is outside is missing
    high: float
    start: int  # samples of other signals before it in a data record
    count: int  # samples in a data record


@dataclass(frozen=True)
class _Layout:
    """How the data records are made up."""

    signals: tuple[_Signal, ...]
    width: int  # bytes of a sample
    records: int  # that are there, whole
    duration: float | None  # s of a data record; None where the file does not say
    notes: list[str]

    @property
    def record_bytes(self) -> int:
        return self.width * sum(s.count for s in self.signals)


def read_edf(file: File) -> Recording:
    """Read all signals of an EDF, EDF+C, EDF+D or BDF file; gaps, and samples outside the digital range, are NaN.

    Raises
    ------
    EcgclipError
        The header is damaged, no data record is whole, there are annotations only, or nearly all would be gaps.
    """
    layout = _read_layout(file)
    stored = np.frombuffer(file.data, np.uint8, layout.records * layout.record_bytes, BLOCK * (len(layout.signals) + 1))
    stored = stored.reshape(layout.records, layout.record_bytes)
    notes = layout.notes
    texts = [s for s in layout.signals if s.label in ANNOTATIONS]
    annotations = [a for s in texts for a in _annotations(stored, s, layout.width)][:MAX_ANNOTATIONS]
    discontinuous = _text(file.data[192:236])[3:5] == "+D" and layout.records > 1
    starts = _starts(file, layout, stored, texts, notes) if discontinuous else None
    channels = []
    for signal in layout.signals:
        if signal in texts or not signal.count:
            continue
        if math.isnan(signal.gain):
            notes.append(f"left out {signal.label}: its physical or digital range makes no sense")
            continue
        samples = _physical(_columns(stored, signal, layout.width), signal, layout.width)
        rate = float(f"{signal.count / layout.duration:.12g}") if layout.duration else None  # 136 / 2.72 is 50
        values = samples.ravel() if starts is None or not rate else _spread(samples, starts, rate)
        end = _end(annotations, samples.size, samples.shape[1], rate) if starts is None and rate else None
        channels.append(Channel(values[:end], signal.label or None, signal.unit, rate))
    if not channels and len(texts) == len(layout.signals):
        raise EcgclipError(f"{file.name}: an EDF+ file with annotations only, no signal")
    return Recording(channels, _metadata(file, annotations), tuple(notes))


# ---------------------------------------------------------------------------------------------------------------------
# The header


def _text(raw: bytes) -> str:
    """A field: UTF-8 where it is, else Latin-1, without NUL and blanks around."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", " ").strip()


def _float(text: str) -> float:
    """A number, with a decimal point or comma; NaN for anything else."""
    number = re.fullmatch(r"([-+]?)\s*(\d*[.,]?\d*(?:[eE][-+]?\d+)?)", text)
    try:
        value = float(number[1] + number[2].replace(",", ".")) if number else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _read_layout(file: File) -> _Layout:
    """The header, checked against the size of the file."""
    count = _float(_text(file.data[252:256]))
    if not 1 <= count <= MAX_SIGNALS or count % 1:
        raise EcgclipError(f"{file.name}: an EDF header with {_text(file.data[252:256])!r} for the number of signals")
    size = BLOCK * (int(count) + 1)
    if len(file) < size:
        raise EcgclipError(f"{file.name}: the EDF header is cut off: {size} bytes promised, {len(file)} there")
    notes: list[str] = []
    width = 3 if file.data[0] == 0xFF else 2
    signals = _read_signals(file, int(count), notes)
    record_bytes = width * sum(s.count for s in signals)
    there = (len(file) - size) // record_bytes if record_bytes else 0
    if not there:
        raise EcgclipError(f"{file.name}: no whole data record of {record_bytes} bytes after the EDF header")
    promised = _float(_text(file.data[236:244]))
    if promised > there:
        notes.append(f"truncated: {there} of {promised:g} data records are there")
    records = int(promised) if 1 <= promised <= there else there
    duration = _float(_text(file.data[244:252]))
    most = max(s.count for s in signals)
    known = duration > 0 and most / duration <= MAX_SIGNAL_RATE
    return _Layout(signals, width, records, duration if known else None, notes)


def _read_signals(file: File, n: int, notes: list[str]) -> tuple[_Signal, ...]:
    """The fields of all signals; adds to `notes` what is odd in them."""
    fields, position = {}, BLOCK
    for name, width in WIDTHS.items():
        block = file.data[position : position + n * width]
        fields[name] = [_text(block[i * width : (i + 1) * width]) for i in range(n)]
        position += n * width
    signals: list[_Signal] = []
    start = 0
    for i in range(n):
        label, count = fields["label"][i], _float(fields["samples"][i])
        if not count >= 0 or count % 1:
            raise EcgclipError(f"{file.name}: {fields['samples'][i]!r} samples of {label!r} in a data record")
        low, high, bottom, top = (
            _float(fields[key][i]) for key in ("digital_min", "digital_max", "physical_min", "physical_max")
        )
        # by the standard a minimum above its maximum turns a signal upside down; from many programs it is a slip
        rising = high > low and 1e-12 < top - bottom < 1e12
        gain = (top - bottom) / (high - low) if rising else math.nan
        unit = _unit(fields["unit"][i], notes) if label not in ANNOTATIONS else None
        signals.append(_Signal(label, unit, gain, bottom - gain * low, low, high, start, int(count)))
        start += int(count)
    return tuple(signals)


def _unit(text: str, notes: list[str]) -> str | None:
    """A unit; None where there is none, and where its first letter was lost, as in ".V"."""
    if re.fullmatch(r"[^\w\s/%µμ]V|[\ufffdæ]V", text):
        notes.append(f"the unit {text!r} is damaged")
        return None
    return text or None


# ---------------------------------------------------------------------------------------------------------------------
# The data records


def _columns(stored: np.ndarray, signal: _Signal, width: int) -> np.ndarray:
    """The bytes of one signal, uint8 (data records, bytes)."""
    return stored[:, width * signal.start : width * (signal.start + signal.count)]


def _physical(raw: np.ndarray, signal: _Signal, width: int) -> np.ndarray:
    """Bytes (data records, bytes) → samples in the unit of the file (data records, samples)."""
    if width == 2:
        digital = np.ascontiguousarray(raw).view("<i2")
        values = digital.astype(np.float32)
    else:
        parts = raw.reshape(len(raw), -1, 3).astype(np.int32)
        digital = (parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16) << 8 >> 8  # the sign is in the third byte
        values = digital.astype(np.float64)
    values *= signal.gain
    values += signal.offset
    if signal.low > -(1 << (8 * width - 1)) or signal.high < (1 << (8 * width - 1)) - 1:
        values[(digital < signal.low) | (digital > signal.high)] = np.nan
    return values


def _starts(
    file: File, layout: _Layout, stored: np.ndarray, texts: list[_Signal], notes: list[str]
) -> np.ndarray | None:
    """When each data record of an EDF+D file begins, in s after the first; None where the file does not say."""
    stamps = []
    for row in _columns(stored, texts[0], layout.width) if texts else ():
        stamp = _STAMPED.match(row.tobytes())
        stamps.append(float(stamp[1]) if stamp else math.nan)
    starts = np.array(stamps or [math.nan])
    if not layout.duration or np.isnan(starts).any() or (np.diff(starts) < 0.9 * layout.duration).any():
        notes.append("assumed no gaps: an EDF+D file whose data records have no time stamps, or overlapping ones")
        return None
    there, span = layout.records * layout.duration, starts[-1] - starts[0]
    rates = sum(s.count for s in layout.signals) / layout.duration
    if span > MAX_EXPANSION * there + MAX_GAP_S * min(1, len(LEADS) * MAX_RATE / rates):
        raise EcgclipError(f"{file.name}: {span:.0f} s promised, {there:.0f} s stored; the rest would be gaps")
    return starts - starts[0]


def _spread(samples: np.ndarray, starts: np.ndarray, rate: float) -> np.ndarray:
    """Samples (data records, samples) at their times, with NaN in the gaps, (samples,)."""
    first = np.round(starts * rate).astype(np.int64)
    if (first == np.arange(len(samples)) * samples.shape[1]).all():
        return samples.ravel()
    values = np.full(first[-1] + samples.shape[1], np.nan, samples.dtype)
    values[first[:, None] + np.arange(samples.shape[1])] = samples
    return values


# ---------------------------------------------------------------------------------------------------------------------
# Metadata


def _annotations(stored: np.ndarray, signal: _Signal, width: int) -> list[tuple[float, str]]:
    """The annotations of one signal: their times in s, and texts."""
    ended = np.pad(_columns(stored, signal, width), ((0, 0), (0, 1)))  # none runs on into the next data record
    found: list[tuple[float, str]] = []
    for stamped in _STAMPED.finditer(ended.tobytes()):
        texts = [" ".join(_text(raw).split())[:MAX_TEXT] for raw in stamped[2].split(b"\x14")]
        found += [(float(stamped[1]), text) for text in texts if text]
        if len(found) >= MAX_ANNOTATIONS:
            break
    return found


def _end(annotations: list[tuple[float, str]], samples: int, in_record: int, rate: float) -> int:
    """How many samples a recording without gaps has that fills its last data record."""
    ends = [round(onset * rate) for onset, text in annotations if text == END]
    return min((end for end in ends if samples - in_record < end <= samples), default=samples)


def _metadata(file: File, annotations: list[tuple[float, str]]) -> dict:
    """Age, sex, time, device, the patient's code and the annotations; the name is not among them."""
    recording = _text(file.data[88:168]).split(" ")
    began = _begin(_text(file.data[168:176]), _text(file.data[176:184]), recording)
    metadata = parse_comments([text for _, text in annotations])
    metadata.pop("fields", None)
    metadata["comments"] = [f"{onset:.10g} s: {text}" if onset else text for onset, text in annotations if text != END]
    metadata["comments"] = free_comments(metadata)
    patient = _PATIENT.fullmatch(_text(file.data[8:88]))
    if patient:
        code, sex, born, rest = patient.groups()
        age = _AGE.search((rest or "").replace("_", " "))
        birth = _date(born)
        if birth and began:
            metadata["age"] = age_at(began, birth)
        elif age and float(age[1] or age[2]) <= MAX_AGE:
            metadata["age"] = float(age[1] or age[2])
        metadata |= {"sex": found} if (found := sex_of(sex)) else {}
        metadata |= {"patient_id": code} if code != "X" else {}
    if began:
        metadata["time"] = began.isoformat()
    # Startdate, date, code, technician, equipment; with blanks in one of them no part is sure to be the equipment
    device = recording[4].replace("_", " ").strip() if recording[0] == "Startdate" and len(recording) == 5 else ""
    if device not in ("", "X"):
        metadata["device"] = device
    return metadata


def _begin(day: str, clock: str, recording: list[str]) -> datetime | None:
    """When the recording began; None where the file does not say, or says what no calendar or clock shows."""
    numbers = [int(n) for n in re.findall(r"\d{1,2}", day)][:3]
    day_ = None
    if recording[0] == "Startdate" and len(recording) > 1:
        day_ = _date(recording[1])
    elif len(numbers) == 3:
        day_ = moment(numbers[2] + (1900 if numbers[2] >= 85 else 2000), numbers[1], numbers[0])
    parts = [int(n) for n in re.findall(r"\d+", clock)]
    if day_ is None or len(parts) != 3:
        return None
    began = moment(day_.year, day_.month, day_.day, *parts)
    return None if began == NO_DATE else began


def _date(text: str) -> datetime | None:
    """ "02-MAR-1951" → a date; None for anything else."""
    found = re.fullmatch(r"(\d\d?)-([A-Z]{3})-(\d{4})", text.upper())
    return moment(found[3], MONTHS.index(found[2]) + 1, found[1]) if found and found[2] in MONTHS else None
