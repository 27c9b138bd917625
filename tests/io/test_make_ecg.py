"""What makes an ECG of any file: names, units, rates, what the user says of it, and who the patient is."""

import os

import numpy as np
import pytest

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io import identity
from ecgclip.io.recording import Channel, Given, Recording, make_ecg
from ecgclip.simulate import simulate

MV = simulate("normal", seed=1, seconds=4, sampling_rate=250).signal


def channels(rows=MV, names=LEADS, unit="mV", rate=250.0):
    names = names if names is not None else [None] * len(rows)
    return [Channel(row, name, unit, rate) for row, name in zip(rows, names, strict=True)]


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1), ("µV", 1e3), ("uV ", 1e3), ("V", 1e-3), ("mV\0", 1)])
def test_units_as_files_spell_them(unit, factor):
    ecg = make_ecg(Recording(channels(MV * factor, unit=unit)), "x")
    np.testing.assert_allclose(ecg.signal, MV, rtol=1e-5, atol=1e-6)
    assert not ecg.notes


@pytest.mark.parametrize(("factor", "unit"), [(1, "mV"), (1e3, "µV"), (1e-3, "V"), (10, "1e-4 V")])
def test_a_missing_unit_is_decided_by_the_amplitude_and_told(factor, unit):
    with pytest.warns(UserWarning, match=f"assumed {unit}, by the amplitude"):
        ecg = make_ecg(Recording(channels(MV * factor, unit=None)), "x")
    np.testing.assert_allclose(ecg.signal, MV, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("factor", "fits"), [(5, "0.2 times that would fit"), (1e3, "--unit uV would fit")])
def test_a_height_that_no_heart_gives_is_told_and_kept(factor, fits):
    ecg = make_ecg(Recording(channels(MV * factor)), "x")
    np.testing.assert_allclose(ecg.signal, MV * factor, rtol=1e-5, atol=1e-6)
    assert [note for note in ecg.notes if fits in note]
    overruled = make_ecg(Recording(channels(MV * 1e3)), "x", Given(unit="uV"))
    np.testing.assert_allclose(overruled.signal, MV, rtol=1e-5, atol=1e-6)
    assert not overruled.notes


def test_an_assumed_unit_is_checked_and_concerns_the_leads_without_one():
    with pytest.warns(UserWarning, match="assumed µV"):
        ecg = make_ecg(Recording(channels(MV * 1e4, unit=None)), "x")
    assert [note for note in ecg.notes if "which no heart gives" in note]
    mixed = [Channel(MV[0], "I", None, 250.0), Channel(MV[1] * 1e3, "II", "uV", 250.0)]
    with pytest.warns(UserWarning, match="assumed mV"):
        np.testing.assert_allclose(make_ecg(Recording(mixed), "x").signal, MV[:2], atol=1e-6)
    volts = make_ecg(Recording(channels(MV, unit="V")), "x")
    assert [note for note in volts.notes if "--unit mV would fit" in note]


@pytest.mark.parametrize(("count", "order"), [(12, LEADS), (8, ("I", "II", *LEADS[6:])), (1, ("I",))])
def test_unnamed_channels_are_in_the_usual_order(count, order):
    with pytest.warns(UserWarning, match="the file names no lead"):
        assert make_ecg(Recording(channels(MV[:count], names=None)), "x").leads == order


def test_what_cannot_be_guessed_is_asked_for():
    with pytest.raises(EcgclipError, match="x: 2 channels without names; name them with --leads"):
        make_ecg(Recording(channels(MV[:2], names=None)), "x")
    assert make_ecg(Recording(channels(MV[:2], names=None)), "x", Given(leads=("II", "V5"))).leads == ("II", "V5")
    with pytest.raises(EcgclipError, match="x: gives no sampling rate; give it with --sampling-rate"):
        make_ecg(Recording(channels(MV[:, :900], rate=None)), "x")
    assert make_ecg(Recording(channels(rate=None)), "x", Given(sampling_rate=125)).seconds == 8
    with pytest.warns(UserWarning, match="assumed 250 Hz, as resting ECGs last 10 s"):
        assert make_ecg(Recording(channels(np.tile(MV, 3)[:, :2500], rate=None)), "x").seconds == 10
    with pytest.raises(EcgclipError, match="gives no sampling rate"):
        make_ecg(Recording(channels(np.tile(MV, 3)[:1, :2500], ("I",), rate=None)), "x")
    with pytest.raises(EcgclipError, match="3 names in --leads"):
        make_ecg(Recording(channels()), "x", Given(leads=("I", "II", "III")))
    with pytest.raises(EcgclipError, match="unit 'mmHg' is not a voltage"):
        Given(unit="mmHg")


def test_other_signals_are_left_out_and_told():
    others = [
        Channel(MV[0], "Resp", "mV", 250.0),
        Channel(MV[0], "V7", "mV", 250.0),
        Channel(MV[0], "aVF", "mmHg", 250.0),
    ]
    ecg = make_ecg(Recording([*channels(MV[:2], ("I", "II")), *others, Channel(MV[3], "DI", "mV", 250.0)]), "x")
    assert ecg.leads == ("I", "II")
    assert [note.split(":")[0] for note in ecg.notes] == ["left out Resp", "left out V7", "left out aVF", "left out DI"]
    with pytest.raises(EcgclipError, match="x: no ECG lead .Resp, V7: not one .*; aVF: its unit mmHg is not a voltage"):
        make_ecg(Recording(others), "x")


def test_a_lead_of_a_lower_rate_is_interpolated():
    slow = [Channel(MV[0], "I", "mV", 250.0), Channel(MV[1][::2], "II", "mV", 125.0)]
    ecg = make_ecg(Recording(slow), "x")
    assert ecg.sampling_rate == 250
    np.testing.assert_allclose(ecg.signal[1, ::2], MV[1][::2], atol=1e-6)


def test_a_lead_of_a_rate_that_no_device_has_costs_no_memory():
    ecg = make_ecg(Recording([Channel(MV[0], "I", "mV", 250.0), Channel(MV[1], "II", "mV", 1e-6)]), "x")
    assert ecg.leads == ("I",)
    with pytest.raises(EcgclipError, match="1e-06 Hz is no sampling rate"):
        make_ecg(Recording([Channel(MV[1], "II", "mV", 1e-6)]), "x")


def test_an_id_becomes_a_hash_that_only_this_salt_gives(monkeypatch, tmp_path):
    recording = Recording(channels(), {"patient_id": "4711", "age": 50.0})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    hashes = []
    for salt in ("one", "one", "two", ""):
        identity._salt.cache_clear()
        monkeypatch.setenv("ECGCLIP_SALT", salt)
        hashes.append(make_ecg(recording, "x").metadata["patient"])
    identity._salt.cache_clear()
    assert hashes[0] == hashes[1] != hashes[2]
    assert "4711" not in "".join(hashes)
    assert make_ecg(recording, "x").metadata["patient"] == hashes[3], "a salt of its own is kept"
    identity._salt.cache_clear()
    assert os.stat(tmp_path / "ecgclip" / "salt").st_mode & 0o077 == 0
    (tmp_path / "ecgclip" / "salt").write_bytes(b"")  # as a run that was killed may leave it
    identity._salt.cache_clear()
    assert identity._salt() == (tmp_path / "ecgclip" / "salt").read_bytes() != b""
    identity._salt.cache_clear()
    kept = make_ecg(recording, "x", Given(keep_ids=True)).metadata
    assert kept["patient"] == "4711"
    assert "patient_id" not in kept
