"""OpenBLAS has one thread while something is measured, and all of them again afterwards."""

import threading

import pytest
from threadpoolctl import threadpool_info

from ecgclip.blas import one_blas_thread


def openblas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]]


def test_the_threads_come_back_when_the_last_one_has_left():
    before = openblas_threads()
    if not before or max(before) < 2:
        pytest.skip("NumPy has no OpenBLAS here, or one thread")
    inside, leave = threading.Event(), threading.Event()

    @one_blas_thread()
    def work():
        inside.set()
        leave.wait(10)

    other = threading.Thread(target=work)
    with one_blas_thread():
        other.start()
        inside.wait(10)
        assert set(openblas_threads()) == {1}
    assert set(openblas_threads()) == {1}, "another thread is still inside"
    leave.set()
    other.join(10)
    assert openblas_threads() == before


def test_an_error_gives_them_back_too():
    before = openblas_threads()
    with pytest.raises(ValueError, match="inside"), one_blas_thread():
        raise ValueError("inside")
    assert openblas_threads() == before
