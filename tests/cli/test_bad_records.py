"""A record that cannot be read is one line on stderr; the others are answered, and the exit code is 1."""

import json
from pathlib import Path

import numpy as np
import pytest


def write_header(folder, text, data=None):
    Path(folder, "bad.hea").write_bytes(text if isinstance(text, bytes) else text.encode())
    if data is not None:
        Path(folder, "bad.dat").write_bytes(np.asarray(data, "<i2").tobytes())


def one_lead(samples, rate=500, lead="II", file="bad.dat"):
    """The header of a record with one lead."""
    return f"bad 1 {rate} {samples}\n{file} 16 1000/mV 16 0 0 0 0 {lead}\n"


NOISE = np.random.default_rng(0).integers(-500, 500, 5000)
# the header, the samples of the signal file (None: no such file), and words of the message
BAD_RECORDS = {
    "missing signal file": (one_lead(5000), None, "is missing"),
    "truncated signal file": (one_lead(5000), NOISE[:900], "truncated"),
    "empty header": ("", None, "empty"),
    "binary header": (bytes(range(256)) * 4, None, "binary"),
    "0 Hz": (one_lead(5000, rate=0), NOISE, "sampling rate"),
    "10^11 samples": (one_lead(10**11), NOISE, "truncated"),
    "10^12 samples": (one_lead(10**12), NOISE, "makes no sense"),
    "path that leaves the folder": (one_lead(5000, file="../../../etc/passwd"), None, "not in its own folder"),
    "CSV called .hea": ("time,I,II\n0,0.1,0.2\n0.002,0.1,0.2\n", None, "not a WFDB header"),
    "all NaN": (one_lead(5000), np.full(5000, -32768), "flat"),
    "all flat": (one_lead(5000), np.full(5000, 7), "flat"),
    "0.3 s": (one_lead(150), NOISE[:150], "too short"),
    "unknown leads": (one_lead(5000, lead="PLETH"), NOISE, "no ECG lead"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_bad_record_is_one_line_and_the_others_go_on(kind, classify, records, tmp_path):
    header, data, words = BAD_RECORDS[kind]
    write_header(tmp_path, header, data)
    code, out, err = classify(tmp_path / "bad", records / "af", "--labels", "AF", "--format", "csv")
    assert code == 1
    assert [line.split(",")[:2] for line in out.splitlines()[1:]] == [[str(records / "af"), "AF"]]
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert "bad" in err
    assert len(err) < 400


def test_all_bad_records_of_a_folder_together(classify, records, run, tmp_path):
    for i, (header, data, _) in enumerate(BAD_RECORDS.values()):
        folder = tmp_path / str(i)
        folder.mkdir()
        write_header(folder, header, data)
    code, out, err = classify(tmp_path, tmp_path / "none*", records / "af", "--labels", "AF", "--format", "json")
    assert code == 1
    assert len(json.loads(out)) == 1
    assert err.count("\n") == len(BAD_RECORDS) + 1
    assert err.count("error: ") == len(BAD_RECORDS) + 1
    assert classify(tmp_path / "none", "--labels", "AF", "--format", "json")[:2] == (1, "[]\n")
    code, out, err = run("info", tmp_path)
    assert code == 1
    assert err.count("\n") == len(BAD_RECORDS)
