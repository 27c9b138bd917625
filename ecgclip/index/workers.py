"""Embedding records by several processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

import torch

from ecgclip.ecg import EcgclipError
from ecgclip.index.embedding import Job, Row, embed_batch
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model

_MODEL: list[ECGCLIP] = []  # the model of a worker process


def cores() -> int:
    """How many CPU cores this process may use; a container or `taskset` may give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    # spawned, as the threads of torch do not survive a fork
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (str(model.folder), str(model.device)))
    try:
        waiting: set[Future[list[Row]]] = set()
        remaining = iter(batches)
        while True:
            # a few are submitted ahead, not the batches of ten million records at once
            free = range(2 * workers - len(waiting))
            waiting |= {pool.submit(_work, jobs, reading) for _, jobs in zip(free, remaining, strict=False)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise EcgclipError(
            "a worker process died, perhaps out of memory: run the same again with fewer workers, what is done is "
            "kept (a script of your own needs `if __name__ == '__main__':` for more than one)"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def load_in_worker(weights: str, device: str = "cpu") -> ECGCLIP:
    """Load a model in a worker process, which then uses one thread, as there is a process for each core."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="ecgclip")
    return load_model(weights, device=device)


def _start_process(weights: str, device: str) -> None:
    """Set a process up: it leaves an interrupt to its parent, and ends when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    _MODEL[:] = [load_in_worker(weights, device)]


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work(jobs: Sequence[Job], reading: Mapping[str, Any]) -> list[Row]:
    return embed_batch(jobs, _MODEL[0], reading)
