"""Worker processes are stopped at their limits; lanes answer together what waits; what is held has a budget."""

import asyncio
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette")

from serving import finished  # noqa: E402

from ecgclip.measure import examine  # noqa: E402
from ecgclip.serve.desk import Desk  # noqa: E402
from ecgclip.serve.held import Case, Held  # noqa: E402
from ecgclip.serve.lanes import Lane  # noqa: E402
from ecgclip.serve.limits import Limits  # noqa: E402
from ecgclip.serve.refusal import Refusal  # noqa: E402
from ecgclip.serve.workers import Workers  # noqa: E402
from ecgclip.simulate import simulate  # noqa: E402


@pytest.fixture(scope="module")
def workers():
    workers = Workers(Limits(workers=1, time_s=1.5, memory_mb=700))
    yield workers
    workers.stop()


def refused(workers, job, *args):
    with pytest.raises(Refusal) as caught:
        finished(workers.run(job, *args))
    assert finished(workers.run(len, "next")) == 4  # the next one is served
    return caught.value.status_code, caught.value.detail


def test_a_job_that_takes_too_long_is_stopped(workers):
    finished(workers.run(len, ""))
    start = time.monotonic()
    status, text = refused(workers, time.sleep, 60)
    assert (status, "1.5 s" in text) == (422, True)
    assert time.monotonic() - start < 20


def test_a_job_that_takes_too_much_memory_is_stopped(workers):
    status, text = refused(workers, bytearray, 2 << 30)
    assert (status, "memory" in text) == (422, True)


def test_a_process_that_breaks_down_is_replaced(workers):
    assert refused(workers, os._exit, 3)[0] == 422
    assert refused(workers, os.abort)[0] == 422


def test_a_process_that_is_killed_while_it_waits_is_replaced(workers):
    for _ in range(3):
        os.kill(finished(workers.run(os.getpid)), signal.SIGKILL)
        time.sleep(0.1)
    assert finished(workers.run(len, "next")) == 4


def test_an_unexpected_error_of_a_job_tells_no_path(workers):
    status, text = refused(workers, os.stat, "/etc/nothing/here")
    assert (status, text) == (422, "cannot be used (unexpected FileNotFoundError)")


# --- lanes ------------------------------------------------------------------------------------------------------------


def test_a_lane_takes_what_waits_together_and_one_bug_loses_no_other():
    taken = []

    def work(items):
        taken.append(len(items))
        time.sleep(0.1)
        return [10 / item for item in items]

    async def ask_all():
        lane = Lane("test", work, 4, lambda: 4)
        return await asyncio.gather(*(lane.ask(item) for item in (1, 2, 0, 5)), return_exceptions=True)

    one, two, none, five = finished(ask_all())
    assert (one, two, five) == (10, 5, 2)
    assert isinstance(none, ZeroDivisionError)
    assert max(taken) > 1


# --- held -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case():
    ecg = simulate("normal", seed=1)
    return Case("normal", ecg, examine(ecg))


def test_ecgs_are_held_as_far_as_memory_allows(case):
    held = Held(int(5.5 * case.nbytes))
    keys = [held.add(case) for _ in range(5)]
    assert len(set(keys)) == 5
    held.get(keys[0])
    held.add(case)  # for which the one that was asked for longest ago is forgotten
    assert held.get(keys[1]) is None
    assert held.get(keys[0]) is case
    assert held.get("unknown") is None


def test_an_ecg_that_is_too_large_is_not_held(case):
    assert Held(3 * case.nbytes).add(case) is None
    assert case.nbytes > case.ecg.signal.nbytes + np.asarray(case.examined.prepared.signal).nbytes


# --- turns ------------------------------------------------------------------------------------------------------------


def test_beyond_those_that_work_and_wait_requests_are_refused():
    async def ask_many():
        desk = Desk(SimpleNamespace(), None, Limits(workers=1, waiting=2, time_s=0.2))
        free = asyncio.Event()

        async def ask():
            async with desk.turn():
                await free.wait()

        tasks = [asyncio.create_task(ask()) for _ in range(desk.limits.at_work + 3)]
        await asyncio.sleep(0.05)
        refused_at_once = [task for task in tasks if task.done()]
        await asyncio.sleep(1)  # longer than those that wait have patience
        refused = [task for task in tasks if task.done()]
        free.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        desk.workers.stop()
        return len(refused_at_once), [task.exception().status_code for task in refused]

    assert finished(ask_many()) == (1, [503] * 3)
