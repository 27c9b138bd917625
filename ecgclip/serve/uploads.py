"""The files of one request: in a folder of their own for as long as a worker reads them, by names that are no paths."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from ecgclip.serve.refusal import Refusal

LONGEST = 120  # bytes of a name


class Upload(Protocol):
    """A file that was sent, as Starlette gives it."""

    filename: str | None
    file: BinaryIO


@asynccontextmanager
async def folder_of(uploads: Sequence[Upload]) -> AsyncIterator[str]:
    """Give a folder that holds the files, and delete it afterwards, whatever happens."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="ecgclip-"))
    try:
        await asyncio.to_thread(_save, uploads, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _save(uploads: Sequence[Upload], folder: str) -> None:
    for upload in uploads:
        name = clean_name(upload.filename)
        try:
            with open(Path(folder, name), "xb") as out:
                shutil.copyfileobj(upload.file, out, 1 << 20)
        except FileExistsError:
            raise Refusal(400, f"two files are called {name}") from None


def clean_name(name: str | None) -> str:
    """The last part of a name, without what a file system or a terminal may misread; the ending stays."""
    last = re.split(r"[/\\]", name or "")[-1]
    plain = "".join(c if c.isprintable() and c not in '<>:"|?*#[]~$%' else "_" for c in last).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    if not (dot and stem):
        stem, ending = plain, ""
    ending = (dot + ending).encode()[:20].decode(errors="ignore") if ending else ""
    return (stem.encode()[: LONGEST - len(ending.encode())].decode(errors="ignore") or "ECG") + ending
