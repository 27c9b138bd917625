"""Embedding records by several processes of this machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import Any

import torch

from ecgclip.ecg import EcgclipError
from ecgclip.index.embedding import Job, Row, embed_batch
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model
from ecgclip.processes import GUARD, process_pool


def embed_by_processes(
    batches: Sequence[Sequence[Job]], model: ECGCLIP, workers: int, reading: Mapping[str, Any]
) -> Iterator[list[Row]]:
    """Embed batches of records by `workers` processes; each batch when it is done, in no particular order.

    reading: keyword arguments of `read_ecg`.

    Raises
    ------
    EcgclipError
        A process died.
    """
    pool = process_pool(workers)
    loaded = str(model.folder), str(model.device)
    try:
        waiting: set[Future[list[Row]]] = set()
        remaining = iter(batches)
        while True:
            # a few are submitted ahead, not the batches of ten million records at once
            free = range(2 * workers - len(waiting))
            waiting |= {pool.submit(_work, jobs, reading, loaded) for _, jobs in zip(free, remaining, strict=False)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise EcgclipError(
            "a worker process died, perhaps out of memory: run the same again with fewer workers, what is done is "
            f"kept ({GUARD})"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def load_in_worker(weights: str, device: str = "cpu") -> ECGCLIP:
    """Load a model in a worker process, which then uses one thread, as there is a process for each core."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="ecgclip")
    return load_model(weights, device=device)


def _work(jobs: Sequence[Job], reading: Mapping[str, Any], loaded: tuple[str, str]) -> list[Row]:
    return embed_batch(jobs, _model(*loaded), reading)


@lru_cache(maxsize=1)
def _model(weights: str, device: str) -> ECGCLIP:
    """The model of a worker process."""
    return load_in_worker(weights, device)
