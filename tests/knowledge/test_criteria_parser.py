"""Reading a test: what the language holds, what it refuses and how it says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.knowledge.criteria import parse_role, parse_test
from ecgclip.knowledge.criteria.limits import LIMIT_KINDS
from ecgclip.knowledge.criteria.named import NAMED
from ecgclip.knowledge.criteria.parser import MAX_DEPTH, MAX_LENGTH, contiguous_groups, parse_named
from ecgclip.knowledge.criteria.quantities import PLACES, QUANTITIES
from ecgclip.knowledge.criteria.tree import (
    And,
    Between,
    Compare,
    Count,
    Fact,
    Is,
    Limit,
    Named,
    Not,
    Number,
    Or,
    Quantity,
    Sum,
    Term,
    Where,
)


def quantity(name, lead=None, factor=1.0, beats=None):
    return Term(factor, Quantity(name, lead, beats))


def one(name, lead=None, factor=1.0, beats=None):
    return Sum((quantity(name, lead, factor, beats),))


QRS_WIDE = Compare(one("QRS"), ">=", Number(120, "ms"))


@pytest.mark.parametrize(
    "text, tree",
    [
        ("QRS >= 120 ms", QRS_WIDE),
        ("QRS ≥ 120 ms", QRS_WIDE),
        ("(QRS>=120ms)", QRS_WIDE),
        ("QRS >= qrs_wide", Compare(one("QRS"), ">=", Limit("qrs_wide"))),
        ("ST(V2) <= -st_down", Compare(one("ST", "V2"), "<=", Limit("st_down", negative=True))),
        ("R(V1) > 0.6 mV ± 0.1", Compare(one("R", "V1"), ">", Number(0.6, "mV", 0.1))),
        ("T(V2) < 0", Compare(one("T", "V2"), "<", Number(0))),
        ("T(V2) < −0.1 mV", Compare(one("T", "V2"), "<", Number(-0.1, "mV"))),
        ("J(III) > J(II)", Compare(one("J", "III"), ">", one("J", "II"))),
        ("QT > 0.5 * RR", Compare(one("QT"), ">", one("RR", factor=0.5))),
        ("QRS_net(I) >= -0.2 * R(I)", Compare(one("QRS_net", "I"), ">=", one("R", "I", -0.2))),
        (
            "nadir(V1) + R(V5) >= sokolow",
            Compare(Sum((quantity("nadir", "V1"), quantity("R", "V5"))), ">=", Limit("sokolow")),
        ),
        ("rate between 60 and 100 /min", Between(one("rate"), Number(60), Number(100, "/min"))),
        ("axis between -90 and -45 deg", Between(one("axis"), Number(-90), Number(-45, "deg"))),
        ("T(V2) between -t_flat and t_flat", Between(one("T", "V2"), Limit("t_flat", True), Limit("t_flat"))),
        ("early_wide = 0", Count(one("early_wide"), 0)),
        ("P_waves", Fact(Quantity("P_waves"))),
        ("early.P_before", Fact(Quantity("P_before", None, "early"))),
        ("irregular", Named("irregular")),
        ("q_waves:inferior", Named("q_waves:inferior")),
        ("is brugada-type-1", Is("brugada-type-1")),
        ("not irregular", Not(Named("irregular"))),
        ("not not irregular", Not(Not(Named("irregular")))),
        (
            "regular and P_waves or irregular",
            Or((And((Named("regular"), Fact(Quantity("P_waves")))), Named("irregular"))),
        ),
        (
            "regular and (P_waves or irregular)",
            And((Named("regular"), Or((Fact(Quantity("P_waves")), Named("irregular"))))),
        ),
        ("T < 0 in V2", Where(Compare(one("T"), "<", Number(0)), "all", False, ("V2",))),
        ("T < 0 in any of V1 V2", Where(Compare(one("T"), "<", Number(0)), "any", False, ("V1", "V2"))),
        ("T < 0 in all of all", Where(Compare(one("T"), "<", Number(0)), "all", False, ("all",))),
        ("T < 0 in most of chest", Where(Compare(one("T"), "<", Number(0)), "most", False, ("chest",))),
        ("T < 0 in 3 of inferior V6", Where(Compare(one("T"), "<", Number(0)), 3, False, ("inferior", "V6"))),
        (
            "ST >= st_up in 2 contiguous of anterior",
            Where(Compare(one("ST"), ">=", Limit("st_up")), 2, True, ("anterior",)),
        ),
        ("discordant in most of all", Where(Named("discordant"), "most", False, ("all",))),
        (
            "not T < 0 in any of V1 V2",
            Not(Where(Compare(one("T"), "<", Number(0)), "any", False, ("V1", "V2"))),
        ),
    ],
)
def test_reads(text, tree):
    assert parse_test(text) == tree


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "a test is a text"),
        ("   ", "a test is a text"),
        ("QRZ >= 120 ms", "unknown quantity 'QRZ'; did you mean"),
        ("qrs >= 120 ms", "unknown quantity 'qrs'; did you mean QRS"),
        ("QRS >= 120", "120 has no unit: QRS is in ms"),
        ("QRS >= 120 mV", "QRS is in ms, not in mV"),
        ("early_wide >= 1 ms", "not in ms"),
        ("early_wide >= 1 ± 1", "whole number"),
        ("early_wide >= 0.5", "whole number"),
        ("QRS >= 120 ms ± 0", "above 0"),
        ("QRS", "compared with nothing"),
        ("QRS >=", "a quantity is missing (at the end)"),
        ("QRS >= qrs_wid", "unknown limit or quantity 'qrs_wid'; did you mean qrs_wide"),
        ("QRS >= st_up", "st_up is in mV and QRS in ms"),
        ("QRS between pr_short and 100000 mV", "not in mV"),
        ("QRS between 100 and 120", "'between' has no unit"),
        ("QRS between 120 and 100 ms", "from the lower to the higher"),
        ("QRS between 100 or 120 ms", "'and' is missing"),
        ("axis between 30 and 390 deg", "all angles or none"),
        ("2 * axis > 90 deg", "an angle stands alone"),
        ("QRS + R(V1) > 3 mV", "adds mV and ms"),
        ("QRS > R(V1)", "QRS is in ms and R(V1) in mV"),
        ("QRS = 120", "'=' is for counts"),
        ("early_wide = 1.5", "a whole number is missing"),
        ("ST >= 0.1 mV", "ST is of one lead: name it"),
        ("ST >= 0.1 mV and QRS >= 120 ms", "ST is of one lead"),
        ("discordant", "discordant is of one lead"),
        ("ST(V9) >= 0.1 mV", "unknown lead 'V9'"),
        ("QRS(V1) >= 120 ms", "QRS is of the whole ECG"),
        ("QRS >= 120 ms in any of V1 V2", "nothing here is of a lead"),
        ("T < 0 in any V1 V2", "'of' is missing"),
        ("T < 0 in any of", "a lead or territory is missing"),
        ("T < 0 in any of V1 septum", "'and', 'or' or 'in' is missing"),
        ("T < 0 in any of septum", "unknown lead or territory 'septum'; did you mean septal"),
        ("T < 0 in some of V1", "after 'in' comes"),
        ("T < 0 in 3 of V1 V2", "3 leads of 2 are asked for"),
        ("T < 0 in 2 contiguous of V1 V3", "no 2 of V1 V3 are contiguous"),
        ("R - R(V1) > t_tall in any of V2 V3", "compare it with a value of one lead"),
        ("(QRS >= 120 ms", "')' is missing"),
        ("QRS >= 120 ms)", "an open bracket is missing"),
        ("QRS >= 120 ms QRS", "'and', 'or' or 'in' is missing"),
        ("regular and", "a quantity is missing"),
        ("early P_before", "'.' is missing"),
        ("2 * P_waves", "yes or no"),
        ("0 * QRS > 1 ms", "a factor of 0"),
        ("__import__('os')", "cannot be read from"),
        ("QRS >= 1e3 ms", "1 has no unit"),
        ("(" * (MAX_DEPTH + 1) + "regular" + ")" * (MAX_DEPTH + 1), "brackets within one another"),
        ("not " * (MAX_DEPTH + 1) + "regular", "brackets within one another"),
        ("regular and " * (MAX_LENGTH // 12) + "regular", f"{MAX_LENGTH} characters at most"),
    ],
)
def test_refuses_in_one_line(text, words):
    with pytest.raises(EcgclipError) as error:
        parse_test(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_reads(name):
    tree = parse_named(NAMED[name])
    assert parse_named(str(tree)) == tree


def test_no_name_means_two_things():
    assert not NAMED.keys() & QUANTITIES.keys()
    assert not LIMIT_KINDS.keys() & QUANTITIES.keys()
    assert not PLACES.keys() & QUANTITIES.keys()


def test_contiguous_leads():
    assert contiguous_groups(2, ["V1", "V2", "V4"]) == [("V1", "V2")]
    assert contiguous_groups(2, ["I", "aVL", "V4", "V5", "V6"]) == [("I", "aVL"), ("V4", "V5"), ("V5", "V6")]
    assert len(contiguous_groups(2, ["II", "III", "aVF"])) == 3
    assert contiguous_groups(3, LEADS) == [("II", "III", "aVF"), *[tuple(LEADS[i : i + 3]) for i in range(6, 10)]]
    assert contiguous_groups(2, ["aVR", "V1"]) == []


@pytest.mark.parametrize(
    "text, role",
    [
        (None, ("supporting", 0, "")),
        ("required", ("required", 0, "")),
        ("against", ("against", 0, "")),
        ("one of voltage", ("group", 1, "voltage")),
        ("2 of signs", ("group", 2, "signs")),
    ],
)
def test_roles(text, role):
    assert parse_role(text) == role


@pytest.mark.parametrize("text", ["", "Required", "two of signs", "0 of signs", "one of", 3, ["required"]])
def test_what_is_no_role(text):
    with pytest.raises(EcgclipError, match="unknown role"):
        parse_role(text)


# --- properties -------------------------------------------------------------------------------------------------------

WORDS = [
    *(
        [
            "and",
            "or",
            "not",
            "in",
            "is",
            "between",
            "any",
            "all",
            "most",
            "of",
            "contiguous",
            "(",
            ")",
            ">=",
            "<=",
            ">",
            "<",
            "=",
            "±",
            "+",
            "-",
            "*",
            ".",
            "0",
            "1",
            "2",
            "0.1",
            "120",
            "mV",
            "ms",
            "/min",
            "%",
            "deg",
        ]
    ),
    *(
        [
            "QRS",
            "ST",
            "T",
            "R",
            "rate",
            "axis",
            "early_wide",
            "P_waves",
            "early",
            "irregular",
            "discordant",
            "q_waves:inferior",
            "st_up",
            "qrs_wide",
        ]
    ),
    *(["V1", "V2", "aVL", "inferior", "chest is left-bundle-branch-block"]),
]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)))
def test_any_text_is_a_test_or_one_line_of_complaint(text):
    try:
        tree = parse_test(text)
    except EcgclipError as error:
        assert "\n" not in str(error)
    else:
        assert parse_test(str(tree)) == tree


NUMBERS = st.integers(-9999, 9999).map(lambda n: n / 100)
COMPARED = st.one_of(
    st.builds(
        lambda name, sign, number: Compare(one(name), sign, Number(number, "mV")),
        st.sampled_from(["ST", "T", "R"]),
        st.sampled_from([">=", ">", "<=", "<"]),
        NUMBERS,
    ),
    st.builds(
        lambda name, other, factor: Compare(one(name), ">", one(other, factor=factor)),
        st.sampled_from(["ST", "T"]),
        st.sampled_from(["R", "S"]),
        NUMBERS.filter(bool),
    ),
)
PLACED = st.builds(
    Where,
    st.recursive(COMPARED, lambda t: st.lists(t, min_size=2, max_size=3).map(lambda ts: And(tuple(ts)))),
    st.sampled_from(["any", "all", "most", 2]),
    st.just(False),
    st.lists(st.sampled_from(LEADS), min_size=2, max_size=4, unique=True).map(tuple),
)
TESTS = st.recursive(
    st.one_of(PLACED, st.sampled_from([Named("regular"), Is("stemi"), Fact(Quantity("P_waves")), QRS_WIDE])),
    lambda t: st.one_of(
        t.map(Not),
        st.lists(t, min_size=2, max_size=3).map(lambda ts: And(tuple(ts))),
        st.lists(t, min_size=2, max_size=3).map(lambda ts: Or(tuple(ts))),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(TESTS)
def test_what_a_tree_is_written_as_reads_as_that_tree(tree):
    text = str(tree)
    if len(text) <= MAX_LENGTH and text.count("(") + text.count("not ") < MAX_DEPTH:
        assert parse_test(text) == tree
