"""index, search, similar."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgclip.cli.app import app, index
from ecgclip.cli.options import Format, Index, Model, Neighbours, Out, Output, Picture, Records, Where, _known
from ecgclip.cli.output import FOUND, _error, _found_table, _note, _output, _pace, _words
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.wfdb import read_ecg

if TYPE_CHECKING:
    from ecgclip.index.archive import ECGIndex, Hit
    from ecgclip.model.clip import ECGCLIP


@index.command("build")
def index_build(
    records: Records,
    output: Out,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; default: one a core.")] = None,
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
) -> None:
    """Embed records into a new index, or add to one: what is unchanged, or has only moved, is not embedded again.

    Interrupted, it goes on where it stopped when run again. PTB-XL's table of reports is found by itself.

    \b
    Example:
      ecgclip index build examples/records -o my_index
    """
    from ecgclip.index.archive import ECGIndex

    with _pace() as advance:
        made = ECGIndex.build(
            records, output, model=model, workers=workers, engine=engine, kind=kind, facts=facts, progress=advance
        )
    c = made.last
    typer.echo(
        f"{output}: {made.info()['records']:,} records "
        f"({c.added} added, {c.changed} changed, {c.moved} moved, {c.unchanged} unchanged)"
    )
    if c.failed:
        typer.echo(f"error: {c.failed} records could not be read: {output / 'unreadable.csv'}", err=True)
        raise typer.Exit(1)


@index.command("remove")
def index_remove(
    index: Index,
    records: Annotated[list[str] | None, typer.Argument(metavar="RECORD", help="Records or folders to forget.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Those whose files are gone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Even if more than a tenth are missing.")] = False,
) -> None:
    """Forget records; their files are left alone.

    \b
    Example:
      ecgclip index remove examples/records/af.hea --index my_index
    """
    from ecgclip.index.archive import ECGIndex

    if not records and not missing:
        raise EcgclipError("nothing to remove: name records or folders, or give --missing")
    made = ECGIndex.open(index)
    typer.echo(f"{index}: {made.remove(records or (), missing=missing, yes=yes).removed} records removed")


@index.command("info")
def index_info(directory: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Kind, sizes, expected recall; the files are checked on the way.

    \b
    Example:
      ecgclip index info my_index
    """
    from ecgclip.index.archive import ECGIndex

    for key, value in ECGIndex.open(directory).info().items():
        typer.echo(
            f"{key.replace('_', ' '):<16} {f'{value:,}' if isinstance(value, int) else '–' if value is None else value}"
        )


@app.command()
def search(
    index: Index,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Conditions in words.")] = None,
    k: Neighbours = 10,
    where: Where = None,
    like: Annotated[str | None, typer.Option(metavar="RECORD", help="Near this ECG (too).")] = None,
    without: Annotated[str | None, typer.Option("--not", metavar="TEXT", help="Leave out ECGs with this.")] = None,
    format: Format = "table",
    output: Output = None,
    plot: Picture = None,
    model: Model = None,
) -> None:
    """Find ECGs by words, by another ECG, or by both.

    \b
    Example:
      ecgclip search "atrial fibrillation with left bundle branch block" --index my_index -k 5
    """
    _known(format)
    cases = _open_index(index, model)
    example = _example(like) if like else None
    for words, lead in ((text, ""), (without, "left out: ")):
        note = cases.model.prompt(words).note if words else ""
        if words and (lead or note):
            _note(f"{lead}{words}" + (f": {note}" if note else ""))
    _found(cases.search(text, like=example, without=without, k=k, where=where), format, output, plot)


@app.command()
def similar(
    record: Annotated[str, typer.Argument(metavar="RECORD")],
    index: Index,
    k: Neighbours = 10,
    where: Where = None,
    format: Format = "table",
    output: Output = None,
    plot: Picture = None,
    model: Model = None,
) -> None:
    """The ECGs most like one, and what they have in common.

    \b
    Example:
      ecgclip similar examples/records/af.hea --index my_index
    """
    _known(format)
    cases = _open_index(index, model)
    hits = cases.search(like=_example(record), k=k, where=where)
    _found(hits, format, output, plot, shared=True)


def _example(record: str) -> ECG:
    """A record to search with; one that cannot be read is a failed record, not misuse."""
    try:
        return read_ecg(record)
    except EcgclipError as error:
        _error(error)
        raise typer.Exit(1) from None


def _open_index(folder: Path, model: str | ECGCLIP | None) -> ECGIndex:
    from ecgclip.index.archive import ECGIndex

    return ECGIndex.open(folder, model)


def _found(hits: list[Hit], format: str, output: Path | None, plot: Path | None, shared: bool = False) -> None:
    with _output(output) as out:
        rows = [hit.to_dict() for hit in hits]
        if format == "json":
            out.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        elif format == "csv":
            table = csv.DictWriter(out, FOUND, lineterminator="\n")
            table.writeheader()
            table.writerows({**row, "labels": "; ".join(row["labels"])} for row in rows)
        else:
            _found_table(rows, out, shared)
    if plot is not None:  # after the answer, which it must not cost
        _plot(hits, plot)


def _plot(hits: list[Hit], picture: Path) -> None:
    from ecgclip.plot import MOST, plot_ecgs

    drawn = []
    for hit in hits[:MOST]:
        try:
            drawn.append((hit, read_ecg(hit.file)))
        except EcgclipError as error:
            _note(f"not drawn: {error}")
    if len(hits) > MOST:
        _note(f"the picture holds the first {MOST} of {len(hits)}")
    if not drawn:
        raise EcgclipError("nothing was found that could be plotted")
    titles = [f"{hit.rank}  {hit.score:.3f}  {hit.record}  {_words(hit.to_dict())}" for hit, _ in drawn]
    plot_ecgs([ecg for _, ecg in drawn], titles, picture, starts=[hit.start_s for hit, _ in drawn])
