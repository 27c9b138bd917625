"""The truth of a simulated ECG: its times and numbers are in the signal, its concepts in the knowledge base."""

import numpy as np
import pytest

from ecgclip.ecg import LEADS
from ecgclip.knowledge import KnowledgeBase
from ecgclip.measure import find_beats, measure_windows
from ecgclip.prepare import prepare
from ecgclip.simulate import CONDITIONS, simulate
from ecgclip.simulate.concepts import BROADER

KB = KnowledgeBase.load()
WITHOUT_BEATS = ("asystole", "ventricular-fibrillation")
MEASURED = (
    "normal sinus-tachycardia first-degree-av-block wpw lafb bifascicular-block trifascicular-block long-qt short-qt "
    "hyperkalemia hypocalcemia posterior-stemi old-anterior-infarction old-inferior-infarction anterior-ischemia "
    "wellens-b de-winter rvh rae left-axis right-axis pulmonary-embolism ectopic-atrial-rhythm arm-lead-reversal"
)


def truth(condition, seed=0, **options):
    return simulate(condition, seed, sampling_rate=100, **options).metadata["truth"]


def measured(ecg):
    prepared = prepare(ecg)
    return measure_windows(prepared, find_beats(prepared))[0]


def after_beat(values, kind):
    """The R-R intervals that begin with a beat of that class."""
    classes = values["beat_classes"][:-1]
    return np.diff(values["r_peaks_s"])[[of == kind for of in classes]]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_concepts_are_those_of_the_knowledge_base_with_all_broader_ones(condition):
    for seed in range(2):
        found = truth(condition, seed)
        holds, unknown = set(found["concepts"]), set(found["unknown"])
        assert holds | unknown <= set(KB.concepts)
        assert not holds & unknown
        assert not {"normal-ecg", "abnormal-ecg"} <= holds
        assert all(set(KB.concepts[id].broader) <= holds for id in holds)
        assert all(set(KB.concepts[id].broader) <= holds | unknown for id in unknown)


def test_the_simulator_knows_the_broader_concepts_of_the_knowledge_base():
    assert {id: sorted(broader) for id, broader in BROADER.items()} == {
        id: sorted(KB.concepts[id].broader) for id in BROADER
    }


def test_only_a_normal_ecg_is_called_normal():
    for condition in CONDITIONS:
        concepts = truth(condition, 1, seconds=5)["concepts"]
        assert ("normal-ecg" in concepts) == (condition == "normal")
    assert truth("normal", 1)["concepts"] == ["normal-ecg", "sinus-rhythm"]


@pytest.mark.parametrize(
    ("condition", "concept"),
    [
        ("anterior-stemi", "acute-myocardial-infarction"),
        ("two-to-one-av-block", "av-block"),
        ("two-to-one-av-block", "sinus-rhythm"),
        ("lafb", "left-axis-deviation"),
        ("long-qt", "prolonged-qt-interval"),
        ("wpw", "short-pr-interval"),
        ("rapid-af", "tachycardia"),
        ("left-main-ischemia", "st-depression"),
    ],
)
def test_what_a_condition_means_holds(condition, concept):
    for seed in range(6):
        found = truth(condition, seed)
        assert concept in found["concepts"] + (found["unknown"] if concept == "short-pr-interval" else [])


def test_a_short_record_without_the_event_does_not_claim_it():
    claims = {}
    for seed in range(12):
        found = truth("pvc-left", seed, seconds=2)
        claims["wide" in found["beat_classes"]] = "premature-ventricular-contraction" in found["concepts"]
    assert claims == {True: True, False: False}


@pytest.mark.parametrize("condition", MEASURED.split())
def test_the_numbers_are_what_is_measured(condition):
    for seed in range(2):
        ecg = simulate(condition, seed)
        found, values = measured(ecg), ecg.metadata["truth"]
        assert found.heart_rate == pytest.approx(values["heart_rate"], abs=2)
        assert found.pr_ms == pytest.approx(values["pr_ms"], abs=25)
        assert found.qrs_ms == pytest.approx(values["qrs_ms"], abs=20)
        assert found.qt_ms == pytest.approx(values["qt_ms"], abs=45)
        np.testing.assert_allclose(found.st_mv, [values["st_mv"][lead] for lead in LEADS], atol=0.09)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_each_beat_has_an_onset_before_its_peak_and_a_class(condition):
    values = truth(condition, 2)
    assert len(values["r_peaks_s"]) == len(values["qrs_onsets_s"]) == len(values["beat_classes"])
    assert bool(values["r_peaks_s"]) == (condition not in WITHOUT_BEATS)
    assert all(0 < peak - onset < 0.3 for peak, onset in zip(values["r_peaks_s"], values["qrs_onsets_s"], strict=True))
    assert set(values["beat_classes"]) <= {"usual", "early", "wide", "escape", "paced"}
    assert len(values["p_onsets_s"]) == len(values["p_conducted"])


@pytest.mark.parametrize("condition", ["two-to-one-av-block", "mobitz-2", "complete-av-block-narrow"])
def test_p_waves_that_are_not_conducted_are_in_the_signal(condition):
    ecg = simulate(condition, 1, seconds=30)
    values, fs = ecg.metadata["truth"], ecg.sampling_rate
    lost = [p for p, conducted in zip(values["p_onsets_s"], values["p_conducted"], strict=True) if not conducted]
    assert len(lost) > 5
    starts = [round(p * fs) for p in lost if 0.1 < p < 29.5]
    p = np.median([ecg.signal[1, i - 30 : i + 80] - ecg.signal[1, i - 10 : i].mean() for i in starts], axis=0)
    assert p[35:75].max() > 0.06
    assert abs(p[:25]).max() < 0.05


def test_pr_grows_until_a_beat_is_dropped_in_mobitz_1_and_stays_in_mobitz_2():
    for condition, grows in (("mobitz-1", True), ("mobitz-2", False)):
        values = truth(condition, 1, seconds=30)
        onsets = np.array(values["qrs_onsets_s"])
        pr = [
            onsets[onsets > p][0] - p if conducted and (onsets > p).any() else None
            for p, conducted in zip(values["p_onsets_s"], values["p_conducted"], strict=True)
        ]
        steps = [b - a for a, b in zip(pr, pr[1:], strict=False) if a is not None and b is not None]
        assert len(steps) > 5
        assert (min(steps) > 0.01) if grows else (max(map(abs, steps)) < 0.01)
        assert values["atrial_rate"] > values["heart_rate"] + 5


def test_patterns_of_ectopic_beats():
    def word(condition):
        return "".join(of[0] for of in truth(condition, 3, seconds=20)["beat_classes"])

    assert "uu" not in word("ventricular-bigeminy")
    assert "ww" not in word("ventricular-bigeminy")
    assert {len(run) for run in word("ventricular-trigeminy").strip("u").split("w")[1:-1]} == {2}
    assert {len(run) for run in word("ventricular-couplet").strip("w").split("u") if run} == {2}
    assert min(len(run) for run in word("nonsustained-vt").strip("w").split("u") if run) >= 3
    assert "e" in word("atrial-bigeminy")
    assert "ee" not in word("atrial-bigeminy")


def test_a_pause_is_compensatory_after_a_ventricular_beat_only():
    for seed in range(4):
        cycle = 60 / truth("pac", seed)["atrial_rate"]
        assert after_beat(truth("pvc-left", seed, seconds=20), "wide").mean() > 1.2 * cycle
        assert 0.9 * cycle < after_beat(truth("pac", seed, seconds=20), "early").mean() < 1.2 * cycle


def test_a_sinoatrial_pause_is_two_cycles_and_an_arrest_is_longer():
    for seed in range(4):
        values = truth("sinoatrial-block", seed, seconds=30)
        assert np.diff(values["p_onsets_s"]).max() == pytest.approx(120 / values["atrial_rate"], rel=0.12)
        assert np.diff(truth("sinus-arrest", seed, seconds=30)["r_peaks_s"]).max() > 1.4


@pytest.mark.parametrize(
    ("condition", "lead"), [("paced", "V3"), ("failure-to-capture", "V3"), ("atrial-pacing", "II")]
)
def test_spikes_are_where_the_truth_says(condition, lead):
    ecg = simulate(condition, 1)
    steps = np.abs(np.diff(ecg.signal[LEADS.index(lead)]))
    values, fs = ecg.metadata["truth"], ecg.sampling_rate
    spikes = [round(at * fs) for at in values["spikes_s"] if 0.01 < at < 9.98]
    assert len(spikes) > 8
    assert all(steps[i - 2 : i + 2].max() > 0.2 for i in spikes)
    if condition == "failure-to-capture":
        assert len(values["r_peaks_s"]) < len(spikes)


def test_dual_chamber_pacing_has_two_spikes_a_beat():
    values = truth("dual-chamber-pacing", 1)
    assert len(values["spikes_s"]) == pytest.approx(2 * len(values["r_peaks_s"]), abs=2)


@pytest.mark.parametrize(
    ("condition", "number", "sign"),
    [("hyperkalemia", "qrs_ms", 1), ("long-qt", "qt_ms", 1), ("short-qt", "qt_ms", -1), ("hypothermia", "qt_ms", 1)],
)
def test_a_severe_case_is_further_from_normal(condition, number, sign):
    cases = [truth(condition, seed) for seed in range(20)]
    severity = [case["severity"] for case in cases]
    size = [
        case[number] / (60 / case["heart_rate"]) ** (1 / 3) if number == "qt_ms" else case[number] for case in cases
    ]
    assert sign * np.corrcoef(severity, size)[0, 1] > 0.6


def test_exchanged_electrodes_show_the_same_heart():
    usual, arms, leg = (truth(c, 4)["t_mv"] for c in ("normal", "arm-lead-reversal", "leg-lead-reversal"))
    assert (arms["I"], arms["II"], arms["aVR"], arms["V3"]) == pytest.approx(
        (-usual["I"], usual["III"], usual["aVL"], usual["V3"]), abs=1e-3
    )
    assert (leg["I"], leg["III"], leg["aVF"]) == pytest.approx((usual["II"], -usual["III"], usual["aVL"]), abs=1e-3)


def test_the_signal_without_beats_has_none():
    assert truth("asystole")["heart_rate"] is None
    assert np.ptp(simulate("asystole", 1).signal) < 0.6
    assert np.abs(np.diff(simulate("ventricular-fibrillation", 1).signal)).max() < 0.15
