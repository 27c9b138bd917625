"""The command line: parses, calls the package, prints."""

from ecgclip.cli import classify, evaluate, info, kb, search, train  # noqa: F401 - their commands register
from ecgclip.cli.app import app, main

__all__ = ["app", "main"]
