"""The command convert: ECGs of any format, written in one that others read."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ecgclip.cli.app import app
from ecgclip.cli.messages import RecordNotes, print_note
from ecgclip.cli.options import Leads, OutputFolder, Records, SamplingRate, Unit
from ecgclip.cli.progress import for_each_record
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import STANDARD_INPUT
from ecgclip.io.recording import reading_options
from ecgclip.io.records import record_files

TARGETS = "wfdb|edf|dicom|csv|npz"


@app.command()
def convert(
    records: Records,
    output: OutputFolder,
    to: Annotated[str, typer.Option(metavar=TARGETS, help="Format to write.")],
    deidentify: Annotated[
        bool,
        typer.Option(help="Leave out id, time and comments; ages over 89 become 90. Names of files stay: check them."),
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")] = False,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
) -> None:
    """Write ECGs of any format as WFDB, EDF+, DICOM, CSV or NumPy arrays.

    Folders below those that are named are made anew in the output folder: r.dcm is r_dcm there, the WFDB record r is r.
    A file that is there already is kept, so that a run that was interrupted can be repeated.

    \b
    Example:
      ecgclip convert examples/records -o edf --to edf
    """
    from ecgclip.io.write import write_ecg

    outputs, notes = Outputs(records, output, to), RecordNotes()
    left: Counter[str] = Counter()

    def wanted(record: str) -> bool:
        why = outputs.why_not(record, overwrite)
        left.update([why] if why else [])
        return not why

    def write(ecg: ECG) -> None:
        record = STANDARD_INPUT if ecg.source == "standard input" else ecg.source or ""
        outputs.check(record)
        typer.echo(write_ecg(ecg, outputs.path(record), to, deidentify))
        notes.add(ecg.source or "", ecg.notes)

    reading = reading_options(sampling_rate, unit, leads, keep_ids=not deidentify)
    success = for_each_record(records, write, reading=reading, wanted=wanted, progress=True)
    notes.print_repeats()
    for what, count in left.items():
        print_note(f"{count} of the files {what}")
    if not success:
        raise typer.Exit(1)


class Outputs:
    """Where each record is written to: a name that does not depend on the others, below the folder of all inputs."""

    def __init__(self, patterns: Sequence[str], folder: Path, to: str):
        inputs = [os.path.abspath(_folder(pattern)) for pattern in patterns]
        try:
            self._base = os.path.commonpath(inputs)
        except ValueError:  # different drives
            self._base = ""
        self._folder, self._to = folder, to
        self.path("")  # an unknown format is told before anything is read
        self._real = os.path.realpath(folder)
        self._named = [real for each in inputs if _is_below(real := os.path.realpath(each), self._real)]
        self._owners: dict[str, str] = {}

    def path(self, record: str) -> Path:
        """ "a/r.dcm" is "a/r_dcm", "b.npy#3" is "b_npy_3", and the WFDB record "r" is "r", with the format's ending."""
        from ecgclip.io.write import output_path

        folder, name = os.path.split(os.path.abspath(record))
        inside = os.path.relpath(folder, self._base) if self._base else ""
        inside = "" if inside.split(os.sep)[0] == os.pardir else inside
        stem = "standard_input" if record == STANDARD_INPUT else re.sub(r"[^-\w]+", "_", name)
        return output_path(self._folder / inside / stem, self._to)

    def why_not(self, record: str, overwrite: bool) -> str:
        """Why a record is not to be converted; empty if it is."""
        real = os.path.realpath(record)
        if _is_below(real, self._real) and not any(_is_below(real, each) for each in self._named):
            return "lie in the output folder and are left out; name them to convert them"
        if not self._clash(record) and self.path(record).exists() and not overwrite:
            return "were there already and are kept; --overwrite replaces them"
        return ""

    def _clash(self, record: str) -> str:
        """The record that has the same output and came first; empty if there is none."""
        owner = self._owners.setdefault(str(self.path(record)).casefold(), record)
        return "" if owner == record else owner

    def check(self, record: str) -> None:
        """Raise if the output of a record would replace that of another, or what the record itself is read from."""
        path = self.path(record)
        if other := self._clash(record):
            raise EcgclipError(f"{record}: {path} is the output of {other} already; convert it to another folder")
        outputs = (path, path.with_suffix(".dat")) if self._to == "wfdb" else (path,)
        inputs = () if record == STANDARD_INPUT else record_files(record)
        if any(out.exists() and os.path.samefile(out, each) for out in outputs for each in inputs):
            raise EcgclipError(f"{record}: would be replaced by what is written; give another output folder")


def _is_below(path: str, folder: str) -> bool:
    """Whether a real path is that of a folder or lies in it."""
    return Path(path).is_relative_to(folder)


def _folder(pattern: str) -> str:
    """The folder below which the records of a pattern are found."""
    if os.path.isdir(pattern):
        return pattern
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return os.path.join(*parts[: min(fixed, len(parts) - 1)], "")
