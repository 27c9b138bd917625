"""The commands classify and describe: scores and sentences on records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgclip.cli.app import app
from ecgclip.cli.inputs import check_format, choose_labels
from ecgclip.cli.messages import RecordNotes, print_note
from ecgclip.cli.options import (
    FORMATS,
    Device,
    Format,
    Knowledge,
    LabelSetFile,
    LabelsFile,
    Leads,
    Model,
    OutputFile,
    Records,
    SamplingRate,
    Unit,
)
from ecgclip.cli.progress import for_each_record
from ecgclip.cli.writers import output_file, score_writer, sentence_writer
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.recording import reading_options

if TYPE_CHECKING:
    from ecgclip.index import ECGIndex
    from ecgclip.model import ECGCLIP, Embedding, Prompt, Result

TOP = 10  # conditions shown where no labels are given


@app.command()
def classify(
    records: Records,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Conditions in words or abbreviations; put one that contains a comma in quotes."
        ),
    ] = None,
    labels_file: LabelsFile = None,
    label_set: LabelSetFile = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=f"Only the N most likely; {TOP} without labels.")
    ] = None,
    format: Format = "table",
    output: OutputFile = None,
    no_enrich: Annotated[
        bool, typer.Option("--no-enrich", help="Ask with the bare label, without the knowledge base.")
    ] = False,
    softmax: Annotated[
        bool, typer.Option("--softmax", help="Exactly one label is true: probabilities sum to 1.")
    ] = False,
    model: Model = None,
    device: Device = "cpu",
    knowledge_base: Knowledge = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print the evidence behind each score, in numbers.")
    ] = False,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --explain: the nearest cases of an index too.")
    ] = None,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="With --explain: patient ids instead of a salted hash of each.")
    ] = False,
) -> None:
    """Score ECGs for conditions in words; without labels, for all conditions that the model was trained on.

    \b
    Example:
      ecgclip classify examples/records/af.hea --labels AF,STEMI
    """
    check_format(format, FORMATS)
    _check_explain(explain, index, format, keep_ids)
    chosen, concepts = choose_labels(labels, labels_file, label_set)
    reading = reading_options(sampling_rate, unit, leads, keep_ids)
    notes = RecordNotes()
    with output_file(output) as out:
        from ecgclip.explain.answers import Classifier
        from ecgclip.model import load_model

        network = load_model(model, knowledge_base, device)
        cases = _open_index(index, network) if index else None
        prompts = network.prompts(chosen, enrich=not no_enrich, concepts=concepts)
        if chosen is not None and format != "table":  # a table has a column for them
            _print_prompt_notes(prompts)
        top = top or (TOP if chosen is None else None)
        classifier = Classifier(network, prompts, top, chosen is None, explain, cases)
        writer = score_writer(format, out)

        def answer(scored: tuple[Embedding, Result]) -> None:
            notes.add(scored[0].record, scored[0].notes)
            writer.write(classifier.answer(*scored))

        success = _score_records(network, prompts, softmax, records, reading, answer, output)
        writer.end()
    notes.print_repeats()
    if not success:
        raise typer.Exit(1)


def _check_explain(explain: bool, index: Path | None, format: str, keep_ids: bool) -> None:
    if index is not None and not explain:
        raise EcgclipError("--index goes with --explain")
    if keep_ids and not explain:
        raise EcgclipError("--keep-ids goes with --explain; without it, no id is printed")
    if explain and format == "csv":
        raise EcgclipError("--explain goes with --format table or json; the columns of csv are fixed")


def _open_index(folder: Path, network: ECGCLIP) -> ECGIndex:
    from ecgclip.index import ECGIndex

    return ECGIndex.open(folder, network)


def _print_prompt_notes(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        if prompt.note:
            print_note(f"{prompt.label}: {prompt.note}")


@app.command()
def describe(
    records: Records,
    format: Annotated[str, typer.Option(metavar="table|json", help="What to print.")] = "table",
    output: OutputFile = None,
    language: Annotated[str, typer.Option(metavar="en|de", help="Language of the sentences.")] = "en",
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", help="Lowest probability of a sentence; default: the model's own threshold."),
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Report-like sentences, each with its probability and its concept.

    \b
    Example:
      ecgclip describe examples/records/af.hea
    """
    check_format(format, ("table", "json"))
    reading = reading_options(sampling_rate, unit, leads)
    with output_file(output) as out:
        from ecgclip.explain.answers import Description
        from ecgclip.explain.sentences import check_options, sentences
        from ecgclip.model import load_model

        network = load_model(model, device=device)
        check_options(threshold, language)
        writer = sentence_writer(format, out)
        notes = RecordNotes()

        def answer(scored: tuple[Embedding, Result]) -> None:
            embedding, result = scored
            notes.add(embedding.record, embedding.notes)
            stated = sentences(network, embedding, result, threshold=threshold, language=language)
            writer.write(Description(embedding.record, stated))

        success = _score_records(network, network.prompts(None), False, records, reading, answer, output)
        writer.end()
    if not success:
        raise typer.Exit(1)


def _score_records(
    network: ECGCLIP,
    prompts: list[Prompt],
    softmax: bool,
    patterns: list[str],
    reading: dict[str, Any],
    answer: Callable[[tuple[Embedding, Result]], None],
    output: Path | None,
) -> bool:
    """Call `answer` on each record's embedding and scores; a bar is shown unless the answers go to the terminal."""

    def score(records: list[str], read: Callable[[str], ECG]) -> Iterator[tuple[str, Any]]:
        return network.score_each(records, prompts, softmax, read)

    progress = output is not None or not sys.stdout.isatty()
    return for_each_record(patterns, answer, reading=reading, embed=score, progress=progress)
