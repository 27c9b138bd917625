"""MATLAB files of versions 4 and 5, written by SciPy."""

import io
import struct
import zlib

import numpy as np
import pytest
from arrays_written import LEADS, check_mutations, read, refused, samples, smooth
from scipy.io import loadmat, savemat

from ecgclip import read_ecg
from ecgclip.io import arrays, mat
from ecgclip.io.mat import count_mat, read_mat

ECG = smooth()


def written(content, **options):
    file = io.BytesIO()
    savemat(file, content, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}])
def test_an_array_in_any_version_is_read(options):
    values = np.rint(ECG * 1000).astype(np.int16)
    recording = read(written({"val": values}, **options))
    assert np.array_equal(samples(recording), values)
    assert {(c.name, c.unit, c.rate) for c in recording.channels} == {(None, None, None)}
    assert np.array_equal(samples(read(written({"val": values.T}, **options))), values)


def test_ecgs_along_the_last_axis_are_told_from_leads():
    batch = np.stack([ECG * (1 + k / 30) for k in range(12)], axis=2)
    for data in (batch, batch.transpose(2, 1, 0), batch[..., :8]):
        assert np.allclose(samples(read(written({"ecg": data}), index=7)), batch[..., 7])


def test_zeros_that_fill_a_file_take_no_time(monkeypatch):
    steps = []
    step = mat._Reader._element
    monkeypatch.setattr(mat._Reader, "_element", lambda *args, **more: steps.append(1) or step(*args, **more))
    assert np.allclose(samples(read(written({"ecg": ECG}) + bytes(1 << 16))), ECG)
    assert len(steps) < 100


@pytest.mark.parametrize("compressed", [False, True])
def test_rate_leads_and_unit_stand_beside_the_signal(compressed):
    names = np.array(["II", "V5"], object)
    content = {"fs": 360.0, "leads": names, "unit": "uV", "signal": ECG[:2].T * 1000, "t": np.arange(2000) / 360}
    recording = read(written(content, do_compression=compressed))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [("II", "uV", 360), ("V5", "uV", 360)]
    assert np.allclose(samples(recording), ECG[:2] * 1000)


def test_the_structure_of_cpsc2018_is_read_with_its_rate_assumed():
    recording = read(written({"ECG": {"sex": "Female", "age": 63, "data": ECG}}, do_compression=True))
    assert {(c.unit, c.rate) for c in recording.channels} == {("mV", 500.0)}
    assert recording.metadata == {"age": 63, "sex": "female"}
    assert any(note.startswith("assumed 500 Hz") for note in recording.notes)
    assert np.allclose(samples(recording), ECG)


def test_a_vector_for_each_lead_is_read():
    recording = read(written({"II": ECG[1], "V1": ECG[6], "fs": 500, "beats": np.arange(3)}))
    assert [(c.name, c.rate) for c in recording.channels] == [("II", 500), ("V1", 500)]
    assert np.allclose(samples(recording), ECG[[1, 6]])


@pytest.mark.parametrize("last", [False, True])
def test_a_batch_is_read_one_by_one(last):
    batch = np.stack([ECG * (1 + k / 20) for k in range(20)])
    data = written({"data": np.moveaxis(batch, 0, -1) if last else batch, "fs": 500})
    for index in (0, 19):
        recording = read(data, index=index)
        assert np.allclose(samples(recording), batch[index], rtol=1e-6)
    with refused("holds 20 ECGs"):
        read(data)


def test_a_time_vector_gives_the_rate():
    recording = read(written({"ecg": ECG[0], "t": np.arange(2000) / 250}))
    assert recording.channels[0].rate == 250


@pytest.mark.parametrize(
    "content",
    [
        {"x": np.arange(5)},
        {"ecg": "a text"},
        {"ecg": np.array([1 + 2j] * 500)},
        {"a": np.zeros((3, 500)), "b": np.ones((3, 500))},
    ],
)
def test_other_files_are_refused(content):
    with refused("^file: "):
        read(written(content))


def test_a_variable_that_unpacks_to_far_more_than_its_file_is_refused(monkeypatch):
    monkeypatch.setattr(arrays, "FREE_MEMORY", 1 << 20)
    inner = written({"ecg": np.zeros(8)})[128:]
    packer = zlib.compressobj()
    bomb = packer.compress(struct.pack("<II", 14, 1 << 31) + inner[8:] + bytes(30 << 20)) + packer.flush()
    data = written({"ecg": ECG})[:128] + struct.pack("<II", 15, len(bomb)) + bomb
    with refused("^file: .*far more memory"):
        read(data)


def test_sizes_that_the_file_does_not_hold_are_refused():
    data = bytearray(written({"ecg": ECG}))
    at = data.index(struct.pack("<ii", *ECG.shape))
    data[at : at + 8] = struct.pack("<ii", 2_000_000_000, 2_000_000_000)
    with refused("^file: damaged MATLAB file: array 'ecg'"):
        read(bytes(data))


def test_damage_is_told_in_one_line():
    content = {"ECG": {"sex": "Male", "age": 50, "data": ECG[:3, :300]}, "leads": np.array(["I", "II", "III"], object)}
    for seed, options in enumerate(({}, {"do_compression": True})):
        check_mutations(written(content, **options), lambda file: (count_mat(file), read_mat(file)), seed)
    check_mutations(written({"val": ECG[:2, :300]}, format="4"), read_mat, seed=2)


@pytest.mark.data
def test_real_files_equal_what_scipy_reads(formats):
    for path in sorted((formats / "mat").glob("*.mat")) + sorted((formats / "made").glob("*.mat")):
        if path.name == "v73.mat":
            continue
        recording = read(path.read_bytes(), str(path))
        content = {k: v for k, v in loadmat(path).items() if not k.startswith("_")}
        ecg = content["ECG"]["data"][0, 0] if "ECG" in content else max(content.values(), key=lambda v: v.size)
        assert np.array_equal(samples(recording), ecg if len(ecg) < ecg.shape[1] else ecg.T), path.name


@pytest.mark.data
@pytest.mark.parametrize(("name", "age"), [("cpsc2018_A1980", 52), ("cpsc2018_A1982", 89)])
def test_cpsc2018_equals_its_second_reading(formats, name, age):
    ecg, second = read_ecg(formats / f"mat/{name}.mat"), np.load(formats / f"mat/{name}.mat.ref.npz")
    assert np.allclose(ecg.signal, second["signal"], atol=1e-6) and ecg.sampling_rate == second["fs"]
    assert ecg.leads == LEADS and (ecg.metadata["age"], ecg.metadata["sex"]) == (age, "male")


@pytest.mark.data
@pytest.mark.parametrize("name", ["cpsc_struct.mat", "signal_fs.mat", "v73.mat", "val_1000_per_mV.mat"])
def test_made_files_equal_the_truth(formats, name):
    given = {} if name in ("cpsc_struct.mat", "signal_fs.mat") else {"sampling_rate": 500}
    ecg = read_ecg(formats / "made" / name, **given)
    truth = np.load(formats / "made/truth.npz")
    assert ecg.leads == LEADS and ecg.sampling_rate == 500
    assert np.abs(ecg.signal - truth["signal"]).max() <= 0.0005
