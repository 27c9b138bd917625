"""The model as users meet it: classify one record or many, and what each lead adds."""

import dataclasses

import numpy as np
import pytest
import torch
from toy import some_leads

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.evaluate.robustness import perturb
from ecgclip.model.store import load_model
from ecgclip.networks.config import ECGFeatures


def test_scores_come_in_the_order_asked_and_by_name(model, records):
    result = model.classify(records / "pvc", labels=["STEMI", "AF"])
    assert [s.label for s in result.scores] == ["STEMI", "AF"]
    score = result["AF"]
    assert score.concept == "atrial-fibrillation"
    assert score.passages
    assert 0 < score.probability < 1
    assert len(score.window_similarity) == len(result.windows) == 3
    assert min(score.window_similarity) < score.similarity
    with pytest.raises(KeyError):
        result["LBBB"]


@pytest.mark.parametrize(
    "leads", [["II"], ["V1"], ["I", "II"], ["V5", "II"], ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]]
)
def test_any_leads_will_do(model, af, leads):
    result = model.classify(some_leads(af, leads), ["AF"])
    assert np.isfinite(result["AF"].similarity)
    assert result.leads == tuple(leads)


def test_many_records_give_many_results(model, records, af):
    results = model.classify([records / "af", af], ["AF"])
    assert len(results) == 2
    assert isinstance(model.classify(af, ["AF"]), type(results[0]))


def test_many_records_are_answered_as_each_alone(model, records, af):
    many = model.classify([records / "af", records / "pvc", af], ["AF"])
    alone = [model.classify(record, ["AF"]) for record in (records / "af", records / "pvc", af)]
    assert [r["AF"].probability for r in many] == pytest.approx([r["AF"].probability for r in alone], abs=1e-5)


def test_without_labels_the_whole_knowledge_base_best_first(model, af):
    everything = model.classify(af)
    probabilities = [s.probability for s in everything.scores]
    assert len(probabilities) > 150
    assert probabilities == sorted(probabilities, reverse=True)
    assert not any(model.kb.concepts[s.concept].category == "beat" for s in everything.scores)
    assert model.classify(af, top=5).scores == everything.scores[:5]
    three = model.classify(af, ["AF", "STEMI", "LBBB"])
    best = model.classify(af, ["AF", "STEMI", "LBBB"], top=1).scores[0]
    assert best.probability == max(s.probability for s in three.scores)


@pytest.mark.parametrize("top", [0, -1])
def test_top_is_one_or_more(model, af, top):
    with pytest.raises(EcgclipError, match="top"):
        model.classify(af, ["AF"], top=top)


def test_the_vector_of_a_long_record_answers_as_classify_does(model, records):
    prompts = model.prompts(["AF", "STEMI"])
    similarity = model.embed_ecg(records / "pvc")[0] @ np.stack([p.vector for p in prompts]).T
    scores = model.classify(records / "pvc", ["AF", "STEMI"]).scores
    assert [s.similarity for s in scores] == pytest.approx(similarity.tolist(), abs=1e-6)


def test_lead_evidence_is_what_is_lost_without_a_lead(model, af):
    prompts = model.prompts(["AF", "STEMI"])
    embedding = model.embed(some_leads(af, ["II", "V1"]))
    evidence = model.lead_evidence(embedding, prompts)
    assert evidence.shape == (2, 12)
    assert np.isfinite(evidence).sum() == 4
    without = model.embed(some_leads(af, ["II"])).rhythm[0]
    lost = (embedding.rhythm[0] - without) @ np.stack([p.vector for p in prompts]).T
    assert np.allclose(evidence[:, 6], lost, atol=0.05), "V1, as if it had not been recorded"
    assert np.isnan(model.lead_evidence(model.embed(some_leads(af, ["II"])), prompts)).all()


def test_a_printouts_columns_have_lead_evidence_and_its_only_strip_none(model, af):
    prompts = [model.prompt("AF")]
    (evidence,) = model.lead_evidence(model.embed(perturb(af, layout="3x4+II")), prompts)
    assert np.isfinite(evidence).tolist() == [lead != "II" for lead in LEADS]
    for layout in ("3x4+II,V1", "6x2+0"):
        (evidence,) = model.lead_evidence(model.embed(perturb(af, layout=layout)), prompts)
        assert np.isfinite(evidence).all(), layout


def test_a_lead_that_speaks_for_a_label_has_positive_evidence(tiny_model, records, monkeypatch):
    """An encoder that hears nothing but which leads are there, so that what each lead adds is known."""
    model = load_model(tiny_model)
    weight = np.linspace(0.6, -0.5, 12, dtype=np.float32)

    def leads_alone(signal, mask, *_):
        rhythm = torch.nn.functional.pad(mask * torch.from_numpy(weight), (0, 20))
        no_beat = torch.zeros(len(mask), 1, 32)
        return ECGFeatures(beats=no_beat.expand(-1, 60, -1), beat_mask=no_beat[..., 0] > 0, rhythm=rhythm)

    monkeypatch.setattr(model.ecg, "forward", leads_alone)
    embedding = model.embed(records / "pvc")
    assert embedding.rhythm.shape == (3, 32)
    asked = np.zeros((2, 32), np.float32)
    asked[0, :12], asked[1, 0] = 1, -1  # all leads alike; the first lead, against
    prompts = [dataclasses.replace(p, vector=v) for p, v in zip(model.prompts(["AF", "STEMI"]), asked, strict=True)]
    evidence = model.lead_evidence(embedding, prompts)
    assert np.allclose(evidence[0], weight, atol=1e-6)
    assert np.allclose(evidence[1], [-weight[0], *[0] * 11], atol=1e-6)
