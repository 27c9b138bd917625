"""Which lead stands where on the paper, from when to when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ecgclip.ecg import LEADS, EcgclipError, standard_lead

GRIDS = {
    "3x4": (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")),
    "6x2": tuple(zip(LEADS[:6], LEADS[6:], strict=True)),
    "12x1": tuple((lead,) for lead in LEADS),
}
RHYTHM = ("II", "V1", "V5")  # the leads of one to three rhythm strips
STRIPS = {"3x4": 1, "6x2": 0, "12x1": 0}  # rhythm strips where none is asked for
FEW = 3  # leads, at most, that stand below one another by default: a watch, a Holter
LINE = 250  # mm, the least width of what is drawn; strips of single leads go on in the next line
MAX_ROWS = 60
MAX_WIDTH = 1500  # mm of signal in a row


@dataclass(frozen=True)
class Strip:
    """The place of one lead.

    first, seconds: s of the recording at which it begins, and how long it is; row: from the top, 0 on; x: mm from where
    the signals begin; marked: whether marks of the whole ECG stand on it, such as the class of each beat
    """

    lead: str
    first: float
    seconds: float
    row: int
    x: float
    marked: bool = False


def arrange(
    layout: str | None, leads: Sequence[str], start: float, seconds: float, stop: float, speed: float
) -> list[Strip]:
    """Arrange leads on paper.

    Parameters
    ----------
    layout
        3x4, 6x2 or 12x1, with rhythm strips as in 3x4+3 or 6x2+II,V1; or leads, as in II,V5. None: 3x4, or the leads
        themselves where there are few.
    leads
        Those that there are, recorded or computed.
    start, seconds
        What to show, s.
    stop
        When the recording ends, s: columns of a grid that would begin behind it begin earlier.
    speed
        mm/s.

    Raises
    ------
    EcgclipError
        The layout is none, names a lead that is not there, or is too large.
    """
    few = len(leads) <= FEW
    layout = (",".join(leads) if few else "3x4") if layout is None else layout
    grid, _, rhythm = layout.partition("+")
    if grid not in GRIDS:
        strips = _lines(_named(layout, leads), start, seconds, speed)
    else:
        rows = GRIDS[grid]
        below = _rhythm(rhythm or str(STRIPS[grid]), leads)
        strips = _columns(rows, start, seconds, stop, speed, marked=not below)
        strips += [Strip(lead, start, seconds, len(rows) + i, 0, marked=i == 0) for i, lead in enumerate(below)]
    if strips[-1].row >= MAX_ROWS or max(s.x + s.seconds * speed for s in strips) > MAX_WIDTH:
        raise EcgclipError(f"{seconds:g} s of {layout} are too much for a page: ask for fewer seconds or leads")
    return strips


def _columns(
    rows: Sequence[Sequence[str]], start: float, seconds: float, stop: float, speed: float, marked: bool
) -> list[Strip]:
    """Columns one after the other in time; the last ones begin earlier where a recording is too short for them."""
    part = seconds / len(rows[0])
    first = [max(start, min(start + column * part, stop - part)) for column in range(len(rows[0]))]
    of_marks = 1 if len(rows[0]) == 1 else 0  # the row of lead II where it shows all; else the uppermost
    return [
        Strip(lead, first[column], part, row, column * part * speed, marked and row == of_marks)
        for row, leads in enumerate(rows)
        for column, lead in enumerate(leads)
    ]


def _lines(leads: Sequence[str], start: float, seconds: float, speed: float) -> list[Strip]:
    """Leads below one another, in as many lines as the seconds need."""
    length, of_marks = LINE / speed, "II" if "II" in leads else leads[0]
    strips: list[Strip] = []
    for line in range(max(1, math.ceil(round(seconds / length, 6)))):
        first = start + line * length
        part = min(length, start + seconds - first)
        for lead in leads:
            strips.append(Strip(lead, first, part, len(strips), 0, lead == of_marks))
    return strips


def _named(layout: str, leads: Sequence[str]) -> list[str]:
    names = [standard_lead(name)[0] for name in layout.split(",")]
    if None in names or len(set(names)) < len(names):
        grids = ", ".join(GRIDS)
        raise EcgclipError(
            f"unknown layout {layout[:60]!r}: {grids}, one with rhythm strips as 3x4+3, or leads as II,V5"
        )
    found = [name for name in names if name]
    missing = [name for name in found if name not in leads]
    if missing:
        raise EcgclipError(f"no lead {', '.join(missing)} in the recording: it has {', '.join(leads)}")
    return found


def _rhythm(rhythm: str, leads: Sequence[str]) -> list[str]:
    """The leads of the rhythm strips: so many, or those that are named."""
    if rhythm not in "0123":
        return _named(rhythm, leads)
    usual = dict.fromkeys([lead for lead in RHYTHM if lead in leads] + list(leads))
    return list(usual)[: int(rhythm)]
