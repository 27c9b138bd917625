"""Exports of the Health app, in the languages and number formats of phones."""

import numpy as np
import pytest
from arrays_written import check_mutations, read, refused, samples, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.io.apple import read_apple
from ecgclip.io.formats import format_by

ECG = smooth(1)[0] * 1000 * 1.3 + 0.123  # µV
ENGLISH = (
    ("Name", "Date of Birth", "Recorded Date", "Classification", "Symptoms", "Software Version", "Device"),
    ("Sample Rate", "Lead", "Unit"),
)
GERMAN = (
    ("Name", "Geburtsdatum", "Aufgezeichnet am", "Klassifizierung", "Symptome", "Softwareversion", "Gerät"),
    ("Messrate", "Ableitung", "Einheit"),
)
FRENCH = (
    ("Nom", "Date de naissance", "Date d’enregistrement", "Classification", "Symptômes", "Version", "Appareil"),
    ("Fréquence d’échantillonnage", "Dérivation", "Unité"),
)
CHINESE = (("姓名", "出生日期", "记录日期", "分类", "症状", "软件版本", "设备"), ("采样率", "导联", "单位"))


def export(keys, birth, rate, lead, write, said="Sinus Rhythm", symptoms="None", signal=ECG):
    first = ("Erika Musterfrau", birth, "2021-03-28 09:40:52 +0200", said, symptoms, "1.90", '"Watch4,1"')
    top = "\n".join(f"{key},{value}" for key, value in zip(keys[0], first, strict=True))
    below = "\n".join(f"{key},{value}" for key, value in zip(keys[1][1:], (lead, "µV"), strict=True))
    return f"{top}\n{keys[1][0]},{rate}\n\n\n{below}\n\n" + "\n".join(map(write, signal)) + "\n"


def point(value):
    return f"{value:.3f}"


def comma(value):
    return f"{value:.3f}".replace(".", ",")


def thousands(value):
    return f"{value:,.3f}"


def dotted(value):
    return f"{value:,.3f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def short(value):
    return f"{value:.3f}".rstrip("0").rstrip(".").replace(".", ",")


def arabic(value):
    return f"{value:.3f}".replace(".", "٫").translate({ord(str(k)): chr(0x660 + k) for k in range(10)})


@pytest.mark.parametrize(
    ("keys", "birth", "rate", "lead", "write", "hz"),
    [
        (ENGLISH, '"Apr 1, 1971"', "512 hertz", "Lead I", point, 512),
        (ENGLISH, "1971-04-01", "512.844 hertz", "Lead I", thousands, 512.844),
        (GERMAN, "01.04.1971", "511,562\u00a0Hertz", "Ableitung I", comma, 511.562),
        (GERMAN, "01.04.1971", "512\u00a0Hertz", "Ableitung I", dotted, 512),
        (FRENCH, "1 avr. 1971", "512,347 hertz", "Dérivation I", short, 512.347),
        (CHINESE, "1971年4月1日", "512赫兹", "导联 I", point, 512),
        (CHINESE, "1971年4月1日", "٥١٢ هرتز", "I", arabic, 512),
    ],
)
def test_an_export_is_read_whatever_the_language(keys, birth, rate, lead, write, hz):
    text = export(keys, birth, rate, lead, write)
    assert format_by(text.encode()[:8192]).name == "Apple Health"
    recording = read(text.encode())
    (channel,) = recording.channels
    assert (channel.unit, channel.rate) == ("uV", hz) and channel.name in ("I", lead)
    assert np.allclose(channel.samples, ECG, atol=5e-4)
    assert recording.metadata["age"] in (49, 50)  # the day before the birthday; French months are not known
    assert recording.metadata["time"] == "2021-03-28T09:40:52+02:00"
    assert recording.metadata["statements"] == ["Sinus Rhythm"]
    assert recording.metadata["device"] == "Apple Watch4,1"


def test_nothing_of_the_person_is_kept():
    recording = read(export(GERMAN, "01.04.1971", "512 Hertz", "Ableitung I", comma).encode())
    kept = repr((recording.metadata, recording.notes, recording.channels[0].name))
    assert not any(word in kept for word in ("Erika", "Musterfrau", "1971", "01.04"))


def test_symptoms_may_contain_commas():
    text = export(GERMAN, "01.04.1971", "512 Hertz", "Ableitung I", comma, symptoms='"Herzrasen, Schwindel"')
    assert read(text.encode()).metadata["comments"] == ["Symptome: Herzrasen, Schwindel"]
    text = export(GERMAN, "01.04.1971", "512 Hertz", "Ableitung I", comma, symptoms="Herzrasen, Schwindel, 120")
    recording = read(text.encode())
    assert recording.channels[0].rate == 512 and len(recording.channels[0].samples) == len(ECG)


@given(st.lists(st.floats(-9999, 9999).map(lambda v: round(v, 3)), min_size=20, max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_number_format_gives_the_same_samples(signal):
    signal = np.array([*signal, 0.123, -180.596, -0.5])
    for write in (point, comma, arabic):
        text = export(GERMAN, "01.04.1971", "512 Hertz", "Ableitung I", write, signal=signal)
        assert np.allclose(samples(read(text.encode()))[0], signal, atol=5e-4)


def test_a_spreadsheet_may_have_written_it_again():
    text = export(GERMAN, "01.04.1971", "512 Hertz", "Ableitung I", comma)
    again = text.replace("\n", "\r\n").replace(",", ";", 1)
    for key in (*GERMAN[0], *GERMAN[1]):
        again = again.replace(f"{key},", f"{key};")
    recording = read(again.encode("utf-16"))
    assert recording.channels[0].rate == 512 and np.allclose(samples(recording)[0], ECG, atol=5e-4)


def test_an_export_without_person_and_unit_is_read():
    lines = ["Recorded Date,2024-06-15 10:30:00 +0900", "Average Heart Rate,64 bpm", "Sample Rate,512 Hz", ""]
    recording = read("\n".join([*lines, *map(point, ECG)]).encode())
    assert recording.channels[0].rate == 512 and recording.metadata["measurements"] == {"heart_rate": 64}


def test_damage_is_told_in_one_line():
    text = export(ENGLISH, "1971-04-01", "512 hertz", "Lead I", point, signal=ECG[:600])
    with refused("^broken: sample 601 is not a number"):
        read((text + "x1\n").encode(), "broken")
    check_mutations(text.encode(), read_apple, seed=3)
