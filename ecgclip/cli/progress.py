"""The loop over the records of a command, and its progress bar."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ecgclip.cli.messages import print_error, print_skipped
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.io.records import survey


def for_each_record(
    patterns: Sequence[str],
    work: Callable[[Any], None],
    *,
    reading: dict[str, Any],
    wanted: Callable[[str], bool] | None = None,
    embed: Callable[[list[str], Callable[[str], ECG]], Iterable[tuple[str, Any]]] | None = None,
    progress: bool = False,
) -> bool:
    """Call `work` for every record that the patterns name. A record that fails is one line on stderr; the others go on.

    Parameters
    ----------
    patterns : paths of files, folders or globs
    work : called with the ECG of each record, or with its embedding where `embed` is given
    reading : keyword arguments of `read_ecg`
    wanted : called with the path of each record; those for which it is false are not read
    embed : `ECGCLIP.embed_each`: gives each record with its embedding, or with the exception that it raised
    progress : show a bar if there are several records and stderr is a terminal

    Returns
    -------
    bool
        True if every pattern named a record and no record failed.
    """
    records, success = _find_all(patterns)
    records = list(filter(wanted, records))  # without `wanted`, all

    def read(record: str) -> ECG:
        return read_ecg(record, **reading)

    items = embed(records, read) if embed else ((record, record) for record in records)
    with progress_bar(progress and len(records) > 1) as advance:
        for done, (record, item) in enumerate(items, 1):
            try:
                if isinstance(item, Exception):
                    raise item
                work(item if embed else read(record))
            except BrokenPipeError:
                raise
            except Exception as error:  # whatever is wrong with one record must not lose the others
                print_error(error, record)
                success = False
            advance(done, len(records))
    return success


def _find_all(patterns: Sequence[str]) -> tuple[list[str], bool]:
    """The records that the patterns name, each once as it is first spelled; and whether every pattern names one.

    Files that are no ECG are counted on stderr.
    """
    spelling: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    success = True
    for pattern in patterns:
        try:
            found = survey(pattern)
            skipped.update(found.skipped)
            for record in found.records:
                spelling.setdefault(os.path.realpath(record), record)
        except EcgclipError as error:
            print_error(error)
            success = False
    print_skipped(skipped)
    return list(spelling.values()), success


@contextmanager
def progress_bar(wanted: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the rate and the time left, on a terminal only. Call what it yields with (done, total)."""
    if not (wanted and sys.stderr.isatty()):
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
