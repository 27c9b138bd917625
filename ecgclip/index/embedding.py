"""Embedding an archive: record files become rows for an index, over processes of this machine or, by Ray, of many.

A record that cannot be read is a row with its error; a batch is what a worker does at once and what is committed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecgclip.ecg import EcgclipError
from ecgclip.index.workers import BATCH, Job, Row, _by_processes, cores, embed_batch
from ecgclip.model.clip import ECGCLIP


def embed_records(
    jobs: Sequence[Job], model: ECGCLIP, workers: int | None, engine: str, folder: Path
) -> Iterator[list[Row]]:
    """Rows of all jobs, a batch at a time, in no particular order."""
    batches = [jobs[i : i + BATCH] for i in range(0, len(jobs), BATCH)]
    if engine == "ray":
        from ecgclip.index.ray import embed_by_ray

        yield from embed_by_ray(batches, model, workers, folder)
    elif engine != "local":
        raise EcgclipError(f"unknown engine {engine!r}: local or ray")
    else:
        # a process takes seconds to start: not for a handful
        workers = min(workers or cores(), -(-len(batches) // 4))
        yield from _by_processes(batches, model, workers) if workers > 1 else (embed_batch(b, model) for b in batches)
