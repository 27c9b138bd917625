"""The one way to refuse a request, and how an error is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response

BUSY = "too many requests at once: try again in a moment"
T = TypeVar("T")
RETRY_S = 2  # when to try again, s
LONGEST = 500  # characters of an error


class Refusal(HTTPException):
    """A request that is answered with an error: its HTTP status, and one line."""

    def __init__(self, status: int, text: str):
        super().__init__(status, " ".join(text.split())[:LONGEST])

    def __str__(self) -> str:
        return self.detail


class Answer(Response):
    """JSON; NaN, which it does not have, becomes null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The text of an answer."""
        try:
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_without_nan(content), ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


async def in_time(answer: Awaitable[T], seconds: float) -> T:
    """What is awaited. Raises Refusal if that takes longer, as others are before it."""
    try:
        return await asyncio.wait_for(answer, seconds)
    except (TimeoutError, asyncio.TimeoutError):
        raise Refusal(503, BUSY) from None


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not abs(content) < float("inf") else content


def failure(status: int, text: str) -> Response:
    """An error as it is answered: one line."""
    headers = {"Retry-After": str(RETRY_S)} if status == 503 else None
    return Answer({"error": " ".join(text.split())[:LONGEST]}, status, headers)
