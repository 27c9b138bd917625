"""XLI, the compression of Philips XML: LZW codes of ten bits, which stand for second differences of the counts.

A chunk for each channel: its size (4 bytes), 2 bytes, the first second difference (2 bytes), the codes. What they
unpack to is the high byte of each number and then the low byte of each: two counts, and then differences.
"""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import EcgclipError

CODE_BITS = 10
END_CODE = (1 << CODE_BITS) - 1
OFFSET = 64  # that a second difference is stored with
_BYTES = [bytes([byte]) for byte in range(256)]


def unpack_xli(data: bytes, names: list[str], samples: int | None, most: int, source: str) -> dict[str, np.ndarray]:
    """Counts by channel, int16 (samples,).

    Parameters
    ----------
    data : bytes
    names : list of str
        Of the channels, in the order of their chunks; further chunks are ignored.
    samples : int, optional
        How many a channel has, as far as the file says.
    most : int
        Samples that a channel may unpack to.
    source : str
        The file; messages begin with it.

    Raises
    ------
    EcgclipError
        The data are cut off, damaged, or unpack to more than `most` samples.
    """
    leads: dict[str, np.ndarray] = {}
    start = 0
    for name in names:
        where = f"{source}: lead {name[:40]}"
        size = int.from_bytes(data[start : start + 4], "little")
        first = int.from_bytes(data[start + 6 : start + 8], "little", signed=True)
        codes = data[start + 8 : start + 8 + size]
        if not codes or len(codes) < size:
            raise EcgclipError(f"{where} is cut off: {len(codes)} of its {size} bytes are there")
        unpacked, ended = _lzw(codes, 2 * most, where)
        if len(unpacked) % 2 or len(unpacked) < 4 or not (ended or len(unpacked) == 2 * (samples or 0)):
            raise EcgclipError(f"{where} is damaged: it unpacks to {len(unpacked)} bytes")
        leads[name] = _summed(unpacked, first)
        start += 8 + size
    if len({len(counts) for counts in leads.values()}) > 1:
        raise EcgclipError(f"{source}: the leads unpack to different lengths: the file is damaged")
    return leads


def _lzw(packed: bytes, most: int, where: str) -> tuple[bytes, bool]:
    """Undo LZW with codes of a fixed width; also whether the code for the end was there."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    rows = bits[: len(bits) // CODE_BITS * CODE_BITS].reshape(-1, CODE_BITS)
    codes: list[int] = (rows @ (1 << np.arange(CODE_BITS - 1, -1, -1, dtype=np.int16))).tolist()
    end = codes.index(END_CODE) if END_CODE in codes else len(codes)
    strings, parts, previous = list(_BYTES), [b""], b""
    full = END_CODE - len(strings) + 1  # codes; all but the first define a string, until there is no code left
    for code in codes[: min(end, full)]:
        if code < len(strings):
            string = strings[code]
        elif code == len(strings) and previous:
            string = previous + previous[:1]  # the string that this very code defines
        else:
            raise EcgclipError(f"{where} is damaged: no such code in its compression")
        if previous:
            strings.append(previous + string[:1])
        parts.append(string)
        previous = string
    parts += [strings[code] for code in codes[full:end]]
    if sum(map(len, parts)) > most:
        raise EcgclipError(f"{where} unpacks to more samples than the file says or can hold")
    return b"".join(parts), end < len(codes)


def _summed(unpacked: bytes, first: int) -> np.ndarray:
    """Counts, int16 (samples,), of two counts and second differences.

    The device counts in 16 bits and wraps around on the way. Here the sums are wider, and wrap once at the end.
    """
    half = len(unpacked) // 2
    high_low = np.frombuffer(unpacked, np.uint8).reshape(2, half)
    values = np.ascontiguousarray(high_low[::-1].T).view("<i2")[:, 0].astype(np.int64)
    steps = np.append(first, values[2:] - OFFSET)[: half - 2]
    counts = values.copy()
    counts[2:] = values[1] + np.cumsum(values[1] - values[0] - np.cumsum(steps))
    return counts.astype(np.int16)
