"""One ECG on its paper: the grid, calibration pulses, traces with their names, and marks. Lengths are mm."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ecgclip.plot.layout import LINE, Strip
from ecgclip.plot.marks import Beat, Marks
from ecgclip.plot.page import A4, GREY, INK, Page, shortened
from ecgclip.plot.signals import Signals

LEFT, RIGHT = 5, 5  # of the signals, and of the calibration pulse that stands on the left
PULSE = 0.2  # s
EDGE, FOOT = 5, 6  # beside and under each paper, below all
HEAD = (8, 4.5)  # above each paper: the title; another line
UP, DOWN = (10, 30), (5, 30)  # least and, at 10 mm/mV, most room above and below a baseline; more overlaps the next row
NAME, LETTER, BARS = 3.4, 4.3, 11  # heights of a lead's name, of the letters of beats, and of the bars of intervals
LETTER_WIDTH = 9  # a letter and an interval between two beats
MAX_LINE, MAX_SMALL = 115, 195  # characters of a title, and of small text, that fit over and under the paper
SMALL_LINE, INDENT = 3.3, 4
PAPER, FINE, BOLD, BLUE, SHADE = "#fff8f6", "#fadcd8", "#f0b0a8", "#1f4e8c", "#cfe0f3"
LETTER_COLORS = {"N": "#404040", "S": "#00695c", "V": "#b3261e", "F": "#8a5300", "P": "#5e35a1", "?": GREY}
DISCLAIMER = "Research software, not a medical device."


@dataclass(frozen=True)
class Trace:
    """A strip with its trace: x from the paper's left edge, y over the baseline; its name, and how high that stands."""

    strip: Strip
    x: np.ndarray
    y: np.ndarray
    name: str
    level: str
    name_y: float

    @property
    def name_width(self) -> float:
        return 2 + 2.2 * len(self.name) + 1.5 * len(self.level)


@dataclass(frozen=True)
class Row:
    """A row of traces: how far they reach above and below the baseline, and the room for them and their marks."""

    traces: list[Trace]
    reach: float
    depth: float
    up: float
    down: float


@dataclass(frozen=True)
class Panel:
    """One ECG.

    head: lines above the paper, the first is the title; caption: on the paper, at the bottom; speed: mm/s; gain: mm/mV
    """

    head: Sequence[str]
    caption: str
    strips: Sequence[Strip]
    signals: Signals
    speed: float
    gain: float
    marks: Marks = field(default_factory=Marks)

    @property
    def left(self) -> float:
        """Where the signals begin."""
        return LEFT + PULSE * self.speed

    @property
    def width(self) -> float:
        return self.left + max(LINE, *(strip.x + strip.seconds * self.speed for strip in self.strips)) + RIGHT

    @property
    def head_height(self) -> float:
        return HEAD[0] + HEAD[1] * (len(self.head) - 1)

    @cached_property
    def traces(self) -> list[Trace]:
        """All strips with their traces."""
        return [_trace(strip, self) for strip in self.strips]

    @cached_property
    def rows(self) -> list[Row]:
        """From the top."""
        count = max(strip.row for strip in self.strips) + 1
        return [_row([trace for trace in self.traces if trace.strip.row == i], self) for i in range(count)]

    @cached_property
    def measured(self) -> tuple[Trace, Beat] | None:
        """The beat that is marked with its intervals, the one nearest to the middle, and the trace that it lies on."""
        marked = [trace for trace in self.traces if trace.strip.marked]
        middle = (min(t.strip.first for t in marked) + max(t.strip.first + t.strip.seconds for t in marked)) / 2
        found = [(trace, beat) for trace in marked for beat in self.marks.waves if _is_whole(beat, trace, self)]
        return min(found, key=lambda each: abs(each[1].time - middle), default=None)

    @cached_property
    def baselines(self) -> list[float]:
        """How high each row lies over the bottom of the paper, on a 5 mm line and as near the next as they allow."""
        gaps = np.add([2, *(row.down for row in self.rows)], [*(row.up for row in self.rows), 5])
        heights = np.cumsum(5 * np.ceil(gaps[::-1] / 5))[::-1].tolist()
        return [*heights[1:], heights[0]]

    @property
    def height(self) -> float:
        """Of the paper."""
        return self.baselines[-1]

    @cached_property
    def lines(self) -> list[tuple[str, bool, float]]:
        """The lines under the paper, whether each stands out, and how far it is indented: what goes on is."""
        broken = [(textwrap.wrap(text, MAX_SMALL), bold) for text, bold in self.marks.lines]
        return [(part, bold, INDENT if i else 0) for parts, bold in broken for i, part in enumerate(parts)]

    @property
    def foot_height(self) -> float:
        return SMALL_LINE * len(self.lines) + (2 if self.lines else 0)


def _trace(strip: Strip, panel: Panel) -> Trace:
    times, values = panel.signals.cut(strip.lead, strip.first, strip.seconds)
    left = panel.left + strip.x
    x, y = left + (times - strip.first) * panel.speed, panel.gain * values
    start = panel.strips[0].first
    late = abs(strip.first - start - strip.x / panel.speed) > 1e-6  # not where its column or line lets expect
    name = f"{strip.lead} from {strip.first:g} s" if late else strip.lead
    trace = Trace(strip, x, y, name, panel.marks.levels.get(strip.lead, ""), 0)
    under = y[x < left + trace.name_width]  # the name stands above this part of the trace and hides none of it
    over = np.max(under, where=np.isfinite(under), initial=3)
    most = _most(UP, panel.gain)
    return Trace(strip, x, y, name, trace.level, float(min(over + 1, most - NAME)))


def _most(room: tuple[float, float], gain: float) -> float:
    return max(room[0], room[1] * gain / 10)


def _row(traces: list[Trace], panel: Panel) -> Row:
    values = np.concatenate([[0], *(trace.y for trace in traces)])
    reach = float(np.clip(np.nanmax(values), UP[0], _most(UP, panel.gain)))
    depth = float(np.clip(-np.nanmin(values), DOWN[0], _most(DOWN, panel.gain)))
    reach = max(reach, panel.gain, *(trace.name_y + NAME for trace in traces))
    letters = panel.marks.beats and any(trace.strip.marked for trace in traces)
    bars = panel.measured and panel.measured[0].strip in [trace.strip for trace in traces]
    return Row(traces, reach, depth, reach + (LETTER if letters else 0), depth + (BARS if bars else 0))


# ---------------------------------------------------------------------------------------------------------------------
# Drawing


def page_of(panels: Sequence[Panel], columns: int = 1, sheet: bool = False, foot: str = DISCLAIMER) -> Page:
    """A page with panels in columns over a line of text; with `sheet` it is A4 on its side where that is enough."""
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(p.head_height + p.height + p.foot_height for p in row) + EDGE for row in rows]
    column = max(panel.width for panel in panels) + EDGE
    width, height = EDGE + columns * column, sum(heights) + FOOT
    left = float(EDGE)
    if sheet and width <= A4[0] and height <= A4[1]:
        left, (width, height) = EDGE + (A4[0] - width) / 2, A4
    page = Page(width, height)
    page.text(left, 4, foot, 8, GREY)
    top = height
    for row, row_height in zip(rows, heights, strict=True):
        for i, panel in enumerate(row):
            _draw(page, panel, left + i * column, top - panel.head_height - panel.height)
        top -= row_height
    return page


def _draw(page: Page, panel: Panel, x: float, y: float) -> None:
    """Draw a panel with the lower left corner of its paper at x, y of the page."""
    _draw_words(page, panel, x, y)
    page.fill(x, y, panel.width, panel.height, PAPER, 0, "paper")
    page.grid(x, y, panel.width, panel.height, 1, FINE, 0.2)
    page.grid(x, y, panel.width, panel.height, 5, BOLD, 0.3)
    for row, baseline in zip(panel.rows, panel.baselines, strict=False):
        level = y + baseline
        at = np.array((1, 2, 2, 2, 2, 3)) + np.array((0, 0, 0, 1, 1, 1)) * PULSE * panel.speed
        page.line(x + at, level + panel.gain * np.array((0, 0, 1, 1, 0, 0)), name="calibration")
        for trace in row.traces:
            _draw_trace(page, panel, trace, x, level, (x, y, panel.width, panel.height))
            _draw_shades(page, panel, row, trace, x, level)
            if trace.strip.marked:
                _draw_beats(page, panel, row, trace, x, level)
    _draw_waves(page, panel, x, y)


def _draw_words(page: Page, panel: Panel, x: float, y: float) -> None:
    top = y + panel.height + panel.head_height - HEAD[0] + 2
    for i, line in enumerate(panel.head):
        size, most = (10, MAX_LINE) if i == 0 else (8, MAX_SMALL)
        page.text(x, top - i * HEAD[1], shortened(line.strip(), most), size, bold=i == 0)
    page.text(x + 1, y + 1.4, panel.caption, 7)
    for i, (line, bold, indent) in enumerate(panel.lines):
        page.text(x + indent, y - 1 - SMALL_LINE * (i + 1), line, 7, bold=bold)


def _draw_trace(
    page: Page, panel: Panel, trace: Trace, x: float, level: float, paper: tuple[float, float, float, float]
) -> None:
    strip, left = trace.strip, x + panel.left + trace.strip.x
    page.line(x + trace.x, level + trace.y, width=0.9, name=f"trace-{strip.lead}-{strip.row}", clip=paper)
    if strip.x:
        page.line((left, left), (level - 3, level + 3))
    ink = INK if np.isfinite(trace.y).any() else GREY
    page.text(left + 1, level + trace.name_y, trace.name, 9, ink, bold=True)
    if trace.level:
        page.text(left + 2 + 2.2 * len(trace.name), level + trace.name_y, trace.level, 6.5, BLUE)


def _draw_shades(page: Page, panel: Panel, row: Row, trace: Trace, x: float, level: float) -> None:
    strip = trace.strip
    for lead, start, stop in panel.marks.shades:
        if lead == strip.lead or (lead is None and strip.marked):
            start, stop = max(start, strip.first), min(stop, strip.first + strip.seconds)
            if stop > start:
                left, width = x + _x(start, strip, panel), (stop - start) * panel.speed
                bottom = level - row.depth
                page.fill(left, bottom, width, row.reach + row.depth, SHADE, 0.1, f"shade-{strip.lead}-{strip.row}")
                page.line((left, left + width), (bottom, bottom), BLUE, 1.0, order=2)  # seen in print without colour


def _x(time: float, strip: Strip, panel: Panel) -> float:
    """Where a time lies, from the left edge of the paper."""
    return panel.left + strip.x + (time - strip.first) * panel.speed


def _draw_beats(page: Page, panel: Panel, row: Row, trace: Trace, x: float, level: float) -> None:
    """The letter of each beat over its R peak, and between two beats the interval in ms where there is room."""
    strip, y = trace.strip, level + row.reach + 1.7
    inside = [b for b in panel.marks.beats if strip.first <= b.time < strip.first + strip.seconds]
    for beat in inside:
        at, color = x + _x(beat.time, strip, panel), LETTER_COLORS[beat.letter]
        page.text(at, y, beat.letter, 8, color, bold=True, align="center")
        page.line((at, at), (y - 1.4, y - 0.4), color, 0.8, name=f"beat-{beat.letter}")
    for beat, following in zip(inside, inside[1:], strict=False):
        middle, apart = (beat.time + following.time) / 2, following.time - beat.time
        if apart * panel.speed >= LETTER_WIDTH:
            page.text(x + _x(middle, strip, panel), y, f"{1000 * apart:.0f}", 6, GREY, align="center")
    for time in panel.marks.spikes:
        if strip.first <= time < strip.first + strip.seconds:
            at = x + _x(time, strip, panel)
            page.line((at, at), (level - row.depth, level - row.depth + 3), LETTER_COLORS["P"], 1.0, name="spike")


def _draw_waves(page: Page, panel: Panel, x: float, y: float) -> None:
    """The edges of the waves of one beat, and its intervals as bars below it."""
    if not panel.measured:
        return
    trace, beat = panel.measured
    row, level = panel.rows[trace.strip.row], y + panel.baselines[trace.strip.row]
    at = lambda time: x + _x(time, trace.strip, panel)
    for i, name in enumerate(("QT", "QRS", "PR")):
        if name not in beat.waves:
            continue
        start, stop = beat.waves[name]
        bar = level - row.depth - 2 - 3.3 * i
        page.line((at(start), at(stop)), (bar, bar), BLUE, 1.2, name=f"interval-{name}")
        for time in (start, stop):
            page.line((at(time), at(time)), (bar - 0.7, level + 3), BLUE, 0.4, order=2.5)
        page.text(at(stop) + 1, bar - 0.8, f"{name} {1000 * (stop - start):.0f}", 6.5, BLUE)
    if "P" in beat.waves:
        page.line((at(beat.waves["P"][1]),) * 2, (level - 3, level + 3), BLUE, 0.4, order=2.5)


def _is_whole(beat: Beat, trace: Trace, panel: Panel) -> bool:
    """Whether all waves of a beat are measured and lie on a trace."""
    if "QT" not in beat.waves or not len(trace.x):
        return False
    first = trace.strip.first
    stop = first + (trace.x[-1] - panel.left - trace.strip.x) / panel.speed
    times = [time for part in beat.waves.values() for time in part]
    return first <= min(times) and max(times) <= stop
