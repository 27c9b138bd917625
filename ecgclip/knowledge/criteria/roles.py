"""The role of a criterion in its condition.

| written | meaning |
| --- | --- |
| required | it must be met |
| one of NAME, 2 of NAME | so many of the criteria with this NAME must be met |
| supporting | it speaks for the condition; the role of a criterion without one |
| against | it speaks against the condition |
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from ecgclip.ecg import EcgclipError

PLAIN = ("required", "supporting", "against")
_GROUP = re.compile(r"(one|[1-9]) of ([a-z][a-z0-9_-]{0,30})")


class Role(NamedTuple):
    """A role: `kind` is "required", "supporting", "against" or "group"; of a group, how many of which are needed."""

    kind: str
    number: int = 0
    group: str = ""


def parse_role(text: str | None) -> Role:
    """Read a role; None is "supporting".

    Raises
    ------
    EcgclipError
        If it is none.
    """
    if text is None:
        return Role("supporting")
    if not isinstance(text, str):
        raise _unknown(text)
    return _parsed(text)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Role:
    if text in PLAIN:
        return Role(text)
    match = _GROUP.fullmatch(text)
    if match is None:
        raise _unknown(text)
    return Role("group", 1 if match[1] == "one" else int(match[1]), match[2])


def _unknown(text: Any) -> EcgclipError:
    return EcgclipError(f"unknown role {text!r}: use required, one of NAME, 2 of NAME, supporting or against")
