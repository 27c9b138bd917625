"""CardioSoft XML: the strip, as publicly documented; the files are written here, as no real one was at hand."""

import numpy as np
import pytest
from xml_files import check_damage, ecg_of

from ecgclip.ecg import EcgclipError
from ecgclip.io.cardiosoft import read_cardiosoft

WAVE = [0, 0, 100, 400, -100, 0, 0, 50, 60, 10] * 30
RESOLUTION = '<Resolution units="uVperLsb">2.5</Resolution>'


def waves(leads, resolution=RESOLUTION, rate='<SampleRate units="Hz">100</SampleRate>', count=300):
    text = "".join(f'<WaveformData lead="{k}">{",".join(map(str, v))}</WaveformData>' for k, v in leads.items())
    return f"<NumberOfLeads>{len(leads)}</NumberOfLeads>{rate}{resolution}" + (
        f"<ChannelSampleCountTotal>{count}</ChannelSampleCountTotal>{text}"
    )


def strip(leads, **options):
    return f"<StripData>{waves(leads, **options)}<ArrhythmiaResults/></StripData>"


STRIP = strip({"I": WAVE, "aVR": WAVE[::-1]})
VALUES = '<VentricularRate units="BPM">72</VentricularRate><PQInterval units="ms">152</PQInterval>'
VALUES += "<QRSDuration>86</QRSDuration><QTInterval>402</QTInterval><QTCInterval>440</QTCInterval>"
VALUES += "<PAxis>60</PAxis><RAxis>-45</RAxis><TAxis>0</TAxis>"
MEDIAN = f"<MedianSamples>{waves({'I': [999] * 600})}</MedianSamples>"
MEASUREMENTS = f"<RestingECGMeasurements>{VALUES}{MEDIAN}</RestingECGMeasurements>"
DATE = "<Year>{}</Year><Month>{}</Month><Day>{}</Day>"
TIME = f"<Hour>13</Hour><Minute>5</Minute><Second>18</Second>{DATE.format(2021, 5, 10)}"


def cardiosoft(*parts, age='<Age units="years">60</Age>'):
    names = "<Name><FamilyName>DOE</FamilyName></Name><PID>P-77</PID><Gender>FEMALE</Gender>"
    born = f"<BirthDateTime>{DATE.format(1961, 4, 1)}</BirthDateTime>"
    device = (
        "<ClinicalInfo><DeviceInfo><Desc>CardioSoft</Desc><SoftwareVer>V6.73</SoftwareVer></DeviceInfo></ClinicalInfo>"
    )
    head = f"<ObservationDateTime>{TIME}</ObservationDateTime>{device}<PatientInfo>{names}{age}{born}</PatientInfo>"
    return f"<?xml version='1.0'?><CardiologyXML>{head}{''.join(parts)}</CardiologyXML>"


def test_leads_rate_and_amplitude():
    ecg = ecg_of(read_cardiosoft, cardiosoft(STRIP))
    assert (ecg.leads, ecg.sampling_rate, ecg.notes) == (("I", "aVR"), 100, ())
    assert ecg.signal == pytest.approx(np.array([WAVE, WAVE[::-1]]) * 0.0025)


def test_the_median_beat_is_never_the_strip():
    assert ecg_of(read_cardiosoft, cardiosoft(MEASUREMENTS, STRIP)).signal.max() == pytest.approx(1.0)
    with pytest.raises(EcgclipError, match=r"^f.xml: .*no StripData, only MedianSamples"):
        ecg_of(read_cardiosoft, cardiosoft(MEASUREMENTS))


def test_of_several_strips_the_longest_is_read():
    ecg = ecg_of(read_cardiosoft, cardiosoft(strip({"I": WAVE[:200]}, count=200), STRIP))
    assert ecg.signal.shape == (2, 300) and ecg.notes == ("left out 1 shorter strips",)


def test_a_count_that_does_not_fit_is_noted():
    notes = ecg_of(read_cardiosoft, cardiosoft(strip({"I": WAVE}, count=5000))).notes
    assert notes == ("leads hold 300 samples, not 5000 as the file says",)


def test_a_resolution_that_is_not_given_is_assumed_visibly():
    with pytest.warns(UserWarning, match="assumed µV, by the amplitude"):
        ecg_of(read_cardiosoft, cardiosoft(strip({"I": np.array(WAVE) * 3}, resolution="")))


def test_metadata():
    said = "<Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText>"
    said += "<DiagnosisText>Normal ECG</DiagnosisText>"
    said += "<DiagnosisText>Reviewed by Dr. House</DiagnosisText></Diagnosis></Interpretation>"
    found = ecg_of(read_cardiosoft, cardiosoft(said, MEASUREMENTS, STRIP)).metadata
    assert (found["age"], found["sex"], found["device"]) == (60, "female", "CardioSoft V6.73")
    assert found["time"] == "2021-05-10T13:05:18"
    assert found["statements"] == ["Sinus rhythm", "Normal ECG"]
    expected = {"heart_rate": 72, "pr_ms": 152, "qrs_ms": 86, "qt_ms": 402, "qtc_ms": 440}
    assert found["measurements"] == expected | {"p_axis": 60, "qrs_axis": -45, "t_axis": 0}
    assert "patient" in found
    assert not [word for word in ("DOE", "House", "P-77", "1961") if word in str(found)]
    assert ecg_of(read_cardiosoft, cardiosoft(STRIP, age="<Age/>")).metadata["age"] == 60  # by the date of birth


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (cardiosoft(), "holds no StripData; export a resting ECG"),
        (cardiosoft("<FullDisclosure/>"), "only FullDisclosure"),
        (cardiosoft(strip({})), "no samples"),
        (cardiosoft(strip({"V2": [1, "x"]})), "lead V2 holds a sample that is not a number"),
        (cardiosoft(strip({"V2": [1, "", 3]})), "some are missing"),
        (cardiosoft(strip({"V2": WAVE}, resolution="<Resolution>-</Resolution>")), "resolution '-'"),
        (cardiosoft(strip({"V2": WAVE}, rate="")), "--sampling-rate"),
        (cardiosoft(STRIP)[:-4], "well-formed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(document, problem):
    with pytest.raises(EcgclipError, match=problem) as refusal:
        ecg_of(read_cardiosoft, document)
    assert str(refusal.value).startswith("f.xml: ") and "\n" not in str(refusal.value)


def test_damage_is_refused_in_one_line():
    check_damage(read_cardiosoft, cardiosoft(MEASUREMENTS, STRIP).encode())
