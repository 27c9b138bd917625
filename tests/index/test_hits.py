"""Hits: what a score measures, and what several hits have in common."""

from index_stubs import NORTH

from ecgclip.index.hits import Hit, shared


def test_a_hit_says_what_its_score_measures(circle, model, monkeypatch):
    assert {h.measure for h in circle.search(like=NORTH)} == {"cosine"}, "all that a model without statements has"
    monkeypatch.setitem(vars(model), "statements", "known")
    monkeypatch.setattr(model, "like", lambda vector: vector)
    monkeypatch.setattr(model, "likeness", lambda mine, others: 1 - mine @ others.T)
    assert {h.measure for h in circle.search(like=NORTH)} == {"likeness"}
    for like in (None, NORTH):
        assert {h.measure for h in circle.search("AF", like=like)} == {"cosine"}
    hit = circle.search(like=NORTH, k=1)[0]
    assert hit.to_dict()["measure"] == "likeness"
    assert list(hit.to_dict())[1] == "score"


def test_shared_counts_the_narrower_concepts_too(model):
    hits = [Hit(i + 1, 0.5, "r", 0.0, "", labels) for i, labels in enumerate([("inferior STEMI",), ("LBBB",), ()])]
    concept = model.kb.find("inferior STEMI").id
    for wanted in (concept, *model.kb.ancestors(concept)):
        assert shared(hits, wanted, model.kb) == (1, 2)
    assert shared(hits, "atrial-fibrillation", model.kb) == (0, 2)
