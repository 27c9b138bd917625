"""Embedding an archive: batches of records go to this process, to several on this machine, or to a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.index.embedding import Job, Row, embed_batch
from ecgclip.index.workers import embed_by_processes
from ecgclip.model.clip import ECGCLIP
from ecgclip.processes import cores

BATCH = 64  # records that are embedded at once by a worker, and stored at once


def embed_records(
    jobs: Sequence[Job],
    model: ECGCLIP,
    workers: int | None,
    engine: str,
    folder: Path,
    reading: Mapping[str, Any] | None = None,
) -> Iterator[list[Row]]:
    """Embed records, a batch at a time, in no particular order.

    Parameters
    ----------
    jobs : sequence of Job
        The records.
    model : ECGCLIP
        The model to embed them with.
    workers : int or None
        Number of processes; None for one on each core.
    engine : str
        "local" or "ray".
    folder : Path
        The folder of the index, where Ray's workers write.
    reading : mapping or None
        Keyword arguments of `read_ecg`.

    Raises
    ------
    EcgclipError
        The engine is unknown, not installed or not for the device of the model, or a worker died.
    """
    reading = reading or {}
    batches = [jobs[i : i + BATCH] for i in range(0, len(jobs), BATCH)]
    if engine == "ray":
        from ecgclip.index.ray import embed_by_ray

        if model.device.type != "cpu":
            raise EcgclipError("--engine ray runs on CPUs: leave out --device")
        yield from embed_by_ray(batches, model, workers, folder, reading)
    elif engine != "local":
        raise EcgclipError(f"unknown engine {engine!r}: local or ray")
    else:
        workers = min(workers or cores(), -(-len(batches) // 4))  # a process takes seconds to start: not for a handful
        if workers > 1:
            yield from embed_by_processes(batches, model, workers, reading)
        else:
            yield from (embed_batch(batch, model, reading) for batch in batches)
