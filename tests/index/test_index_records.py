"""The records of an index follow their archive: new, changed, moved, removed, unreadable."""

import csv
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from index_stubs import (
    NORTH,
    as_signal,
    build,
    everything,
    files,
    names,
    on_circle,
    one_line,
    stub,
    stubs,
)

from ecgclip.index import embedding
from ecgclip.index.archive import ECGIndex
from ecgclip.io.read import read_ecg
from ecgclip.simulate import write_record


def test_an_unchanged_record_is_not_embedded_again(embedded, model, tmp_path, monkeypatch):
    record, *_ = stubs(tmp_path / "a", range(6))
    build(tmp_path / "a", tmp_path / "index", model)
    stubs(tmp_path / "a", [6], 6)
    again = build([tmp_path / "a", tmp_path / "a/r01.hea", f"{tmp_path}/a/*.hea"], tmp_path / "index", model)
    assert embedded[6:] == ["r06"]
    assert (again.last.added, again.last.unchanged) == (1, 6)
    before = files(tmp_path / "index")
    os.utime(record + ".dat", ns=(1, 1))  # touched: read, but not embedded
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 7 == len(embedded)
    monkeypatch.setattr(embedding, "record_hash", None)  # and not read a second time
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 7
    assert files(tmp_path / "index") == before  # not even the vectors are written again


def test_a_changed_record_is_embedded_again_and_its_old_vector_gone(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(3))
    build(tmp_path / "a", tmp_path / "index", model)
    stub(tmp_path / "a", "r00", on_circle(90), age=33)
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert embedded[3:] == ["r00"]
    assert (index.last.changed, index.last.unchanged) == (1, 2)
    assert everything(index) == ["r01", "r02", "r00"]
    assert names(index.search(like=NORTH, where="age = 33")) == ["r00"]


def test_a_signal_replaced_by_one_of_same_size_and_older_date_is_noticed(embedded, model, tmp_path):
    """As rsync leaves it: the header is the newer file."""
    record = stub(tmp_path / "a", "r", on_circle(0))
    build(record, tmp_path / "index", model)
    stub(tmp_path / "b", "r", on_circle(90))
    os.utime(tmp_path / "b/r.dat", ns=(10**18, 10**18))
    shutil.copy2(tmp_path / "b/r.dat", record + ".dat")
    assert build(record, tmp_path / "index", model).last.changed == 1


def test_removed_records_are_never_found_and_readded_ones_once(embedded, model, tmp_path, monkeypatch):
    stubs(tmp_path / "a", range(4))
    stubs(tmp_path / "a2", range(4, 8), 4)
    every = [f"r0{i}" for i in range(8)]
    monkeypatch.chdir(tmp_path)
    index = build(["a", "a2"], tmp_path / "index", model)
    assert index.search(like=NORTH, k=1)[0].record == os.path.join("a", "r00")  # as given
    assert index.remove(["a/r00.hea", tmp_path / "a/r01"]).removed == 2
    assert everything(index) == every[2:]
    assert index.remove(["a", "a/r02", Path("a")]).removed == 2
    assert everything(index) == every[4:]  # not a2
    assert index.add(["a"]).added == 4
    assert everything(index) == everything(ECGIndex.open(tmp_path / "index", model)) == every
    for nowhere in (["a/r07"], ["a/r00", "nonsense"]):
        one_line(lambda nowhere=nowhere: index.remove(nowhere), nowhere[-1], "nothing of it")
    assert everything(index) == every  # all or nothing
    shutil.rmtree("a2")
    assert index.remove(missing=True, yes=True).removed == 4
    assert index.remove(["/"]).removed == 4
    assert everything(index) == []
    assert index.info()["windows"] == 0
    assert index.add(["a"]).added == 4
    assert everything(index) == every[:4]


def test_a_moved_archive_keeps_its_vectors_and_facts(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(0, 60, 10))
    (tmp_path / "facts.csv").write_text("record,ward\na/r00,7\n")
    index = build(tmp_path / "a", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    before = [(h.score, h.start_s) for h in index.search(like=NORTH)]
    shutil.move(tmp_path / "a", tmp_path / "b/c")
    stub(tmp_path / "b/c", "r06", on_circle(60))  # new, and of the same size
    os.utime(tmp_path / "b/c/r01.dat", ns=(1, 1))
    index = build(tmp_path / "b", tmp_path / "index", model)
    assert (index.last.moved, index.last.added, index.last.unchanged) == (6, 1, 0)
    assert embedded[6:] == ["r06"]
    hits = index.search(like=NORTH)
    assert [(h.score, h.start_s) for h in hits[:6]] == before
    assert [h.file for h in hits] == [str(tmp_path / f"b/c/r0{i}") for i in range(7)] == [h.record for h in hits]
    assert names(index.search(like=NORTH, where="ward = 7")) == ["r00"]
    assert build(tmp_path / "b", tmp_path / "index", model).last.unchanged == 7
    assert len(embedded) == 7


def test_a_copy_is_a_record_of_its_own_and_a_renamed_one_is_not(embedded, model, tmp_path):
    stub(tmp_path / "a", "r", on_circle(0))
    build(tmp_path / "a", tmp_path / "index", model)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    index = build([tmp_path / "a", tmp_path / "b"], tmp_path / "index", model)
    assert (index.last.added, index.last.moved, index.last.unchanged) == (1, 0, 1)
    assert build([tmp_path / "a", tmp_path / "b"], tmp_path / "index", model).last.unchanged == 2
    shutil.rmtree(tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    shutil.rmtree(tmp_path / "a")  # two are gone, and one of them is found again
    index = build(tmp_path / "c", tmp_path / "index", model)
    assert (index.last.added, index.last.moved) == (0, 1)
    assert embedded == ["r", "r"]
    assert index.remove(missing=True, yes=True).removed == 1
    assert everything(index) == ["r"]


def test_an_archive_that_is_out_of_reach_is_not_forgotten(embedded, model, tmp_path):
    stubs(tmp_path / "share", range(20))
    index = build(tmp_path / "share", tmp_path / "index", model)
    for i in range(2):  # a tenth
        (tmp_path / f"share/r{i:02}.hea").unlink()
    assert index.remove(missing=True).removed == 2
    (tmp_path / "share").rename(tmp_path / "unmounted")
    one_line(lambda: index.remove(missing=True), "18 of 18 records are missing", "share/r02", "--yes", "yes=True")
    assert len(everything(index)) == 18
    (tmp_path / "unmounted").rename(tmp_path / "share")
    assert index.remove(missing=True).removed == 0
    assert build(tmp_path / "share", index.folder, model).last.unchanged == 18
    shutil.rmtree(tmp_path / "share")
    assert index.remove(missing=True, yes=True).removed == 18


def test_a_segmented_record_is_one_record(model, archive, tmp_path):
    ecg = read_ecg(archive / "long")
    for name, part in (("s1", slice(0, 1200)), ("s2", slice(1200, 2400))):
        write_record(replace(ecg, signal=ecg.signal[:, part]), tmp_path / "a" / name)
    (tmp_path / "a/whole.hea").write_text("whole/2 12 100 2400\ns1 1200\ns2 1200\n")
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.added == 1
    assert names(index.search("AF")) == ["whole"]
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 1
    with (tmp_path / "a/s2.dat").open("rb+") as file:
        file.write(b"\x07\x00" * 500)
    assert build(tmp_path / "a", tmp_path / "index", model).last.changed == 1


def test_an_unreadable_record_is_listed_and_the_rest_goes_in(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(5))
    build(tmp_path / "a/r03", tmp_path / "index", model)
    whole = (tmp_path / "a/r02.dat").read_bytes()
    (tmp_path / "a/r02.dat").write_bytes(whole[:100])
    (tmp_path / "a/r03.hea").write_text("nonsense, or\nrather more\n")  # was well before
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert (index.last.added, index.last.failed, index.info()["unreadable"]) == (3, 2, 2)
    assert everything(index) == ["r00", "r01", "r04"]
    rows = list(csv.DictReader((tmp_path / "index/unreadable.csv").open()))
    assert [r["record"] for r in rows] == [str(tmp_path / "a/r02"), str(tmp_path / "a/r03")]
    assert "truncated" in rows[0]["reason"]
    assert "not a WFDB header" in rows[1]["reason"]
    (tmp_path / "a/r02.dat").write_bytes(whole)
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert (index.last.added, index.last.failed) == (1, 1)
    assert "r02" in everything(index)
    (tmp_path / "a/r03.hea").unlink()
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.failed == 0
    assert "unreadable.csv" not in files(tmp_path / "index")


@pytest.mark.skipif(sys.platform != "linux", reason="names there are text, not bytes")
def test_odd_names_are_names_but_what_is_no_text_is_listed(embedded, model, tmp_path):
    given, folder = ["it's", "50%", "?", "größe", "x;y"], tmp_path / "a #?%"
    for i, name in enumerate(given):
        stub(folder, name, on_circle(10 * i))
    for suffix in (b".hea", b".dat"):
        shutil.copy(os.fsencode(folder) + b"/?" + suffix, os.fsencode(folder) + b"/gr\xfcn" + suffix)
    for _ in range(2):
        index = build(folder, tmp_path / "in dex?#%", model)
        assert index.last.failed == 1
        assert everything(index) == given
        assert r"gr\xfcn: its name is not UTF-8" in (index.folder / "unreadable.csv").read_text()
    assert index.remove([folder / "50%"]).removed == 1


def test_a_record_read_with_other_options_is_another_one(embedded, model, tmp_path):
    stubs(tmp_path / "a", [10, 20])
    index = build(tmp_path / "a", tmp_path / "index", model)
    slower = {"sampling_rate": 90.0, "leads": ("I",)}
    assert build(tmp_path / "a" / "r00", index.folder, model, reading=slower).last.changed == 1
    assert build(tmp_path / "a" / "r00", index.folder, model, reading=slower).last.unchanged == 1
    assert build(tmp_path / "a" / "r01", index.folder, model, reading={"unit": None}).last.unchanged == 1
    read = {Path(hit.record).name: index.read(hit) for hit in index.search(like=NORTH)}
    assert [(read[name].sampling_rate, read[name].leads) for name in ("r00", "r01")] == [(90, ("I",)), (100, ("II",))]
    assert everything(index) == ["r00", "r01"]
    assert build(tmp_path / "a", index.folder, model).last.changed == 1


def test_a_record_is_not_found_by_itself_whatever_it_was_read_with(embedded, model, tmp_path):
    first, _ = stubs(tmp_path / "a", [10, 20])
    index = build(tmp_path / "a", tmp_path / "index", model, reading={"unit": "mV"})
    assert names(index.search(like=first)) == ["r01"]


def batch(path, *angles):
    signals = np.concatenate([np.repeat(as_signal(on_circle(angle))[None], 12, 1) for angle in angles])
    signals[..., -1] = 0.01  # zeros at the end are taken for padding
    np.save(path, signals)
    return str(path)


def test_what_a_file_of_several_ecgs_holds_no_more_is_forgotten(embedded, model, tmp_path):
    folder, reading = tmp_path / "a", {"sampling_rate": 100, "unit": "mV"}
    stubs(folder, [5])
    path = batch(folder / "b.npy", 10, 20, 30, 40)
    index = build(folder, tmp_path / "index", model, reading=reading)
    assert len(everything(index)) == 5
    batch(path, 10, 20)
    change = build(f"{path}#1", index.folder, model, reading=reading).last  # names one, the others are checked, too
    assert (change.removed, change.changed + change.unchanged) == (2, 1)
    assert everything(index) == ["r00", "b.npy#0", "b.npy#1"]
    batch(path, 10)
    assert build(folder, index.folder, model, reading=reading).last.removed == 2
    assert everything(index) == ["r00", "b.npy"]
    batch(path, 10, 20)
    assert build(folder, index.folder, model, reading=reading).last.removed == 1
    assert everything(index) == ["r00", "b.npy#0", "b.npy#1"]
    Path(path).write_bytes(b"\x93NUMPY damaged")  # what cannot be read is not forgotten for that
    assert build(folder, index.folder, model, reading=reading).last.removed == 0


def test_a_file_that_is_no_wfdb_record_is_not_missing(embedded, model, tmp_path):
    stubs(tmp_path / "a", [5])
    path = batch(tmp_path / "a" / "b.npy", 10, 20)
    index = build(tmp_path / "a", tmp_path / "index", model, reading={"sampling_rate": 100, "unit": "mV"})
    assert index.remove(missing=True).removed == 0
    batch(path, 10)
    assert index.remove(missing=True, yes=True).removed == 1
    assert index.remove([path]).removed == 1
    assert everything(index) == ["r00"]


def test_standard_input_is_refused_before_a_folder_is_made(model, tmp_path):
    one_line(lambda: build("-", tmp_path / "index", model), "made of files", "instead of -")
    assert not (tmp_path / "index").exists()
