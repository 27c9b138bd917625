"""The groups that figures are given for, and how far one lies below the others."""

import numpy as np
import pytest

from ecgclip.data.cases import Case
from ecgclip.evaluate.groups import groups_of, report_language, subgroups, worst_groups
from ecgclip.evaluate.metrics import Labels


def scored(groups, labels="ab", seed=0):
    """Records of (age, sex) groups: (number, age, sex, how well each label is told, None: nobody has it) each."""
    rng = np.random.default_rng(seed)
    cases, truth, scores = [], [], []
    for count, age, sex, quality in groups:
        for i in range(count):
            cases.append(Case("ptb-xl", f"{len(cases)}", f"{len(cases)}", age=age, sex=sex))
            truth.append([i % 2 if q is not None else 0 for q in quality])
            noise = rng.standard_normal(len(quality))
            scores.append([t * (q or 0) + e for t, q, e in zip(truth[-1], quality, noise, strict=True)])
    named = Labels(list(labels), list(labels), {})
    return np.array(scores), np.array(truth, np.int8), cases, named, 5, 0


def by_group(rows, kind):
    return {row["group"]: row for row in rows if row["by"] == kind}


def test_a_gap_compares_the_same_labels():
    """The young have only the easy label, and the old both: their mean is lower, and no label is told worse."""
    rows = subgroups(*scored([(200, 30, "male", (9, None)), (200, 70, "male", (9, 0.5))]))
    young, old = (by_group(rows, "age")[band] for band in ("<40", "60–79"))
    assert young["auroc"][0] > 0.99
    assert old["auroc"][0] < 0.9
    assert (young["labels"], old["labels"]) == (1, 2)
    assert young["compared"] == old["compared"] == 1
    assert young["gap"] == old["gap"] == [0.0, 0.0, 0.0]


def test_a_gap_is_what_the_others_reach_less_what_the_group_does():
    data = scored([(120, 30, "male", (3, 3)), (120, 50, "male", (3, 3)), (120, 70, "male", (0.5, 0.5))])
    rows = by_group(subgroups(*data), "age")
    value, low, high = rows["60–79"]["gap"]
    others = (rows["<40"]["auroc"][0] + rows["40–59"]["auroc"][0]) / 2
    assert value == pytest.approx(others - rows["60–79"]["auroc"][0], abs=2e-4)
    assert 0 < low < value < high
    assert rows["<40"]["gap"][0] < 0


def test_a_gap_does_not_count_how_well_groups_are_told_apart():
    """Over all records, a score that only knows the age ranks well what the old have more often."""
    scores, truth, cases, *rest = scored([(200, 30, "male", (1,)), (200, 85, "male", (1,))], "a")
    truth[:200, 0] &= np.arange(200) % 10 == 1
    informed = scores + 100 * np.array([[case.age > 40] for case in cases])
    gaps = [[row["gap"] for row in subgroups(s, truth, cases, *rest)] for s in (scores, informed)]
    assert gaps[0] == gaps[1]


def test_the_worst_group_needs_enough_records_and_labels():
    easy, hard, hopeless = (3, 3, 3), (2, 2, 2), (0, 0, 0)
    groups = [(300, 30, "male", easy), (300, 50, "female", hard), (12, 70, "female", hopeless)]
    rows = subgroups(*scored(groups, "abc"))
    assert max(by_group(rows, "age").values(), key=lambda row: row["gap"][0])["group"] == "60–79"
    assert [(row["by"], row["group"]) for row in worst_groups(rows)] == [("age", "40–59"), ("sex", "female")]
    assert worst_groups(subgroups(*scored([(count, age, sex, q[:2]) for count, age, sex, q in groups]))) == []


def test_what_is_unknown_is_a_group_and_a_single_group_is_none():
    rows = subgroups(*scored([(40, None, "male", (3, 3)), (40, 50, None, (3, 3))]))
    assert [(row["by"], row["group"]) for row in rows] == [
        *(("age", group) for group in ("40–59", "unknown")),
        *(("sex", group) for group in ("male", "unknown")),
    ]


@pytest.mark.parametrize(
    "age, band", [(0, "<40"), (39.9, "<40"), (40, "40–59"), (60, "60–79"), (80, "80+"), (None, "unknown")]
)
def test_age_bands(age, band):
    assert groups_of(Case("cpsc2018", "r", "p", age=age))["age"] == band


@pytest.mark.parametrize(
    "report, language",
    [
        ("sinusrhythmus lagetyp normal normales ekg", "German"),
        ("sinus rhythm. normal ecg.", "English"),
        ("sinusrytm vÄnster el-axel eljest normalt ekg", "Swedish"),
        ("trace only requested.", ""),
        ("", ""),
    ],
)
def test_the_language_of_a_report(report, language):
    assert report_language(report) == language
