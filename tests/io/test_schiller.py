"""What `read_schiller` promises: the rhythm of a SEMA XML file in the file's unit, or one clear line."""

import io

import numpy as np
import pytest
from mutated import mutations

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io.file import File
from ecgclip.io.formats import format_of
from ecgclip.io.read import read_ecg
from ecgclip.io.schiller import read_schiller

COUNTS = {name: np.random.default_rng(i).integers(-400, 400, 1000) for i, name in enumerate(LEADS)}
ROOTS = ("comXiriuzSemaXmlSchillerEDISchillerEDI", "com.xiriuz.sema.xml.schillerEDI.SchillerEDI")


def wave(leads, kind="ECG_RHYTHMS", rate=500, scale="5", units="UV", exponent="1", datatype="COMMASEPARATE"):
    channels = (
        f"<channel><name>{name}</name><datastype>{datatype}</datastype>"
        f"<data>{','.join(map(str, counts))},</data></channel>"
        for name, counts in leads.items()
    )
    return f"""<wavedata><type>{kind}</type><resolution><samplerate><value>{rate}</value><exponent>{exponent}</exponent>
    </samplerate><yres><unitperbit>{scale}</unitperbit><units>{units}</units></yres></resolution>{"".join(channels)}
    </wavedata>"""


def document(*waves, root=ROOTS[1], patient="<birthdate>19500501</birthdate><gender>FEMALE</gender>"):
    return File(
        "s.xml",
        f"""<?xml version="1.0"?><{root}><patdata><id>P7</id><lastname>MUSTER</lastname>{patient}</patdata>
<examdescript><startdatetime><date>20200430</date><time>101112</time></startdatetime>
<aquiringdevice><hardware><vendor>SCHILLER</vendor><model>AT-102</model></hardware></aquiringdevice></examdescript>
<eventdata><event>{"".join(waves)}
<annotation_global><name>HR</name><value>61</value><name>PQ</name><value>160</value></annotation_global>
<annotation_global><name>QTc</name><value>410</value></annotation_global>
<annotation_global><name>QRS axis</name><value>-</value></annotation_global>
<textdata><type>ECG_INTERPRETATION</type><textdata>SINUS RHYTHM</textdata></textdata>
<textdata><type>COMMENT</type><textdata>call Dr Who</textdata></textdata></event></eventdata></{root}>""".encode(),
    )


def fails(file, *words):
    with pytest.raises(EcgclipError) as caught:
        read_schiller(file)
    message = str(caught.value)
    assert message.startswith("s.xml: ") and "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("root", ROOTS)
def test_the_rhythm_not_the_averages(root):
    beats = {name: counts[:300] for name, counts in COUNTS.items()}
    file = document(wave(beats, "ECG_AVERAGES", 1000), wave(COUNTS), root=root)
    assert format_of(file).name == "Schiller XML"
    recording = read_schiller(file)
    assert [c.name for c in recording.channels] == list(LEADS)
    for one in recording.channels:
        np.testing.assert_allclose(one.samples, COUNTS[one.name] * 5.0)
        assert (one.unit, one.rate) == ("UV", 500)
    assert recording.notes == ()


def test_it_becomes_an_ecg_in_millivolts():
    ecg = read_ecg(io.BytesIO(document(wave(COUNTS)).data), name="s.xml")
    np.testing.assert_allclose(ecg.signal[0], COUNTS["I"] * 0.005, rtol=1e-5)
    assert "MUSTER" not in str(ecg.metadata) and "Who" not in str(ecg.metadata)


def test_metadata():
    assert read_schiller(document(wave(COUNTS))).metadata == {
        "age": 69,
        "sex": "female",
        "time": "2020-04-30T10:11:12",
        "device": "SCHILLER AT-102",
        "statements": ["SINUS RHYTHM"],
        "measurements": {"heart_rate": 61, "pr_ms": 160, "qtc_ms": 410},
        "patient_id": "P7",
    }


def test_what_is_not_said_or_not_known_is_told():
    no_unit = read_schiller(document(wave(COUNTS, scale="")))
    assert no_unit.channels[0].unit is None
    np.testing.assert_array_equal(no_unit.channels[0].samples, COUNTS["I"])
    assert "exponent 3" in read_schiller(document(wave(COUNTS, exponent="3"))).notes[0]
    short = {"I": COUNTS["I"][:500]}
    both = read_schiller(document(wave(short), wave(COUNTS)))
    assert len(both.channels) == 12 and "left out 1 shorter of 2 rhythms" in both.notes


def test_damage_is_told():
    fails(document(), "no rhythm")
    fails(document(wave(COUNTS, "ECG_AVERAGES")), "no rhythm")
    fails(document(wave({"V1": [1, 2, "x"]})), "lead V1", "not a number")
    fails(document(wave({"V1": [1, "", 3]})), "lead V1", "missing")
    fails(document(wave(COUNTS, datatype="BASE64")), "lead I", "BASE64")


def test_mutated_files_give_an_ecg_or_one_line():
    for data in mutations(document(wave(COUNTS)).data, b'019-,<>"/eAZ\xff\x00'):
        try:
            read_schiller(File("s.xml", data))
        except EcgclipError as error:
            assert str(error).startswith("s.xml: ") and "\n" not in str(error)


@pytest.mark.data
def test_the_made_file_equals_the_record_that_it_was_made_from(formats):
    ecg, truth = read_ecg(formats / "made" / "schiller.xml"), np.load(formats / "made" / "truth.npz")
    assert ecg.leads == tuple(truth["leads"]) and ecg.sampling_rate == truth["fs"]
    np.testing.assert_allclose(ecg.signal, truth["signal"], rtol=0, atol=1e-6)
