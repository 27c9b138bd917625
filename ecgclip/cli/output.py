"""What commands print."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing
from ecgclip.io.records import find_records

if TYPE_CHECKING:
    from ecgclip.explain.sentences import Sentence
    from ecgclip.model.results import Result

DISCLAIMER = "Research software, not a medical device."
FOUND = ("rank", "score", "record", "start_s", "report", "labels", "measure")
COLUMNS = (
    *("record", "label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"),
    "used_s",
)


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


def _interval(auroc: Sequence[float] | None) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*auroc) if auroc else "–"


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
