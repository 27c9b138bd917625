"""Names of files that strangers chose, and which records the files of a request are."""

import io
import os
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette")

from serving import finished  # noqa: E402

from ecgclip.ecg import EcgclipError  # noqa: E402
from ecgclip.serve.jobs import read_folder  # noqa: E402
from ecgclip.serve.refusal import Refusal  # noqa: E402
from ecgclip.serve.uploads import clean_name, folder_of  # noqa: E402
from ecgclip.simulate import simulate, write_record  # noqa: E402


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("af.hea", "af.hea"),
        ("Müller 2.dcm", "Müller 2.dcm"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("/etc/shadow", "shadow"),
        ("..", "ECG"),
        ("", "ECG"),
        (None, "ECG"),
        (".hidden", "hidden"),
        ("a\0b\n\x1b[31m.edf", "a_b___31m.edf"),
        ("~root.csv", "_root.csv"),
        ("a#3", "a_3"),
        ("*.hea", "_.hea"),
        ("e" * 300 + ".csv", "e" * 116 + ".csv"),
        ("é" * 300 + ".csv", "é" * 58 + ".csv"),
    ],
)
def test_a_name_is_no_path(sent, kept):
    assert clean_name(sent) == kept


def upload(name, content=b""):
    return SimpleNamespace(filename=name, file=io.BytesIO(content))


def test_files_are_deleted_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def fail(*uploads):
        async with folder_of(uploads) as folder:
            assert sorted(os.listdir(folder)) == ["a.csv", "b.csv"]
            raise KeyError

    with pytest.raises(KeyError):
        finished(fail(upload("x/a.csv"), upload("b.csv")))
    with pytest.raises(Refusal, match=r"two files are called a\.csv"):
        finished(fail(upload("x/a.csv"), upload("y/a.csv")))
    assert os.listdir(tmp_path) == []


@pytest.fixture
def folder(tmp_path):
    for name in ("b", "a"):
        write_record(simulate("normal", seed=1), tmp_path / name)
    return tmp_path


def read(folder, most=10):
    return [(each.name, each.error) for each in read_folder(str(folder), {}, 100, most, False)]


def test_a_header_and_its_signals_are_one_record(folder):
    (folder / "a.atr").write_bytes(b"annotations")
    assert read(folder) == [("a", ""), ("b", "")]


def test_what_is_no_ecg_is_said_of_each_file(folder):
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "b.dat").unlink()
    (good, no_error), (b, missing), (photo, picture) = read(folder)
    assert (good, no_error, b, photo) == ("a", "", "b", "photo.png")
    assert "b.dat" in missing
    assert picture.startswith("photo.png: a picture")
    assert str(folder) not in missing + picture


def test_a_signal_file_without_its_header_asks_for_it(folder):
    (folder / "a.hea").unlink()
    ((_, error), _) = read(folder)
    assert "a.hea" in error


def test_a_header_that_names_files_elsewhere_is_refused(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "a.dat"
    secret.write_bytes((folder / "a.dat").read_bytes())
    header = folder / "a.hea"
    for path in (str(secret), f"../{secret.parent.name}/a.dat"):
        header.write_text((folder / "b.hea").read_text().replace("b.dat", path).replace("b ", "a ", 1))
        errors = [error for name, error in read(folder) if name == "a"]
        assert errors, path
        assert all(errors)
        assert str(folder) not in errors[0]


def test_too_many_records_are_refused(folder):
    with pytest.raises(EcgclipError, match="2 ECGs in one request: send 1"):
        read(folder, most=1)
