"""The command plot: ECGs on ECG paper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgclip.cli.app import app
from ecgclip.cli.inputs import check_format
from ecgclip.cli.messages import RecordNotes
from ecgclip.cli.options import Knowledge, Leads, Records, SamplingRate, Unit
from ecgclip.cli.progress import for_each_record
from ecgclip.cli.writers import OutputFolder
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.recording import reading_options

if TYPE_CHECKING:
    from ecgclip.plot.page import Page

PICTURES = ("svg", "pdf", "png")


@app.command()
def plot(
    records: Records,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Ends in .svg, .pdf or .png. Or a folder: a file for each record."
        ),
    ],
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="L", help="3x4, 6x2 or 12x1; with rhythm strips 3x4+3 or 6x2+II,V1; or leads: II,V5. Default: 3x4."
        ),
    ] = None,
    start: Annotated[float, typer.Option(metavar="S", help="When, in seconds, what is shown begins.")] = 0.0,
    seconds: Annotated[float, typer.Option(metavar="S", help="How many seconds are shown.")] = 10.0,
    speed: Annotated[float, typer.Option(metavar="25|50", help="mm/s.")] = 25,
    gain: Annotated[float, typer.Option(metavar="5|10|20", help="mm/mV.")] = 10,
    show: Annotated[
        str | None, typer.Option(metavar="A,B", help="Layers: peaks, waves, st, or all. Default: the ECG alone.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="L", help="Shade what the criteria of this condition read, and answer them.")
    ] = None,
    filtered: Annotated[
        bool, typer.Option("--filtered", help="What is measured, filtered and at 100 Hz, instead of what was recorded.")
    ] = False,
    format: Annotated[str, typer.Option(metavar="|".join(PICTURES), help="Of the files in a folder.")] = "svg",
    knowledge_base: Knowledge = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="Also say the label's probability by this model, or by: default.")
    ] = None,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Draw ECGs true to scale. Several go into one PDF, a page each, or into a folder. No name, no id is written.

    \b
    Example:
      ecgclip plot examples/records/af.hea -o af.svg --show all --label AF
    """
    from ecgclip.plot.draw import View, draw
    from ecgclip.plot.marks import layers_of

    check_format(format, PICTURES)
    view = View(layout, start, seconds, speed, gain, layers_of(show), label, filtered)
    answering = _answering(label, knowledge_base, model)
    sheet = (output.suffix[1:].lower() if _is_file(output) else format) == "pdf"
    notes = RecordNotes()
    with _target(output, format) as add:

        def work(ecg: ECG) -> None:
            add(draw(ecg, view, sheet=sheet, **answering), ecg)
            notes.add(ecg.source or "", ecg.notes)

        reading = reading_options(sampling_rate, unit, leads)
        success = for_each_record(records, work, reading=reading, progress=True)
    notes.print_repeats()
    if not success:
        raise typer.Exit(1)


def _answering(label: str | None, knowledge_base: Path | None, model: str | None) -> dict[str, Any]:
    """What answers for a label, loaded once for all records: the knowledge base, or a model with its own."""
    if label is None:
        return {}
    from ecgclip.plot.condition import understood

    if model is not None:
        from ecgclip.model import load_model

        network = load_model(None if model == "default" else model, knowledge_base)
        understood(label, network.kb)
        return {"model": network}
    from ecgclip.knowledge import KnowledgeBase

    base = KnowledgeBase.load(knowledge_base)
    understood(label, base)
    return {"base": base}


def _is_file(output: Path) -> bool:
    return not os.path.isdir(output) and output.suffix.lower()[1:] in PICTURES


@contextmanager
def _target(output: Path, format: str) -> Iterator[Callable[[Page, ECG], None]]:
    """Give a function that writes the page of a record: into the file, or as a file of the folder."""
    from ecgclip.plot.page import pages_of

    if _is_file(output):
        with pages_of(output) as add:
            yield lambda page, ecg: add(page)
        return
    if output.suffix and not os.path.isdir(output):
        raise EcgclipError(f"{output}: a picture ends in .svg, .pdf or .png; a folder for several has no ending")
    folder = OutputFolder(output, f".{format}", "picture")

    def write(page: Page, ecg: ECG) -> None:
        path = folder.path(ecg.source or "ECG")
        with pages_of(path) as add:
            add(page)
        typer.echo(path)

    yield write
