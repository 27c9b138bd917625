"""The command line: each command parses its options, calls the package and prints.

`main` is the entry point `ecgclip`; `app` is the Typer application with all commands.
"""

# each of these modules adds its commands to the application, in the order of `ecgclip --help`
from ecgclip.cli import classify, convert, evaluate, export, info, kb, plot, report, search, serve, train  # noqa: F401
from ecgclip.cli.app import app, main

__all__ = ["app", "main"]
