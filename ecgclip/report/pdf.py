"""A report as pages of a PDF: the ECG true to scale, and what the HTML says, as text.

page of HTML ──parser──▶ blocks (headings, paragraphs, tables) ──▶ lines with columns ──▶ pages of A4 on its side
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from ecgclip.plot.page import A4, GREY, INK, Page, own_settings

LEFT, TOP, BOTTOM = 10, 12, 12  # mm of margin
SIZE, LINE, CHARACTER = 7, 3.3, 1.42  # points; mm of a line and, at most, of a usual character
WIDTH = int((A4[0] - 2 * LEFT) / CHARACTER)  # characters of a line
GAP = 3  # characters between columns
SIZES = {"h1": 11, "h2": 11, "h3": 9, "h4": 8}  # points
BOLD = {*SIZES, "head"}
KEPT = 5  # lines that must follow a heading on its page
BLOCKS = {*SIZES, "p", "li", "caption", "dt"}
SKIPPED = {"head", "svg", "figure", "nav"}


@dataclass
class Block:
    """What stands in lines of its own: the name of its element, or head, and its cells; a paragraph has one."""

    name: str
    cells: list[str] = field(default_factory=list)
    table: int = 0  # its number; the rows of one table share their columns


def text_pages(html: str, foot: str) -> Iterator[Page]:
    """Pages with the text of a page of HTML, without its pictures; `foot` stands under each with its number."""
    blocks = _Blocks(html).found
    columns = {table: _columns([b.cells for b in blocks if b.table == table]) for table in {b.table for b in blocks}}
    number, page, y = 0, None, 0.0
    for block in blocks:
        lines = _lines(block, columns[block.table])
        room = len(lines) + (KEPT if block.name in (*SIZES, "caption") else 0)
        if page is None or y - room * LINE < BOTTOM:
            if page is not None:
                yield page
            number, page, y = number + 1, Page(*A4), A4[1] - TOP
            with own_settings():
                page.text(LEFT, BOTTOM - 2 * LINE, f"{foot}   {number + 1}", SIZE, GREY)
        y = _write(page, block, lines, columns[block.table], y)
    if page is not None:
        yield page


def _write(page: Page, block: Block, lines: Sequence[Sequence[str]], columns: Sequence[int], y: float) -> float:
    """Write the lines of a block below y, mm; returns how far down they reach."""
    size = SIZES.get(block.name, SIZE)
    y -= LINE * (0.7 if block.name in (*SIZES, "caption") else 0)
    starts = [sum(columns[:i]) + GAP * i for i in range(len(columns))]
    for line in lines:
        y -= LINE * size / SIZE
        for start, text in zip(starts, line, strict=False):
            if text:
                color = GREY if block.name == "caption" else INK
                page.text(LEFT + start * CHARACTER, y, text, size, color, bold=block.name in BOLD)
    return y


def _lines(block: Block, columns: Sequence[int]) -> list[list[str]]:
    """The lines of a block, each with a text for every column."""
    if not block.table:
        columns = [WIDTH * SIZE // SIZES.get(block.name, SIZE)]
    cells = [textwrap.wrap(cell, width) for cell, width in zip(block.cells, columns, strict=False)]
    height = max((len(cell) for cell in cells), default=0)
    return [[cell[i] if i < len(cell) else "" for cell in cells] for i in range(height)]


def _columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """How many characters wide each column of a table is: as its text, but the widest ones no more than fits."""
    count = max(len(row) for row in rows)
    natural = [max((len(row[i]) for row in rows if i < len(row)), default=0) + 1 for i in range(count)]
    most = max(natural)
    while sum(min(width, most) for width in natural) + GAP * (count - 1) > WIDTH and most > 1:
        most -= 1
    return [min(width, most) for width in natural]


class _Blocks(HTMLParser):
    """The blocks of a page of HTML as `html` writes it."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[Block] = []
        self._skipped = 0  # depth of elements that are left out
        self._tables = self._table = 0
        self._head = False
        self._items: int | None = None  # of a numbered list, so far
        self.feed(html)
        self.close()

    def handle_starttag(self, name: str, attrs: object) -> None:
        self._skipped += name in SKIPPED
        if self._skipped:
            return
        self._tables += name == "table"
        if name in ("thead", "tbody"):
            self._table, self._head = self._tables, name == "thead"
        elif name in ("ul", "ol"):
            self._items = 0 if name == "ol" else None
        elif name == "tr":
            self.found.append(Block("head" if self._head else name, [], self._table))
        elif name in ("td", "th"):
            self.found[-1].cells.append("")
        elif name == "dd":
            self.found[-1].cells[-1] += ": "
        elif name in BLOCKS:
            self.found.append(Block(name, [self._marker() if name == "li" else ""]))

    def _marker(self) -> str:
        if self._items is None:
            return "• "
        self._items += 1
        return f"[{self._items}] "

    def handle_endtag(self, name: str) -> None:
        self._skipped -= name in SKIPPED
        if name == "table":
            self._table = 0

    def handle_data(self, data: str) -> None:
        if not self._skipped and self.found:
            self.found[-1].cells[-1] += data
