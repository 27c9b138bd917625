"""What `read_ecg` promises of ISHNE Holter files: every lead by its code, what is there of a cut file, or one line."""

import io
import struct
from binascii import crc_hqx

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.read import read_ecg

CODES = dict(zip(LEADS, range(5, 17), strict=True))


def ishne(samples, leads, *, promised=None, nanovolts=2500, rate=200, text=b"", codes=None, **fields):
    """A file of samples (leads, samples)."""
    n = len(samples)

    def filled(values, rest):
        return struct.pack("<12h", *list(values) + [rest] * (12 - n))

    fields = {"sex": 2, "born": (3, 2, 1970), "day": (2, 3, 2021), "clock": (9, 30, 0), "recorder": b"H-12"} | fields
    promised = samples.shape[1] if promised is None else promised
    body = struct.pack("<4ih", len(text), promised, 522, 522 + len(text), 1)
    body += b"Jane".ljust(40, b"\0") + b"Doe".ljust(40, b"\0") + b"P-17".ljust(20, b"\0")
    body += struct.pack("<2h", fields["sex"], 1)
    body += struct.pack("<3h", *fields["born"]) + struct.pack("<3h", *fields["day"]) * 2
    body += struct.pack("<3h", *fields["clock"]) + struct.pack("<h", n)
    body += filled(codes or [CODES[lead] for lead in leads], -9) + filled([1] * n, -9) + filled([nanovolts] * n, -9)
    body += struct.pack("<h", 0) + fields["recorder"].ljust(40, b"\0") + struct.pack("<h", rate) + bytes(248) + text
    head = b"ISHNE1.0" + struct.pack("<H", crc_hqx(body, 0xFFFF)) + body
    assert len(head) == 522 + len(text)
    return head + np.ascontiguousarray(samples.T).astype("<i2").tobytes()


def beats(leads=3, samples=600, seed=0):
    return np.random.default_rng(seed).integers(-250, 250, (leads, samples))


def read(data):
    return read_ecg(io.BytesIO(data), name="a.ecg")


def fails(data, *words):
    with pytest.raises(EcgclipError) as caught:
        read(data)
    message = str(caught.value)
    assert message.startswith("a.ecg: ") and "\n" not in message and len(message) < 400
    for word in words:
        assert word in message, message


@settings(max_examples=20, deadline=None)
@given(
    leads=st.permutations(LEADS).flatmap(lambda p: st.integers(1, 12).map(lambda n: p[:n])),
    nanovolts=st.sampled_from([1000, 2500, 4880]),
    rate=st.sampled_from([128, 200, 1000]),
    text=st.sampled_from([b"", b"odd", b"a block of any text"]),
    seed=st.integers(0, 99),
)
def test_what_is_written_comes_back_by_lead(leads, nanovolts, rate, text, seed):
    samples = beats(len(leads), 2 * rate + 7, seed)
    ecg = read(ishne(samples, leads, nanovolts=nanovolts, rate=rate, text=text))
    assert (ecg.leads, ecg.sampling_rate) == (tuple(leads), rate)
    assert np.allclose(ecg.signal, samples * (nanovolts * 1e-6), rtol=1e-6)
    assert not ecg.notes


def test_a_lead_that_was_off_is_missing():
    samples = beats()
    samples[1, 100:200] = -32768
    signal = read(ishne(samples, ("I", "II", "V1"))).signal
    assert np.isnan(signal[1, 100:200]).all() and np.isnan(signal).sum() == 100


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes():
    whole = ishne(beats(), ("I", "II", "V1"))
    ecg = read(whole[:-601])
    assert np.array_equal(ecg.signal, read(whole).signal[:, :499])
    assert ecg.notes == ("cut off: 499 of 600 samples of each lead are there",)


def test_the_number_of_samples_may_lack_be_too_small_or_count_all_leads():
    samples = beats()
    assert read(ishne(samples, ("I", "II", "V1"), promised=500)).signal.shape == (3, 500)
    assert not read(ishne(samples, ("I", "II", "V1"), promised=1800)).notes
    with pytest.warns(UserWarning, match="assumed 600 samples"):
        assert read(ishne(samples, ("I", "II", "V1"), promised=0)).signal.shape == (3, 600)


def test_leads_without_a_name_are_asked_for():
    data = ishne(beats(), ("I", "II", "V1"), codes=(1, 0, 1))
    fails(data, "3 channels without names", "--leads")
    assert read_ecg(io.BytesIO(data), leads=("V1", "V5", "II")).leads == ("V1", "V5", "II")
    ecg = read(ishne(beats(), ("I", "II", "V1"), codes=(2, 6, 18)))
    assert ecg.leads == ("II",) and len(ecg.notes) == 2


def test_a_rate_or_a_resolution_that_lacks_is_asked_for_or_assumed():
    fails(ishne(beats(1), ("I",), rate=-9), "sampling rate", "--sampling-rate")
    with pytest.warns(UserWarning, match="assumed"):
        read(ishne(beats(1), ("I",), nanovolts=-9))


def test_patient_recorder_and_time_without_a_name():
    ecg = read(ishne(beats(1), ("I",)))
    metadata = {key: ecg.metadata[key] for key in ("age", "sex", "time", "device")}
    assert metadata == {"age": 51, "sex": "female", "time": "2021-03-02T09:30:00", "device": "H-12"}
    assert ecg.metadata["patient"] and not any(word in repr(ecg.metadata) for word in ("Doe", "Jane", "P-17", "1970"))
    unknown = dict(sex=-9, born=(-9, -9, -9), day=(-9, -9, -9), clock=(-9, -9, -9), recorder=b"digital")
    metadata = read(ishne(beats(1), ("I",), **unknown)).metadata
    assert not any(metadata.get(key) for key in ("age", "sex", "time", "device"))


def test_damage_is_told():
    whole = ishne(beats(), ("I", "II", "V1"))
    fails(whole[:400], "cut off", "522 bytes")
    fails(whole[:522], "cut off")
    fails(whole[:527], "no samples")
    fails(whole[:156] + b"\x0d\0" + whole[158:], "1 to 12 leads, and this 13")
    fails(whole[:22] + b"\xff\xff\xff\x7f" + whole[26:], "samples from byte 2147483647")
    assert any("checksum" in note for note in read(whole[:40] + b"x" + whole[41:]).notes)


def test_files_of_annotations_are_called_so():
    """wfdb-python 425: PhysioNet's .ecg files with RR intervals are no ISHNE files."""
    fails(b"ANN  1.0" + bytes(600), "an ISHNE annotation file")
    fails(struct.pack("<H", (1 << 10) + 88) * 200 + b"\0\0", "a PhysioNet annotation file")


@pytest.mark.filterwarnings("ignore:a.*assumed")
@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused_in_one_line(seed):
    rng = np.random.default_rng(seed)
    data = ishne(beats(), ("I", "II", "V1"), text=b"text")
    for _ in range(30):
        mutated = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            place = rng.integers(8, 300 if rng.random() < 0.8 else len(data))
            mutated[place] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        mutated = mutated[: rng.integers(8, len(mutated)) if rng.random() < 0.3 else None]
        try:
            assert read(bytes(mutated)).signal.nbytes < 1 << 24
        except EcgclipError as error:
            assert "\n" not in str(error) and str(error).startswith("a.ecg: ")


# --- made files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("made/ishne_12lead.ecg", None),
        ("made/ishne_3lead_var_block.ecg", None),
        ("bugs/ishne/header_promises_more.ecg", "5000 of 900000"),
        ("bugs/ishne/lead_fault_minus_32768.ecg", None),
        ("bugs/ishne/samples_0.ecg", "assumed 5000 samples"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*assumed 5000 samples")
def test_files_equal_the_truth(formats, name, note):
    ecg = read_ecg(formats / name)
    with np.load(formats / "made" / "truth.npz") as truth:
        expected = dict(zip(truth["leads"].tolist(), truth["signal"], strict=True))
        assert ecg.sampling_rate == truth["fs"]
    assert set(ecg.leads) == (set(expected) if "3lead" not in name else {"V1", "V5", "II"})
    for lead, samples in zip(ecg.leads, ecg.signal, strict=True):
        there = np.isfinite(samples)
        assert np.allclose(samples[there], expected[lead][there], rtol=0, atol=1.26e-3)
    assert np.isnan(ecg.signal).any() == ("lead_fault" in name)
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (51, "male")
    assert any(note in n for n in ecg.notes) if note else not ecg.notes


@pytest.mark.data
def test_rr_intervals_of_physionet_are_refused(formats):
    with pytest.raises(EcgclipError, match="a PhysioNet annotation file"):
        read_ecg(formats / "bugs" / "ishne" / "physionet_rr_annotation_nsr001.ecg")
