"""What worker processes do, without torch: read and measure records, simulate examples, draw.

Each function returns what can be sent to the server: an ECG without its path, and errors as one line without a path.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.explain.answers import DEVICE
from ecgclip.io.formats import format_by
from ecgclip.io.read import read_ecg
from ecgclip.io.records import record_files, survey
from ecgclip.measure.examined import Examined, examine_many
from ecgclip.serve.examples import simulate_example

KEPT = ("age", "sex", *DEVICE)  # of what a file says
ENTRIES, LETTERS = 100, 1000  # of it
NO_MEMORY = "needs more memory than a request may take here: send a part of it"


@dataclass(frozen=True, eq=False)
class Opened:
    """A record that was read.

    name: what it is called, never a path; ecg: None where only measurements are asked for; examined: None, with the
    reason in `error`, where it cannot be used
    """

    name: str
    ecg: ECG | None = None
    examined: Examined | None = None
    error: str = ""


def work(pipe: Connection, memory_mb: int) -> None:
    """What a worker process does: one job after the other, until the server is gone.

    A job is a function with its arguments. What is sent back is (0, result), or the HTTP status and a line of text.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    warnings.simplefilter("ignore")  # what was assumed is a note of the answer
    _limit_memory(memory_mb)
    while True:
        try:
            job, args = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(job, args))


def _answer(job: Callable[..., Any], args: tuple) -> tuple[int, Any]:
    try:
        return 0, job(*args)
    except EcgclipError as error:
        return 400, str(error)
    except MemoryError:
        return 422, NO_MEMORY
    except Exception as error:  # a bug that a strange file meets
        return 422, f"cannot be used (unexpected {type(error).__name__})"


def _limit_memory(memory_mb: int) -> None:
    """Limit the memory of this process, where the system can, and let it write no core dump."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))


def read_folder(folder: str, reading: Mapping[str, Any], rate: int, most: int, with_signal: bool) -> list[Opened]:
    """Read the records of a folder with the files of one request, in the order of their names.

    Parameters
    ----------
    folder
        Holds these files and nothing else.
    reading
        Keyword arguments of `read_ecg`.
    rate
        Of the encoder's signal, Hz.
    most
        How many records are read at the most.
    with_signal
        Return the recording itself, too.

    Raises
    ------
    EcgclipError
        There are more records.
    """
    records = _records(folder)
    if len(records) > most:
        raise EcgclipError(f"{len(records)} ECGs in one request: send {most} at the most")
    return [read_record(record, reading, rate, with_signal) for record in records]


def _records(folder: str) -> list[str]:
    """The records of a folder; what is no ECG is one, too, so that reading it says why."""
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    headers = [file for file in files if file.endswith(".hea")]
    found = set(_records_in(folder)) if headers else set()
    if folder in found:  # a header is damaged
        found = set(headers)
    taken = {file for header in headers for file in _files_of(header)}
    stems = {os.path.splitext(header)[0] for header in headers}
    for file in files:
        beside = os.path.splitext(file)[0] in stems and not _has_format(file)  # such as annotations
        if file not in taken and not beside:
            found.update(_records_in(file))
    return sorted(found)


def _records_in(file: str) -> list[str]:
    try:
        return survey(file).records
    except EcgclipError:  # which reading says again
        return [file]


def _files_of(header: str) -> list[str]:
    try:
        return [header, *record_files(header)]
    except EcgclipError:
        return [header]


def _has_format(file: str) -> bool:
    with open(file, "rb") as content:
        return format_by(content.read(4096)) is not None


def read_record(record: str, reading: Mapping[str, Any], rate: int, with_signal: bool) -> Opened:
    """Read and measure one record."""
    folder, name = os.path.split(record)
    try:
        ecg = read_ecg(record, **reading)
        notes = tuple(without_folder(note, folder) for note in ecg.notes[:ENTRIES])
        metadata = _short({key: value for key, value in ecg.metadata.items() if key in KEPT})
        return examined(
            replace(ecg, source=None, notes=notes, metadata=metadata), name.removesuffix(".hea"), rate, with_signal
        )
    except EcgclipError as error:
        hint = f"; the signals of a WFDB record need {name[:-4]}.hea" if name.endswith(".dat") else ""
        return Opened(name, error=without_folder(str(error), folder) + hint)
    except MemoryError:
        return Opened(name, error=f"{name}: {NO_MEMORY}")
    except Exception as error:  # a bug that a strange file meets
        return Opened(name, error=f"{name}: cannot be read (unexpected {type(error).__name__})")


def _short(said: Any) -> Any:
    """What a file says, of a length that a person may have written."""
    if isinstance(said, dict):
        return {key: _short(value) for key, value in list(said.items())[:ENTRIES]}
    if isinstance(said, list | tuple):
        return [_short(each) for each in said[:ENTRIES]]
    return said[:LETTERS] if isinstance(said, str) else said


def examined(ecg: ECG, name: str, rate: int, with_signal: bool) -> Opened:
    """Measure a recording."""
    (measured,) = examine_many([ecg], rate)
    if isinstance(measured, EcgclipError):
        return Opened(name, error=f"{name}: {measured}")
    return Opened(name, ecg if with_signal else None, measured)


def without_folder(text: str, folder: str) -> str:
    """A message in one line, without the folder that its files lie in."""
    return " ".join(text.replace(folder + os.sep, "").replace(folder, "").split())


def read_example(example: str, rate: int) -> Opened:
    """Simulate one of `EXAMPLES`, and measure it."""
    return examined(simulate_example(example), example, rate, True)


def draw_plot(ecg: ECG, name: str, view: Mapping[str, Any], ending: str, knowledge_base: str | None) -> bytes:
    """A picture, as `ecgclip plot` draws it; view: options of `View`, ending: .svg, .png or .pdf."""
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.plot.draw import View, draw
    from ecgclip.plot.page import printed

    base = KnowledgeBase.load(knowledge_base) if view["label"] else None
    page = draw(replace(ecg, source=name), View(**view), base=base, sheet=ending == ".pdf")
    return printed([page], ending)


def draw_report(ecg: ECG, name: str) -> str:
    """The drawing of a report, as SVG."""
    from ecgclip.plot.page import printed
    from ecgclip.report.content import picture_of

    return printed([picture_of(replace(ecg, source=name))], ".svg").decode()


def draw_sheets(ecg: ECG, name: str, html: str) -> bytes:
    """A report as PDF: the drawing, and what its HTML says."""
    from ecgclip.plot.page import printed
    from ecgclip.report.content import picture_of
    from ecgclip.report.pdf import text_pages

    return printed([picture_of(replace(ecg, source=name), sheet=True), *text_pages(html, name)], ".pdf")
