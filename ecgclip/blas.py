"""One thread for NumPy's matrix products while ECGs are measured and scored.

The matrices are small. OpenBLAS would share each product among all cores, and its threads, which wait for the next one
without rest, would take the cores from those of the encoder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_lock = threading.Lock()
_inside = 0  # threads of the program that are inside
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit OpenBLAS to one thread, as a context or a decorator, until the last of those that are inside has left."""
    global _inside, _limit
    with _lock:
        if not _inside:
            _limit = _openblas().limit(limits=1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limit.restore_original_limits()


@lru_cache(maxsize=1)
def _openblas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas")
