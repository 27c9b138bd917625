"""DICOM waveforms, on files that a small writer makes, and on the real ones where they are."""

import struct
import warnings

import numpy as np
import pytest

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io import read_ecg
from ecgclip.io.dicom import read_dicom
from ecgclip.io.dicom_elements import data_set
from ecgclip.io.file import File

LONG = ("OB", "OW", "SQ", "UN", "UT")
NUMBERS = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


class Writer:
    """Elements in one coding; sequences and items of undefined length with `open_ended`."""

    def __init__(self, syntax=EXPLICIT, open_ended=False):
        self.explicit, self.order, self.open_ended = syntax != IMPLICIT, "<>"[syntax == BIG], open_ended

    def element(self, tag, vr, value):
        if isinstance(value, list):
            value = b"".join(map(self.item, value))
            value += self.header(0xFFFEE0DD, "", 0) if self.open_ended else b""
            return self.header(tag, vr, 0xFFFFFFFF if self.open_ended else len(value)) + value
        if vr in ("US", "UL"):
            value = struct.pack(self.order + {"US": "H", "UL": "I"}[vr], value)
        value = value if isinstance(value, bytes) else str(value).encode()
        value += b"\0 "[vr not in ("OB", "OW", "UI") :][:1] * (len(value) % 2)
        return self.header(tag, vr, len(value)) + value

    def header(self, tag, vr, length):
        words = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit or not vr:
            return words + struct.pack(self.order + "I", length)
        long = vr in LONG
        return words + vr.encode() + struct.pack(self.order + ("HI" if long else "H"), *([0] if long else []), length)

    def item(self, elements):
        body = self.set(elements)
        if self.open_ended:
            return self.header(0xFFFEE000, "", 0xFFFFFFFF) + body + self.header(0xFFFEE00D, "", 0)
        return self.header(0xFFFEE000, "", len(body)) + body

    def set(self, elements):
        return b"".join(self.element(*e) for e in sorted(elements))


def code(tag, value, meaning="", scheme="MDC"):
    return (tag, "SQ", [[(0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning)]])


def channel(source, sensitivity=1, unit="uV", baseline=0, correction=1, bits=16, label=""):
    elements = [source, (0x003A0213, "DS", baseline), (0x003A021A, "US", bits)]
    elements += [(0x003A0203, "SH", label)] if label else []
    if sensitivity is not None:
        elements += [(0x003A0210, "DS", sensitivity), code(0x003A0211, unit), (0x003A0212, "DS", correction)]
    return elements


def group(
    samples, channels, rate=500, kind="SS", label="RHYTHM", originality="ORIGINAL", padding=None, order="<", **more
):
    """A multiplex group of samples (channels, samples)."""
    stored = np.dtype(order + {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4"}[kind])
    elements = [
        (0x003A0004, "CS", originality),
        (0x003A0005, "US", more.get("declared", len(channels))),
        (0x003A0010, "UL", more.get("length", samples.shape[1])),
        (0x003A001A, "DS", 500),
        (0x003A0020, "SH", label),
        (0x003A0200, "SQ", channels),
        (0x00181068, "DS", more.get("offset_ms", 0)),
        (0x54001004, "US", stored.itemsize * 8),
        (0x54001006, "CS", kind),
        (0x54001010, "OW", samples.T.astype(stored).tobytes()),
    ]
    return elements + ([] if padding is None else [(0x5400100A, "OW", np.array(padding, stored).tobytes())])


def twelve(**more):
    return [channel(code(0x003A0208, f"2:{n}", "Lead"), **more) for n in NUMBERS]


def dicom(groups, *elements, syntax=EXPLICIT, preamble=True, open_ended=False):
    meta = Writer().set([(0x00020010, "UI", syntax)])
    head = bytes(128) + b"DICM" + Writer().set([(0x00020000, "UL", len(meta))]) + meta if preamble else b""
    elements = [(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.9.1.2"), *elements]
    elements += [(0x54000100, "SQ", groups)] if groups else []
    return head + Writer(syntax, open_ended).set(elements)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return read_dicom(File("a.dcm", data))


def ecg_of(data, tmp_path):
    (tmp_path / "a.dcm").write_bytes(data)
    return read_ecg(tmp_path / "a.dcm")


def signal(leads=12, samples=1500, low=-800, high=800):
    return np.random.default_rng(0).integers(low, high, (leads, samples))


@pytest.mark.parametrize("open_ended", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_each_coding_gives_the_same_samples(syntax, open_ended, tmp_path):
    samples = signal()
    groups = [group(samples, twelve(sensitivity=2.5), order="<>"[syntax == BIG])]
    ecg = ecg_of(dicom(groups, syntax=syntax, open_ended=open_ended), tmp_path)
    assert ecg.leads == LEADS and ecg.sampling_rate == 500
    np.testing.assert_allclose(ecg.signal, samples * 0.0025, rtol=1e-6)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_file_without_preamble_and_meta_elements_is_read(syntax, tmp_path):
    data = dicom([group(signal(), twelve())], (0x00080005, "CS", "ISO_IR 100"), syntax=syntax, preamble=False)
    assert ecg_of(data, tmp_path).leads == LEADS


def test_the_baseline_is_added_after_the_sensitivity_and_its_correction():
    samples = signal(1)
    lead = [channel(code(0x003A0208, "2:1"), 1, "uV", baseline=100, correction=4.88)]
    np.testing.assert_allclose(
        read(dicom([group(samples, lead)])).channels[0].samples, samples[0] * 4.88 + 100, rtol=1e-5
    )


@pytest.mark.parametrize(
    "kind, low, high", [("SB", -128, 128), ("UB", 0, 256), ("US", 0, 65536), ("SL", -(2**31), 2**31)]
)
def test_samples_of_each_width_are_read(kind, low, high):
    samples = signal(12, 1500, low, high)
    stored = read(dicom([group(samples, twelve(bits=32), kind=kind)])).channels
    np.testing.assert_allclose([c.samples for c in stored], samples, rtol=1e-7)


def test_zeros_that_fill_a_file_take_no_time():
    item = data_set(File("a.dcm", dicom([group(signal(), twelve())]) + bytes(1 << 16)))
    assert len(item.elements) == 2 and item.coding.explicit and min(item.elements) > 0
    assert len(read(dicom([group(signal(), twelve())]) + bytes(1 << 16)).channels) == 12


def test_twelve_bits_are_read_with_their_sign_wherever_it_stands():
    samples = signal(12)
    for stored in (samples, samples & 0xFFF):
        channels = read(dicom([group(stored, twelve(bits=12))])).channels
        np.testing.assert_array_equal([c.samples for c in channels], samples)


def test_padding_is_missing_but_zero_is_a_sample():
    samples = signal(12)
    samples[:, 100:200] = 0
    assert not any(np.isnan(c.samples).any() for c in read(dicom([group(samples, twelve(), padding=0)])).channels)
    samples[3, 100:200] = -32768
    channels = read(dicom([group(samples, twelve(), padding=-32768)])).channels
    assert np.isnan(channels[3].samples[100:200]).all() and sum(np.isnan(c.samples).sum() for c in channels) == 100


def test_leads_are_named_by_their_code_and_else_by_what_is_written():
    codes = [("2:61", "x"), ("5.6.3-9-62", "x"), ("2:0", "Lead V2"), ("X-1", ""), ("2:0", "Unspecified lead")]
    channels = [
        channel(code(0x003A0208, *c), label=label) for c, label in zip(codes, ("", "", "", "V3", "V5"), strict=True)
    ]
    assert [c.name for c in read(dicom([group(signal(5), channels)])).channels] == ["III", "aVR", "Lead V2", "V3", "V5"]


def test_the_rhythm_is_the_longest_original_group_wherever_it_stands():
    beat = group(signal(12, 600), twelve(), label="MEDIAN BEAT", originality="DERIVED")
    longest = group(signal(12, 4000), twelve())
    others = [group(signal(12, 9000), twelve(), label="Median beats"), group(signal(12, 2500), twelve())]
    recording = read(dicom([beat, *others, longest]))
    assert len(recording.channels) == 12 and len(recording.channels[0].samples) == 4000
    assert any("MEDIAN BEAT" in note for note in recording.notes)


def test_groups_of_three_leads_each_stand_at_their_time(tmp_path):
    leads = twelve()
    groups = [group(signal(3, 1250), leads[i : i + 3], offset_ms=i // 3 * 2500) for i in (0, 3, 6, 9)]
    ecg = ecg_of(dicom(groups), tmp_path)
    assert ecg.leads == LEADS and ecg.seconds == 10
    first = [int(np.flatnonzero(np.isfinite(row))[0]) for row in ecg.signal]
    assert first == [0] * 3 + [1250] * 3 + [2500] * 3 + [3750] * 3


def test_the_ecg_of_a_hemodynamic_recording_is_read_beside_the_pressures(tmp_path):
    pressure = [channel(code(0x003A0208, "2:18948", "Aortic pressure"), unit="mm[Hg]")]
    ecg = ecg_of(dicom([group(signal(1, 9000), pressure), group(signal(12), twelve())]), tmp_path)
    assert ecg.leads == LEADS and ecg.seconds == 3


def test_a_group_far_away_in_time_takes_no_memory():
    far = group(signal(1, 1500), twelve()[11:], offset_ms=10**12)
    recording = read(dicom([group(signal(11), twelve()[:11]), far]))
    assert max(len(c.samples) for c in recording.channels) == 1500


def test_fewer_samples_than_declared_are_read_with_a_note():
    recording = read(dicom([group(signal(12, 1200), twelve(), length=2**31)]))
    assert len(recording.channels[0].samples) == 1200 and any("ends early" in note for note in recording.notes)


@pytest.mark.parametrize(
    "data, why",
    [
        (dicom([]), "without a waveform"),
        (dicom([group(signal(), twelve())[:8]]), "no kind of samples"),
        (dicom([group(signal(), twelve(), declared=11)]), "11 channels are declared, 12 described"),
        (dicom([group(signal(12, 0), twelve())]), "no samples"),
        (dicom([group(signal(), twelve())], syntax="1.2.840.10008.1.2.1.99"), "deflated"),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(data, why):
    with pytest.raises(EcgclipError, match=why) as caught:
        read(data)
    assert str(caught.value).startswith("a.dcm: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["MB", "AB"])
def test_companded_samples_are_refused(kind):
    stored = [(t, v, kind if t == 0x54001006 else x) for t, v, x in group(signal(), twelve())]
    with pytest.raises(EcgclipError, match="companded"):
        read(dicom([stored]))


def test_metadata_has_age_sex_time_device_and_what_the_device_found():
    def said(*elements):
        return [(0x0040A0B0, "US", 1), *elements]

    annotations = [
        said((0x00700006, "ST", b"Rythme sinusal r\xe9gulier\0")),
        said((0x00700006, "ST", "Confirmed by: DOE MD, JOHN")),
        said(code(0x0040A043, "2:16016", "Ventricular Heart Rate"), (0x0040A30A, "DS", 97)),
        said(code(0x0040A043, "5.13.5-7", scheme="SCPECG"), (0x0040A30A, "DS", "0.148"), code(0x004008EA, "s")),
        said(code(0x0040A043, "X", "QT interval global"), (0x0040A30A, "DS", 402)),
        said(code(0x0040A043, "10:256", "P wave"), (0x0040A130, "CS", "SEGMENT")),
    ]
    data = dicom(
        [group(signal(), twelve())],
        (0x0008002A, "DT", "20130125105919.5+0100"),
        (0x00080070, "LO", "GE Healthcare"),
        (0x00081090, "LO", "MAC 5"),
        (0x00100010, "PN", "Doe^Jane"),
        (0x00100020, "LO", "4711\0"),
        (0x00100030, "DA", "19710126"),
        (0x00100040, "CS", "F"),
        (0x00101010, "AS", ""),
        (0x0040B020, "SQ", annotations),
        (0x00080005, "CS", "ISO_IR 100"),
    )
    assert read(data).metadata == {
        "age": 41.0,
        "sex": "female",
        "time": "2013-01-25T10:59:19",
        "device": "GE Healthcare MAC 5",
        "statements": ["Rythme sinusal régulier"],
        "measurements": {"heart_rate": 97.0, "pr_ms": 148.0, "qt_ms": 402.0},
        "patient_id": "4711",
    }


def test_the_age_that_is_given_holds():
    assert read(dicom([group(signal(), twelve())], (0x00101010, "AS", "006M"))).metadata["age"] == 0.5


def test_a_printout_in_a_dicom_file_is_read_as_its_pdf():
    pytest.importorskip("pypdfium2")
    with pytest.raises(EcgclipError, match="a.dcm: a damaged PDF file"):
        read(dicom([], (0x00420011, "OB", b"%PDF-1.4 and nothing more")))
    with pytest.raises(EcgclipError, match="no PDF"):
        read(dicom([], (0x00420011, "OB", b"<html>")))


def test_damaged_files_give_a_recording_or_one_line():
    """Bytes are changed, cut and inserted; lengths are made huge; sequences are nested without end."""
    rng = np.random.default_rng(0)
    whole = dicom([group(signal(2, 200), twelve()[:2])], (0x00101010, "AS", "042Y"), open_ended=True)
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(132, len(data) - 900, rng.integers(1, 6)):
            data[at] = rng.choice([0, 1, 0x7F, 0xFF, rng.integers(256)])
        cut = rng.integers(132, len(data))
        data = rng.choice([0, 1]) and data[:cut] or data[:cut] + bytes(rng.integers(0, 9)) + data[cut:]
        try:
            read(bytes(data))
        except EcgclipError as error:
            assert str(error).startswith("a.dcm: ") and "\n" not in str(error)
    nested = struct.pack("<HH2sHI", 0x5400, 0x0100, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(EcgclipError, match="within each other"):
        read(dicom([]) + nested * 5000)


# ---------------------------------------------------------------------------------------------------------------------
# Real files


@pytest.mark.data
def test_real_files_equal_a_second_reading(formats):
    files = sorted((formats / "dicom").glob("*.dcm"))
    assert len(files) >= 4
    for path in files:
        second, ecg = np.load(f"{path}.ref.npz"), read_ecg(path)
        assert ecg.sampling_rate == second["fs"] and ecg.leads == tuple(second["leads"])
        np.testing.assert_allclose(ecg.signal, second["signal"], atol=1e-5)
        assert ecg.metadata["sex"] in ("male", "female") and ecg.metadata["age"] in (49, 11, 42, 45)
        assert not {"patient_id", "name"} & set(ecg.metadata)


@pytest.mark.data
def test_each_bug_report_is_settled(formats):
    truth = np.load(formats / "dicom" / "ecgtoolkit_Example.dcm.ref.npz")["signal"]
    for path in sorted((formats / "bugs" / "dicom").glob("*.dcm")):
        ecg = read_ecg(path)
        there = np.isfinite(ecg.signal)
        expected = truth + 0.1 if path.stem == "baseline_100uV" else truth
        assert not (np.abs(ecg.signal - expected)[there] > 1e-5).any(), path.name
        assert (~there).sum() == (100 if path.stem == "padding_value" else 0)
