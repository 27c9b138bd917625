"""Threads that work on what requests ask of the model, one after another: the event loop never waits for a number."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ecgclip.model.pipeline import together

PATIENCE = 0.03  # s
T = TypeVar("T")
U = TypeVar("U")


class Lane(Generic[T, U]):
    """One thread; it takes what waits, up to `most` items at once.

    Parameters
    ----------
    name
        Of the thread.
    work
        Items → what each gives, in order; called in the thread. Where it raises, the items are tried one by one.
    most
        Items at once.
    expected
        How many items may come soon, those that wait among them: the lane waits `PATIENCE` for them, as items cost
        less together.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], Sequence[U]],
        most: int = 1,
        expected: Callable[[], int] = lambda: 1,
    ):
        self._work, self._most, self._expected = work, most, expected
        self._waiting: queue.SimpleQueue[tuple[T, Future[U]]] = queue.SimpleQueue()
        # a daemon: a server that is stopped does not wait for a long recording
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopped = False
        self._thread.start()

    def stop(self) -> None:
        """End the thread after what it works on, waiting a little: Python's end in the middle of torch is an abort."""
        self._stopped = True
        nothing: Future[U] = Future()
        nothing.cancel()
        self._waiting.put((None, nothing))  # type: ignore[arg-type]
        self._thread.join(0.5)

    async def ask(self, item: T) -> U:
        """What the work gives for an item; raises what it raises."""
        future: Future[U] = Future()
        self._waiting.put((item, future))
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        while not self._stopped:
            taken = self._taken()
            asked = [(item, future) for item, future in taken if future.set_running_or_notify_cancel()]
            answers = together(self._work, [item for item, _ in asked])
            for (_, future), answer in zip(asked, answers, strict=True):
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
            del taken, asked, answers  # what was done is not kept until the next one comes

    def _taken(self) -> list[tuple[T, Future[U]]]:
        """The next items, one at the least."""
        taken = [self._waiting.get()]
        until = time.monotonic() + PATIENCE
        while len(taken) < min(self._most, self._expected()):
            try:
                taken.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return taken


def calls(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """The work of a lane whose items are functions."""
    return [job() for job in jobs]
