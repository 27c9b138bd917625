"""The command export onnx: a model for other runtimes."""

from __future__ import annotations

import typer

from ecgclip.cli.app import export_app
from ecgclip.cli.options import Model, OutputFolder


@export_app.command("onnx")
def export_onnx(output: OutputFolder, model: Model = None) -> None:
    """Write a model as ONNX files, with all that is needed to score ECGs with them (docs/onnx.md). Prints the folder.

    \b
    Example:
      ecgclip export onnx -o onnx
    """
    from ecgclip.model import export_onnx as run
    from ecgclip.model import load_model

    run(load_model(model), output)
    typer.echo(output)
