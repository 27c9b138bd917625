"""One thread for NumPy's matrix products while ECGs are measured and scored.

The matrices are small. OpenBLAS would share each product among all cores, and its threads, which wait for the next one
without rest, would take the cores from those of the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit OpenBLAS to one thread, as a context or a decorator."""
    with _openblas().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _openblas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas")
