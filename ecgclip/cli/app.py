"""The application and its groups of commands, and the entry point `main`.

Results go to stdout; notes, errors and progress go to stderr.
Exit codes: 0 success; 1 a record failed and the others were answered; 2 misuse or a broken installation;
130 interrupted; 143 terminated.
Whatever is slow to import is imported inside the command that needs it.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ecgclip.cli.messages import print_error

_settings: dict[str, Any] = {
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(name="ecgclip", pretty_exceptions_enable=False, **_settings)
kb_app = typer.Typer(help="Look at the clinical knowledge base.", **_settings)
train_app = typer.Typer(help="Train your own model: first `text`, then `clip`.", **_settings)
eval_app = typer.Typer(help="Measure a model on a data set.", **_settings)
index_app = typer.Typer(help="Make and keep an index of ECGs to search.", **_settings)
export_app = typer.Typer(help="Write a model for other runtimes.", **_settings)
app.add_typer(kb_app, name="kb")
app.add_typer(train_app, name="train")
app.add_typer(eval_app, name="eval")
app.add_typer(index_app, name="index")
app.add_typer(export_app, name="export")


def main() -> None:
    """Run the command line and exit. No command ends in a traceback unless ECGCLIP_DEBUG is set."""
    _spare_garbage_collection()
    warnings.filterwarnings("ignore", module="ecgclip")  # what a reader assumed is printed as notes
    _replace_unprintable()
    with _exit_on_sigterm():
        try:
            app(prog_name="ecgclip")
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            if os.environ.get("ECGCLIP_DEBUG"):
                raise
            print_error(error)
            sys.exit(2)


def _spare_garbage_collection() -> None:
    """Importing torch makes 300,000 objects, which stay: to look for cycles among them takes a quarter of its time."""
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)  # the last search, when Python ends, is in vain as well


def _replace_unprintable() -> None:
    """A pipe or file on Windows may lack a character such as → in its code page: print its number instead."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit(143), so that half-written files are removed."""
    process = os.getpid()

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second SIGTERM ends the process at once
        if os.getpid() != process:  # a worker process forked from this one
            os._exit(143)
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_version(wanted: bool) -> None:
    if wanted:
        import ecgclip

        typer.echo(f"ecgclip {ecgclip.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Classify ECGs by words. Research software, not a medical device."""
