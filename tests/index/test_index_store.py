"""The files of an index: several programs at a time, and whatever damage may happen to a file."""

import hashlib
import os
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_stubs import build, everything, in_child, needs_fork, one_line, stubs

from ecgclip.ecg import EcgclipError
from ecgclip.files import file_sha256
from ecgclip.index.archive import ECGIndex
from ecgclip.index.store import FORMAT, SCHEMA


@needs_fork
def test_a_reader_sees_whole_states_while_a_writer_is_at_work(embedded, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 3)
    stubs(tmp_path / "a", range(6))
    stubs(tmp_path / "b", range(6, 12), 6)
    build(tmp_path / "a", tmp_path / "index", model, kind="exact")

    def write():
        index = ECGIndex.open(tmp_path / "index", model)
        for _ in range(6):
            index.add([tmp_path / "b"], workers=1)
            index.remove([tmp_path / "b"])

    child = in_child(write)
    reader = ECGIndex.open(tmp_path / "index", model)
    seen, status = set(), (0, 0)
    while status == (0, 0):
        for index in (reader, ECGIndex.open(tmp_path / "index", model)):
            found = everything(index)
            assert found == sorted(set(found))
            assert found[:6] == [f"r{i:02}" for i in range(6)]
            seen.add(len(found))
        status = os.waitpid(child, os.WNOHANG)
    assert status[1] == 0
    assert len(seen) > 1
    assert len(everything(reader)) == 6


def test_who_comes_second_goes_on_from_what_the_first_left(embedded, model, tmp_path):
    """Two programs that have the index open: neither folds an outdated state, nor writes beside the other."""
    records = stubs(tmp_path / "a", range(5))
    one = build(records[:1], tmp_path / "index", model)
    two = ECGIndex.open(tmp_path / "index", model)
    for i, index in ((1, one), (2, two), (3, one), (4, two)):
        index.add([records[i]])
        assert everything(one) == everything(two) == [f"r0{j}" for j in range(i + 1)]
    with one.store.lock():
        one_line(lambda: two.add(records), "another program is writing to this index; wait for it")
        one_line(lambda: two.remove(records), "another program is writing")
        assert len(everything(two)) == 5
    two.remove([records[1]])
    assert len(everything(one)) == 4
    assert one.info() == two.info()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_can_be_searched(index, model, archive):
    for path in (*index.iterdir(), index):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert len(ECGIndex.open(index, model).search("AF", where="seconds > 0")) == 7
        one_line(lambda: build(archive, index, model), "cannot be used")
    finally:
        index.chmod(0o755)


def answer(folder, model):
    """What an index answers when it is used, or the message of its error, which is one line."""
    try:
        index = ECGIndex.open(folder, model)
        index.info()
        return [(h.record, h.score, h.labels) for where in (None, "age > 0") for h in index.search("AF", where=where)]
    except EcgclipError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
        return str(error)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "deleted", "a folder", "lengthened"])
@pytest.mark.parametrize("name", ["index.sqlite", "vectors-1.faiss", "index.sha256", "index.lock"])
def test_a_damaged_file_is_one_line(name, damage, index, built, model):
    wanted, file = answer(built.folder, model), index / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage != "deleted":
        file.write_bytes({"truncated": whole[: len(whole) // 2], "emptied": b"", "lengthened": whole + b"x"}[damage])
    got = answer(index, model)
    assert isinstance(got, str) or (got == wanted and name in ("index.sha256", "index.lock"))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(["index.sqlite", "vectors-1.faiss"]), at=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_one_line(name, at, bit, built, model, tmp_path_factory):
    folder = shutil.copytree(built.folder, tmp_path_factory.mktemp("flip") / "index")
    whole = bytearray((folder / name).read_bytes())
    whole[int(at * (len(whole) - 1))] ^= 1 << bit
    (folder / name).write_bytes(whole)
    assert isinstance(answer(folder, model), str)
    shutil.rmtree(folder.parent)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4), header=st.booleans())
def test_damage_that_no_checksum_shows_ends_in_one_line_or_an_answer(flips, header, built, model, tmp_path_factory):
    """As after an interruption, when nothing vouches for the database; the first 2 kB hold its structure."""
    folder = shutil.copytree(built.folder, tmp_path_factory.mktemp("flip") / "index")
    (folder / "index.sha256").unlink()
    whole = bytearray((folder / "index.sqlite").read_bytes())
    for at, mask in flips:
        whole[int(at * ((2048 if header else len(whole)) - 1))] ^= mask
    (folder / "index.sqlite").write_bytes(whole)
    answer(folder, model)
    shutil.rmtree(folder.parent)


def test_the_tables_of_a_format_never_change():
    """The tables of existing indexes are compared with the schema: another text needs another format."""
    assert FORMAT == 1
    assert hashlib.sha256(SCHEMA.encode()).hexdigest()[:16] == "c8de8ac3c431c439"


def edited(folder, script):
    """Edit the database, and write the checksum that belongs to it."""
    db = sqlite3.connect(folder / "index.sqlite")
    db.executescript(script)
    db.close()
    (folder / "index.sha256").write_text(file_sha256(folder / "index.sqlite"))
    return folder


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER t AFTER UPDATE ON records BEGIN DELETE FROM records; END",
        "CREATE VIEW v AS SELECT load_extension('x')",
        "CREATE TABLE extra (x)",
        "CREATE INDEX i ON records (abs(age))",
        "DROP INDEX windows_of_record",
        "ALTER TABLE records ADD COLUMN x",
        "PRAGMA application_id=7",
        "UPDATE meta SET value = '/etc/passwd' WHERE key = 'vectors'",
        "UPDATE meta SET value = 'vectors-1.faiss' || char(0) WHERE key = 'vectors'",
        "UPDATE meta SET value = 'vectors-9.faiss' WHERE key = 'vectors'",
        "UPDATE meta SET value = '0' WHERE key = 'nprobe'",
        "UPDATE meta SET value = '31' WHERE key = 'dim'",
        "UPDATE meta SET value = 'x' WHERE key = 'recall'",
        "DELETE FROM meta WHERE key = 'vectors_sha256'",
        "UPDATE records SET labels = '7'",
        "UPDATE meta SET value = '[7]' WHERE key = 'columns'",
        "DELETE FROM records WHERE file LIKE '%af'",
        "INSERT INTO pending VALUES (1000, x'0102')",
    ],
)
def test_an_edited_database_is_one_line(script, index, model):
    line = answer(edited(index, script), model)
    assert isinstance(line, str)
    assert str(index) in line


def test_an_edit_without_a_new_checksum_and_a_later_format_are_noticed(index, model):
    with sqlite3.connect(index / "index.sqlite") as db:
        db.execute("UPDATE records SET report = 'normal'")
    db.close()
    assert "index.sqlite is not as it was written" in answer(index, model)
    assert "format 99" in answer(edited(index, "PRAGMA user_version=99"), model)


def test_what_is_no_index(model, tmp_path, archive):
    one_line(lambda: ECGIndex.open(tmp_path, model), "no index here", "ecgclip index build")
    one_line(lambda: ECGIndex.open(archive / "af.hea", model), "no index here")
    (tmp_path / "index.sqlite").write_bytes(b"import os; os.system('x')\n" * 200)
    one_line(lambda: ECGIndex.open(tmp_path, model), "damaged or foreign")
    (tmp_path / "index.sqlite").unlink()
    sqlite3.connect(tmp_path / "index.sqlite").executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    one_line(lambda: ECGIndex.open(tmp_path, model), "a database of another program")
