"""Write docs/cli.md from the help of the commands:  python docs/make_cli.py"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ecgclip.cli import app

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """# Command line

This page is written by `python docs/make_cli.py` from the commands' own help, which `ecgclip COMMAND --help` prints.
Results go to stdout; notes, errors and progress go to stderr. `ECGCLIP_DEBUG=1` shows a traceback.

| exit code | meaning |
| --- | --- |
| 0 | success |
| 1 | a record failed; the others were answered |
| 2 | misuse, or a broken installation |
| 130 | interrupted |
| 143 | terminated |
"""


def page() -> str:
    """The whole page as Markdown."""
    group = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *_group_lines(group, "ecgclip")])


def _group_lines(group: Any, name: str) -> Iterator[str]:
    for command in group.commands.values():
        full_name = f"{name} {command.name}"
        if hasattr(command, "commands"):
            yield f"## {full_name}\n\n{command.help}\n"
            yield from _group_lines(command, full_name)
        else:
            yield from _command_lines(command, full_name)


def _command_lines(command: Any, name: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    text, _, example = command.help.partition("\b\nExample:\n")
    level = "#" * name.count(" ")  # of ecgclip kb list one more than of ecgclip kb
    yield f"#{level} {name}\n\n{text.strip()}\n"
    yield f"    {' '.join([name, *map(_usage, arguments), '[OPTIONS]'])}\n"
    for parameter in (*arguments, *options):
        yield f"- `{_spelling(parameter)}`: {_meaning(parameter)}"
    yield "\nExample:\n"
    yield "\n".join(f"    {line.strip()}" for line in example.strip().splitlines()) + "\n"


def _usage(argument: Any) -> str:
    name = argument.metavar + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return parameter.metavar
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar}"


def _meaning(parameter: Any) -> str:
    """The help, and for an option whether it is required, or its default."""
    if parameter.param_type_name == "argument":
        return parameter.help
    if parameter.required:
        return f"{parameter.help} Required."
    has_default = parameter.default is not None and parameter.default is not False
    return f"{parameter.help} Default: {parameter.default}." if has_default else parameter.help


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
