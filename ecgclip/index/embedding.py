"""From record files to rows of an index: reading and embedding a batch of records in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from ecgclip.data.metadata import concept_names
from ecgclip.ecg import EcgclipError
from ecgclip.index.reading import with_reading
from ecgclip.io.read import read_ecg
from ecgclip.io.records import record_hash, record_stamp
from ecgclip.measure.guideline import findings_of
from ecgclip.measure.stacked import Stacked
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.embed import BATCH
from ecgclip.model.pipeline import together
from ecgclip.model.results import Embedding

NOISE = {"baseline_wander": "baseline wander", "muscle_noise": "muscle noise", "flat_lead": "a flat lead"}
SEX = {"female": "F", "male": "M"}
Job = tuple[str, str, str]  # absolute path and path as given (both without .hea), Row.sha256 or ""


@dataclass(frozen=True)
class Row:
    """What embedding one record gave.

    Attributes
    ----------
    file : str
        Absolute path, without .hea.
    record : str
        Path as given, without .hea.
    error : str
        Why it could not be read, or empty.
    size, mtime_ns : int
        The stamp of the record (`record_stamp`).
    sha256 : str
        The hash of the record (`record_hash`), with the options that it was read with (`with_reading`).
    leads : str
        Names, separated by spaces.
    seconds : float
        Length of the recording.
    age : float or None
        Years.
    sex : str or None
        "F" or "M".
    labels : list of str
        The diagnoses in its header.
    quality : str
        Notes on the signal.
    start_s : list of float
        Start of each window, s.
    vectors : float16 (windows, dim)
        None if there is an error, or if the hash is that of the job.
    """

    file: str
    record: str
    error: str = ""
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    leads: str = ""
    seconds: float = 0.0
    age: float | None = None
    sex: str | None = None
    labels: list[str] = field(default_factory=list)
    quality: str = ""
    start_s: list[float] = field(default_factory=list)
    vectors: np.ndarray | None = None


def embed_batch(jobs: Sequence[Job], model: ECGCLIP, reading: Mapping[str, Any]) -> list[Row]:
    """Read and embed records. A record that cannot be read is a row with an error and does not stop the others.

    reading: keyword arguments of `read_ecg`.
    """
    rows: list[Row] = []
    changed: list[Row] = []
    for file, record, old_sha256 in jobs:
        try:
            row = Row(file, record, "", *(record_stamp(file) or (0, 0)), with_reading(record_hash(file), reading))
        except Exception as error:
            rows.append(_failed(file, record, error))
        else:
            (rows if row.sha256 == old_sha256 else changed).append(row)
    embedded = model.embed_each(changed, lambda row: read_ecg(row.file, **reading))
    while batch := list(islice(embedded, BATCH)):
        noise = iter(together(_noise, [e for _, e in batch if not isinstance(e, Exception)]))
        for row, embedding in batch:
            try:
                if isinstance(embedding, Exception):
                    raise embedding
                words = next(noise)
                if isinstance(words, Exception):
                    raise words
                rows.append(_row(row, embedding, words, model))
            except Exception as error:
                rows.append(_failed(row.file, row.record, error))
    return rows


def _noise(embeddings: Sequence[Embedding]) -> list[list[str]]:
    """What disturbs the signal of each recording, in any of its windows, in words."""
    found = findings_of(Stacked([m for embedding in embeddings for m in embedding.measurements]))
    ends = np.cumsum([0, *(len(embedding.measurements) for embedding in embeddings)])
    return [
        [words for key, words in NOISE.items() if (found[key][first:last] == 1).any()]
        for first, last in zip(ends[:-1], ends[1:], strict=True)
    ]


def _failed(file: str, record: str, error: Exception) -> Row:
    if isinstance(error, EcgclipError):
        return Row(file, record, str(error))
    return Row(file, record, f"{file}: unexpected {type(error).__name__}: {str(error)[:200]}")


def _row(row: Row, embedding: Embedding, noise: list[str], model: ECGCLIP) -> Row:
    """Add to a row what embedding its record gave; noise: as of `_noise`."""
    metadata = embedding.metadata
    return replace(
        row,
        leads=" ".join(embedding.leads),
        seconds=embedding.prepared.seconds,
        age=metadata["age"],
        sex=SEX.get(metadata["sex"]),
        labels=concept_names(metadata.get("dx", []), model.kb),
        quality="; ".join([*embedding.notes, *noise]),
        start_s=[float(start) for start in embedding.prepared.start_s],
        vectors=embedding.rhythm.astype(np.float16),
    )
