"""The Huffman code of SCP-ECG that files need not carry, decoded with NumPy.

A code begins with up to ten ones. After k of them, 0 to 8, come a zero and (k > 0) a sign bit: the value is k or -k.
After nine, a zero and 8 bits, after ten 16 bits: the value itself. So the ten bits at any place tell how long a code
that begins there is. Where codes do begin is a chain of jumps from the first bit; it is followed eight codes at a
time, and the codes between are found for all of these at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PREFIX = 10  # bits of the longest prefix
BYTE, WORD = 0b1111111110, 0b1111111111  # prefixes of a value of 8 and of 16 bits
DOUBLINGS = 3  # 2**3 codes at a time
LONGEST = 26  # bits of a code
MARGIN = 4  # bytes behind the end that the last code may reach into


def _table() -> tuple[np.ndarray, np.ndarray]:
    """For each ten bits: how many bits the code takes that they begin with, and its value (0 for BYTE and WORD)."""
    bits = np.arange(1 << PREFIX)
    ones = np.array([bits >> (PREFIX - k) == (1 << k) - 1 for k in range(1, PREFIX + 1)]).sum(0)
    negative = bits >> np.maximum(PREFIX - 2 - ones, 0) & 1
    length = np.select([ones == 0, ones < 9, ones == 9], [1, ones + 2, 18], LONGEST).astype(np.intp)
    return length, np.where(ones < 9, np.where(negative, -ones, ones), 0).astype(np.int32)


LENGTH, VALUE = _table()


def decode(leads: Sequence[bytes], counts: Sequence[int]) -> list[np.ndarray]:
    """Decode leads.

    Parameters
    ----------
    leads : sequence of bytes
        Codes, from the highest bit of the first byte on.
    counts : sequence of int
        How many values each has at most; what is behind them fills up the last bytes.

    Returns
    -------
    list of int32 (values,)
        As many as its count says, or fewer where the data end before.
    """
    bits = 8 * (max(map(len, leads), default=0) + MARGIN)
    # one piece of memory for all leads: to get it from the system takes as long as to decode
    work = np.empty((DOUBLINGS + 3, bits), np.intp)
    work[0] = np.arange(bits)
    return [_lead(data, count, work[:, : 8 * (len(data) + MARGIN)]) for data, count in zip(leads, counts, strict=True)]


def _lead(data: bytes, count: int, work: np.ndarray) -> np.ndarray:
    """The values of one lead; `work` is memory, its first row numbers the bits."""
    number, window, *jumps = work
    _windows(data, window)
    LENGTH.take(window, out=jumps[0], mode="clip")
    jumps[0] += number
    np.minimum(jumps[0][-LONGEST:], len(number) - 1, out=jumps[0][-LONGEST:])
    for once, twice in zip(jumps, jumps[1:], strict=False):
        once.take(once, out=twice, mode="clip")
    places = _chain(jumps, min(count, 8 * len(data)))
    if len(places) and jumps[0][places[-1]] > 8 * len(data):
        places = places[: np.searchsorted(jumps[0].take(places), 8 * len(data), "right")]
    prefix = window.take(places)
    values = VALUE.take(prefix)
    (at,) = (prefix >= BYTE).nonzero()
    values[at] = _signed(window, places[at] + PREFIX, prefix[at] == WORD)
    return values


def _windows(data: bytes, out: np.ndarray) -> None:
    """Write the ten bits that begin at each bit; behind the end, all are 0."""
    padded = np.zeros(len(data) + MARGIN + 2, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    one = np.unpackbits(padded)
    two = one[:-1] << 1 | one[1:]
    four = two[:-2] << 2 | two[2:]
    eight = four[:-4] << 4 | four[4:]
    out[:] = eight[: len(out)].astype(np.uint16) << 2 | two[8 : 8 + len(out)]


def _chain(jumps: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Where the first `count` codes begin; `jumps[k]` leads from a code over 2**k of them."""
    places = np.empty(-(-count >> DOUBLINGS), np.intp)
    far, found, place = jumps[-1].data, places.data, 0  # one by one, these are faster than arrays
    for i in range(len(places)):
        found[i] = place
        place = far[place]
    for over in reversed(jumps[:-1]):
        pairs = np.empty((len(places), 2), np.intp)
        pairs[:, 0] = places
        pairs[:, 1] = over.take(places)
        places = pairs.ravel()
    return places[:count]


def _signed(window: np.ndarray, places: np.ndarray, long: np.ndarray) -> np.ndarray:
    """The numbers in two's complement that begin at `places`: of 16 bits where `long`, else of 8."""
    high = window.take(places) >> (PREFIX - 8)
    high -= high >> 7 << 8
    if long.any():
        return np.where(long, high << 8 | window.take(places + 8) >> (PREFIX - 8), high)
    return high
