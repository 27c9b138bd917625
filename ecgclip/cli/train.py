"""The commands train text, train ecg and train clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgclip.cli.app import train_app
from ecgclip.cli.inputs import check_folder, load_recipe
from ecgclip.cli.options import DataFolder, OutputFolder, RecipeName, Threads


@train_app.command("text")
def train_text(recipe: RecipeName, data: DataFolder, output: OutputFolder, threads: Threads = None) -> None:
    """Train the tokenizer on the data's reports and the knowledge base, and make the text encoder to begin with.

    The encoder is pretrained on masked words if the recipe has epochs of that; the default recipe has none.

    \b
    Example:
      ecgclip train text default --data ~/ecg -o runs/text
    """
    from ecgclip.train import train_text as run

    typer.echo(run(load_recipe(recipe), check_folder(data), output, threads))


@train_app.command("ecg")
def train_ecg(recipe: RecipeName, data: DataFolder, output: OutputFolder, threads: Threads = None) -> None:
    """Pretrain the ECG encoder's backbone on signals without labels, by the recipe's ecg_pretraining.

    That of the default recipe predicts what is measured in them. It goes on where an interrupted run stopped, and
    prints its folder, for `train clip --ecg`.

    \b
    Example:
      ecgclip train ecg default --data ~/ecg -o runs/ecg
    """
    from ecgclip.train import train_ecg as run

    typer.echo(run(load_recipe(recipe), check_folder(data), output, threads))


@train_app.command("clip")
def train_clip(
    recipe: RecipeName,
    data: DataFolder,
    text: Annotated[Path, typer.Option(metavar="DIR", help="What `ecgclip train text` wrote.")],
    output: OutputFolder,
    ecg: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What `ecgclip train ecg` wrote, to begin with; default: random weights."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Align ECGs and text; goes on where an interrupted run stopped. Prints the folder of the model.

    \b
    Example:
      ecgclip train clip default --data ~/ecg --text runs/text --ecg runs/ecg -o runs/clip
      torchrun --nproc-per-node 2 -m ecgclip train clip default --data ~/ecg --text text --ecg ecg -o clip
    """
    from ecgclip.train import train_clip as run

    pretrained = check_folder(ecg) if ecg else None
    typer.echo(run(load_recipe(recipe), check_folder(data), check_folder(text), output, threads, pretrained))
