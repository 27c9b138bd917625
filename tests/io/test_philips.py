"""What `read_philips` promises: XLI undone, whole limb leads by name, no calibration pulse, or one clear line."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated import mutations

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.philips import read_philips
from ecgclip.io.read import read_ecg
from ecgclip.io.xli import unpack_xli

RATE = 500
INDEPENDENT = ("I", "II", *LEADS[6:])


def lzw(data):
    """Codes of ten bits; the last one ends the data."""
    strings, codes, word = {bytes([i]): i for i in range(256)}, [], b""
    for byte in data:
        longer = word + bytes([byte])
        if longer in strings:
            word = longer
            continue
        codes.append(strings[word])
        if len(strings) < 1023:
            strings[longer] = len(strings)
        word = bytes([byte])
    return as_bytes([*codes, strings[word], 1023])


def as_bytes(codes):
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def xli_chunk(counts):
    counts = np.asarray(counts, np.int64)
    steps = -np.diff(counts, 2)
    values = np.concatenate([counts[:2], steps[1:] + 64, [64]])[: len(counts)]
    pairs = values.astype(np.int16).astype("<u2")  # wraps around, as the device does
    codes = lzw((pairs >> 8).astype(np.uint8).tobytes() + (pairs & 255).astype(np.uint8).tobytes())
    first = int(np.int64(steps[0]).astype(np.int16)) if len(steps) else 0
    return len(codes).to_bytes(4, "little") + b"\1\0" + first.to_bytes(2, "little", signed=True) + codes


def as_stored(leads):
    """Limb leads as differences from what I and II make of them."""
    one, two, three = (leads[name] for name in ("I", "II", "III"))
    made = {"III": two - one, "aVR": -((one + two) >> 1), "aVL": (one - three) >> 1, "aVF": (two + three) >> 1}
    return {name: made[name] - counts if name in made else counts for name, counts in leads.items()}


def ecg_counts(names=LEADS, seconds=2, seed=0):
    """Whole leads in counts of 5 µV, with limb leads a little off what I and II make of them."""
    noise = np.random.default_rng(seed)
    leads = {name: noise.integers(-40, 40, seconds * RATE).cumsum() // 8 for name in INDEPENDENT}
    one, two = leads["I"], leads["II"]
    leads |= {"III": two - one, "aVR": -(one + two) // 2, "aVL": one - two // 2, "aVF": two - one // 2}
    leads |= {name: leads[name] + noise.integers(-1, 2, seconds * RATE) for name in ("III", "aVR", "aVL", "aVF")}
    return {name: leads[name].astype(np.int64) for name in names}


def calibration():
    return np.repeat([0, 200, 0], [50, 100, 50])


def with_calibration(leads):
    return {
        name: np.append(counts, -calibration() if name == "aVR" else calibration() * (name not in ("III", "aVL")))
        for name, counts in leads.items()
    }


def document(
    text, attributes, version="1.04", kind="PhilipsECG", signal="", extra="", age="<years>50</years>", encoding="utf-8"
):
    body = f"""<?xml version="1.0" encoding="{encoding}"?>
<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>{kind}</documenttype>
<documentversion>{version}</documentversion></documentinfo>
<dataacquisition date="2011-12-01" time="07:27:34"><machine>PageWriter Touch</machine>
<signalcharacteristics>{signal}</signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>4711</patientid><name><lastname>MUSTERFRAU</lastname></name>
<age>{age}</age><sex>Female</sex></generalpatientdata></patient>{extra}
<waveforms><parsedwaveforms {attributes}>{text}</parsedwaveforms>
<repbeats><repbeat leadname="I">AAAA</repbeat></repbeats></waveforms></restingecgdata>"""
    return File("p.xml", body.encode(encoding))


def layout(names, samples, more='dataencoding="Base64" compression="XLI"'):
    return (
        f'leadlabels="{" ".join(names)}" numberofleads="{len(names)}" samplespersecond="{RATE}" resolution="5" '
        f'durationperchannel="{samples * 1000 // RATE}" bitspersample="16" signalsigned="True" {more}'
    )


def packed(leads, unused=4, **more):
    """A document of version 1.04 with chunks of unused channels behind those of the leads."""
    stored = as_stored(leads) if {"I", "II", "III"} <= set(leads) else leads
    samples = len(next(iter(leads.values())))
    chunks = [xli_chunk(counts) for counts in stored.values()] + [xli_chunk(np.zeros(samples))] * unused
    text = base64.encodebytes(b"".join(chunks)).decode()
    return document(text, layout(leads, samples), **more)


def signals(file):
    recording = read_philips(file)
    return {channel.name: channel.samples for channel in recording.channels}


def assert_holds(file, leads):
    found = signals(file)
    assert list(found) == list(leads)
    for name, counts in leads.items():
        np.testing.assert_array_equal(found[name], counts * np.float32(5))


def fails(file, *words):
    with pytest.raises(EcgclipError) as caught:
        read_philips(file)
    message = str(caught.value)
    assert message.startswith("p.xml: ") and "\n" not in message
    assert all(word in message for word in words), message


counts_of_16_bits = st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=2, max_size=150)


@settings(max_examples=30, deadline=None)
@given(counts_of_16_bits)
def test_any_counts_of_16_bits_survive_xli(counts):
    """Steps of the full range wrap around in the device's 16 bits: sierra-ecg-tools 47."""
    unpacked = unpack_xli(xli_chunk(counts), ["I"], len(counts), 10 * len(counts), "x")
    np.testing.assert_array_equal(unpacked["I"], counts)


def test_leads_unit_rate_and_metadata():
    extra = """<interpretations><interpretation><globalmeasurements><heartrate editedflag="False">41</heartrate>
    <print>144</print><qrsdur>102</qrsdur><qtint>564</qtint><qtcb>466</qtcb><pfrontaxis>Indeterminate</pfrontaxis>
    <qrsfrontaxis>85</qrsfrontaxis></globalmeasurements><severity>- ABNORMAL ECG -</severity>
    <statement><leftstatement>SINUS BRADYCARDIA</leftstatement><rightstatement>V-rate&lt;60</rightstatement></statement>
    </interpretation></interpretations>"""
    leads = ecg_counts()
    file = packed(leads, extra=extra)
    assert_holds(file, leads)
    recording = read_philips(file)
    assert {(channel.unit, channel.rate) for channel in recording.channels} == {("uV", RATE)}
    assert recording.notes == ()
    assert recording.metadata == {
        "age": 50,
        "sex": "female",
        "time": "2011-12-01T07:27:34",
        "device": "Philips PageWriter Touch",
        "statements": ["SINUS BRADYCARDIA", "ABNORMAL ECG"],
        "measurements": {
            "heart_rate": 41,
            "pr_ms": 144,
            "qrs_ms": 102,
            "qt_ms": 564,
            "qtc_ms": 466,
            "qrs_axis": 85,
        },
        "patient_id": "4711",
    }


def test_it_is_recognised_in_utf_16_and_becomes_an_ecg_without_identity():
    leads = ecg_counts()
    ecg = read_ecg(io.BytesIO(packed(leads, encoding="utf-16").data), name="p.xml")
    assert ecg.leads == LEADS
    np.testing.assert_allclose(ecg.signal[0], leads["I"] * 0.005, rtol=1e-6)
    assert "MUSTERFRAU" not in str(ecg.metadata) and "4711" not in str(ecg.metadata)


@pytest.mark.parametrize(
    "age, years",
    [
        ("<dateofbirth>1950-01-01</dateofbirth>", 61),
        ("<months>18</months>", 1.5),
        ("<days>10</days>", 10 / 365.25),
        ("<dateofbirth/>", None),
    ],
)
def test_age_in_any_unit_or_by_date_of_birth(age, years):
    assert read_philips(packed(ecg_counts(), age=age)).metadata["age"] == (years and pytest.approx(years))


def test_limb_leads_are_found_by_name_not_by_place():
    """BRAVEHEART 9."""
    leads = ecg_counts(("V6", "aVF", "II", "aVR", "V1", "III", "I", "aVL"))
    assert_holds(packed(leads), leads)


def test_limb_leads_without_leads_i_and_ii_are_left_out():
    recording = read_philips(packed(ecg_counts(("I", "aVR", "V1"))))
    assert [channel.name for channel in recording.channels] == ["I", "V1"]
    assert any("aVR" in note for note in recording.notes)


def test_version_1_03_says_it_elsewhere():
    leads = ecg_counts()
    stored = b"".join(map(xli_chunk, as_stored(leads).values()))
    signal = f"""<samplingrate>{RATE}</samplingrate><signalresolution>5</signalresolution><acquisitiontype>STD-12
    </acquisitiontype><numberchannelsallocated>12</numberchannelsallocated>"""
    more = 'compressflag="True" compressmethod="XLI" dataencoding="Base64" durationperchannel="2000"'
    file = document(base64.b64encode(stored).decode(), more, "1.03", "SierraECG", signal)
    assert_holds(file, leads)
    assert read_philips(file).notes == ()
    odd = document(base64.b64encode(stored).decode(), more, "1.03", "SierraECG", signal.replace("STD-12", "EASI"))
    assert read_philips(odd).notes[0].startswith("assumed leads I, II")


def test_the_calibration_pulse_is_cut_off():
    leads = ecg_counts()
    file = packed(with_calibration(leads))
    assert_holds(file, leads)
    assert "calibration" in read_philips(file).notes[0]


@pytest.mark.parametrize("seconds", [2, 3])
def test_nothing_is_cut_off_where_there_is_no_pulse(seconds):
    """BRAVEHEART 5: files without calibration; one with zeros at its end; one with such a pulse in one lead."""
    leads = ecg_counts(seconds=seconds)
    assert_holds(packed(leads), leads)
    zeros = {name: np.append(counts, np.zeros(100, int)) for name, counts in leads.items()}
    assert_holds(packed(zeros), zeros)
    one_lead = {**zeros, "V3": np.append(leads["V3"], np.repeat([0, 200, 0], [25, 50, 25]))}
    assert_holds(packed(one_lead), one_lead)


def test_a_lead_that_was_off_does_not_hide_the_pulse():
    leads = {**ecg_counts(), "V4": np.zeros(2 * RATE, int)}
    stored = with_calibration(leads)
    assert_holds(packed(stored), leads)
    assert_holds(packed({**stored, "V4": np.zeros_like(stored["V4"])}), leads)


@pytest.mark.parametrize("differences", [True, False])
@pytest.mark.parametrize("encoding", ["Plain", "Base64", "Hex"])
def test_samples_that_are_not_packed(encoding, differences):
    """As differences from I and II or whole: programs differ, and the reader tells by the samples."""
    leads = ecg_counts()
    counts = np.concatenate(list((as_stored(leads) if differences else leads).values()))
    raw = counts.astype("<i2").tobytes()
    text = {"Plain": " ".join(map(str, counts)), "Base64": base64.b64encode(raw).decode(), "Hex": raw.hex()}[encoding]
    assert_holds(document(text, layout(leads, 2 * RATE, f'dataencoding="{encoding}"')), leads)


@pytest.mark.parametrize("kind, version", [("MortaraECG", "1.03"), ("SierraECG", "1.05"), ("", "")])
def test_another_type_or_version_is_refused(kind, version):
    fails(packed(ecg_counts(), kind=kind, version=version), "1.03 and 1.04")


def test_damage_is_told():
    leads = ecg_counts(INDEPENDENT)
    good = packed(leads)
    chunk = len(xli_chunk(leads["I"]))
    whole = b"".join(map(xli_chunk, leads.values()))

    def of(data, more='dataencoding="Base64" compression="XLI"', samples=2 * RATE):
        return document(base64.b64encode(data).decode(), layout(INDEPENDENT, samples, more))

    fails(of(whole[:-20]), "lead V6", "cut off")
    fails(of(whole[:8] + b"\xff" * chunk), "lead I", "damaged")
    fails(of(b""), "lead I", "cut off")
    fails(of(whole[: chunk - 10].replace(whole[:4], (chunk - 18).to_bytes(4, "little"), 1)), "lead I", "damaged")
    fails(of(whole, 'dataencoding="Base64" compression="Z&#10;IP"'), "Z IP")
    fails(of(whole, 'dataencoding="Base32"'), "base32")
    fails(document("1 2 x", layout(("I",), RATE, 'dataencoding="Plain"')), "not a number")
    fails(document("1 2 3", layout(("I",), RATE, 'dataencoding="Plain"')), "cut off")
    fails(document("zz", layout(("I",), RATE, 'dataencoding="Hex"')), "damaged")
    fails(File("p.xml", good.data.replace(b"parsedwaveforms", b"otherwaveforms")), "no rhythm")


def test_a_bomb_is_refused():
    codes = as_bytes([0, *range(256, 1023), *[1022] * 5000, 1023])  # 4 MB of zeros
    chunk = len(codes).to_bytes(4, "little") + b"\1\0\0\0" + codes
    for promised in (2_000_000, 1000):
        fails(document(base64.b64encode(chunk).decode(), layout(("I",), promised)), "more samples")


def test_mutated_files_give_an_ecg_or_one_line():
    for data in mutations(packed(with_calibration(ecg_counts())).data, b'0123456789<>"/AZaz\xff\x00'):
        try:
            read_philips(File("p.xml", data))
        except EcgclipError as error:
            assert str(error).startswith("p.xml: ") and "\n" not in str(error)


@pytest.mark.data
@pytest.mark.parametrize(
    "name, age, sex, rate",
    [
        ("1_03_129DYPRG.XML", 50, "male", 41),
        ("1_04_3191723_ZZDEMOPTONLY_1-04_orig.xml", 60, "male", 84),
        ("1_04_ad4d3d80-d165_1-04_orig.xml", 32, "female", 41),
    ],
)
def test_real_files_equal_their_second_reading(formats, name, age, sex, rate):
    path = formats / "philips_xml" / name
    ecg, second = read_ecg(path), np.load(f"{path}.ref.npz")
    assert ecg.leads == tuple(second["leads"]) and ecg.sampling_rate == second["fs"]
    np.testing.assert_allclose(ecg.signal, second["signal"], rtol=0, atol=1e-5)
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (age, sex)
    assert ecg.metadata["measurements"]["heart_rate"] == rate


@pytest.mark.data
@pytest.mark.parametrize("what", ["type", "version"])
def test_the_two_invalid_documents_are_refused(formats, what):
    with pytest.raises(EcgclipError, match="1.03 and 1.04"):
        read_ecg(formats / "philips_xml" / f"invalid-doc-{what}.xml")
