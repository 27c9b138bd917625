"""`ecgclip info` says what was made of a record; `ecgclip simulate` writes one."""

import os
from pathlib import Path

import numpy as np
import pytest
from commandline import assert_misuse

from ecgclip.simulate import simulate, write_record


def test_info_says_what_was_read_assumed_derived_and_masked(run, tmp_path):
    ecg = simulate("normal", seed=1)
    signal = ecg.signal[[0, 1, 6, 7]].copy()
    signal[3] = 0
    four_leads = type(ecg)(signal, 500, ("I", "II", "V1", "V2"), {"age": 60, "sex": "male"})
    path = Path(write_record(four_leads, tmp_path / "r"))
    path.write_text(path.read_text().replace(" I\n", " ECG\n", 1))
    code, out, err = run("info", path)
    assert (code, err) == (0, "")
    assert "4 leads (I II V1 V2), 5000 samples at 500 Hz, 10.0 s, age 60, male" in out
    assert "'ECG' is lead I" in out
    assert "III aVR aVL aVF" in out
    assert "masked     V2 V3 V4 V5 V6" in out
    for words in ("R peaks:", "PR 1", "finding"):
        assert words in out


def test_info_tells_silence_a_pause_and_exchanged_electrodes(run, tmp_path):
    ecg = simulate("normal", seed=1, seconds=20)
    signal = ecg.signal.copy()
    signal[2] *= -1
    signal[:, 2500:] = np.random.default_rng(0).normal(0, 0.002, (12, 7500))
    out = run("info", write_record(type(ecg)(signal, 500, ecg.leads), tmp_path / "r"))[1]
    assert "note       no electrical activity from " in out
    assert "used       10.0 of 20.0 s" in out
    assert "longest R-R 15." in out
    assert "decided    asystole 0.97, measured: no heartbeat from " in out
    assert "measured: III looks upside down" in out


def test_simulate(run, tmp_path):
    assert {"af", "normal", "anterior-stemi"} <= set(run("simulate", "--list")[1].split())
    assert run("simulate", "af", "-o", tmp_path / "x", "--seconds", "5")[:2] == (0, f"{tmp_path / 'x.hea'}\n")
    assert "2500 samples at 500 Hz, 5.0 s" in run("info", tmp_path / "x")[1]
    assert_misuse(run("simulate", "nonsense", "-o", tmp_path / "y"), "unknown condition")
    assert_misuse(run("simulate", "af"), "-o RECORD")


def test_info_notes_a_rate_that_no_heart_has_and_each_note_once(run, records):
    out = run("info", records / "normal", "--sampling-rate", 100)[1]
    assert out.count("beats/min are no heart's: is the sampling rate 100 Hz?") == 1
    notes = [line for line in out.splitlines() if line.startswith("  note ")]
    assert len(notes) == len(set(notes))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_told_how_it_is_read(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run("info", tmp_path / "pipe")
    assert code == 1
    assert err == f"error: {tmp_path / 'pipe'}: a pipe; give it as standard input: -\n"
