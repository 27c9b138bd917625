"""Scores: calibrated, by window and by record, and overruled by what the recording itself shows."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from ecgclip.ecg import ECG
from ecgclip.knowledge.criteria import FEATURES, Judge, Readings, weigh
from ecgclip.model.calibration import Calibration, Witnesses
from ecgclip.model.scoring import coherent
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
    shown, trained = {s.concept for s in taught.classify(af).scores}, set(taught.config.training["concepts"])
    assert shown <= trained
    assert trained - shown <= set().union(*map(taught.kb.excluded, shown)), "but for what those shown exclude"
    asked = taught.classify(af, ["AF", "brugada type 1", "purple zebra sign", "AF without brugada type 1"])
    assert [s.trained for s in asked.scores] == [True, False, False, False]
    assert asked["brugada type 1"].note == "not trained: by its criteria"
    assert "Brugada" not in asked["AF"].note
    training = {**taught.config.training, "simulated": ["brugada-type-1"]}
    made = copy.copy(taught)
    made.config = dataclasses.replace(taught.config, training=training)
    assert made.prompt("brugada type 1").note == "trained on simulated ECGs alone"


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


# --- two witnesses ----------------------------------------------------------------------------------------------------

ASKED = ["LBBB", "atrial fibrillation", "Brugada type 1", "inferior STEMI"]


def of_leads(ecg, leads):
    return ECG(ecg.signal[[ecg.leads.index(lead) for lead in leads]], ecg.sampling_rate, leads, ecg.metadata)


def test_the_criteria_are_heard_beside_the_vector(listening):
    embedding = listening.embed(simulate("lbbb", seed=3, seconds=24))
    prompts = listening.prompts(ASKED)
    scores = listening.score(embedding, prompts).scores
    witnesses, judge = listening.config.witnesses, listening.judge(embedding)
    assert len(judge.readings) == 1 + len(embedding.rhythm)
    for prompt, score in zip(prompts, scores, strict=True):
        features = weigh(judge, prompt.concept).features
        assert score.by_criteria == pytest.approx(witnesses.criteria(features[0]))
        known = "trained" if prompt.concept.id in listening.config.training["concepts"] else "untrained"
        both = witnesses.together(np.array(score.by_vector), features[0], known)
        assert score.probability == pytest.approx(both, abs=1e-6)
        assert score.max_probability >= score.probability
    lbbb, *others = [s.by_criteria for s in scores]
    assert lbbb > 2 * max(others), "what is measured tells it, though the vectors are random"
    entry = listening.score(embedding, prompts).to_dict()["scores"][0]
    assert (entry["by_vector"], entry["by_criteria"]) == (scores[0].by_vector, scores[0].by_criteria)


def test_without_witnesses_the_vector_answers_alone(taught, af):
    for score in taught.classify(af, ASKED).scores:
        assert score.by_criteria is None
        assert score.probability == score.by_vector


@pytest.mark.parametrize("leads", [("I",), ("I", "II", "V1")])
def test_where_no_criterion_can_be_measured_the_probability_is_that_of_the_vector(listening, leads):
    ecg = of_leads(simulate("normal", seed=3), leads)
    embedding = listening.embed(ecg)
    prompts = listening.prompts([c.name for c in listening.kb.concepts.values()])
    scores = listening.score(embedding, prompts).scores
    judge = listening.judge(embedding)
    silent = {p.label for p in prompts if p.concept and not p.parts and not weigh(judge, p.concept).measured[0]}
    decided = embedding.recording.decides()
    for score in scores:
        if score.label in silent:
            assert score.by_criteria is None
            assert score.probability == score.by_vector or score.concept in decided
    assert len(silent) > 5
    assert len(silent) < len(scores)


def test_a_label_of_several_conditions_combines_each_witness(listening):
    labels = ["LBBB", "atrial fibrillation", "LBBB without atrial fibrillation", "LBBB or atrial fibrillation"]
    lbbb, af, without, either = listening.classify(simulate("lbbb", seed=3), labels).scores
    for name in ("probability", "by_vector", "by_criteria"):
        one, other = getattr(lbbb, name), getattr(af, name)
        assert getattr(without, name) == pytest.approx(min(one, 1 - other))
        assert getattr(either, name) == pytest.approx(max(one, other))


def test_a_witness_of_one_condition_only_is_none_for_both(listening):
    ecg = of_leads(simulate("lbbb", seed=3), ("I",))
    names = [c.name for c in listening.kb.concepts.values()]
    scores = {s.label: s for s in listening.classify(ecg, names).scores}
    silent = next(name for name, s in scores.items() if s.by_criteria is None and s.concept)
    score = listening.classify(ecg, [f"sinus rhythm or {silent}"]).scores[0]
    assert score.by_criteria is None
    assert 0 < score.probability < 1


def test_each_window_is_judged_by_what_was_measured_in_it(listening):
    """A vector that knows nothing: the highest window is the one whose criteria say most."""
    witnesses = Witnesses((1.0,) * len(FEATURES), -1.0, trained=(0.0, 1.0, 0.0))
    listening.config = dataclasses.replace(listening.config, witnesses=witnesses)
    lbbb, normal = (simulate(c, seed=3, sampling_rate=250) for c in ("lbbb", "normal"))
    ecg = ECG(np.hstack([normal.signal, normal.signal, lbbb.signal]), 250, normal.leads, normal.metadata)
    embedding = listening.embed(ecg)
    assert len(embedding.rhythm) == 3
    score = listening.score(embedding, listening.prompts(["LBBB"])).scores[0]
    assert score.probability < 0.3
    assert score.max_probability > 0.6
    assert score.burden == pytest.approx(1 / 3)


def test_a_judge_tells_each_ecg_apart(listening):
    """As the evaluations ask: many ECGs at once, with and without a judge."""
    embeddings = [listening.embed(simulate(c, seed=3)) for c in ("lbbb", "normal", "af")]
    leaves = listening.prompts(ASKED)
    vectors = np.stack([e.vector for e in embeddings])
    readings = [Readings.of_record(e.measurements, e.metadata["age"], e.metadata["sex"]) for e in embeddings]
    by = listening.probabilities(vectors, leaves, Judge(Readings.stack(readings), listening.kb.concepts))
    for i, embedding in enumerate(embeddings):
        scores = listening.score(embedding, leaves).scores
        assert by.both[i] == pytest.approx([s.probability for s in scores], abs=1e-5)
        assert by.vector[i] == pytest.approx([s.by_vector for s in scores], abs=1e-5)
        assert by.criteria[i] == pytest.approx([s.by_criteria for s in scores], abs=1e-5)
    deaf = listening.probabilities(vectors, leaves)
    assert np.array_equal(deaf.both, deaf.vector)
    assert np.isnan(deaf.criteria).all()


# --- no contradictions ------------------------------------------------------------------------------------------------

TRIO = ["normal-ecg", "posterior-myocardial-infarction", "posterior-stemi", ""]


def test_a_normal_ecg_yields_to_an_infarction_and_a_wider_one_holds_with_its_kind(model):
    given = np.array([[0.5, 0.1, 0.95, 0.3], [0.5, 0.1, 0.6, 0.3], [0.95, 0.1, 0.6, 0.3]])
    both, neither, normal = coherent(model.kb, TRIO, given, TRIO)
    assert both[0] < 0.2
    assert both[1:] == pytest.approx([0.95, 0.95, 0.3])
    assert neither == pytest.approx(given[1]), "what is not likely leaves the others as they are"
    assert normal[0] == pytest.approx(0.95)
    assert normal[2] < 0.25, "and it yields to a normal ECG"
    assert coherent(model.kb, TRIO, given, ["normal-ecg"])[0] == pytest.approx(given[0]), "a claim that nobody trusts"


@pytest.mark.parametrize("others", [[], ["inferior STEMI"], ["inferior STEMI", "acute infarction"]])
def test_a_label_has_the_same_probability_whatever_is_asked_beside_it(listening, others):
    embedding = listening.embed(simulate("inferior-stemi", seed=3))
    alone = listening.score(embedding, listening.prompts(["normal ECG"])).scores[0]
    beside = listening.score(embedding, listening.prompts(["normal ECG", *others])).scores[0]
    assert beside.probability == pytest.approx(alone.probability, abs=1e-6)


def test_a_condition_of_simulated_ecgs_alone_has_a_curve_and_a_mix_of_its_own(listening):
    stemi, embedding = listening.prompts(["anterior STEMI"]), listening.embed(simulate("af", seed=3))
    config = listening.config
    before = listening.score(embedding, stemi).scores[0]
    witnesses = dataclasses.replace(config.witnesses, simulated=(1.0, 0.0, 0.0))
    curve, training = Calibration((0.0,) * 4, 1.0), config.training | {"simulated": ["anterior-stemi"]}
    listening.config = dataclasses.replace(config, simulated=curve, witnesses=witnesses, training=training)
    after = listening.score(embedding, stemi).scores[0]
    assert after.by_vector == pytest.approx(1 / (1 + np.exp(-1)))
    assert after.by_vector != pytest.approx(before.by_vector)
    assert after.trained is False, "no ECG of a patient"
    assert type(config).from_dict(json.loads(json.dumps(dataclasses.asdict(listening.config)))) == listening.config


def test_many_records_are_scored_as_each_alone(listening, records):
    labels = ["AF", "LBBB or RBBB", "normal ECG", "STEMI", "QTc > 500 ms"]
    embeddings = listening.embed_many([records / "pvc", simulate("lbbb"), simulate("af", seconds=25)])
    embeddings[1] = dataclasses.replace(embeddings[1], metadata={"age": 30, "sex": "female"})
    prompts = listening.prompts(labels)
    together = listening.score(embeddings, prompts)
    assert len(together[-1].windows) > 1
    for embedding, result in zip(embeddings, together, strict=True):
        alone = listening.score(embedding, prompts)
        assert (alone.record, alone.windows) == (result.record, result.windows)
        for one, other in zip(alone.scores, result.scores, strict=True):
            assert one.note == other.note
            numbers = [[np.nan if x is None else x for x in (s.probability, s.by_vector, s.by_criteria, s.burden)]
                       for s in (one, other)]  # fmt: skip
            assert np.allclose(*numbers, rtol=0, atol=1e-12, equal_nan=True)
            assert np.allclose(one.window_similarity, other.window_similarity, rtol=0, atol=1e-12)
    assert listening.score([], prompts) == []
