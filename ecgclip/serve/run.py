"""Starting the server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ecgclip.ecg import EcgclipError
from ecgclip.serve.limits import Limits

if TYPE_CHECKING:
    from ecgclip.index import ECGIndex
    from ecgclip.model.clip import ECGCLIP


def serve(
    model: ECGCLIP,
    index: ECGIndex | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits = Limits(),
    knowledge_base: str | None = None,
    started: Callable[[str], None] = print,
) -> None:
    """Serve the page and the API until it is interrupted.

    Parameters
    ----------
    model
        A trained one.
    index
        An archive to search.
    host, port
        Where to listen; port 0 is a free one.
    limits
        What a request may take.
    knowledge_base
        The folder of the model's, if it is not the shipped one.
    started
        Called with the address when the server listens.

    Raises
    ------
    EcgclipError
        The extra `serve` is missing, or the address cannot be used.
    """
    try:
        import uvicorn

        from ecgclip.serve.app import make_app
        from ecgclip.serve.desk import Desk
    except ImportError as error:
        raise EcgclipError(f'serving needs {error.name}: pip install "ecgclip[serve]"') from None
    with _listening(host, port) as listener:
        desk = Desk(model, index, limits, knowledge_base)
        config = uvicorn.Config(
            make_app(desk),
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="critical",
            timeout_graceful_shutdown=0,
            server_header=False,
            proxy_headers=False,
        )
        try:
            started(f"http://{host}:{listener.getsockname()[1]}/")
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            desk.workers.stop()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise EcgclipError(
            f"cannot listen at {host}, port {port} ({os.strerror(error.errno or 0)}): give another --port"
        ) from None
