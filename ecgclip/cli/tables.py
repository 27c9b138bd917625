"""The tables that classify, describe, search and similar print."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from ecgclip.cli.lines import DISCLAIMER, case_words, device_lines, evidence_lines, measurement_lines, row

if TYPE_CHECKING:
    from ecgclip.explain.answers import Classification, Description, Evidence
    from ecgclip.model import Result

FILE_WIDTH = 110  # characters of a line where the output is not a terminal
SHOWN_VALUES = 2  # measured values beside a sentence
COMMON_LABELS = 6  # number of labels listed that similar cases share
TEXT: dict[str, Any] = {"overflow": "fold"}  # two kinds of column
NUMBER: dict[str, Any] = {"justify": "right"}


class Page:
    """Lines and tables on a terminal or in a file."""

    def __init__(self, out: TextIO):
        from rich.console import Console

        # names come from files and users: they are never markup
        width = None if out.isatty() else FILE_WIDTH
        self._console = Console(file=out, markup=False, emoji=False, highlight=False, width=width)

    def lines(self, *texts: str) -> None:
        """Print texts, one a line and never folded."""
        for text in texts:
            self._console.print(text, soft_wrap=True)

    def table(self, columns: dict[str, dict[str, Any]], rows: Iterable[list[str]]) -> None:
        """Print a table. `columns` maps each heading to TEXT or NUMBER."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading, kind in columns.items():
            table.add_column(heading, **kind)
        for cells in rows:
            table.add_row(*cells)
        self._console.print(table)


def print_classification(page: Page, answer: Classification) -> None:
    """Print the scores of one record, and the evidence where it is asked for."""
    result = answer.result
    page.lines(_heading(result))
    _print_scores(page, result)
    if answer.evidence:
        _print_evidence(page, result, answer.evidence)


def _heading(result: Result) -> str:
    parts = [*result.leads]
    if len(result.windows) > 1:
        parts.append(f"{len(result.windows)} windows")
    if result.used_s < result.seconds:
        parts.append(f"{result.used_s:.1f} of {result.seconds:.1f} s used")
    return f"{result.record} ({', '.join(parts)})"


def _number(value: float, digits: str) -> str:
    """A number; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:{digits}}"


def _print_scores(page: Page, result: Result) -> None:
    several_windows = len(result.windows) > 1
    with_notes = any(score.note for score in result.scores)
    columns = {"label": TEXT, "concept": TEXT, "probability": NUMBER, "similarity": NUMBER}
    if several_windows:
        columns |= {"highest window": NUMBER, "burden": NUMBER}
    if with_notes:
        columns |= {"note": TEXT}
    rows = []
    for score in result.scores:
        cells = [score.label, score.concept or "–", _number(score.probability, ".3f"), f"{score.similarity:+.3f}"]
        if several_windows:
            cells += [_number(score.max_probability, ".3f"), f"{score.burden:.0%}"]
        if with_notes:
            cells.append(score.note)
        rows.append(cells)
    page.table(columns, rows)


def _print_evidence(page: Page, result: Result, evidence: Evidence) -> None:
    for score, score_evidence in zip(result.scores, evidence.scores, strict=True):
        page.lines(*evidence_lines(score, score_evidence, result.windows), "")
    page.lines(*measurement_lines(evidence.record["measurements"]), *device_lines(evidence.record["device"]))
    for case in evidence.record.get("cases", ()):
        page.lines(row("case", f"{case['score']:.3f}  {case['record']}  {case_words(case)}"))
    page.lines("")


def print_description(page: Page, answer: Description) -> None:
    """Print the sentences on one record."""
    page.lines(answer.record)
    if not answer.sentences:
        page.lines("\n nothing is probable enough to be stated\n")
        return
    rows = []
    for sentence in answer.sentences:
        measured = "; ".join(sentence.met[:SHOWN_VALUES]) or "–"
        rows.append([sentence.said, f"{sentence.probability:.3f}", sentence.concept, measured])
    page.table({"sentence": TEXT, "probability": NUMBER, "concept": TEXT, "measured": TEXT}, rows)


def print_hits(page: Page, hits: list[dict[str, Any]], common: bool = False) -> None:
    """Print the ECGs that a search found, best first; common: also the labels that most of them have."""
    if not hits:
        page.lines("nothing found")
        return
    columns = {"rank": NUMBER, hits[0]["measure"]: NUMBER, "record": TEXT, "at": TEXT, "labels or report": TEXT}
    rows = [
        [str(hit["rank"]), f"{hit['score']:.3f}", hit["record"], f"{hit['start_s']:.0f} s", case_words(hit)]
        for hit in hits
    ]
    page.table(columns, rows)
    counts = Counter(label for hit in hits for label in hit["labels"])
    if common and counts:
        labelled = sum(bool(hit["labels"]) for hit in hits)
        labels = ", ".join(f"{label} {count}" for label, count in counts.most_common(COMMON_LABELS))
        page.lines(f"of the {labelled} with labels: {labels}\n")
    page.lines(DISCLAIMER)
