"""SCP-ECG (EN 1064, ISO 11073-91064): the rhythm of section 6, with or without the Huffman code of the standard.

A file is a list of sections; each has a checksum, a number and a length before its content. Numbers are little-endian.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass
from struct import unpack_from

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.recording import Channel, Recording
from ecgclip.io.scp_huffman import decode
from ecgclip.io.scp_metadata import metadata_of

HEADER = 16  # bytes before the content of a section
SECTIONS = {
    1: "patient",
    2: "Huffman tables",
    3: "leads",
    5: "reference beat",
    6: "rhythm",
    7: "measurements",
    8: "statements",
}
NEEDED = (2, 3, 6)  # what the samples depend on; 2 may lack
MAX_POINTERS = 1024  # sections that a file may have
DEFAULT_TABLE = 19999  # in place of a number of Huffman tables
RIGHT = tuple(f"V{i}R" for i in range(2, 8))
LEADS = dict(enumerate(("I", "II", *(f"V{i}" for i in range(1, 8)), *RIGHT, "X", "Y", "Z", "CC5", "CM5"), 1))
LEADS |= dict(enumerate(("III", "aVR", "aVL", "aVF", "-aVR", "V8", "V9", "V8R", "V9R", "D", "A", "J"), 61))
OTHERWISE = "export it again uncompressed, or in another format"


@dataclass(frozen=True)
class _Lead:
    """A row of section 3: where in the recording its samples lie (first counts from 0), and the code of its name."""

    first: int
    count: int
    name: str | None


def read_scp(file: File) -> Recording:
    """Read an SCP-ECG file.

    Returns
    -------
    Recording
        Channels in nV. A lead that begins later than others has NaN before.

    Raises
    ------
    EcgclipError
        The file is cut off or damaged, or its rhythm is compressed in a way that is not read here.
    """
    notes: list[str] = []
    sections = _sections(file, notes)
    for number in (3, 6):
        if number not in sections:
            raise EcgclipError(f"{file.name}: has no section {number} ({SECTIONS[number]}), so no rhythm to read")
    leads = _leads(file, sections[3])
    channels = _rhythm(file, sections, leads, notes)
    return Recording(channels, metadata_of(sections), tuple(notes))


# ---------------------------------------------------------------------------------------------------------------------
# Sections


def _sections(file: File, notes: list[str]) -> dict[int, bytes]:
    """The contents of the sections that are read, by number."""
    contents: dict[int, bytes] = {}
    for number, length, begin in _pointers(file):
        if number not in SECTIONS or number in contents or not length:
            continue
        section = file.data[begin : begin + length] if begin >= 0 else b""
        problem = _problem(section, number, length, begin, len(file))
        if problem and number in NEEDED:
            raise EcgclipError(f"{file.name}: {problem}")
        if problem:
            notes.append(f"left out section {number} ({SECTIONS[number]}): {problem}")
            continue
        checksum = int.from_bytes(section[:2], "little")
        if checksum and checksum != crc_hqx(section[2:], 0xFFFF):  # 0: not computed
            notes.append(f"the checksum of section {number} ({SECTIONS[number]}) is wrong: it may be damaged")
        contents[number] = section[HEADER:]
    return contents


def _pointers(file: File) -> list[tuple[int, int, int]]:
    """Of each section that section 0 lists: its number, its length and where it begins, both in bytes."""
    end = 6 + int.from_bytes(file.data[10:14], "little")
    if not 6 + HEADER + 10 <= end <= len(file):
        raise EcgclipError(f"{file.name}: cut off or damaged: the list of its sections ends at byte {end}")
    count = min((end - 6 - HEADER) // 10, MAX_POINTERS)
    rows = [unpack_from("<HII", file.data, 6 + HEADER + 10 * i) for i in range(count)]
    return [(number, length, place - 1) for number, length, place in rows]


def _problem(section: bytes, number: int, length: int, begin: int, size: int) -> str | None:
    """What is wrong with a section, if anything."""
    if begin >= 0 and begin + length > size:
        return f"cut off: section {number} ({SECTIONS[number]}) ends at byte {begin + length}, the file at {size}"
    if begin < 0 or length < HEADER or int.from_bytes(section[2:4], "little") != number:
        return f"damaged: section {number} ({SECTIONS[number]}) is not at byte {begin}, where it should be"
    return None


def _leads(file: File, section: bytes) -> list[_Lead]:
    """The leads of section 3."""
    count = section[0] if section else 0
    if not count or 2 + 9 * count > len(section):
        raise EcgclipError(f"{file.name}: damaged: section 3 promises {count} leads and has {len(section)} bytes")
    rows = [unpack_from("<IIB", section, 2 + 9 * i) for i in range(count)]
    origin = min(first for first, _, _ in rows)
    return [
        _Lead(first - origin, max(last - first + 1, 0), LEADS.get(code, f"SCP lead {code}") if code else None)
        for first, last, code in rows
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def _rhythm(file: File, sections: dict[int, bytes], leads: Sequence[_Lead], notes: list[str]) -> list[Channel]:
    """The channels of section 6."""
    section, begin = sections[6], 6 + 2 * len(leads)
    lengths = unpack_from(f"<{len(leads)}H", section, 6) if len(section) >= begin else (len(section),)
    if begin + sum(lengths) > len(section):
        raise EcgclipError(f"{file.name}: damaged: section 6 (rhythm) is too short for its {len(leads)} leads")
    nanovolts, interval, encoding = unpack_from("<HHB", section)
    if encoding > 2:
        raise EcgclipError(f"{file.name}: damaged: section 6 (rhythm) has the encoding {encoding}, not 0, 1 or 2")
    ends = begin + np.cumsum(lengths)
    stored = [section[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]
    # samples of 16 bits, all of them, are just that, whatever else is said of how they are compressed
    if lengths == tuple(2 * lead.count for lead in leads) or not _is_coded(file, sections):
        values = [np.frombuffer(data[: len(data) // 2 * 2], "<i2") for data in stored]
    else:
        values = decode(stored, [lead.count for lead in leads])
    samples = [_undo_differences(v[: lead.count], encoding) for v, lead in zip(values, leads, strict=True)]
    short = [f"{len(s)} of {lead.count}" for s, lead in zip(samples, leads, strict=True) if len(s) < lead.count]
    if short:
        notes.append(f"{len(short)} leads have fewer samples than promised, such as {short[0]}")
    unit, rate = "nV" if nanovolts else None, _rate(interval)
    placed = _placed(file, samples, leads)
    return [
        Channel(s * np.float32(nanovolts or 1), lead.name, unit, rate) for s, lead in zip(placed, leads, strict=True)
    ]


def _is_coded(file: File, sections: dict[int, bytes]) -> bool:
    """Whether the samples are Huffman coded. Raises EcgclipError for what is not read here."""
    if sections[6][5]:
        raise EcgclipError(f"{file.name}: SCP-ECG with bimodal compression is not read here; {OTHERWISE}")
    if sections[3][1] & 1 and 5 in sections:
        raise EcgclipError(f"{file.name}: SCP-ECG with subtracted reference beats is not read here; {OTHERWISE}")
    tables = int.from_bytes(sections.get(2, b"")[:2], "little")
    if tables not in (0, DEFAULT_TABLE):
        raise EcgclipError(f"{file.name}: SCP-ECG with Huffman tables of its own is not read here; {OTHERWISE}")
    return tables == DEFAULT_TABLE


def _undo_differences(values: np.ndarray, order: int) -> np.ndarray:
    """The samples, float32, of what is left of them after differences were taken `order` times: 0, 1 or 2."""
    if not order:
        return values.astype(np.float32)
    sums = values.astype(np.int64)
    if order == 2:  # the first two samples stand as they are
        sums[1:2] -= sums[:1]
        np.cumsum(sums[1:], out=sums[1:])
    return np.cumsum(sums).astype(np.float32)


def _placed(file: File, samples: Sequence[np.ndarray], leads: Sequence[_Lead]) -> list[np.ndarray]:
    """Samples with NaN before, where a lead begins after the first."""
    total = sum(map(len, samples))
    for lead in leads:
        if lead.first > total:  # leads may follow one another, but not after longer than all last
            raise EcgclipError(f"{file.name}: damaged: lead {lead.name} begins at sample {lead.first} of {total}")
    return [
        np.concatenate([np.full(lead.first, np.nan, np.float32), s]) if lead.first else s
        for s, lead in zip(samples, leads, strict=True)
    ]


def _rate(interval: int) -> float | None:
    """Hz, for a time between samples in whole µs: the whole number that it stands for (1667 µs: 600 Hz), if one."""
    if not interval:
        return None
    whole = round(1e6 / interval)
    return float(whole) if round(1e6 / max(whole, 1)) == interval else 1e6 / interval
