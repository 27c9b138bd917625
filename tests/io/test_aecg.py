"""HL7 aECG: the rhythm as it was recorded, by its increments, scales and units, and what the device says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xml_files import check_damage, check_reference, ecg_of

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.aecg import read_aecg
from ecgclip.io.file import File
from ecgclip.io.read import read_ecg

WAVE = [0, 0, 100, 400, -100, 0, 0, 50, 60, 10]  # 2.5 µV; a tenth of a second


def sequence_set(leads, head="20210510131518", increment='value="0.01" unit="s"', scale="2.5", unit="uV", origin="0"):
    time = f'<value xsi:type="GLIST_TS"><head value="{head}"/><increment {increment}/></value>'
    text = f'<component><sequence><code code="TIME_ABSOLUTE"/>{time}</sequence></component>'
    for lead, digits in leads.items():
        values = f'<origin value="{origin}" unit="uV"/><scale value="{scale}" unit="{unit}"/>'
        values += f"<digits>{' '.join(map(str, digits))}</digits>"
        text += f'<component><sequence><code code="MDC_ECG_LEAD_{lead}"/><value xsi:type="SLIST_PQ">{values}</value>'
        text += "</sequence></component>"
    return f"<component><sequenceSet>{text}</sequenceSet></component>"


def series(*sets, code="RHYTHM", after=""):
    times = '<effectiveTime><low value="20210510131518.250"/></effectiveTime>'
    return f'<component><series><code code="{code}"/>{times}{"".join(sets)}{after}</series></component>'


def annotated(*annotations):
    return f"<subjectOf><annotationSet>{''.join(annotations)}</annotationSet></subjectOf>"


def annotation(code, value="", inside=""):
    return f'<component><annotation><code code="{code}"/>{value}{inside}</annotation></component>'


def quantity(code, value, unit="ms", inside=""):
    return annotation(code, f'<value xsi:type="PQ" value="{value}" unit="{unit}"/>', inside)


def said(code, text):
    return annotation(code, f'<value xsi:type="ST">{text}</value>')


def aecg(*parts, birth="19610511", before=""):
    person = f'<name>Doe</name><administrativeGenderCode code="F"/><birthTime value="{birth}"/>'
    subject = f'<id root="1.2" extension="P-7"/><subjectDemographicPerson>{person}</subjectDemographicPerson>'
    spaces = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    return f"<AnnotatedECG {spaces}><trialSubject>{subject}</trialSubject>{before}{''.join(parts)}</AnnotatedECG>"


def metadata(*parts, **options):
    return ecg_of(read_aecg, aecg(*parts, **options)).metadata


RHYTHM = sequence_set({"I": WAVE * 30, "aVR": WAVE * 30})


def test_leads_rate_and_amplitude():
    ecg = ecg_of(read_aecg, aecg(series(RHYTHM)))
    assert (ecg.leads, ecg.sampling_rate, ecg.notes) == (("I", "aVR"), 100, ())
    assert ecg.signal[0, :10] == pytest.approx(np.array(WAVE) * 0.0025)


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 1000).map(lambda seed: np.random.default_rng(seed).integers(-30000, 30000, 200)),
    st.sampled_from([0.1, 0.244144, 1.25, 4.88]),
    st.floats(-50, 50).map(lambda x: round(x, 3)),
)
def test_a_sample_is_origin_plus_scale_times_digits(digits, scale, origin):
    recording = read_aecg(File("f", aecg(series(sequence_set({"V5": digits}, scale=scale, origin=origin))).encode()))
    expected = origin + scale * np.array(digits)
    kept = np.isfinite(recording.channels[0].samples)
    assert kept[np.abs(expected) < 20_000].all()
    assert recording.channels[0].samples[kept] == pytest.approx(expected[kept], abs=scale / 2)


def test_the_origin_may_be_in_another_unit_than_the_scale():
    ecg = ecg_of(read_aecg, aecg(series(sequence_set({"I": WAVE * 30}, scale="0.0025", unit="mV", origin="500"))))
    assert ecg.signal[0, :10] == pytest.approx(np.array(WAVE) * 0.0025 + 0.5)


@pytest.mark.parametrize(
    "increment", ['value="10" unit="ms"', 'value="10000" unit="us"', 'value="0.01"', 'value="0,01" unit="s"']
)
def test_the_increment_has_a_unit(increment):
    ecg = ecg_of(read_aecg, aecg(series(sequence_set({"I": WAVE * 30}, increment=increment))))
    assert ecg.sampling_rate == pytest.approx(100)


def test_without_an_increment_the_rate_is_asked_for():
    with pytest.raises(EcgclipError, match="--sampling-rate"):
        ecg_of(read_aecg, aecg(series(sequence_set({"I": WAVE * 30}, increment='value="0" unit="s"'))))


def test_derived_beats_are_never_the_rhythm():
    beat = sequence_set({"I": [999] * 500})
    derived = f"<derivation><derivedSeries><code code='REPRESENTATIVE_BEAT'/>{beat}</derivedSeries></derivation>"
    both = aecg(series(beat, code="REPRESENTATIVE_BEAT"), series(RHYTHM, after=derived))
    assert ecg_of(read_aecg, both).signal.max() == pytest.approx(1.0)
    with pytest.raises(EcgclipError, match=r"^f.xml: .*no rhythm, only 1 series of derived beats"):
        ecg_of(read_aecg, aecg(series(beat, code="REPRESENTATIVE_BEAT")))


def test_of_several_rhythms_the_longest_is_read_and_the_others_are_noted():
    ecg = ecg_of(read_aecg, aecg(series(sequence_set({"I": WAVE * 20})), series(RHYTHM)))
    assert ecg.signal.shape == (2, 300)
    assert ecg.notes == ("left out 1 shorter rhythm series",)


def test_leads_recorded_one_after_another_keep_their_times():
    later = sequence_set({"V1": WAVE * 30, "I": WAVE * 30}, head="20210510131522.000")
    ecg = ecg_of(read_aecg, aecg(series(RHYTHM, later)))
    assert ecg.leads == ("I", "aVR", "V1")
    assert ecg.signal.shape == (3, 700)
    there = np.isfinite(ecg.signal)
    assert there[0].tolist() == [True] * 300 + [False] * 100 + [True] * 300
    assert there[1].tolist() == [True] * 300 + [False] * 400
    assert there[2].tolist() == [False] * 400 + [True] * 300


def test_sets_that_lie_hours_apart_are_not_joined():
    ecg = ecg_of(read_aecg, aecg(series(sequence_set({"V1": WAVE * 20}, head="20210510101500"), RHYTHM)))
    assert ecg.signal.shape == (2, 300)
    assert "left out 1 shorter sets" in ecg.notes[0]


def test_the_ends_of_16_bits_are_missing_where_no_heart_reaches_them():
    ecg = ecg_of(read_aecg, aecg(series(sequence_set({"I": WAVE * 30 + [32767, -32768], "II": WAVE * 30 + [1, 2]}))))
    assert np.isnan(ecg.signal[0, -2:]).all() and np.isfinite(ecg.signal[:, :-2]).all()


def test_a_calibration_pulse_is_cut_off_and_only_where_there_is_one():
    waves = {lead: WAVE * 29 + [9, 9, 9, 20, 30, 40, 30, 20, 10, 9] for lead in LEADS}
    pulse = {lead: wave + [0] * 20 + [400] * 20 + [0] * 20 for lead, wave in waves.items()}
    ecg = ecg_of(read_aecg, aecg(series(sequence_set(pulse))))
    assert ecg.signal.shape == (12, 300)
    assert "calibration pulse" in ecg.notes[0]
    assert ecg_of(read_aecg, aecg(series(sequence_set(waves)))).signal.shape == (12, 300)


def test_who_when_and_with_what():
    author = (
        "<manufacturedSeriesDevice><manufacturerModelName>ELI 250</manufacturerModelName></manufacturedSeriesDevice>"
    )
    author += "<manufacturerOrganization><name>Mortara</name></manufacturerOrganization>"
    found = metadata(series(RHYTHM, after=f"<author><seriesAuthor>{author}</seriesAuthor></author>"))
    assert (found["age"], found["sex"], found["device"]) == (59, "female", "Mortara ELI 250")
    assert found["time"] == "2021-05-10T13:15:18"
    assert "patient" in found and "Doe" not in str(found) and "P-7" not in str(found) and "1961" not in str(found)


def reported(value, unit):
    return f'<relatedObservation><code code="21612-7"/><value value="{value}" unit="{unit}"/></relatedObservation>'


@pytest.mark.parametrize(
    ("birth", "before", "age"),
    [
        ("20210510", "", 0),
        ("20201109", "", 0.5),
        ("", reported(46, "a"), 46),
        ("", reported(6, "mo"), 0.5),
        ("19530508", reported(46, "a"), 68),
        ("19000101", reported(46, "a"), 46),
        ("20300101", "", None),
        ("x", reported("", "a"), None),
    ],
)
def test_age_is_by_the_dates_or_as_reported(birth, before, age):
    assert metadata(series(RHYTHM), birth=birth, before=before)["age"] == pytest.approx(age, abs=0.01)


def test_measurements_of_the_whole_ecg_come_before_those_of_a_beat_or_a_lead():
    lead = '<support><supportingROI><component><boundary><code code="MDC_ECG_LEAD_I"/></boundary></component>'
    lead += "</supportingROI></support>"
    beat = annotation(
        "MDC_ECG_BEAT", inside=quantity("MDC_ECG_TIME_PD_PR", 111) + quantity("MDC_ECG_TIME_PD_QT", 0.4, "s")
    )
    whole = quantity("MDC_ECG_HEART_RATE", 57, "bpm") + quantity("MDC_ECG_TIME_PD_PR", 148)
    whole += quantity("MDC_ECG_TIME_PD_QTc", 0, inside=quantity("MINDRAY_ECG_TIME_PD_QTcH", 413))
    whole += quantity("MDC_ECG_ANGLE_QRS_FRONT", -61, "deg") + quantity("MDC_ECG_TIME_PD_QRS", 999, inside=lead)
    found = metadata(series(RHYTHM, after=annotated(beat, whole)))["measurements"]
    assert found == {"heart_rate": 57, "pr_ms": 148, "qtc_ms": 413, "qrs_axis": -61, "qt_ms": 400}


def test_statements_are_the_devices_and_signatures_are_left_out():
    texts = said("MDC_ECG_INTERPRETATION_STATEMENT", "(SB) SINUS BRADYCARDIA, ")
    texts += said("MDC_ECG_INTERPRETATION_STATEMENT", "Confirmed by SMITH, JOHN on 5/10/2021")
    texts += said("MDC_ECG_INTERPRETATION_SUMMARY", "Borderline ECG")
    texts += said("MDC_ECG_INTERPRETATION_COMMENT", "Not confirmed.")
    rhythm = annotation("MDC_ECG_RHY", '<value code="MDC_ECG_RHY_SINUS_RHY" displayName="Sinus Rhythm"/>')
    found = metadata(series(RHYTHM, after=annotated(rhythm, annotation("MDC_ECG_INTERPRETATION", inside=texts))))
    assert found["statements"] == ["Sinus Rhythm", "(SB) SINUS BRADYCARDIA", "Borderline ECG"]
    assert found["comments"] == ["Not confirmed."]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("<AnnotatedECG/>", "no rhythm"),
        (aecg(series()), "holds no samples"),
        (aecg(series(sequence_set({"I": [1, "x", 3]}))), "lead MDC_ECG_LEAD_I holds a sample that is not a number"),
        (aecg(series(sequence_set({"I": WAVE}, scale="0"))), "scale"),
        (aecg(series(sequence_set({"I": WAVE}))), "0.1 s is too short"),
        (aecg(series(sequence_set({"V7": WAVE * 30}))), "no ECG lead"),
        (aecg(series(RHYTHM))[:-5], "well-formed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(document, problem):
    with pytest.raises(EcgclipError, match=problem) as refusal:
        ecg_of(read_aecg, document)
    assert str(refusal.value).startswith("f.xml: ") and "\n" not in str(refusal.value)


def test_damage_is_refused_in_one_line():
    texts = annotation("MDC_ECG_INTERPRETATION", inside=said("MDC_ECG_INTERPRETATION_STATEMENT", "Sinus rhythm"))
    later = sequence_set({"V1": WAVE * 30}, head="20210510131522")
    document = aecg(series(RHYTHM, later, after=annotated(quantity("MDC_ECG_HEART_RATE", 57), texts)))
    check_damage(read_aecg, document.encode())


# ---------------------------------------------------------------------------------------------------------------------
# Real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "least_mv", "age", "sex"),
    [
        ("aecg/ecgtoolkit_Example", 0.0025, 49, "male"),
        ("aecg/fda_Example_aECG", 0.0025, 49, "male"),
        ("aecg/fda_subject1_0", 0.0025, 49, "male"),
        ("aecg/fda_subject2_1", 0.0025, 49, "male"),
        ("aecg/liryc_example", 0.005, None, None),
        ("philips_xml/ad4d3d80-d165_1-04_converted", 0.005, 32, "female"),
    ],
)
def test_real_files(formats, name, least_mv, age, sex):
    path = formats / f"{name}.xml"
    ecg = read_ecg(path)
    check_reference(ecg, path, least_mv)
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (age, sex)


@pytest.mark.data
def test_a_scale_in_millivolts(formats):
    ecg = read_ecg(formats / "bugs/aecg/unit_mV_scale_0.0025.xml")
    assert np.allclose(ecg.signal, read_ecg(formats / "aecg/ecgtoolkit_Example.xml").signal, atol=1e-5)


@pytest.mark.data
def test_biosig_writes_an_origin(formats):
    ecg = read_ecg(formats / "made/biosig_HL7aECG.xml")
    with np.load(formats / "made/truth.npz") as truth:
        rows = [ecg.leads.index(str(lead)) for lead in truth["leads"]]
        assert np.abs(ecg.signal[rows] - truth["signal"]).max() < 0.00025


@pytest.mark.data
def test_an_empty_and_a_tiny_file_are_refused(formats):
    with pytest.raises(EcgclipError, match="no rhythm"):
        read_ecg(formats / "aecg/fda_empty.xml")
    with pytest.raises(EcgclipError, match="too short"):
        read_ecg(formats / "aecg/fda_minimum_aecg.xml")
