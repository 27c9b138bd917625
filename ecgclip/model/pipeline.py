"""Records are read in threads, ahead of what is measured and encoded, but not far.

records ─read, by several threads─▶ ECGs ─measured, a batch at a time, here or by processes─▶ examined recordings

Measuring has no thread of its own: each step of the encoder would wait for Python's lock, which measuring holds most of
the time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.measure.examined import Examined, examine_many
from ecgclip.processes import GUARD, cores, process_pool

RECORDINGS = 64  # of a batch
BATCH_BYTES = 64 << 20  # of signals, at which a batch is closed early: day-long recordings do not pile up
MANY = 256  # records, from which on processes measure them
READERS = 4  # threads that read, each one record ahead: more of them help where files are far away
T = TypeVar("T")
U = TypeVar("U")


def examined_batches(
    records: Iterable[T], read: Callable[[T], ECG], sampling_rate: int, workers: int = 1
) -> Iterator[list[tuple[T, Examined | Exception]]]:
    """Read records ahead, in threads, and measure them batch by batch.

    Parameters
    ----------
    records
        Whatever `read` takes; they are asked for in the caller's thread.
    read
        Gives the ECG of a record; called in threads.
    sampling_rate
        Rate of the encoder's signal, Hz.
    workers
        Processes that measure; 1: this one.

    Yields
    ------
    list of tuple
        Each of `records`, in order, with what was measured, or with the exception that it raised.

    Raises
    ------
    EcgclipError
        A process died.
    """
    batches = _batches(in_threads(read, records, READERS, ahead=READERS))
    if workers > 1:
        yield from _by_processes(batches, sampling_rate, workers)
        return
    for batch in batches:
        examined = _examine([ecg for _, ecg in batch], sampling_rate)
        yield [(record, e) for (record, _), e in zip(batch, examined, strict=True)]


def workers_for(records: int) -> int:
    """How many processes measure a number of records: one for each core where their start is worth it."""
    return cores() if records >= MANY else 1


def _by_processes(
    batches: Iterator[list[tuple[T, ECG | Exception]]], sampling_rate: int, workers: int
) -> Iterator[list[tuple[T, Examined | Exception]]]:
    pool = process_pool(workers)
    waiting: deque[tuple[list[T], Future[list[Examined | Exception]]]] = deque()
    try:
        while True:
            for batch in islice(batches, workers + 1 - len(waiting)):
                examined = pool.submit(_examine, [ecg for _, ecg in batch], sampling_rate)
                waiting.append(([record for record, _ in batch], examined))
            if not waiting:
                return
            records, examined = waiting.popleft()
            yield list(zip(records, examined.result(), strict=True))
    except BrokenProcessPool:
        raise EcgclipError(f"a worker process died, perhaps out of memory: give fewer workers ({GUARD})") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _batches(ecgs: Iterable[tuple[T, ECG | Exception]]) -> Iterator[list[tuple[T, ECG | Exception]]]:
    batch: list[tuple[T, ECG | Exception]] = []
    size = 0
    for record, ecg in ecgs:
        batch.append((record, ecg))
        size += ecg.signal.nbytes if isinstance(ecg, ECG) else 0
        if len(batch) >= RECORDINGS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _examine(batch: Sequence[ECG | Exception], sampling_rate: int) -> list[Examined | Exception]:
    ecgs = [ecg for ecg in batch if isinstance(ecg, ECG)]
    examined = iter(together(lambda some: examine_many(some, sampling_rate), ecgs))
    return [next(examined) if isinstance(ecg, ECG) else ecg for ecg in batch]


def together(work: Callable[[Sequence[T]], Iterable[U]], items: Sequence[T]) -> list[U | Exception]:
    """Work on items at once; one by one after an exception, so that a bug that one of them meets loses no other.

    Returns
    -------
    list
        For each item what `work` gives for it, or the exception that it raises.
    """
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        return [error] if len(items) == 1 else [done for item in items for done in together(work, [item])]


def in_threads(
    work: Callable[[T], U], items: Iterable[T], threads: int, ahead: int
) -> Iterator[tuple[T, U | Exception]]:
    """Do work in threads, up to `ahead` items before they are asked for.

    Yields
    ------
    tuple
        Each item, in order, with what `work` returned or raised.
    """
    jobs: SimpleQueue[tuple[T, Future[U]] | None] = SimpleQueue()
    waiting: deque[tuple[T, Future[U]]] = deque()
    for _ in range(threads):
        # daemons, unlike those of a ThreadPoolExecutor: a program that is interrupted does not wait for a slow file
        threading.Thread(target=_serve, args=(work, jobs), daemon=True).start()
    try:
        for item in items:
            waiting.append((item, Future()))
            jobs.put(waiting[-1])
            if len(waiting) > ahead:
                yield _outcome(waiting.popleft())
        while waiting:
            yield _outcome(waiting.popleft())
    finally:
        for _, future in waiting:
            future.cancel()
        for _ in range(threads):
            jobs.put(None)


def _serve(work: Callable[[T], U], jobs: SimpleQueue[tuple[T, Future[U]] | None]) -> None:
    while (job := jobs.get()) is not None:
        item, future = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(item))
            except BaseException as error:  # or the one who waits for it would wait for ever
                future.set_exception(error)
        del job, item, future  # what was done is not kept until the next one comes


def _outcome(job: tuple[T, Future[Any]]) -> tuple[T, Any]:
    item, future = job
    try:
        return item, future.result()
    except Exception as error:
        return item, error
