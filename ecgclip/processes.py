"""Worker processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any

GUARD = "a script of your own needs `if __name__ == '__main__':` for more than one"  # as it is read by each of them


def cores() -> int:
    """How many CPU cores this process may use; a container or `taskset` may give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Processes that leave an interrupt to their parent, and end when it is killed."""
    # spawned, as the threads of torch do not survive a fork
    return ProcessPoolExecutor(workers, get_context("spawn"), _start)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
