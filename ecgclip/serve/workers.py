"""The worker processes: each job has limits of time and memory, and one that exceeds them is killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
from collections.abc import Callable
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from ecgclip.ecg import EcgclipError
from ecgclip.serve.jobs import NO_MEMORY, set_limits
from ecgclip.serve.limits import Limits
from ecgclip.serve.refusal import Refusal

JOBS = 1000  # of a process, before a new one takes its place: what a library leaks is given back
T = TypeVar("T")


class Workers:
    """Processes without torch; what they return comes from strangers' files, what they run does not."""

    def __init__(self, limits: Limits):
        self._limits = limits
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:  # a new process is there at once
            context.set_forkserver_preload(["ecgclip.serve.jobs"])
        self._pool = ProcessPool(limits.workers, JOBS, set_limits, (limits.memory_mb,), context)

    async def run(self, job: Callable[..., T], *args: Any) -> T:
        """The result of a job.

        Raises
        ------
        Refusal
            It took too long, its process ended, or it raised EcgclipError.
        """
        future = self._pool.schedule(job, args, timeout=self._limits.time_s)
        try:
            return await asyncio.wrap_future(future)
        except (TimeoutError, concurrent.futures.TimeoutError):
            raise Refusal(422, f"took longer than the {self._limits.time_s:g} s that a request may take here") from None
        except ProcessExpired:
            raise Refusal(422, "cannot be read: the process that read it broke down") from None
        except MemoryError:
            raise Refusal(422, NO_MEMORY) from None
        except EcgclipError as error:
            raise Refusal(400, str(error)) from None
        except Exception as error:  # a bug that a strange file meets
            raise Refusal(422, f"cannot be used (unexpected {type(error).__name__})") from error

    def stop(self) -> None:
        """End the processes at once."""
        self._pool.stop()
        self._pool.join(1)
