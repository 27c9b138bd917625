"""Interruptions: killed at any moment, an index opens, answers and goes on."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from index_stubs import build, everything, files, in_child, needs_fork, on_circle, one_line, stub, stubs

from ecgclip.index.archive import ECGIndex
from ecgclip.index.vectors import VectorFile
from ecgclip.simulate import simulate, write_record

ROOT = Path(__file__).parents[2]
WRITING = ("archive.py", "fold.py", "records.py", "store.py", "vectors.py")  # modules of ecgclip/index …
CRITICAL = {  # … and their functions in which a program is killed
    *("add", "_put_all", "compare", "update", "move", "put", "_delete", "write_failures"),
    *("create", "_write_empty", "lock", "writing", "_write_checksum", "transaction", "snapshot", "_open_vectors"),
    *("fold", "_write_vectors", "write", "_grown", "_made"),
}


def at_line(number, action):
    """Run `action`, and die at its `number`-th line in a critical function; returns how many lines it passed."""
    passed = 0

    def count(frame, event, _):
        nonlocal passed
        if event == "line":
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    def enter(frame, event, _):
        path = Path(frame.f_code.co_filename)
        writes = path.parent.name == "index" and path.name in WRITING
        return count if writes and frame.f_code.co_name in CRITICAL else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        action()
    finally:
        sys.settrace(before)
    return passed


@needs_fork
@pytest.mark.parametrize("start", ["nothing", "an index"])
def test_killed_at_any_line_it_opens_and_goes_on(start, embedded, model, tmp_path, monkeypatch):
    """SIGKILL at some forty lines of a build that adds, changes, drops, and folds more than once."""
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 6)
    stubs(tmp_path / "a", range(0, 80, 10))
    first = tmp_path / "first"
    if start == "an index":
        build(tmp_path / "a", first, model, kind="exact")
        stub(tmp_path / "a", "r02", on_circle(5))
        (tmp_path / "a/r03.hea").write_text("broken")
    stubs(tmp_path / "a", range(80, 140, 10), 8)

    def fresh(name):
        folder = tmp_path / name
        shutil.copytree(first, folder) if first.exists() else None
        return folder, lambda: build(tmp_path / "a", folder, model, kind="exact")

    whole, run = fresh("whole")
    lines = at_line(0, run)
    assert lines > 200, "no line of the functions above was seen"
    wanted = everything(ECGIndex.open(whole, model))
    last = set(files(whole)) - {f.name for f in whole.glob("vectors-*")}
    assert len(wanted) == 14 - (start == "an index")
    for number in range(1, lines, max(1, lines // 20)):
        folder, run = fresh(f"killed{number}")
        child = in_child(lambda number=number, run=run: at_line(number, run))
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        if not (folder / "index.sqlite").exists():
            one_line(lambda folder=folder: ECGIndex.open(folder, model), "no index here")
        else:
            left = ECGIndex.open(folder, model)
            found = everything(left)
            assert len(found) == len(set(found)) == left.info()["records"]
            assert start == "nothing" or len(found) >= 6
        assert everything(build(tmp_path / "a", folder, model)) == wanted
        assert everything(ECGIndex.open(folder, model)) == wanted
        assert set(files(folder)) - {f.name for f in folder.glob("vectors-*")} == last
        assert len(list(folder.glob("vectors-*"))) == 1


def test_an_interrupt_keeps_what_was_done(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(10))

    def stop(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", tmp_path / "index", model, progress=stop)
    index = ECGIndex.open(tmp_path / "index", model)
    assert len(everything(index)) == index.info()["waiting"] == 8
    assert index.add([tmp_path / "a"], workers=1).added == 2
    assert len(embedded) == 10
    assert everything(index) == [f"r0{i}" for i in range(10)]


def test_a_full_disk_is_one_line_and_loses_nothing(embedded, model, tmp_path, monkeypatch):
    stubs(tmp_path / "a", range(6))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(VectorFile, "write", full)
        one_line(lambda: build(tmp_path / "a", tmp_path / "index", model), "cannot be used", "No space left")
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.unchanged == 6 == len(embedded)
    assert len(everything(index)) == 6


PROGRAM = """
import sys, time
from ecgclip.index import ECGIndex, engines
from ecgclip.index.records import RecordTable
if __name__ == "__main__":
    engines.BATCH = 2
    put = RecordTable._put
    RecordTable._put = lambda *a: (time.sleep(0.1), put(*a))[1]
    ECGIndex.build([sys.argv[1]], sys.argv[2], model=sys.argv[3], workers=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_workers_killed_from_outside_then_again_give_the_index_of_one(archive, built, model, tiny_model, tmp_path):
    for i in range(8):
        write_record(simulate("normal", seed=i, seconds=4, sampling_rate=100), tmp_path / f"more/n{i}")
    shutil.copytree(archive, tmp_path / "more/archive")
    (tmp_path / "program.py").write_text(PROGRAM)
    program = [sys.executable, tmp_path / "program.py", tmp_path / "more", tmp_path / "index", tiny_model]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait(lambda: (tmp_path / "index/index.sqlite").exists() and committed(tmp_path / "index"))
            workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            one_line(lambda: build(tmp_path / "more", tmp_path / "index", model), "another program is writing")
            assert len(ECGIndex.open(tmp_path / "index", model).search("AF")) >= 2  # a reader does not mind
        finally:
            process.kill()
    assert len(workers) >= 2
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    index = ECGIndex.open(tmp_path / "index", model)
    assert 2 <= index.info()["records"] < 15
    index = build(tmp_path / "more", tmp_path / "index", model)
    assert index.last.added + index.last.unchanged == 15
    assert index.last.unchanged >= 2
    same(index.search("AF", k=99), build(tmp_path / "more", tmp_path / "alone", model).search("AF", k=99))


def same(hits, others):
    assert sorted(h.record for h in hits) == sorted(h.record for h in others)
    scores = {h.record: h.score for h in others}
    assert all(h.score == pytest.approx(scores[h.record], abs=2e-3) for h in hits)


def committed(folder):
    db = sqlite3.connect(f"file:{folder}/index.sqlite?mode=ro", uri=True, timeout=30)
    try:
        return db.execute("SELECT count(*) FROM records").fetchone()[0] >= 2
    finally:
        db.close()


def wait(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
