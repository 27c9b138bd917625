"""Headers of WFDB records: parsed and checked before a sample is read.

A header can neither point outside its own folder nor ask for more memory than its signal files account for
(`ecgclip.io.wfdb` compares the two).
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ecgclip.ecg import EcgclipError

MAX_HEADER = 1 << 20  # bytes
MAX_LINE = 1000  # characters, comments apart
# A multi-segment record with its gaps: at most this many times what is stored, and MAX_GAP_S seconds more
MAX_EXPANSION, MAX_GAP_S = 10, 60
DEFAULT_RATE = 250.0  # Hz, the standard's default
DEFAULT_GAIN = 200.0  # units for 1 mV, the standard's default
# The largest values that make sense; what is beyond them is damage
MAX_SIGNALS, MAX_SEGMENTS, MAX_SAMPLES = 10_000, 1e5, 1e11
MIN_FRAME_RATE, MAX_FRAME_RATE = 0.1, 1e6  # Hz
MAX_GAIN, MAX_BASELINE = 1e12, 1e10

_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)(?:\(([-+]?\d+)(?:\.0*)?\))?(?:/(\S*?))?(?:\(([-+]?\d+)\))?")


@dataclass(frozen=True)
class Signal:
    """One signal of a record, as its line in the header describes it."""

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
class Header:
    """A header, checked by itself; its signal files are not looked at."""

    path: str
    rate: float  # frames a second
    length: int  # frames; 0 = not given
    signals: tuple[Signal, ...]
    segments: tuple[tuple[str, int], ...]  # names and frames of a multi-segment record
    comments: list[str]
    notes: tuple[str, ...]


def record_stem(path: str | os.PathLike) -> str:
    """The path of a record without the .hea, .dat or .mat of one of its files."""
    stem, extension = os.path.splitext(os.fspath(path))
    if extension in (".dat", ".mat") and os.path.isfile(os.fspath(path) + ".hea"):
        return os.fspath(path)  # a record whose own name ends like that
    return stem if extension in (".hea", ".dat", ".mat") else os.fspath(path)


def parse_header(path: str, inherited_rate: float | None = None) -> Header:
    """Parse and check one header.

    Parameters
    ----------
    path : str
        The header file, with .hea.
    inherited_rate : float, optional
        Hz, that of the multi-segment record that this is a segment of; it stands in where the header gives no rate.

    Raises
    ------
    EcgclipError
        The file cannot be read, is not a WFDB header, or a value in it makes no sense.
    """
    lines, comments = _read_lines(path)
    words = lines[0].split() if lines else []
    if len(words) < 2 or not re.fullmatch(r"[-+]?\d+", words[1]):
        raise EcgclipError(f"{path}: not a WFDB header (its first line is not 'name signals rate samples')")
    notes: list[str] = []
    after = words[0].partition("/")[2]
    n_segments = after if after.isdecimal() else ""  # else a folder before the record's name, as some writers have it
    n_signals = _number(words[1], path, "a number of signals", 1, MAX_SIGNALS)
    rate = _rate(words, path, inherited_rate, notes)
    length = _number(words[3], path, "a number of samples", 0, MAX_SAMPLES) if len(words) > 3 else 0
    expected = _number(n_segments, path, "a number of segments", 1, MAX_SEGMENTS) if n_segments else n_signals
    described = lines[1:]
    if len(described) != expected:
        what = "segments" if n_segments else "signals"
        raise EcgclipError(f"{path}: promises {expected} {what} and describes {len(described)}; the header is damaged")
    if n_segments:
        return Header(path, rate, length, (), _parse_segments(described, path), comments, tuple(notes))
    signals = tuple(_parse_signal(line, i, path, notes) for i, line in enumerate(described))
    return Header(path, rate, length, signals, (), comments, tuple(notes))


def segment_headers(header: Header) -> dict[tuple[str, int], Header]:
    """The headers of a multi-segment record's segments, by name and frames; gaps and the layout segment have none.

    Raises
    ------
    EcgclipError
        A segment is missing, damaged or of another sampling rate, or nearly all of the record would be gaps.
    """
    stored = sum({name: n for name, n in header.segments if name != "~"}.values())
    total = sum(n for _, n in header.segments)
    if total > MAX_EXPANSION * stored + MAX_GAP_S * header.rate:
        raise EcgclipError(f"{header.path}: {total} samples promised, {stored} stored; the rest would be gaps")
    headers = {}
    for name, length in dict.fromkeys(header.segments):
        if name == "~" or not length:
            continue
        segment = parse_header(path_beside(header.path, name + ".hea"), header.rate)
        if segment.segments:
            raise EcgclipError(f"{header.path}: segment {name} has segments itself, which WFDB does not allow")
        if segment.rate != header.rate:
            raise EcgclipError(f"{header.path}: segment {name} has another sampling rate than the record")
        headers[name, length] = replace(segment, length=length)
    return headers


def segment_records(record: str) -> list[str]:
    """The records that a multi-segment record consists of.

    Empty for any other record, and for one that is too damaged to be read in place of its segments.
    """
    try:
        header = parse_header(record + ".hea")
        if not header.segments:
            return []
        segment_headers(header)
    except EcgclipError:
        return []
    return [os.path.join(os.path.dirname(record), name) for name, _ in header.segments]


def path_beside(header_path: str, name: str) -> str:
    """The path of a file that a header names; EcgclipError unless it is a plain file in the header's own folder."""
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


def _read_lines(path: str) -> tuple[list[str], list[str]]:
    """The lines and the comments of a header file, without blank lines."""
    raw = _read_bytes(path)
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


def _read_bytes(path: str) -> bytes:
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
    return raw


def _number(text: str, path: str, what: str, low: float, high: float, kind=int):
    """`text` as a number from `low` to `high`; EcgclipError for anything else."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        told = repr(text[:30]) if re.fullmatch(r"[-+\d.,eE]*", text) else "letters"  # which may be a name
        raise EcgclipError(f"{path}: {what} of {told} makes no sense (must be {low:g} to {high:g})")
    return value


def _rate(words: list[str], path: str, inherited: float | None, notes: list[str]) -> float:
    """The sampling rate (Hz) in the words of a header's first line; adds to `notes` where it has to be assumed."""
    if len(words) > 2:  # "500/1000(0)": the second number is that of a counter
        text = words[2].partition("/")[0].partition("(")[0]
        return _number(text, path, "a sampling rate", MIN_FRAME_RATE, MAX_FRAME_RATE, float)
    if inherited:
        return inherited
    notes.append("assumed 250 Hz, the standard's default: the header gives no sampling rate")
    return DEFAULT_RATE


def _parse_segments(lines: list[str], path: str) -> tuple[tuple[str, int], ...]:
    pairs = [line.split() for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise EcgclipError(f"{path}: a segment line must be 'name samples'")
    return tuple((name, _number(n, path, "a number of samples", 0, MAX_SAMPLES)) for name, n in pairs)


def _parse_signal(line: str, index: int, path: str, notes: list[str]) -> Signal:
    """One signal line; adds to `notes` where the gain has to be assumed."""
    words = re.sub(r"\s#\s.*", "", line).split()  # a comment after the name
    form = _FORMAT.fullmatch(words[1]) if len(words) > 1 else None
    if not form:
        raise EcgclipError(f"{path}: line {index + 2} does not describe a signal (expected 'file format gain … lead')")
    kind, per_frame, skew, offset = (int(g) if g else 0 for g in form.groups())
    words, file = words[2:], words[0]
    gain, baseline, unit = 0.0, None, None
    scale = _GAIN.fullmatch(words[0]) if words else None
    if scale:
        # a gain below 0 means that the signal is stored upside down
        gain = _number(scale[1], path, "a gain", -MAX_GAIN, MAX_GAIN, float)
        baseline, unit = scale[2] or scale[4], scale[3] or None
        words = words[1:]
    elif words and re.match(r"[-+]?\d", words[0]):
        raise EcgclipError(f"{path}: a gain of {words[0][:30]!r} makes no sense (expected 'units(baseline)/mV')")
    numbers: list[int] = []  # resolution, zero, first value, checksum, block size
    while words and len(numbers) < 5 and re.fullmatch(r"[-+]?\d{1,12}", words[0]):
        numbers.append(int(words.pop(0)))
    zero, first = (numbers + [0] * 3)[1:3]
    name = " ".join(words) or f"signal {index + 1}"
    if gain == 0:
        gain = DEFAULT_GAIN
        notes.append(f"assumed 200 units for 1 mV in {name}, the standard's default: the header gives no gain")
    baseline = _number(baseline, path, "a baseline", -MAX_BASELINE, MAX_BASELINE) if baseline else zero
    return Signal(file, str(kind), per_frame or 1, skew, offset, gain, baseline, unit, first, name)
