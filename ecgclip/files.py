"""Files that are written whole or not at all.

A file gets a name of its own beside its place and moves there when all is written, so that a reader sees the old one or the new
one, and two programs that write the same file do not disturb each other. What is interrupted leaves nothing behind: an
exception, Ctrl-C, and SIGTERM where the command line runs (cli.main).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new path in the folder of `path`: what is written there takes its place at the end, and goes if anything is raised."""
    target = Path(os.path.realpath(path))  # a link stays one
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave an empty file under the final name
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes, whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
