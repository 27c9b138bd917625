"""A page in mm, drawn by matplotlib, and the file that pages are written to."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic

MM_PER_INCH = 25.4
DPI = 127  # of a PNG, five pixels a mm: every grid line falls on a pixel
A4 = (297, 210)
FORMATS = (".svg", ".pdf", ".png")
MAX_TEXT = 1000  # characters of a text that are looked at
INK, GREY = "black", "#707070"
# What else of the caller's settings would change a picture. Text stays text, and no sample is left out.
_SETTINGS: Any = {
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; who reads an SVG without it sees another of its kind
    **dict.fromkeys(("font.style", "font.variant", "font.stretch"), "normal"),
    **dict.fromkeys(("text.antialiased", "lines.antialiased", "patch.antialiased"), True),
    "svg.fonttype": "none",
    "svg.hashsalt": "ecgclip",
    "pdf.fonttype": 42,
    "path.simplify": False,
    "path.effects": [],
    "path.sketch": None,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "savefig.transparent": False,
    "figure.autolayout": False,
    "text.usetex": False,
}


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with these settings of matplotlib; the caller's are as before afterwards."""
    try:
        import matplotlib
    except ImportError:
        raise EcgclipError('plots need matplotlib: pip install "ecgclip[plot]"') from None
    with matplotlib.rc_context(_SETTINGS):
        yield


class Page:
    """A page of so many mm; x runs to the right, y upwards.

    What has a higher `order` lies above. `name` is the id of the element in an SVG. `clip` (x, y, width, height) is
    where it may be seen.
    """

    def __init__(self, width: float, height: float):
        try:  # the classes alone: pyplot belongs to the caller
            from matplotlib.figure import Figure
            from matplotlib.transforms import Affine2D
        except ImportError:
            raise EcgclipError('plots need matplotlib: pip install "ecgclip[plot]"') from None
        self.figure = Figure((width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI, facecolor="white")
        self.figure.set_layout_engine("none")
        self._mm = Affine2D().scale(1 / MM_PER_INCH) + self.figure.dpi_scale_trans

    def line(
        self,
        x: Any,
        y: Any,
        color: str = INK,
        width: float = 0.8,
        *,
        order: float = 3,
        name: str | None = None,
        clip: tuple[float, float, float, float] | None = None,
    ) -> None:
        """A line through points, broken where y is NaN; width in points."""
        from matplotlib.lines import Line2D
        from matplotlib.patches import Rectangle

        style: dict[str, Any] = {
            "color": color,
            "linewidth": width,
            "linestyle": "-",
            "marker": "None",
            "zorder": order,
        }
        line = Line2D(x, y, transform=self._mm, solid_joinstyle="round", **style)
        line.set_gid(name)
        self.figure.add_artist(line)
        if clip:
            line.set_clip_path(Rectangle(clip[:2], clip[2], clip[3], transform=self._mm))

    def fill(self, x: float, y: float, width: float, height: float, color: str, order: float, name: str = "") -> None:
        """A rectangle."""
        from matplotlib.patches import Rectangle

        box = Rectangle((x, y), width, height, transform=self._mm, facecolor=color, edgecolor="none", zorder=order)
        box.set_gid(name or None)
        self.figure.add_artist(box)

    def text(
        self, x: float, y: float, text: str, size: float, color: str = INK, *, bold: bool = False, align: str = "left"
    ) -> None:
        """One line of text as it is, without mathtext or TeX; size in points."""
        from matplotlib.text import Text

        style: dict[str, Any] = {"family": "sans-serif", "weight": "bold" if bold else "normal", "fontsize": size}
        style |= {"parse_math": False, "usetex": False, "color": color, "ha": align, "va": "baseline", "zorder": 5}
        self.figure.add_artist(Text(x, y, plain(text), transform=self._mm, **style))

    def grid(self, x: float, y: float, width: float, height: float, step: float, color: str, order: float) -> None:
        """The lines of a grid."""
        across, up = np.arange(0, width + step / 2, step), np.arange(0, height + step / 2, step)
        nan = np.full(len(across), np.nan)
        points = np.column_stack([across, across, nan]).ravel(), np.tile([0, height, np.nan], len(across))
        nan = np.full(len(up), np.nan)
        rows = np.tile([0, width, np.nan], len(up)), np.column_stack([up, up, nan]).ravel()
        one_pixel = 72 / DPI
        self.line(x + np.append(points[0], rows[0]), y + np.append(points[1], rows[1]), color, one_pixel, order=order)


def plain(text: str) -> str:
    """One line of what can be printed; characters that the font lacks become ?, as matplotlib would warn of each."""
    known = _characters()
    shown = (" " if c.isspace() else c if c.isprintable() and ord(c) in known else "?" for c in text[:MAX_TEXT])
    return "".join(shown).strip()


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """The characters of the font that comes with matplotlib."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import get_font

    return frozenset(get_font(os.path.join(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")).get_charmap())


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


@contextmanager
def pages_of(path: Path) -> Iterator[Callable[[Page], None]]:
    """Give a function that adds a page; the file appears at the end, if a page was added.

    Raises
    ------
    EcgclipError
        The path is no picture's or cannot be written, or a second page is added to what holds one.
    """
    check_path(path)
    content, count = io.BytesIO(), 0
    with _book(content, path.suffix.lower()) as write:

        def add(page: Page) -> None:
            nonlocal count
            if count and path.suffix.lower() != ".pdf":
                raise EcgclipError(f"{path}: a picture holds one page: let the name end in .pdf")
            count += 1
            write(page)

        yield add
    if count:
        try:
            write_atomic(path, content.getvalue())
        except OSError as error:
            raise EcgclipError(f"{path}: cannot be written ({error.strerror})") from None


def printed(pages: Iterable[Page], ending: str) -> bytes:
    """What a file with these pages holds; ending: of `FORMATS`. Only a PDF has more than one page."""
    content = io.BytesIO()
    with _book(content, ending) as write:
        for page in pages:
            write(page)
    return content.getvalue()


def check_path(path: Path) -> None:
    """Raise EcgclipError for a path that no picture can be written to."""
    if os.path.isdir(path):  # Path.is_dir raises for a name too long
        raise EcgclipError(f"{path}: is a folder: name a file in it that ends in .svg, .pdf or .png")
    if path.suffix.lower() not in FORMATS:
        raise EcgclipError(f"{path}: a picture is SVG, PDF or PNG: let the name end in .svg, .pdf or .png")


@contextmanager
def _book(content: io.BytesIO, ending: str) -> Iterator[Callable[[Page], None]]:
    """Give a function that prints a page into `content`, which is whole at the end."""
    book = None
    if ending == ".pdf":
        from matplotlib.backends.backend_pdf import PdfPages

        book = PdfPages(content, metadata={"Creator": "ecgclip", "Producer": "matplotlib", "CreationDate": None})

    def write(page: Page) -> None:
        with own_settings():
            _print(page, content if book is None else book, ending)

    yield write
    if book is not None and book.get_pagecount():
        with own_settings():
            book.close()  # which writes the fonts


def _print(page: Page, file: Any, ending: str) -> None:
    if ending == ".pdf":
        file.savefig(page.figure)
    elif ending == ".svg":
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        FigureCanvasSVG(page.figure).print_svg(file, metadata={"Creator": "ecgclip", "Date": None})
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(page.figure).print_png(file)
