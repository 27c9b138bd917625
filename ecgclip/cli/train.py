"""train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgclip.cli.app import train
from ecgclip.cli.options import Data, Out, RecipeName, Threads, _folder, _recipe


@train.command("text")
def train_text(recipe: RecipeName, data: Data, output: Out, threads: Threads = None) -> None:
    """Train the tokenizer and the text encoder on the data's reports and the knowledge base.

    \b
    Example:
      ecgclip train text default --data ~/ecg -o runs/text
    """
    from ecgclip import train as training

    typer.echo(training.train_text(_recipe(recipe), _folder(data), output, threads))


@train.command("clip")
def train_clip(
    recipe: RecipeName,
    data: Data,
    text: Annotated[Path, typer.Option(metavar="DIR", help="What `ecgclip train text` wrote.")],
    output: Out,
    threads: Threads = None,
) -> None:
    """Align ECGs and text; goes on where an interrupted run stopped. Prints the folder of the model.

    \b
    Example:
      ecgclip train clip default --data ~/ecg --text runs/text -o runs/clip
      torchrun --nproc-per-node 2 -m ecgclip train clip default --data ~/ecg --text runs/text -o runs/clip
    """
    from ecgclip import train as training

    typer.echo(training.train_clip(_recipe(recipe), _folder(data), _folder(text), output, threads))
