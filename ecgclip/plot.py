"""Draw ECGs on ECG paper, as the model saw them: 100 Hz, 25 mm/s, 10 mm/mV.

    plot_ecgs([ecg, ...], ["1  0.412  records/af", ...], "hits.png")

Every length here is in mm of paper; x runs to the right and y upwards.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.files import write_atomic
from ecgclip.prepare import HIGHPASS, LOWPASS, SAMPLING_RATE, WINDOW, Prepared, prepare

SPEED, GAIN = 25, 10  # mm/s, mm/mV
MM_PER_INCH = 25.4
DPI = 127  # five pixels a mm: every grid line falls on a pixel
MAX_ECGS = 40  # in one picture
MAX_IN_ONE_COLUMN = 3  # ECGs; more stand in two columns
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
MAX_STRIPS = 3  # recorded leads, at most, that are drawn as strips of 10 s: a watch, a Holter
LEFT, RIGHT = 10, 5  # of the signals; the calibration pulse stands on the left
PAPER_WIDTH = LEFT + WINDOW // SAMPLING_RATE * SPEED + RIGHT
TITLE, EDGE, FOOT = 8, 5, 6  # above each paper, beside and under it, below all
UP, DOWN = (15, 30), (5, 20)  # least and most room above and below a baseline; a taller signal overlaps the next row
MAX_LINE = 115  # characters of a title that fit over the paper
MAX_TITLE = 1000  # characters of a title that are looked at
PAPER, FINE, BOLD, INK, GREY = "#fff8f6", "#fadcd8", "#f0b0a8", "black", "#808080"


@dataclass(frozen=True)
class Strip:
    """The trace of one lead.

    first: s of the window at which it begins; row: from the top, 0 on; x: mm from the left edge of the paper
    signal: float32 (samples,), mV, NaN = nothing to draw
    """

    lead: str
    first: float
    row: int
    x: float
    signal: np.ndarray


@dataclass(frozen=True)
class Panel:
    """One ECG; baselines: how high each row lies on the paper; height: that of the paper."""

    title: str
    caption: str
    strips: list[Strip]
    baselines: list[float]
    height: float


def plot_ecgs(
    ecgs: Sequence[ECG],
    titles: Sequence[str],
    path: str | os.PathLike,
    *,
    starts: Sequence[float | None] | None = None,
) -> None:
    """Write a PNG with a panel for each ECG: 3 × 4 leads over a rhythm strip, or strips of 10 s for up to three leads.

    Parameters
    ----------
    ecgs : sequence of ECG
        1 to 40.
    titles : sequence of str
        One for each ECG.
    path : str or PathLike
        Ends in .png.
    starts : sequence of (float or None), optional
        When, in s, the window to show starts in each ECG; the nearest window is shown. None: the first window.

    Raises
    ------
    EcgclipError
        matplotlib is missing, the path cannot be written, or an ECG cannot be prepared.
    """
    path, starts = Path(path), [None] * len(ecgs) if starts is None else starts
    _check(path, len(ecgs), len(titles), len(starts))
    try:  # the classes alone: pyplot and rcParams belong to the caller
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise EcgclipError('plots need matplotlib: pip install "ecgclip[plot]"') from None
    panels = [_panel(*row) for row in zip(ecgs, titles, starts, strict=True)]
    columns = 1 if len(panels) <= MAX_IN_ONE_COLUMN else 2
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [TITLE + max(panel.height for panel in row) + EDGE for row in rows]
    width, height = EDGE + columns * (PAPER_WIDTH + EDGE), sum(heights) + FOOT
    figure = Figure((width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI, facecolor="white")
    figure.set_layout_engine("none")
    canvas = FigureCanvasAgg(figure)
    figure.text(EDGE / width, 4 / height, "Research software, not a medical device.", **_text_style(8, GREY))
    top = height
    for row, row_height in zip(rows, heights, strict=True):
        for i, panel in enumerate(row):
            _draw(figure, panel, EDGE + i * (PAPER_WIDTH + EDGE), top - TITLE - panel.height)
        top -= row_height
    content = io.BytesIO()
    canvas.print_png(content)
    _write(path, content.getvalue())


def _check(path: Path, ecgs: int, titles: int, starts: int) -> None:
    if os.path.isdir(path):  # Path.is_dir raises for a name too long
        raise EcgclipError(f"{path}: is a folder: name a file in it that ends in .png")
    if path.suffix.lower() != ".png":
        raise EcgclipError(f"{path}: the picture is a PNG: let the name end in .png")
    if not 1 <= ecgs <= MAX_ECGS:
        raise EcgclipError(f"{path}: one picture holds 1 to {MAX_ECGS} ECGs, not {ecgs}")
    if not ecgs == titles == starts:
        raise EcgclipError(f"{path}: {ecgs} ECGs need as many titles and starts, not {titles} and {starts}")


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise EcgclipError(f"{path}: cannot be written ({error.strerror})") from None


# ---------------------------------------------------------------------------------------------------------------------
# What goes where


def _panel(ecg: ECG, title: str, start: float | None) -> Panel:
    prepared = prepare(ecg)
    window = int(np.abs(prepared.start_s - (start or 0)).argmin())
    strips = _strips(ecg, prepared, window)
    first = prepared.start_s[window]
    times = (round(float(t), 1) for t in (first, first + prepared.length[window] / SAMPLING_RATE, ecg.seconds))
    caption = "{:g} to {:g} s of {:g} s".format(*times)
    caption += f"   {SPEED} mm/s, {GAIN} mm/mV, {HIGHPASS:g} to {LOWPASS[0]:g} Hz"
    computed = [lead for lead in prepared.derived if any(s.lead == lead for s in strips)]
    caption += f"   computed: {', '.join(computed)}" if computed else ""
    return Panel(title, caption, strips, *_baselines(strips))


def _strips(ecg: ECG, prepared: Prepared, window: int) -> list[Strip]:
    """What to draw of one window: four columns of 2.5 s, one after the other in time, over a rhythm strip.

    Where a recording is too short for that, the last columns start earlier, so that they are not empty.
    """
    mask, length = prepared.mask[window], prepared.length[window]
    # Prepared is exactly zero where there is no signal: a line there would look like asystole.
    signal = prepared.encoder_signal[window]  # at 100 Hz; what is measured lacks the pacing spikes
    signal = np.where(signal == 0, np.nan, signal)
    if len(ecg.leads) <= MAX_STRIPS:
        recorded = [lead for lead in LEADS if lead in ecg.leads]
        return [Strip(lead, 0, row, LEFT, signal[LEADS.index(lead)]) for row, lead in enumerate(recorded)]
    strips, part = [], WINDOW // len(ROWS[0])
    for row, leads in enumerate(ROWS):
        for column, lead in enumerate(leads):
            first = max(0, min(column * part, length - part))
            x = LEFT + column * part / SAMPLING_RATE * SPEED
            strips.append(Strip(lead, first / SAMPLING_RATE, row, x, signal[LEADS.index(lead), first : first + part]))
    rhythm = "II" if mask[LEADS.index("II")] else LEADS[mask.argmax()]
    return [*strips, Strip(rhythm, 0, len(ROWS), LEFT, signal[LEADS.index(rhythm)])]


def _baselines(strips: list[Strip]) -> tuple[list[float], float]:
    """The rows' baselines, each on a 5 mm line and as near the next as the signals allow, and the paper's height."""
    up, down = [], []
    for row in range(strips[-1].row + 1):
        values = np.concatenate([[0], *(GAIN * s.signal for s in strips if s.row == row)])
        up.append(np.clip(np.nanmax(values), *UP))
        down.append(np.clip(-np.nanmin(values), *DOWN))
    gaps = 5 * np.ceil(np.add([2, *down], [*up, 5]) / 5)  # 2 mm of air on top, 5 for the caption
    above, *baselines = np.cumsum(gaps[::-1])[::-1].tolist()
    return baselines, above


# ---------------------------------------------------------------------------------------------------------------------
# Drawing


def _draw(figure: Any, panel: Panel, x: float, y: float) -> None:
    """Draw a panel with the lower left corner of its paper at x, y of the figure."""
    width, height = figure.get_size_inches() * MM_PER_INCH
    full = panel.height + TITLE
    axes = figure.add_axes((x / width, y / height, PAPER_WIDTH / width, full / height))
    axes.set(xlim=(0, PAPER_WIDTH), ylim=(0, full))
    axes.set_axis_off()
    axes.fill((0, PAPER_WIDTH, PAPER_WIDTH, 0), (0, 0, panel.height, panel.height), color=PAPER, linewidth=0, zorder=0)
    for step, color, order in ((1, FINE, 0.1), (5, BOLD, 0.2)):
        style = {"color": color, "linewidth": 72 / DPI, "zorder": order}  # one pixel
        axes.vlines(np.arange(0, PAPER_WIDTH + 1, step), 0, panel.height, **style)
        axes.hlines(np.arange(0, panel.height + 1, step), 0, PAPER_WIDTH, **style)
    axes.text(0, panel.height + 2, _plain(panel.title), clip_on=True, weight="bold", **_text_style(10, INK))
    axes.text(1, 1.4, panel.caption, **_text_style(7, INK))
    for baseline in panel.baselines:  # the calibration pulse, 1 mV for 0.2 s
        axes.plot((1, 2, 2, 7, 7, 8), np.array((0, 0, 1, 1, 0, 0)) * GAIN + baseline, color=INK, linewidth=0.8)
    for strip in panel.strips:
        _trace(axes, strip, panel.baselines[strip.row], panel.height)


def _trace(axes: Any, strip: Strip, baseline: float, top: float) -> None:
    x = strip.x + np.arange(strip.signal.size) / SAMPLING_RATE * SPEED
    y = np.clip(baseline + GAIN * strip.signal, 0, top)
    axes.plot(x, y, color=INK, linewidth=0.9)
    if strip.x > LEFT:
        axes.plot((strip.x, strip.x), (baseline - 3, baseline + 3), color=INK, linewidth=0.8)
    name = strip.lead if strip.first == (strip.x - LEFT) / SPEED else f"{strip.lead} from {strip.first:g} s"
    under = y[x < strip.x + 3 + 2.2 * len(name)]  # the name stands above this part of the trace and hides none of it
    over = np.max(under, where=np.isfinite(under), initial=baseline + 3)
    ink = INK if np.isfinite(y).any() else GREY
    axes.text(strip.x + 1, min(over + 1, top - 3), name, weight="bold", **_text_style(9, ink))


def _text_style(size: float, color: str) -> dict[str, Any]:
    """For text that is shown as it is, without mathtext or TeX, in the font that comes with matplotlib."""
    return {"fontsize": size, "color": color, "family": "DejaVu Sans", "parse_math": False, "usetex": False}


def _plain(title: str) -> str:
    """One line that fits over the paper; characters that the font lacks become ?, as matplotlib would warn of each."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import get_font

    characters = get_font(os.path.join(get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")).get_charmap()
    line = "".join(" " if c.isspace() else c if ord(c) in characters else "?" for c in title[:MAX_TITLE]).strip()
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"
