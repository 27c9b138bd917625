"""What is written in any format reads as the ECG that it was."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.io import read_ecg, write_ecg
from ecgclip.io.write import WRITERS, deidentified
from ecgclip.io.write_edf import data_record
from ecgclip.simulate import simulate

STEP_MV = {"wfdb": 1e-3, "edf": 1e-3, "dicom": 1e-3, "csv": 1e-4, "npz": 0}  # where the range of a lead allows
METADATA = {
    "age": 63.0,
    "sex": "female",
    "time": "2020-03-02T10:20:30",
    "device": "Cart 5",
    "statements": ["Sinus rhythm", "Confirmed by Smith, John"],
    "measurements": {"heart_rate": 61.0, "pr_ms": 160.0, "qtc_ms": 412.0, "qrs_axis": -12.0},
    "comments": ["Jane Doe, hypertension"],
    "patient": "MCH-1234",
}
every_format = pytest.mark.parametrize("to", WRITERS)


@pytest.fixture
def again(tmp_path):
    """again(ecg, to, ...) → the ECG written and read."""
    return lambda ecg, to, **options: read_ecg(write_ecg(ecg, tmp_path / "r", to, **options), keep_ids=True)


@st.composite
def ecgs(draw):
    rate = draw(st.sampled_from([50, 128, 1000 / 3, 360, 511.562]) | st.floats(50, 500))
    samples = draw(st.integers(int(2 * rate) + 1, int(3 * rate)))
    leads = draw(st.lists(st.sampled_from(LEADS), min_size=1, max_size=12, unique=True))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    height, offset = draw(st.sampled_from([(0.001, 0), (1, 0.3), (5, 0), (1, -400), (300, 50)]))
    signal = random.normal(offset, height, (len(leads), samples))
    if draw(st.booleans()):
        signal[random.random(signal.shape) < 0.2] = np.nan
        signal[0, -draw(st.integers(1, samples)) :] = np.nan
    metadata = {
        "age": draw(st.none() | st.integers(0, 89).map(float)),
        "sex": draw(st.sampled_from([None, "female", "male"])),
        "statements": draw(st.lists(st.sampled_from(["Sinus rhythm", "Vorhofflimmern, möglich; # 2"]), unique=True)),
    }
    return ECG(signal, rate, leads, metadata)


@every_format
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ecg=ecgs())
def test_signal_leads_rate_and_metadata_survive(tmp_path_factory, to, ecg):
    path = tmp_path_factory.getbasetemp() / f"survive{os.getpid()}"
    got = read_ecg(write_ecg(ecg, path, to))
    assert (got.leads, got.signal.shape) == (ecg.leads, ecg.signal.shape)
    assert got.sampling_rate == pytest.approx(ecg.sampling_rate, rel=1e-8)
    assert (np.isnan(got.signal) == np.isnan(ecg.signal)).all()
    present = np.nan_to_num(ecg.signal)
    step = STEP_MV[to] if np.ptp(present, axis=1).max() < 60 else np.ptp(present, axis=1).max() / 60000
    rounding = np.abs(present).max() * 2e-7  # of float32
    assert np.abs(np.nan_to_num(got.signal) - present).max() <= step / 2 + rounding
    for key, value in ecg.metadata.items():
        if value not in (None, []):
            assert got.metadata[key] == value
    assert not any(note.startswith("assumed") for note in got.notes)


@every_format
def test_by_default_nobody_can_be_recognised(again, tmp_path, to):
    old = replace(simulate("normal"), metadata={**METADATA, "age": 97})
    got = again(old, to)
    assert (got.metadata["age"], got.metadata["sex"], got.metadata["device"]) == (90, "female", "Cart 5")
    assert got.metadata["statements"] == ["Sinus rhythm"]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in ("Smith", "Doe", "MCH", "1234", "10:20", "10.20.30", "102030", "2020", "97"):
        assert secret not in str(got.metadata)
        # few digits may stand in samples or identifiers by chance
        assert to == "csv" or len(secret) < 5 or secret.encode() not in written


@every_format
def test_without_deidentification_all_is_kept(again, to):
    got = again(replace(simulate("normal"), metadata=METADATA), to, deidentify=False)
    # where the format has no place for it; and the reader leaves out who signed
    lost = {"dicom": ["comments"], "edf": []}.get(to, ["patient"])
    assert got.metadata["statements"] == ["Sinus rhythm"]
    for key in METADATA.keys() - {*lost, "statements"}:
        assert set(METADATA[key]) <= set(got.metadata[key]) if key == "comments" else got.metadata[key] == METADATA[key]


FOREIGN = ("Device: Ward 3 bed of Mr MILLER", "Statement: Interpreted by SMITH, JANE", "Statement: for Jane CANARY")


@every_format
@pytest.mark.parametrize("first", ["wfdb", "edf", "csv", "npz"])
def test_lines_of_others_do_not_become_ours_on_the_way(again, to, first):
    metadata = {"comments": [*FOREIGN, "Comment: Jane CANARY"], "sex": "male"}
    ecg = again(replace(simulate("normal"), metadata=metadata), first, deidentify=False)
    assert set(metadata["comments"]) <= set(ecg.metadata["comments"])
    assert again(ecg, to).metadata.keys() & {"device", "statements"} == set()
    assert "CANARY" not in str(again(ecg, to).metadata)


@every_format
def test_what_is_written_twice_is_the_same(again, to):
    once = again(simulate("af", seed=1), to)
    twice = again(once, to)
    np.testing.assert_array_equal(once.signal, twice.signal)
    assert once.metadata == twice.metadata


@every_format
def test_writing_is_whole_or_not_at_all(tmp_path, to, monkeypatch):
    ecg = simulate("normal")
    path = write_ecg(ecg, tmp_path / "folder" / "r", to)
    before = {file.name: file.read_bytes() for file in (tmp_path / "folder").iterdir()}
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EcgclipError, match="cannot .*No space left"):
        write_ecg(ECG(ecg.signal * 2, 500, ecg.leads), path, to)
    assert {file.name: file.read_bytes() for file in (tmp_path / "folder").iterdir()} == before


def test_an_unknown_format_and_an_impossible_voltage_are_refused(tmp_path):
    ecg = simulate("normal")
    with pytest.raises(EcgclipError, match="unknown format 'pdf'"):
        write_ecg(ecg, tmp_path / "r", "pdf")
    for to in ("wfdb", "edf", "dicom"):
        with pytest.raises(EcgclipError, match="beyond 9 V"):
            write_ecg(ECG(ecg.signal * 1e5, 500, ecg.leads), tmp_path / "r", to)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("samples", "rate", "count", "duration"),
    [
        (5000, 500, 500, "1"),
        (650000, 360, 360, "1"),
        (4999, 500, 4999, "9.998"),
        (6000, 1000 / 3, 300, "0.9"),
        (108000, 62.5, 60, "0.96"),
    ],
)
def test_a_data_record_gives_the_sampling_rate_and_the_length_exactly(samples, rate, count, duration):
    assert data_record(samples, rate) == (count, duration)


def test_other_programs_read_the_dicom(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    ecg = simulate("inferior-stemi", seed=2, sampling_rate=500)
    data = pydicom.dcmread(write_ecg(ecg, tmp_path / "r", "dicom"))
    group = data.WaveformSequence[0]
    assert float(group.SamplingFrequency) == 500
    names = [c.ChannelSourceSequence[0].CodeMeaning for c in group.ChannelDefinitionSequence]
    assert [name.split()[-1] for name in names] == list(ecg.leads)
    units = {c.ChannelSensitivityUnitsSequence[0].CodeValue for c in group.ChannelDefinitionSequence}
    (unit,) = units
    np.testing.assert_allclose(data.waveform_array(0).T * {"uV": 1e-3, "mV": 1.0}[unit], ecg.signal, atol=5e-4)


@pytest.mark.parametrize(("age", "written"), [(89.0, 89.0), (89.5, 90.0), (104.0, 90.0)])
def test_an_age_above_89_is_written_as_90_and_no_one_who_signed_is_named(age, written):
    statements = ["Sinus rhythm", "Unconfirmed by SMITH, JOHN", "Validiert von Meier"]
    kept = deidentified(ECG(np.ones((1, 500)), 100, ("I",), {"age": age, "statements": statements})).metadata
    assert (kept["age"], kept["statements"]) == (written, ["Sinus rhythm"])
