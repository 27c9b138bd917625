"""PDF printouts whose curves are drawn as polylines: their points are the samples, as GE MUSE and others print them.

    page ─▶ traces: long polylines that run to the right ─▶ scale: mm by the grid, the calibration pulse or the paper
         ─▶ leads: by the words where traces begin ─▶ each lead at the time at which it is printed

A scanned page has no polylines and is not read. The level of 0 mV is not printed; the median of a trace stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS, EcgclipError, standard_lead
from ecgclip.io.file import File
from ecgclip.io.metadata import parse_age
from ecgclip.io.pdf_page import Page, Word, pages
from ecgclip.io.recording import Channel, Recording

MM = 72 / 25.4  # points
MIN_POINTS, MIN_WIDTH = 100, 20 * MM  # of a trace
GRID_LINES = 20  # evenly spaced, to be a grid
NEAR = 16 * MM  # from a label to the begin of its trace
USUAL_RATES = (50, 100, 120, 125, 128, 150, 180, 200, 240, 250, 256, 300, 360, 400, 480, 500, 512, 600, 800, 1000, 2000)
USUAL_SECONDS = 10.0
STRETCH = 2.5  # s, of a lead in a row of four
SPEED, GAIN = 25.0, 10.0  # mm/s, mm/mV
MEASUREMENTS = {
    "heart_rate": r"(?:vent\.?(?:ricular)? rate|heart rate)\s*:?\s*(\d+)",
    "pr_ms": r"\bPR (?:interval|int)\.?\s*:?\s*(\d+)\s*ms",
    "qrs_ms": r"\bQRS (?:duration|dur)\.?\s*:?\s*(\d+)\s*ms",
    "qt_ms": r"\bQT/QTc\w*\s*:?\s*(\d+)/\d+\s*ms",
    "qtc_ms": r"\bQT/QTc\w*\s*:?\s*\d+/(\d+)\s*ms",
    "p_axis": r"\bP-R-T axes\s*:?\s*(-?\d+)\s+-?\d+\s+-?\d+",
    "qrs_axis": r"\bP-R-T axes\s*:?\s*-?\d+\s+(-?\d+)\s+-?\d+",
    "t_axis": r"\bP-R-T axes\s*:?\s*-?\d+\s+-?\d+\s+(-?\d+)",
}


@dataclass(frozen=True)
class Trace:
    """A polyline that may be a lead.

    Attributes
    ----------
    x, y : float (points,)
        In points of the page; `x` does not fall.
    lead : str
        Empty where no label was found.
    sign : int
        -1 where the lead is printed upside down, as -aVR.
    """

    x: np.ndarray
    y: np.ndarray
    lead: str = ""
    sign: int = 1

    @property
    def begin(self) -> float:
        return float(self.x[0])

    @property
    def width(self) -> float:
        return float(self.x[-1] - self.x[0])

    @cached_property
    def level(self) -> float:
        return float(np.median(self.y))


@dataclass(frozen=True)
class Scale:
    """Points of the page for a second and for a millivolt, and what was assumed."""

    second: float
    millivolt: float
    notes: tuple[str, ...]


def read_pdf(file: File) -> Recording:
    """Read the first page that has an ECG on it.

    Returns
    -------
    Recording
        Channels in mV. NaN where a lead is not printed, as in three rows of four leads.

    Raises
    ------
    EcgclipError
        No page has labelled polylines: it is scanned, or no ECG; or the file is damaged, locked or far too large.
    """
    pictures, unnamed = 0, 0
    for page in pages(file):
        pictures += page.pictures
        lines = _joined(page.lines)
        found = [trace for line in lines if (trace := _trace(line)) is not None]
        traces, notes = _named(found, page)
        if traces:
            notes.insert(0, f"page {page.number} of {page.of} was read: its polylines are the samples")
            scale = _scale(traces, lines, page)
            channels = _channels(traces, scale)
            return Recording(channels, _metadata(page.text), (*notes, *scale.notes))
        unnamed = unnamed or len(found)
    if unnamed:
        raise EcgclipError(f"{file.name}: none of the {unnamed} curves has a lead's name where it begins")
    what = "a scanned picture" if pictures else "no curves drawn as polylines"
    raise EcgclipError(f"{file.name}: {what}; only printouts with vector curves are read")


# ---------------------------------------------------------------------------------------------------------------------
# Traces


def _joined(lines: list[np.ndarray]) -> list[np.ndarray]:
    """Polylines that continue one another, made one: some printers draw each stroke, or each second, by itself."""
    once = _chained(lines)
    return _chained(sorted(once, key=lambda line: line[0, 0]))


def _chained(lines: list[np.ndarray]) -> list[np.ndarray]:
    """Polylines that begin where one before them ends, made one with it."""
    open_ends: dict[tuple[int, int], int] = {}
    chains: list[list[np.ndarray]] = []
    for line in lines:
        (x0, y0), (x1, y1) = line[0].tolist(), line[-1].tolist()
        chain = open_ends.pop((round(x0 * 50), round(y0 * 50)), None)
        if chain is None:
            chains.append([])
            chain = len(chains) - 1
        chains[chain].append(line[1:] if chains[chain] else line)
        open_ends[round(x1 * 50), round(y1 * 50)] = chain
    return [chain[0] if len(chain) == 1 else np.concatenate(chain) for chain in chains]


def _trace(line: np.ndarray) -> Trace | None:
    """A polyline as a trace; None where it is too short or runs back and forth."""
    if len(line) < MIN_POINTS or not np.isfinite(line).all():
        return None
    x, y = (line if line[-1, 0] >= line[0, 0] else line[::-1]).T
    if x[-1] - x[0] < MIN_WIDTH or (np.diff(x) < -0.02).any():
        return None
    return Trace(np.maximum.accumulate(x), y)


# ---------------------------------------------------------------------------------------------------------------------
# Leads


def _label(word: Word) -> tuple[str, int] | None:
    """Lead and sign of a word that names one."""
    text = word.text.strip(":;()[]")
    lead, note = standard_lead(text.lstrip("-"))
    if lead is None or note is not None or not 1 <= len(text) <= 5:
        return None
    return lead, -1 if text.startswith("-") else 1


def _named(traces: list[Trace], page: Page) -> tuple[list[Trace], list[str]]:
    """The traces that have a label, with their leads, and notes."""
    labels = [(word, label) for word in page.words if (label := _label(word))]
    if not traces:
        return [], []
    free = list(range(len(labels)))
    named: dict[int, tuple[str, int]] = {}
    columns = _columns(traces)
    begins = [min(traces[i].begin for i in column) for column in columns]
    for column, begin, stop in zip(columns, begins, [*begins[1:], np.inf], strict=True):
        near = [k for k in free if abs(labels[k][0].x - begin) < NEAR]
        near = near or [k for k in free if begin < labels[k][0].x < min(stop, begin + traces[column[0]].width) - NEAR]
        for i, k in _matched([traces[i].level for i in column], [labels[k][0].y for k in near]):
            named[column[i]] = labels[near[k]][1]
            free.remove(near[k])
    notes: list[str] = []
    rows = _rows(traces, named, page.text)
    if rows is not None:
        return rows, ["assumed that the rows continue one another, from the top down"] if len(traces) > 1 else []
    parts: list[Trace] = []
    for i, (lead, sign) in named.items():
        trace = replace(traces[i], lead=lead, sign=sign)
        inside = [labels[k] for k in free if _lies_on(labels[k][0], i, traces)]
        parts += _split(trace, inside)
    unnamed = [trace for i, trace in enumerate(traces) if i not in named]
    same = [replace(trace, lead=lead) for trace in unnamed if (lead := _same_as(trace, parts))]
    if len(unnamed) > len(same):
        notes.append(f"left out {len(unnamed) - len(same)} curves without a lead's name")
    parts += same
    return parts, notes


def _same_as(strip: Trace, parts: list[Trace]) -> str:
    """The lead that runs as a strip without a name does, where both are printed at the same time; empty if none."""
    for part in parts:
        inside = part.x <= strip.x[-1]
        if strip.width > 1.5 * part.width and abs(strip.begin - part.begin) < MM and inside.all():
            other = np.interp(part.x, strip.x, strip.y)
            apart = part.y - other
            if np.std(apart) < 0.05 * np.ptp(part.y) and np.ptp(part.y) > MM:
                return part.lead
    return ""


def _columns(traces: list[Trace]) -> list[list[int]]:
    """Traces by where they begin, from the left; within a column from the top down."""
    columns: list[list[int]] = []
    for i in sorted(range(len(traces)), key=lambda i: traces[i].begin):
        if columns and traces[i].begin - traces[columns[-1][0]].begin < 5 * MM:
            columns[-1].append(i)
        else:
            columns.append([i])
    return [sorted(column, key=lambda i: -traces[i].level) for column in columns]


def _matched(levels: Sequence[float], heights: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of a trace and a label: in order where there are as many, else the nearest."""
    order = sorted(range(len(heights)), key=lambda k: -heights[k])
    if len(levels) == len(heights) and all(abs(levels[i] - heights[k]) < 2 * NEAR for i, k in enumerate(order)):
        return list(enumerate(order))
    # a label stands above its trace rather than below it
    gaps = sorted(
        (max(height - level, 2 * (level - height)), i, k)
        for i, level in enumerate(levels)
        for k, height in enumerate(heights)
    )
    pairs: list[tuple[int, int]] = []
    for gap, i, k in gaps:
        if gap < 1.5 * NEAR and all(i != a and k != b for a, b in pairs):
            pairs.append((i, k))
    return pairs


def _lies_on(word: Word, i: int, traces: list[Trace]) -> bool:
    """Whether trace `i` is the nearest of those that pass a word."""
    passing = [k for k, t in enumerate(traces) if t.begin + NEAR < word.x < t.begin + t.width - NEAR / 2]
    nearest = min(passing, key=lambda k: abs(traces[k].level - word.y), default=None)
    return nearest == i and abs(traces[i].level - word.y) < NEAR


def _split(trace: Trace, inside: list[tuple[Word, tuple[str, int]]]) -> list[Trace]:
    """A row that one polyline draws, as the leads along it; in even parts where the labels stand so."""
    inside = sorted(inside, key=lambda label: label[0].x)
    parts = len(inside) + 1
    if parts == 1:
        return [trace]
    even = [trace.begin + trace.width * k / parts for k in range(1, parts)]
    if any(abs(word.x - x) > trace.width / parts / 3 for (word, _), x in zip(inside, even, strict=True)):
        even = [word.x for word, _ in inside]
    bounds = [0, *np.searchsorted(trace.x, even).tolist(), len(trace.x)]
    names = [(trace.lead, trace.sign), *(named for _, named in inside)]
    return [
        Trace(trace.x[a:b], trace.y[a:b], lead, sign)
        for (lead, sign), a, b in zip(names, bounds, bounds[1:], strict=False)
        if b - a > 1
    ]


def _rows(traces: list[Trace], named: dict[int, tuple[str, int]], text: str) -> list[Trace] | None:
    """One lead printed in rows, as by a watch: the rows one after the other; None where it is not so."""
    leads = {lead for lead, _ in named.values()}
    written = set(re.findall(r"\b(?:lead|ableitung|dérivation) (I{1,3}|V[1-6]|aV[RLF])\b", text, re.IGNORECASE))
    if not leads and len(written) == 1:
        leads = {standard_lead(written.pop())[0] or "I"}
    columns = _columns(traces)
    rows = [traces[i] for i in columns[0]]
    even = all(abs(row.width / rows[0].width - 1) < 0.05 for row in rows[:-1]) and rows[-1].width < 1.05 * rows[0].width
    if len(leads) != 1 or len(columns) != 1 or not even:
        return None
    x, y, end = [], [], rows[0].begin
    for row in rows:
        step = row.width / (len(row.x) - 1)
        x.append(row.x - row.begin + end)
        y.append(row.y - row.level)
        end = float(x[-1][-1]) + step
    return [Trace(np.concatenate(x), np.concatenate(y), leads.pop())]


# ---------------------------------------------------------------------------------------------------------------------
# Scale


def _scale(traces: list[Trace], lines: list[np.ndarray], page: Page) -> Scale:
    """By what is written (25 mm/s, 10 mm/mV), and by how long a millimetre is on this page."""
    speed = _written(page.text, r"mm\s*/\s*(?:s|sec)\b")
    gain = _written(page.text, r"mm\s*/\s*mV")
    notes = [] if speed else [f"assumed {SPEED:g} mm/s: the page does not say"]
    notes += [] if gain else [f"assumed {GAIN:g} mm/mV: the page does not say"]
    speed, gain = speed or SPEED, gain or GAIN
    mm = _grid(page.ruled)
    if mm is None and (pulse := _pulse(lines)) is not None:
        mm = (pulse / gain, pulse / gain)
        notes.append("the scale is by the calibration pulse of 1 mV")
    if mm is None:
        longest = max(traces, key=lambda t: t.width)
        mm, note = _by_length(longest, speed)
        notes.append(note)
    return Scale(mm[0] * speed, mm[1] * gain, tuple(notes))


def _written(text: str, unit: str) -> float | None:
    """The number before a unit, of paper speed or gain; None where there is none that makes sense."""
    found = re.search(r"(\d{1,3}(?:[.,]\d{1,2})?)\s*" + unit, text, re.IGNORECASE)
    value = float(found[1].replace(",", ".")) if found else 0.0
    return value if 1 <= value <= 200 else None


def _grid(ruled: np.ndarray) -> tuple[float, float] | None:
    """Width and height of a square of 1 mm by the lines of the grid, in points; None where there is no grid."""
    if len(ruled) < GRID_LINES:
        return None
    upright = np.abs(ruled[:, 1, 0] - ruled[:, 0, 0]) < 0.01
    across, up = _spacing(ruled[upright][:, 0, 0]), _spacing(ruled[~upright][:, 0, 1])
    if across is None and up is None:
        return None
    return across or up or MM, up or across or MM


def _spacing(places: np.ndarray) -> float | None:
    """The spacing of lines that stand 1 or 5 mm apart, as that of 1 mm; None where they are not even."""
    places = np.sort(places)
    if len(places) < GRID_LINES // 2:
        return None
    gaps = np.diff(places)
    gaps = gaps[gaps > 0.2]  # thick lines are drawn twice
    if len(gaps) < GRID_LINES // 2:
        return None
    usual = float(np.median(gaps))
    even = gaps[np.abs(gaps / usual - 1) < 0.1]
    if len(even) < 0.7 * len(gaps):
        return None
    # rounded coordinates spread single gaps: their mean is what counts
    spacing = float(even.mean())
    return spacing / 5 if abs(np.log(spacing / (5 * MM))) < abs(np.log(spacing / MM)) else spacing


def _pulse(lines: list[np.ndarray]) -> float | None:
    """The height of the calibration pulse in points: low, high and low again, with nothing between."""
    heights = []
    for line in lines:
        x, y = line.T
        if not 4 <= len(line) < 400 or not 3 * MM / 2 < x.max() - x.min() < 20 * MM or (np.diff(x) < -0.02).any():
            continue
        low, high = y.min(), y.max()
        levels = np.round((y - low) / (high - low or 1), 2)
        flat = (levels < 0.03) | (levels > 0.97)
        if 2 * MM < high - low < 45 * MM and flat.mean() > 0.9 and max(levels[0], levels[-1]) < 0.03:
            heights.append(high - low)
    return float(np.median(heights)) if heights else None


def _by_length(longest: Trace, speed: float) -> tuple[tuple[float, float], str]:
    """1 mm of the paper, or that which makes the longest trace last 10 s where only then the rate is a usual one."""
    rate = (len(longest.x) - 1) / (longest.width / (MM * speed))
    if _usual_rate(rate, 0.005) is None and _usual_rate(len(longest.x) / USUAL_SECONDS, 0.005) is not None:
        n = len(longest.x)
        mm = longest.width * n / (n - 1) / (USUAL_SECONDS * speed)
        return (mm, mm), f"assumed that the longest trace lasts {USUAL_SECONDS:g} s: no grid was found"
    return (MM, MM), "assumed that the page is printed at its own size: no grid was found"


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def _channels(traces: list[Trace], scale: Scale) -> list[Channel]:
    """Each lead once, by its longest trace, at the time at which it is printed."""
    best: dict[str, Trace] = {}
    for trace in traces:
        if trace.lead not in best or trace.width > best[trace.lead].width:
            best[trace.lead] = trace
    sampled = {lead: _sampled(trace, scale.second) for lead, trace in best.items()}
    rates = np.array([rate for _, rate in sampled.values()])
    common = float(np.median(rates))
    if (np.abs(rates / common - 1) < 0.03).all():
        common = _usual_rate(common, 0.015) or common
        sampled = {lead: (values, common) for lead, (values, _) in sampled.items()}
    first = min(trace.begin for trace in best.values())
    begins = _begins({lead: (trace.begin - first) / scale.second for lead, trace in best.items()})
    channels = []
    for lead in sorted(best, key=LEADS.index):
        trace, (values, rate) = best[lead], sampled[lead]
        before = round(begins[lead] * rate)
        samples = np.full(before + len(values), np.nan, np.float32)
        samples[before:] = trace.sign * (values - trace.level) / scale.millivolt
        channels.append(Channel(samples, lead, "mV", rate))
    return channels


def _begins(seconds: dict[str, float]) -> dict[str, float]:
    """When leads begin, in s: a multiple of 2.5 where all nearly do, as some printers let the columns overlap."""
    even = {lead: round(begin / STRETCH) * STRETCH for lead, begin in seconds.items()}
    return even if all(abs(even[lead] - begin) < 0.1 for lead, begin in seconds.items()) else seconds


def _sampled(trace: Trace, second: float) -> tuple[np.ndarray, float]:
    """Values in points and their rate in Hz; interpolated where points were left out, as on straight stretches."""
    n = len(trace.x)
    step = trace.width / (n - 1)
    if np.abs(trace.x - trace.begin - step * np.arange(n)).max() <= 2.5 * step:
        return trace.y, second / step
    x, at = np.unique(trace.x, return_index=True)
    step = max(float(np.quantile(np.diff(x), 0.1)), second / 1000, trace.width / (8 * n))
    rate = _usual_rate(second / step, 0.015) or second / step
    return np.interp(np.arange(trace.begin, trace.x[-1], second / rate), x, trace.y[at]), rate


def _usual_rate(rate: float, tolerance: float) -> float | None:
    """The sampling rate of recorders that is meant; None where none is near."""
    nearest = min(USUAL_RATES, key=lambda usual: abs(usual / rate - 1))
    return float(nearest) if abs(nearest / rate - 1) <= tolerance else None


def _metadata(text: str) -> dict[str, Any]:
    """Age, sex and the device's measurements, where they are written as MUSE writes them."""
    text = re.sub(r"\s+", " ", text)
    age = re.search(r"\b(\d{1,3}) ?(?:yrs?|years?|y/?o|ans|jahre)\b", text, re.IGNORECASE)
    sex = re.search(r"\b(female|male)\b", text, re.IGNORECASE)
    found = {key: re.search(pattern, text, re.IGNORECASE) for key, pattern in MEASUREMENTS.items()}
    metadata: dict[str, Any] = {"measurements": {key: float(match[1]) for key, match in found.items() if match}}
    metadata["age"] = parse_age(age[1]) if age else None
    metadata["sex"] = sex[1].lower() if sex else None
    return {key: value for key, value in metadata.items() if value not in (None, {})}
