"""Figures are what scikit-learn gives; intervals come from patients, not from records."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from ecgclip.metrics import (
    Labels,
    auroc_table,
    calibration,
    difference,
    expected_calibration_error,
    label_table,
    ranking_figures,
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


def table(scores, truth, least=2, seed=0, patients=None):
    labels = Labels([f"l{j}" for j in range(truth.shape[1])], [f"c{j}" for j in range(truth.shape[1])], {})
    patients = np.arange(len(truth)) if patients is None else patients
    return auroc_table(scores, truth, patients, labels, least, seed)


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
    assert macro[0] == pytest.approx(np.mean(expected), abs=1e-4) and macro[1] < macro[0] < macro[2]
    assert table(scores, truth, least=100)[1] is None


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
            assert found[0] == pytest.approx(value, abs=1e-4) and found[1] <= found[0] <= found[2]
        assert rows[j]["brier"] == pytest.approx(((probability[known, j] - y) ** 2).mean(), abs=1e-4)
    assert macro["f1"][0] == pytest.approx((rows[0]["f1"][0] + rows[2]["f1"][0]) / 2, abs=1e-4)


def test_calibration_over_all_known_pairs(scored):
    scores, truth = scored
    probability = 1 / (1 + np.exp(-scores))
    known = truth >= 0
    found = calibration(probability, truth, np.arange(len(truth)), 0)
    assert found["ece"][0] == pytest.approx(expected_calibration_error(probability[known], truth[known]), abs=1e-4)
    assert found["brier"][0] == pytest.approx(((probability - truth)[known] ** 2).mean(), abs=1e-4)
    assert sum(b["pairs"] for b in found["bins"]) == known.sum()
    assert all(b["from"] <= b["mean_probability"] <= b["to"] for b in found["bins"])


def test_a_paired_difference_is_narrower_than_two_intervals_and_zero_for_a_copy(scored):
    scores, truth = scored
    labels = Labels(list("abcd"), list("abcd"), {})
    patients = np.arange(len(truth))
    rows, macro = difference(scores, scores * 2, truth, patients, labels, 2, 0)
    assert macro["auroc"] == [0, 0, 0] and all(r["auroc"] == [0, 0, 0] for r in rows if r["in_macro"])
    better = scores + 0.3 * truth
    _, macro = difference(scores, better, truth, patients, labels, 2, 0)
    value, low, high = macro["auroc"]
    alone = [table(s, truth)[1] for s in (scores, better)]
    assert value == pytest.approx(alone[1][0] - alone[0][0], abs=2e-4) and low <= value <= high
    assert high - low < sum(a[2] - a[1] for a in alone) / 2
    assert difference(better, scores, truth, patients, labels, 2, 0)[1]["auroc"] == [-value, -high, -low]
