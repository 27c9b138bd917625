"""What a recording decides by itself: standstill and pauses; and nothing on an ordinary one."""

import os
from pathlib import Path

import numpy as np
import pytest
from ecgs import observed, resting
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgclip.ecg import ECG, LEADS
from ecgclip.io.read import read_ecg
from ecgclip.simulate import CONDITIONS, simulate

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")


@pytest.mark.parametrize(("start_s", "stop_s"), [(5, 20), (0, 12), (8, 12)])
@pytest.mark.parametrize("sd", [0.002, 0.015])
def test_standstill_is_asystole_whether_the_line_is_flat_or_noisy(start_s, stop_s, sd):
    out = observed(resting(start_s, stop_s, sd=sd))
    asystole = out.decides()["asystole"]
    assert asystole.probability > 0.9
    assert "no heartbeat from" in asystole.words
    assert out.decides()["normal-ecg"].probability < 0.1
    assert out.longest_rr_s == pytest.approx(stop_s - start_s, abs=1)
    assert out.longest_rr_start_s == pytest.approx(start_s, abs=1)


def test_a_recording_that_is_silent_throughout_is_asystole():
    out = observed(resting(0, 20))
    assert out.decides()["asystole"].words == "measured: no heartbeat from 0.0 to 20.0 s"
    assert (out.seconds, out.used_s) == (20, 10)


@settings(max_examples=20, deadline=None)
@given(start=st.floats(1, 12), length=st.floats(0, 6))
def test_a_pause_decides_by_its_length(start, length):
    out = observed(resting(start, start + length))
    if out.longest_rr_s < 2:
        assert out.decides() == {}
        assert not out.pauses
        return
    pauses = [stop - first for first, stop in out.pauses]
    assume(pauses)  # the cut may leave half of a QRS complex in the pause
    assert max(pauses) == pytest.approx(out.longest_rr_s, abs=0.05)
    assert ("asystole" in out.decides()) == (out.longest_rr_s >= 3)


def test_a_sinus_rhythm_that_pauses_without_a_wave_is_sinus_arrest():
    assert "sinus-arrest" in observed(resting(8, 11)).decides()
    assert "sinus-arrest" not in observed(resting(8, 11, condition="af")).decides()


def test_beats_that_are_too_small_to_be_found_are_no_standstill():
    ecg = simulate("normal", seed=1, seconds=20, sampling_rate=100)
    signal = ecg.signal.copy()
    assert observed(ECG(signal * 0.05, 100, LEADS)).decides() == {}, "none is found"
    signal[:, 800:1200] *= np.linspace(1, -1, 400)  # some beats in between are too small
    assert "asystole" not in observed(ECG(signal, 100, LEADS)).decides()


def test_a_stretch_without_a_signal_decides_nothing():
    signal = simulate("normal", seed=1, seconds=40, sampling_rate=100).signal.copy()
    for stretch in (slice(350, 540), slice(900, 2100), slice(3500, 4000)):
        gone = signal.copy()
        gone[:, stretch] = np.nan
        out = observed(ECG(gone, 100, LEADS))
        assert out.decides() == {}
        assert out.longest_rr_s < 1.2
        gone[:, stretch] = 0.3  # held
        assert stretch.stop - stretch.start < 200 or observed(ECG(gone, 100, LEADS)).decides() == {}


DECIDED = {"asystole", "sinus-arrest", "arm-lead-reversal", "dextrocardia"}


@pytest.mark.parametrize("condition", sorted(set(CONDITIONS) - DECIDED))
def test_an_ordinary_recording_decides_nothing(condition):
    out = observed(simulate(condition, seed=1))
    assert out.decides() == {}
    assert out.exchange == ""
    assert out.seconds == out.used_s == 10


@pytest.mark.data
@needs_data
def test_real_recordings_seldom_decide_anything():
    records = sorted(Path(DATA, "ptb-xl", "records100").glob("*/*.hea"))[::10]
    decisions = [observed(read_ecg(record)).decides() for record in records]
    assert len(records) > 300
    assert sum(map(bool, decisions)) <= 0.005 * len(records)


def test_what_a_recording_decides_is_a_probability_and_nearly_sure():
    decided = observed(resting(5, 15)).decides()
    assert 0.9 < decided["asystole"].probability < 1
    assert all(0 < decision.probability < 1 for decision in decided.values())
