"""Retrieval: what counts as a hit, and figures that a hand can check."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.bootstrap import patient_draws
from ecgclip.evaluate.retrieval import Pool, precision, retrieval, search


def pool(vectors, reports, classes, patients=None):
    """Records whose reports and names are asked with exactly `vectors` of the texts and of the classes."""
    patients = np.arange(len(reports)) if patients is None else np.array(patients)
    truth = np.array([[c in row for c in "ab"] for row in classes])
    names = {k: np.eye(4)[:2] for k in ("precision_at_10", "bare_en", "bare_de")}
    languages = np.array(["German" if i % 2 else "English" for i in range(len(reports))])
    draws = patient_draws(patients, 0)
    return Pool(patients, draws, np.array(reports), vectors, truth.astype(np.int8), languages, names, truth)


def searched(vectors, pool):
    return search(vectors, vectors @ vectors.T, pool)


def test_a_model_that_knows_everything_finds_everything():
    reports, texts = [0, 1, 2, 0, 1, 3], np.eye(4)
    found, rows = searched(texts[reports], pool(texts, reports, "aababb"))
    for direction in ("text_to_ecg", "ecg_to_text", "ecg_to_ecg"):
        assert found[direction]["recall_at_1"] == [1, 1, 1]
        assert found[direction]["median_rank"] == [1, 1, 1]
    assert found["ecg_to_ecg"]["queries"] == 4, "no other ECG has the reports 2 and 3"
    assert found["ecg_to_text"]["recall_at_1_chance"] == 0.25
    assert found["text_to_ecg"]["recall_at_1_chance"] == pytest.approx((2 + 2 + 1 + 2 + 2 + 1) / 36, abs=1e-4)
    assert [r["positives"] for r in rows] == [3, 3]


def test_reports_of_each_language_ask_apart():
    texts = np.eye(4)
    wrong = texts[[0, 3, 2, 1]]  # every second ECG, whose reports are German, looks like another's report
    by_language = searched(wrong, pool(texts, [0, 1, 2, 3], "abab"))[0]["text_to_ecg"]["by_language"]
    assert {k: (v["queries"], v["recall_at_1"][0]) for k, v in by_language.items()} == {
        "English": (2, 1),
        "German": (2, 0),
    }


def test_equal_similarities_are_no_success():
    texts = np.eye(4)
    found, _ = searched(np.ones((4, 4)), pool(texts, [0, 1, 2, 3], "abab"))
    assert found["ecg_to_text"]["median_rank"][0] == 4
    assert found["ecg_to_text"]["recall_at_1"] == [0, 0, 0]


def test_the_querys_own_patient_is_no_find():
    reports, texts = [0, 0, 1, 1], np.eye(4)
    found, _ = searched(texts[reports], pool(texts, reports, "aabb", patients=[0, 0, 1, 2]))
    assert found["ecg_to_ecg"]["queries"] == 2, "the first report stands twice, both times of one patient"
    assert found["ecg_to_ecg"]["chance"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 3) / 4, abs=1e-4)


def test_precision_at_ten_of_a_resampled_pool():
    scores, hit = np.arange(20.0), np.arange(20) % 2 == 1
    twice = np.where(np.arange(20) >= 15, 2, 1)
    assert precision(scores, hit, np.ones((1, 20)))[0] == 0.5
    assert precision(scores, hit, twice[None])[0] == pytest.approx(0.6), "the best five, 15 to 19, fill the ten places"


def test_retrieval_of_a_data_set_is_the_same_again(data, tiny_model, tmp_path):
    for name in ("a", "b"):
        results = retrieval("ptb-xl", data, tmp_path / name, fold=9, min_positives=4, weights=tiny_model, seed=7)
    text = (tmp_path / "a" / "results.json").read_text()
    assert (tmp_path / "b" / "results.json").read_text() == text
    assert json.loads(text) == results
    assert results["distinct_reports"] == 5
    assert results["text_to_ecg"]["queries"] == 20
    for part in (results, results["random_encoder"]):
        for direction in ("text_to_ecg", "ecg_to_text", "ecg_to_ecg"):
            value, low, high = part[direction]["recall_at_5"]
            assert 0 <= low <= value <= high <= 1
            assert part[direction]["median_rank"][0] >= 1
        for direction in ("text_to_ecg", "ecg_to_ecg"):
            assert part[direction]["precision_at_10"][0] <= part[direction]["best"] + 1e-9
    assert results["ecg_to_ecg"] != results["random_encoder"]["ecg_to_ecg"]
    rows = {r["concept"]: r for r in results["labels"]}
    assert rows["sinus-rhythm"]["positives"] == 16
    assert rows["left-bundle-branch-block"]["best"] == 0.4
    assert any(row["bare_en"] != row["bare_de"] for row in rows.values()), "German is measured where it can differ"
    asking = results["text_to_ecg"]["by_language"]
    assert {k: row["queries"] for k, row in asking.items()} == {"English": 12, "German": 8}
    assert "median rank" in (tmp_path / "a" / "results.md").read_text()


def test_without_reports_there_is_precision_alone(data, tiny_model, monkeypatch):
    silent = lambda *a, **k: [replace(c, report="") for c in ptb_xl(*a, **k)]
    monkeypatch.setattr("ecgclip.data.ptb_xl.ptb_xl", silent)
    results = retrieval("ptb-xl", data, fold=9, min_positives=4, weights=tiny_model)
    assert results["text_to_ecg"]["queries"] == 0
    assert results["text_to_ecg"]["precision_at_10"]
    with pytest.raises(EcgclipError, match="nothing to search for"):
        retrieval("ptb-xl", data, fold=9, min_positives=100, weights=tiny_model)
