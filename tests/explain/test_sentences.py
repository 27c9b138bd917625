"""Descriptions: what is stated is probable, consistent, and in the language asked for."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.robustness import perturb
from ecgclip.explain.sentences import choose_statements, consistent, describe
from ecgclip.io.read import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import CATEGORIES
from ecgclip.model.calibration import Calibration
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "records"

needs_weights = pytest.mark.skipif(
    not (ROOT / "ecgclip" / "weights" / "model.safetensors").exists(), reason="ecgclip/weights is missing"
)


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def trained(model, *concepts):
    """The same model, as if trained on these concepts only."""
    other = copy.copy(model)
    other.config = replace(model.config, training={"concepts": list(concepts)}, threshold=0.5)
    return other


@pytest.fixture
def probable(monkeypatch):
    """probable(model, {concept: p}) → an embedding for which the model has these probabilities, and 0.01 for others."""

    def script(model, probability):
        order = [c.id for c in model.kb.concepts.values()]
        vectors = dict(zip(order, np.eye(len(order), dtype=np.float32), strict=True))
        logit = np.array([np.log(p / (1 - p)) for p in (probability.get(c, 0.01) for c in order)], np.float32)
        monkeypatch.setattr(model, "concept_vector", vectors.__getitem__, raising=False)
        monkeypatch.setattr(model, "reference", np.zeros((2, len(order)), np.float32), raising=False)
        scale = float(np.linalg.norm(logit))  # as a record's vector has unit length
        model.config = replace(model.config, calibration=Calibration((scale, 0.0, 0.0, 0.0), 0.0))
        return replace(model.embed(simulate("normal")), rhythm=logit[None])

    return script


@pytest.mark.parametrize(
    "probable, stated",
    [
        ({"inferior-myocardial-infarction", "myocardial-infarction"}, {"inferior-myocardial-infarction"}),
        ({"normal-ecg", "sinus-rhythm", "left-bundle-branch-block"}, {"sinus-rhythm", "left-bundle-branch-block"}),
        ({"normal-ecg", "sinus-bradycardia"}, {"sinus-bradycardia"}),
        ({"normal-ecg", "sinus-rhythm", "atrial-fibrillation"}, {"atrial-fibrillation"}),
        ({"sinus-rhythm", "atrial-pacing"}, {"atrial-pacing"}),
        (set(), set()),
    ],
)
def test_the_narrowest_is_stated_and_nothing_normal_beside_its_opposite(kb, probable, stated):
    assert consistent(kb, dict.fromkeys(probable, 0.9)) == stated


def test_of_two_that_exclude_each_other_the_more_probable_is_stated(kb):
    lbbb, q_waves, normal = "left-bundle-branch-block", "pathological-q-waves", "normal-ecg"
    assert consistent(kb, {lbbb: 0.9, q_waves: 0.6}) == {lbbb}
    assert consistent(kb, {lbbb: 0.6, q_waves: 0.9}) == {q_waves}
    assert consistent(kb, {normal: 0.99, lbbb: 0.6}) == {lbbb}, "a finding is never dropped for a normal ECG"
    assert consistent(kb, {normal: 0.99, "inferior-stemi": 0.6}) == {"inferior-stemi"}


def test_what_is_stated_reaches_the_threshold(kb):
    probability = {"atrial-fibrillation": 0.5, "sinus-rhythm": 0.49, "left-bundle-branch-block": 0.9}
    stated = {"atrial-fibrillation": 0.5, "left-bundle-branch-block": 0.9}
    assert choose_statements(kb, probability, 0.5) == stated


def test_sentences_pass_the_threshold_in_the_order_of_a_report(model, probable):
    some = trained(model, "sinus-rhythm", "st-elevation", "premature-complexes")
    probability = {"sinus-rhythm": 0.7, "st-elevation": 0.9, "stemi": 0.8, "asystole": 0.8, "premature-complexes": 0.4}
    embedding = probable(some, probability)
    said = describe(some, embedding)
    # no ECG of the training had a STEMI or an asystole: neither is stated, however probable
    assert [(s.concept, s.text) for s in said] == [("sinus-rhythm", "Sinus rhythm."), ("st-elevation", "ST elevation.")]
    assert [s.probability for s in said] == pytest.approx([0.7, 0.9])
    assert [s.concept for s in describe(some, embedding, threshold=0.75)] == ["st-elevation"]
    assert "premature-complexes" in {s.concept for s in describe(some, embedding, threshold=0.3)}
    assert describe(some, embedding, language="de")[0].text == "Sinusrhythmus."
    assert describe(some, embedding, threshold=0.95) == []


def test_a_description_is_as_sure_as_classify(model, records):
    scores = {s.concept: s.probability for s in model.classify(records / "pvc").scores}
    said = describe(model, records / "pvc", threshold=0.3)
    assert [s.probability for s in said] == pytest.approx([scores[s.concept] for s in said], abs=1e-5)


def test_a_record_is_described_whatever_it_is_given_as_and_always_the_same(model, records):
    path = records / "pvc"  # of three windows
    said = describe(model, path, threshold=0.3)
    assert said
    assert said == describe(model, str(path), threshold=0.3) == describe(model, read_ecg(path), threshold=0.3)
    assert said == describe(model, model.embed(path), threshold=0.3)
    assert [s.concept for s in said] == [s.concept for s in describe(model, [records / "af", path], threshold=0.3)[1]]
    order = [CATEGORIES.index(model.kb.concepts[s.concept].category) for s in said]
    assert order == sorted(order)
    assert all(s.probability >= 0.3 for s in said)
    assert describe(model, path, threshold=1.0) == []


@pytest.mark.parametrize(
    "options", [{"threshold": -0.1}, {"threshold": 1.5}, {"threshold": float("nan")}, {"language": "fr"}]
)
def test_what_cannot_be_asked_is_one_line(model, records, options):
    with pytest.raises(EcgclipError) as error:
        describe(model, records / "af", **options)
    assert "\n" not in str(error.value)


@needs_weights
@pytest.mark.parametrize(
    "record, concept, unsaid",
    [
        ("af", "atrial-fibrillation", {"sinus-rhythm", "normal-ecg"}),
        ("normal", "sinus-rhythm", {"atrial-fibrillation", "myocardial-infarction"}),
        ("lbbb", "left-bundle-branch-block", {"normal-ecg", "atrial-fibrillation"}),
        ("pvc", "premature-ventricular-contraction", {"atrial-fibrillation"}),
    ],
)
def test_the_shipped_model_says_what_was_simulated(record, concept, unsaid):
    shipped = shipped_model()
    said = {s.concept: s for s in describe(shipped, EXAMPLES / record)}
    meant = [c for c in said if concept in {c} | shipped.kb.ancestors(c)]  # itself, or something narrower
    assert meant
    assert not unsaid & said.keys()
    assert said[meant[0]].probability >= shipped.config.threshold
    german = {s.concept: s.text for s in describe(shipped, EXAMPLES / record, language="de")}
    assert german.keys() == said.keys()
    assert german[meant[0]] == shipped.kb.concepts[meant[0]].report_de[0]


@needs_weights
@pytest.mark.parametrize("layout", ["3x4+II", "6x2+0"])
@pytest.mark.parametrize("record, concept", [("inferior-stemi", "inferior-myocardial-infarction"), ("lbbb", "lbbb")])
def test_a_printout_is_read_as_the_whole_ecg_is(record, concept, layout):
    """Each of its leads is there for 2.5 or 5 s: from a strip of lead II alone, neither could be told."""
    shipped, ecg = shipped_model(), read_ecg(EXAMPLES / record)
    meant = shipped.prompt(concept).concept.id
    said = {s.concept for s in describe(shipped, perturb(ecg, layout=layout))}
    assert any(meant in {c} | shipped.kb.ancestors(c) for c in said)
    assert "normal-ecg" not in said


@cache
def shipped_model():
    return load_model()
