"""The linear probe learns from the training labels alone, and never from a patient that it is tested on."""

import json

import numpy as np
import pytest
from toy import write_ptb_xl

from ecgclip.data.cases import Case
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.probe import draw, fit, probe, split
from ecgclip.model.store import load_model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 40)


def test_a_probe_of_each_share_beside_the_random_encoder(data, tiny_model, tmp_path):
    options = {"fold": [8, 9], "shares": (0.5, 1.0), "seeds": 2, "min_positives": 1, "weights": tiny_model, "seed": 7}
    results = probe("ptb-xl", data, "superclass", tmp_path / "a", **options)
    text = (tmp_path / "a" / "results.json").read_text()
    assert json.loads(text) == results
    probe("ptb-xl", data, "superclass", tmp_path / "b", **options)
    assert (tmp_path / "b" / "results.json").read_text() == text
    half, whole = results["shares"]
    assert (half["draws"], whole["draws"]) == (2, 1), "all of the records can be drawn in one way only"
    assert half["training_records"] * 2 == whole["training_records"] == results["training_records"]
    for part in (half, whole):
        assert np.mean(part["by_draw"]) == pytest.approx(part["macro"]["auroc"][0], abs=1e-3)
        assert part["random_encoder"]["auroc"]
        assert len(part["labels"]) == 5
    assert results["macro"] == whole["macro"]
    assert "| 50% |" in (tmp_path / "a" / "results.md").read_text()


def test_no_patient_is_both_trained_and_tested_on(data, tiny_model):
    training, test = split(load_model(tiny_model), "ptb-xl", data, [8, 9])
    assert {c.fold for c in test} == {8, 9}
    assert {c.fold for c in training} == set(range(1, 8))
    assert not {c.patient for c in training} & {c.patient for c in test}


def test_a_source_without_a_split_is_split_by_patient(tiny_model, monkeypatch):
    cases = [Case("folder", str(i), str(i // 3)) for i in range(300)]
    monkeypatch.setattr("ecgclip.data.folder.folder", lambda root, kb: cases)
    training, test = split(load_model(tiny_model), "folder", ".", None)
    assert len(training) + len(test) == 300
    assert 30 < len(test) < 90
    assert not {c.patient for c in training} & {c.patient for c in test}


def test_a_smaller_share_is_part_of_a_larger_one():
    few, more = draw(200, 0.01, 3, 0), draw(200, 0.1, 3, 0)
    assert [len(d) for d in few] == [2] * 3
    assert [len(d) for d in more] == [20] * 3
    assert all(set(a) < set(b) for a, b in zip(few, more, strict=True))
    assert set(more[0]) != set(more[1])


def test_unknown_is_not_absent_and_what_cannot_be_learnt_scores_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    truth = np.stack([x[:, 0] > 0, x[:, 1] > 0, np.zeros(200)], 1).astype(np.int8)
    truth[100:, 1] = -1
    scores = fit(x, truth, x)
    assert np.corrcoef(scores[:, 0], x[:, 0])[0, 1] > 0.95
    assert np.corrcoef(scores[:, 1], x[:, 1])[0, 1] > 0.95
    assert np.array_equal(fit(x[:100], truth[:100], x)[:, 1], fit(x[:100], truth[:100, 1:2], x)[:, 0])
    assert (scores[:, 2] == 0).all()


@pytest.mark.parametrize("shares", [(0.0,), (1.5,)])
def test_an_impossible_share_is_one_line(data, tiny_model, shares):
    with pytest.raises(EcgclipError, match="share"):
        probe("ptb-xl", data, "superclass", fold=9, shares=shares, weights=tiny_model)
