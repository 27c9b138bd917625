"""A label that is a number is read as a test, in the quantity's own unit; anything else is no number."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.knowledge import numbers
from ecgclip.knowledge.criteria.parser import parse_test
from ecgclip.knowledge.numbers import number_test


def lines(text):
    return pytest.mark.parametrize("typed, test", [line.strip().split(" -> ") for line in text.strip().splitlines()])


@lines("""
    QTc > 500 -> QTc > 500 ms
    QTc>500 -> QTc > 500 ms
    QTc ≥ 480 ms -> QTc >= 480 ms
    PR > 300 ms -> PR > 300 ms
    PR > 0,3 s -> PR > 300 ms
    rate < 40 -> rate < 40 /min
    heart rate over 100 bpm -> rate > 100 /min
    Frequenz unter 40 -> rate < 40 /min
    Herzfrequenz mindestens 100/min -> rate >= 100 /min
    rate not above 100 -> rate <= 100 /min
    rate 40 or less -> rate <= 40 /min
    QRS >= 120 -> QRS >= 120 ms
    QRS > 0.12 s -> QRS > 120 ms
    QRS-Breite über 120 ms -> QRS > 120 ms
    narrow QRS < 120 ms -> QRS < 120 ms
    PQ-Zeit > 200 ms -> PR > 200 ms
    PR interval longer than 200 ms -> PR > 200 ms
    axis < -30 -> axis < -30 deg
    Achse über 90 Grad -> axis > 90 deg
    RR > 2 s -> RR > 2000 ms
    RR-Abstand > 2 s -> RR > 2000 ms
    Pause über 3 Sekunden -> pause > 3000 ms
    prolonged QTc (> 500 ms) -> QTc > 500 ms
    QTc 500+ -> QTc >= 500 ms
    bradycardia < 40 -> rate < 40 /min
    atrial rate > 250 -> atrial_rate > 250 /min
    P-Dauer > 120 ms -> P_duration > 120 ms
    more than 6 PVCs -> early_wide > 6
""")
def test_a_sign_and_a_number(typed, test):
    assert str(number_test(typed)) == test


@lines("""
    QTc 480-500 ms -> QTc between 480 and 500 ms
    QTc zwischen 480 und 500 ms -> QTc between 480 and 500 ms
    480 < QTc < 500 -> QTc between 480 and 500 ms
    heart rate 60-100 -> rate between 60 and 100 /min
    PR 0.12 to 0.2 s -> PR between 120 and 200 ms
    axis between -30 and -90 -> axis between -90 and -30 deg
    axis -90 to 180 -> axis between 180 and -90 deg
""")
def test_a_range(typed, test):
    assert str(number_test(typed)) == test


@lines("""
    HR 120 -> rate between 115 and 125 /min
    QTc 520 -> QTc between 500 and 540 ms
    axis -45° -> axis between -60 and -30 deg
    Frequenz von 40/min -> rate between 35 and 45 /min
    pause of 3 s -> pause >= 3000 ms
    3 second pause -> pause >= 3000 ms
    2 mm ST elevation in V2 -> ST >= 0.2 mV in all of V2
    15 PVCs -> early_wide >= 15
""")
def test_a_number_without_a_sign_is_roughly_that_or_at_least_so_much(typed, test):
    assert str(number_test(typed)) == test


@lines("""
    ST elevation > 2 mm in V2 -> ST > 0.2 mV in all of V2
    V2 ST elevation > 2 mm -> ST > 0.2 mV in all of V2
    ST elevation > 0.2 in V2 -> ST > 0.2 mV in all of V2
    ST elevation > 2 in V2 -> ST > 0.2 mV in all of V2
    ST elevation in V1-V3 > 2 mm -> ST > 0.2 mV in all of V1 V2 V3
    ST elevation > 1 mm in any lead -> ST > 0.1 mV in any of all
    ST elevation > 1 mm in two contiguous leads -> ST > 0.1 mV in 2 contiguous of all
    ST-Hebung > 1 mm in den inferioren Ableitungen -> ST > 0.1 mV in 2 contiguous of inferior
    ST-Senkung > 1 mm in V4 bis V6 -> ST < -0.1 mV in all of V4 V5 V6
    ST depression > 1 mm in V5 or V6 -> ST < -0.1 mV in any of V5 V6
    ST depression of 2 mm -> ST <= -0.2 mV in any of all
    T wave inversion > 1 mm in V2 and V3 -> T < -0.1 mV in all of V2 V3
    R in aVL > 11 mm -> R > 1.1 mV in all of aVL
    S V1 > 2.4 mV -> S > 2.4 mV in all of V1
    P > 2.5 mm -> P > 0.25 mV in all of II
    Q > 40 ms in III -> Q_ms > 40 ms in all of III
    QRS voltage < 5 mm in all limb leads -> QRS_height < 0.5 mV in all of limb
""")
def test_a_wave_has_its_leads(typed, test):
    assert str(number_test(typed)) == test


@pytest.mark.parametrize(
    "typed",
    [
        *("PR 1", "1st degree", "1st degree AV block", "2:1 block", "flutter 4:1", "Mobitz 2", "AV-Block 1. Grades"),
        *("V1", "II", "T1", "S1Q3T3", "LQT1", "Brugada type 1", "CPVT2", "12 lead ECG", "Killip 3", "I47.2"),
        *("EF < 35%", "K 7.2", "potassium > 6", "BP > 180", "age > 65", "PVC burden > 10%", "PVCs > 30/h"),
        *(
            "QRS > 5 mV",
            "PR > 20 mm",
            "rate > 5000",
            "RR 60 ms",
            "QRS 12",
            "R > 1.1 mV",
            "R > 5 in V1",
            "QTc > 500 in V5",
        ),
        *("QTc prolonged by 60 ms", "HR 80 and AF", "R > S in V1", "ST elevation in II, III and aVF", "", "1" * 500),
    ],
)
def test_what_is_no_number_of_an_ecg_is_none(typed):
    assert number_test(typed) is None


SIGNS = {">": ">", "over": ">", "über": ">", "<=": "<=", "at most": "<=", "mindestens": ">=", "less than": "<"}


@given(
    st.sampled_from(["QTc", "qtc", "QTc interval", "QTc-Zeit"]), st.sampled_from(sorted(SIGNS)), st.integers(200, 900)
)
def test_milliseconds_and_seconds_say_the_same(name, sign, ms):
    expected = f"QTc {SIGNS[sign]} {ms} ms"
    for number in (f"{ms} ms", f"{ms}", f"{ms}ms", f"{ms / 1000} s", f"{ms / 1000:.3f} sec".replace(".", ",")):
        assert str(number_test(f"{name} {sign} {number}")) == expected


@given(st.integers(1, 19), st.sampled_from(["V1", "V5", "III", "aVL"]))
def test_millimetres_and_millivolts_say_the_same(mm, lead):
    for number in (f"{mm} mm", f"{mm / 10} mV", f"{mm * 100} µV"):
        test = number_test(f"ST elevation >= {number} in {lead}")
        assert test == number_test(f"{lead} ST-Hebung mindestens {number}")
        assert test == parse_test(f"ST >= {mm / 10} mV in all of {lead}")


PIECES = [
    *(
        "QTc",
        "rate",
        "ST elevation",
        "axis",
        "R",
        "PR",
        "pause",
        "PVCs",
        "Frequenz",
        ">",
        "<=",
        "über",
        "between",
        "to",
    ),
    *(
        "-",
        "120",
        "0,3",
        "-30",
        "2",
        "ms",
        "s",
        "mm",
        "mV",
        "°",
        "bpm",
        "%",
        "in",
        "V2",
        "II, III",
        "any lead",
        "or more",
    ),
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)))
def test_any_text_is_a_sound_test_or_none(text):
    test = number_test(text)
    assert test is None or parse_test(str(test)) == test


def test_the_names_of_the_knowledge_base_are_no_numbers(kb):
    names = [name for concept in kb.concepts.values() for name in concept.names]
    assert [name for name in names if number_test(name)] == []


def test_the_examples_in_the_docstrings_hold():
    results = doctest.testmod(numbers)
    assert results.attempted
    assert not results.failed
