"""The command report: a page on each record, HTML or PDF."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgclip.cli.app import app
from ecgclip.cli.inputs import choose_labels
from ecgclip.cli.messages import RecordNotes
from ecgclip.cli.options import Device, Knowledge, LabelSetFile, LabelsFile, Leads, Model, Records, SamplingRate, Unit
from ecgclip.cli.progress import for_each_record
from ecgclip.cli.writers import OutputFolder, output_file
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.recording import reading_options

if TYPE_CHECKING:
    from ecgclip.model import Embedding, Result
    from ecgclip.report import Report, Reporter


@app.command()
def report(
    records: Records,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Ends in .html or .pdf. Or a folder: a file for each record."
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(metavar="A,B", help="Conditions to report however probable they are.")
    ] = None,
    labels_file: LabelsFile = None,
    label_set: LabelSetFile = None,
    index: Annotated[Path | None, typer.Option(metavar="DIR", help="Also the nearest cases of an index.")] = None,
    language: Annotated[str, typer.Option(metavar="en|de", help="Language of the report.")] = "en",
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", help="Probability from which on a condition is stated; default: the model's own."),
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    knowledge_base: Knowledge = None,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """A page on each ECG: the drawing, measurements, conditions with their criteria, and quality. Nobody is named.

    \b
    Example:
      ecgclip report examples/records/af.hea -o af.html --labels AF,STEMI
    """
    _check_output(output)
    chosen, concepts = choose_labels(labels, labels_file, label_set)
    reading = reading_options(sampling_rate, unit, leads)
    from ecgclip.model import load_model
    from ecgclip.plot.page import own_settings
    from ecgclip.report import Reporter

    network = load_model(model, knowledge_base, device)
    cases = None
    if index is not None:
        from ecgclip.index import ECGIndex

        cases = ECGIndex.open(index, network)
    reporter = Reporter(network, chosen or (), concepts, threshold, language, cases, sheet=_ending(output) == ".pdf")
    notes = RecordNotes()
    with own_settings(), _pages(output, reporter) as add:
        success = _report_records(records, reading, reporter, add, notes)
    notes.print_repeats()
    if not success:
        raise typer.Exit(1)


def _report_records(
    patterns: list[str], reading: dict[str, Any], reporter: Reporter, add: Callable[[Report], None], notes: RecordNotes
) -> bool:
    """Add the report of each record."""
    drawn: dict[str, ECG] = {}  # those that were read and wait for their report

    def score(records: list[str], read: Callable[[str], ECG]) -> Iterator[tuple[str, Any]]:
        def keep(record: str) -> ECG:
            drawn[record] = read(record)
            return drawn[record]

        for record, scored in reporter.model.score_each(records, reporter.prompts, read=keep):
            ecg = drawn.pop(record, None)
            yield record, scored if isinstance(scored, Exception) else (ecg, *scored)

    def work(scored: tuple[ECG, Embedding, Result]) -> None:
        add(reporter.report(*scored))
        notes.add(scored[1].record, scored[1].notes)

    return for_each_record(patterns, work, reading=reading, embed=score, progress=True)


def _ending(output: Path) -> str:
    """The ending of a file's name; empty for a folder."""
    return "" if os.path.isdir(output) else output.suffix.lower()


def _check_output(output: Path) -> None:
    if _ending(output) not in ("", ".html", ".pdf"):
        raise EcgclipError(f"{output}: a report ends in .html or .pdf; a folder for several has no ending")


@contextmanager
def _pages(output: Path, reporter: Reporter) -> Iterator[Callable[[Report], None]]:
    """Give a function that writes the report of a record: into the file, or as a file of the folder."""
    from ecgclip.report import html_article, html_page

    if not _ending(output):
        folder = OutputFolder(output, ".html", "report")

        def write(report: Report) -> None:
            folder.write(report.ecg.source or "ECG", _page_of(report, reporter))

        yield write
    elif _ending(output) == ".pdf":
        with _sheets(output, reporter) as add:
            yield add
    else:
        articles: list[tuple[str, Any]] = []
        with output_file(output) as out:
            yield lambda report: articles.append(
                (report.name, html_article(report, reporter.language, len(articles) + 1))
            )
            if not articles:
                raise typer.Exit(1)  # and no file
            out.write(html_page(articles, reporter))


def _page_of(report: Report, reporter: Reporter) -> str:
    """The page of one record alone."""
    from ecgclip.report import html_article, html_page

    return html_page([(report.name, html_article(report, reporter.language))], reporter)


@contextmanager
def _sheets(output: Path, reporter: Reporter) -> Iterator[Callable[[Report], None]]:
    from ecgclip.plot.page import pages_of
    from ecgclip.report.pdf import text_pages

    with pages_of(output) as add:

        def write(report: Report) -> None:
            assert not isinstance(report.picture, str)  # as a reporter draws it
            for page in (report.picture, *text_pages(_page_of(report, reporter), report.name)):
                add(page)

        yield write
