"""Age, sex and diagnoses out of comments."""

import pytest
from written import write

from ecgclip.io.beside import metadata_of
from ecgclip.io.metadata import MARK, comment_lines, date_of, iso_time, parse_comments, stated
from ecgclip.io.read import read_ecg
from ecgclip.io.values import sex


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        ("#Age: 81\n#Sex: Female\n", 81, "female"),
        ("# age: 42\n# sex: male\n", 42, "male"),
        ("#Age: NaN\n#Sex: Unknown\n", None, None),
        ("# 69 M 1085 1629 x1\n# Aldomet, Inderal\n", 69, "male"),
        ("# <age>: 83  <sex>: F  <diagnoses>: (none)\n", 83, "female"),
        ("#Age: 300\n", None, None),
        ("#Age:\n#Sex:\n#\n", None, None),
        ("", None, None),
    ],
)
def test_age_and_sex(tmp_path, comments, age, sex):
    metadata = read_ecg(write(tmp_path, extra=comments)).metadata
    assert (metadata["age"], metadata["sex"]) == (age, sex)
    assert metadata["comments"] == [line.lstrip("# ").strip() for line in comments.splitlines()]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("6 months", 0.5),
        ("6m", 0.5),
        ("6mo", 0.5),
        ("006M", 0.5),
        ("18 Monate", 1.5),
        ("3 days", 3 / 365.25),
        ("3 Tage", 3 / 365.25),
        ("2 weeks", 2 / 52.18),
        ("2 Wochen", 2 / 52.18),
        ("12 hours", 0.5 / 365.25),
        ("<1", 0.5),
        (">89", 89),
        ("0,5", 0.5),
        ("63Y", 63),
        ("45 Jahre", 45),
        ("71 years old", 71),
        ("45 M", 45),
        ("12 parsecs", None),
        ("-3", None),
        ("1e5", None),
    ],
)
def test_ages_in_other_units_are_years(tmp_path, text, years):
    age = read_ecg(write(tmp_path, extra=f"#Age: {text}\n")).metadata["age"]
    assert age == (None if years is None else pytest.approx(years, rel=0.01))


def test_diagnoses_are_listed(tmp_path):
    metadata = read_ecg(write(tmp_path, extra="#Dx: 164889003,59118001\n#Rx: Unknown\n")).metadata
    assert metadata["dx"] == ["164889003", "59118001"]
    assert metadata["fields"]["rx"] == "Unknown"


def test_lines_below_the_mark_are_ours_and_others_may_name_the_patient():
    ours = {"device": "Cart 5", "statements": ["Sinus rhythm"], "measurements": {"pr_ms": 160.0}}
    lines = comment_lines({**ours, "comments": ["Device: Ward 3 bed of Mr MILLER", "Statement: for Mr MILLER"]})
    assert stated(lines) == ours and stated([line for line in lines if line != MARK]) == {}
    assert stated([MARK, "Statement: Interpreted by SMITH, JANE"]) == {}
    assert comment_lines({"comments": [MARK, "x"]}) == ["x", MARK]


@pytest.mark.parametrize("word", ["F", "female", "W", "weiblich", "Femme"])
def test_sex_in_one_table(word):
    assert sex(word) == "female" == parse_comments([f"Sex: {word}"])["sex"] == metadata_of({"sex": word})["sex"]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20240101093000", "2024-01-01T09:30:00"),
        ("2024-01-01T09:30", "2024-01-01T09:30:00"),
        ("2024-01-01 09:30:00.250", "2024-01-01T09:30:00"),
        ("2021-04-16T15:19:09+05:30", "2021-04-16T15:19:09+05:30"),
        ("2021-04-16T15:19:09Z", "2021-04-16T15:19:09+00:00"),
        ("2021-04-16T15:19:09-0430", "2021-04-16T15:19:09-04:30"),
        ("19900515", "1990-05-15"),
        ("2024-13-01", None),
        ("T", None),
        (None, None),
    ],
)
def test_times_in_one_form(text, time):
    assert iso_time(text) == time
    assert (date_of(text) is None) == (time is None)
