"""Descriptions against cardiologists: which statements count, and beside which baseline."""

import json

import numpy as np
import pytest
from toy import write_ptb_xl

from ecgclip.data.cases import Case
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.description import (
    description,
    nearest_cases,
    rates,
    statement_counts,
    statement_rates,
    statement_table,
    statement_truth,
    training_cases,
)
from ecgclip.evaluate.truth import cases_to_test
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.store import load_model


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 24)  # a patient in each of the folds 1 to 9, and more


def test_statements_are_counted_with_what_is_broader_and_not_where_nothing_is_known(kb):
    vocabulary = ["inferior-myocardial-infarction", "myocardial-infarction", "left-bundle-branch-block"]
    cases = [
        Case("s", "p", "1", {"left-bundle-branch-block": False}, frozenset({"inferior-myocardial-infarction"})),
        Case("s", "p", "2", {"myocardial-infarction": False}, frozenset({"left-bundle-branch-block"})),
    ]
    truth = statement_truth(kb, cases, vocabulary)
    assert truth.tolist() == [[1, 1, 0], [-1, 0, 1]]
    said = statement_table(kb, [{"myocardial-infarction", "left-bundle-branch-block"}, {vocabulary[0]}], vocabulary)
    assert said.tolist() == [[False, True, True], [True, True, False]]
    counts = statement_counts(said, truth).sum((1, 2))
    assert counts.tolist() == [1, 2, 2]
    assert rates(counts) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert rates(np.zeros(3)).tolist() == [0, 0, 0]


def test_intervals_are_by_patient_and_macro_takes_statements_with_enough_positives():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 3)) < [0.5, 0.3, 0.02]).astype(np.int8)
    counts = statement_counts(rng.random((60, 3)) < 0.4, truth)
    one = statement_rates(counts, np.arange(60), 5, 0)
    assert one == statement_rates(counts, np.arange(60), 5, 0)
    single = rates(counts.sum(1))
    assert one["macro"]["f1"][0] == pytest.approx(single[2, :2].mean(), abs=1e-4)
    assert all(low < value < high for value, low, high in one["micro"].values())
    low, high = one["micro"]["f1"][1:]
    fewer = statement_rates(counts, np.arange(60) // 6, 5, 0)["micro"]["f1"]
    assert fewer[0] == one["micro"]["f1"][0]
    assert fewer[1:] != [low, high]
    assert statement_rates(counts, np.arange(60), 100, 0)["macro"] is None


@pytest.mark.filterwarnings("ignore")
def test_evaluation_writes_both_methods_and_the_same_file_again(ptb_xl, tiny_model, tmp_path):
    for name in ("a", "b"):
        results = description("ptb-xl", ptb_xl, tmp_path / name, fold=9, min_positives=1, weights=tiny_model)
    text = (tmp_path / "a" / "results.json").read_text()
    assert (tmp_path / "b" / "results.json").read_text() == text
    assert json.loads(text) == results
    assert {"weights_sha256", "data_sha256", "code_version", "command"} <= results.keys()
    assert (results["task"], results["dataset"], results["fold"], results["records"]) == ("describe", "ptb-xl", 9, 2)
    assert results["training_records"] == 22
    assert list(results["methods"]) == ["description", "neighbour"]
    for method in results["methods"].values():
        for value, low, high in method["micro"].values():
            assert 0 <= low <= value <= high <= 1
    # ECGs 17 and 18 of the table: left bundle branch block, and atrial fibrillation
    assert {r["concept"]: r["positives"] for r in results["statements"] if r["positives"]} == {
        "left-bundle-branch-block": 1, "conduction-disturbance": 1, "sinus-rhythm": 1, "atrial-fibrillation": 1,
    }  # fmt: skip


def test_the_baseline_is_the_nearest_of_other_patients(tiny_model, ptb_xl):
    model = load_model(tiny_model)
    test = cases_to_test(model, "ptb-xl", ptb_xl, 3)
    training = training_cases(model, "ptb-xl", ptb_xl, 3, {c.patient for c in test})
    assert {c.fold for c in training} == {1, 2, 4, 5, 6, 7, 8}
    assert not {c.patient for c in test} & {c.patient for c in training}
    embeddings = [model.embed(c.path) for c in training]
    assert nearest_cases(embeddings, embeddings, training) == training


@pytest.mark.parametrize("dataset, fold, problem", [("cpsc2018", 1, "not on 'cpsc2018'"), ("ptb-xl", 10, "no record")])
def test_what_cannot_be_measured_is_one_line(ptb_xl, tiny_model, dataset, fold, problem):
    with pytest.raises(EcgclipError, match=problem) as error:
        description(dataset, ptb_xl, fold=fold, weights=tiny_model)
    assert "\n" not in str(error.value)
