"""Read ECG records: WFDB files or arrays in, millivolts and standard lead names out.

    ecg = read_ecg("record.hea")        # ECG.signal: float32 (leads, samples), mV, NaN = missing

The header is parsed and checked here, against the size of the signal files, before a sample is read. So a header can
neither point outside its own folder nor ask for more memory than its files account for. Signals in format 16 (with or
without the 24 bytes in front that a .mat file has) are decoded with numpy; every other format is left to `wfdb`, which
takes as long to import as all the rest of reading.
"""

import glob
import hashlib
import math
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MIN_RATE, MAX_RATE = 50, 2000  # Hz
MIN_SECONDS = 2
MAX_HEADER = 1 << 20  # bytes
MAX_LINE = 1000  # characters, comments apart
MAX_GAP = 60  # s without a signal in a multi-segment record, besides ten times what is stored


class EcgclipError(Exception):
    """Something the user can put right; the message is one line that says what, where and what to do."""


@dataclass(frozen=True, eq=False)
class ECG:
    """One recording.

    signal: float32 (leads, samples), mV, NaN = missing; one lead may be given as (samples,); always a copy
    sampling_rate: Hz, 50 to 2000
    leads: names out of `LEADS`, one for each row; other usual spellings ("AVR", "lead II", "MLII") are translated
    metadata: age (float or None), sex ("female", "male" or None), comments (list of str), whatever else the file says
    source: the path it was read from, without .hea; None for an array
    notes: what reading assumed, translated or left out

    Raises EcgclipError for a shape, rate, length or lead name that cannot be used.
    """

    signal: np.ndarray = field(repr=False)
    sampling_rate: float
    leads: tuple[str, ...]
    metadata: dict = field(default_factory=dict)
    source: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        where = f"{self.source}: " if self.source else ""
        names = (self.leads,) if isinstance(self.leads, str) else tuple(self.leads)
        try:
            signal = np.array(self.signal, dtype=np.float32)
            rate = float(self.sampling_rate)
        except (TypeError, ValueError) as error:
            raise EcgclipError(f"{where}signal and sampling_rate must be numbers ({error})") from None
        if signal.ndim == 1:
            signal = signal[None]
        if signal.ndim != 2 or signal.shape[0] != len(names) or not names:
            hint = "; transpose it?" if signal.ndim == 2 and signal.shape[1] == len(names) else ""
            raise EcgclipError(f"{where}signal has shape {signal.shape}, not ({len(names)} leads, samples){hint}")
        _check_duration(signal.shape[1], rate, where)
        leads, notes = [], []
        for name in names:
            lead, note = _lead(str(name))
            if lead is None:
                raise EcgclipError(f"{where}unknown lead {name!r}: use {', '.join(LEADS)}")
            if lead in leads:
                raise EcgclipError(f"{where}lead {lead} is given twice")
            leads.append(lead)
            notes += [note] if note else []
        signal[~np.isfinite(signal)] = np.nan
        object.__setattr__(self, "signal", signal)
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(self, "leads", tuple(leads))
        object.__setattr__(self, "metadata", {"age": None, "sex": None, "comments": [], **self.metadata})
        object.__setattr__(self, "notes", tuple(self.notes) + tuple(notes))

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.sampling_rate

    def between(self, start_s: float, stop_s: float | None) -> "ECG":
        """A stretch of it; stop_s None: all of it."""
        if stop_s is None:
            return self
        first, last = (round(s * self.sampling_rate) for s in (start_s, stop_s))
        return ECG(self.signal[:, first:last], self.sampling_rate, self.leads, self.metadata, self.source)


def _check_duration(samples: int, rate: float, where: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise EcgclipError(f"{where}sampling rate {rate:g} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
    if samples < MIN_SECONDS * rate:
        raise EcgclipError(f"{where}{samples / rate:.2g} s is too short: at least {MIN_SECONDS} s are needed")


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


def find_records(pattern: str | os.PathLike) -> list[str]:
    """Paths (without .hea) of the records that `pattern` names: a header, a folder (searched through) or a glob.

    Links to folders are followed, and each record is found once, by its most direct path. Raises EcgclipError if there are none.
    """
    pattern = os.fspath(pattern)
    if os.path.isfile(_stem(pattern) + ".hea"):
        return [_stem(pattern)]
    matches = [pattern] if os.path.isdir(pattern) else _glob(pattern)
    files: list[str] = []
    for match in matches:
        if os.path.isdir(match):
            files += [os.path.join(folder, name) for folder, names in _folders(match) for name in names]
        else:
            files.append(match)
    found = {f[: -len(".hea")] for f in files if f.endswith(".hea") and os.path.isfile(f)}
    if not found:
        what = "holds no WFDB header (.hea)" if matches else "no such record, folder or pattern"
        raise EcgclipError(f"{pattern}: {what}")
    found -= {part for record in found for part in _parts(record)}
    real = {folder: os.path.realpath(folder) for folder in {os.path.dirname(record) for record in found}}
    once: dict[tuple[str, str], str] = {}
    for record in sorted(found, key=lambda record: (record.count(os.sep), record)):
        folder, name = os.path.split(record)
        once.setdefault((real[folder], name), record)
    return sorted(once.values())


def _folders(top: str) -> Iterator[tuple[str, list[str]]]:
    """`top` and the folders below it, each once however many links lead to it, with the names of their files."""
    seen: set[str] = set()
    todo = [top]
    for start in todo:  # links come last, so that what is really here keeps its own path
        for folder, below, names in os.walk(start):
            if (real := os.path.realpath(folder)) in seen:
                below.clear()
                continue
            seen.add(real)
            below.sort()
            todo += [link for name in below if os.path.islink(link := os.path.join(folder, name))]
            yield folder, names


def _glob(pattern: str) -> list[str]:
    """As glob.glob does, but ** enters each folder once, where glob goes round in circles of links."""
    separators = re.escape(os.sep + (os.altsep or ""))
    head, *tail = re.split(rf"(?<![^{separators}])\*\*(?:[{separators}]+|$)", pattern, maxsplit=1)
    if not tail:
        return glob.glob(pattern)
    found: list[str] = []
    for top in glob.glob(head) if head else [os.curdir]:
        for folder, names in _folders(top):
            at = folder if head else folder[len("./") :]
            found += _glob(os.path.join(glob.escape(at), tail[0])) if tail[0] else [os.path.join(at, n) for n in names]
    return found


def record_files(record: str | os.PathLike) -> list[str]:
    """The files that an ECG is read from: its header, its segments' headers, the signal files of its leads.

    Raises EcgclipError if a header cannot be read, or names a file that is missing or outside its folder.
    """
    header = _parse_header(_stem(record) + ".hea")
    headers = [header, *(_segments(header).values() if header.segments else ())]
    signals = {_inside(h.path, s.file) for h in headers for s in h.signals if s.file != "~" and _lead(s.name)[0]}
    return [*(h.path for h in headers), *sorted(signals)]


def record_stamp(record: str | os.PathLike) -> tuple[int, int] | None:
    """Bytes and times of change (ns, modulo 2⁶³) of a record's files, each summed up; None if they cannot be told."""
    try:
        stats = [os.stat(file) for file in record_files(record)]
    except (EcgclipError, OSError):
        return None
    return sum(s.st_size for s in stats), sum(s.st_mtime_ns for s in stats) % 2**63


def record_hash(record: str | os.PathLike) -> str:
    """SHA-256 over the contents of a record's files. Raises EcgclipError if they cannot be read."""
    digest = hashlib.sha256()
    for path in record_files(record):
        try:
            with open(path, "rb") as file:
                while piece := file.read(1 << 22):
                    digest.update(piece)
        except OSError as error:
            raise EcgclipError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Lead names and units


def _lead(name: str) -> tuple[str | None, str | None]:
    """The standard name for a lead as files spell it, and a note where that is more than spelling."""
    plain = re.sub(r"[\s_.]+", "", name).upper()
    if plain in ("ECG", "EKG", "ECG1", "EKG1"):
        return "I", f"assumed that {name!r} is lead I"
    plain = re.sub(r"^(?:(?:ECG|EKG)[-:]?(?=\D))?(?:(?:LEAD|ABLEITUNG)[-:]?(?=\D))?", "", plain)
    if plain in _SPELLINGS:
        return _SPELLINGS[plain], None
    modified = re.fullmatch(r"ML(I{1,3}|[123])|(?:MV|MCL|CM)([1-6])", plain)
    if not modified:
        return None, None
    limb, chest = modified.groups()
    lead = f"V{chest}" if chest else limb if limb[0] == "I" else "I" * int(limb)
    return lead, f"{name} is read as {lead}"


_SPELLINGS = {lead.upper(): lead for lead in LEADS} | {f"C{i}": f"V{i}" for i in range(1, 7)}
_SPELLINGS |= {"DI": "I", "DII": "II", "DIII": "III"}
_SPELLINGS |= {f"{word}{i}": "I" * i for word in ("LEAD", "LEAD-", "L", "D") for i in (1, 2, 3)}

_MILLIVOLTS = {"mv": 1.0, "millivolt": 1.0, "millivolts": 1.0, "uv": 1e-3, "microvolt": 1e-3, "microvolts": 1e-3}
_MILLIVOLTS |= {"v": 1e3, "volt": 1e3, "volts": 1e3, "nv": 1e-6}


def _millivolts(unit: str) -> float | None:
    """What one `unit` is in mV; None if it is not a voltage."""
    return _MILLIVOLTS.get(unit.replace("µ", "u").replace("μ", "u").lower())


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
