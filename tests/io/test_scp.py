"""What `read_ecg` promises of SCP-ECG: the samples of the rhythm, however they are packed, or one clear line."""

import io
import struct
from binascii import crc_hqx

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg

NAMES = {1: "I", 2: "II", 61: "III", 62: "aVR", 3: "V1", 8: "V6"}  # by code
DEFAULT = struct.pack("<H", 19999)
ON, BORN = b"\xe5\x07\x03\x02", b"\xb2\x07\x02\x03"  # 2021-03-02, 1970-02-03


def section(number, content):
    content += b"\0" * (len(content) % 2)
    rest = struct.pack("<HIBB", number, 16 + len(content), 20, 20) + bytes(6) + content
    return struct.pack("<H", crc_hqx(rest, 0xFFFF)) + rest


def scp(sections, order=range(1, 12)):
    """A file of the contents of its sections."""
    place, pointers, body = 6 + 136, b"", b""
    made = {number: section(number, content) for number, content in sections.items()}
    for number in range(1, 12):
        if number not in made:
            pointers += struct.pack("<HII", number, 0, 0)
    for number in (n for n in order if n in made):
        pointers += struct.pack("<HII", number, len(made[number]), place + len(body) + 1)
        body += made[number]
    head = struct.pack("<HII", 0, 136, 7) + pointers
    head = struct.pack("<HIBB", 0, 136, 20, 20) + b"SCPECG" + head
    rest = struct.pack("<I", place + len(body)) + struct.pack("<H", crc_hqx(head, 0xFFFF)) + head + body
    return struct.pack("<H", crc_hqx(rest, 0xFFFF)) + rest


def huffman(values):
    """The default code, written bit by bit."""
    bits = ""
    for value in map(int, values):
        if abs(value) <= 8:
            bits += "1" * abs(value) + "0" + ("" if value == 0 else "1" if value < 0 else "0")
        elif -128 <= value < 128:
            bits += "1" * 9 + "0" + format(value & 0xFF, "08b")
        else:
            bits += "1" * 10 + format(value & 0xFFFF, "016b")
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def differences(samples, order):
    samples = np.asarray(samples, np.int64)
    return np.concatenate([samples[:order], np.diff(samples, order)]) if order else samples


def leads(codes, samples, starts=None, flags=0):
    starts = starts or [1] * len(codes)
    rows = zip(codes, samples, starts, strict=True)
    return bytes([len(codes), flags]) + b"".join(struct.pack("<IIB", s, s + len(x) - 1, c) for c, x, s in rows)


def rhythm(samples, order=0, coded=False, nanovolts=2500, interval=2000, bimodal=0):
    packed = [differences(x, order) for x in samples]
    packed = [huffman(x) if coded else x.astype("<i2").tobytes() for x in packed]
    head = struct.pack("<HHBB", nanovolts, interval, order, bimodal)
    return head + b"".join(struct.pack("<H", len(x)) for x in packed) + b"".join(packed)


def beats(count=2, samples=1100, seed=0):
    """Rows such as an ECG's: mostly small steps, and some large ones."""
    rng = np.random.default_rng(seed)
    slow = np.clip(np.cumsum(rng.integers(-9, 10, (count, samples)), 1), -200, 200)
    return slow + rng.integers(-400, 400, (count, samples)) * (rng.random((count, samples)) < 0.03)


def simple(samples=None, codes=(1, 2), **more):
    samples = beats(len(codes)) if samples is None else samples
    sections = {3: leads(codes, samples), 6: rhythm(samples)} | more.pop("sections", {})
    return scp(sections, **more)


def read(data):
    return read_ecg(io.BytesIO(data), name="a.scp")


def fails(data, *words):
    with pytest.raises(EcgclipError) as caught:
        read(data)
    message = str(caught.value)
    assert message.startswith("a.scp: ") and "\n" not in message and len(message) < 400
    for word in words:
        assert word in message, message


# --- samples


@settings(max_examples=20, deadline=None)
@given(
    order=st.sampled_from([0, 1, 2]),
    coded=st.booleans(),
    codes=st.lists(st.sampled_from(list(NAMES)), min_size=1, max_size=6, unique=True),
    nanovolts=st.sampled_from([1, 1000, 2500, 4880]),
    length=st.integers(1001, 1300),
    seed=st.integers(0, 99),
)
def test_what_is_packed_comes_back(order, coded, codes, nanovolts, length, seed):
    samples = beats(len(codes), length, seed)
    sections = {3: leads(codes, samples), 6: rhythm(samples, order, coded, nanovolts)} | ({2: DEFAULT} if coded else {})
    ecg = read(scp(sections))
    assert ecg.leads == tuple(NAMES[code] for code in codes)
    assert ecg.sampling_rate == 500
    assert np.allclose(ecg.signal, samples * (nanovolts * 1e-6), rtol=1e-6, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-32768, 32767) | st.integers(-12, 12) | st.integers(-130, 130), min_size=1, max_size=90))
def test_every_code_of_the_table(values):
    from ecgclip.io.scp_huffman import decode

    data = huffman(values)
    assert decode([data], [len(values)])[0].tolist() == values
    # the last bytes are filled up with zeros, which are codes too: only the count tells
    assert decode([data, b""], [10**9, 5])[0][: len(values)].tolist() == values
    assert len(decode([data], [10**9])[0]) <= 8 * len(data)


def test_sections_may_stand_in_any_order_and_bytes_may_follow():
    plain = read(simple()).signal
    assert np.array_equal(read(simple(order=(6, 3, 1))).signal, plain)
    assert np.array_equal(read(simple() + b"trailing").signal, plain)


def test_samples_of_16_bits_are_read_where_a_huffman_table_is_named():
    """physionet 120: the table of the standard stands in section 2, and the samples are not coded."""
    assert np.array_equal(read(simple(sections={2: DEFAULT})).signal, read(simple()).signal)


def test_a_lead_that_begins_later_is_missing_before():
    samples = beats(2)
    ecg = read(scp({3: leads((1, 3), samples, [1, 1101]), 6: rhythm(samples)}))
    assert ecg.signal.shape == (2, 2200)
    assert np.isnan(ecg.signal[1, :1100]).all() and np.isnan(ecg.signal[0, 1100:]).all()
    assert np.allclose(ecg.signal[1, 1100:], samples[1] * 2.5e-3)


@pytest.mark.parametrize(
    ("interval", "rate"), [(1667, 600), (2000, 500), (5556, 180), (1000, 1000), (1953, 512), (1111, 900)]
)
def test_a_rate_is_whole_where_the_interval_was_rounded(interval, rate):
    samples = beats(1, 2500)
    assert read(scp({3: leads((1,), samples), 6: rhythm(samples, interval=interval)})).sampling_rate == rate


def test_fewer_samples_than_promised_are_read_with_a_note():
    samples = beats(2)
    ecg = read(scp({2: DEFAULT, 3: leads((1, 2), np.zeros((2, 2200))), 6: rhythm(samples, 2, coded=True)}))
    assert np.allclose(ecg.signal[:, :1100], samples * 2.5e-3)
    assert any("fewer samples" in note for note in ecg.notes)


def test_other_leads_are_left_out_by_name():
    ecg = read(simple(beats(4), (1, 66, 11, 99)))
    assert ecg.leads == ("I",)
    assert sum(name in note for note in ecg.notes for name in ("V8", "V3R", "SCP lead 99")) == 3


# --- metadata


def tags(**fields):
    numbers = {"name": 0, "first": 1, "id": 2, "age": 4, "born": 5, "sex": 8, "device": 14, "day": 25, "clock": 26}
    rows = [(numbers[name], value) for name, value in fields.items()]
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in rows) + b"\xff\0\0"


def test_patient_recorder_and_time_without_a_name():
    device = bytes(8) + b"E250\0\0" + bytes(21) + b"\x031.\0SN\0sys\0prog\0Acme\0"
    fields = dict(name=b"Doe\0", first=b"Jane\0", id=b"P-17\0", born=BORN, sex=b"\2", day=ON, clock=b"\x09\x1e\0")
    ecg = read(simple(sections={1: tags(**fields, device=device)}))
    metadata = {key: ecg.metadata[key] for key in ("age", "sex", "time", "device")}
    assert metadata == {"age": 51, "sex": "female", "time": "2021-03-02T09:30:00", "device": "Acme E250"}
    assert ecg.metadata["patient"] and not any(word in repr(ecg.metadata) for word in ("Doe", "Jane", "P-17", "1970"))


@pytest.mark.parametrize(
    ("field", "years"), [(b"\x3f\0\1", 63), (b"\x06\0\2", 0.5), (b"\x1a\0\3", 0.498), (b"\0\0\0", None)]
)
def test_age_in_its_units(field, years):
    assert read(simple(sections={1: tags(age=field)})).metadata["age"] == pytest.approx(years, abs=0.001)


def test_dates_that_are_none_are_left_out():
    ecg = read(simple(sections={1: tags(born=b"\0\0\0\0", day=b"\xe5\x07\x0d\x28", clock=b"\x09\x63\0")}))
    assert not ecg.metadata.get("time") and ecg.metadata["age"] is None


def test_measurements_and_statements_of_the_device():
    times = struct.pack("<5H3h", 100, 192, 267, 355, 653, 48, -30, 29999)
    measured = struct.pack("<BBHH", 1, 1, 1000, 29999) + times + bytes(10) + struct.pack("<H", 2) + b"\0\0"
    measured += struct.pack("<3H", 62, 29999, 390)
    texts = [b"Sinusrhythmus\0", "Vorhofgr\xf6\xdfe".encode("latin-1") + b"\0", b"Confirmed by DR. DOE\0"]
    stated = bytes(8) + bytes([len(texts)]) + b"".join(struct.pack("<BH", 1, len(x)) + x for x in texts)
    metadata = read(simple(sections={7: measured, 8: stated})).metadata
    assert metadata["statements"] == ["Sinusrhythmus", "Vorhofgröße"]
    expected = {"pr_ms": 167, "qrs_ms": 88, "qt_ms": 386, "p_axis": 48, "qrs_axis": -30, "heart_rate": 62}
    assert metadata["measurements"] == expected | {"qtc_ms": 390}


# --- what is refused, and what is read with a note


def test_other_compression_is_refused_by_its_name():
    samples, coded = beats(2), {2: DEFAULT}
    plain, packed = leads((1, 2), samples), rhythm(samples, 2, coded=True)
    bimodal = rhythm(samples, 2, coded=True, bimodal=1)
    fails(scp(coded | {3: plain, 6: bimodal}), "bimodal compression", "export")
    fails(scp(coded | {3: leads((1, 2), samples, flags=1), 5: bytes(8), 6: packed}), "subtracted reference beats")
    fails(scp({2: struct.pack("<H", 1) + bytes(20), 3: plain, 6: packed}), "Huffman tables of its own")


def test_damage_is_told():
    whole, samples = simple(), beats(2)
    fails(whole[:-9], "cut off", "section 6 (rhythm)")
    fails(whole[:100], "cut off or damaged")
    at = 6 + 136 + 2  # of the first section after the pointers: its number
    fails(whole[:at] + b"\x05" + whole[at + 1 :], "section 3 (leads) is not at byte 142")
    fails(scp({3: leads((1, 2), samples)}), "no section 6 (rhythm)")
    fails(scp({3: b"\x0c\0", 6: rhythm(samples)}), "promises 12 leads")
    fails(scp({3: leads((1, 2, 3), beats(3)), 6: rhythm(samples)[:30]}), "too short for its 3 leads")
    fails(scp({3: leads((1, 2), samples, [1, 2**31]), 6: rhythm(samples)}), "begins at sample")


def test_a_wrong_checksum_is_a_note():
    data = bytearray(simple())
    data[-500] ^= 1
    notes = read(bytes(data)).notes
    assert any("checksum of section 6" in note for note in notes) and not read(simple()).notes


def test_a_damaged_section_that_the_samples_do_not_need_is_left_out():
    data = bytearray(simple(sections={8: bytes(9)}))
    pointer = data.index(struct.pack("<HI", 8, 26))
    data[pointer + 6 : pointer + 10] = struct.pack("<I", 10**9)
    ecg = read(bytes(data))
    assert any("left out section 8" in note for note in ecg.notes)
    assert np.array_equal(ecg.signal, read(simple()).signal)


@pytest.mark.filterwarnings("ignore:a.*assumed")
@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused_in_one_line(seed):
    rng = np.random.default_rng(seed)
    samples = beats(2)
    coded = {2: DEFAULT, 3: leads((1, 2), samples), 6: rhythm(samples, 2, coded=True)}
    data = scp(coded | {1: tags(id=b"x\0", born=BORN, day=ON), 7: bytes(40), 8: bytes(30)})
    for _ in range(30):
        mutated = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            place = rng.integers(0, 420 if rng.random() < 0.8 else len(data))
            mutated[place] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        mutated = mutated[: rng.integers(1, len(mutated)) if rng.random() < 0.2 else None]
        try:
            assert read(bytes(mutated)).signal.nbytes < 1 << 24
        except EcgclipError as error:
            assert "\n" not in str(error) and str(error).startswith("a.scp: ")


# --- real and made files


@pytest.mark.data
@pytest.mark.parametrize("name", ["ecgtoolkit_Example", "scptools_test"])
def test_real_files_equal_the_second_reading(formats, name):
    path = formats / "scp" / f"{name}.scp"
    with np.load(f"{path}.ref.npz") as reference:
        ecg = read_ecg(path)
        assert (ecg.sampling_rate, ecg.leads) == (reference["fs"], tuple(reference["leads"]))
        assert np.allclose(ecg.signal, reference["signal"], rtol=0, atol=1e-5)
    age, device = {"ecgtoolkit_Example": (49, "ELI250"), "scptools_test": (104, "MDW14")}[name]
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (age, "male")
    assert device in ecg.metadata["device"] and ecg.metadata["measurements"]["qt_ms"] in (420, 386)
    assert not any(word in repr(ecg.metadata) for word in ("Clark", "SBJ-123", "123456789"))


@pytest.mark.data
@pytest.mark.parametrize("encoding", range(3))
def test_uncompressed_files_equal_the_truth(formats, encoding):
    """physionet 119 and 120."""
    ecg = read_ecg(formats / "made" / f"scp_uncompressed_enc{encoding}.scp")
    with np.load(formats / "made" / "truth.npz") as truth:
        assert (ecg.sampling_rate, ecg.leads) == (truth["fs"], tuple(truth["leads"]))
        assert np.allclose(ecg.signal, truth["signal"], rtol=0, atol=5e-4)


@pytest.mark.data
def test_a_file_that_biosig_wrote_wrongly_is_refused(formats):
    with pytest.raises(EcgclipError, match=r"section 3 \(leads\) is not at byte 212"):
        read_ecg(formats / "bugs" / "scp" / "biosig_written_bad_section_id.scp")
