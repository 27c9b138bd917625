"""Scores: calibrated, by window and by record, and overruled by what the recording itself shows."""

import dataclasses

import numpy as np
import pytest

from ecgclip.ecg import ECG
from ecgclip.model.calibration import Calibration
from ecgclip.simulate import simulate


def test_a_score_is_the_cosine_of_each_window(model, records):
    prompts = model.prompts(["AF", "STEMI"])
    embedding = model.embed(records / "pvc")
    result = model.score(embedding, prompts)
    assert result.windows == tuple(embedding.prepared.start_s)
    assert result.record == str(records / "pvc")
    for prompt, score in zip(prompts, result.scores, strict=True):
        assert np.allclose(score.window_similarity, embedding.rhythm @ prompt.vector, atol=1e-6)
        assert score.passages == prompt.passages
        assert score.note == prompt.note
    assert (
        [len(b) for b in embedding.beats]
        == [len(p) for p in embedding.r_peaks]
        == [m.beats for m in embedding.measurements]
    )


def test_a_short_episode_shows_in_the_highest_window_and_the_burden(taught, monkeypatch):
    prompt = taught.prompt("AF")
    ecg = simulate("af", seed=3, seconds=100)
    embedding = taught.embed(ecg)
    away = -prompt.vector
    rhythm = np.stack([prompt.vector, *[away] * 9])
    score = taught.score(dataclasses.replace(embedding, rhythm=rhythm), [prompt]).scores[0]
    assert score.probability < 0.1
    assert score.max_probability > 0.9
    assert score.burden == pytest.approx(0.1), "one window in ten"


def test_conditions_that_training_never_had_are_marked_and_left_out_of_the_default_list(taught, af):
    assert {s.concept for s in taught.classify(af).scores} == set(taught.config.training["concepts"])
    asked = taught.classify(af, ["AF", "brugada type 1", "purple zebra sign", "AF without brugada type 1"])
    assert [s.trained for s in asked.scores] == [True, False, False, False]
    assert asked["brugada type 1"].note == "not trained: by its criteria"
    assert "Brugada" not in asked["AF"].note


def test_a_condition_that_training_never_had_has_a_curve_of_its_own(taught, af):
    taught.config = dataclasses.replace(taught.config, untrained=Calibration((0.0, 0.0, 0.0, 0.0), -3.0))
    result = taught.classify(af, ["AF", "brugada type 1"])
    assert result["brugada type 1"].probability == pytest.approx(1 / (1 + np.exp(3)))
    assert result["AF"].probability != pytest.approx(1 / (1 + np.exp(3)), abs=1e-3)


def test_a_line_without_a_heartbeat_is_asystole_whatever_the_network_says(model):
    sinus = simulate("normal", seed=3, seconds=20, sampling_rate=250)
    signal = sinus.signal.copy()
    signal[:, 5 * 250 :] = np.random.default_rng(0).normal(0, 0.001, signal[:, 5 * 250 :].shape)
    result = model.classify(ECG(signal, 250, sinus.leads), ["asystole", "normal ECG"])
    assert result["asystole"].probability > 0.9
    assert "measured" in result["asystole"].note
    assert result["normal ECG"].probability < 0.1
    assert any("5.0 to 20.0 s" in note for note in result.notes), result.notes
    assert result.seconds == 20
    assert result.used_s < 20


def test_a_long_record_of_silence_is_answered_not_refused(model):
    signal = np.random.default_rng(0).normal(0, 0.001, (12, 5000))
    result = model.classify(ECG(signal, 250, simulate("normal", seed=3).leads), ["asystole", "normal ECG"])
    assert result["asystole"].probability > 0.9 > 0.1 > result["normal ECG"].probability


def test_softmax_makes_one_of_the_labels_true(model, af):
    independent = model.classify(af, ["AF", "STEMI", "LBBB"])
    one = model.classify(af, ["AF", "STEMI", "LBBB"], softmax=True)
    assert sum(s.probability for s in one.scores) == pytest.approx(1)
    order = [sorted(r.scores, key=lambda s: s.probability)[-1].label for r in (independent, one)]
    assert order[0] == order[1]


def test_probabilities_of_exactly_one_label_sum_to_one_and_keep_their_odds(model, af):
    labels = ["AF", "STEMI", "LBBB"]
    free, exactly_one = (
        np.array([s.probability for s in model.classify(af, labels, softmax=softmax).scores]) for softmax in (0, 1)
    )
    assert exactly_one.sum() == pytest.approx(1)
    odds = free / (1 - free)
    assert np.allclose(exactly_one, odds / odds.sum(), atol=1e-6)
