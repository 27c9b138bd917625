"""Shards: files in which Ray's workers hand over what they embedded, checked when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ecgclip.files import replacing
from ecgclip.index.embedding import Row
from ecgclip.index.reading import with_reading
from ecgclip.io.records import record_stamp


def write_shard(path: Path, rows: Sequence[Row], weights_sha256: str, dim: int) -> None:
    """Write rows as JSON and their vectors as one array, float16 (windows of all rows, dim)."""
    vectors = np.concatenate([np.empty((0, dim), np.float16), *(r.vectors for r in rows if r.vectors is not None)])
    # in the JSON, `vectors` is how many of the array's rows are theirs
    fields = [{**vars(row), "vectors": None if row.vectors is None else len(row.vectors)} for row in rows]
    text = json.dumps(fields).encode()
    with replacing(path) as partial:
        save_file(
            {"rows": np.frombuffer(text, np.uint8), "vectors": vectors},
            partial,
            {"weights": weights_sha256, "sha256": short_hash(text, vectors.tobytes())},
        )


def read_shard(path: Path, weights_sha256: str) -> list[Row] | None:
    """The rows of a shard; None if the file is damaged, of other weights, or no shard."""
    try:
        with safe_open(path, "np") as file:
            metadata, text, vectors = file.metadata(), file.get_tensor("rows").tobytes(), file.get_tensor("vectors")
        if (metadata["weights"], metadata["sha256"]) != (weights_sha256, short_hash(text, vectors.tobytes())):
            return None
        rows, start = [], 0
        for fields in json.loads(text):
            if (count := fields["vectors"]) is not None:
                fields["vectors"], start = vectors[start : start + count], start + count
            rows.append(Row(**fields))
        return rows
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def left_over(
    folder: Path, weights_sha256: str, wanted: dict[str, str], reading: Mapping[str, Any]
) -> Iterator[list[Row]]:
    """The rows that an interrupted run embedded, but did not store; its shards are deleted.

    Parameters
    ----------
    folder : Path
        The folder of the shards.
    weights_sha256 : str
        The hash of the weights; shards of others are ignored.
    wanted : dict of str to str
        Files, with the paths as given, of the records to embed; those that are found are taken out.
    reading : mapping
        Keyword arguments of `read_ecg`; what was read with others is ignored.
    """
    for path in sorted(folder.iterdir()):
        rows = [row for row in read_shard(path, weights_sha256) or () if _is_current(row, wanted, reading)]
        if rows:
            yield rows
        for row in rows:
            del wanted[row.file]
        path.unlink(missing_ok=True)


def _is_current(row: Row, wanted: dict[str, str], reading: Mapping[str, Any]) -> bool:
    """Whether embedding the record now would give these vectors again; rows without vectors are quickly made again."""
    if row.vectors is None or wanted.get(row.file) != row.record:
        return False
    return with_reading(row.sha256, reading) == row.sha256 and record_stamp(row.file) == (row.size, row.mtime_ns)


def short_hash(*parts: bytes) -> str:
    """The first half of the SHA-256 of some bytes, as hex digits."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:32]
