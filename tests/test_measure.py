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

from ecgclip.beats import find_beats, r_peaks
from ecgclip.ecg import ECG, LEADS, read_ecg
from ecgclip.explain import summary
from ecgclip.measure import feature_names, features, finding_texts, findings, measure, measure_windows
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
