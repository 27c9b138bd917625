"""Findings: present, absent or open by the guidelines' limits, and their words."""

import ast
import os
import re
from pathlib import Path

import numpy as np
import pytest
from ecgs import PLAIN, findings_of, measure_simulated

from ecgclip.ecg import LEADS
from ecgclip.io.read import read_ecg
from ecgclip.measure.guideline import finding_texts, findings
from ecgclip.measure.measurement import measure
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")


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
        says = findings_of(condition, seed)
        assert {key: says[key] for key in present.split()} == dict.fromkeys(present.split(), True)
        wrong = [key for key in absent.split() if says[key]]
        assert not wrong


def test_thresholds_of_st_elevation_depend_on_age_and_sex():
    m, _ = measure_simulated("normal")
    st_mv = np.zeros(12)
    st_mv[[7, 8]] = 0.21  # V2, V3
    m = type(m)(**{**vars(m), "st_mv": st_mv})
    key = "st_elevation:anteroseptal"
    assert findings(m, age=60, sex="female")[key] is True
    assert findings(m, age=30, sex="male")[key] is False
    assert findings(m, age=60, sex="male")[key] is None  # too close to 0.2 mV


def test_one_lead_in_a_territory_is_not_a_finding():
    m, _ = measure_simulated("normal")
    st_mv = np.where(np.array(LEADS) == "III", 0.3, 0.0)
    assert findings(type(m)(**{**vars(m), "st_mv": st_mv}))["st_elevation:inferior"] is False


def test_absent_leads_leave_their_findings_open():
    m, _ = measure_simulated("inferior-stemi", mask=np.arange(12) < 1)
    says = findings(m)
    assert says["rate_above_100"] is False
    for key in ("st_elevation:inferior", "t_inversion:anterior", "axis_left", "dominant_r_v1", "high_voltage_chest"):
        assert says[key] is None, key
    assert np.isnan(m.st_mv[1:]).all()
    assert np.isfinite(m.st_mv[0])


def test_nothing_to_measure_gives_the_same_keys_all_open():
    m = measure(np.zeros((12, 1000), np.float32), np.zeros(12, bool), np.empty(0, int))
    assert set(findings(m).values()) == {None}
    assert set(findings(m)) == set(finding_texts())


LIMB_LEADS = ",".join(LEADS[:6])
FLUTTER = "atrial_share=0.9 atrial_contrast=0.5 atrial_mv=0.1"


def numbers(text):
    """A measurement with the given values only, such as "qrs_ms=130 r_mv:I,V6=0.4 p_present=True rr_ms=800"."""
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
        ("low_voltage_all", f"qrs_pp_mv:{LIMB_LEADS}=0.4 qrs_pp_mv:V1,V2,V3,V4,V5=0.6", "qrs_pp_mv:V6", 1.2, 1, 0.9),
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
        (f"{FLUTTER} p_present=True heart_rate=140 atrial_rate=290", "flutter_waves", None),
        (f"{FLUTTER} p_present=True heart_rate=75 atrial_rate=290", "flutter_waves", True),
        (f"{FLUTTER} heart_rate=145 atrial_rate=290", "flutter_waves", True),
        (f"{FLUTTER} atrial_share=0.1 p_present=True heart_rate=145 atrial_rate=290", "flutter_waves", False),
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


def test_opposites_never_both_hold():
    for condition in (*PLAIN, "af", "lbbb", "pvc", "noise"):
        says = findings_of(condition)
        for a, b in (("p_waves", "no_p_waves"), ("regular", "irregular"), ("qrs_narrow", "qrs_120_or_more")):
            assert not (says[a] and says[b])


def test_every_finding_has_words_in_two_languages():
    texts = finding_texts()
    for key, entry in texts.items():
        assert set(entry) <= {"en", "de", "negative_en", "negative_de", "criteria_source"}, key
        assert entry["en"], key
        assert entry["de"], key
        assert entry["criteria_source"], key
        assert ("negative_en" in entry) == ("negative_de" in entry), key
        assert all(re.match(r"\S.*\S$", text) for name in ("en", "de") for text in entry[name]), key
    first = [entry["en"][0] for entry in texts.values()]
    assert len(set(first)) == len(first)


# --- real records


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
    ("key", "statements", "min_auroc"),
    [
        ("pr_above_200", {"1AVB"}, 0.82),
        ("no_p_waves", {"AFIB"}, 0.93),
        ("irregularly_irregular", {"AFIB"}, 0.90),
        ("premature_wide", {"PVC"}, 0.87),
        ("qrs_120_or_more", {"CLBBB", "CRBBB"}, 0.92),
        ("axis_left", {"LAFB"}, 0.85),
    ],
)
def test_findings_agree_with_the_cardiologists_of_ptb_xl(ptb_xl, key, statements, min_auroc):
    said = np.array([0.5 if says[key] is None else float(says[key]) for says, _ in ptb_xl])
    positive = np.array([bool(codes & statements) for _, codes in ptb_xl])
    assert auroc(said, positive) >= min_auroc
