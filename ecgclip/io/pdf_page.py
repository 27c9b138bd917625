"""What is drawn on a page of a PDF: polylines and words, in points, upright.

pdfium parses the page. What it would inflate, and how many points are fetched, are bounded before.
"""

from __future__ import annotations

import ctypes
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File

MAX_PAGES = 5  # that are looked at
MAX_BYTES = 256 << 20  # the file is copied
MAX_INFLATED = 64 << 20  # bytes of all compressed streams; a printout has a few MB
MAX_POINTS = 400_000  # on a page
MAX_OBJECTS = 100_000
MAX_CHARACTERS = 50_000
MAX_DEPTH = 6  # forms within each other
CURVE_TO, MOVE_TO = 1, 2
RULED = 5 * 72 / 25.4  # points, of a line of a grid
MIN_ARRAY = 16  # segments
SEGMENT = np.dtype([("x", "<f4"), ("y", "<f4"), ("kind", "u1"), ("closes", "u1"), ("unused", "<u2")])


@dataclass(frozen=True)
class Word:
    """Text without a blank; its baseline begins at `x`, `y`; `run` goes to its last character, before any turn."""

    text: str
    x: float
    y: float
    run: tuple[float, float]


@dataclass(frozen=True)
class Page:
    """A page, turned so that most words run to the right.

    Attributes
    ----------
    number, of : int
        From 1.
    lines : list of float (points, 2)
        Polylines, in points; y grows upwards.
    ruled : float (lines, 2, 2)
        Begins and ends of the lines of a grid or a frame.
    words : list of Word
    text : str
        Of the whole page.
    pictures : int
    """

    number: int
    of: int
    lines: list[np.ndarray]
    ruled: np.ndarray
    words: list[Word]
    text: str
    pictures: int


def pages(file: File) -> Iterator[Page]:
    """The first pages of a PDF.

    Raises
    ------
    EcgclipError
        The file is damaged or locked by a password, or there is more in it than a printout has.
    """
    import pypdfium2

    _check_size(file)
    try:
        document = pypdfium2.PdfDocument(bytes(file.data[:]))
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        why = "is locked by a password" if locked else "a damaged PDF file"
        raise EcgclipError(f"{file.name}: {why}") from None
    try:
        for number in range(min(len(document), MAX_PAGES)):
            try:
                page = document[number]
                drawn = _page(file, page, number + 1, len(document))
                page.close()
            except pypdfium2.PdfiumError:
                continue  # a damaged page
            yield drawn
    finally:
        document.close()


def _check_size(file: File) -> None:
    """Refuse a file that is far too large, or whose streams are far larger than they look."""
    if len(file) > MAX_BYTES:
        raise EcgclipError(f"{file.name}: a PDF file of {len(file) >> 20} MiB; no printout of an ECG has more than 256")
    if old := re.search(rb"/(LZW|RunLength)Decode", file.data):  # no program prints so any more
        raise EcgclipError(f"{file.name}: a PDF with {old[1].decode()} streams is not read; print it anew")
    left = MAX_INFLATED
    for found in re.finditer(rb"(?<!end)stream\r?\n?", file.data):
        at = found.end()
        head = file.data[at : at + 2]
        if len(head) < 2 or head[0] & 15 != 8 or int.from_bytes(head, "big") % 31:
            continue  # not deflated
        inflate, first = zlib.decompressobj(), True
        try:
            while not inflate.eof and at < len(file) and left >= 0:
                piece, at = file.data[at : at + (1 << 14)], at + (1 << 14)
                while piece and left >= 0 and not inflate.eof:
                    out = inflate.decompress(piece, 1 << 20)
                    if first and len(out) > 1 and out[0] & 15 == 8 and int.from_bytes(out[:2], "big") % 31 == 0:
                        raise EcgclipError(f"{file.name}: a PDF stream is compressed twice, which no printout needs")
                    first, left, piece = False, left - len(out), inflate.unconsumed_tail
        except zlib.error:
            continue
    if left < 0:
        raise EcgclipError(
            f"{file.name}: its streams inflate to more than {MAX_INFLATED >> 20} MiB, so it is no vector printout"
        )


def _page(file: File, page: Any, number: int, of: int) -> Page:
    points, starts, pictures = _drawn(file, page)
    text, words = _words(page)
    turn = _turn(words, page.get_rotation())
    lines, ruled = _polylines(points @ turn, starts)
    places = np.array([(w.x, w.y) for w in words]).reshape(-1, 2) @ turn
    words = [Word(w.text, float(x), float(y), w.run) for w, (x, y) in zip(words, places, strict=True)]
    return Page(number, of, lines, ruled, words, text, pictures)


def _turn(words: list[Word], rotation: int) -> np.ndarray:
    """The rotation, (2, 2), by quarters of a turn, that makes most words run to the right."""
    runs = np.array([w.run for w in words]).reshape(-1, 2)
    along = np.array([runs[:, 0].sum(), runs[:, 1].sum(), -runs[:, 0].sum(), -runs[:, 1].sum()])
    quarters = int(along.argmax()) if along.any() else rotation // 90 % 4
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    return np.array([[cos, -sin], [sin, cos]], float)


# ---------------------------------------------------------------------------------------------------------------------
# Paths


def _drawn(file: File, page: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Points of all paths of a page and its forms, float (points, 2); which begin a subpath, int; number of pictures.

    A subpath with a curve has its points set to NaN.
    """
    import pypdfium2.raw as pdfium

    segments: list[np.ndarray | list[tuple[float, float, int]]] = []
    matrices: list[tuple[float, ...]] = []
    pictures, points, objects = 0, 0, pdfium.FPDFPage_CountObjects(page.raw)
    for item, matrix in _objects(page, pdfium) if objects <= MAX_OBJECTS else ():
        objects += 1
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            count = pdfium.FPDFPath_CountSegments(item)
            points += max(count, 0)
            if count > 1 and points <= MAX_POINTS:
                segments.append(_segments(item, count, pdfium))
                matrices.append(matrix)
        pictures += kind == pdfium.FPDF_PAGEOBJ_IMAGE
        if objects > 2 * MAX_OBJECTS or points > MAX_POINTS:
            break
    if objects > MAX_OBJECTS or points > MAX_POINTS:
        raise EcgclipError(f"{file.name}: more is drawn on the page than an ECG needs: it is not read")
    if not segments:
        return np.empty((0, 2)), np.empty(0, int), pictures
    values = np.concatenate([np.asarray(piece, float) for piece in segments])
    a, b, c, d, e, f = np.repeat(np.array(matrices), [len(piece) for piece in segments], axis=0).T
    x, y, kinds = values.T
    placed = np.stack([a * x + c * y + e, b * x + d * y + f], 1)
    starts = np.flatnonzero(kinds == MOVE_TO)
    if not len(starts):
        return np.empty((0, 2)), starts, pictures
    placed[: starts[0]] = np.nan
    curved = np.maximum.reduceat(kinds == CURVE_TO, starts)
    placed[starts[0] :][np.repeat(curved, np.diff([*starts, len(kinds)]))] = np.nan
    return placed, starts, pictures


def _polylines(points: np.ndarray, starts: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Subpaths as polylines, and the lines of a grid: strokes along the page, over 5 mm, of whatever subpath."""
    bounds = np.append(starts, len(points))
    strokes = np.ones(max(len(points) - 1, 0), bool)
    strokes[starts[starts > 0] - 1] = False  # from the end of a subpath to the next
    extent = np.abs(np.diff(points, axis=0))
    ruled = np.flatnonzero(strokes & (extent.min(1) < 0.01) & (extent.max(1) > RULED))
    counts = np.diff(bounds)
    kept = (counts > 1) & ~np.isnan(points[starts, 0])
    kept &= (counts > 2) | ~np.isin(starts, ruled)
    lines = [points[a:b] for a, b in zip(bounds[:-1][kept], bounds[1:][kept], strict=True)]
    return lines, points[ruled[:, None] + [0, 1]]


def _objects(page: Any, pdfium: Any) -> Iterator[tuple[Any, tuple[float, ...]]]:
    """The objects of a page and, in their place, of its forms, with the matrix from their points to the page's."""
    own = pdfium.FS_MATRIX()
    waiting = [
        (pdfium.FPDFPage_GetObject(page.raw, i), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 0)
        for i in reversed(range(min(pdfium.FPDFPage_CountObjects(page.raw), MAX_OBJECTS + 1)))
    ]
    while waiting:
        item, (a, b, c, d, e, f), depth = waiting.pop()
        if not item:
            continue
        pdfium.FPDFPageObj_GetMatrix(item, own)
        matrix = (
            *(own.a * a + own.b * c, own.a * b + own.b * d, own.c * a + own.d * c, own.c * b + own.d * d),
            *(own.e * a + own.f * c + e, own.e * b + own.f * d + f),
        )
        if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_FORM:
            yield item, matrix
        elif depth < MAX_DEPTH and len(waiting) <= MAX_OBJECTS:
            count = min(max(pdfium.FPDFFormObj_CountObjects(item), 0), MAX_OBJECTS + 1)
            waiting += [(pdfium.FPDFFormObj_GetObject(item, i), matrix, depth + 1) for i in reversed(range(count))]


def _segments(item: Any, count: int, pdfium: Any) -> np.ndarray | list[tuple[float, float, int]]:
    """Point and kind of each segment of a path, (count, 3)."""
    x, y = ctypes.c_float(), ctypes.c_float()
    px, py = ctypes.byref(x), ctypes.byref(y)

    def segment(i: int) -> tuple[float, float, int]:
        at = pdfium.FPDFPath_GetPathSegment(item, i)
        pdfium.FPDFPathSegment_GetPoint(at, px, py)
        return x.value, y.value, pdfium.FPDFPathSegment_GetType(at)

    # A segment is a pointer into an array. Where it has the layout that we know, it is copied at once: asking for each
    # point takes 3 µs, longer than all the rest.
    if count >= MIN_ARRAY:
        first, last = (
            ctypes.cast(pdfium.FPDFPath_GetPathSegment(item, i), ctypes.c_void_p).value for i in (0, count - 1)
        )
        if first and last == first + (count - 1) * SEGMENT.itemsize:
            array = np.frombuffer(ctypes.string_at(first, count * SEGMENT.itemsize), SEGMENT)
            if all(array[i].tolist()[:3] == segment(i) for i in (0, 1, count // 2, count - 1)):
                return np.stack([array["x"], array["y"], array["kind"]], 1)
    return [segment(i) for i in range(count)]


# ---------------------------------------------------------------------------------------------------------------------
# Text


def _words(page: Any) -> tuple[str, list[Word]]:
    """The text of a page, and its words."""
    import pypdfium2.raw as pdfium

    text_page = page.get_textpage()
    try:
        count = min(text_page.count_chars(), MAX_CHARACTERS)
        x, y = ctypes.c_double(), ctypes.c_double()
        text, words, word = [], [], []
        for i in range(count):
            character = chr(pdfium.FPDFText_GetUnicode(text_page.raw, i))
            text.append(character)
            if not character.isspace() and character.isprintable():
                pdfium.FPDFText_GetCharOrigin(text_page.raw, i, ctypes.byref(x), ctypes.byref(y))
                word.append((character, x.value, y.value))
            elif word:
                words.append(_word(word))
                word = []
        return "".join(text), words + ([_word(word)] if word else [])
    finally:
        text_page.close()


def _word(characters: list[tuple[str, float, float]]) -> Word:
    (_, x, y), (_, last_x, last_y) = characters[0], characters[-1]
    return Word("".join(c for c, _, _ in characters), x, y, (last_x - x, last_y - y))
