"""Measurements against the simulator's truth and PTB-XL's statements; findings and their words."""

import ast
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import ECG, LEADS
from ecgclip.explain.evidence import summary
from ecgclip.io.wfdb import read_ecg
from ecgclip.measure.beats import find_beats
from ecgclip.measure.guideline import finding_texts, findings
from ecgclip.measure.measurement import measure, measure_windows
from ecgclip.measure.vector import feature_names, features
from ecgclip.measure.waves import _complex, _p_present
from ecgclip.peaks import r_peaks
from ecgclip.prepare import LIMB, prepare
from ecgclip.simulate import simulate

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")
PLAIN = ("normal", "sinus-tachycardia", "sinus-bradycardia", "first-degree-av-block", "rbbb", "lvh", "inferior-stemi")


def measured(condition, seed=0, mask=None):
    ecg = simulate(condition, seed=seed)
    prepared = prepare(ecg)
    signal, mask = prepared.signal[0], prepared.mask[0] if mask is None else mask
    return measure(signal * mask[:, None], mask, r_peaks(signal * mask[:, None], mask)), ecg.metadata


def found(condition, seed=0):
    m, metadata = measured(condition, seed)
    return findings(m, metadata["age"], metadata["sex"])


@pytest.mark.parametrize("condition", PLAIN)
@pytest.mark.parametrize("seed", range(3))
def test_intervals_match_the_truth(condition, seed):
    m, metadata = measured(condition, seed)
    truth = metadata["truth"]
    assert m.heart_rate == pytest.approx(truth["heart_rate"], abs=2)
    assert m.p_present and m.pr_ms == pytest.approx(truth["pr_ms"], abs=12)
    assert m.qrs_ms == pytest.approx(truth["qrs_ms"], abs=12)
    assert m.qt_ms == pytest.approx(truth["qt_ms"], abs=16)
    assert m.qtc_ms == pytest.approx(m.qt_ms / (60 / m.heart_rate) ** (1 / 3), abs=1)


@pytest.mark.parametrize("rate", [100, 250, 500, 1000])
def test_a_pacing_spike_is_no_part_of_the_complex(rate):
    for seed in range(8):
        ecg = simulate("paced", seed=seed, sampling_rate=rate)
        (m,) = measure_windows(prepared := prepare(ecg), find_beats(prepared))
        assert m.qrs_ms == pytest.approx(ecg.metadata["truth"]["qrs_ms"], abs=20)
        assert m.qt_ms == pytest.approx(ecg.metadata["truth"]["qt_ms"], abs=30)


@pytest.mark.parametrize("degrees", range(-173, 180, 15))
def test_the_axis_is_that_of_the_dipole(degrees):
    """A dipole in the frontal plane, seen by I at 0° and aVF at 90°: aVF is smaller by √3/2, as its leads are augmented."""
    beat = simulate("normal", seed=1, sampling_rate=100).signal
    wave = np.linalg.norm(beat[:6], axis=0) * np.sign(beat[1])
    one, two = (np.cos(np.deg2rad(degrees - at)) * wave for at in (0, 60))
    signal = np.zeros((12, 1000), np.float32)
    signal[:6] = LIMB @ np.stack([one, two])
    prepared = prepare(ECG(signal[:6], 100, LEADS[:6]))
    (m,) = measure_windows(prepared, find_beats(prepared))
    assert abs((m.axis_deg - degrees + 180) % 360 - 180) < 2


@pytest.mark.parametrize("condition", PLAIN[:-1])
def test_axis_matches_the_truth(condition):
    for seed in range(3):
        m, metadata = measured(condition, seed)
        assert m.axis_deg == pytest.approx(metadata["truth"]["axis_deg"], abs=10)


@pytest.mark.parametrize("condition", (*PLAIN, "lbbb", "anterior-stemi", "lateral-stemi"))
def test_st_levels_match_the_truth(condition):
    for seed in range(3):
        m, metadata = measured(condition, seed)
        truth = [metadata["truth"]["st_mv"][lead] for lead in LEADS]
        np.testing.assert_allclose(m.st_mv, truth, atol=0.04)


@pytest.mark.parametrize(
    ("condition", "present", "absent"),
    [
        ("normal", "p_waves regular qrs_narrow no_st_deviation", "rate_above_100 irregularly_irregular flutter_waves"),
        ("af", "irregularly_irregular no_p_waves irregular", "p_waves regular premature_wide flutter_waves"),
        ("flutter", "flutter_waves", "irregularly_irregular premature_wide"),
        ("sinus-tachycardia", "rate_above_100 p_waves", "rate_below_60 irregular flutter_waves"),
        ("sinus-bradycardia", "rate_below_60", "rate_above_100"),
        ("first-degree-av-block", "pr_above_200", "pr_normal pr_below_120"),
        ("complete-av-block", "rate_below_40 no_p_waves", "pr_above_200 irregularly_irregular"),
        ("lbbb", "qrs_120_or_more broad_r_i_v6", "qrs_narrow rsr_v1 dominant_r_v1"),
        ("rbbb", "qrs_120_or_more wide_s_i_v6", "broad_r_i_v6 qrs_narrow"),
        ("pvc", "premature_wide", "premature_narrow irregularly_irregular"),
        ("lvh", "high_voltage_chest", "low_voltage_limb"),
        ("anterior-stemi", "st_elevation:anterior st_elevation:v3v4", "st_elevation:inferior no_st_deviation"),
        ("inferior-stemi", "st_elevation:inferior", "st_elevation:anterior no_st_deviation"),
        ("lateral-stemi", "st_elevation:high_lateral", "st_elevation:inferior no_st_deviation"),
        ("noise", "muscle_noise", "flat_lead"),
        ("flat-lead", "flat_lead", "muscle_noise"),
    ],
)
def test_the_findings_of_a_simulated_condition(condition, present, absent):
    for seed in (0, 1):
        says = found(condition, seed)
        assert {key: says[key] for key in present.split()} == dict.fromkeys(present.split(), True)
        wrong = [key for key in absent.split() if says[key]]
        assert not wrong


@pytest.mark.parametrize("seed", range(4))
def test_flutter_waves_have_their_rate_and_height(seed):
    m, metadata = measured("flutter", seed)
    ratio = m.atrial_rate / metadata["truth"]["heart_rate"]
    assert min(abs(ratio - 2), abs(ratio - 4)) < 0.2 and 0.05 < m.atrial_mv < 0.2
    alone, _ = measured("flutter", seed, mask=np.arange(12) == 1)
    assert alone.atrial_rate == pytest.approx(m.atrial_rate, abs=15)


def test_thresholds_of_st_elevation_depend_on_age_and_sex():
    m, _ = measured("normal")
    st_mv = np.zeros(12)
    st_mv[[7, 8]] = 0.21  # V2, V3
    m = type(m)(**{**vars(m), "st_mv": st_mv})
    key = "st_elevation:anteroseptal"
    assert findings(m, age=60, sex="female")[key] is True
    assert findings(m, age=30, sex="male")[key] is False
    assert findings(m, age=60, sex="male")[key] is None  # too close to 0.2 mV


def test_one_lead_in_a_territory_is_not_a_finding():
    m, _ = measured("normal")
    st_mv = np.where(np.array(LEADS) == "III", 0.3, 0.0)
    assert findings(type(m)(**{**vars(m), "st_mv": st_mv}))["st_elevation:inferior"] is False


def test_absent_leads_leave_their_findings_open():
    m, _ = measured("inferior-stemi", mask=np.arange(12) < 1)
    says = findings(m)
    assert says["rate_above_100"] is False
    for key in ("st_elevation:inferior", "t_inversion:anterior", "axis_left", "dominant_r_v1", "high_voltage_chest"):
        assert says[key] is None, key
    assert np.isnan(m.st_mv[1:]).all() and np.isfinite(m.st_mv[0])


# --- the whole recording


def windows_of(signal, rate=100.0):
    prepared = prepare(ECG(signal, rate, LEADS))
    return measure_windows(prepared, find_beats(prepared))


def without_beats(start_s, stop_s, seconds, sd=0.01):
    """A sinus rhythm without the beats of a stretch; there is noise of `sd` mV. Also how long no beat is seen, ms."""
    ecg = simulate("normal", seed=1, seconds=seconds, sampling_rate=100)
    signal, peaks = ecg.signal.copy(), np.array(ecg.metadata["truth"]["r_peaks_s"])
    kept = np.array([0, *peaks[(peaks < start_s) | (peaks >= stop_s)], seconds])
    i = np.searchsorted(kept, start_s, "right")
    last, first = (kept[i - 1] + 0.4) * (i > 1), kept[i] - 0.25 * (i < len(kept) - 1)
    part = signal[:, round(100 * last) : round(100 * first)]
    part[:] = np.random.default_rng(0).normal(0, sd, part.shape)
    return signal, 1000 * np.diff(kept).max()


def test_a_pause_over_the_edge_of_a_window_is_one_pause():
    signal, longest = without_beats(8.1, 12.0, 24)
    first, second, third = windows_of(signal)
    assert longest > 3900
    assert first.longest_pause_ms == pytest.approx(longest, abs=40)
    assert second.longest_pause_ms == pytest.approx(longest, abs=40) and third.longest_pause_ms < 1000
    assert findings(first)["pause"] and findings(second)["pause"] and findings(third)["pause"] is False
    assert summary([first, second, third])["longest_rr_s"] == pytest.approx(longest / 1000, abs=0.04)


@pytest.mark.parametrize(("start_s", "stop_s"), [(5, 20), (0, 14)])
def test_a_recording_that_ends_or_begins_in_a_pause_has_one_at_least_so_long(start_s, stop_s):
    signal, longest = without_beats(start_s, stop_s, 20)
    assert max(m.longest_pause_ms for m in windows_of(signal)) == pytest.approx(longest, abs=40)


@given(start=st.floats(1, 17), length=st.floats(2.5, 6))
@settings(max_examples=20, deadline=None)
def test_a_pause_is_as_long_wherever_it_lies(start, length):
    signal, longest = without_beats(start, start + length, 24)
    measurements = windows_of(signal)
    assert summary(measurements)["longest_rr_s"] == pytest.approx(longest / 1000, abs=0.06)


def test_every_interval_counts_once_and_those_over_the_edges_in_both_windows():
    ecg = simulate("normal", seed=1, seconds=30, sampling_rate=100)
    true = 1000 * np.diff(ecg.metadata["truth"]["r_peaks_s"])
    measurements = windows_of(ecg.signal)
    assert [len(m.rr_ms) - m.beats for m in measurements] == [0, 1, 0]
    np.testing.assert_allclose(np.concatenate([measurements[0].rr_ms, measurements[1].rr_ms[1:]]),
                               true[: len(measurements[0].rr_ms) + len(measurements[1].rr_ms) - 1], atol=21)  # fmt: skip


def test_a_gap_in_the_signal_is_no_pause():
    signal = simulate("normal", seed=1, sampling_rate=100).signal.copy()
    signal[:, 400:590] = np.nan
    (m,) = windows_of(signal)
    assert m.longest_pause_ms < 1000 and m.heart_rate == pytest.approx(74, abs=3)


def test_nothing_to_measure_gives_the_same_keys_all_open():
    m = measure(np.zeros((12, 1000), np.float32), np.zeros(12, bool), np.empty(0, int))
    assert set(findings(m).values()) == {None}
    assert set(findings(m)) == set(finding_texts())


def numbers(text):
    """A measurement of which only what `text` says is known, such as "qrs_ms=130 r_mv:I,V6=0.4 p_present=True rr_ms=800"."""
    m = measure(np.zeros((12, 1000), np.float32), np.ones(12, bool), np.empty(0, int))
    values = {name: np.array(value) if np.ndim(value) else value for name, value in vars(m).items()}
    for name, value in (part.split("=") for part in text.split()):
        name, _, leads = name.partition(":")
        value = ast.literal_eval(value)
        if leads:
            values[name][[LEADS.index(lead) for lead in leads.split(",")]] = value
        else:
            values[name] = np.full(9, value) if name == "rr_ms" else value
    return type(m)(**values)


@pytest.mark.parametrize(
    "key, given, moved, absent, doubtful, present",
    [
        ("rate_above_150", "", "heart_rate", 147.5, 150, 152.5),
        ("rate_above_100", "", "heart_rate", 97.5, 100, 102.5),
        ("rate_60_to_100", "", "heart_rate", 57.5, 60, 62.5),
        ("rate_60_to_100", "", "heart_rate", 102.5, 100, 97.5),
        ("rate_below_60", "", "heart_rate", 62.5, 60, 57.5),
        ("rate_below_40", "", "heart_rate", 42.5, 40, 37.5),
        ("irregular", "rr_ms=800", "rr_variation", 0.064, 0.08, 0.096),
        ("irregularly_irregular", "rr_ms=800 rr_variation=0.2", "rr_irregularity", 0.054, 0.07, 0.086),
        ("irregularly_irregular", "rr_ms=800 rr_irregularity=0.2", "rr_variation", 0.064, 0.08, 0.096),
        ("pause", "", "longest_pause_ms", 1939.5, 2000, 2060.5),
        ("pr_above_200", "p_present=True", "pr_ms", 189.5, 200, 210.5),
        ("pr_below_120", "p_present=True", "pr_ms", 128.5, 120, 111.5),
        ("pr_normal", "p_present=True", "pr_ms", 111.5, 120, 128.5),
        ("pr_normal", "p_present=True", "pr_ms", 210.5, 200, 189.5),
        ("p_long", "p_present=True", "p_duration_ms", 111.5, 120, 128.5),
        ("p_tall", "p_present=True", "p_amplitude_mv:II", 0.21, 0.25, 0.29),
        ("p_terminal_v1", "p_present=True", "p_terminal_v1", 2.9, 4, 5.1),
        ("qrs_120_or_more", "", "qrs_ms", 113.5, 120, 126.5),
        ("qrs_narrow", "", "qrs_ms", 115.5, 110, 104.5),
        ("qtc_prolonged", "", "qtc_ms", 441.5, 455, 468.5),
        ("qtc_prolonged", "sex=male", "qtc_ms", 441.5, 450, 458.5),
        ("qtc_prolonged", "sex=female", "qtc_ms", 451.5, 460, 468.5),
        ("qtc_short", "", "qtc_ms", 368.5, 360, 351.5),
        ("qtc_normal", "", "qtc_ms", 351.5, 360, 368.5),
        ("qtc_normal", "sex=male", "qtc_ms", 458.5, 450, 441.5),
        ("delta_wave", "p_present=True qrs_ms=130 upstroke=0.1", "pr_ms", 145.5, 125, 104.5),
        ("delta_wave", "p_present=True pr_ms=90 upstroke=0.1", "qrs_ms", 92.5, 105, 117.5),
        ("delta_wave", "p_present=True pr_ms=90 qrs_ms=130", "upstroke", 0.46, 0.35, 0.24),
        ("flutter_waves", "atrial_contrast=0.5 atrial_mv=0.1", "atrial_share", 0.59, 0.65, 0.71),
        ("flutter_waves", "atrial_share=0.9 atrial_mv=0.1", "atrial_contrast", 0.22, 0.27, 0.32),
        ("flutter_waves", "atrial_share=0.9 atrial_contrast=0.5", "atrial_mv", 0.035, 0.044, 0.053),
        ("axis_normal", "", "axis_deg", -36.5, -30, -23.5),
        ("axis_normal", "", "axis_deg", 96.5, 90, 83.5),
        ("axis_left", "", "axis_deg", -23.5, -30, -36.5),
        ("axis_left", "", "axis_deg", -96.5, -90, -83.5),
        ("axis_right", "", "axis_deg", 83.5, 90, 96.5),
        ("axis_right", "", "axis_deg", -173.5, 180, 173.5),
        ("axis_extreme", "", "axis_deg", -83.5, -90, -96.5),
        ("axis_extreme", "", "axis_deg", 173.5, -180, -173.5),
        ("high_voltage_chest", "r_mv:V5=2 r_mv:V6=1 q_mv:V1=0", "s_mv:V1", -1.2, -1.5, -1.8),
        ("high_voltage_chest", "r_mv:V5=1 r_mv:V6=2 s_mv:V1=0", "q_mv:V1", -1.2, -1.5, -1.8),
        ("cornell_voltage", "sex=male r_mv:aVL=1 q_mv:V3=0", "s_mv:V3", -1.6, -1.8, -2),
        ("cornell_voltage", "sex=female r_mv:aVL=1 q_mv:V3=0", "s_mv:V3", -0.8, -1, -1.2),
        ("cornell_voltage", "r_mv:aVL=1 q_mv:V3=0", "s_mv:V3", -0.8, -1.4, -2),
        ("r_avl_above_1_1", "", "r_mv:aVL", 0.9, 1.1, 1.3),
        ("low_voltage_limb", "qrs_pp_mv:I,II,III,aVR,aVL=0.4", "qrs_pp_mv:aVF", 0.63, 0.55, 0.47),
        ("low_voltage_all", "qrs_pp_mv:I,II,III,aVR,aVL,aVF=0.4 qrs_pp_mv:V1,V2,V3,V4,V5=0.6", "qrs_pp_mv:V6", 1.2, 1, 0.9),
        ("deep_s_v1", "q_mv:V1=0", "s_mv:V1", -1.25, -1.5, -1.75),
        ("dominant_r_v1", "r_mv:V1=1 rprime_mv:V1=0 q_mv:V1=0", "s_mv:V1", -1.1, -1, -0.9),
        ("dominant_r_v1", "r_mv:V1=0.1 q_mv:V1=0 s_mv:V1=0", "rprime_mv:V1", 0.14, 0.25, 0.36),
        ("rsr_v1", "qrs_ms=100 s_mv:V1=-0.5 rprime_mv:V1=0.4 q_mv:V1=0", "r_mv:V1", 0.02, 0.04, 0.06),
        ("rsr_v1", "qrs_ms=100 r_mv:V1=0.3 rprime_mv:V1=0.4 q_mv:V1=0", "s_mv:V1", -0.04, -0.07, -0.1),
        ("rsr_v1", "qrs_ms=100 r_mv:V1=0.3 s_mv:V1=-0.5 q_mv:V1=0", "rprime_mv:V1", 0.04, 0.1, 0.16),
        ("broad_r_i_v6", "qrs_ms=140 q_mv:I,V6=0 s_mv:I,V6=0 r_ms:I,V6=100 r_mv:I=1", "r_mv:V6", 0.19, 0.3, 0.41),
        ("broad_r_i_v6", "qrs_ms=140 q_mv:I,V6=0 s_mv:I,V6=0 r_ms:V6=100 r_mv:I,V6=1", "r_ms:I", 59.5, 70, 80.5),
        ("broad_r_i_v6", "qrs_ms=140 q_mv:I,V6=0 s_mv:I=0 r_ms:I,V6=100 r_mv:I,V6=1", "s_mv:V6", -0.4, -0.3, -0.2),
        ("broad_r_i_v6", "q_mv:I,V6=0 s_mv:I,V6=0 r_ms:I,V6=100 r_mv:I,V6=1", "qrs_ms", 113.5, 120, 126.5),
        ("wide_s_i_v6", "s_mv:I,V6=-0.4 s_ms:I=60", "s_ms:V6", 34.5, 40, 45.5),
        ("wide_s_i_v6", "s_mv:V6=-0.4 s_ms:I,V6=60", "s_mv:I", -0.09, -0.15, -0.21),
        ("poor_r_progression", "r_mv:V4=0.4 r_mv:V1=0.1", "r_mv:V3", 0.37, 0.3, 0.23),
        ("poor_r_progression", "r_mv:V3=0.2 r_mv:V1=0.1", "r_mv:V4", 0.71, 0.6, 0.49),
        ("poor_r_progression", "r_mv:V3=0.2 r_mv:V4=0.4", "r_mv:V1", 0.36, 0.3, 0.24),
        ("q_waves:inferior", "q_ms:II,III=40", "q_mv:II,III", -0.07, -0.1, -0.13),
        ("q_waves:inferior", "q_mv:II,III=-0.3", "q_ms:II,III", 24.5, 29, 33.5),
        ("q_waves:anteroseptal", "q_ms:V2,V3=40", "q_mv:V2,V3", -0.04, -0.06, -0.08),
        ("q_waves:anteroseptal", "q_mv:V2,V3=-0.3", "q_ms:V2,V3", 16.5, 21, 25.5),
        ("st_elevation:inferior", "", "st_mv:II,III", 0.07, 0.1, 0.13),
        ("st_elevation:v3v4", "st_mv:V4=0.2", "st_mv:V3", 0.13, 0.2, 0.27),
        ("st_elevation:v3v4", "sex=female st_mv:V4=0.2", "st_mv:V3", 0.11, 0.15, 0.19),
        ("st_elevation:v3v4", "sex=male st_mv:V4=0.2", "st_mv:V3", 0.13, 0.2, 0.27),
        ("st_elevation:v3v4", "sex=male age=40 st_mv:V4=0.2", "st_mv:V3", 0.16, 0.2, 0.24),
        ("st_elevation:v3v4", "sex=male age=39 st_mv:V4=0.2", "st_mv:V3", 0.21, 0.25, 0.29),
        ("st_elevation:v3v4", "sex=female age=39 st_mv:V4=0.2", "st_mv:V3", 0.11, 0.15, 0.19),
        ("st_elevation:avr", "", "st_mv:aVR", 0.07, 0.1, 0.13),
        ("st_depression:lateral", "", "st_mv:V5,V6", -0.03, -0.05, -0.07),
        ("t_inversion:lateral", "", "t_mv:V5,V6", -0.06, -0.1, -0.14),
        ("t_flat:lateral", "", "t_mv:V5,V6", -0.11, -0.08, -0.05),
        ("t_flat:lateral", "", "t_mv:V5,V6", 0.11, 0.08, 0.05),
        ("t_tall:high_lateral", "", "t_mv:I,aVL", 0.44, 0.5, 0.56),
        ("t_tall:v3v4", "", "t_mv:V3,V4", 0.85, 1, 1.15),
        ("t_upright", "t_mv:I,II,V3,V4,V5=0.3", "t_mv:V6", 0.07, 0.1, 0.13),
        ("baseline_wander", "", "baseline_wander_mv", 0.11, 0.17, 0.23),
        ("muscle_noise", "", "noise_mv", 0.009, 0.013, 0.017),
    ],
)  # fmt: skip
def test_a_finding_is_absent_open_or_present_by_its_limit(key, given, moved, absent, doubtful, present):
    """The limits of the guidelines, each with the zone in which it is too close to say; all else is as `given`."""
    about = dict(part.split("=") for part in given.split() if part.split("=")[0] in ("age", "sex"))
    given = " ".join(part for part in given.split() if part.split("=")[0] not in about)
    age = float(about["age"]) if "age" in about else None
    says = [
        findings(numbers(f"{given} {moved}={value}"), age, about.get("sex"))[key]
        for value in (absent, doubtful, present)
    ]
    assert says == [False, None, True]


@pytest.mark.parametrize(
    "given, key, expected",
    [
        ("rr_ms=800 rr_variation=0.02", "regular", True),
        ("rr_ms=800 rr_variation=0.2", "regular", False),
        ("rr_ms=800 rr_variation=0.02 n_premature_narrow=1", "regular", False),
        ("rr_ms=800 rr_variation=0.02 n_premature_wide=1", "regular", False),
        ("rr_variation=0.02", "regular", None),  # too few beats to say
        ("rr_ms=800 rr_variation=0.02 rr_irregularity=0.02", "irregularly_irregular", False),
        ("rr_ms=800 rr_variation=0.02 rr_irregularity=0.02", "premature_narrow", False),
        ("rr_ms=800 rr_variation=0.02 rr_irregularity=0.02 n_premature_narrow=1", "premature_narrow", True),
        ("rr_ms=800 rr_variation=0.3 rr_irregularity=0.2 n_premature_narrow=1", "premature_narrow", None),
        ("rr_ms=800 n_premature_wide=1", "premature_wide", True),
        ("rr_ms=800", "premature_wide", False),
        ("n_premature_wide=1", "premature_wide", None),
        ("rr_ms=800 alternating=True", "every_second_premature", True),
        ("rr_ms=800 alternating=False", "every_second_premature", False),
        ("p_present=True", "p_waves", True),
        ("p_present=True", "no_p_waves", False),
        ("p_present=False", "no_p_waves", True),
        ("", "p_waves", None),
        ("p_present=False pr_ms=250", "pr_above_200", None),  # no P, no PR
        ("pr_ms=90 qrs_ms=130 upstroke=0.1", "delta_wave", None),
        ("qrs_ms=130", "qrs_110_to_119", False),
        ("qrs_ms=100", "qrs_110_to_119", False),
        # P and T of a sinus tachycardia are no flutter, whatever their spectrum
        ("atrial_share=0.9 atrial_contrast=0.5 atrial_mv=0.1 p_present=True heart_rate=140 atrial_rate=290", "flutter_waves", None),
        ("atrial_share=0.9 atrial_contrast=0.5 atrial_mv=0.1 p_present=True heart_rate=75 atrial_rate=290", "flutter_waves", True),
        ("atrial_share=0.9 atrial_contrast=0.5 atrial_mv=0.1 heart_rate=145 atrial_rate=290", "flutter_waves", True),
        ("atrial_share=0.1 atrial_contrast=0.5 atrial_mv=0.1 p_present=True heart_rate=145 atrial_rate=290", "flutter_waves", False),
        ("axis_deg=30", "axis_normal", True),
        ("axis_deg=-60", "axis_normal", False),
        ("axis_deg=-150", "axis_right", False),
        # a notched R of right bundle branch block: neither yes nor no
        ("qrs_ms=140 r_mv:V1=1 rprime_mv:V1=0 s_mv:V1=0 q_mv:V1=0", "rsr_v1", None),
        ("qrs_ms=100 r_mv:V1=1 rprime_mv:V1=0 s_mv:V1=0 q_mv:V1=0", "rsr_v1", False),
        ("qrs_ms=140 r_mv:V1=0.1 rprime_mv:V1=0 s_mv:V1=-1 q_mv:V1=0", "rsr_v1", False),
        ("q_mv:II,III=-0.3 q_ms:II,III=10", "q_waves:inferior", False),
        # two neighbouring leads
        ("st_mv:II=0.3 st_mv:III,aVF=0", "st_elevation:inferior", False),
        ("st_mv:II,aVF=0.3 st_mv:III=0", "st_elevation:inferior", True),
        ("st_mv:II=0.3 st_mv:III=0", "st_elevation:inferior", None),
        ("st_mv:II,III=0", "st_elevation:inferior", False),
        ("st_mv:II=0.3", "st_elevation:inferior", None),
        ("st_mv:II=0", "st_elevation:inferior", None),
        ("st_mv:V5,V6=0.3", "st_elevation:anterolateral", True),
        ("st_mv:V5,V6=0.3", "st_elevation:lateral", True),
        ("st_mv:V1,V2=0.4", "st_elevation:septal", True),
        ("st_mv:V1,V2=0.4", "st_elevation:anterior", True),
        ("t_mv:V1,V2=-0.3 t_mv:V3=0.3", "t_inversion:anteroseptal", False),  # V1 is inverted in health
        ("t_mv:V2,V3=-0.3 t_mv:V1=0.3", "t_inversion:anteroseptal", True),
        ("t_mv:V1,V2=-0.3 t_mv:V3,V4=0.3", "t_inversion:anterior", False),
        ("t_mv:V1,V2=-0.3", "t_inversion:septal", True),
        ("t_mv:II,III=0.3 t_mv:aVF=0", "t_upright:inferior", True),  # all but one
        ("t_mv:V3,V4,V5,V6,I,II=0.3", "t_upright", True),
        ("t_mv:V1,V2,V3=0.3 t_mv:V4=0", "t_upright:anterior", True),
        ("t_mv:V1,V2=0.3 t_mv:V3,V4=0", "t_upright:anterior", False),
        (f"st_mv:{','.join(LEADS)}=0", "no_st_deviation", True),
        (f"st_mv:{','.join(LEADS)}=0 st_mv:V5,V6=-0.2", "no_st_deviation", False),
        (f"st_mv:{','.join(LEADS)}=0 st_mv:II,III=0.2", "no_st_deviation", False),
        (f"st_mv:{','.join(LEADS)}=0 st_mv:aVR=0.2", "no_st_deviation", True),
        ("st_mv:I,II,III=0", "no_st_deviation", None),
        ("flat_leads=0", "flat_lead", False),
        ("flat_leads=1", "flat_lead", True),
        ("flat_leads=3", "flat_lead", True),
        ("flat_leads=4", "flat_lead", False),  # not one electrode, but a recording of fewer leads
        ("flat_leads=None", "flat_lead", None),
    ],
)  # fmt: skip
def test_what_takes_more_than_one_number(given, key, expected):
    assert findings(numbers(given))[key] is expected


# --- heartbeats drawn by hand, so that every number is known -------------------------------------------------------------

WEIGHT = np.linspace(0.6, 1.7, 12)  # how much each lead sees of the same course


def heartbeats(at_s, wide=(), p=0.15, t=0.3, seconds=10):
    """(12, samples) in mV at 100 Hz, and the R peaks: P, QRS and T as Gaussians; those of `wide` (indices) broad and without P."""
    time = np.arange(round(seconds * 100)) / 100
    wave = lambda at, sd, height: height * np.exp(-(((time - at) / sd) ** 2) / 2)
    course = np.zeros(len(time))
    for i, r in enumerate(at_s):
        if i in wide:
            course += wave(r, 0.045, 1.2) + wave(r + 0.34, 0.05, -t)
        else:
            course += wave(r - 0.16, 0.02, p) + wave(r, 0.012, 1) + wave(r + 0.3, 0.04, t)
    return WEIGHT[:, None] * course, np.round(np.array(at_s) * 100).astype(int)


def of_beats(*args, mask=None, **kwargs):
    signal, peaks = heartbeats(*args, **kwargs)
    return measure(signal, np.ones(12, bool) if mask is None else mask, peaks)


def test_the_waves_of_a_beat_have_their_heights_and_times():
    m = of_beats(np.arange(0.5, 9.6, 0.8))
    assert m.heart_rate == pytest.approx(75) and m.longest_pause_ms == 800 and m.beats == 12
    assert m.regular and m.rr_variation == m.rr_irregularity == 0 and m.n_premature_narrow == m.n_premature_wide == 0
    assert np.allclose(m.r_mv, WEIGHT, atol=0.02) and np.allclose(m.qrs_pp_mv, WEIGHT, atol=0.02)
    assert np.allclose(m.t_mv, 0.3 * WEIGHT, atol=0.01) and np.allclose(m.p_amplitude_mv, 0.13 * WEIGHT, atol=0.01)
    assert not m.q_mv.any() and not m.s_mv.any() and not m.rprime_mv.any() and np.allclose(m.st_mv, 0, atol=0.01)
    assert m.p_present and m.p_consistency > 0.98
    assert m.p_height_mv == pytest.approx(0.15 * np.sqrt((WEIGHT**2).mean()), abs=0.02)
    # the tangents of a Gaussian meet its level two standard deviations from its peak, where a seventh of it is left
    assert m.p_duration_ms == pytest.approx(80, abs=8) and m.p_terminal_v1 == pytest.approx(0, abs=0.3)
    assert m.qrs_ms == pytest.approx(72, abs=10) and m.pr_ms == pytest.approx(200 - 36, abs=8)
    assert m.qt_ms == pytest.approx(300 + 36 + 80, abs=14) and m.qtc_ms == pytest.approx(m.qt_ms / 0.8 ** (1 / 3))
    upside_down, peaks = heartbeats(np.arange(0.5, 9.6, 0.8))
    m = measure(-upside_down, np.ones(12, bool), peaks)
    assert np.allclose(m.q_mv, -WEIGHT, atol=0.02) and not m.r_mv.any() and not m.s_mv.any(), "a QS complex"
    assert np.allclose(m.t_mv, -0.3 * WEIGHT, atol=0.01) and np.allclose(m.p_amplitude_mv, -0.13 * WEIGHT, atol=0.01)
    assert m.p_terminal_v1 > 3, "all of P in V1 is negative"


def test_a_lead_that_is_off_has_no_numbers():
    off = np.arange(12) == 6
    m = of_beats(np.arange(0.5, 9.6, 0.8), mask=~off)
    for name in ("q_mv", "q_ms", "r_mv", "s_mv", "rprime_mv", "st_mv", "t_mv", "p_amplitude_mv", "qrs_pp_mv"):
        assert np.array_equal(np.isnan(getattr(m, name)), off), name
    assert np.isnan(m.p_terminal_v1) and m.flat_leads == 1
    assert of_beats(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) < 8).flat_leads == 4
    assert of_beats(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) < 7).flat_leads is None, "it never had twelve"
    assert np.isnan(of_beats(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) > 0).axis_deg), "no axis without lead I"


def test_an_early_beat_is_premature_and_wide_only_if_its_complex_is():
    early = np.r_[np.arange(0.5, 4.2, 0.8), 4.2, np.arange(5.3, 9.6, 0.8)]
    narrow = of_beats(early)
    assert (narrow.n_premature_narrow, narrow.n_premature_wide, narrow.alternating) == (1, 0, False)
    assert narrow.longest_pause_ms == 1100
    wide = of_beats(early, wide=[5])
    assert (wide.n_premature_narrow, wide.n_premature_wide, wide.alternating) == (0, 1, False)
    assert wide.regular and wide.rr_variation == 0, "the intervals around it say nothing on the rhythm beneath"
    late = np.r_[np.arange(0.5, 4.2, 0.8), 5.2, np.arange(6.0, 9.6, 0.8)]
    escape = of_beats(late, wide=[5])
    assert (escape.n_premature_narrow, escape.n_premature_wide) == (0, 0), "late: an escape beat"
    steady = of_beats(np.arange(0.5, 9.6, 0.8))
    assert (steady.n_premature_narrow, steady.n_premature_wide, steady.alternating) == (0, 0, False)


def test_bigeminy_takes_turns():
    pairs = np.sort(np.r_[np.arange(0.5, 8.6, 1.6), np.arange(1.0, 9.1, 1.6)])
    for wide in ((), range(1, 12, 2)):
        assert of_beats(pairs, wide=wide).alternating
    assert of_beats(pairs, wide=range(1, 12, 2)).n_premature_wide == 6


def test_intervals_without_a_pattern_are_irregular():
    steps = np.array([0.6, 0.95, 0.7, 0.55, 1.0, 0.65, 0.85, 0.5, 0.9, 0.75])
    m = of_beats(np.cumsum(np.r_[0.6, steps]), p=0)
    assert m.regular is False and m.rr_variation == pytest.approx(steps.std() / steps.mean(), abs=0.01)
    changes = [np.median(np.abs(steps[lag:] - steps[:-lag])) for lag in (1, 2, 3)]
    assert m.rr_irregularity == pytest.approx(min(changes) / np.median(steps), abs=0.01)
    assert not m.p_present and m.n_premature_wide == m.n_premature_narrow == 0
    says = findings(m)
    assert says["irregularly_irregular"] and says["regular"] is False and says["premature_narrow"] is None


def test_what_looks_like_p_waves_is_in_doubt_where_intervals_are_chaotic():
    chaotic = np.cumsum([0.6, 0.78, 1.24, 0.91, 0.72, 1.3, 0.84, 1.1, 0.65, 1.17, 0.98])
    for noise, at_s, expected in (
        (0.02, chaotic, True),
        (0.03, chaotic, None),
        (0.03, np.arange(0.6, 10.5, 0.97), True),
    ):
        signal, peaks = heartbeats(at_s, p=0.06, t=0, seconds=11)
        m = measure(signal + np.random.default_rng(0).normal(0, noise, signal.shape), np.ones(12, bool), peaks)
        assert m.p_present is expected and 0.9 < m.p_consistency < 0.97 and m.p_height_mv > 0.06


def test_two_beats_have_a_rate_and_no_rhythm():
    m = of_beats([0.5, 1.75], seconds=2.6)
    assert (
        m.qtc_ms == pytest.approx(m.qt_ms / 1.25 ** (1 / 3))
        and m.heart_rate == pytest.approx(48)
        and m.longest_pause_ms == 1250
        and list(m.rr_ms) == [1250]
    )
    assert m.regular is None and m.alternating is None and np.isnan(m.rr_variation) and np.isnan(m.baseline_wander_mv)
    assert np.isnan(of_beats([1], seconds=2).heart_rate) and np.isnan(of_beats([1], seconds=2).qtc_ms)
    four = of_beats([1, 2, 3, 4], seconds=5)
    assert four.regular and four.alternating is False and four.baseline_wander_mv < 0.01


@pytest.mark.parametrize("rate", [240, 300, 350])
def test_flutter_waves_between_the_complexes(rate):
    signal, peaks = heartbeats(np.arange(0.5, 9.6, 0.93), p=0, t=0)
    time = np.arange(signal.shape[1]) / 100
    signal = signal + 0.1 * np.sin(2 * np.pi * rate / 60 * time)
    m = measure(signal, np.ones(12, bool), peaks)
    assert m.atrial_rate == pytest.approx(rate, abs=4) and m.atrial_mv == pytest.approx(0.1, abs=0.02)
    assert m.atrial_share > 0.8 and m.atrial_contrast > 0.8 and findings(m)["flutter_waves"]
    only_v5 = measure(signal * (np.arange(12) == 10)[:, None], np.arange(12) == 10, peaks)
    assert only_v5.atrial_mv == pytest.approx(0.1, abs=0.02), "whatever lead there is"


def test_noise_and_wander_have_their_size():
    signal, peaks = heartbeats(np.arange(0.5, 9.6, 0.8))
    rng, everywhere = np.random.default_rng(0), np.ones(12, bool)
    assert (
        measure(signal, everywhere, peaks).noise_mv < 0.002
        and measure(signal, everywhere, peaks).baseline_wander_mv < 0.01
    )
    noisy = measure(signal + rng.normal(0, 0.05, signal.shape), everywhere, peaks)
    assert noisy.noise_mv == pytest.approx(0.05, rel=0.3)
    one = signal + rng.normal(0, 0.05, signal.shape) * (np.arange(12) == 3)[:, None]
    assert measure(one, everywhere, peaks).noise_mv < 0.002, "one noisy lead is not the recording"
    level = np.zeros(signal.shape[1])  # up and down by turns, from one beat to the next
    for i, peak in enumerate(peaks):
        level[max(peak - 35, 0) : peak + 45] = 0.2 * (i % 2)
    wandering = measure(signal + level * (np.arange(12) == 4)[:, None], everywhere, peaks)
    assert wandering.baseline_wander_mv == pytest.approx(0.1, abs=0.01), "of the worst lead"


def test_a_complex_is_told_by_its_waves():
    """2 ms a sample: depth or height, and duration, of Q, R and S, and the height of R'."""

    flat = lambda height, ms: [height] * (ms // 2)
    complex_ = lambda *waves: _complex(np.concatenate([flat(*wave) for wave in waves]))
    assert complex_((-0.2, 30), (1.0, 60), (-0.4, 40), (0.3, 20)) == (-0.2, 30, 1.0, 60, -0.4, 40, 0.3)
    assert complex_((1.0, 60), (-0.4, 40)) == (0, 0, 1.0, 60, -0.4, 40, 0)
    assert complex_((-1.2, 100)) == (-1.2, 100, 0, 0, 0, 0, 0), "QS"
    assert complex_((-0.04, 30), (0.5, 60), (-0.04, 10), (0.04, 10)) == (0, 0, 0.5, 60, 0, 0, 0), (
        "below 0.05 mV: no wave"
    )
    assert complex_((-0.05, 30), (0.5, 60)) == (-0.05, 30, 0.5, 60, 0, 0, 0)
    assert complex_((-0.1, 20), (0.01, 4), (-0.3, 20), (0.5, 60)) == (-0.3, 20, 0.5, 60, 0, 0, 0), "the deeper of two"
    assert complex_((-0.3, 20), (0.01, 4), (-0.1, 20), (0.5, 60)) == (-0.3, 20, 0.5, 60, 0, 0, 0)
    assert complex_((0.5, 60), (-0.1, 20), (0.01, 4), (-0.3, 30))[4:6] == (-0.3, 30)
    assert complex_((0.5, 60), (-0.3, 20), (0.2, 10), (-0.1, 30), (0.4, 10))[4:] == (-0.3, 20, 0.4)


@pytest.mark.parametrize(
    "consistency, height, repeats, expected",
    [
        (0.9, 0.05, False, True),
        (0.9, 0.05, True, None),  # waves that repeat may be flutter
        (0.9, 0.02, False, None),
        (0.7, 0.05, False, None),
        (0.7, 0.02, False, False),
        (0.5, 0.2, False, False),
        (0.99, 0.01, False, False),
        (float("nan"), 0.2, False, None),
    ],
)
def test_p_waves_come_back_and_stand_out(consistency, height, repeats, expected):

    assert _p_present(consistency, height, repeats) is expected


@given(
    leads=st.integers(0, 4095),
    length=st.integers(0, 1000),
    gain=st.sampled_from([0.01, 1, 10]),
    peaks=st.lists(st.integers(0, 999), max_size=20, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_no_input_breaks_measuring(leads, length, gain, peaks):
    signal = gain * prepare(simulate("normal")).signal[0][:, :length]
    mask = np.array([bool(leads >> k & 1) for k in range(12)])
    peaks = np.array(sorted(p for p in peaks if p < length), int)
    assert len(findings(measure(signal * mask[:, None], mask, peaks))) == len(finding_texts())


def test_opposites_never_both_hold():
    for condition in (*PLAIN, "af", "lbbb", "pvc", "noise"):
        says = found(condition)
        for a, b in (("p_waves", "no_p_waves"), ("regular", "irregular"), ("qrs_narrow", "qrs_120_or_more")):
            assert not (says[a] and says[b])


def test_every_finding_has_words_in_two_languages():
    texts = finding_texts()
    for key, entry in texts.items():
        assert set(entry) <= {"en", "de", "negative_en", "negative_de", "criteria_source"}, key
        assert entry["en"] and entry["de"] and entry["criteria_source"], key
        assert ("negative_en" in entry) == ("negative_de" in entry), key
        assert all(re.match(r"\S.*\S$", text) for name in ("en", "de") for text in entry[name]), key
    first = [entry["en"][0] for entry in texts.values()]
    assert len(set(first)) == len(first)


def test_a_record_is_measured_in_milliseconds():
    prepared = prepare(simulate("normal"))
    signal, mask = prepared.signal[0], prepared.mask[0]
    findings(measure(signal, mask, r_peaks(signal, mask)))  # imports
    start = time.process_time()
    for _ in range(20):
        findings(measure(signal, mask, r_peaks(signal, mask)))
    assert (time.process_time() - start) / 20 < 0.05  # about 6 ms; room for a busy machine


def auroc(scores, positive):
    order = np.argsort(np.argsort(scores)) + 1.0
    for value in np.unique(scores):  # ties share their rank
        order[scores == value] = order[scores == value].mean()
    n = positive.sum()
    return (order[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())


@pytest.fixture(scope="module")
def ptb_xl():
    """Findings and statements of up to 60 records for each statement of interest and 150 others, folds 1 to 8."""
    import pandas as pd

    table = pd.read_csv(Path(DATA, "ptb-xl", "ptbxl_database.csv"))
    table = table[table.has_signal.astype(bool) & (table.strat_fold <= 8)]
    codes = table.scp_codes.map(lambda text: set(ast.literal_eval(text)))
    chosen = set(table.sample(150, random_state=0).index)
    for statement in ("1AVB", "AFIB", "PVC", "CLBBB", "CRBBB", "LAFB"):
        chosen |= set([i for i in codes.index if statement in codes[i]][:60])
    result = []
    for i in sorted(chosen):
        prepared = prepare(read_ecg(str(Path(DATA, "ptb-xl", table.filename_lr[i]))))
        signal, mask = prepared.signal[0], prepared.mask[0]
        result.append((findings(measure(signal, mask, r_peaks(signal, mask))), codes[i]))
    return result


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(
    ("key", "statements", "least"),
    [
        ("pr_above_200", {"1AVB"}, 0.82),
        ("no_p_waves", {"AFIB"}, 0.93),
        ("irregularly_irregular", {"AFIB"}, 0.90),
        ("premature_wide", {"PVC"}, 0.87),
        ("qrs_120_or_more", {"CLBBB", "CRBBB"}, 0.92),
        ("axis_left", {"LAFB"}, 0.85),
    ],
)
def test_findings_agree_with_the_cardiologists_of_ptb_xl(ptb_xl, key, statements, least):
    said = np.array([0.5 if says[key] is None else float(says[key]) for says, _ in ptb_xl])
    positive = np.array([bool(codes & statements) for _, codes in ptb_xl])
    assert auroc(said, positive) >= least


def test_features_have_a_name_each_and_do_not_know_the_patient():
    signal = prepare(simulate("lbbb", seed=2)).signal[0]
    mask = np.ones(12, bool)
    measurement = measure(signal, mask, r_peaks(signal, mask))
    values = dict(zip(feature_names(), features(measurement), strict=True))
    assert values["qrs_ms"] == pytest.approx(measurement.qrs_ms) and values["st_mv:V2"] == pytest.approx(
        measurement.st_mv[7]
    )
    assert values["finding:qrs_120_or_more"] == 1 and values["beats"] == measurement.beats
    assert {f"finding:{key}" for key in findings(measurement)} <= set(values)
    nothing = measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))
    assert features(nothing).shape == (len(values),) and np.isnan(features(nothing)).mean() > 0.8
