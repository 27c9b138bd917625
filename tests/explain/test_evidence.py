"""What lies behind a score: in the words of the knowledge base, and in the numbers of the record."""

import pytest

from ecgclip.ecg import LEADS
from ecgclip.explain.evidence import explain, summary
from ecgclip.model.store import load_model


@pytest.fixture(scope="module")
def answered(tiny_model, records):
    """Model, embedding and what is explained of AF without LBBB, and of a label that nobody knows."""
    model = load_model(tiny_model)
    embedding = model.embed(records / "pvc")
    prompts = model.prompts(["AF without LBBB", "purple zebra sign"])
    return model, embedding, explain(model, embedding, prompts, model.score(embedding, prompts))


def test_several_conditions_are_explained_by_all_their_concepts(answered):
    model, _, (both, _) = answered
    concepts = [model.kb.concepts[c] for c in ("atrial-fibrillation", "left-bundle-branch-block")]
    assert both["name"] == "and: atrial fibrillation; not left bundle branch block"
    assert both["definition"] == " ".join(concept.definition for concept in concepts)
    assert {p["text"] for p in both["passages"]} >= {concept.definition for concept in concepts}
    assert {p["source"] for p in both["passages"] if p["source"]} <= both["sources"].keys()


def test_a_label_without_a_concept_has_numbers_alone(answered):
    _, embedding, (_, unknown) = answered
    assert unknown["name"] is None
    assert unknown["definition"] is None
    assert unknown["passages"] == []
    assert len(unknown["windows"]) == len(embedding.rhythm)
    assert set(unknown["leads"]) == set(LEADS)


def test_the_most_similar_beats_come_first(answered):
    _, embedding, (both, _) = answered
    similarity = [beat["similarity"] for beat in both["beats"]]
    assert len(similarity) == 3
    assert similarity == sorted(similarity, reverse=True)
    times = {round(float(t), 2) for t in embedding.heartbeats.times_s}
    assert {beat["time_s"] for beat in both["beats"]} <= times


def test_the_summary_is_the_median_of_the_windows(answered):
    _, embedding, _ = answered
    rates = sorted(m.heart_rate for m in embedding.measurements)
    assert summary(embedding.measurements)["heart_rate"] == rates[1]
