"""Results as people read them: tables on the screen, and a Markdown page with figures beside results.json.

write_page(folder, results) ─▶ folder/results.md, and where matplotlib is installed folder/auroc.png, reliability.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecgclip.evaluate.figures import draw_figures
from ecgclip.evaluate.tables import Table, tables
from ecgclip.files import write_atomic


def write_page(folder: Path, results: dict[str, Any]) -> None:
    """Write results.md and its figures; a task without tables has no page."""
    parts = tables(results)
    if parts:
        write_atomic(folder / "results.md", markdown(results, parts, draw_figures(folder, results)))


def show(results: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Screen

    # names come from files and users: never markup
    console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(title(results), soft_wrap=True)
    for table in tables(results):
        screen = Screen(box=SIMPLE_HEAD, pad_edge=False, title=table.title, title_justify="left")
        for name, cells in zip(table.header, zip(*table.rows, strict=True), strict=True):
            screen.add_column(name, justify="right" if all(c[:1] in "0123456789+-–" for c in cells) else "left")
        for row in table.rows:
            screen.add_row(*row)
        console.print(screen)


def markdown(results: dict[str, Any], parts: Sequence[Table], pictures: Sequence[tuple[str, str]]) -> str:
    """The page: tables, pictures (file and caption of each), and at its foot what made the results."""
    lines = [f"# {title(results)}", ""]
    if "bootstrap" in results:
        resamples = results["bootstrap"]["resamples"]
        brackets = f"In brackets: 95 % intervals from {resamples} resamples by patient."
        lines += [f"{results['records']} records. {brackets}", ""]
    for table in parts:
        lines += [f"## {table.title}", "", _row(table.header), _row(["---"] * len(table.header))]
        lines += [*map(_row, table.rows), ""]
    for file, caption in pictures:
        lines += [f"![{caption}]({file})", "", f"*{caption}*", ""]
    return "\n".join([*lines, *_provenance(results)]) + "\n"


def _provenance(results: dict[str, Any]) -> list[str]:
    """What made the results, a line of a list each."""
    lines = [
        f"- {name}: `{model['file']}`, weights_sha256 `{model['weights_sha256']}`"
        for name, model in zip(("first", "second"), results.get("models", ()), strict=False)
    ]
    keys = ("weights_sha256", "data_sha256", "code_version", "command")
    return lines + [f"- {key}: `{results[key]}`" for key in keys if results.get(key)]


def title(results: dict[str, Any]) -> str:
    """Task, data set, label set and folds, as far as the results name them."""
    fold = results.get("fold")
    folds = ", ".join(map(str, fold)) if isinstance(fold, list | tuple) else fold
    parts = [results["task"], results.get("dataset"), results.get("label_set"), f"fold {folds}" if folds else None]
    return ", ".join(str(part) for part in parts if part)


def _row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
