"""What `find_records` promises: every record once, by whatever names it."""

import os
from pathlib import Path

import numpy as np
import pytest
from arrays_written import smooth
from written import write

from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.io.records import find_records, record_exists, survey


def test_find_records(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    one, two = write(tmp_path / "a", name="one"), write(tmp_path / "a" / "b", name="two[1]")
    assert find_records(tmp_path) == [two, one]
    assert find_records(one) == find_records(one + ".hea") == find_records(one + ".dat") == [one]
    assert find_records(two + ".hea") == [two]
    assert find_records(str(tmp_path / "*" / "o*")) == [one]
    assert find_records(str(tmp_path / "**" / "*.hea")) == [two, one]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert find_records("./a/one.hea") == ["./a/one"]
        assert find_records("./a")[1] == "./a/one"


def test_find_records_says_when_there_are_none(tmp_path):
    with pytest.raises(EcgclipError, match="holds no ECG"):
        find_records(tmp_path)
    with pytest.raises(EcgclipError, match="no such record"):
        find_records(tmp_path / "x*.hea")


def test_a_damaged_master_header_hides_no_record(tmp_path):
    write(tmp_path, name="good")
    Path(tmp_path, "bad.hea").write_text("bad/1 12 100 500\ngood 999\nmore 1\n")
    assert find_records(tmp_path) == [str(tmp_path / "bad"), str(tmp_path / "good")]


def test_a_record_may_be_called_like_a_signal_file(tmp_path):
    path = write(tmp_path, name="x.dat", header="x.dat 1 100 300\nx.dat.dat 16 1000/mV 16 0 0 0 0 I\n")
    assert find_records(tmp_path) == [path]
    assert read_ecg(path).leads == ("I",)


def test_linked_folders_are_searched_once_by_a_folder_and_by_a_glob(tmp_path, monkeypatch):
    for name in ("archive/z/one", "archive/two", "elsewhere/deep/three"):
        header = tmp_path / f"{name}.hea"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text("x")
    archive = tmp_path / "archive"
    (archive / "outside").symlink_to(tmp_path / "elsewhere")
    (archive / "a").symlink_to("z")  # a second name of what is here
    for circle in ("z/up", "z/round"):  # two of them: glob alone would go through 2^40 paths
        (archive / circle).symlink_to("..")
    wanted = [str(archive / name) for name in ("outside/deep/three", "two", "z/one")]
    assert find_records(archive) == wanted
    assert {Path(r).name for r in find_records(archive / "**")} == {"one", "two", "three"}
    found = find_records(archive / "**/*.hea")
    assert found == wanted == find_records(archive / "**/**/*.hea")
    assert find_records(archive / "**/deep/*.hea") == wanted[:1]
    monkeypatch.chdir(archive)
    assert find_records("**/*.hea") == ["outside/deep/three", "two", "z/one"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_a_folder_is_counted_and_one_that_is_named_is_told(tmp_path):
    path = write(tmp_path, name="one")
    for name in ("pipe", "pipe.hea"):  # opening either would wait for ever
        os.mkfifo(tmp_path / name)
    for pattern in (tmp_path, tmp_path / "*"):
        found = survey(pattern)
        assert (found.records, found.skipped) == ([path], {"a pipe": 2})
    with pytest.raises(EcgclipError, match=r"pipe: a pipe; give it as standard input: -"):
        find_records(tmp_path / "pipe")
    with pytest.raises(EcgclipError, match=r"/dev/null: no regular file"):
        find_records("/dev/null")


def test_whether_a_record_exists(tmp_path):
    path = write(tmp_path, name="one")
    batch = str(tmp_path / "b.npy")
    np.save(batch, np.stack([smooth().astype(np.float32)] * 3))
    for record in (path, path + ".hea", batch, f"{batch}#2"):
        assert record_exists(record)
    for record in (str(tmp_path / "two"), f"{batch}#3", str(tmp_path / "c.npy#0")):
        assert not record_exists(record)
    np.save(batch, np.stack([smooth().astype(np.float32)] * 2))
    assert not record_exists(f"{batch}#2")
    Path(batch).write_bytes(b"damaged")  # what it held cannot be told
    assert record_exists(f"{batch}#2")
