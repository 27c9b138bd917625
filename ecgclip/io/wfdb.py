"""Read ECG records: WFDB files or arrays in, millivolts and standard lead names out.

    ecg = read_ecg("record.hea")        # ECG.signal: float32 (leads, samples), mV, NaN = missing

The header is parsed and checked here, against the size of the signal files, before a sample is read. So a header can
neither point outside its own folder nor ask for more memory than its files account for. Signals in format 16 (with or
without the 24 bytes in front that a .mat file has) are decoded with numpy; every other format is left to `wfdb`, which
takes as long to import as all the rest of reading.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecgclip.ecg import _MILLIVOLTS, _SPELLINGS, ECG, LEADS, MAX_GAP, EcgclipError, _check_duration, _lead, _millivolts

MAX_HEADER = 1 << 20  # bytes
MAX_LINE = 1000  # characters, comments apart


def read_ecg(path: str | os.PathLike) -> ECG:
    """Read one WFDB record, named by its header with or without .hea.

    Signals that are not one of the twelve leads are left out, with a note. Raises EcgclipError, one line with the path in
    it, for whatever cannot be read: no header, no signal file, fewer samples than promised, no ECG lead, under 2 s.
    """
    stem = _stem(path)
    header = _parse_header(stem + ".hea")
    notes = list(header.notes)
    if header.segments:
        read = {part: _read_signals(segment, notes) for part, segment in _segments(header).items()}
        pieces = [(length, read.get((name, length), {})) for name, length in header.segments]
    else:
        signals = _read_signals(header, notes)
        length = min((values.size // n for n, values in signals.values()), default=0)
        pieces = [(length, {lead: (n, values[: length * n]) for lead, (n, values) in signals.items()})]
    leads = tuple(dict.fromkeys(lead for _, piece in pieces for lead in piece))
    if not leads:
        left_out = "; ".join(dict.fromkeys(notes))[:500] or "it has no signals"
        raise EcgclipError(f"{stem}.hea: no ECG lead ({left_out}); known leads are {', '.join(LEADS)}")
    per_frame = max(n for _, piece in pieces for n, _ in piece.values())
    rate, samples = header.rate * per_frame, sum(length for length, _ in pieces) * per_frame
    _check_duration(samples, rate, f"{stem}.hea: ")
    signal = np.full((len(leads), samples), np.nan, np.float32)
    start = 0
    for length, piece in pieces:
        stop = start + length * per_frame
        for lead, (n, values) in piece.items():
            if n != per_frame:  # a lead stored at a lower rate than its neighbours
                values = np.interp(np.arange(stop - start) * (n / per_frame), np.arange(values.size), values)
            signal[leads.index(lead), start:stop] = values
        start = stop
    once = tuple(dict.fromkeys(notes))
    for note in once:
        if note.startswith("assumed"):
            warnings.warn(note, stacklevel=2)
    return ECG(signal, rate, leads, _metadata(header.comments), source=stem, notes=once)


def read_metadata(path: str | os.PathLike) -> dict:
    """What `read_ecg` gives as metadata, from the header alone. Raises EcgclipError for a damaged one."""
    return _metadata(_parse_header(_stem(path) + ".hea").comments)


_SPELLINGS |= {"DI": "I", "DII": "II", "DIII": "III"}
_SPELLINGS |= {f"{word}{i}": "I" * i for word in ("LEAD", "LEAD-", "L", "D") for i in (1, 2, 3)}
_MILLIVOLTS |= {"v": 1e3, "volt": 1e3, "volts": 1e3, "nv": 1e-6}


# ---------------------------------------------------------------------------------------------------------------------
# Headers


@dataclass(frozen=True)
class _Signal:
    file: str  # "~" = no samples stored
    format: str
    per_frame: int
    skew: int
    offset: int  # bytes
    gain: float  # units of the analogue-to-digital converter for one unit
    baseline: int
    unit: str | None
    first: int
    name: str


@dataclass(frozen=True)
class _Header:
    path: str
    rate: float  # frames a second
    length: int  # frames; 0 = not said
    signals: tuple[_Signal, ...]
    segments: tuple[tuple[str, int], ...]  # names and frames of a multi-segment record
    comments: list[str]
    notes: tuple[str, ...]


def _stem(path: str | os.PathLike) -> str:
    stem, extension = os.path.splitext(os.fspath(path))
    if extension in (".dat", ".mat") and os.path.isfile(os.fspath(path) + ".hea"):
        return os.fspath(path)  # a record whose own name ends so
    return stem if extension in (".hea", ".dat", ".mat") else os.fspath(path)


def _lines(path: str) -> tuple[list[str], list[str]]:
    """The lines and the comments of a header file, blank lines gone."""
    if os.path.isdir(path) or not os.path.isfile(path):
        folder = path[: -len(".hea")]
        hint = "is a folder: name a record in it" if os.path.isdir(folder) else "no such header"
        raise EcgclipError(f"{folder if os.path.isdir(folder) else path}: {hint}")
    try:
        size = os.path.getsize(path)
        raw = Path(path).read_bytes() if size <= MAX_HEADER else b""
    except OSError as error:
        raise EcgclipError(f"{path}: cannot be read ({error.strerror})") from None
    if size > MAX_HEADER:
        raise EcgclipError(f"{path}: {size / 1e6:.1f} MB is too long for a WFDB header; is it another kind of file?")
    if not raw.strip():
        raise EcgclipError(f"{path}: the header is empty")
    if b"\0" in raw:
        raise EcgclipError(f"{path}: binary, not the text of a WFDB header")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    comments = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    lines = [line for line in lines if line and line[0] != "#"]
    if any(len(line) > MAX_LINE for line in lines):
        raise EcgclipError(f"{path}: not a WFDB header (a line of {max(map(len, lines))} characters)")
    return lines, comments


def _number(text: str, path: str, what: str, low: float, high: float, kind=int):
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise EcgclipError(f"{path}: {what} of {text[:30]!r} makes no sense (must be {low:g} to {high:g})")
    return value


_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)(?:\(([-+]?\d+)(?:\.0*)?\))?(?:/(\S*?))?(?:\(([-+]?\d+)\))?")


def _parse_header(path: str, inherited_rate: float | None = None) -> _Header:
    """Parse and check one header; what it says about sizes is compared with its files only in `_read_signals`."""
    lines, comments = _lines(path)
    words = lines[0].split() if lines else []
    if len(words) < 2 or not re.fullmatch(r"[-+]?\d+", words[1]):
        first = lines[0][:40] if lines else ""
        raise EcgclipError(f"{path}: not a WFDB header (first line {first!r}, expected 'name signals rate samples')")
    notes = []
    segments = words[0].partition("/")[2]
    count = _number(words[1], path, "a number of signals", 1, 10_000)
    if len(words) > 2:  # "500/1000(0)": the second number is that of a counter
        rate = _number(words[2].partition("/")[0].partition("(")[0], path, "a sampling rate", 0.1, 1e6, float)
    else:
        rate = inherited_rate or 250.0
        if not inherited_rate:
            notes.append("assumed 250 Hz, the standard's default: the header gives no sampling rate")
    length = _number(words[3], path, "a number of samples", 0, 1e11) if len(words) > 3 else 0
    rest = lines[1:]
    expected = _number(segments, path, "a number of segments", 1, 1e5) if segments else count
    if len(rest) != expected:
        what = "segments" if segments else "signals"
        raise EcgclipError(f"{path}: promises {expected} {what} and describes {len(rest)}; the header is damaged")
    if segments:
        pairs = [line.split() for line in rest]
        if any(len(pair) != 2 for pair in pairs):
            raise EcgclipError(f"{path}: a segment line must be 'name samples'")
        parts = tuple((name, _number(n, path, "a number of samples", 0, 1e11)) for name, n in pairs)
        return _Header(path, rate, length, (), parts, comments, tuple(notes))
    signals = tuple(_parse_signal(line, i, path, notes) for i, line in enumerate(rest))
    return _Header(path, rate, length, signals, (), comments, tuple(notes))


def _parse_signal(line: str, index: int, path: str, notes: list[str]) -> _Signal:
    words = line.split()
    form = _FORMAT.fullmatch(words[1]) if len(words) > 1 else None
    if not form:
        raise EcgclipError(f"{path}: {line[:40]!r} does not describe a signal (expected 'file format gain … lead')")
    kind, per_frame, skew, offset = (int(g) if g else 0 for g in form.groups())
    words, file = words[2:], words[0]
    gain, baseline, unit = 0.0, None, None
    scale = _GAIN.fullmatch(words[0]) if words else None
    if scale:
        gain = _number(scale[1], path, "a gain", -1e12, 1e12, float)  # below 0: the signal is stored upside down
        baseline, unit = scale[2] or scale[4], scale[3] or None
        words = words[1:]
    elif words and re.match(r"[-+]?\d", words[0]):
        raise EcgclipError(f"{path}: a gain of {words[0][:30]!r} makes no sense (expected 'units(baseline)/mV')")
    numbers: list[int] = []
    while words and len(numbers) < 5 and re.fullmatch(r"[-+]?\d{1,12}", words[0]):
        numbers.append(int(words.pop(0)))
    zero, first = (numbers + [0] * 3)[1:3]
    name = " ".join(words) or f"signal {index + 1}"
    if gain == 0:
        gain = 200.0
        notes.append(f"assumed 200 units for 1 mV in {name}, the standard's default: the header gives no gain")
    baseline = _number(baseline, path, "a baseline", -1e10, 1e10) if baseline else zero
    return _Signal(file, str(kind), per_frame or 1, skew, offset, gain, baseline, unit, first, name)


def _parts(record: str) -> list[str]:
    """The records that a multi-segment record consists of; none for any other, or for one too damaged to stand for them."""
    try:
        header = _parse_header(record + ".hea")
        if not header.segments:
            return []
        _segments(header)
    except EcgclipError:
        return []
    return [os.path.join(os.path.dirname(record), name) for name, _ in header.segments]


def _segments(header: _Header) -> dict[tuple[str, int], _Header]:
    """The headers of a multi-segment record's segments, by name and frames; gaps and the layout have none."""
    stored = sum({name: n for name, n in header.segments if name != "~"}.values())
    total = sum(n for _, n in header.segments)
    if total > 10 * stored + MAX_GAP * header.rate:
        raise EcgclipError(f"{header.path}: {total} samples promised, {stored} stored; the rest would be gaps")
    chosen = {}
    for name, length in dict.fromkeys(header.segments):
        if name == "~" or not length:
            continue
        segment = _parse_header(_inside(header.path, name + ".hea"), header.rate)
        if segment.segments:
            raise EcgclipError(f"{header.path}: segment {name} has segments itself, which WFDB does not allow")
        if segment.rate != header.rate:
            raise EcgclipError(f"{header.path}: segment {name} has another sampling rate than the record")
        chosen[name, length] = replace(segment, length=length)
    return chosen


def _inside(header_path: str, name: str) -> str:
    """The path of a file that a header names, which must be a plain file in the header's own folder."""
    folder = os.path.dirname(header_path)
    if name in ("", ".", "..", "-") or re.search(r"[/\\:\0]", name):
        raise EcgclipError(f"{header_path}: names the file {name[:60]!r}, which is not in its own folder")
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise EcgclipError(f"{header_path}: its file {name} is missing; put it beside the header")
    allowed = {os.path.realpath(folder or "."), os.path.dirname(os.path.realpath(header_path))}
    if os.path.dirname(os.path.realpath(path)) not in allowed:
        raise EcgclipError(f"{header_path}: its file {name} is a link that leaves the folder")
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Samples

_BYTES = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
_FLAC = ("508", "516", "524")
_FLAC_SAMPLES_PER_BYTE = 1000  # a flat signal in FLAC comes to about 400


def _read_signals(header: _Header, notes: list[str]) -> dict[str, tuple[int, np.ndarray]]:
    """For each ECG lead of one segment: samples per frame, and float32 (frames * samples per frame,) in mV."""
    notes += header.notes
    wanted: dict[int, str] = {}
    scale: dict[int, float] = {}
    for index, signal in enumerate(header.signals):
        lead, note = _lead(signal.name)
        if lead is None:
            notes.append(f"left out {signal.name[:40]}: not one of the twelve leads")
        elif signal.file == "~":
            continue
        elif (millivolts := _millivolts(signal.unit or "mV")) is None:
            notes.append(f"left out {signal.name}: its unit {signal.unit} is not a voltage")
        elif lead in wanted.values():
            notes.append(f"left out {signal.name}: lead {lead} is there already")
        else:
            wanted[index], scale[index] = lead, millivolts / signal.gain
            notes += [note] if note else []
            if signal.unit is None:
                notes.append("mV where the header gives no unit, as the standard says")
    digital: dict[int, np.ndarray] = {}
    for file in dict.fromkeys(header.signals[i].file for i in wanted):
        group = [i for i, s in enumerate(header.signals) if s.file == file]
        digital |= zip(group, _read_file(header, [header.signals[i] for i in group]), strict=True)
    out = {}
    for i, lead in wanted.items():
        s = header.signals[i]
        out[lead] = (s.per_frame, ((digital[i] - s.baseline) * scale[i]).astype(np.float32))
    return out


def _read_file(header: _Header, signals: list[_Signal]) -> list[np.ndarray]:
    """All signals of one file: float64 (frames * samples per frame,) each, in converter units, NaN = missing."""
    path = _inside(header.path, signals[0].file)
    kind, offset = signals[0].format, signals[0].offset
    frame = sum(s.per_frame for s in signals)
    if any(s.format != kind or s.offset != offset for s in signals):
        raise EcgclipError(f"{header.path}: the signals in {signals[0].file} differ in format or offset")
    if kind not in _BYTES and kind not in _FLAC:
        raise EcgclipError(f"{header.path}: signal format {kind} is unknown")
    if frame > 1_000_000 or max(s.skew for s in signals) > 1_000_000:
        raise EcgclipError(f"{header.path}: samples per frame or skew make no sense")
    size = os.path.getsize(path)
    if kind in _FLAC:
        held = size * _FLAC_SAMPLES_PER_BYTE // frame
        if not header.length:
            raise EcgclipError(f"{header.path}: gives no number of samples, which a FLAC signal file needs")
    else:
        held = int(max(size - offset, 0) / _BYTES[kind] + 1e-6) // frame
    length = header.length or held
    if held < length or not held:
        raise EcgclipError(
            f"{header.path}: its file {signals[0].file} is truncated: {length} samples promised, {held} there"
        )
    if kind == "16" and frame == len(signals) and not any(s.skew for s in signals):
        raw = np.fromfile(path, "<i2", count=length * frame, offset=offset).reshape(length, frame)
        digital = raw.T.astype(np.float64)
        digital[raw.T == -32768] = np.nan
        return list(digital)
    return _read_by_wfdb(header, signals, path, length)


def _read_by_wfdb(header: _Header, signals: list[_Signal], path: str, length: int) -> list[np.ndarray]:
    """As `_read_file`, by way of a header that we write ourselves: wfdb sees no word of the original one."""
    import wfdb

    with tempfile.TemporaryDirectory() as folder:
        try:
            os.symlink(os.path.realpath(path), os.path.join(folder, "r.dat"))
        except OSError:  # Windows keeps links to administrators
            shutil.copyfile(path, os.path.join(folder, "r.dat"))
        lines = [f"r {len(signals)} {header.rate:.10g} {length}"]
        for i, s in enumerate(signals):
            lines.append(f"r.dat {s.format}x{s.per_frame}:{s.skew}+{s.offset} 1(0)/mV 0 0 {s.first} 0 0 s{i}")
        Path(folder, "r.hea").write_text("\n".join(lines) + "\n")
        try:
            record = wfdb.rdrecord(os.path.join(folder, "r"), physical=True, smooth_frames=False, return_res=64)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise EcgclipError(f"{header.path}: wfdb cannot decode {os.path.basename(path)} ({reason})") from None
    digital = [np.asarray(values, np.float64) for values in record.e_p_signal]
    if any(values.size != length * s.per_frame for values, s in zip(digital, signals, strict=True)):
        raise EcgclipError(f"{header.path}: its file {os.path.basename(path)} is truncated")
    return digital


# ---------------------------------------------------------------------------------------------------------------------
# Comments


_SEX = {"f": "female", "female": "female", "m": "male", "male": "male"}


def _metadata(comments: list[str]) -> dict:
    """Age, sex and the rest, out of comment lines such as 'Age: 81', '<sex>: F' or MIT-BIH's '69 M 1085 1629 x1'."""
    fields: dict[str, str] = {}
    for line in comments:
        for key, value in re.findall(r"<(\w+)>:\s*([^<]*)", line) or re.findall(r"^([A-Za-z][\w ]*):\s*(.*)$", line):
            fields.setdefault(key.strip().lower(), value.strip())
    age, sex = fields.get("age", ""), fields.get("sex") or fields.get("gender") or ""
    compact = re.match(r"(\d{1,3}) ([MF])\b", comments[0]) if comments else None
    if compact and not age:
        age, sex = compact.groups()
    dx = [code.strip() for code in re.split(r"[,;]", fields.get("dx", "")) if code.strip()]
    return {
        "age": _years(age),
        "sex": _SEX.get(sex.lower()),
        "comments": comments,
        "dx": dx,
        "fields": fields,
    }


_AGE = re.compile(r"([<>]?)\s*(\d+(?:[.,]\d+)?)[\s_-]*([a-z]*)\b", re.IGNORECASE)
_AGE_UNITS = {  # how many make a year
    r"|y|yrs?|yo|years?|j|jahre?|a": 1,
    r"m|mo|mos|mths?|mon|months?|monate?": 12,
    r"w|wks?|weeks?|wochen?": 52.18,
    r"d|days?|t|tage?": 365.25,
    r"h|hrs?|hours?|std|stunden?": 8766,
}


def _years(text: str) -> float | None:
    """An age as files give it ("63", "063Y", "6 months", "3 Tage"), in years; None where it or its unit makes no sense."""
    parts = _AGE.match(re.sub(r"(?<=\d)\s+[MF]\b", "", text.strip()))  # "45 M" is a man
    if not parts:
        return None
    bound, number, unit = parts.groups()
    shares = [a_year for names, a_year in _AGE_UNITS.items() if re.fullmatch(names, unit.lower())]
    if not shares:
        return None
    value = float(number.replace(",", ".")) / shares[0]
    if bound == "<" and number == "1":
        value /= 2  # "<1": somewhere between birth and that
    return value if value <= 130 else None
