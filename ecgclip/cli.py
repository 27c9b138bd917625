"""The command line: parses, calls the package, prints. Results go to stdout; notes, errors and progress to stderr.

Exit codes: 0 all well, 1 a record failed (the others were answered), 2 misuse or a broken installation, 130 interrupted,
143 terminated.
Whatever is slow to import waits inside the command that needs it.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ecgclip.ecg import ECG, LEADS, EcgclipError, find_records, read_ecg
from ecgclip.files import replacing

if TYPE_CHECKING:
    from ecgclip.describe import Sentence
    from ecgclip.index import ECGIndex, Hit
    from ecgclip.model import ECGCLIP, Embedding, Prompt, Result
    from ecgclip.train import Recipe

DISCLAIMER = "Research software, not a medical device."
FORMATS = ("table", "json", "csv")
NEIGHBOURS = 10  # cases of an index beside an explanation
TOP = 10  # concepts shown where no labels are given
FOUND = ("rank", "score", "record", "start_s", "report", "labels", "measure")
COLUMNS = (
    *("record", "label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"),
    "used_s",
)

options: dict[str, Any] = {
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(name="ecgclip", pretty_exceptions_enable=False, **options)
kb = typer.Typer(help="Look at the clinical knowledge base.", **options)
train = typer.Typer(help="Train a model of one's own: first `text`, then `clip`.", **options)
evaluate = typer.Typer(help="Measure a model on a data set.", **options)
index = typer.Typer(help="Make and keep an index of ECGs to search.", **options)
app.add_typer(kb, name="kb")
app.add_typer(train, name="train")
app.add_typer(evaluate, name="eval")
app.add_typer(index, name="index")

Model = Annotated[
    str | None, typer.Option(metavar="M", help="Folder or Hugging Face repo id; default: the shipped weights.")
]
Knowledge = Annotated[Path | None, typer.Option(metavar="DIR", help="A knowledge base of one's own.")]
Records = Annotated[list[str], typer.Argument(metavar="RECORD", help="WFDB header (.hea or without), folder, or glob.")]
Out = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds the recipe's data sets.")]
Index = Annotated[Path, typer.Option("--index", metavar="DIR", help="What `ecgclip index build` made.")]
Format = Annotated[str, typer.Option(metavar="|".join(FORMATS), help="What to print.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead; whole or not at all.")
]
Neighbours = Annotated[int, typer.Option("-k", metavar="K", min=1, help="How many.")]
Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Only those, such as \"age > 60 and sex = 'F'\"; checked before the ranking."),
]
Picture = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw what was found.")]
Threads = Annotated[int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: torch's choice.")]
DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")]
DataSet = Annotated[str, typer.Option(metavar="NAME", help="ptb-xl, challenge-2020, challenge-2017 …")]
LabelSet = Annotated[
    str, typer.Option(metavar="NAME", help="Such as ptb-xl-super; annotated: all that the data set names.")
]
Fold = Annotated[
    str | None,
    typer.Option(metavar="N[,N]", help="Of PTB-XL, by default the published 10; of mitdb 1 or 2 (DS1, DS2)."),
]
Least = Annotated[int, typer.Option(metavar="N", min=1, help="Positives that a label needs for the macro average.")]
LabelledOnly = Annotated[
    bool, typer.Option("--labelled-only", help="Without records that have no label of the set, as PTB-XL's benchmarks.")
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped one: default.")
]


def main() -> None:
    """The entry point `ecgclip`: no command ends in a traceback (ECGCLIP_DEBUG=1 shows it)."""
    warnings.filterwarnings("ignore", module="ecgclip")  # what reading assumed is printed as notes
    if getattr(sys.stdout, "errors", "") == "strict":  # a pipe or file on Windows may have no → in its code page
        sys.stdout.reconfigure(errors="backslashreplace")
    process = os.getpid()

    def stop(*_: object) -> None:
        """Leave as by an exception, so that what is half written goes."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one does not wait
        if os.getpid() != process:  # a worker that was forked from us
            os._exit(143)
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        app(prog_name="ecgclip")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("ECGCLIP_DEBUG"):
            raise
        _error(error)
        sys.exit(2)
    finally:
        signal.signal(signal.SIGTERM, before)


def _version(wanted: bool) -> None:
    if wanted:
        import ecgclip

        typer.echo(f"ecgclip {ecgclip.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Classify ECGs by words. Research software, not a medical device."""


# --- classify ---------------------------------------------------------------------------------------------------------


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
        from ecgclip.model import load_model, ranking

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


def _labels(
    labels: str | None, labels_file: Path | None, label_set: str | None
) -> tuple[list[str] | None, dict[str, str] | None]:
    """The labels asked for (None: all that training had) and the concepts that a label set fixes them to."""
    if sum(x is not None for x in (labels, labels_file, label_set)) > 1:
        raise EcgclipError("give one of --labels, --labels-file and --label-set")
    if label_set is not None:
        from ecgclip.knowledge import load_label_set

        concepts = load_label_set(label_set)["labels"]
        return list(concepts), concepts
    if labels is not None:
        if labels.count('"') % 2:
            raise EcgclipError(
                f"--labels {labels[:60]!r}: a quote is not closed; a label that has a comma stands in two"
            )
        (row,) = csv.reader([" ".join(labels.split())], skipinitialspace=True)
        return [label.strip() for label in row or [""]], None
    if labels_file is None:
        return None, None
    try:
        lines = labels_file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EcgclipError(f"{labels_file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EcgclipError(f"{labels_file}: not a text file in UTF-8") from None
    chosen = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not chosen:
        raise EcgclipError(f"{labels_file}: no labels in it (a label a line)")
    return chosen, None


def _explanation(
    model: ECGCLIP, embedding: Embedding, prompts: list[Prompt], result: Result, near: list[Hit] | None
) -> tuple[list[dict], dict[str, Any]]:
    """What lies behind each score, and of the record its measurements and its nearest cases in an index."""
    from ecgclip.explain import explain, summary

    scores, record = explain(model, embedding, prompts, result), {"measurements": summary(embedding.measurements)}
    if near is not None:
        from ecgclip.index import shared

        record["cases"] = [hit.to_dict() for hit in near]
        for score, prompt in zip(scores, prompts, strict=True):
            counts = shared(near, prompt.concept.id, model.kb) if prompt.concept and not prompt.denied else None
            score["cases"] = {"with_label": counts[0], "labelled": counts[1]} if counts else None
    return scores, record


class _Csv:
    def __init__(self, out: TextIO):
        self.out, self.rows = out, csv.writer(out, lineterminator="\n")
        self.rows.writerow(COLUMNS)

    def __call__(self, result: Result, explanation: None = None) -> None:
        for s in result.scores:
            numbers = [f"{x:.6g}" for x in (s.probability, s.similarity, s.max_probability, s.burden)]
            trained = "" if s.trained is None else str(s.trained).lower()
            self.rows.writerow(
                [result.record, s.label, s.concept or "", *numbers, trained, s.note, f"{result.used_s:g}"]
            )
        self.out.flush()

    def end(self) -> None:
        pass


class _Json:
    def __init__(self, out: TextIO):
        self.out, self.before = out, "[\n"

    def __call__(self, result: Result, explanation: tuple[list[dict], dict[str, Any]] | None = None) -> None:
        entry = result.to_dict()
        if explanation:
            scores, record = explanation
            entry |= record
            entry["scores"] = [{**s, "explain": e} for s, e in zip(entry["scores"], scores, strict=True)]
        self.out.write(self.before + json.dumps(entry, ensure_ascii=False))
        self.out.flush()
        self.before = ",\n"

    def end(self) -> None:
        self.out.write("[]\n" if self.before == "[\n" else "\n]\n")


class _Table:
    def __init__(self, out: TextIO):
        from rich.console import Console

        # names come from files and users: never markup
        width = None if out.isatty() else 110
        self.console = Console(file=out, markup=False, emoji=False, highlight=False, width=width)
        self.any = False

    def __call__(self, result: Result, explanation: tuple[list[dict], dict[str, Any]] | None = None) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        many = len(result.windows) > 1
        rests = [f"{len(result.windows)} windows"] * many
        if result.used_s < result.seconds:
            rests.append(f"{result.used_s:.1f} of {result.seconds:.1f} s used")
        self._line(f"{result.record} ({', '.join([*result.leads, *rests])})")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("label", overflow="fold")
        table.add_column("concept", overflow="fold")
        table.add_column("probability", justify="right")
        table.add_column("similarity", justify="right")
        if many:
            table.add_column("highest window", justify="right")
            table.add_column("burden", justify="right")
        noted = any(s.note for s in result.scores)
        if noted:
            table.add_column("note", overflow="fold")
        for s in result.scores:
            row = [s.label, s.concept or "–", f"{s.probability:.3f}", f"{s.similarity:+.3f}"]
            row += [f"{s.max_probability:.3f}", f"{s.burden:.0%}"] * many
            table.add_row(*row, *([s.note] if noted else []))
        self.console.print(table)
        if explanation:
            scores, record = explanation
            for score, behind in zip(result.scores, scores, strict=True):
                for line in _explained(score.label, behind, result.windows):
                    self._line(line)
                self._line("")
            for line in _measured(record["measurements"]):
                self._line(line)
            for case in record.get("cases", ()):
                self._line(f"  {'case':<10} {case['score']:.3f}  {case['record']}  {_words(case)}")
            self._line("")
        self.any = True

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def end(self) -> None:
        if self.any:
            self._line(DISCLAIMER)


def _explained(label: str, behind: dict[str, Any], starts: Sequence[float]) -> Iterator[str]:
    yield (
        f"{label}: {behind['name']}: {behind['definition']}"
        if behind["name"]
        else f"{label}: asked as it stands, without the knowledge base"
    )
    for passage in behind["passages"]:
        if passage["kind"] != "definition":
            yield f"  {passage['kind']:<10} {passage['text']}" + (
                f" [{passage['source']}]" if passage["source"] else ""
            )
    for key, source in behind["sources"].items():
        yield f"  {'source':<10} [{key}] {source}"
    windows = zip(starts, behind["windows"], strict=True)
    yield f"  {'windows':<10} " + ", ".join(f"{start:.0f} s {value:+.3f}" for start, value in windows)
    beats = [
        f"{b['time_s']:.2f} s" + (f" (R-R {b['rr_s']:.2f} s)" if b["rr_s"] else "") + f" {b['similarity']:+.3f}"
        for b in behind["beats"]
    ]
    yield f"  {'beats':<10} " + (", ".join(beats) or "none found")
    if cases := behind.get("cases"):
        yield f"  {'cases':<10} {cases['with_label']} of the {cases['labelled']} nearest with labels share this one"
    leads = [f"{lead} {value:+.3f}" for lead, value in behind["leads"].items() if value is not None]
    yield f"  {'leads':<10} " + (", ".join(leads) + " (lost without the lead)" if leads else "only one")


# --- describe ---------------------------------------------------------------------------------------------------------


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
        from ecgclip.describe import check, describe
        from ecgclip.model import load_model

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


@dataclass(frozen=True)
class _Description:
    record: str
    sentences: list[Sentence]

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip describe --format json`."""
        return {"record": self.record, "sentences": [asdict(s) for s in self.sentences]}


class _SentenceTable(_Table):
    def __call__(self, result: _Description, explanation: None = None) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        self._line(result.record)
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("sentence", overflow="fold")
        table.add_column("probability", justify="right")
        table.add_column("concept", overflow="fold")
        for s in result.sentences:
            table.add_row(s.text, f"{s.probability:.3f}", s.concept)
        self.console.print(table if result.sentences else "\n nothing is probable enough to be said\n")
        self.any = True


# --- indexes ----------------------------------------------------------------------------------------------------------


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
    from ecgclip.index import ECGIndex

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
    from ecgclip.index import ECGIndex

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
    from ecgclip.index import ECGIndex

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


def _known(format: str) -> None:
    if format not in FORMATS:
        raise EcgclipError(f"unknown --format {format!r}: {', '.join(FORMATS)}")


def _open_index(folder: Path, model: str | ECGCLIP | None) -> ECGIndex:
    from ecgclip.index import ECGIndex

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


def _found_table(rows: list[dict[str, Any]], out: TextIO, shared: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    page = _Table(out)
    if not rows:
        page._line("nothing found")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("rank", rows[0]["measure"]):
        table.add_column(name, justify="right")
    for name in ("record", "at", "labels or report"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(str(row["rank"]), f"{row['score']:.3f}", row["record"], f"{row['start_s']:.0f} s", _words(row))
    page.console.print(table)
    counts = Counter(label for row in rows for label in row["labels"])
    labelled = sum(bool(row["labels"]) for row in rows)
    if shared and counts:
        common = ", ".join(f"{label} {n}" for label, n in counts.most_common(6))
        page._line(f"of the {labelled} with labels: {common}\n")
    page._line(DISCLAIMER)


def _words(row: dict[str, Any], most: int = 100) -> str:
    """The labels of a case, or else its report, in a line."""
    text = " ".join((", ".join(row["labels"]) or row["report"]).split())
    return text if len(text) <= most else text[: most - 1] + "…"


@contextmanager
def _pace() -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the rate and the time left; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]} a second")
    columns = (BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as bar:
        task = bar.add_task("records", total=None, rate="–")

        def advance(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.0f}" if speed else "–")

        yield advance


# --- looking at records -----------------------------------------------------------------------------------------------


@app.command()
def info(records: Records) -> None:
    """What was read, assumed, derived and masked; windows, R peaks, measurements, findings, and what they decide alone.

    \b
    Example:
      ecgclip info examples/records/af.hea
    """

    def show(record: str) -> None:
        for line in _info(read_ecg(record)):
            typer.echo(line)

    if not _each(records, show):
        raise typer.Exit(1)
    typer.echo(DISCLAIMER)


def _info(ecg: ECG) -> Iterator[str]:
    from ecgclip.beats import find_beats
    from ecgclip.explain import summary
    from ecgclip.measure import finding_texts, findings, measure_windows
    from ecgclip.prepare import prepare
    from ecgclip.recording import observe

    prepared = prepare(ecg)
    beats = find_beats(prepared)
    measurements = measure_windows(prepared, beats)
    recording = observe(ecg, prepared, beats, measurements)
    age, sex = ecg.metadata["age"], ecg.metadata["sex"]
    patient = ([] if age is None else [f"age {age:.3g}"]) + ([] if sex is None else [sex])
    samples = f"{ecg.signal.shape[1]} samples at {ecg.sampling_rate:g} Hz, {ecg.seconds:.1f} s"
    yield ecg.source or ""
    yield from _row("read", ", ".join([f"{len(ecg.leads)} leads ({' '.join(ecg.leads)})", samples, *patient]))
    for note in ecg.notes:
        yield from _row("assumed" if note.startswith("assumed") else "note", note.removeprefix("assumed "))
    yield from _row("derived", " ".join(prepared.derived) or "no lead")
    masked = [lead for lead, usable in zip(LEADS, prepared.mask.all(0).tolist(), strict=True) if not usable]
    yield from _row("masked", " ".join(masked) or "no lead")
    for note in prepared.notes:
        yield from _row("note", note)
    for start, length, at in zip(prepared.start_s, prepared.length, beats.windows, strict=True):
        times = " ".join(f"{start + p / 100:.2f}" for p in at)
        yield from _row("window", f"{start:.1f} to {start + length / 100:.1f} s, {len(at)} R peaks: {times}")
    yield from _row("used", f"{recording.used_s:.1f} of {recording.seconds:.1f} s")
    yield from _measured(summary(measurements))
    for concept, decision in recording.decides().items():
        yield from _row("decided", f"{concept} {decision.probability:.2f}, {decision.words}")
    found = Counter(key for m in measurements for key, present in findings(m, age, sex).items() if present)
    texts = finding_texts()
    for key, count in found.items():
        share = f" ({count} of {len(measurements)} windows)" if len(measurements) > 1 else ""
        yield from _row("finding", texts[key]["en"][0] + share)
    yield ""


def _row(name: str, text: str) -> Iterator[str]:
    yield f"  {name:<10} {text}"


def _measured(values: dict[str, Any]) -> Iterator[str]:
    def show(name: str, unit: str) -> str:
        return "–" if values[name] is None else f"{values[name]:.0f}{unit}"

    parts = [f"rate {show('heart_rate', '/min')}"]
    parts += [
        f"{name} {show(key, ' ms')}"
        for name, key in (("PR", "pr_ms"), ("QRS", "qrs_ms"), ("QT", "qt_ms"), ("QTc", "qtc_ms"))
    ]
    spread, longest = values["rr_variation"], values["longest_rr_s"]
    parts.insert(1, f"R-R {'–' if spread is None else f'± {100 * spread:.0f} %'}")
    parts.insert(2, f"longest R-R {'–' if longest is None else f'{longest:.2f} s'}")
    yield from _row("measured", ", ".join([*parts, f"axis {show('axis_deg', '°')}"]))
    for name, key in (("R, mV", "r_mv"), ("S, mV", "s_mv"), ("ST, mV", "st_mv"), ("T, mV", "t_mv")):
        row = [f"{lead} {value:+.2f}" for lead, value in values[key].items() if value is not None]
        yield from _row(name, ", ".join(row) or "–")


# --- knowledge base ---------------------------------------------------------------------------------------------------


@kb.command("list")
def kb_list(
    category: Annotated[str | None, typer.Option(metavar="C", help="Only this category, such as rhythm.")] = None,
    knowledge_base: Knowledge = None,
) -> None:
    """All concepts: id, category, name.

    \b
    Example:
      ecgclip kb list --category rhythm
    """
    from ecgclip.knowledge import CATEGORIES, KnowledgeBase

    if category is not None and category not in CATEGORIES:
        raise EcgclipError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    concepts = [c for c in KnowledgeBase.load(knowledge_base).concepts.values() if category in (None, c.category)]
    wide = max((len(c.id) for c in concepts), default=0)
    for c in concepts:
        typer.echo(f"{c.id:<{wide}}  {c.category:<16}  {c.name}")


@kb.command("show")
def kb_show(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name, abbreviation or code.")],
    knowledge_base: Knowledge = None,
) -> None:
    """Everything known of one concept, with the sources.

    \b
    Example:
      ecgclip kb show AF
    """
    from ecgclip.knowledge import KnowledgeBase

    base = KnowledgeBase.load(knowledge_base)
    c = base.find(concept)
    if c is None:
        from difflib import get_close_matches

        near = get_close_matches(concept, [*base.concepts, *(x.name for x in base.concepts.values())], n=3)
        raise EcgclipError(
            f"{concept!r} is not in the knowledge base" + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    typer.echo(f"{c.id}: {c.name} ({c.category})")
    codes = [
        f"{system} {' '.join(code) if isinstance(code, list) else code}" for system, code in c.codes.items() if code
    ]
    rows = [("definition", [c.definition, c.definition_de]), ("codes", codes)]
    rows += [(f"also ({language})", [", ".join(names)]) for language, names in c.aliases.items() if names]
    rows += [
        ("broader", c.broader),
        ("look-alike", c.lookalikes),
        ("report", [*c.report, *c.report_de]),
        ("negation", [*c.negation, *c.negation_de]),
    ]
    rows += [("criterion", [f"{x.text} ({', '.join(x.leads)}) [{x.source}]" for x in c.criteria])]
    rows += [
        (
            "source",
            [f"[{key}] {base.sources[key]}" for key in dict.fromkeys([*c.sources, *(x.source for x in c.criteria)])],
        )
    ]
    for name, texts in rows:
        for text in texts:
            typer.echo(next(_row(name, text)))


@kb.command("embed")
def kb_embed(output: Out, model: Model = None, knowledge_base: Knowledge = None) -> None:
    """Store a model with a knowledge base of one's own embedded, so that it loads at once.

    DIR is new, empty, or holds these weights with another knowledge base.

    \b
    Example:
      ecgclip kb embed --knowledge-base my_conditions -o my_model
      ecgclip classify record.hea --labels AF --model my_model --knowledge-base my_conditions
    """
    from ecgclip.knowledge import KnowledgeBase
    from ecgclip.model import load_model, weights_hash

    loaded, base = load_model(model), KnowledgeBase.load(knowledge_base)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        stored = weights_hash(output) if (output / "model.safetensors").is_file() else ""
        if stored != loaded.weights_sha256:
            raise EcgclipError(f"{output}: is not empty and holds other things than these weights; give a new folder")
    loaded.set_knowledge(base)
    loaded.save(output)
    typer.echo(f"{len(loaded.passages)} passages of {len(loaded.kb.concepts)} concepts embedded: {output}")


@kb.command("search")
def kb_search(
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    k: Annotated[int, typer.Option("-k", metavar="K", min=1, help="How many passages.")] = 5,
    model: Model = None,
    knowledge_base: Knowledge = None,
) -> None:
    """The passages nearest in meaning, with their cosine.

    \b
    Example:
      ecgclip kb search "irregular rhythm without P waves"
    """
    if not text.strip():
        raise EcgclipError("nothing to search for")
    from ecgclip.model import load_model

    network = load_model(model, knowledge_base)
    for passage, cosine in network.nearest_passages(network.embed_text(text)[0], k):
        typer.echo(f"{cosine:.3f}  {passage.concept}  {passage.kind}: {passage.text}")


# --- simulate, train, evaluate ----------------------------------------------------------------------------------------


@app.command()
def simulate(
    condition: Annotated[str | None, typer.Argument(metavar="CONDITION")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="RECORD", help="Path of the record to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="A seed is a patient.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length.")] = 10.0,
    sampling_rate: Annotated[float, typer.Option(help="Hz.")] = 500.0,
    list_: Annotated[bool, typer.Option("--list", help="Print the conditions.")] = False,
) -> None:
    """Write a simulated 12-lead ECG as a WFDB record.

    \b
    Example:
      ecgclip simulate af -o records/af --seed 1
    """
    from ecgclip import simulate as simulator

    if list_:
        typer.echo("\n".join(simulator.CONDITIONS))
        return
    if condition is None or output is None:
        raise EcgclipError("simulate needs a CONDITION (see `ecgclip simulate --list`) and -o RECORD")
    typer.echo(simulator.write_record(simulator.simulate(condition, seed, seconds, sampling_rate), output))


@train.command("text")
def train_text(recipe: RecipeName, data: Data, output: Out, threads: Threads = None) -> None:
    """Train the tokenizer and the text encoder on the data's reports and the knowledge base.

    \b
    Example:
      ecgclip train text default --data ~/ecg -o runs/text
    """
    from ecgclip import train as training

    typer.echo(training.train_text(_recipe(recipe), _folder(data), output, threads))


@train.command("clip")
def train_clip(
    recipe: RecipeName,
    data: Data,
    text: Annotated[Path, typer.Option(metavar="DIR", help="What `ecgclip train text` wrote.")],
    output: Out,
    threads: Threads = None,
) -> None:
    """Align ECGs and text; goes on where an interrupted run stopped. Prints the folder of the model.

    \b
    Example:
      ecgclip train clip default --data ~/ecg --text runs/text -o runs/clip
      torchrun --nproc-per-node 2 -m ecgclip train clip default --data ~/ecg --text runs/text -o runs/clip
    """
    from ecgclip import train as training

    typer.echo(training.train_clip(_recipe(recipe), _folder(data), _folder(text), output, threads))


def _recipe(name: str) -> Recipe:
    from ecgclip.assets import asset_path
    from ecgclip.train import Recipe

    if Path(name).is_file():
        return Recipe.load(name)
    shipped = sorted(f.stem for f in asset_path("recipes").glob("*.yaml"))
    if name not in shipped:
        raise EcgclipError(f"no recipe {name!r}: give a YAML file, or one of {', '.join(shipped)}")
    return Recipe.load(asset_path(f"recipes/{name}.yaml"))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise EcgclipError(f"{path}: no such folder")
    return path


@evaluate.command()
def zeroshot(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: Out,
    fold: Fold = None,
    naming: Annotated[
        str, typer.Option("--naming", "--language", metavar="code|en|de", help="What is typed for a label.")
    ] = "code",
    no_enrich: Annotated[bool, typer.Option("--no-enrich", help="Ask with the bare label.")] = False,
    leads: Annotated[str | None, typer.Option(metavar="I,II", help="Show the model only these.")] = None,
    least: Least = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
) -> None:
    """Zero-shot scores of each label and their mean, with 95 % intervals, into DIR: results.json, .md and figures.

    \b
    Example:
      ecgclip eval zeroshot --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 -o results/super
    """
    from ecgclip import evaluate as evaluation
    from ecgclip.report import show

    chosen = [lead.strip() for lead in leads.split(",")] if leads else None
    show(
        evaluation.zeroshot(
            dataset,
            _folder(path),
            label_set,
            output,
            fold=_folds(fold),
            naming=naming,
            enrich=not no_enrich,
            leads=chosen,
            least=least,
            labelled=labelled_only,
            weights=model,
        )
    )


@evaluate.command()
def probe(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: Out,
    fold: Fold = None,
    shares: Annotated[str, typer.Option(metavar="P,P", help="Per cent of the training records.")] = "1,10,100",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Times that a share is drawn.")] = 3,
    least: Least = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
) -> None:
    """A linear probe on the frozen vectors with 1, 10 and 100 % of the training labels, tested on other patients.

    \b
    Example:
      ecgclip eval probe --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 --seeds 5 -o results/probe
    """
    from ecgclip.probe import probe as run
    from ecgclip.report import show

    try:
        parts = [float(share) / 100 for share in shares.split(",")]
    except ValueError:
        raise EcgclipError(f"--shares {shares!r}: give per cents, such as 1,10,100") from None
    options: dict[str, Any] = {"fold": _folds(fold), "shares": parts, "seeds": seeds, "least": least}
    show(run(dataset, _folder(path), label_set, output, **options, labelled=labelled_only, weights=model))


@evaluate.command()
def retrieval(
    path: DataPath,
    dataset: DataSet,
    output: Out,
    fold: Fold = None,
    least: Annotated[
        int, typer.Option(metavar="N", min=1, help="Positives that a condition needs to be asked for.")
    ] = 10,
    model: Model = None,
) -> None:
    """Search the test records: text to ECG, ECG to text, ECG to ECG, by their reports and by shared statements.

    \b
    Example:
      ecgclip eval retrieval --dataset ptb-xl ~/ecg/ptb-xl --fold 10 -o results/retrieval
    """
    from ecgclip.report import show
    from ecgclip.retrieval import retrieval as run

    show(run(dataset, _folder(path), output, fold=_folds(fold), least=least, weights=model))


@evaluate.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="A results.json of `eval zeroshot` or `eval probe`.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another, on the same records and labels.")],
    output: Out,
) -> None:
    """B less A, in pairs on the same resamples: the difference of each label and of the mean, with 95 % intervals.

    \b
    Example:
      ecgclip eval compare results/mine/results.json results/theirs/results.json -o results/difference
    """
    from ecgclip import evaluate as evaluation
    from ecgclip.report import show

    show(evaluation.compare(one, other, output))


def _folds(text: str | None) -> int | list[int] | None:
    """ "9" or "9,10" as numbers."""
    if text is None:
        return None
    try:
        folds = [int(fold) for fold in text.split(",")]
    except ValueError:
        raise EcgclipError(f"--fold {text!r}: give numbers, such as 10 or 9,10") from None
    return folds[0] if len(folds) == 1 else folds


def _interval(auroc: Sequence[float] | None) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*auroc) if auroc else "–"


@evaluate.command()
def robustness(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of PTB-XL.")],
    label_set: Annotated[str, typer.Option(metavar="NAME")],
    output: Out,
    fold: Annotated[int, typer.Option(metavar="N")] = 9,
    model: Model = None,
) -> None:
    """How much scores change with fewer leads, another gain or a shift, into DIR/results.json.

    \b
    Example:
      ecgclip eval robustness ~/ecg/ptb-xl --label-set ptb-xl-super --fold 9 -o results/robustness
    """
    from ecgclip import evaluate as evaluation

    for row in evaluation.robustness(_folder(path), label_set, output, fold=fold, weights=model)["changes"]:
        typer.echo(
            f"{row['change']:<20} AUROC {_interval(row['auroc'])}, mean change {row.get('mean_probability_change', 0):.3f}"
        )


@evaluate.command("describe")
def evaluate_describe(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="ptb-xl.")],
    fold: Annotated[int, typer.Option(metavar="N", help="To test on; the training folds are the baseline's.")],
    output: Out,
    least: Annotated[
        int, typer.Option(metavar="N", min=1, help="Positives that a statement needs for the macro average.")
    ] = 5,
    model: Model = None,
) -> None:
    """Precision and recall of a description's statements, beside the nearest ECG's annotation, into DIR/results.json.

    \b
    Example:
      ecgclip eval describe --dataset ptb-xl ~/ecg/ptb-xl --fold 9 -o results/describe
    """
    from ecgclip import evaluate as evaluation

    results = evaluation.description(dataset, _folder(path), output, fold=fold, least=least, weights=model)
    for row in results["statements"]:
        if row["positives"] or row["description"]["predicted"]:
            ours = row["description"]
            typer.echo(
                f"{row['concept']:<44} {row['positives']:>4} positives, {ours['predicted']:>4} said, "
                f"precision {ours['precision']:.3f}, recall {ours['recall']:.3f}"
            )
    for name, method in results["methods"].items():
        for mean in ("micro", "macro"):
            values = [f"{k} {_interval(v)}" for k, v in (method[mean] or {}).items()]
            typer.echo(f"{name:<11} {mean}: " + (", ".join(values) or "no statement has enough positives"))


# --- small parts ------------------------------------------------------------------------------------------------------


def _each(
    patterns: Sequence[str],
    work: Callable[[Any], None],
    progress: bool = False,
    through: Callable[..., Any] | None = None,
) -> bool:
    """`work` on every record that the patterns name, or on what comes of it `through` ECGCLIP.embed_each; a failure is a line on stderr.

    True: none failed.
    """
    found: dict[str, str] = {}  # of several spellings of one record the first
    well = True
    for pattern in patterns:
        try:
            for record in find_records(pattern):
                found.setdefault(os.path.realpath(record), record)
        except EcgclipError as error:
            _error(error)
            well = False
    with (
        _bar(len(found))
        if progress and len(found) > 1 and sys.stderr.isatty()
        else nullcontext(lambda: None) as advance
    ):
        records = found.values()
        for record, what in through(records) if through else ((r, r) for r in records):
            try:
                if isinstance(what, Exception):
                    raise what
                work(what)
            except BrokenPipeError:
                raise
            except Exception as error:  # one record, whatever is wrong with it, must not lose the others
                _error(error, record)
                well = False
            advance()
    return well


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True) as bar:
        task = bar.add_task("records", total=total)
        yield lambda: bar.advance(task)


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """stdout, or a file that appears at `path` when all is written."""
    if path is None:
        yield sys.stdout
        return
    if path.is_dir():
        raise EcgclipError(f"{path}: is a folder; --output needs a file")
    device = path.exists() and not path.is_file()  # /dev/stdout, a pipe: nothing to replace
    with nullcontext(path) if device else replacing(path) as written:
        try:
            file = written.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise EcgclipError(f"{path}: cannot be written ({error.strerror})") from None
        with file:
            yield file


def _error(error: Exception, where: str = "") -> None:
    """One line; an error that we did not foresee also says what it is and where it came up."""
    text = " ".join(str(error).split())
    if not isinstance(error, EcgclipError):
        text = (
            f"{where}: " * bool(where) + f"unexpected {type(error).__name__}: {text[:300]} (ECGCLIP_DEBUG=1 shows more)"
        )
    typer.echo(f"error: {text}", err=True)


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)
