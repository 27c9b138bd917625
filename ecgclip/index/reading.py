"""The options that a record was read with: they decide what is embedded, and stand behind its hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

HASH = 64  # characters of a SHA-256


def with_reading(sha256: str, reading: Mapping[str, Any]) -> str:
    """The hash of a record with the keyword arguments of `read_ecg` behind it; without any, the hash alone."""
    options = {key: value for key, value in reading.items() if value}
    return sha256[:HASH] + (json.dumps(options, sort_keys=True) if options else "")


def reading_of(stored: str) -> dict[str, Any]:
    """The keyword arguments in what `with_reading` gave."""
    return json.loads(stored[HASH:] or "{}")
