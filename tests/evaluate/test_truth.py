"""The truth of a label in a record, and whose record it is."""

from pathlib import Path

import numpy as np
import pytest

from ecgclip.data.cases import Case
from ecgclip.evaluate.metrics import Labels
from ecgclip.evaluate.scores import score_columns
from ecgclip.evaluate.truth import patient_numbers, truth_of


@pytest.mark.parametrize(
    "statements, annotated, complete, expected",
    [
        ({"a": True}, {"a"}, True, 1),
        ({"a": True}, {"a"}, False, 1),
        ({"a": False}, set(), True, 0),
        ({"a": False}, set(), False, 0),  # a superclass of a partial row
        ({}, set(), True, -1),  # not in the source's list
        ({}, set(), False, -1),  # a partial row
        ({"a": True}, {"b"}, False, -1),  # follows from another, in a row of which not all is known
    ],
)
def test_truth_of_a_label(statements, annotated, complete, expected):
    assert truth_of(Case("s", "p", "1", statements, frozenset(annotated), complete), "a") == expected


def test_patients_are_resampled_as_the_splits_tell_them():
    """Nobody knows which records of S are of one patient, so that an interval takes all of them for one."""
    cases = [
        Case(source, f"/d/{source}{i}", str(i)) for source, i in (("S", 1), ("S", 2), ("E", 1), ("E", 2), ("E", 2))
    ]
    assert patient_numbers(cases).tolist() == [2, 2, 0, 1, 1]
    scores = score_columns(cases, Path("/d"), Labels(["a"], ["a"], {}), np.zeros((5, 1)), np.zeros((5, 1)))
    assert scores["patient"].tolist() == [case.person for case in cases]
