"""Errors and notes, one line each, on stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import typer

from ecgclip.ecg import EcgclipError


def print_error(error: Exception, record: str = "") -> None:
    """Print an error in one line; an unexpected one also says its type and the record it came from."""
    text = " ".join(str(error).split())
    if not isinstance(error, EcgclipError):
        place = f"{record}: " if record else ""
        text = f"{place}unexpected {type(error).__name__}: {text[:300]} (ECGCLIP_DEBUG=1 shows more)"
    typer.echo(f"error: {text}", err=True)


def print_note(text: str) -> None:
    """Print a note in one line."""
    typer.echo(f"note: {text}", err=True)


def print_skipped(skipped: Counter[str]) -> None:
    """Print how many files were no ECG, by what they are."""
    if skipped:
        kinds = ", ".join(f"{count} × {what}" for what, count in skipped.most_common())
        print_note(f"{skipped.total()} files are no ECG: {kinds}")


class RecordNotes:
    """Notes on many records: each text is printed once, with the first record that has it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, record: str, notes: Iterable[str]) -> None:
        """Print those notes of a record that no record had before."""
        for note in notes:
            self._counts[note] += 1
            if self._counts[note] == 1:
                print_note(f"{record}: {note}")

    def print_repeats(self) -> None:
        """Print how many more records had each note."""
        for note, count in self._counts.items():
            if count > 1:
                print_note(f"{count - 1} more: {note}")
