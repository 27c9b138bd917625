"""Where answers go: the output file, and one writer for each format (table, JSON, CSV)."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from ecgclip.cli.lines import DISCLAIMER
from ecgclip.cli.tables import Page, print_classification, print_description, print_hits
from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing, write_atomic

if TYPE_CHECKING:
    from ecgclip.explain.answers import Classification

# columns of CSV, as promised to scripts
SCORE_COLUMNS = [
    "record",
    "label",
    "concept",
    "probability",
    "similarity",
    "max_probability",
    "burden",
    "trained",
    "note",
    "used_s",
]
HIT_COLUMNS = ["rank", "score", "record", "start_s", "report", "labels", "measure"]


@contextmanager
def output_file(path: Path | None) -> Iterator[TextIO]:
    """Stdout, or a text file that appears at `path` when all is written."""
    if path is None:
        yield sys.stdout
        return
    if path.is_dir():
        raise EcgclipError(f"{path}: is a folder; --output needs a file")
    is_device = path.exists() and not path.is_file()  # /dev/stdout or a pipe is not replaced
    with nullcontext(path) if is_device else replacing(path) as target:
        try:
            file = target.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise EcgclipError(f"{path}: cannot be written ({error.strerror})") from None
        with file:
            yield file


class OutputFolder:
    """A folder with a file for each record, named by it; the folder is made with the first one."""

    def __init__(self, folder: Path, ending: str, what: str):
        self._folder, self._ending, self._what = folder, ending, what
        self._written: dict[str, str] = {}

    def path(self, record: str) -> Path:
        """The path of a record's file; two records of one name do not replace each other."""
        name = re.sub(r"[^-\w]+", "_", os.path.basename(record)) + self._ending
        if other := self._written.get(name.casefold()):
            raise EcgclipError(f"{record}: {name} is the {self._what} of {other} already; write it into another folder")
        self._written[name.casefold()] = record
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EcgclipError(f"{self._folder}: cannot be made ({error.strerror})") from None
        return self._folder / name

    def write(self, record: str, content: str) -> None:
        """Write the file of a record, and print its path."""
        path = self.path(record)
        try:
            write_atomic(path, content)
        except OSError as error:
            raise EcgclipError(f"{path}: cannot be written ({error.strerror})") from None
        print(path)


class Writer(Protocol):
    """Writes the answers of a command, one at a time as they come."""

    def write(self, answer: Any) -> None: ...

    def end(self) -> None:
        """Write what follows the last answer."""


class JsonWriter:
    """A JSON list, one answer a line."""

    def __init__(self, out: TextIO):
        self._out, self._before = out, "[\n"

    def write(self, answer: Any) -> None:
        """Add an answer that has `to_dict`."""
        self._out.write(self._before + json.dumps(answer.to_dict(), ensure_ascii=False))
        self._out.flush()
        self._before = ",\n"

    def end(self) -> None:
        """Close the list."""
        self._out.write("[]\n" if self._before == "[\n" else "\n]\n")


class ScoreCsvWriter:
    """CSV with one row for each record and label."""

    def __init__(self, out: TextIO):
        self._out, self._rows = out, csv.writer(out, lineterminator="\n")
        self._rows.writerow(SCORE_COLUMNS)

    def write(self, answer: Classification) -> None:
        """Add the rows of one record."""
        result = answer.result
        for s in result.scores:
            numbers = (s.probability, s.similarity, s.max_probability, s.burden)
            cells = ["" if math.isnan(x) else f"{x:.6g}" for x in numbers]
            trained = "" if s.trained is None else str(s.trained).lower()
            names = [result.record, s.label, s.concept or ""]
            self._rows.writerow([*names, *cells, trained, s.note, f"{result.used_s:g}"])
        self._out.flush()

    def end(self) -> None:
        """Nothing follows the last row."""


class TableWriter:
    """A table for each record, and the disclaimer below the last one."""

    def __init__(self, out: TextIO, print_answer: Callable[[Page, Any], None]):
        self._page, self._print, self._empty = Page(out), print_answer, True

    def write(self, answer: Any) -> None:
        """Print one record."""
        self._print(self._page, answer)
        self._empty = False

    def end(self) -> None:
        """Print the disclaimer if there was an answer."""
        if not self._empty:
            self._page.lines(DISCLAIMER)


def score_writer(format: str, out: TextIO) -> Writer:
    """The writer of `classify` for a format: table, json or csv."""
    if format == "table":
        return TableWriter(out, print_classification)
    return JsonWriter(out) if format == "json" else ScoreCsvWriter(out)


def sentence_writer(format: str, out: TextIO) -> Writer:
    """The writer of `describe` for a format: table or json."""
    return TableWriter(out, print_description) if format == "table" else JsonWriter(out)


def write_hits(hits: list[dict[str, Any]], format: str, out: TextIO, common: bool = False) -> None:
    """Write what a search found as table, json or csv; common: below a table, the labels that most hits have."""
    if format == "json":
        out.write(json.dumps(hits, ensure_ascii=False, indent=1) + "\n")
    elif format == "csv":
        table = csv.DictWriter(out, HIT_COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({**hit, "labels": "; ".join(hit["labels"])} for hit in hits)
    else:
        print_hits(Page(out), hits, common)
