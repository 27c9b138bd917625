"""The worker processes: each job has limits of time and memory, and one that exceeds them is killed.

    queue of jobs ──a thread for each process──▶ pipe of its own ──▶ process: `jobs.work`

Nothing is shared between processes, so that one that is killed at any moment disturbs no other.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ecgclip.serve.jobs import work
from ecgclip.serve.limits import Limits
from ecgclip.serve.refusal import Refusal, in_time

JOBS = 1000  # of a process, before a new one takes its place: what a library leaks is given back
T = TypeVar("T")


class Workers:
    """Processes without torch.

    Parameters
    ----------
    limits
        How many there are, and for how long and with how much memory each works on a job.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._jobs: queue.SimpleQueue[tuple[Callable[..., Any], tuple, Future]] = queue.SimpleQueue()
        self._processes: set[_Process] = set()
        self._stopped = False
        for i in range(limits.workers):
            threading.Thread(target=self._run, name=f"worker {i}", daemon=True).start()

    async def run(self, job: Callable[..., T], *args: Any) -> T:
        """The result of a job.

        Raises
        ------
        Refusal
            It waited or took too long, took too much memory, its process ended, or it raised something.
        """
        future: Future[T] = Future()
        self._jobs.put((job, args, future))
        return await in_time(asyncio.wrap_future(future), self._limits.patience_s)

    def stop(self) -> None:
        """End the processes at once."""
        self._stopped = True
        for process in list(self._processes):
            process.kill()

    def _run(self) -> None:
        process: _Process | None = None
        while not self._stopped:
            job, args, future = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if process is None or not process.usable:
                    process = self._renewed(process)
                future.set_result(process.do(job, args, self._limits.time_s))
            except Exception as error:
                future.set_exception(error)
            del job, args, future  # what was done is not kept until the next one comes

    def _renewed(self, process: _Process | None) -> _Process:
        if process is not None:
            process.kill()
            self._processes.discard(process)
        new = _Process(self._limits.memory_mb)
        self._processes.add(new)
        return new


class _Process:
    """One process that does a job after the other."""

    def __init__(self, memory_mb: int):
        forked = "forkserver" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if forked else "spawn")
        if forked:  # a new process is there at once
            context.set_forkserver_preload(["ecgclip.serve.jobs"])
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=work, args=(far_end, memory_mb), daemon=True)
        self._process.start()
        far_end.close()
        self._left = JOBS

    @property
    def usable(self) -> bool:
        """Whether it can take a job."""
        return self._left > 0 and self._process.is_alive()

    def do(self, job: Callable[..., T], args: tuple, seconds: float) -> T:
        """The result of a job. Raises Refusal."""
        self._left -= 1
        try:
            self._pipe.send((job, args))
            if not self._pipe.poll(seconds):
                raise self._ended(f"took longer than the {seconds:g} s that a request may take here")
            status, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise self._ended("cannot be read: the process that read it broke down") from None
        if status:
            raise Refusal(status, answer)
        return answer

    def _ended(self, text: str) -> Refusal:
        self.kill()
        return Refusal(422, text)

    def kill(self) -> None:
        """End it at once."""
        self._left = 0
        with suppress(OSError):
            self._pipe.close()
        self._process.kill()
        self._process.join(1)
