"""`ecgclip index`, `search` and `similar`."""

import json
import shutil

import pytest
from commandline import assert_misuse

COLUMNS = ["rank", "score", "record", "start_s", "report", "labels", "measure"]


@pytest.fixture
def archive(records, tmp_path):
    """A folder of three records that a test may change."""
    return shutil.copytree(records, tmp_path / "archive")


@pytest.fixture
def index(tmp_path):
    """Where `build` makes the index."""
    return tmp_path / "index"


@pytest.fixture
def build(run, tiny_model, index):
    """build(folder, *options): `index build`."""
    return lambda folder, *options: run("index", "build", folder, "-o", index, "--model", tiny_model, *options)


@pytest.fixture
def search(run, tiny_model, index):
    """search(*arguments): `search` in the index."""
    return lambda *arguments: run("search", *arguments, "--index", index, "--model", tiny_model)


def test_build_says_what_changed(build, archive, index, records, tmp_path):
    assert build(archive)[:2] == (0, f"{index}: 3 records (3 added, 0 changed, 0 moved, 0 unchanged)\n")
    assert_misuse(build(archive, "--facts", records / "none.csv"), "none.csv")
    archive.rename(tmp_path / "elsewhere")
    assert "(0 added, 0 changed, 3 moved, 0 unchanged)" in build(tmp_path / "elsewhere")[1]


def test_build_counts_the_records_that_cannot_be_read(build, archive):
    build(archive)
    (archive / "bad.hea").write_text("nonsense")
    code, out, err = build(archive)
    assert code == 1
    assert "3 unchanged" in out
    assert "1 records could not be read" in err


def test_remove_what_is_missing(run, build, archive, index):
    build(archive)
    shutil.rmtree(archive)
    assert_misuse(run("index", "remove", "--index", index, "--missing"), "3 of 3 records are missing", "--yes")
    assert run("index", "remove", "--index", index, "--missing", "--yes")[1] == f"{index}: 3 records removed\n"
    assert "records          0" in run("index", "info", index)[1]


def test_the_formats_of_search(run, build, search, archive, index, tiny_model):
    build(archive)
    code, out, _ = search("AF", "--format", "csv")
    assert code == 0
    assert out.splitlines()[0].split(",") == COLUMNS
    assert out.count(",cosine\n") == 3
    table = search("AF")[1]
    assert table.split()[:2] == ["rank", "cosine"]
    assert "score" not in table
    out = run("similar", archive / "af", "--index", index, "--model", tiny_model, "--format", "json")[1]
    assert [list(hit) for hit in json.loads(out)] == [COLUMNS] * 2


def test_search_says_how_the_words_were_understood(build, search, archive):
    build(archive)
    code, _, err = search("AF or flutter without LBBB", "--not", "kein RSB")
    assert code == 0
    understood = "and: (or: atrial fibrillation; atrial flutter); not left bundle branch block"
    assert err.splitlines() == [
        f"note: AF or flutter without LBBB: {understood}",
        "note: left out: kein RSB: denied: 1 − p of right bundle branch block",
    ]
    assert "left out: LBBB" in search("AF", "--not", "LBBB")[2]


def test_search_for_nothing_or_like_a_record_that_is_missing(build, search, archive):
    build(archive)
    assert_misuse(search(), "nothing to search for")
    assert search("--like", archive / "none")[0] == 1


def test_hits_are_drawn_as_they_were_embedded(build, search, archive, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("ecgclip.plot.found.plot_ecgs", lambda ecgs, *_, **__: drawn.extend(ecgs))
    build(archive / "af", "--sampling-rate", 250)
    search("AF", "--plot", tmp_path / "x.png")
    assert [ecg.sampling_rate for ecg in drawn] == [250]


def test_an_index_of_standard_input_is_refused(build, index):
    assert_misuse(build("-"), "an index is made of files", "give a path instead of -")
    assert not index.exists()
