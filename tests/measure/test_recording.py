"""What a recording decides by itself: standstill, pauses, electrodes in the wrong place; and nothing on an ordinary one."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgclip.ecg import ECG, LEADS
from ecgclip.io.wfdb import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.beats import find_beats
from ecgclip.measure.electrodes import FLAT_BY
from ecgclip.measure.measurement import measure_windows
from ecgclip.measure.recording import observe
from ecgclip.prepare import LIMB, prepare
from ecgclip.simulate import CONDITIONS, simulate

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")


def observed(ecg):
    prepared = prepare(ecg)
    beats = find_beats(prepared)
    return observe(ecg, prepared, beats, measure_windows(prepared, beats))


def resting(start_s, stop_s, seconds=20.0, sd=0.002, condition="normal"):
    ecg = simulate(condition, seed=1, seconds=seconds, sampling_rate=100)
    signal = ecg.signal.copy()
    part = signal[:, round(100 * start_s) : round(100 * stop_s)]
    part[:] = np.random.default_rng(0).normal(0, sd, part.shape)
    return ECG(signal, 100, LEADS)


def connected(kind, seed=1, leads=LEADS):
    """A normal ECG with the electrodes of the limbs connected in another way, or one lead upside down."""
    signal = simulate("normal", seed=seed).signal.astype(float)
    right, left, foot = 0 * signal[0], signal[0], signal[1]  # against the right arm
    ground = foot
    if kind == "arms":
        right, left = left, right
    elif kind == "right leg on the right arm":
        right = ground
    elif kind == "right leg on the left arm":
        left = ground
    signal[:6] = LIMB @ np.stack([left - right, foot - right])
    if kind == "dextrocardia":
        signal[:6] = LIMB @ np.stack([-left, foot - left])
        signal[6:] = np.linspace(1, 0.3, 6)[:, None] * signal[6]
    elif kind in LEADS:
        signal[LEADS.index(kind)] *= -1
    elif kind == "names":
        signal[[3, 4]] = signal[[4, 3]]
    return ECG(signal[[LEADS.index(lead) for lead in leads]], 500, leads)


@pytest.mark.parametrize(("start_s", "stop_s"), [(5, 20), (0, 12), (8, 12)])
@pytest.mark.parametrize("sd", [0.002, 0.015])
def test_standstill_is_asystole_whether_the_line_is_flat_or_noisy(start_s, stop_s, sd):
    out = observed(resting(start_s, stop_s, sd=sd))
    found = out.decides()["asystole"]
    probability, words = found.probability, found.words
    assert probability > 0.9 and "no heartbeat from" in words
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
        assert out.decides() == {} and not out.pauses
        return
    found = [stop - first for first, stop in out.pauses]
    assume(found)  # the cut may leave half of a QRS complex in the pause
    assert max(found) == pytest.approx(out.longest_rr_s, abs=0.05)
    assert ("asystole" in out.decides()) == (out.longest_rr_s >= 3)


def test_a_sinus_rhythm_that_pauses_without_a_wave_is_sinus_arrest():
    assert "sinus-arrest" in observed(resting(8, 11)).decides()
    assert "sinus-arrest" not in observed(resting(8, 11, condition="af")).decides()


def test_beats_that_are_too_small_to_be_found_are_no_standstill():
    ecg = simulate("normal", seed=1, seconds=20, sampling_rate=100)
    signal = ecg.signal.copy()
    assert observed(ECG(signal * 0.05, 100, LEADS)).decides() == {}, "none is found"
    signal[:, 800:1200] *= np.linspace(1, -1, 400)  # nor one that is found neither
    assert "asystole" not in observed(ECG(signal, 100, LEADS)).decides()


def test_a_stretch_without_a_signal_decides_nothing():
    signal = simulate("normal", seed=1, seconds=40, sampling_rate=100).signal.copy()
    for stretch in (slice(350, 540), slice(900, 2100), slice(3500, 4000)):
        gone = signal.copy()
        gone[:, stretch] = np.nan
        out = observed(ECG(gone, 100, LEADS))
        assert out.decides() == {} and out.longest_rr_s < 1.2
        gone[:, stretch] = 0.3  # held
        assert stretch.stop - stretch.start < 200 or observed(ECG(gone, 100, LEADS)).decides() == {}


@pytest.mark.parametrize("lead", LEADS[:6])
@pytest.mark.parametrize("seed", range(3))
def test_a_limb_lead_upside_down_is_named(lead, seed):
    out = observed(connected(lead, seed))
    assert out.exchange == f"{lead} looks upside down"
    assert out.decides()["limb-lead-reversal"].probability > 0.8 and "arm-lead-reversal" not in out.decides()


def test_three_limb_leads_are_enough_and_two_are_consistent_anyway():
    assert observed(connected("III", leads=("I", "II", "III", "V1"))).exchange == "III looks upside down"
    assert observed(connected("II", leads=("I", "II", "V1"))).exchange == ""


def test_limb_leads_that_do_not_fit_each_other_are_told():
    assert "do not fit each other" in observed(connected("names")).exchange


@pytest.mark.parametrize("seed", range(4))
def test_exchanged_arms_are_told_from_a_heart_on_the_right(seed):
    arms, right = observed(connected("arms", seed)), observed(connected("dextrocardia", seed))
    assert "arm electrodes exchanged" in arms.exchange
    assert {"arm-lead-reversal", "limb-lead-reversal"} <= set(arms.decides()) and arms.decides()[
        "normal-ecg"
    ].probability < 0.1
    assert set(right.decides()) == {"dextrocardia", "normal-ecg"}


@pytest.mark.parametrize(("kind", "lead"), [("right leg on the right arm", "II"), ("right leg on the left arm", "III")])
def test_an_electrode_on_the_right_leg_leaves_a_lead_flat(kind, lead):
    ecg = connected(kind)
    noisy = ecg.signal + LIMB_NOISE[:, : ecg.signal.shape[1]]
    out = observed(ECG(noisy, 500, LEADS))
    assert out.exchange.startswith(f"{lead} is flat") and "right leg" in out.exchange
    assert "limb-lead-reversal" in out.decides()


LIMB_NOISE = np.zeros((12, 5000))
LIMB_NOISE[:6] = LIMB @ np.random.default_rng(0).normal(0, 0.01, (2, 5000))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_ordinary_recording_decides_nothing(condition):
    for seed in range(3):
        out = observed(simulate(condition, seed=seed))
        assert out.decides() == {} and out.exchange == ""
        assert out.seconds == out.used_s == 10


def test_the_concepts_are_in_the_knowledge_base():
    kb = KnowledgeBase.load()
    kinds = ("arms", "dextrocardia", "III", "names")
    decided = set().union(*(observed(connected(kind)).decides() for kind in kinds), observed(resting(5, 20)).decides())
    assert decided == {
        "asystole", "sinus-arrest", "limb-lead-reversal", "arm-lead-reversal", "dextrocardia", "normal-ecg"
    }  # fmt: skip
    assert decided <= set(kb.concepts) and set(FLAT_BY) == {0, 1, 2}


@pytest.mark.data
@needs_data
def test_real_recordings_seldom_decide_anything():
    records = sorted(Path(DATA, "ptb-xl", "records100").glob("*/*.hea"))[::10]
    found = [observed(read_ecg(record)).decides() for record in records]
    assert len(records) > 300 and sum(map(bool, found)) <= 0.005 * len(records)
