"""Targets: what is unknown stays unknown, and measurement decides what nobody codes."""

import numpy as np
import pytest

from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.data.windows import MAX_BEATS, Windows
from ecgclip.measure.guideline import finding_texts
from ecgclip.train.targets import targets

KEYS = tuple(finding_texts())


def windows(case, **findings):
    """A window for each index of `case`; findings by key ("rate_above_100") for all of them, the rest unknown."""
    n = len(case)
    found = np.full((n, len(KEYS)), UNKNOWN, np.int8)
    for key, values in findings.items():
        found[:, KEYS.index(key.replace("__", ":"))] = values
    return Windows(
        np.zeros((n, 12, 1000), np.float16),
        np.ones((n, 12), bool),
        np.full(n, 1000),
        np.full((n, MAX_BEATS), np.nan, np.float32),
        np.ones((n, 1, 12), bool),
        np.zeros((n, 1, 3), np.float32),
        np.zeros((n, 1), np.float32),
        found,
        np.full((n, MAX_BEATS), UNKNOWN, np.int16),
        np.array(case),
        np.full((n, 2), np.nan, np.float32),
        KEYS,
        (),
    )


def test_unknown_is_neither_present_nor_absent():
    cases = [Case("s", "p", "1", {"atrial-fibrillation": True, "sinus-rhythm": False}), Case("s", "q", "2", {})]
    table = targets(cases, windows([0, 1, 1]), ("atrial-fibrillation", "sinus-rhythm", "atrial-flutter", "tachycardia"))
    assert table.tolist() == [[1, 0, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]]


@pytest.mark.parametrize(
    "coded, measured, expected",
    [
        (None, 1, 1),
        (None, 0, 0),
        (None, UNKNOWN, UNKNOWN),
        (True, 0, 1),  # a coded statement stands
        (False, 1, 1),  # nobody codes what is plain to see
        (False, 0, 0),
        (False, UNKNOWN, UNKNOWN),
    ],
)
def test_a_measured_concept_is_decided_by_measurement(coded, measured, expected):
    case = Case("s", "p", "1", {} if coded is None else {"tachycardia": coded})
    assert targets([case], windows([0], rate_above_100=measured), ("tachycardia",))[0, 0] == expected


@pytest.mark.parametrize(
    "coded, measured, expected", [(False, 1, UNKNOWN), (False, 0, 0), (False, UNKNOWN, 0), (True, 0, 1)]
)
def test_what_is_measured_but_not_coded_is_no_absence(coded, measured, expected):
    case = Case("s", "p", "1", {"sinus-bradycardia": coded})
    assert targets([case], windows([0], rate_below_60=measured), ("sinus-bradycardia",))[0, 0] == expected


def test_st_elevation_in_one_territory_is_st_elevation():
    places = [k for k in KEYS if k.startswith("st_elevation:")]
    none = {k.replace(":", "__"): 0 for k in places}
    case = [Case("s", "p", "1", {})]
    assert targets(case, windows([0], **none), ("st-elevation",))[0, 0] == 0
    assert targets(case, windows([0], **none | {places[2].replace(":", "__"): 1}), ("st-elevation",))[0, 0] == 1
    assert targets(case, windows([0], **none | {places[2].replace(":", "__"): UNKNOWN}), ("st-elevation",))[0, 0] == -1
