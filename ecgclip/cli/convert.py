"""The command convert: ECGs of any format, written in one that others read."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ecgclip.cli.app import app
from ecgclip.cli.inputs import reading_options
from ecgclip.cli.messages import RecordNotes, print_note
from ecgclip.cli.options import Leads, OutputFolder, Records, SamplingRate, Unit
from ecgclip.cli.progress import for_each_record
from ecgclip.ecg import ECG
from ecgclip.io.read import STANDARD_INPUT

TARGETS = "wfdb|edf|dicom|csv|npz"


@app.command()
def convert(
    records: Records,
    output: OutputFolder,
    to: Annotated[str, typer.Option(metavar=TARGETS, help="Format to write.")],
    deidentify: Annotated[
        bool, typer.Option(help="Leave out id, time and comments, and ages over 90. Names of files stay: check them.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")] = False,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Write ECGs of any format as WFDB, EDF+, DICOM, CSV or NumPy arrays.

    Folders below those that are named are made anew in the output folder. A file that is there already is kept, so
    that a run that was interrupted can be repeated.

    \b
    Example:
      ecgclip convert examples/records -o edf --to edf
    """
    from ecgclip.io.write import output_path, write_ecg

    output_path("", to)  # an unknown format is told before anything is read
    names, notes, kept = OutputNames(records), RecordNotes(), []

    def target(record: str) -> Path:
        return output_path(output / names.of(record), to)

    def wanted(record: str) -> bool:
        if there := target(record).exists() and not overwrite:
            kept.append(record)
        return not there

    def write(ecg: ECG) -> None:
        record = ecg.source or ""
        typer.echo(write_ecg(ecg, target(record), to, deidentify))
        notes.add(record, ecg.notes)

    reading = reading_options(sampling_rate, unit, leads, keep_ids=not deidentify)
    success = for_each_record(records, write, reading=reading, wanted=wanted, progress=True)
    notes.print_repeats()
    if kept:
        print_note(f"{len(kept)} of the files were there already and are kept; --overwrite replaces them")
    if not success:
        raise typer.Exit(1)


class OutputNames:
    """Names for outputs that differ, below the folder that the inputs have in common."""

    def __init__(self, patterns: Sequence[str]):
        folders = [os.path.abspath(_folder(pattern)) for pattern in patterns]
        try:
            self._base = os.path.commonpath(folders)
        except ValueError:  # different drives
            self._base = ""
        self._taken: dict[str, str] = {}

    def of(self, record: str) -> Path:
        """The path of the output without its ending; "a/r.dcm" is "a/r", or "a/r_dcm" where "a/r.hea" is "a/r"."""
        record = "standard input" if record == STANDARD_INPUT else record  # as read_ecg calls it
        folder, name = os.path.split(os.path.abspath(record))
        inside = os.path.relpath(folder, self._base) if self._base else ""
        inside = "" if inside.startswith(os.pardir) else inside
        stem = re.sub(r"\.\w{1,8}(?=#\d+$|$)", "", name) or name
        for candidate in (stem, name, *(f"{name}_{i}" for i in range(2, 10_000))):
            path = os.path.join(inside, re.sub(r"[^-\w]+", "_", candidate))
            if self._taken.setdefault(path.casefold(), record) == record:
                return Path(path)
        raise AssertionError(record)


def _folder(pattern: str) -> str:
    """The folder below which the records of a pattern are found."""
    if os.path.isdir(pattern):
        return pattern
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return os.path.join(*parts[: min(fixed, len(parts) - 1)], "")
