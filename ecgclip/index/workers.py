"""Embedding of records by processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from typing import Any

import numpy as np

from ecgclip.data.metadata import concept_names
from ecgclip.ecg import EcgclipError
from ecgclip.io.records import record_hash, record_stamp
from ecgclip.io.wfdb import read_ecg
from ecgclip.measure.guideline import findings
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding
from ecgclip.model.store import load_model

BATCH = 32  # records
QUALITY = {"baseline_wander": "baseline wander", "muscle_noise": "muscle noise", "flat_lead": "a flat lead"}
SEX = {"female": "F", "male": "M"}
Job = tuple[str, str, str]  # absolute path, path as given (both without .hea), hash when last embedded or ""


@dataclass(frozen=True)
class Row:
    """What became of one record: an error, the same bytes as before (vectors None), or vectors float16 (windows, dim)."""

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


def cores() -> int:
    """How many CPU cores this process may use; a container or `taskset` may give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def embed_batch(jobs: Sequence[Job], model: ECGCLIP) -> list[Row]:
    """Read and embed some records. Raises nothing for a record's sake."""
    rows: list[Row] = []
    new: list[Row] = []
    for file, record, before in jobs:
        try:
            row = Row(file, record, "", *(record_stamp(file) or (0, 0)), record_hash(file))
        except Exception as error:
            rows.append(_failed(file, record, error))
        else:
            (rows if row.sha256 == before else new).append(row)
    for row, embedding in model.embed_each(new, lambda row: read_ecg(row.file)):
        try:
            if isinstance(embedding, Exception):
                raise embedding
            rows.append(_row(row, embedding, model))
        except Exception as error:
            rows.append(_failed(row.file, row.record, error))
    return rows


def _failed(file: str, record: str, error: Exception) -> Row:
    """One record, whatever is wrong with it, must not lose the others."""
    known = isinstance(error, EcgclipError)
    return Row(file, record, str(error) if known else f"{file}: unexpected {type(error).__name__}: {str(error)[:200]}")


def _row(row: Row, embedding: Embedding, model: ECGCLIP) -> Row:
    found = [findings(m) for m in embedding.measurements]
    noisy = [words for key, words in QUALITY.items() if any(f.get(key) for f in found)]
    known = embedding.metadata
    return Row(
        row.file, row.record, "", row.size, row.mtime_ns, row.sha256,
        " ".join(embedding.leads), embedding.prepared.seconds, known["age"], SEX.get(known["sex"]),
        concept_names(known.get("dx", []), model.kb), "; ".join([*embedding.notes, *noisy]),
        [float(s) for s in embedding.prepared.start_s], embedding.rhythm.astype(np.float16),
    )  # fmt: skip


# --- processes --------------------------------------------------------------------------------------------------------

_MODEL: list[ECGCLIP] = []  # of a worker process


def start_worker(weights: str) -> None:
    """Once in each worker: a thread each, as the processes are as many as the cores."""
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="ecgclip")
    _MODEL[:] = [load_model(weights)]


def _start_process(weights: str) -> None:
    """An interrupt is the parent's affair; a parent that is killed takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(parent_process(),), daemon=True).start()
    start_worker(weights)


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work(jobs: Sequence[Job]) -> list[Row]:
    return embed_batch(jobs, _MODEL[0])


def _by_processes(batches: list[Sequence[Job]], model: ECGCLIP, workers: int) -> Iterator[list[Row]]:
    # spawned, as torch's threads do not survive a fork
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (str(model.folder),))
    try:
        waiting: set[Future[list[Row]]] = set()
        left = iter(batches)
        while True:
            # a few ahead: ten million records are not queued at once
            waiting |= {pool.submit(_work, b) for _, b in zip(range(2 * workers - len(waiting)), left, strict=False)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise EcgclipError(
            "a worker process died, perhaps for want of memory: run the same again with fewer workers, what is done is "
            "kept (a script of your own needs `if __name__ == '__main__':` for more than one)"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
