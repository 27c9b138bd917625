"""Simulated ECGs: what their names and their truth promise is in the signal."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.simulate import CONDITIONS, simulate, write_record

SINUS = ["normal", "sinus-tachycardia", "sinus-bradycardia", "first-degree-av-block", "lbbb", "rbbb", "lvh"]
SEEDS = range(6)
# The sum of |mV|, of |its differences| and the largest value in V2 of seed 3, 5 s at 250 Hz: users have such records.
SIGNALS = {
    "normal": (1304.19, 300.676, 0.53620),
    "af": (1648.66, 364.638, 0.55103),
    "flutter": (1675.33, 342.519, 0.58281),
    "sinus-tachycardia": (1903.19, 453.186, 0.52723),
    "sinus-bradycardia": (966.90, 238.734, 0.54373),
    "first-degree-av-block": (1240.07, 272.951, 0.52623),
    "complete-av-block": (883.13, 209.288, 0.53627),
    "lbbb": (2827.70, 315.377, 0.81695),
    "rbbb": (1271.87, 288.158, 0.36754),
    "pvc": (1589.81, 294.961, 0.56050),
    "paced": (2385.90, 304.565, 0.61378),
    "lvh": (1866.41, 365.352, 0.33028),
    "anterior-stemi": (2040.18, 335.429, 0.91208),
    "inferior-stemi": (1625.50, 272.979, 0.37638),
    "lateral-stemi": (2049.09, 311.871, 0.31166),
    "noise": (4740.63, 1121.483, 0.95928),
    "flat-lead": (1136.49, 271.422, 0.00000),
}
FIRST = list(SIGNALS)  # the conditions of version 0.1


def lead(ecg, name):
    return ecg.signal[LEADS.index(name)]


def beats(ecg, before=0.35, after=0.6):
    """The mean of all whole beats around their true peaks, (12, samples), and the position of the peak in it."""
    fs = ecg.sampling_rate
    n, m = round(before * fs), round(after * fs)
    peaks = [round(r * fs) for r in ecg.metadata["truth"]["r_peaks_s"]]
    whole = [ecg.signal[:, p - n : p + m] for p in peaks if p >= n and p + m <= ecg.signal.shape[1]]
    return np.mean(whole, axis=0), n


def rr(ecg):
    return np.diff(ecg.metadata["truth"]["r_peaks_s"])


@pytest.mark.parametrize("condition", CONDITIONS)
def test_limb_leads_obey_einthoven_and_goldberger(condition):
    ecg = simulate(condition, seed=3)
    one, two = lead(ecg, "I"), lead(ecg, "II")
    np.testing.assert_array_equal(lead(ecg, "III"), two - one)
    np.testing.assert_array_equal(lead(ecg, "aVR"), -(one + two) / 2)
    np.testing.assert_array_equal(lead(ecg, "aVL"), one - two / 2)
    np.testing.assert_array_equal(lead(ecg, "aVF"), two - one / 2)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_seed_gives_the_same_signal_and_another_seed_another(condition):
    assert np.array_equal(simulate(condition, seed=7).signal, simulate(condition, seed=7).signal)
    assert not np.allclose(simulate(condition, seed=7).signal, simulate(condition, seed=8).signal)


@pytest.mark.parametrize(("condition", "values"), SIGNALS.items())
def test_a_seed_is_the_same_person_in_every_version(condition, values):
    mv = simulate(condition, 3, seconds=5, sampling_rate=250).signal.astype(float)
    assert (np.abs(mv).sum(), np.abs(np.diff(mv)).sum()) == pytest.approx(values[:2], rel=1e-5)
    assert mv[LEADS.index("V2")].max() == pytest.approx(values[2], abs=1e-5)


@pytest.mark.parametrize("lead_of", [("anterior-stemi", "V3"), ("inferior-stemi", "III"), ("lateral-stemi", "V5")])
def test_the_st_segment_of_an_infarction_is_raised_from_the_j_point_on(lead_of):
    condition, lead = lead_of
    for seed in SEEDS:
        truth = simulate(condition, seed).metadata["truth"]
        assert 0.7 < truth["j_mv"][lead] / truth["st_mv"][lead] < 1


@pytest.mark.parametrize("condition", FIRST[:4])
def test_a_record_rereads_as_wfdb_with_its_age_sex_and_origin(condition, tmp_path):
    ecg = simulate(condition, seed=2)
    header = write_record(ecg, tmp_path / "made" / condition)
    record = wfdb.rdrecord(header.removesuffix(".hea"))
    assert (record.sig_name, record.fs, record.fmt, record.units) == (list(LEADS), 500, ["16"] * 12, ["mV"] * 12)
    np.testing.assert_allclose(record.p_signal.T, ecg.signal, atol=6e-4)
    assert f"Simulated: {condition}, seed 2" in record.comments
    again = read_ecg(header)
    assert (again.metadata["age"], again.metadata["sex"]) == (ecg.metadata["age"], ecg.metadata["sex"])
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == [f"{condition}.dat", f"{condition}.hea"]


def test_writing_what_was_read_keeps_its_comments_once(tmp_path):
    first = write_record(simulate("af"), tmp_path / "a.hea")
    second = write_record(read_ecg(first), str(tmp_path / "b"))
    assert wfdb.rdheader(first[:-4]).comments == wfdb.rdheader(second[:-4]).comments


def test_a_record_that_cannot_be_written_says_which(tmp_path):
    with pytest.raises(EcgclipError, match="a b"):
        write_record(simulate("normal"), tmp_path / "a b")
    (tmp_path / "file").write_text("")
    with pytest.raises(EcgclipError, match="file"):
        write_record(simulate("normal"), tmp_path / "file" / "record")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_page_lists_all_conditions():
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    assert [name for name in CONDITIONS if f"`{name}`" not in page] == []


def test_an_unknown_condition_names_those_that_are_alike():
    with pytest.raises(EcgclipError, match="high-lateral-stemi.*--list") as error:
        simulate("lateral-stem")
    assert "lateral-stemi" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seconds", 1), ("seconds", 1e9), ("seconds", float("nan")), ("seconds", "10")]
    + [("sampling_rate", 0), ("sampling_rate", 5000), ("seed", -1), ("seed", 1.5)],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(EcgclipError, match=name):
        simulate("normal", **{name: value})


LENGTHS = [(2, 100), (2.5, 333.3), (30, 250), (10, 1000)]


@pytest.mark.parametrize(("condition", "i"), [(condition, i % 4) for i, condition in enumerate(CONDITIONS)])
def test_any_length_and_sampling_rate(condition, i):
    seconds, rate = LENGTHS[i]
    ecg = simulate(condition, seed=1, seconds=seconds, sampling_rate=rate)
    assert ecg.signal.shape[0] == 12
    assert ecg.signal.dtype == np.float32
    assert 0 <= ecg.signal.shape[1] - seconds * rate < 1
    assert np.isfinite(ecg.signal).all()
    assert np.abs(ecg.signal).max() < 6
    peaks = ecg.metadata["truth"]["r_peaks_s"]
    assert peaks == sorted(peaks)
    assert all(0 <= peak < seconds for peak in peaks)


def test_a_seed_is_the_same_person_at_every_sampling_rate():
    fast, slow = simulate("lbbb", seed=4, sampling_rate=1000), simulate("lbbb", seed=4, sampling_rate=100)
    assert fast.metadata == slow.metadata
    np.testing.assert_allclose(beats(fast)[0][:, ::10], beats(slow)[0], atol=0.12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("condition", "low", "high"),
    [
        ("normal", 60, 90),
        ("af", 70, 125),
        ("sinus-tachycardia", 105, 140),
        ("sinus-bradycardia", 38, 52),
        ("complete-av-block", 33, 41),
        ("paced", 64, 66),
    ],
)
def test_rate(condition, low, high, seed):
    ecg = simulate(condition, seed, seconds=20)
    assert low < ecg.metadata["truth"]["heart_rate"] < high
    assert ecg.metadata["truth"]["heart_rate"] == pytest.approx(60 / rr(ecg).mean(), abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_rhythm_is_regular_where_it_should_be(seed):
    def variation(condition):
        intervals = rr(simulate(condition, seed, seconds=20))
        return intervals.std() / intervals.mean()

    assert 0.005 < variation("normal") < 0.06
    assert all(variation(c) < 0.01 for c in ("paced", "complete-av-block", "flutter"))
    assert variation("af") > 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_premature_beats_are_early_wide_and_followed_by_a_compensatory_pause(seed):
    ecg = simulate("pvc", seed)
    intervals = rr(ecg)
    early = np.flatnonzero(intervals < 0.75 * np.median(intervals))
    assert 1 <= len(early) <= 4
    for i in early[early < len(intervals) - 1]:
        assert intervals[i + 1] > 1.2 * np.median(intervals)
        assert intervals[i] + intervals[i + 1] == pytest.approx(2 * np.median(intervals), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_flutter_waves_are_an_even_multiple_of_the_ventricular_rate(seed):
    ecg = simulate("flutter", seed, seconds=20)
    power = np.abs(np.fft.rfft(lead(ecg, "III") * np.hanning(ecg.signal.shape[1])))
    pace = 60 * np.fft.rfftfreq(ecg.signal.shape[1], 1 / ecg.sampling_rate)
    band = (pace > 240) & (pace < 350)
    atrial = pace[band][power[band].argmax()]
    ratio = atrial / ecg.metadata["truth"]["heart_rate"]
    assert min(abs(ratio - 2), abs(ratio - 4)) < 0.1


def test_p_waves_precede_the_qrs_only_where_the_truth_has_a_pr_interval():
    for condition in FIRST:
        pr = simulate(condition).metadata["truth"]["pr_ms"]
        assert (pr is None) == (condition in {"af", "flutter", "complete-av-block", "paced"}), condition
    ecg = simulate("first-degree-av-block", seed=1)
    beat, peak = beats(ecg, before=0.45)
    fs, start = ecg.sampling_rate, peak - round((ecg.metadata["truth"]["pr_ms"] + 36) / 1000 * ecg.sampling_rate)
    p = beat[1, start : start + round(0.12 * fs)]
    assert p.max() - np.median(beat[1, start - 15 : start]) > 0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_intervals_are_what_the_diagnosis_says(seed):
    truth = {c: simulate(c, seed).metadata["truth"] for c in FIRST}
    assert 140 <= truth["normal"]["pr_ms"] <= 185
    assert 80 <= truth["normal"]["qrs_ms"] <= 100
    assert 220 <= truth["first-degree-av-block"]["pr_ms"] <= 300
    for wide, low in {"lbbb": 140, "rbbb": 125, "paced": 145}.items():
        assert low <= truth[wide]["qrs_ms"] <= 175
    qtc = truth["normal"]["qt_ms"] / (60 / truth["normal"]["heart_rate"]) ** (1 / 3)
    assert 380 < qtc < 440
    assert 20 < truth["normal"]["axis_deg"] < 85
    assert truth["paced"]["axis_deg"] < -30


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("condition", [*SINUS, "anterior-stemi", "inferior-stemi", "lateral-stemi"])
def test_st_level_of_the_truth_is_in_the_signal(condition, seed):
    ecg = simulate(condition, seed, seconds=30)
    truth, (beat, peak) = ecg.metadata["truth"], beats(ecg)
    fs = ecg.sampling_rate
    # The QRS onset, found in the signal: the first clear slope in any lead within 90 ms before the peak.
    slope = np.abs(np.gradient(beat, axis=1)).max(0) * fs / 1000
    onset = peak - 45 + np.argmax(slope[peak - 45 :] > 0.009)
    at = onset + round((truth["qrs_ms"] + 60) / 1000 * fs)
    st = beat[:, at - 1 : at + 2].mean(1) - beat[:, onset - 10 : onset - 4].mean(1)
    np.testing.assert_allclose(st, [truth["st_mv"][name] for name in LEADS], atol=0.06)


@pytest.mark.parametrize("seed", SEEDS)
def test_infarcts_raise_st_in_their_territory_and_lower_it_across(seed):
    def st(condition):
        return simulate(condition, seed).metadata["truth"]["st_mv"]

    front, below, side = st("anterior-stemi"), st("inferior-stemi"), st("lateral-stemi")
    assert min(front[v] for v in ("V2", "V3", "V4")) >= 0.2
    assert front["III"] < -0.03
    assert min(below[v] for v in ("II", "III", "aVF")) >= 0.1
    assert below["III"] > below["II"]
    assert max(below["aVL"], below["I"]) < -0.03
    assert min(side[v] for v in ("I", "aVL", "V5", "V6")) >= 0.1
    assert side["III"] < -0.05
    assert max(abs(v) for v in st("normal").values()) < 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_voltages_and_shapes_meet_the_criteria(seed):
    def extremes(condition, name):
        beat, peak = beats(simulate(condition, seed))
        part = beat[LEADS.index(name), peak - 40 : peak + 50] - np.median(
            beat[LEADS.index(name), peak - 60 : peak - 45]
        )
        return part.max(), -part.min()

    def sokolow(condition):
        return extremes(condition, "V1")[1] + max(extremes(condition, v)[0] for v in ("V5", "V6"))

    assert sokolow("normal") < 3.5 < sokolow("lvh")
    (r1, s1), (r6, s6) = extremes("normal", "V1"), extremes("normal", "V6")
    assert s1 > 2 * r1
    assert r6 > 3 * s6
    assert extremes("rbbb", "V1")[0] > 0.5
    assert extremes("rbbb", "I")[1] > 0.15
    assert extremes("lbbb", "V1")[1] > 1
    assert extremes("lbbb", "V6")[1] < 0.1


def test_the_flat_lead_is_flat_and_noise_is_noisy():
    ecg = simulate("flat-lead", seed=5)
    assert not lead(ecg, "V2").any()
    assert lead(ecg, "V3").std() > 0.1
    clean, noisy = simulate("normal", seed=5), simulate("noise", seed=5)
    assert clean.metadata["truth"]["j_mv"] == noisy.metadata["truth"]["j_mv"]
    assert np.abs(np.diff(noisy.signal[6:])).mean() > 4 * np.abs(np.diff(clean.signal[6:])).mean()


def test_af_and_flutter_have_no_p_waves_and_pacing_has_spikes():
    spikes = np.abs(np.diff(lead(simulate("paced", seed=1), "II"))) > 0.4
    ecg = simulate("paced", seed=1)
    assert spikes.sum() >= 2 * (len(ecg.metadata["truth"]["r_peaks_s"]) - 1)
    beat, peak = beats(simulate("af", seed=1, seconds=60))
    assert np.ptp(beat[1, peak - 125 : peak - 30]) < 0.06  # what is not locked to the QRS averages out
