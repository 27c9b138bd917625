"""Starting the server."""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ecgclip.blas import one_blas_thread
from ecgclip.ecg import EcgclipError
from ecgclip.processes import cores
from ecgclip.serve.limits import Limits

LOCAL = ("localhost", "127.0.0.1", "::1")

if TYPE_CHECKING:
    import uvicorn

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
        import torch
        import uvicorn

        from ecgclip.serve.app import make_app
        from ecgclip.serve.desk import Desk
        from ecgclip.serve.guard import Guard
    except ImportError as error:
        raise EcgclipError(f'serving needs {error.name}: pip install "ecgclip[serve]"') from None
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    with _listening(host, port) as listener:
        desk = Desk(model, index, limits, knowledge_base)
        guard = Guard(make_app(desk), limits, frozenset() if token else frozenset({host, *LOCAL}), token)
        torch.set_num_threads(max(1, cores() - limits.workers))  # the worker processes have the others
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a damaged form is answered, not logged
        try:
            started(address(host, listener.getsockname()[1], token))
            with one_blas_thread():
                uvicorn.Server(config_of(guard, limits)).run([listener])
        finally:
            desk.stop()


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host in LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int, token: str) -> str:
    """The address to open in a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise EcgclipError(
            f"cannot listen at {host}, port {port} ({os.strerror(error.errno or 0)}): give another --port"
        ) from None


def config_of(app: Any, limits: Limits) -> uvicorn.Config:
    """The settings of uvicorn."""
    import uvicorn

    from ecgclip.serve.guard import protocol_of

    return uvicorn.Config(
        app,
        http=protocol_of(limits),
        ws="none",
        lifespan="off",
        access_log=False,  # an address may hold the token
        log_level="critical",
        timeout_graceful_shutdown=0,
        server_header=False,
        proxy_headers=False,
    )
