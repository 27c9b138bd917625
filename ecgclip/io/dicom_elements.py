"""The elements of a DICOM file: explicit or implicit VR, either byte order, with or without preamble and meta elements.

A waveform file is a few thousand small elements, so each is visited once, and a sequence of known length only when it
is asked for. Nothing is copied before that, and nothing is decompressed.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from dataclasses import dataclass
from functools import cached_property

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File

LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
VR = re.compile(rb"[A-Z]{2}")
ITEM, END_OF_ITEM, END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF  # length of what ends with a delimiter
MAX_DEPTH = 16  # sequences within each other; a waveform has four
CHARACTER_SET, TRANSFER_SYNTAX = 0x00080005, 0x00020010
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
UNPACK = {order: [struct.Struct(order + kind).unpack_from for kind in ("HH", "H", "I")] for order in "<>"}
# Character sets: what follows "ISO_IR" or "ISO 2022 IR" → Python's name of it
CODECS = {"6": "latin_1", "100": "latin_1", "13": "shift_jis", "166": "tis_620", "192": "utf_8", "149": "euc_kr"}
CODECS |= {"58": "gb2312", "87": "iso2022_jp_2", "159": "iso2022_jp_2", "203": "iso8859_15"}
CODECS |= {str(ir): f"iso8859_{part}" for part, ir in enumerate((101, 109, 110, 144, 127, 126, 138, 148), 2)}


Elements = dict[int, "tuple[int, int] | list[Item]"]  # tag → where its value is; or the items of a sequence


@dataclass(frozen=True)
class Coding:
    """How elements are written: `order` is "<" or ">" as in struct."""

    explicit: bool
    order: str


@dataclass(frozen=True, eq=False)
class Item:
    """A data set, or an item of a sequence.

    Attributes
    ----------
    file : File
    coding : Coding
    begin, stop : int
        Bytes of the file; not used where `parsed` is given.
    codec : str
        Of its text.
    parsed : dict, optional
        Its elements, where they are known already.
    """

    file: File
    coding: Coding
    begin: int
    stop: int
    codec: str = "latin_1"
    parsed: Elements | None = None

    @cached_property
    def elements(self) -> Elements:
        """Tag → where its value is; or the items of a sequence of undefined length."""
        return self.parsed if self.parsed is not None else _elements(self, self.begin, self.stop, 0)[0]

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements

    def raw(self, tag: int) -> bytes:
        """The value as bytes; empty where the element is not there."""
        where = self.elements.get(tag)
        return self.file.data[where[0] : where[1]] if isinstance(where, tuple) else b""

    def size(self, tag: int) -> int:
        """Bytes of the value that are there."""
        where = self.elements.get(tag)
        return where[1] - where[0] if isinstance(where, tuple) else 0

    def text(self, tag: int) -> str:
        """Text on one line, without the NULs and blanks that fill it up."""
        value = self.raw(tag)
        if self.codec in ("euc_kr", "gb2312"):
            value = re.sub(rb"\x1b\$?[()*-]?[A-Z]", b"", value)
        return " ".join(value.decode(self.codec, "replace").replace("\0", " ").split())

    def number(self, tag: int) -> float | None:
        """The first of a decimal string's numbers, if it is finite."""
        try:
            number = float(self.raw(tag)[:64].split(b"\\")[0].strip(b"\0 "))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def count(self, tag: int) -> int | None:
        """A whole number of two or four bytes."""
        value = self.raw(tag)
        return int.from_bytes(value, "little" if self.coding.order == "<" else "big") if len(value) in (2, 4) else None

    def items(self, tag: int) -> list[Item]:
        """The items of a sequence; none where it is not there."""
        where = self.elements.get(tag)
        if isinstance(where, tuple):
            return _items(self, *where, 0)[0]
        return where or []


def data_set(file: File) -> Item:
    """The data set of a DICOM file.

    Raises
    ------
    EcgclipError
        It is deflated, or nested too deeply.
    """
    data = file.data
    meta, begin = _meta(file, 132 if data[128:132] == b"DICM" else 0)
    syntax = meta.text(TRANSFER_SYNTAX)
    if syntax == DEFLATED:  # which a small file could make as large as it likes
        raise EcgclipError(f"{file.name}: a deflated DICOM file is not read; store it as Explicit VR Little Endian")
    explicit = bool(VR.fullmatch(data[begin + 4 : begin + 6]))  # whatever the syntax says
    coding = Coding(explicit, ">" if syntax == BIG_ENDIAN else "<")
    whole = Item(file, coding, begin, len(data))
    codec = _codec(whole.text(CHARACTER_SET))
    return whole if codec == whole.codec else Item(file, coding, begin, len(data), codec)


def _codec(names: str) -> str:
    """Python's name of a character set; of several, the first that is not Latin-1."""
    known = {**CODECS, "gb18030": "gb18030", "gbk": "gbk"}
    numbers = [re.sub(r"^iso(_ir| 2022 ir) ?", "", name.strip().lower()) for name in names.split("\\")]
    return next((known[n] for n in numbers if known.get(n, "latin_1") != "latin_1"), "latin_1")


def _meta(file: File, at: int) -> tuple[Item, int]:
    """The elements of group 2, always explicit and little endian, and where the data set begins."""
    coding = Coding(True, "<")
    found: Elements = {}
    while header := _header(file.data, at, len(file.data), coding):
        tag, begin, end = header
        if tag >> 16 != 2 or end is None:
            break
        found[tag], at = (begin, end), end
    return Item(file, coding, 0, 0, parsed=found), at


def _header(data: bytes | mmap.mmap, at: int, stop: int, coding: Coding) -> tuple[int, int, int | None] | None:
    """Tag, begin of the value and its end, None where that is undefined; None where there is no element at `at`."""
    if at + 8 > stop:
        return None
    words, short, long = UNPACK[coding.order]
    group, element = words(data, at)
    if not group:
        return None  # group 0 is never in a file: zeros that fill it up
    kind = data[at + 4 : at + 6]
    begin = at + 8
    if not coding.explicit or group == 0xFFFE or not VR.fullmatch(kind):  # some writers are implicit in sequences
        (length,) = long(data, at + 4)
    elif kind not in LONG:
        (length,) = short(data, at + 6)
    elif at + 12 <= stop:
        begin = at + 12
        (length,) = long(data, at + 8)
    else:
        return None
    return group << 16 | element, begin, None if length == UNDEFINED else min(begin + length, stop)


def _elements(item: Item, at: int, stop: int, depth: int) -> tuple[Elements, int]:
    """The elements from byte `at` to `stop` or the end of the item, and where they end."""
    if depth > MAX_DEPTH:
        raise EcgclipError(f"{item.file.name}: damaged: more than {MAX_DEPTH} DICOM sequences within each other")
    found: Elements = {}
    while header := _header(item.file.data, at, stop, item.coding):
        tag, begin, end = header
        if tag == END_OF_ITEM:
            return found, begin
        if end is None:
            found[tag], at = _items(item, begin, stop, depth + 1)
        else:
            found[tag], at = (begin, end), end
    return found, at


def _items(item: Item, at: int, stop: int, depth: int) -> tuple[list[Item], int]:
    """The items of a sequence from byte `at` on, and where it ends."""
    found: list[Item] = []
    while header := _header(item.file.data, at, stop, item.coding):
        tag, begin, end = header
        if tag != ITEM:
            return found, begin if tag == END_OF_SEQUENCE else stop
        elements = None
        if end is None:
            elements, end = _elements(item, begin, stop, depth)
        found.append(Item(item.file, item.coding, begin, end, item.codec, elements))
        at = end
    return found, at
