"""Records are read and measured ahead of the encoder, but not far; one that fails does not stop the others."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.measure.examined import Examined
from ecgclip.model import pipeline
from ecgclip.model.pipeline import examined_batches, in_threads
from ecgclip.simulate import simulate


def kill_process(*_):
    os._exit(1)


@given(st.lists(st.integers(-3, 3)), st.integers(1, 5), st.integers(0, 8))
def test_order_is_kept_and_each_failure_stands_in_its_place(numbers, threads, ahead):
    for number, (item, inverse) in zip(numbers, in_threads(lambda n: 6 / n, numbers, threads, ahead), strict=True):
        assert item == number
        assert isinstance(inverse, ZeroDivisionError) if number == 0 else inverse == 6 / number


def test_work_goes_on_ahead_but_not_far():
    asked, both = [], threading.Barrier(2, timeout=10)

    def items():
        for i in range(100):
            asked.append(i)
            yield i

    work = in_threads(lambda i: both.wait() if i < 2 else i, items(), threads=2, ahead=3)
    next(work)  # two threads have met
    for done in range(2, 12):
        next(work)
        assert len(asked) == done + 3
    work.close()
    assert len(asked) == 14


def test_threads_end_when_nobody_asks_any_more():
    before = set(threading.enumerate())
    work = in_threads(lambda i: i, range(100), threads=4, ahead=4)
    next(work)
    own = set(threading.enumerate()) - before
    assert len(own) == 4
    work.close()
    for thread in own:
        thread.join(10)
        assert not thread.is_alive()


def test_a_record_that_hangs_does_not_hang_the_program():
    program = (
        "import time; from ecgclip.model.pipeline import in_threads\n"
        "for i, done in in_threads(lambda i: time.sleep(600 * i), [0, 1], 2, 1):\n"
        "    raise SystemExit(130)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 130


def test_standard_input_that_never_comes_does_not_crash_the_program():
    program = (
        "import time; from ecgclip.io.read import read_ecg; from ecgclip.model.pipeline import in_threads\n"
        "for record, ecg in in_threads(lambda r: time.sleep(1) if r != '-' else read_ecg(r), ['a', '-'], 2, 1):\n"
        "    raise SystemExit(130)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 130


def test_an_error_of_who_names_the_records_is_raised():
    def records():
        yield simulate("af")
        raise OSError("the list cannot be read")

    with pytest.raises(OSError, match="the list"):
        list(examined_batches(records(), lambda ecg: ecg, 100))


def test_long_recordings_close_a_batch_early(monkeypatch):
    ecg = simulate("af", sampling_rate=100)
    monkeypatch.setattr(pipeline, "RECORDINGS", 4)
    assert [len(batch) for batch in examined_batches([ecg] * 6, lambda ecg: ecg, 100)] == [4, 2]
    monkeypatch.setattr(pipeline, "BATCH_BYTES", 2 * ecg.signal.nbytes)
    assert [len(batch) for batch in examined_batches([ecg] * 5, lambda ecg: ecg, 100)] == [2, 2, 1]


def test_a_bug_that_one_recording_meets_loses_no_other(monkeypatch):
    real = pipeline.examine_many

    def fragile(ecgs, rate):
        if any(ecg.source == "bug" for ecg in ecgs):
            raise ZeroDivisionError
        return real(ecgs, rate)

    monkeypatch.setattr(pipeline, "examine_many", fragile)
    good, flat = simulate("af"), ECG(np.zeros((1, 5000)), 500, ("II",))
    bug = ECG(good.signal, good.sampling_rate, good.leads, source="bug")
    (batch,) = examined_batches([good, bug, flat, good], lambda ecg: ecg, 100)
    assert [type(examined) for _, examined in batch] == [Examined, ZeroDivisionError, EcgclipError, Examined]


def test_processes_measure_the_same_and_a_failure_loses_no_other(monkeypatch):
    monkeypatch.setattr(pipeline, "RECORDINGS", 2)
    good, flat = simulate("af", sampling_rate=100), ECG(np.zeros((1, 5000)), 500, ("II",))

    def read(name):
        if name == "missing":
            raise EcgclipError("no such file")
        return flat if name == "flat" else good

    names = ["a", "missing", "flat", "b", "c"]
    here, there = ([row for batch in examined_batches(names, read, 100, n) for row in batch] for n in (1, 2))
    assert [name for name, _ in there] == names
    assert [type(e) for _, e in there] == [Examined, EcgclipError, EcgclipError, Examined, Examined]
    assert str(there[2][1]) == str(here[2][1])
    np.testing.assert_array_equal(there[4][1].prepared.signal, here[4][1].prepared.signal)
    assert there[4][1].measurements[0].qrs_ms == here[4][1].measurements[0].qrs_ms


def test_a_process_that_dies_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(pipeline, "_examine", kill_process)
    monkeypatch.setattr(pipeline, "RECORDINGS", 1)
    with pytest.raises(EcgclipError, match="a worker process died.*fewer workers"):
        list(examined_batches([3], lambda code: code, 100, 2))
