"""The vectors of the knowledge base: nearest passages, and a vector for each concept."""

import numpy as np
import pytest

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.store import load_model


def test_the_nearest_passage_to_a_passage_is_itself(model):
    row = next(i for i, p in enumerate(model.passages) if p.concept == "atrial-fibrillation" and p.kind == "definition")
    near = model.nearest_passages(model.passage_vectors[row], 3)
    assert len(near) == 3
    assert near[0][0] is model.passages[row]
    assert near[0][1] == pytest.approx(1, abs=1e-3)
    cosines = [c for _, c in near]
    assert cosines == sorted(cosines, reverse=True)
    for passage, cosine in near:
        vector = model.passage_vectors[model.passages.index(passage)]
        assert cosine == pytest.approx(vector @ model.passage_vectors[row], abs=1e-5)
    assert len(model.nearest_passages(model.passage_vectors[row])) == 5


def test_a_concept_is_asked_by_its_kinds_of_passages_in_their_shares(model):
    rows = zip(model.passages, model.passage_vectors, strict=True)
    vectors = [(p.kind, v) for p, v in rows if p.concept == "left-bundle-branch-block"]
    unit = lambda v: v / np.linalg.norm(v)
    names = unit(np.mean([v for kind, v in vectors if kind in ("name", "alias")], 0))
    definitions = unit(np.mean([v for kind, v in vectors if kind == "definition"], 0))
    vector = model.concept_vector("left-bundle-branch-block", {"name": 3.0, "definition": 1.0, "nonsense": 5.0})
    assert np.allclose(vector, unit(3 * names + definitions), atol=1e-5)


def test_what_training_never_had_is_asked_in_shares_of_its_own(taught):
    settings = prompt_settings()
    assert settings["enrich"] != settings["enrich_untrained"]
    for concept, name in (("left-bundle-branch-block", "enrich"), ("atrial-flutter", "enrich_untrained")):
        assert np.array_equal(taught.concept_vector(concept), taught.concept_vector(concept, settings[name]))


def test_a_criterion_that_denies_counts_against(tiny_model):
    model = load_model(tiny_model)
    rows = zip(model.passages, model.passage_vectors, strict=True)
    criteria = {p.text: v for p, v in rows if p.concept == "atrial-fibrillation" and p.kind == "criterion"}
    denied = criteria.pop("no P waves before the QRS complexes")
    expected = np.sum([*criteria.values(), -denied], 0)
    vector = model.concept_vector("atrial-fibrillation", {"criterion": 1.0})
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_names_are_embedded_in_templates_and_sentences_as_they_stand(tiny_model, two_concepts):
    model = load_model(tiny_model)
    model.like(model.concept_vector("left-bundle-branch-block"))  # whatever is remembered of the old one …
    model.nearest_passages(model.passage_vectors[0])
    model.prompt("LBBB", enrich=False)
    model.set_knowledge(KnowledgeBase.load(two_concepts))
    for passage, vector in zip(model.passages, model.passage_vectors, strict=True):
        plain = passage.kind in ("name", "alias")
        expected = model.plain_vectors([passage.text], [passage.language]) if plain else model.embed_text(passage.text)
        assert np.allclose(vector, expected[0], atol=1e-4), passage
    row = next(i for i, p in enumerate(model.passages) if p.text == "delirium cordis")
    assert model.nearest_passages(model.passage_vectors[row], 1)[0][0].text == "delirium cordis"  # … is forgotten
    assert np.array_equal(model.prompt("delirium cordis", enrich=False).vector, model.passage_vectors[row])
    fresh = load_model(tiny_model, knowledge_base=two_concepts)
    vectors = [loaded.concept_vector("atrial-fibrillation") for loaded in (model, fresh)]
    assert np.allclose(*vectors, atol=1e-4)
