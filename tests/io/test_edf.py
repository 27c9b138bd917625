"""EDF, EDF+ and BDF: the samples at their times, whatever recorders write into the header."""

import resource
import warnings

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.io import read_ecg

FIXED = {"patient": 80, "recording": 80, "date": 8, "time": 8, "size": 8, "reserved": 44, "records": 8, "duration": 8}
WIDTHS = {"label": 16, "sensor": 80, "unit": 8, "pmin": 8, "pmax": 8, "dmin": 8, "dmax": 8, "filters": 80, "n": 8}
SIGNAL = {"label": "II", "unit": "uV", "pmin": "-3200", "pmax": "3200", "dmin": "-3200", "dmax": "3200"}
PLUS = {"reserved": "EDF+C", "patient": "X X X X", "recording": "Startdate X X X X"}


def waves(records=4, n=100, seed=0):
    """Digital samples (data records, samples): noise as high as an ECG."""
    return np.random.default_rng(seed).integers(-500, 500, (records, n))


def stamps(onsets, texts=(), size=30):
    """An annotation signal; the texts stand in the first data record."""
    rows = [f"+{onset:g}\x14\x14\0".encode() for onset in onsets]
    rows[0] += b"".join(b"+%s\x14%s\x14\0" % (str(onset).encode(), text.encode()) for onset, text in texts)
    return {"label": "EDF Annotations", "raw": [row.ljust(2 * size, b"\0") for row in rows]}


def write(path, *signals, begin=b"0       ", width=2, cut=None, more=b"", **fixed):
    """A file of signals: each a dict with `samples` (data records, samples) or `raw`, and header fields."""
    signals = [{**SIGNAL, **signal} for signal in signals or [{"samples": waves()}]]
    records = len(signals[0].get("raw", signals[0].get("samples")))
    for signal in signals:
        if "raw" not in signal:
            digital = np.asarray(signal["samples"]).astype("<i4")
            pieces = np.ascontiguousarray(digital).view(np.uint8).reshape(*digital.shape, 4)[..., :width]
            signal["raw"] = [row.tobytes() for row in pieces]
        signal.setdefault("n", len(signal["raw"][0]) // width)
    fixed = {"date": "02.03.20", "time": "10.20.30", "records": records, "duration": 1, **fixed}
    text = "".join(str(fixed.get(name, "")).ljust(size) for name, size in FIXED.items())
    text += str(fixed.get("signals", len(signals))).ljust(4)
    text += "".join(str(s.get(name, "")).ljust(size) for name, size in WIDTHS.items() for s in signals)
    data = b"".join(s["raw"][i] for i in range(records) for s in signals)
    content = begin + text.encode("latin-1") + b" " * 32 * len(signals) + data[:cut] + more
    path.write_bytes(content)
    return path


@pytest.fixture
def edf(tmp_path):
    """edf(*signals, **fields) → the ECG in a file of these."""
    return lambda *signals, **fields: read_ecg(write(tmp_path / "r.edf", *signals, **fields))


# --- samples ----------------------------------------------------------------------------------------------------------


def test_samples_are_scaled_by_the_ranges_of_their_signal(edf):
    digital = waves()
    ecg = edf({"samples": digital}, {"label": "V1", "samples": digital, "unit": "mV", "pmin": "0", "pmax": "6.4"})
    assert (ecg.leads, ecg.sampling_rate) == (("II", "V1"), 100)
    np.testing.assert_allclose(ecg.signal[0], digital.ravel() / 1000, atol=1e-6)
    np.testing.assert_allclose(ecg.signal[1], digital.ravel() / 1000 + 3.2, atol=1e-6)


def test_bdf_has_24_bits_with_a_sign(edf):
    digital = waves() * 1000
    ecg = edf({"samples": digital, "dmin": "-3200000", "dmax": "3200000"}, begin=b"\xffBIOSEMI", width=3)
    np.testing.assert_allclose(ecg.signal[0], digital.ravel() / 1e6, atol=1e-6)


def test_a_data_record_need_not_last_a_second_and_leads_may_differ_in_rate(edf):
    fast, slow = waves(n=200), waves(n=100)
    ecg = edf(
        {"samples": fast},
        {"label": "ECG I", "samples": slow},
        {"label": "Resp", "n": 0, "raw": [b""] * 4},
        duration="0,8",
    )
    assert (ecg.leads, ecg.sampling_rate, ecg.signal.shape) == (("II", "I"), 250, (2, 800))
    np.testing.assert_allclose(ecg.signal[1, ::2], slow.ravel() / 1000, atol=1e-6)


def test_what_is_outside_the_digital_range_is_missing(edf):
    digital = waves()
    digital[1, 10:20] = -32768
    assert (np.isnan(edf({"samples": digital}).signal[0]) == (digital.ravel() < -3200)).all()


def test_gaps_of_a_discontinuous_file_are_missing(edf):
    digital = waves()
    ecg = edf({"samples": digital}, stamps([0.5, 1.5, 4.5, 5.5]), **{**PLUS, "reserved": "EDF+D"})
    assert ecg.signal.shape == (1, 600)
    assert np.isnan(ecg.signal[0, 200:400]).all()
    np.testing.assert_allclose(ecg.signal[0, 400:], digital[2:].ravel() / 1000, atol=1e-6)


@pytest.mark.parametrize("said", ["X Dr. Jane CANARY Sony", "X X Jane CANARY Sony", "X X"])
def test_the_device_is_read_where_it_is_sure_which_words_are_it(edf, said):
    ecg = edf({"samples": waves()}, stamps(range(4)), **{**PLUS, "recording": f"Startdate 02-MAR-2002 {said}"})
    assert "device" not in ecg.metadata and "CANARY" not in str(ecg.metadata)


@pytest.mark.parametrize("onsets", [[0, 1, 1.2, 3], [3, 2, 1, 0]])
def test_time_stamps_that_cannot_be_are_told_and_not_followed(edf, onsets):
    with pytest.warns(UserWarning, match="assumed no gaps"):
        ecg = edf({"samples": waves()}, stamps(onsets), **{**PLUS, "reserved": "EDF+D"})
    assert ecg.signal.shape == (1, 400) and not np.isnan(ecg.signal).any()


def test_a_file_cannot_ask_for_more_memory_than_it_explains(edf):
    with pytest.raises(EcgclipError, match="r.edf: 999999 s promised, 4 s stored"):
        edf({"samples": waves()}, stamps([0, 1, 2, 999999]), **{**PLUS, "reserved": "EDF+D"})


# --- headers of recorders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"records": -1},
        {"records": ""},
        {"size": "nonsense"},
        {"time": "25.61.99"},
        {"time": "10:20:30"},
        {"date": "99.99.99"},
        {"more": b"trailing"},
        {"patient": "Jos\xe9 M\xfcller"},
    ],
)
def test_what_does_not_concern_the_signal_does_not_matter(edf, fields):
    ecg = edf(**fields)
    np.testing.assert_allclose(ecg.signal[0], waves().ravel() / 1000, atol=1e-6)
    assert ecg.notes == ()


@pytest.mark.parametrize("change", [{"unit": "\xb5V"}, {"pmin": "-3200,0"}, {"pmax": "+3.2E3"}, {"label": "EKG II"}])
def test_fields_are_read_as_recorders_write_them(edf, change):
    ecg = edf({"samples": waves(), **change})
    np.testing.assert_allclose(ecg.signal[0], waves().ravel() / 1000, atol=1e-6)


@pytest.mark.parametrize("unit", ["", ".V", "?V"])
def test_a_unit_that_is_not_there_is_assumed_by_the_amplitude(edf, unit):
    with pytest.warns(UserWarning, match="assumed µV"):
        ecg = edf({"samples": waves(), "unit": unit})
    np.testing.assert_allclose(ecg.signal[0], waves().ravel() / 1000, atol=1e-6)


@pytest.mark.parametrize("change", [{"pmax": "-3200"}, {"dmax": "-3200"}, {"pmin": "none"}, {"pmax": "1e99"}])
def test_a_range_that_makes_no_sense_costs_that_channel_only(edf, change):
    ecg = edf({"samples": waves()}, {"label": "V1", "samples": waves(), **change})
    assert ecg.leads == ("II",)
    assert ecg.notes == ("left out V1: its physical or digital range makes no sense",)
    with pytest.raises(EcgclipError, match="r.edf: no ECG lead .*range makes no sense"):
        edf({"samples": waves(), **change})


def test_a_lead_that_may_be_upside_down_is_left_out(edf):
    ecg = edf({"samples": waves()}, {"label": "V1", "samples": waves(), "pmin": "3200", "pmax": "-3200"})
    assert ecg.leads == ("II",)
    assert ecg.notes == ("left out V1: its physical or digital range makes no sense",)


def test_a_truncated_file_gives_its_whole_data_records(edf):
    ecg = edf(cut=-10)
    assert ecg.signal.shape == (1, 300)
    assert ecg.notes == ("truncated: 3 of 4 data records are there",)


def test_a_file_without_a_duration_needs_the_sampling_rate(tmp_path):
    path = write(tmp_path / "r.edf", duration=0)
    with pytest.raises(EcgclipError, match="r.edf: .*sampling rate"):
        read_ecg(path)
    assert read_ecg(path, sampling_rate=200).seconds == 2


@pytest.mark.parametrize(
    ("signals", "fields", "problem"),
    [
        ([{"label": "EEG Fp1", "samples": waves()}], {}, "no ECG lead"),
        ([stamps([0, 1, 2])], PLUS, "annotations only"),
        ([], {"signals": "many"}, "number of signals"),
        ([], {"signals": 999}, "cut off"),
        ([], {"cut": 100}, "no whole data record"),
        ([{"samples": waves(), "n": "-5"}], {}, "samples of 'II'"),
    ],
)
def test_what_is_no_ecg_or_damaged_is_one_line(edf, signals, fields, problem):
    with pytest.raises(EcgclipError, match=f"r.edf: .*{problem}") as refusal:
        edf(*signals, **fields)
    assert "\n" not in str(refusal.value)


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_who_the_patient_is_stays_in_the_file(edf, monkeypatch):
    monkeypatch.setenv("ECGCLIP_SALT", "salt")
    told = {"patient": "MCH-0234567 F 03-MAR-1960 Jane_Doe", "recording": "Startdate 02-MAR-2020 PSG-1 NN Holter_X1"}
    ecg = edf({"samples": waves()}, stamps([0, 1, 2, 3], [("1.5", "arm up")]), **{**PLUS, **told})
    assert {key: ecg.metadata[key] for key in ("age", "sex", "time", "device", "comments")} == {
        "age": 59,
        "sex": "female",
        "time": "2020-03-02T10:20:30",
        "device": "Holter X1",
        "comments": ["1.5 s: arm up"],
    }
    for secret in ("Doe", "1960", "MCH", "PSG", "NN"):
        assert secret not in str(ecg.metadata)


@pytest.mark.parametrize(
    ("patient", "age", "sex"),
    [
        ("X F X Female_33yr", 33, "female"),
        ("X M X X Age_0.5", 0.5, "male"),
        ("X X 01-JAN-2020 X", 0.17, None),
        ("X X 01-JAN-2030 X", None, None),
        ("X X X Room_33", None, None),
        ("Jane Doe, 33 years", None, None),
    ],
)
def test_age_and_sex(edf, patient, age, sex):
    ecg = edf(patient=patient)
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (age, sex)
    assert "Doe" not in str(ecg.metadata)


@pytest.mark.parametrize("fields", [PLUS, {"date": "01.01.85", "time": "00.00.00"}, {"time": "10.20.73"}])
def test_a_time_that_is_not_known_is_left_out(edf, fields):
    assert "time" not in edf(**fields).metadata


# --- damage -----------------------------------------------------------------------------------------------------------


def test_mutated_files_give_an_ecg_or_one_line(tmp_path):
    whole = bytearray(
        write(
            tmp_path / "r.edf", {"samples": waves()}, stamps([0, 1, 4, 5]), **{**PLUS, "reserved": "EDF+D"}
        ).read_bytes()
    )
    random = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        damaged = whole.copy()
        for _ in range(random.integers(1, 6)):
            place = random.integers(8, 256 * 3 if random.random() < 0.8 else len(damaged))
            damaged[place : place + 1] = random.choice([b"9", b"-", b"\xff", b"", b"9999", b".", b" "])
        (tmp_path / "r.edf").write_bytes(damaged[: random.integers(300, len(damaged))])
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*assumed")
                read_ecg(tmp_path / "r.edf")
        except EcgclipError as refusal:
            assert str(refusal).startswith(str(tmp_path / "r.edf")) and "\n" not in str(refusal)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


# --- real and made files ----------------------------------------------------------------------------------------------

MADE = ["made/edf_uV.edf", "made/edf_mV_ECG_labels.edf", "made/edfplus_annotations.edf", "made/bdf_uV.bdf"]
BUGS = "dot_V no_unit latin1_micro nrecords_minus_1 physical_min_decimal_comma seconds_over_59 starttime_colons"
BUGS += " trailing_bytes truncated lead_off_outside_digital_range edf_plus_D_gap_5s physical_min_equals_max"


@pytest.fixture(scope="session")
def truth(formats):
    with np.load(formats / "made" / "truth.npz") as stored:
        return dict(zip(stored["leads"].tolist(), stored["signal"], strict=True))


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*assumed")
@pytest.mark.parametrize("name", [*MADE, *(f"bugs/edf/{bug}.edf" for bug in BUGS.split())])
def test_files_equal_the_truth(formats, truth, name):
    ecg = read_ecg(formats / name)
    assert ecg.sampling_rate == 500
    missing = {"lead_off": 100, "gap_5s": 2500}
    assert np.isnan(ecg.signal[0]).sum() == next((n for key, n in missing.items() if key in name), 0)
    for lead, signal in zip(ecg.leads, ecg.signal, strict=True):
        if "gap_5s" in name:
            signal = np.concatenate([signal[:2500], signal[5000:]])
        difference = np.abs(signal - truth[lead][: len(signal)])
        assert np.nanmax(difference) <= 16 / 65535 / 2 + 1e-6
    assert len(ecg.leads) == (11 if "equals_max" in name else 12)


@pytest.mark.data
def test_real_files(formats):
    ecg = read_ecg(formats / "edf" / "test_generator_2.edf")
    assert (ecg.sampling_rate, ecg.signal.shape) == (200, (1, 120000))
    for name in ("short_psg.edf", "short_psg.bdf", "pyedflib_test_utf8.edf", "test_edfann.edf"):
        with pytest.raises(EcgclipError, match="no ECG lead|annotations only"):
            read_ecg(formats / "edf" / name)
