"""Read WFDB records: millivolts and standard lead names out.

    ecg = read_wfdb("record.hea")       # ECG.signal: float32 (leads, samples), mV, NaN = missing

The header is parsed and checked (`ecgclip.io.wfdb_header`) and compared with the size of the signal files before a
sample is read. Signals in format 16 (with or without the 24 bytes in front that a .mat file has) are decoded with
numpy. Every other format is left to `wfdb`, which takes as long to import as all the rest of reading.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import ECG, EcgclipError, check_duration, millivolts_per, standard_lead
from ecgclip.io.metadata import parse_comments
from ecgclip.io.recording import Given, implausible, no_lead
from ecgclip.io.wfdb_header import Header, Signal, parse_header, path_beside, record_stem, segment_headers

_BYTES_PER_SAMPLE: dict[str, float] = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2}
_BYTES_PER_SAMPLE |= {"212": 1.5, "310": 4 / 3, "311": 4 / 3}  # samples that share bytes
_FLAC = ("508", "516", "524")
_FLAC_SAMPLES_PER_BYTE = 1000  # at most: a flat signal in FLAC comes to about 400
_MISSING = -32768  # in format 16
_MAX_FRAME, _MAX_SKEW = 1_000_000, 1_000_000  # samples; what is beyond them is damage


class _Samples(NamedTuple):
    """What is stored of one lead: float32 (frames * per_frame,) in mV."""

    per_frame: int
    values: np.ndarray


class _Piece(NamedTuple):
    """A stretch of a record: a segment, a gap without a lead, or the whole of a plain record."""

    frames: int
    leads: dict[str, _Samples]


def read_wfdb(path: str | os.PathLike, given: Given = Given()) -> ECG:
    """Read one WFDB record, named by its header with or without .hea.

    Signals that are not one of the twelve leads are left out, with a note.

    Raises
    ------
    EcgclipError
        The record cannot be read: no header, no signal file, fewer samples than promised, no ECG lead, under 2 s. The
        message is one line with the path in it.
    """
    stem = record_stem(path)
    header = parse_header(stem + ".hea")
    pieces, notes = _read_pieces(header, given)
    signal, leads, rate = _join(pieces, header.rate, given.sampling_rate, f"{stem}.hea: ", notes)
    if (note := implausible(signal, rate)) is not None:
        notes += (note,)
    for note in notes:
        if note.startswith("assumed"):
            warnings.warn(note, stacklevel=2)
    return ECG(signal, rate, leads, parse_comments(header.comments), source=stem, notes=notes)


def _read_pieces(header: Header, given: Given) -> tuple[list[_Piece], tuple[str, ...]]:
    """The stretches of a record in order, and notes, each once."""
    notes = list(header.notes)
    if header.segments:
        headers = segment_headers(header).items()
        segments = {part: _read_signals(_overruled(segment, given), notes) for part, segment in headers}
        pieces = [_Piece(length, segments.get((name, length), {})) for name, length in header.segments]
    else:
        leads = _read_signals(_overruled(header, given), notes)
        frames = min((samples.values.size // samples.per_frame for samples in leads.values()), default=0)
        cut = {lead: _Samples(n, values[: frames * n]) for lead, (n, values) in leads.items()}
        pieces = [_Piece(frames, cut)]
    return pieces, tuple(dict.fromkeys(notes))


def _overruled(header: Header, given: Given) -> Header:
    """A header without segments, with the names and the unit that the user gives."""
    names = given.leads or tuple(s.name for s in header.signals)
    if len(names) != len(header.signals):
        raise EcgclipError(f"{header.path}: {len(names)} names in --leads (leads=) for {len(header.signals)} signals")
    pairs = zip(header.signals, names, strict=True)
    return replace(header, signals=tuple(replace(s, name=name, unit=given.unit or s.unit) for s, name in pairs))


def _join(
    pieces: list[_Piece], frame_rate: float, given_rate: float | None, where: str, notes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...], float]:
    """One signal of all pieces: float32 (leads, samples), mV, NaN = missing; its leads; its sampling rate, Hz."""
    leads = tuple(dict.fromkeys(lead for piece in pieces for lead in piece.leads))
    if not leads:
        raise no_lead(where, notes)
    per_frame = max(samples.per_frame for piece in pieces for samples in piece.leads.values())
    rate, n_samples = given_rate or frame_rate * per_frame, sum(piece.frames for piece in pieces) * per_frame
    check_duration(n_samples, rate, where)
    signal = np.full((len(leads), n_samples), np.nan, np.float32)
    start = 0
    for piece in pieces:
        stop = start + piece.frames * per_frame
        for lead, (n, values) in piece.leads.items():
            if n != per_frame:  # a lead stored at a lower rate than its neighbours
                values = np.interp(np.arange(stop - start) * (n / per_frame), np.arange(values.size), values)
            signal[leads.index(lead), start:stop] = values
        start = stop
    return signal, leads, rate


def _read_signals(header: Header, notes: list[str]) -> dict[str, _Samples]:
    """The ECG leads of one segment; adds to `notes` what was left out or assumed."""
    notes += header.notes
    lead_rows, scale = _choose_signals(header, notes)
    digital: dict[int, np.ndarray] = {}
    for file in dict.fromkeys(header.signals[i].file for i in lead_rows.values()):
        rows = [i for i, s in enumerate(header.signals) if s.file == file]
        digital |= zip(rows, _read_file(header, [header.signals[i] for i in rows]), strict=True)
    leads = {}
    for lead, i in lead_rows.items():
        millivolts = (digital[i] - header.signals[i].baseline) * scale[lead]
        leads[lead] = _Samples(header.signals[i].per_frame, millivolts.astype(np.float32))
    return leads


def _choose_signals(header: Header, notes: list[str]) -> tuple[dict[str, int], dict[str, float]]:
    """Which row of a segment is which ECG lead, and mV per converter unit by lead; adds to `notes`."""
    rows: dict[str, int] = {}
    scale: dict[str, float] = {}
    for i, signal in enumerate(header.signals):
        lead, note = standard_lead(signal.name)
        if lead is None:
            notes.append(f"left out {signal.name[:40]}: not one of the twelve leads")
        elif signal.file == "~":
            continue
        elif (millivolts := millivolts_per(signal.unit or "mV")) is None:
            notes.append(f"left out {signal.name}: its unit {signal.unit} is not a voltage")
        elif lead in rows:
            notes.append(f"left out {signal.name}: lead {lead} is there already")
        else:
            rows[lead], scale[lead] = i, millivolts / signal.gain
            notes += [note] if note else []
            if signal.unit is None:
                notes.append("mV where the header gives no unit, as the standard says")
    return rows, scale


def _read_file(header: Header, signals: list[Signal]) -> list[np.ndarray]:
    """All signals of one file: float64 (frames * samples per frame,) each, in converter units, NaN = missing."""
    path = path_beside(header.path, signals[0].file)
    length = _checked_length(header, signals, path)
    frame = sum(s.per_frame for s in signals)
    if signals[0].format == "16" and frame == len(signals) and not any(s.skew for s in signals):
        raw = np.fromfile(path, "<i2", count=length * frame, offset=signals[0].offset).reshape(length, frame)
        digital = raw.T.astype(np.float64)
        digital[raw.T == _MISSING] = np.nan
        return list(digital)
    return _read_by_wfdb(header, signals, path, length)


def _checked_length(header: Header, signals: list[Signal], path: str) -> int:
    """How many frames of a file to read. Raises EcgclipError where the header promises more than the file can hold."""
    kind, offset = signals[0].format, signals[0].offset
    frame = sum(s.per_frame for s in signals)
    if any(s.format != kind or s.offset != offset for s in signals):
        raise EcgclipError(f"{header.path}: the signals in {signals[0].file} differ in format or offset")
    if kind not in _BYTES_PER_SAMPLE and kind not in _FLAC:
        raise EcgclipError(f"{header.path}: signal format {kind} is unknown")
    if frame > _MAX_FRAME or max(s.skew for s in signals) > _MAX_SKEW:
        raise EcgclipError(f"{header.path}: samples per frame or skew make no sense")
    size = os.path.getsize(path)
    if kind in _FLAC:
        stored = size * _FLAC_SAMPLES_PER_BYTE // frame
        if not header.length:
            raise EcgclipError(f"{header.path}: gives no number of samples, which a FLAC signal file needs")
    else:
        stored = int(max(size - offset, 0) / _BYTES_PER_SAMPLE[kind] + 1e-6) // frame
    length = header.length or stored
    if stored < length or not stored:
        raise EcgclipError(
            f"{header.path}: its file {signals[0].file} is truncated: {length} samples promised, {stored} there"
        )
    return length


def _read_by_wfdb(header: Header, signals: list[Signal], path: str, length: int) -> list[np.ndarray]:
    """As `_read_file`, by way of a header that we write ourselves: wfdb never sees the original one."""
    import wfdb

    with tempfile.TemporaryDirectory() as folder:
        try:
            os.symlink(os.path.realpath(path), os.path.join(folder, "r.dat"))
        except OSError:  # on Windows, only administrators may make links
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
