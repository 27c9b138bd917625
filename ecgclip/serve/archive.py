"""The index of a server, as strangers see it: records by id and by the last part of their name, never by a path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.index import ECGIndex, Hit
from ecgclip.serve.refusal import Refusal

SUBQUERY = re.compile(r"\b(select|with|values)\b", re.IGNORECASE)


class Archive:
    """An index whose answers name no folder.

    Parameters
    ----------
    index
        An open one.
    """

    def __init__(self, index: ECGIndex):
        self._index = index

    def search(self, text: str | None = None, *, where: str | None = None, **query: Any) -> list[Hit]:
        """As `ECGIndex.search`; a condition may not contain a query of its own, as that may take any time."""
        if where and SUBQUERY.search(where):
            raise EcgclipError("where: a condition without SELECT, WITH or VALUES")
        with self._without_folder():
            hits = self._index.search(text, where=where, **query)
        return [replace(hit, record=os.path.basename(hit.record)) for hit in hits]

    def file_of(self, record: str) -> tuple[str, dict[str, Any]]:
        """The path of a record by its id, and how it is to be read. Raises Refusal if there is none."""
        with self._without_folder():
            found = self._index.file_of(int(record)) if re.fullmatch(r"[0-9]{1,18}", record) else None
        if found is None:
            raise Refusal(404, "the index has no record with this id")
        return found

    def info(self) -> dict[str, Any]:
        """Kind, and numbers of records and windows."""
        info = self._index.info()
        return {key: info[key] for key in ("records", "windows", "kind")}

    @contextmanager
    def _without_folder(self) -> Iterator[None]:
        try:
            yield
        except EcgclipError as error:
            raise EcgclipError(str(error).replace(str(self._index.folder), "the index")) from None
