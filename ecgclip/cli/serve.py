"""The command serve: a page in the browser and an HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgclip.cli.app import app
from ecgclip.cli.options import Device, Knowledge, Model


@app.command()
def serve(
    index: Annotated[Path | None, typer.Option(metavar="DIR", help="An index to search in.")] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this machine, a token is asked for.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0: a free one.")] = 8000,
    model: Model = None,
    device: Device = "cpu",
    knowledge_base: Knowledge = None,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; default: one per core.")] = None,
    max_mb: Annotated[int, typer.Option(metavar="MB", min=1, help="Of the files of a request.")] = 64,
    time_limit: Annotated[float, typer.Option(metavar="S", min=1, help="To read and measure the files.")] = 30,
) -> None:
    """Serve a page in the browser and an HTTP API, until Ctrl-C. Nothing leaves the machine, nothing is kept.

    \b
    Example:
      ecgclip serve --port 8000
    """
    from ecgclip.model import load_model
    from ecgclip.serve import Limits, serve

    network = load_model(model, knowledge_base, device)
    cases = None
    if index is not None:
        from ecgclip.index import ECGIndex

        cases = ECGIndex.open(index, network)
    given = {"workers": workers} if workers else {}
    limits = Limits(max_mb=max_mb, time_s=time_limit, **given)
    base = str(knowledge_base) if knowledge_base else None
    serve(network, cases, host=host, port=port, limits=limits, knowledge_base=base, started=typer.echo)
