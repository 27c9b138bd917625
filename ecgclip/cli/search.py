"""The commands index, search and similar: an archive of ECGs to search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgclip.cli.app import app, index_app
from ecgclip.cli.inputs import check_format
from ecgclip.cli.lines import case_words
from ecgclip.cli.messages import print_error, print_note, print_skipped
from ecgclip.cli.options import (
    FORMATS,
    Count,
    Device,
    Format,
    IndexFolder,
    Leads,
    Model,
    OneRecord,
    OutputFile,
    OutputFolder,
    Plot,
    RecordFiles,
    SamplingRate,
    Unit,
    Where,
)
from ecgclip.cli.progress import progress_bar
from ecgclip.cli.writers import output_file, write_hits
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.io.recording import reading_options

if TYPE_CHECKING:
    from ecgclip.index import ECGIndex, Hit


@index_app.command("build")
def index_build(
    records: RecordFiles,
    output: OutputFolder,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; default: one per core.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="ray: over the machines of a Ray cluster.")
    ] = "local",
    kind: Annotated[
        str, typer.Option(metavar="auto|exact|ivf", help="exact up to 100,000 windows, compressed beyond.")
    ] = "auto",
    facts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV: record, and any of report, labels (a;b), age, sex and columns of your own."
        ),
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Embed records into a new index, or add to one: what is unchanged, or has only moved, is not embedded again.

    Interrupted, it goes on where it stopped when run again. PTB-XL's table of reports is found automatically.

    \b
    Example:
      ecgclip index build examples/records -o my_index
    """
    from ecgclip.index import ECGIndex
    from ecgclip.model import load_model

    with progress_bar() as advance:
        index = ECGIndex.build(
            records,
            output,
            model=load_model(model, device=device),
            workers=workers,
            engine=engine,
            kind=kind,
            facts=facts,
            reading=reading_options(sampling_rate, unit, leads),
            progress=advance,
        )
    _print_change(index)


def _print_change(index: ECGIndex) -> None:
    change = index.last
    print_skipped(change.skipped)
    removed = f", {change.removed} removed" if change.removed else ""  # by files that hold fewer ECGs now
    typer.echo(
        f"{index.folder}: {index.info()['records']:,} records ({change.added} added, {change.changed} changed, "
        f"{change.moved} moved, {change.unchanged} unchanged{removed})"
    )
    if change.failed:
        typer.echo(f"error: {change.failed} records could not be read: {index.folder / 'unreadable.csv'}", err=True)
        raise typer.Exit(1)


@index_app.command("remove")
def index_remove(
    index: IndexFolder,
    records: Annotated[list[str] | None, typer.Argument(metavar="RECORD", help="Records or folders to forget.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Forget records whose files are gone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Even if more than a tenth are missing.")] = False,
) -> None:
    """Forget records; their files are left alone.

    \b
    Example:
      ecgclip index remove examples/records/af.hea --index my_index
    """
    from ecgclip.index import ECGIndex

    if not records and not missing:
        raise EcgclipError("nothing to remove: name records or folders, or give --missing")
    change = ECGIndex.open(index).remove(records or (), missing=missing, yes=yes)
    typer.echo(f"{index}: {change.removed} records removed")


@index_app.command("info")
def index_info(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")]) -> None:
    """Kind, sizes, expected recall; the files are checked on the way.

    \b
    Example:
      ecgclip index info my_index
    """
    from ecgclip.index import ECGIndex

    for key, value in ECGIndex.open(directory).info().items():
        text = f"{value:,}" if isinstance(value, int) else "–" if value is None else value
        typer.echo(f"{key.replace('_', ' '):<16} {text}")


@app.command()
def search(
    index: IndexFolder,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Conditions in words.")] = None,
    k: Count = 10,
    where: Where = None,
    like: Annotated[str | None, typer.Option(metavar="RECORD", help="Rank by likeness to this ECG, too.")] = None,
    without: Annotated[str | None, typer.Option("--not", metavar="TEXT", help="Leave out ECGs with this.")] = None,
    format: Format = "table",
    output: OutputFile = None,
    plot: Plot = None,
    model: Model = None,
    device: Device = "cpu",
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Find ECGs by words, by another ECG, or by both.

    \b
    Example:
      ecgclip search "atrial fibrillation with left bundle branch block" --index my_index -k 5
    """
    from ecgclip.index import ECGIndex
    from ecgclip.index.search import query_notes
    from ecgclip.model import load_model

    check_format(format, FORMATS)
    cases = ECGIndex.open(index, load_model(model, device=device))
    example = _read_example(like, reading_options(sampling_rate, unit, leads)) if like else None
    for note in query_notes(cases.model, text, without):
        print_note(note)
    _answer(cases, cases.search(text, like=example, without=without, k=k, where=where), format, output, plot)


@app.command()
def similar(
    record: OneRecord,
    index: IndexFolder,
    k: Count = 10,
    where: Where = None,
    format: Format = "table",
    output: OutputFile = None,
    plot: Plot = None,
    model: Model = None,
    device: Device = "cpu",
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """The ECGs most like one, and what they have in common.

    \b
    Example:
      ecgclip similar examples/records/af.hea --index my_index
    """
    from ecgclip.index import ECGIndex
    from ecgclip.model import load_model

    check_format(format, FORMATS)
    cases = ECGIndex.open(index, load_model(model, device=device))
    example = _read_example(record, reading_options(sampling_rate, unit, leads))
    _answer(cases, cases.search(like=example, k=k, where=where), format, output, plot, common=True)


def _read_example(record: str, reading: dict[str, Any]) -> ECG:
    """The record to search with. One that cannot be read is a failed record (exit code 1), not misuse."""
    try:
        return read_ecg(record, **reading)
    except EcgclipError as error:
        print_error(error)
        raise typer.Exit(1) from None


def _answer(
    cases: ECGIndex, hits: list[Hit], format: str, output: Path | None, plot: Path | None, common: bool = False
) -> None:
    with output_file(output) as out:
        write_hits([hit.to_dict() for hit in hits], format, out, common)
    if plot is not None:  # last, as a failure here must not cost the answer
        _plot_hits(cases, hits, plot)


def _plot_hits(cases: ECGIndex, hits: list[Hit], file: Path) -> None:
    from ecgclip.plot.found import MAX_ECGS, plot_ecgs

    drawn = []
    for hit in hits[:MAX_ECGS]:
        try:
            drawn.append((hit, cases.read(hit)))
        except EcgclipError as error:
            print_note(f"not drawn: {error}")
    if len(hits) > MAX_ECGS:
        print_note(f"the picture holds the first {MAX_ECGS} of {len(hits)}")
    if not drawn:
        raise EcgclipError("nothing was found that could be plotted")
    titles = [f"{hit.rank}  {hit.score:.3f}  {hit.record}  {case_words(hit.to_dict())}" for hit, _ in drawn]
    plot_ecgs([ecg for _, ecg in drawn], titles, file, starts=[hit.start_s for hit, _ in drawn])
