"""Samples, dates and words of XML documents."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import EcgclipError
from ecgclip.io.values import age_at, samples, unsigned


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-(2**23), 2**23), max_size=9), st.sampled_from([" ", ",", ", ", "\n", " ,"]))
def test_samples_come_back_whatever_stands_between_them(values, between):
    assert samples(between.join(map(str, values)), "f").tolist() == values


def test_samples_may_have_decimals_or_be_missing():
    assert samples("1.5 -2e1 nan", "f") == pytest.approx(np.array([1.5, -20, np.nan]), nan_ok=True)
    assert samples(" 1,2,3,\n", "f").tolist() == [1, 2, 3]
    assert samples(None, "f").size == 0


@pytest.mark.parametrize("text", ["1 2 x", "1,,3", "0x10", "1.2.3", "1;2"])
def test_other_words_are_no_samples(text):
    with pytest.raises(EcgclipError, match=r"^f\.xml: lead I holds "):
        samples(text, "f.xml: lead I")


@pytest.mark.parametrize(
    ("birth", "years"),
    [((1961, 5, 10), 60), ((1961, 5, 11), 59), ((2021, 5, 10), 0), ((2020, 11, 9), 0.5), ((1900, 1, 1), None)],
)
def test_age_in_whole_years_and_below_two_in_fractions(birth, years):
    assert age_at(datetime(2021, 5, 10, 13), datetime(*birth)) == pytest.approx(years, abs=0.01)
    assert age_at(None, datetime(*birth)) is None


def test_statements_with_a_signature_are_left_out():
    signed = [
        "Confirmed by SMITH, JOHN (12) on 5/10/2021",
        "Electronically signed by J. Smith",
        "Referred By: SMITH",
        "Unconfirmed by Dr. Smith",
        "Befundet durch Müller",
        "Bestätigt von Müller",
        "Validé par Dr Dupont",
        "Technician: AB",
    ]
    kept = [
        "Sinus rhythm",
        "Unconfirmed report",
        "Nonspecific ST abnormality",
        "Referred for pacemaker",
        "Dropped beats",
    ]
    signed += ["Befundet: Meier", "Confirmed: SMITH", "Abnormal, Dr"]
    assert unsigned([*signed, *kept, None, "Sinus rhythm"]) == kept
