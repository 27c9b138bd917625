"""The command line: parses, calls the package, prints. Results go to stdout; notes, errors and progress to stderr.

Exit codes: 0 all well, 1 a record failed (the others were answered), 2 misuse or a broken installation, 130 interrupted,
143 terminated.
Whatever is slow to import waits inside the command that needs it.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated, Any

import typer

from ecgclip.cli.output import _error

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
