"""GE MUSE XML: the rhythm by its type, in its unit, and what the cart and its readers say of it."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xml_files import check_damage, check_reference, ecg_of

from ecgclip.ecg import EcgclipError
from ecgclip.io.muse import read_muse
from ecgclip.io.read import read_ecg
from ecgclip.prepare import prepare

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def bits(seed=0, samples=1000):
    return np.random.default_rng(seed).integers(-200, 400, samples)


def lead_data(name, values, tags="", gain="<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit>", dtype="<i2"):
    data = np.asarray(values).astype(dtype).tobytes()
    size, text = np.dtype(dtype).itemsize, base64.encodebytes(data).decode()
    head = f"<LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal><LeadSampleSize>{size}</LeadSampleSize>"
    head += f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>{gain}<LeadID>{name}</LeadID>{tags}"
    return f"<LeadData>{head}<WaveFormData>{text}</WaveFormData></LeadData>"


def waveform(*leads, kind="Rhythm", base=500, exponent=0):
    head = f"<WaveformType>{kind}</WaveformType><SampleBase>{base}</SampleBase>"
    return f"<Waveform>{head}<SampleExponent>{exponent}</SampleExponent>{''.join(leads)}</Waveform>"


def rhythm(leads=("I", "II"), **options):
    return waveform(*(lead_data(lead, bits(i)) for i, lead in enumerate(leads)), **options)


MEDIAN = waveform(lead_data("I", [9999] * 600), kind="Median")


def muse(*parts):
    head = '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd">'
    return f"{head}<RestingECG>{''.join(parts)}</RestingECG>"


def patient(age="60", units="YEARS", more="<Gender>FEMALE</Gender><DateofBirth>04-01-1961</DateofBirth>"):
    names = "<PatientID>P-77</PatientID><PatientLastName>DOE</PatientLastName>"
    person = f"<PatientAge>{age}</PatientAge><AgeUnits>{units}</AgeUnits>{more}{names}"
    test = "<AcquisitionDevice>MAC55</AcquisitionDevice><AcquisitionDate>05-10-2021</AcquisitionDate>"
    test += "<AcquisitionTime>13:15:18</AcquisitionTime><OverreaderLastName>HOUSE</OverreaderLastName>"
    return f"<PatientDemographics>{person}</PatientDemographics><TestDemographics>{test}</TestDemographics>"


def diagnosis(*lines, name="Diagnosis"):
    text = ""
    for line in lines:
        *first, last = line.split(" | ")
        text += "".join(f"<DiagnosisStatement><StmtText>{one}</StmtText></DiagnosisStatement>" for one in first)
        text += f"<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtFlag>USERINSERT</StmtFlag><StmtText>{last}"
        text += "</StmtText></DiagnosisStatement>"
    return f"<{name}>{text}</{name}>"


def test_leads_rate_and_amplitude():
    ecg = ecg_of(read_muse, muse(rhythm()))
    assert (ecg.leads, ecg.sampling_rate, ecg.notes) == (("I", "II"), 500, ())
    assert ecg.signal[1] == pytest.approx(bits(1) * 0.00488)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 99), st.sampled_from(["i1", "<i2", "<i4"]), st.floats(0.5, 10))
def test_samples_of_any_size_and_gain_come_back(seed, dtype, gain):
    values = np.random.default_rng(seed).integers(-100, 100, 1000)
    tag = f"<LeadAmplitudeUnitsPerBit>{gain}</LeadAmplitudeUnitsPerBit>"
    ecg = ecg_of(read_muse, muse(waveform(lead_data("V2", values, gain=tag, dtype=dtype))))
    assert ecg.signal[0] == pytest.approx(values * gain / 1e3, abs=gain / 2e3)


@pytest.mark.parametrize(
    "parts", [(MEDIAN, rhythm()), (rhythm(), MEDIAN), (rhythm(),), (rhythm(kind="RHYTHM"), MEDIAN)]
)
def test_the_rhythm_is_found_by_its_type(parts):
    assert ecg_of(read_muse, muse(*parts)).signal.shape == (2, 1000)


def test_a_median_beat_alone_is_refused():
    with pytest.raises(EcgclipError, match=r"^f.xml: .*no rhythm, only Median; export it with the rhythm"):
        ecg_of(read_muse, muse(MEDIAN))


@pytest.mark.parametrize(("base", "exponent", "rate"), [(500, 0, 500), (25, 1, 250), (5000, -1, 500)])
def test_the_sampling_rate_is_a_base_with_an_exponent(base, exponent, rate):
    assert ecg_of(read_muse, muse(rhythm(base=base, exponent=exponent))).sampling_rate == pytest.approx(rate)


def test_prepare_computes_the_other_four_leads_exactly():
    t = np.arange(5000) / 500
    wave = 120 * np.sin(2 * np.pi * 1.2 * t) ** 31
    leads = {name: np.round(np.roll(wave, 9 * i) * (1 + i) / 3) for i, name in enumerate(EIGHT)}
    prepared = prepare(ecg_of(read_muse, muse(waveform(*(lead_data(name, v) for name, v in leads.items())))))
    assert prepared.mask.all()
    i, ii, *limb = prepared.signal[0, :6]
    for lead, expected in zip(limb, (ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2), strict=True):
        assert lead == pytest.approx(expected, abs=1e-4)


def test_a_lead_whose_electrode_was_off_has_no_signal():
    text = muse(waveform(lead_data("I", bits()), lead_data("V1", bits(), tags="<LeadOff>TRUE</LeadOff>")))
    ecg = ecg_of(read_muse, text)
    assert np.isnan(ecg.signal[1]).all() and np.isfinite(ecg.signal[0]).all()
    assert ecg.notes == ("lead V1: its electrode was off, so it has no signal",)


def test_checksums_and_counts_that_do_not_fit_are_noted():
    right = zlib.crc32(bits().astype("<i2").tobytes())
    tags = "<LeadDataCRC32>{}</LeadDataCRC32>"
    assert ecg_of(read_muse, muse(waveform(lead_data("I", bits(), tags.format(right))))).notes == ()
    assert ecg_of(read_muse, muse(waveform(lead_data("I", bits(), tags.format(0))))).notes == ()
    wrong = lead_data("I", bits(), tags.format(right + 1)).replace(">1000<", ">1001<")
    notes = ecg_of(read_muse, muse(waveform(wrong))).notes
    assert "1000 samples, not 1001" in notes[0] and "checksum" in notes[1]


def test_a_gain_that_is_not_given_is_assumed_visibly():
    with pytest.warns(UserWarning, match="4.88 µV per bit"):
        ecg = ecg_of(read_muse, muse(waveform(lead_data("I", bits(), gain=""))))
    assert ecg.signal[0] == pytest.approx(bits() * 0.00488)


def test_who_when_and_with_what():
    found = ecg_of(read_muse, muse(patient(), rhythm())).metadata
    assert (found["age"], found["sex"], found["device"]) == (60, "female", "MAC55")
    assert found["time"] == "2021-05-10T13:15:18"
    assert "patient" in found
    assert not [word for word in ("DOE", "HOUSE", "P-77", "1961") if word in str(found)]


@pytest.mark.parametrize(
    ("age", "units", "birth", "years"),
    [
        ("6", "MONTHS", "", 0.5),
        ("7", "DAYS", "", 0.02),
        ("", "", "04-01-1961", 60),
        ("", "", "27-12-1961", 59),
        ("", "", "1961-04-01", 60),
        ("", "", "01-01-1900", None),
        ("old", "", "", None),
    ],
)
def test_age_is_as_stated_or_by_the_date_of_birth(age, units, birth, years):
    text = muse(patient(age, units, f"<DateofBirth>{birth}</DateofBirth>"), rhythm())
    assert ecg_of(read_muse, text).metadata["age"] == pytest.approx(years, abs=0.01)


def test_statements_are_the_carts_and_what_a_reader_made_of_them_is_a_comment():
    machine = diagnosis("Atrial fibrillation", "Cannot rule out | Anterior infarct", name="OriginalDiagnosis")
    reader = diagnosis(
        "Sinus rhythm | with premature atrial complexes", "Confirmed by HOUSE, GREGORY (12) on 5/10/2021"
    )
    found = ecg_of(read_muse, muse(machine, reader, rhythm())).metadata
    assert found["statements"] == ["Atrial fibrillation", "Cannot rule out Anterior infarct"]
    assert found["comments"] == ["edited: Sinus rhythm with premature atrial complexes"]
    found = ecg_of(read_muse, muse(reader, rhythm())).metadata
    assert found["statements"] == ["Sinus rhythm with premature atrial complexes"]
    assert found["comments"] == []


def test_measurements_of_the_cart():
    values = "<VentricularRate>72</VentricularRate><PRInterval>0</PRInterval><QRSDuration>86</QRSDuration>"
    values += "<QTInterval>402</QTInterval><QTCorrected>440</QTCorrected><RAxis>-45</RAxis><TAxis>0</TAxis>"
    text = muse(f"<RestingECGMeasurements>{values}</RestingECGMeasurements>", rhythm())
    expected = {"heart_rate": 72, "qrs_ms": 86, "qt_ms": 402, "qtc_ms": 440, "qrs_axis": -45, "t_axis": 0}
    assert ecg_of(read_muse, text).metadata["measurements"] == expected


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (muse(), "no waveform at all"),
        (muse(waveform()), "holds no samples"),
        (muse(waveform(lead_data("I", []))), "holds no samples"),
        (muse(rhythm()).replace("<WaveFormData>", "<WaveFormData>!"), "base64"),
        (muse(rhythm()).replace("<WaveFormData>", "<WaveFormData>A"), "base64"),
        (muse(rhythm()).replace("<LeadSampleSize>2", "<LeadSampleSize>3"), "samples of 3 bytes"),
        (muse(rhythm()).replace("<SampleBase>500</SampleBase>", ""), "--sampling-rate"),
        (muse(rhythm(leads=("V3R",))), "no ECG lead"),
        (muse(rhythm()).replace('SYSTEM "restecg.dtd"', '[<!ENTITY x SYSTEM "file:///etc/hostname">]'), "entities"),
        (muse(rhythm())[:-4], "well-formed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(document, problem):
    with pytest.raises(EcgclipError, match=problem) as refusal:
        ecg_of(read_muse, document)
    assert str(refusal.value).startswith("f.xml: ") and "\n" not in str(refusal.value)


def test_a_document_that_is_far_too_long_is_not_read(tmp_path):
    with (tmp_path / "a.xml").open("wb") as file:
        file.write(muse(rhythm()).encode().ljust(10_000))
        file.truncate(8 << 30)  # takes no space
    with pytest.raises(EcgclipError, match="a.xml: an XML document of 8192 MiB"):
        read_ecg(tmp_path / "a.xml")


def test_damage_is_refused_in_one_line():
    lines = diagnosis("Sinus rhythm") + diagnosis("Normal ECG", name="OriginalDiagnosis")
    check_damage(read_muse, muse(patient(), lines, rhythm()).encode())


# ---------------------------------------------------------------------------------------------------------------------
# Real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "age", "sex", "statement"),
    [
        ("easyRecg_muse_ecg1", 60, "male", "Statement Text(22)"),
        ("easyRecg_muse_ecg2", 60, "male", "Statement Text(22)"),
        ("guangxi_teaching_sinus_rhythm", 11, "male", "窦性心律"),
        ("synthetic_muse", 45, "male", "Sinus rhythm (synthetic example)"),
    ],
)
def test_real_files(formats, name, age, sex, statement):
    path = formats / f"muse_xml/{name}.xml"
    ecg = read_ecg(path)
    check_reference(ecg, path, 0.00488)
    assert (ecg.metadata["age"], ecg.metadata["sex"], ecg.metadata["statements"][0]) == (age, sex, statement)
    assert ecg.notes == ()  # among others, the checksums fit


@pytest.mark.data
def test_one_waveform_or_two_in_any_order(formats):
    expected = read_ecg(formats / "muse_xml/synthetic_muse.xml").signal
    for name in ("only_rhythm", "rhythm_before_median"):
        assert np.array_equal(read_ecg(formats / f"bugs/muse/{name}.xml").signal, expected)
    for name, problem in (("only_median", "only Median"), ("external_entity", "entities")):
        with pytest.raises(EcgclipError, match=problem):
            read_ecg(formats / f"bugs/muse/{name}.xml")
