"""What stands before the application: who may ask, how much may be sent, how long it may take.

connection ──Protocol: headers in time──▶ Guard: host, token, site, size and time of the body ──▶ application
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from ecgclip.serve.limits import MB, Limits
from ecgclip.serve.refusal import BUSY, Refusal, failure

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
WITHOUT_FILES = MB  # bytes of a request that sends no files
RECEIVED_AT_ONCE = 16  # times `Limits.max_mb`, of all requests that are being received
FLOOD = 4  # times as much as is allowed is still taken before a client is cut off, so that it hears why
COOKIE = "ecgclip"
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """Lets a request through to the application, or refuses it.

    Parameters
    ----------
    app
        The application.
    limits
        What a request may take.
    hosts
        Names that the Host header may have; empty for any. It keeps a page elsewhere, whose name was made to lead
        here, from asking.
    token
        What a client must know; empty if anyone may ask.
    """

    def __init__(self, app: Any, limits: Limits, hosts: frozenset[str], token: str):
        self._app, self._limits, self._hosts, self._token = app, limits, hosts, token
        self._received = 0  # bytes of the requests that are being received or worked on

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        send = self._secured(scope["path"], send)
        body = Body(receive, self._limits, _length(headers))
        try:
            if self._brings_token(scope):
                return await self._set_cookie(headers)(scope, receive, send)
            self._check_client(scope["method"], headers)
            if scope["method"] != "POST":
                return await self._app(scope, receive, send)
            self._check_body(headers, body)
            self._received += body.most
            try:
                await self._app(scope, body.receive, send)
            finally:
                self._received -= body.most
        except Refusal as refusal:
            response = failure(refusal.status_code, refusal.detail)
            response.headers["Connection"] = "close"
            await response(scope, receive, send)

    # --- who ----------------------------------------------------------------------------------------------------------

    def _check_client(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            raise Refusal(403, "this server answers at its own address only")
        if self._token and not self._knows_token(headers):
            raise Refusal(401, "this server asks for its token: open the address that it printed when it was started")
        if method not in ("GET", "HEAD") and not _same_site(headers, host):
            raise Refusal(403, "a page of another site may not ask this server")

    def _knows_token(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = (
            bearer.strip() if scheme.lower() == "bearer" else cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        )
        return self._is_token(given)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _brings_token(self, scope: Mapping[str, Any]) -> bool:
        """Whether it is the address that was printed when the server was started."""
        if not self._token or scope["path"] != "/" or not scope["query_string"]:
            return False
        return self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0])

    def _set_cookie(self, headers: Headers) -> RedirectResponse:
        """Let the browser know the token from now on, and take it out of the address."""
        response = RedirectResponse("/", 303)
        secure = headers.get("x-forwarded-proto") == "https"
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=secure)
        return response

    # --- what ---------------------------------------------------------------------------------------------------------

    def _check_body(self, headers: Headers, body: Body) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and kind not in FORMS:
            raise Refusal(400, f"send a form: {' or '.join(FORMS)}")
        if kind != FORMS[0]:
            body.most = min(body.most, WITHOUT_FILES)
        if body.length > FLOOD * body.most:
            raise body.too_large()
        if self._received + body.most > RECEIVED_AT_ONCE * self._limits.max_mb * MB:
            raise Refusal(503, BUSY)

    def _secured(self, path: str, send: Send) -> Send:
        """Sends with the headers that keep a browser from doing what the page does not need."""
        more = HEADERS | {"Cache-Control": "no-store" if path.startswith("/api") else "no-cache"}

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(more)
            await asyncio.wait_for(send(message), self._limits.answer_s)

        return secured


class Body:
    """The body of a request as it is received.

    Parameters
    ----------
    receive
        Gives the next part.
    limits
        How much may be received, and how fast.
    length
        What the client says it sends, bytes; `most` if it does not say.
    """

    def __init__(self, receive: Receive, limits: Limits, length: int | None):
        self._receive, self._limits = receive, limits
        self.most = limits.max_mb * MB if length is None else min(length, limits.max_mb * MB)
        self.length = length or 0
        self._until: float | None = None
        self._count = 0

    async def receive(self) -> Message:
        """The next part. Raises Refusal if it is too much or comes too late."""
        message = await self._next()
        self._count += len(message.get("body", b""))
        while self._count > self.most:
            if not message.get("more_body") or self._count > FLOOD * self.most:
                raise self.too_large()
            message = await self._next()
            self._count += len(message.get("body", b""))
        return message

    async def _next(self) -> Message:
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + self._limits.body_s
        try:
            return await asyncio.wait_for(self._receive(), self._until - now)
        except (TimeoutError, asyncio.TimeoutError):
            raise Refusal(408, f"the request took more than {self._limits.body_s:g} s to arrive") from None

    def too_large(self) -> Refusal:
        """Why it is refused."""
        return Refusal(413, f"the files are larger than the {self._limits.max_mb} MB that a request may have")


def _length(headers: Headers) -> int | None:
    """The length that a client announces; h11 has checked that it is a number."""
    return int(headers["content-length"]) if "content-length" in headers else None


def _name(host: str) -> str:
    """A host without its port; empty for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_site(headers: Headers, host: str) -> bool:
    """Whether a request comes from this server's own page, or from a program that is no browser."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def protocol_of(limits: Limits) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1, where a client that sends its headers slowly, or takes no answer, is cut off."""

    class Protocol(H11Protocol):
        _due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.abort()
            else:
                self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._is_idle() and self._due is None:
                self._await_headers()
            super().data_received(data)
            if not self._is_idle():
                self._cancel()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.loop.call_later(limits.answer_s, self._drop_unread, self.cycle)

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "this is not HTTP, or its headers are too long")

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _await_headers(self) -> None:
            self._due = self.loop.call_later(limits.header_s, self._too_slow)

        def _cancel(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

        def _too_slow(self) -> None:
            self._refuse(408, f"the headers took more than {limits.header_s:g} s to arrive")

        def _drop_unread(self, cycle: Any) -> None:
            if self.cycle is cycle and self.transport.get_write_buffer_size():
                self.transport.abort()

        def _refuse(self, status: int, text: str) -> None:
            if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
                self.transport.abort()  # another answer has begun
                return
            response = failure(status, text)
            response.headers.update(HEADERS | {"Connection": "close"})
            start = h11.Response(status_code=status, headers=response.raw_headers)
            for event in (start, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
            self.transport.close()

    return Protocol
