"""Draw what a search found, as the model saw it: 100 Hz, 25 mm/s, 10 mm/mV.

plot_ecgs([ecg, ...], ["1  0.412  records/af", ...], "hits.png")
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.plot.layout import FEW, arrange
from ecgclip.plot.page import check_path, own_settings, pages_of
from ecgclip.plot.paper import Panel, page_of
from ecgclip.plot.signals import filtered_signals
from ecgclip.prepare import HIGHPASS, LOWPASS, SAMPLING_RATE, WINDOW, prepare

SPEED, GAIN = 25, 10  # mm/s, mm/mV
MAX_ECGS = 40  # in one picture
MAX_IN_ONE_COLUMN = 3  # ECGs; more stand in two columns


def plot_ecgs(
    ecgs: Sequence[ECG],
    titles: Sequence[str],
    path: str | os.PathLike,
    *,
    starts: Sequence[float | None] | None = None,
) -> None:
    """Draw several ECGs on a page: 3 × 4 leads over a rhythm strip, or strips of 10 s for up to three leads.

    Parameters
    ----------
    ecgs : sequence of ECG
        1 to 40.
    titles : sequence of str
        One for each ECG.
    path : str or PathLike
        Ends in .png, .svg or .pdf.
    starts : sequence of (float or None), optional
        When, in s, the window to show starts in each ECG; the nearest window is shown. None: the first window.

    Raises
    ------
    EcgclipError
        matplotlib is missing, the path cannot be written, or an ECG cannot be prepared.
    """
    path, starts = Path(path), [None] * len(ecgs) if starts is None else starts
    check_path(path)
    _check(path, len(ecgs), len(titles), len(starts))
    with own_settings(), pages_of(path) as add:
        panels = [_panel(*row) for row in zip(ecgs, titles, starts, strict=True)]
        add(page_of(panels, 1 if len(panels) <= MAX_IN_ONE_COLUMN else 2))


def _check(path: Path, ecgs: int, titles: int, starts: int) -> None:
    if not 1 <= ecgs <= MAX_ECGS:
        raise EcgclipError(f"{path}: one picture holds 1 to {MAX_ECGS} ECGs, not {ecgs}")
    if not ecgs == titles == starts:
        raise EcgclipError(f"{path}: {ecgs} ECGs need as many titles and starts, not {titles} and {starts}")


def _panel(ecg: ECG, title: str, start: float | None) -> Panel:
    prepared = prepare(ecg)
    window = int(np.abs(prepared.start_s - (start or 0)).argmin())
    words = f"{HIGHPASS:g} to {LOWPASS[0]:g} Hz"
    signals = filtered_signals(
        prepared, prepared.encoder_signal, [window], words
    )  # what is measured lacks the pacing spikes
    first = float(prepared.start_s[window])
    stop = first + prepared.length[window] / SAMPLING_RATE
    layout = ",".join(lead for lead in signals.leads if lead in ecg.leads) if len(ecg.leads) <= FEW else "3x4"
    strips = arrange(layout, signals.leads, first, WINDOW / SAMPLING_RATE, stop, SPEED)
    times = (round(float(t), 1) for t in (first, stop, ecg.seconds))
    caption = "{:g} to {:g} s of {:g} s".format(*times) + f"   {SPEED} mm/s, {GAIN} mm/mV, {words}"
    shown = [lead for lead in prepared.derived if any(strip.lead == lead for strip in strips)]
    caption += f"   computed: {', '.join(shown)}" if shown else ""
    return Panel([title], caption, strips, signals, SPEED, GAIN)
