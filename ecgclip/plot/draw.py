"""Draw recordings for a reader:  plot("record.hea", "ecg.svg", show=("peaks", "waves", "st"), label="AF")"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.plot.layout import arrange
from ecgclip.plot.marks import LAYERS, Marks, marks_of
from ecgclip.plot.page import Page, own_settings, pages_of
from ecgclip.plot.paper import DISCLAIMER, Panel, page_of
from ecgclip.plot.signals import Signals, filtered_signals, recorded_signals
from ecgclip.prepare import HIGHPASS, LOWPASS, prepare

if TYPE_CHECKING:
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.model.clip import ECGCLIP

Record: TypeAlias = ECG | str | os.PathLike
SPEEDS, GAINS = (25, 50), (5, 10, 20)  # mm/s, mm/mV
LEAST = 0.5  # s that are shown
# s: a recording up to so long is measured whole, of a longer one what is shown and so much around it
WHOLE, AROUND = 60, 10
OVER = 89  # years: no older age is told


@dataclass(frozen=True)
class View:
    """What to draw of a recording, and how: the options of `plot`. Raises EcgclipError for one that makes no sense."""

    layout: str | None = None
    start: float = 0.0
    seconds: float = 10.0
    speed: float = 25
    gain: float = 10
    show: Collection[str] = ()
    label: str | None = None
    filtered: bool = False

    def __post_init__(self):
        for name, value, allowed in (("speed", self.speed, SPEEDS), ("gain", self.gain, GAINS)):
            if value not in allowed:
                raise EcgclipError(f"{name} {value:g}: {' or '.join(map(str, allowed))}")
        unknown = [self.show] if isinstance(self.show, str) else [name for name in self.show if name not in LAYERS]
        if unknown:
            raise EcgclipError(f"no layer {unknown[0]!r}: {', '.join(LAYERS)}")
        if not self.start >= 0:
            raise EcgclipError(f"nothing begins at {self.start:g} s")
        if not self.seconds >= LEAST:
            raise EcgclipError(f"{self.seconds:g} s are too few: {LEAST:g} s at the least")
        arrange(self.layout, LEADS, self.start, self.seconds, self.stop, self.speed)

    @property
    def stop(self) -> float:
        """When what is shown ends, s."""
        return self.start + self.seconds


def plot(
    ecg: Record | Sequence[Record],
    path: str | os.PathLike,
    *,
    layout: str | None = None,
    start: float = 0.0,
    seconds: float = 10.0,
    speed: float = 25,
    gain: float = 10,
    show: Collection[str] = (),
    label: str | None = None,
    filtered: bool = False,
    model: ECGCLIP | None = None,
) -> None:
    """Draw an ECG true to scale.

    Neither a name, an id nor a date of birth is written, and of the record's path its last part only.

    Parameters
    ----------
    ecg : ECG, path, or a sequence of them
        Several become the pages of a PDF.
    path : str or PathLike
        Ends in .svg, .pdf or .png. A page of a PDF is A4 on its side where that is large enough.
    layout : str, optional
        "3x4" (with one rhythm strip), "6x2" or "12x1"; with rhythm strips "3x4+3" or "6x2+II,V1"; or leads, "II,V5".
        By default 3x4, and the leads themselves for up to three.
    start, seconds : float
        What to show of the recording, s.
    speed : float
        25 or 50 mm/s.
    gain : float
        5, 10 or 20 mm/mV.
    show : collection of str
        Layers: "peaks" (the class of each beat, and R–R), "waves" (the waves of one beat, and the intervals), "st"
        (ST at J + 60 ms in each lead, mV).
    label : str, optional
        A condition of the knowledge base, or a number as in "QTc > 500": what its criteria read is shaded, and each
        criterion is said with its answer.
    filtered : bool
        Draw what is measured instead of what was recorded: 100 Hz, filtered.
    model : ECGCLIP, optional
        Its knowledge base answers for the label, and its probability is said. Without one, the shipped knowledge base.

    Raises
    ------
    EcgclipError
        matplotlib is missing, the path cannot be written, a record cannot be read or measured, or an option makes no
        sense.
    """
    view = View(layout, start, seconds, speed, gain, show, label, filtered)
    path = Path(path)
    with pages_of(path) as add:
        for each in [ecg] if isinstance(ecg, ECG | str | os.PathLike) else ecg:
            add(draw(each, view, model=model, sheet=path.suffix.lower() == ".pdf"))


def draw(
    ecg: Record,
    view: View,
    *,
    model: ECGCLIP | None = None,
    base: KnowledgeBase | None = None,
    sheet: bool = False,
    foot: str = DISCLAIMER,
) -> Page:
    """A page with one ECG; base: the knowledge base that answers without a model; sheet, foot: as of `page_of`."""
    if not isinstance(ecg, ECG):
        from ecgclip.io.read import read_ecg

        ecg = read_ecg(ecg)
    if view.start >= ecg.seconds:
        where = f"{ecg.source}: " if ecg.source else ""
        raise EcgclipError(f"{where}has {ecg.seconds:g} s: nothing to show from {view.start:g} s on")
    begin, part = _part(ecg, view)
    signals = _filtered(part, begin) if view.filtered else recorded_signals(ecg, view.start, view.seconds)
    strips = arrange(view.layout, signals.leads, view.start, view.seconds, ecg.seconds, view.speed)
    marks = _marks(part, begin, view, model, base)
    with own_settings():
        head = [os.path.basename(ecg.source or "") or "ECG", *_patient(ecg.metadata)]
        panel = Panel(head, _caption(ecg, signals, view), strips, signals, view.speed, view.gain, marks)
        return page_of([panel], sheet=sheet, foot=foot)


def _part(ecg: ECG, view: View) -> tuple[float, ECG]:
    """When what is measured begins, s, and what it is."""
    if ecg.seconds <= WHOLE:
        return 0.0, ecg
    sample = round(max(0.0, min(view.start, ecg.seconds - view.seconds) - AROUND) * ecg.sampling_rate)
    first = sample / ecg.sampling_rate
    return first, ecg.between(first, min(view.stop + AROUND, ecg.seconds))


def _filtered(part: ECG, begin: float) -> Signals:
    prepared = prepare(part)
    words = f"as measured: {HIGHPASS:g} to {LOWPASS[0]:g} Hz"
    return filtered_signals(prepared, prepared.signal, range(len(prepared.signal)), words, begin)


def _marks(part: ECG, begin: float, view: View, model: ECGCLIP | None, base: KnowledgeBase | None) -> Marks:
    if not view.show and view.label is None:
        return Marks()
    from ecgclip.measure.examined import examine

    examined = examine(part)
    if view.label is None:
        return marks_of(examined, begin, (view.start, view.stop), view.show)
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.plot.condition import condition_of

    note = ""
    if model is not None:
        note = f", probability {model.classify(part, labels=[view.label])[view.label].probability:.2f}"
        base = model.kb
    places, lines = condition_of(view.label, examined, base or KnowledgeBase.load(), note)
    return marks_of(examined, begin, (view.start, view.stop), view.show, places, lines)


# ---------------------------------------------------------------------------------------------------------------------
# Words


def _patient(metadata: dict[str, Any]) -> list[str]:
    """Age, sex, time and device in a line, as far as they are known: nothing that tells who it is."""
    age = metadata["age"]
    parts = [] if age is None else [age_words(age)]
    time = str(metadata.get("time") or "").replace("T", " ")
    parts += [str(text) for text in (metadata["sex"], time, metadata.get("device")) if text]
    return ["   ".join(parts)] if parts else []


def age_words(years: float) -> str:
    """An age as it may be told."""
    if years > OVER:
        return f"over {OVER} years"
    return f"{years:.0f} years" if years >= 2 else f"{12 * years:.0f} months"


def _caption(ecg: ECG, signals: Signals, view: View) -> str:
    times = (round(float(t), 1) for t in (view.start, min(view.stop, ecg.seconds), ecg.seconds))
    caption = "{:g} to {:g} s of {:g} s".format(*times)
    caption += f"   {view.speed:g} mm/s, {view.gain:g} mm/mV, {signals.words}"
    return caption + (f"   computed: {', '.join(signals.computed)}" if signals.computed else "")
