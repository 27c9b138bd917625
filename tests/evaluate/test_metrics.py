"""Figures are what scikit-learn gives; their intervals come from patients, not from records."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from ecgclip.evaluate import metrics
from ecgclip.evaluate.bootstrap import patient_draws
from ecgclip.evaluate.metrics import (
    Labels,
    calibration,
    difference,
    expected_calibration_error,
    label_table,
    mean_figures,
    ranking_figures,
    resample,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 4)),  # few scores: ties
        min_size=2,
        max_size=40,
    )
)
def test_auroc_and_average_precision_are_scikit_learns(rows):
    scores, positive, weights = (np.array(c) for c in zip(*rows, strict=True))
    found = ranking_figures(scores.astype(float), positive, weights[None].astype(float))
    for name, reference in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        if (weights * positive).sum() and (weights * ~positive).sum():
            assert found[name][0] == pytest.approx(reference(positive, scores, sample_weight=weights))
        else:
            assert np.isnan(found[name][0])


def table(scores, truth, min_positives=2, seed=0, patients=None):
    """`label_table` of labels l0, l1 …, each record of a patient of its own; of the macro only the AUROC."""
    labels = Labels([f"l{j}" for j in range(truth.shape[1])], [f"c{j}" for j in range(truth.shape[1])], {})
    patients = np.arange(len(truth)) if patients is None else patients
    rows, macro = label_table(scores, truth, patients, labels, min_positives, seed)
    return rows, macro.get("auroc")


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    truth = np.array(
        [[1, 1, -1, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, -1, 0, 0], [0, 0, -1, 0]] * 4, np.int8
    )
    truth[:, 1] = 0
    truth[3, 1] = 1
    return truth + rng.normal(0, 0.8, truth.shape), truth


def test_a_row_for_each_label_and_a_macro_of_those_with_enough_positives(scored):
    scores, truth = scored
    rows, macro = table(scores, truth)
    assert [(r["label"], r["positives"], r["known"]) for r in rows] == [
        ("l0", 12, 24),
        ("l1", 1, 24),
        ("l2", 8, 16),
        ("l3", 0, 24),
    ]
    assert [r.get("in_macro", False) for r in rows] == [True, False, True, False]
    known = truth[:, 2] >= 0
    expected = [roc_auc_score(truth[:, 0], scores[:, 0]), roc_auc_score(truth[known, 2], scores[known, 2])]
    assert [rows[0]["auroc"][0], rows[2]["auroc"][0]] == pytest.approx(expected, abs=1e-4)
    assert macro[0] == pytest.approx(np.mean(expected), abs=1e-4)
    assert macro[1] < macro[0] < macro[2]
    assert table(scores, truth, min_positives=100)[1] is None


def test_the_bootstrap_repeats_itself_and_draws_patients(scored):
    scores, truth = scored
    assert table(scores, truth) == table(scores, truth)
    assert table(scores, truth)[1] != table(scores, truth, seed=1)[1]
    twice = np.repeat(scores, 4, 0), np.repeat(truth, 4, 0)
    by_record = table(*twice)[1]
    by_patient = table(*twice, patients=np.repeat(np.arange(len(truth)), 4))[1]
    assert by_patient[2] - by_patient[1] > 1.5 * (by_record[2] - by_record[1]), "four copies are no more evidence"


def test_calibration_error_of_known_values():
    assert expected_calibration_error(np.array([0.25] * 4), np.array([1, 0, 0, 0])) == pytest.approx(0)
    assert expected_calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 0, 1])) == pytest.approx(0.25)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([1, 0])) == pytest.approx(1)


def test_figures_at_a_threshold_are_scikit_learns(scored):
    scores, truth = scored
    probability = 1 / (1 + np.exp(-scores))
    labels = Labels(list("abcd"), list("abcd"), {})
    rows, macro = label_table(scores, truth, np.arange(len(truth)), labels, 2, 0, probability, 0.6)
    for j in (0, 2):
        known = truth[:, j] >= 0
        y, said = truth[known, j], probability[known, j] >= 0.6
        expected = {
            "f1": f1_score(y, said),
            "sensitivity": recall_score(y, said),
            "specificity": recall_score(y, said, pos_label=0),
        }
        for name, value in expected.items():
            found = rows[j][name]
            assert found[0] == pytest.approx(value, abs=1e-4)
            assert found[1] <= found[0] <= found[2]
        assert rows[j]["brier"] == pytest.approx(((probability[known, j] - y) ** 2).mean(), abs=1e-4)
    assert macro["f1"][0] == pytest.approx((rows[0]["f1"][0] + rows[2]["f1"][0]) / 2, abs=1e-4)


def test_calibration_over_all_known_pairs(scored):
    scores, truth = scored
    probability = 1 / (1 + np.exp(-scores))
    known = truth >= 0
    found = calibration(probability, truth, np.arange(len(truth)), 0)
    assert found["ece"][0] == pytest.approx(expected_calibration_error(probability[known], truth[known]), abs=1e-4)
    assert found["brier"][0] == pytest.approx(((probability - truth)[known] ** 2).mean(), abs=1e-4)
    assert calibration(probability, truth, np.arange(len(truth)), 0) == found
    assert sum(b["pairs"] for b in found["bins"]) == known.sum()
    assert all(b["from"] <= b["mean_probability"] <= b["to"] for b in found["bins"])


def test_a_paired_difference_is_narrower_than_two_intervals_and_zero_for_a_copy(scored):
    scores, truth = scored
    labels = Labels(list("abcd"), list("abcd"), {})
    patients = np.arange(len(truth))
    rows, macro = difference(scores, scores * 2, truth, patients, labels, 2, 0)
    assert macro["auroc"] == [0, 0, 0]
    assert all(r["auroc"] == [0, 0, 0] for r in rows if r["in_macro"])
    better = scores + 0.3 * truth
    _, macro = difference(scores, better, truth, patients, labels, 2, 0)
    value, low, high = macro["auroc"]
    alone = [table(s, truth)[1] for s in (scores, better)]
    assert value == pytest.approx(alone[1][0] - alone[0][0], abs=2e-4)
    assert low <= value <= high
    assert high - low < sum(a[2] - a[1] for a in alone) / 2
    assert difference(better, scores, truth, patients, labels, 2, 0)[1]["auroc"] == [-value, -high, -low]


# --- cases small enough to know the answer ----------------------------------------------------------------------------


def test_the_records_of_a_patient_are_drawn_together():
    truth, scores = np.array([[1], [0], [1], [0]], np.int8), np.array([[4.0], [3], [2], [1]])
    (figures,) = resample(scores, truth, np.array([0, 0, 1, 1]), 0)
    assert set(figures["auroc"]) == {0.75, 1.0}
    assert figures["auroc"][0] == 0.75, "both patients, or one twice"
    (figures,) = resample(scores, truth, np.array([0, 1, 0, 1]), 0)
    undefined = np.isnan(figures["auroc"])  # one has all the positives; half of the resamples draw both
    assert set(figures["auroc"][~undefined]) == {0.75}
    assert 0.4 < undefined.mean() < 0.6
    assert np.isnan(figures["average_precision"][undefined]).all()


def test_unknown_records_take_their_patients_with_them():
    truth, scores = np.array([[1], [-1], [0], [1]], np.int8), np.array([[1.0], [9], [0], [-1]])
    (figures,) = resample(scores, truth, np.arange(4), 3)
    draws = patient_draws(np.arange(4), 3).astype(float)
    with np.errstate(invalid="ignore"):
        expected = draws[:, 0] / (draws[:, 0] + draws[:, 3])
    expected[draws[:, 2] == 0] = np.nan
    assert np.allclose(figures["auroc"], expected, equal_nan=True)


def test_many_records_are_resampled_in_parts_to_the_same_figures(scored, monkeypatch):
    scores, truth = scored
    whole = resample(scores, truth, np.arange(len(truth)), 0, scores, 0.5)
    monkeypatch.setattr(metrics, "BLOCK", 1000)
    parts = resample(scores, truth, np.arange(len(truth)), 0, scores, 0.5)
    assert [set(f) for f in parts] == [set(f) for f in whole]
    assert parts[3] == {}
    for one, other in zip(whole, parts, strict=True):
        assert all(np.array_equal(one[k], other[k], equal_nan=True) for k in one)


def test_a_label_is_said_from_the_threshold_on_and_that_is_a_half():
    truth, p = np.array([[1], [1], [0], [0], [0]], np.int8), np.array([[0.5], [0.4], [0.5], [0.4], [0.1]])
    labels = Labels(["a"], ["a"], {})
    for threshold in ({}, {"threshold": 0.5}):
        rows, macro = label_table(p, truth, np.arange(5), labels, 1, 0, p, **threshold)
        assert [rows[0][k][0] for k in ("sensitivity", "specificity", "f1")] == [0.5, 0.6667, 0.5]
    (row,), _ = label_table(p, truth, np.arange(5), labels, 1, 0, p, threshold=0.4)
    assert [row[k][0] for k in ("sensitivity", "specificity", "f1")] == [1, 0.3333, 0.6667]
    assert row["ece"] == pytest.approx(np.abs([0.1, -0.2, 0]).sum() / 5)
    assert row["brier"] == 0.206


def test_a_label_of_which_nothing_is_known_has_an_empty_row():
    truth, p = np.array([[-1, 1], [-1, 0]], np.int8), np.full((2, 2), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, macro = label_table(p, truth, np.arange(2), Labels(["a", "b"], ["x", "y"], {}), 1, 0, p)
    assert rows[0] == {"label": "a", "concept": "x", "positives": 0, "known": 0, "auroc": None, "in_macro": False}
    assert (rows[1]["label"], rows[1]["concept"], rows[1]["known"], rows[1]["in_macro"]) == ("b", "y", 2, True)
    assert macro["auroc"] == rows[1]["auroc"]


def test_the_macro_asks_for_at_least_so_many_of_both_kinds():
    truth = np.array([[1, 0], [1, 1], [0, 1], [0, 1], [0, 1]], np.int8)
    scores = truth + np.arange(5)[:, None] / 10
    assert [r["in_macro"] for r in table(scores, truth, min_positives=2)[0]] == [True, False]
    assert [r["in_macro"] for r in table(scores, truth, min_positives=1)[0]] == [True, True]
    assert [r["in_macro"] for r in table(scores, truth, min_positives=3)[0]] == [False, False]


def test_the_mean_over_labels_does_without_what_a_resample_left_undefined():
    one, other = {"auroc": np.array([1.0, np.nan, np.nan])}, {"auroc": np.array([0.5, 0.5, np.nan])}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = mean_figures([one, other])
    assert np.array_equal(mean["auroc"], [0.75, 0.5, np.nan], equal_nan=True)
    assert mean_figures([]) == {}


def test_the_bins_of_a_reliability_plot():
    probability = np.array([[0.05, 0.15], [0.15, 1.0], [0.1, 0.7]])
    truth = np.array([[0, 1], [0, 1], [-1, 1]], np.int8)
    found = calibration(probability, truth, np.array([0, 1, 1]), 0)
    bins = {(b["from"], b["to"]): (b["pairs"], b["mean_probability"], b["observed"][0]) for b in found["bins"]}
    assert bins == {(0, 0.1): (1, 0.05, 0), (0.1, 0.2): (2, 0.15, 0.5), (0.7, 0.8): (1, 0.7, 1), (0.9, 1): (1, 1, 1)}
    assert found["ece"][0] == pytest.approx((0.05 + 0.7 + 0.3) / 5)
    assert found["brier"][0] == pytest.approx((0.05**2 + 0.85**2 + 0.15**2 + 0.3**2) / 5)
    assert found["bins"][1]["observed"] == [0.5, 0, 1], "of two patients, one or both"
    assert found["ece"][1] < found["ece"][0] < found["ece"][2]
