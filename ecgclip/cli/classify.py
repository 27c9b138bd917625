"""classify, describe."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgclip.cli.app import app
from ecgclip.cli.options import NEIGHBOURS, TOP, Format, Knowledge, Model, Output, Records, _known, _labels
from ecgclip.cli.output import _Csv, _Description, _each, _Json, _note, _output, _SentenceTable, _Table
from ecgclip.cli.search import _open_index
from ecgclip.ecg import EcgclipError

if TYPE_CHECKING:
    from ecgclip.index.archive import Hit
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.prompts import Prompt
    from ecgclip.model.results import Embedding, Result


@app.command()
def classify(
    records: Records,
    labels: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Conditions in words or abbreviations; one with a comma in quotes."),
    ] = None,
    labels_file: Annotated[
        Path | None, typer.Option(metavar="F", help="A label a line; lines with # are comments.")
    ] = None,
    label_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="A shipped set such as ptb-xl-super, or a YAML file.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=f"Only the N most likely; {TOP} without labels.")
    ] = None,
    format: Format = "table",
    output: Output = None,
    no_enrich: Annotated[
        bool, typer.Option("--no-enrich", help="Ask with the bare label, without the knowledge base.")
    ] = False,
    softmax: Annotated[
        bool, typer.Option("--softmax", help="Exactly one label is true: probabilities sum to 1.")
    ] = False,
    model: Model = None,
    knowledge_base: Knowledge = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also what lies behind each score, as numbers.")] = False,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --explain: the nearest cases of an index too.")
    ] = None,
) -> None:
    """Score ECGs for conditions in words; without labels, for all conditions that training had ECGs of.

    \b
    Example:
      ecgclip classify examples/records/af.hea --labels AF,STEMI
    """
    _known(format)
    if index is not None and not explain:
        raise EcgclipError("--index goes with --explain")
    if explain and format == "csv":
        raise EcgclipError("--explain goes with --format table or json; the columns of csv are fixed")
    chosen, concepts = _labels(labels, labels_file, label_set)
    with _output(output) as out:
        from ecgclip.model.results import ranking
        from ecgclip.model.store import load_model

        network = load_model(model, knowledge_base)
        cases = _open_index(index, network) if index else None
        prompts = network.prompts(chosen, enrich=not no_enrich, concepts=concepts)
        if format != "table" and chosen is not None:
            for prompt in prompts:
                if prompt.note:
                    _note(f"{prompt.label}: {prompt.note}")
        keep = top or (TOP if chosen is None else None)
        notes: Counter[str] = Counter()
        write: Any = {"table": _Table, "json": _Json, "csv": _Csv}[format](out)

        def answer(embedding: Embedding) -> None:
            result = network.score(embedding, prompts, softmax=softmax)
            asked = prompts
            if keep is not None:
                best = ranking(result.scores, keep, chosen is None)
                result = replace(result, scores=tuple(result.scores[i] for i in best))
                asked = [prompts[i] for i in best]
            for note in embedding.notes:
                notes[note] += 1
                if notes[note] == 1:
                    _note(f"{embedding.record}: {note}")
            near = cases.search(like=embedding, k=NEIGHBOURS) if cases else None
            write(result, _explanation(network, embedding, asked, result, near) if explain else None)

        well = _each(records, answer, output is not None or not sys.stdout.isatty(), network.embed_each)
        write.end()
    for note, count in notes.items():
        if count > 1:
            _note(f"{count - 1} more: {note}")
    if not well:
        raise typer.Exit(1)


def _explanation(
    model: ECGCLIP, embedding: Embedding, prompts: list[Prompt], result: Result, near: list[Hit] | None
) -> tuple[list[dict], dict[str, Any]]:
    """What lies behind each score, and of the record its measurements and its nearest cases in an index."""
    from ecgclip.explain.evidence import explain, summary

    scores, record = explain(model, embedding, prompts, result), {"measurements": summary(embedding.measurements)}
    if near is not None:
        from ecgclip.index.archive import shared

        record["cases"] = [hit.to_dict() for hit in near]
        for score, prompt in zip(scores, prompts, strict=True):
            counts = shared(near, prompt.concept.id, model.kb) if prompt.concept and not prompt.denied else None
            score["cases"] = {"with_label": counts[0], "labelled": counts[1]} if counts else None
    return scores, record


@app.command()
def describe(
    records: Records,
    format: Annotated[str, typer.Option(metavar="table|json", help="What to print.")] = "table",
    output: Output = None,
    language: Annotated[str, typer.Option(metavar="en|de", help="Of the sentences.")] = "en",
    threshold: Annotated[
        float | None, typer.Option(metavar="P", help="Least probability of a sentence; default: the model's own.")
    ] = None,
    model: Model = None,
) -> None:
    """Report-like sentences, each with its probability and its concept.

    \b
    Example:
      ecgclip describe examples/records/af.hea
    """
    if format not in ("table", "json"):
        raise EcgclipError(f"unknown --format {format!r}: table, json")
    with _output(output) as out:
        from ecgclip.explain.sentences import check, describe
        from ecgclip.model.store import load_model

        network = load_model(model)
        check(threshold, language)
        write: Any = {"table": _SentenceTable, "json": _Json}[format](out)
        noted: set[str] = set()

        def answer(embedding: Embedding) -> None:
            for note in embedding.notes:
                if note not in noted:  # of many records from one device the first says it for all
                    noted.add(note)
                    _note(f"{embedding.record}: {note}")
            write(_Description(embedding.record, describe(network, embedding, threshold=threshold, language=language)))

        well = _each(records, answer, output is not None or not sys.stdout.isatty(), network.embed_each)
        write.end()
    if not well:
        raise typer.Exit(1)
