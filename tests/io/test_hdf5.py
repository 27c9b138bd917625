"""HDF5 and MATLAB 7.3 files."""

import io

import numpy as np
import pytest
from arrays_written import LEADS, check_mutations, read, refused, samples, smooth

from ecgclip import read_ecg
from ecgclip.io.hdf5 import count_hdf5, read_hdf5

h5py = pytest.importorskip("h5py")
ECG = smooth()


def written(fill, **options):
    """An HDF5 file that `fill` fills."""
    file = io.BytesIO()
    with h5py.File(file, "w", **options) as root:
        fill(root)
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_attributes_of_the_signal_say_rate_leads_and_unit(compression):
    def fill(root):
        data = root.create_dataset("ecg", data=ECG[:2].astype(np.float32), compression=compression)
        data.attrs.update({"fs": 360, "leads": ["II", "V5"], "unit": "uV"})

    recording = read(written(fill))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [("II", "uV", 360), ("V5", "uV", 360)]
    assert np.allclose(samples(recording), ECG[:2])


def test_ecgs_along_the_last_axis_are_told_from_leads():
    batch = np.stack([ECG * (1 + k / 30) for k in range(12)], axis=2)
    for data in (batch, batch.transpose(2, 1, 0), batch[..., :8]):
        recording = read(written(lambda root, data=data: root.create_dataset("ecg", data=data)), index=7)
        assert np.allclose(samples(recording), batch[..., 7])
    assert np.allclose(samples(read(written(lambda root: root.create_dataset("ecg", data=ECG[..., None])))), ECG)


def test_data_sets_beside_the_signal_say_it_too():
    def fill(root):
        group = root.create_group("record")
        group["signal"], group["sampling_rate"], group["age"] = ECG.T, 250, 71
        group["lead_names"] = list(LEADS)

    recording = read(written(fill))
    assert [c.name for c in recording.channels] == list(LEADS) and recording.channels[0].rate == 250
    assert recording.metadata == {"age": 71} and np.allclose(samples(recording), ECG)


def test_the_tracings_of_code_have_one_unit_and_lose_their_padding():
    tracings = np.zeros((6, 4096, 12), np.float32)
    tracings[:, 1000:3000] = ECG.T

    def fill(root):
        root["tracings"], root["exam_id"], root["age"] = tracings, np.arange(6), np.arange(6) + 30
        root["is_male"] = np.array([True, False] * 3)

    data = written(fill)
    with refused("holds 6 ECGs"):
        read(data)
    recording = read(data, index=5)
    assert {(c.unit, c.rate) for c in recording.channels} == {("mV", 400.0)}
    assert len(recording.channels[0].samples) in range(1998, 2001)
    assert recording.metadata == {"age": 35, "sex": "female"}
    assert any(note.startswith("assumed 400 Hz") for note in recording.notes)


def test_an_array_in_each_of_several_groups_is_an_ecg_each():
    def fill(root):
        for k in range(3):
            root[f"record{k}/ecg"] = ECG[:2] * (k + 1)
            root[f"record{k}"].attrs["fs"] = 100 * (k + 1)

    for k in range(3):
        recording = read(written(fill), index=k)
        assert recording.channels[0].rate == 100 * (k + 1) and np.allclose(samples(recording), ECG[:2] * (k + 1))


def test_matlab_7_3_is_read_with_its_cells_and_texts():
    def fill(root):
        root["val"] = ECG[:2].T
        root["fs"] = np.array([[500.0]])
        names = [
            root.create_dataset(f"#refs#/{k}", data=np.array([[ord(c)] for c in n], "u2"))
            for k, n in enumerate(("II", "V1"))
        ]
        for name in names:
            name.attrs["MATLAB_class"] = np.bytes_(b"char")
        root["leads"] = np.array([[name.ref] for name in names], h5py.ref_dtype)
        root["unit"] = np.array([[ord("m")], [ord("V")]], "u2")
        root["unit"].attrs["MATLAB_class"] = np.bytes_(b"char")

    recording = read(written(fill, userblock_size=512))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [("II", "mV", 500), ("V1", "mV", 500)]
    assert np.allclose(samples(recording), ECG[:2])


def test_nothing_outside_the_file_is_read(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as root:
        root["ecg"] = ECG
    (tmp_path / "raw.bin").write_bytes(ECG.tobytes())

    def link(root):
        root["ecg"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "ecg")

    def external(root):
        root.create_dataset("ecg", ECG.shape, "f8", external=[(str(tmp_path / "raw.bin"), 0, ECG.nbytes)])

    def virtual(root):
        layout = h5py.VirtualLayout(ECG.shape, "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "ecg", ECG.shape)
        root.create_virtual_dataset("ecg", layout)

    for fill, problem in ((link, "no array"), (external, "another file"), (virtual, "another file")):
        with refused(f"^file: .*{problem}"):
            read(written(fill))


def test_far_more_memory_than_the_file_explains_is_refused():
    def never_written(root):
        root.create_dataset("ecg", (12, 1_000_000_000), "f8", chunks=(12, 1000))

    def batch(root):
        root.create_dataset("tracings", (10**12, 4096, 12), "f4", chunks=(1, 4096, 12))

    for fill in (never_written, batch):
        with refused("^file: .*(far more memory|more than 1 GiB)"):
            read(written(fill), index=0)


@pytest.mark.parametrize("shape", [(5,), (0, 12), (2, 3, 4, 5, 500)])
def test_other_files_are_refused(shape):
    with refused("^file: "):
        read(written(lambda root: root.create_dataset("x", data=np.zeros(shape))))


def test_damage_is_told_in_one_line():
    def fill(root):
        root.create_dataset("ecg", data=ECG[:2, :300], compression="gzip").attrs.update(
            {"fs": 500, "leads": ["I", "II"]}
        )

    check_mutations(written(fill), lambda file: (count_hdf5(file), read_hdf5(file)), seed=1)


@pytest.mark.data
def test_made_and_real_files_are_read(formats):
    truth = np.load(formats / "made/truth.npz")
    ecg = read_ecg(formats / "made/generic.h5")
    assert ecg.leads == LEADS and ecg.sampling_rate == 500 and np.abs(ecg.signal - truth["signal"]).max() <= 0.0005
    code = formats / "hdf5/code15_exams_part0.hdf5"
    with h5py.File(code) as root:
        for k, tracing in enumerate(root["tracings"]):
            used = np.flatnonzero((tracing != 0).any(1))
            ecg = read_ecg(f"{code}#{k}")
            assert np.allclose(ecg.signal, tracing[used[0] : used[-1] + 1].T) and ecg.sampling_rate == 400
