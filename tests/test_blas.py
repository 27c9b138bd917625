"""OpenBLAS has one thread while something is measured, and all of them again afterwards."""

import pytest
from threadpoolctl import threadpool_info

from ecgclip.blas import one_blas_thread


def openblas_threads():
    found = [pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]]
    if not found or max(found) < 2:
        pytest.skip("NumPy has no OpenBLAS of its own here, or one thread")
    return found


def test_one_thread_inside_and_all_afterwards():
    before = openblas_threads()
    with one_blas_thread():
        assert {pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]} == {1}
    assert openblas_threads() == before


def test_an_error_gives_them_back_too():
    before = openblas_threads()
    with pytest.raises(ValueError, match="inside"), one_blas_thread():
        raise ValueError("inside")
    assert openblas_threads() == before
