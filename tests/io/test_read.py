"""What goes through the door of all formats: paths, pipes, streams, and files of several ECGs."""

import io
import os

import numpy as np
import pytest

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io import find_records, read_ecg, write_ecg
from ecgclip.io.records import record_hash, survey
from ecgclip.simulate import simulate

ECG = simulate("normal", seed=2, sampling_rate=250)


@pytest.fixture(scope="module")
def edf(tmp_path_factory):
    return write_ecg(ECG, tmp_path_factory.mktemp("edf") / "r", "edf")


def test_a_stream_and_standard_input_are_read_as_the_file_is(edf, monkeypatch):
    whole = read_ecg(edf)
    with open(edf, "rb") as stream:
        streamed = read_ecg(stream, name="upload")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(open(edf, "rb")))  # noqa: SIM115
    piped = read_ecg("-")
    for ecg, source in ((streamed, "upload"), (piped, "standard input")):
        np.testing.assert_array_equal(ecg.signal, whole.signal)
        assert ecg.source == source


@pytest.mark.parametrize("stream", [io.StringIO("I,II"), io.BytesIO(), b"0       ", None])
def test_what_is_no_stream_of_bytes_is_refused_in_one_line(stream):
    with pytest.raises(EcgclipError, match="upload: "):
        read_ecg(stream, name="upload")


def test_a_closed_file_and_a_pipe_are_refused_in_one_line(edf, tmp_path):
    stream = open(edf, "rb")  # noqa: SIM115
    stream.close()
    with pytest.raises(EcgclipError, match="r.edf: cannot be read"):
        read_ecg(stream)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EcgclipError, match="pipe: a pipe or a device"):
        read_ecg(tmp_path / "pipe")


def test_what_the_user_says_overrules_every_format(edf, tmp_path):
    record = write_ecg(ECG, tmp_path / "w", "wfdb")
    for path, stored_in in ((edf, "uV"), (record, "mV")):
        ecg = read_ecg(path, sampling_rate=500, unit="V", leads=LEADS[::-1])
        assert (ecg.leads, ecg.sampling_rate) == (LEADS[::-1], 500)
        np.testing.assert_allclose(ecg.signal, read_ecg(path).signal * {"uV": 1e6, "mV": 1e3}[stored_in], rtol=1e-5)


def test_a_matlab_file_beside_a_header_is_its_signal_only_if_it_is_named(tmp_path):
    from scipy.io import savemat

    write_ecg(ECG, tmp_path / "r", "wfdb")
    savemat(tmp_path / "r.mat", {"val": ECG.signal * 2, "fs": 250.0})
    np.testing.assert_allclose(read_ecg(tmp_path / "r.mat", unit="mV").signal, ECG.signal * 2, atol=1e-5)


def test_a_folder_is_searched_by_content(edf, tmp_path):
    write_ecg(ECG, tmp_path / "a", "wfdb")
    write_ecg(ECG, tmp_path / "b" / "no-ending", "csv")
    os.rename(tmp_path / "b" / "no-ending.csv", tmp_path / "b" / "no-ending")
    np.save(tmp_path / "batch.npy", np.stack([ECG.signal, -ECG.signal]))
    (tmp_path / "labels.csv").write_text("record,label\n" + "".join(f"r{i},AF\n" for i in range(50)))
    (tmp_path / "notes.md").write_text("# Notizen – für später\n" * 20, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("Befund für später\n" * 20, encoding="latin-1")
    (tmp_path / "setup.cfg").write_text("[section]\nkey = value\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "a.atr").write_bytes(b"\x01\x02")
    found = survey(tmp_path)
    assert found.records == [str(tmp_path / name) for name in ("a", "b/no-ending", "batch.npy#0", "batch.npy#1")]
    assert dict(found.skipped) == {"text": 4, "a picture": 1}
    assert find_records(tmp_path / "b" / "no-ending") == [str(tmp_path / "b" / "no-ending")]


def test_each_ecg_of_a_file_is_a_record_of_its_own(tmp_path):
    np.save(tmp_path / "batch.npy", np.stack([ECG.signal, -ECG.signal]))
    first, second = (f"{tmp_path}/batch.npy#{i}" for i in range(2))
    np.testing.assert_allclose(read_ecg(first).signal, -read_ecg(second).signal)
    assert record_hash(first) != record_hash(second)
    for wrong, words in ((f"{tmp_path}/batch.npy", "holds 2 ECGs"), (f"{tmp_path}/batch.npy#2", "has no ECG #2")):
        with pytest.raises(EcgclipError, match=words):
            read_ecg(wrong)
