"""What `read_kardia` promises: the raw signal of a recording of Kardia's API, or one clear line."""

import io
import json

import numpy as np
import pytest
from mutated import mutations

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.formats import format_of
from ecgclip.io.kardia import MOST_BYTES, read_kardia
from ecgclip.io.read import read_ecg

KEYS = ("leadI", "leadII", "leadIII", "AVR", "AVL", "AVF")
COUNTS = {name: np.random.default_rng(i).integers(-2000, 2000, 900).tolist() for i, name in enumerate(KEYS)}


def block(samples, **changes):
    known = {"frequency": 300, "mainsFrequency": 50, "samples": samples, "amplitudeResolution": 500, "numLeads": 6}
    return {key: value for key, value in (known | changes).items() if value is not None}


def recording(samples=COUNTS, changes=None, **fields):
    """Fields as in the example of Kardia's documentation."""
    document = {
        "id": "x1",
        "patientID": "P9",
        "heartRate": 89,
        "duration": 3000,
        "recordedAt": "2021-04-16T15:19:09+05:30",
        "algorithmDetermination": "too_short",
        "data": {"raw": block(samples, **(changes or {})), "enhanced": block({"leadI": [1] * 900})},
        "deviceInfo": {"hardwareType": "kardia_6l", "serialNumber": "20042543K"},
        "qtMeasurement": {"qt": {"Value": 354}, "rr": {"Value": 666.7}, "qtcb": {"Value": 434}},
    } | fields
    return File("k.json", json.dumps(document).encode())


def fails(file, *words):
    with pytest.raises(EcgclipError) as caught:
        read_kardia(file)
    message = str(caught.value)
    assert message.startswith("k.json: ") and "\n" not in message
    assert all(word in message for word in words), message


def test_the_raw_signal_in_nanovolts():
    file = recording()
    assert format_of(file).name == "Kardia JSON"
    found = read_kardia(file)
    assert [c.name for c in found.channels] == list(KEYS)
    for one in found.channels:
        np.testing.assert_array_equal(one.samples, np.array(COUNTS[one.name]) * 500)
        assert (one.unit, one.rate) == ("nV", 300)
    assert found.notes == ()
    ecg = read_ecg(io.BytesIO(file.data), name="k.json")
    assert ecg.leads == ("I", "II", "III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(ecg.signal[0], np.array(COUNTS["leadI"]) / 2000, rtol=1e-6)


def test_metadata():
    assert read_kardia(recording()).metadata == {
        "time": "2021-04-16T15:19:09+05:30",
        "device": "AliveCor kardia_6l",
        "statements": ["too short"],
        "measurements": {"heart_rate": 89, "qt_ms": 354, "qtc_ms": 434},
        "patient_id": "P9",
    }
    odd = read_kardia(recording(heartRate={}, recordedAt=7, algorithmDetermination=[], deviceInfo=3, qtMeasurement=[]))
    assert odd.metadata["measurements"] == {} and odd.metadata["time"] is None


def test_half_a_character_is_replaced():
    """JSON may hold what no text can: it would fail where it is hashed or printed."""
    ecg = read_ecg(io.BytesIO(recording({**COUNTS, "\ud800": [1]}, patientID="\udfff").data), name="k.json")
    assert ecg.metadata["patient"] and str(ecg.notes).encode()
    fails(recording({"\ud800\n": 1}), "not a list of numbers")


def test_what_is_missing():
    filtered = read_kardia(recording(data={"enhanced": block({"leadI": [1] * 900})}))
    assert "filtered" in filtered.notes[0] and len(filtered.channels) == 1
    bare = read_kardia(recording(changes={"amplitudeResolution": None, "frequency": "fast"})).channels[0]
    assert (bare.unit, bare.rate) == (None, None)
    gap = read_kardia(recording({"leadI": [1, None, 3]})).channels[0].samples
    np.testing.assert_array_equal(gap, [500, np.nan, 1500])


@pytest.mark.parametrize("samples", [[1, [2]], [[1, 2], [3, 4]], "123", [1, "a"], {"0": 1}, [10**400], [1, {}], None])
def test_samples_that_are_no_list_of_numbers_are_told(samples):
    fails(recording({"leadI": samples}), "leadI", "not a list of numbers")


def test_damage_and_other_documents_are_told():
    fails(File("k.json", recording().data[:-9]), "damaged JSON")
    fails(File("k.json", b'{"recordedAt": "\xff"}'), "damaged JSON")
    fails(File("k.json", b'{"recordedAt": ' + b"[" * 100_000), "within each other")
    fails(File("k.json", b'{"patientID": "' + b"x" * MOST_BYTES + b'"}'), "17 MB")
    fails(File("k.json", b"[1]"), "a JSON list")
    fails(recording(data={}), "not a recording")
    fails(recording(data12L={}), "12L")
    for other in (b'{"a": 1}', b"[1, 2, 3]"):
        with pytest.raises(EcgclipError, match="JSON of another kind"):
            format_of(File("k.json", other))


def test_mutated_files_give_an_ecg_or_one_line():
    for data in mutations(recording().data, b'019-,"{}[]:eN\xff', beginning=300):
        try:
            read_kardia(File("k.json", data))
        except EcgclipError as error:
            assert str(error).startswith("k.json: ") and "\n" not in str(error)


@pytest.mark.data
def test_the_made_file_equals_the_record_that_it_was_made_from(formats):
    ecg, truth = read_ecg(formats / "made" / "kardia_api.json"), np.load(formats / "made" / "truth.npz")
    assert ecg.leads == ("I", "II") and ecg.sampling_rate == 300
    at = np.arange(ecg.signal.shape[1]) / 300
    for row, signal in zip(ecg.signal, truth["signal"], strict=False):
        resampled = np.interp(at, np.arange(len(signal)) / truth["fs"], signal)
        np.testing.assert_allclose(row, resampled, rtol=0, atol=0.0003)  # half of 500 nV, and the made file's rounding
