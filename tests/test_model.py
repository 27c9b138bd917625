"""The model as users meet it: classify, embed, load; good answers to bad files."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.model import Calibration, _weights_folder, load_model, weights_hash
from ecgclip.simulate import simulate


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def af():
    return simulate("af", seed=3)


def part(ecg, leads, order=None):
    rows = [ecg.leads.index(n) for n in leads]
    return ECG(ecg.signal[rows], ecg.sampling_rate, leads)


# --- embedding --------------------------------------------------------------------------------------------------------


def test_ecgs_become_unit_vectors_in_the_space_of_texts(model, records, af):
    vectors = model.embed_ecg([af, records / "pvc", str(records / "normal.hea")])
    assert vectors.shape == (3, 32) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(model.embed_ecg(af), vectors[:1], atol=1e-6), "one record alone, or among others"
    texts = model.embed_text(["atrial fibrillation", "Vorhofflimmern"])
    assert texts.shape == (2, 32) and np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert model.embed_text("x").shape == (1, 32) and model.embed_text([]).shape == (0, 32)


def test_no_ecgs_give_no_vectors(model):
    assert model.embed_ecg([]).shape == model.embed_text([]).shape == (0, 32)


def test_the_order_of_a_records_leads_does_not_matter(model, af):
    shuffled = part(af, [af.leads[i] for i in np.random.default_rng(0).permutation(12)])
    assert np.allclose(model.embed_ecg(shuffled), model.embed_ecg(af), atol=1e-5)


@pytest.mark.parametrize(
    "leads", [["II"], ["V1"], ["I", "II"], ["V5", "II"], ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]]
)
def test_any_leads_will_do(model, af, leads):
    result = model.classify(part(af, leads), ["AF"])
    assert np.isfinite(result["AF"].similarity) and result.leads == tuple(leads)


def test_eight_independent_leads_are_as_good_as_twelve(model, af):
    eight = part(af, ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"])
    assert np.allclose(model.embed_ecg(eight), model.embed_ecg(af), atol=1e-3)


def test_short_records_with_hardly_a_beat(model):
    noise = np.random.default_rng(0).normal(0, 0.05, (1, 500))
    one = np.zeros((1, 600), np.float32)
    one[0, 290:310] = np.hanning(20)
    for signal in (noise, one + noise[:, :1] * 0 + np.random.default_rng(1).normal(0, 0.004, (1, 600))):
        assert np.isfinite(model.embed_ecg(ECG(signal, 250, ("II",)))).all()


# --- classify ---------------------------------------------------------------------------------------------------------


def test_scores_come_in_the_order_asked_and_by_name(model, records):
    result = model.classify(records / "pvc", labels=["STEMI", "AF"])
    assert [s.label for s in result.scores] == ["STEMI", "AF"]
    score = result["AF"]
    assert score.concept == "atrial-fibrillation" and score.passages and 0 < score.probability < 1
    assert len(score.window_similarity) == len(result.windows) == 3
    assert score.similarity == pytest.approx(np.mean(score.window_similarity), abs=1e-6)
    assert len(score.beat_similarity) == 3 and all(len(b) > 4 for b in score.beat_similarity)
    with pytest.raises(KeyError):
        result["LBBB"]


def test_the_json_contract(model, records):
    found = json.loads(json.dumps(model.classify(str(records / "af.hea"), ["AF"]).to_dict()))
    assert set(found) == {"record", "leads", "windows", "scores"} and found["record"] == str(records / "af")
    assert set(found["scores"][0]) == {"label", "concept", "probability", "similarity"}
    assert found["windows"] == [0.0] and len(found["leads"]) == 12


def test_many_records_give_many_results(model, records, af):
    results = model.classify([records / "af", af], ["AF"])
    assert len(results) == 2 and isinstance(model.classify(af, ["AF"]), type(results[0]))


def test_without_labels_the_whole_knowledge_base_best_first(model, af):
    everything = model.classify(af)
    probabilities = [s.probability for s in everything.scores]
    assert len(probabilities) > 150 and probabilities == sorted(probabilities, reverse=True)
    assert not any(model.kb.concepts[s.concept].category == "beat" for s in everything.scores)
    assert model.classify(af, top=5).scores == everything.scores[:5]
    three = model.classify(af, ["AF", "STEMI", "LBBB"])
    assert model.classify(af, ["AF", "STEMI", "LBBB"], top=1).scores[0].probability == max(
        s.probability for s in three.scores
    )


def test_softmax_makes_one_of_the_labels_true(model, af):
    independent = model.classify(af, ["AF", "STEMI", "LBBB"])
    one = model.classify(af, ["AF", "STEMI", "LBBB"], softmax=True)
    assert sum(s.probability for s in one.scores) == pytest.approx(1)
    order = [sorted(r.scores, key=lambda s: s.probability)[-1].label for r in (independent, one)]
    assert order[0] == order[1]


def test_a_concept_scores_the_same_by_any_of_its_names(model, af):
    names = ["AF", "atrial fibrillation", "Vorhofflimmern", "AFIB", "164889003", "  af "]
    scores = [model.classify(af, [n]).scores[0] for n in names]
    assert {s.concept for s in scores} == {"atrial-fibrillation"}
    assert len({s.similarity for s in scores}) == 1 and len({s.probability for s in scores}) == 1


def test_without_enrichment_the_bare_label_is_asked(model, af):
    bare, enriched = model.classify(af, ["AF"], enrich=False)["AF"], model.classify(af, ["AF"])["AF"]
    assert bare.concept is None and bare.passages == () and bare.similarity != enriched.similarity


def test_an_unknown_label_is_asked_plainly_and_says_so(model, af):
    score = model.classify(af, ["purple zebra sign"]).scores[0]
    assert score.concept is None and "not in the knowledge base" in score.note and np.isfinite(score.probability)


def test_a_label_near_the_knowledge_base_borrows_from_it_and_says_so(tiny_model, af):
    model = load_model(tiny_model)
    model.config = dataclasses.replace(model.config, floor=-1.0)
    score = model.classify(af, ["irregular fibrillating atria"]).scores[0]
    assert score.concept in model.kb.concepts and "nearest" in score.note and score.passages


def test_label_sets_fix_what_a_label_means(model, af):
    fixed = model.classify(af, ["CD"], concepts={"CD": "conduction-disturbance"})["CD"]
    assert fixed.concept == "conduction-disturbance"
    with pytest.raises(EcgclipError, match="not in the knowledge base"):
        model.classify(af, ["CD"], concepts={"CD": "nonsense"})


@pytest.mark.parametrize(
    "labels, problem",
    [
        ([""], "empty label"),
        (["  "], "empty label"),
        ([], "no labels"),
        (["AF", "af "], "twice"),
        (["x" * 10_000], "10,000 characters"),
    ],
)
def test_labels_that_cannot_be_meant(model, af, labels, problem):
    with pytest.raises(EcgclipError, match=problem) as error:
        model.classify(af, labels)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.fixture
def taught(tiny_model):
    """A model that says which concepts it was trained on; its ECG vectors are free to choose."""
    known = [
        "atrial-fibrillation",
        "left-bundle-branch-block",
        "normal-ecg",
        "myocardial-infarction",
        "inferior-myocardial-infarction",
    ]
    model = load_model(tiny_model)
    calibration = Calibration((8.0, 1.0, 0.0, 0.0), -4.0)
    model.config = dataclasses.replace(model.config, training={"concepts": known}, calibration=calibration)
    return model


def test_like_cases_are_searched_by_what_is_unusually_probable(taught, tiny_model):
    vector = taught.concept_vector("atrial-fibrillation")
    assert np.array_equal(load_model(tiny_model).like(vector), vector), (
        "a model that does not say what it was trained on"
    )
    query = taught.like(vector)
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)
    closeness = {c: float(query @ taught.concept_vector(c)) for c in taught.config.training["concepts"]}
    assert max(closeness, key=closeness.get) == "atrial-fibrillation", closeness


def test_a_criterion_that_denies_counts_against(tiny_model):
    model = load_model(tiny_model)
    rows = zip(model.passages, model.passage_vectors, strict=True)
    own = {p.text: v for p, v in rows if p.concept == "atrial-fibrillation" and p.kind == "criterion"}
    denied = own.pop("no P waves before the QRS complexes")
    expected = np.sum([*own.values(), -denied], 0)
    vector = model.concept_vector("atrial-fibrillation", {"criterion": 1.0})
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_likeness_goes_by_diagnostic_class_and_by_shared_statements(taught, monkeypatch):
    infarct, inferior, lbbb, normal = np.eye(taught.reference.shape[1])[:4].astype(np.float32)
    vectors = {"myocardial-infarction": infarct, "inferior-myocardial-infarction": inferior, "normal-ecg": normal}
    monkeypatch.setattr(taught, "concept_vector", lambda c: vectors.get(c, lbbb))
    calibration = Calibration((12.0, 0.0, 0.0, 0.0), -6.0)  # a statement is there or not
    taught.config = dataclasses.replace(taught.config, calibration=calibration)
    others = np.stack([infarct + inferior, infarct, infarct + lbbb, inferior, normal, lbbb])
    likeness, other_way = taught.likeness(np.stack([infarct + inferior, infarct]), others)
    assert likeness[0] > likeness[1] > likeness[3:].max() and likeness[2] > likeness[3:].max()
    assert likeness[0] > 0.95 and likeness[4:].max() < 0.05
    assert other_way[0] == pytest.approx(likeness[1]), "mutual"


def test_lead_evidence_is_what_is_lost_without_a_lead(model, af):
    prompts = model.prompts(["AF", "STEMI"])
    embedding = model.embed(part(af, ["II", "V1"]))
    evidence = model.lead_evidence(embedding, prompts)
    assert evidence.shape == (2, 12) and np.isfinite(evidence).sum() == 4
    without = model.embed(part(af, ["II"])).rhythm[0]
    lost = (embedding.rhythm[0] - without) @ np.stack([p.vector for p in prompts]).T
    assert np.allclose(evidence[:, 6], lost, atol=0.05), "V1, as if it had not been recorded"
    assert np.isnan(model.lead_evidence(model.embed(part(af, ["II"])), prompts)).all()


def test_calibration_is_defined_with_and_without_a_reference_bank():
    curve = Calibration((1.0, 1.0, 1.0, 0.0), -1.0)
    bank = np.random.default_rng(0).normal(size=(50, 2))
    p = curve(np.array([[-1.0, 0.0], [1.0, 2.0]]), bank)
    assert p.shape == (2, 2) and ((p > 0) & (p < 1)).all() and (p[1] > p[0]).all(), "more similar, more probable"


# --- saving and loading -----------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


def test_a_saved_model_answers_as_before(model, af, tmp_path):
    labels = ["AF", "STEMI", "purple zebra sign"]
    before = model.classify(af, labels)
    model.save(tmp_path / "again")
    after = load_model(tmp_path / "again").classify(af, labels)
    assert [s.similarity for s in after.scores] == pytest.approx([s.similarity for s in before.scores], abs=1e-3)
    assert weights_hash(tmp_path / "again") == weights_hash(tmp_path / "again")


def test_a_model_of_0_1_0_loads_without_the_caption_decoder_that_it_had(model, tiny_model, af, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["text"] |= {"caption_layers": 2, "caption_queries": 16}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    state = load_file(tmp_path / "model.safetensors")
    save_file({**state, "caption.queries": torch.zeros(16, 32)}, tmp_path / "model.safetensors")
    old = load_model(tmp_path)
    assert old.classify(af, ["AF"]) == model.classify(af, ["AF"])
    old.save(tmp_path / "again")
    assert load_file(tmp_path / "again/model.safetensors").keys() == state.keys()
    assert "caption" not in (tmp_path / "again/config.json").read_text()


def test_saving_a_loaded_model_keeps_text_weights_that_were_never_used(tiny_model, tmp_path):
    load_model(tiny_model).save(tmp_path)
    assert weights_hash(tmp_path) == weights_hash(tiny_model)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.model", "vectors.safetensors", "knowledge_base.json"]
)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_file_is_one_line(copy, name, damage):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(
        {"truncated": content[: len(content) // 2], "garbage": b"\x00{not" * 50, "empty": b""}[damage]
    )
    with pytest.raises(EcgclipError) as error:
        load_model(copy)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.model"])
def test_a_missing_file_is_one_line(copy, name):
    (copy / name).unlink()
    with pytest.raises(EcgclipError):
        load_model(copy)


@pytest.mark.parametrize("change", [{"ecg": {"width": 64}}, {"ecg": {"nonsense": 1}}, {"floor": None}])
def test_a_config_of_another_network_is_one_line(copy, change):
    config = json.loads((copy / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    if change.get("floor", 0) is None:
        del config["floor"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(EcgclipError) as error:
        load_model(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nonsense"])
def test_no_model_there(name):
    with pytest.raises(EcgclipError, match="neither a folder"):
        _weights_folder(name)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(EcgclipError, match="no model here"):
        load_model(tmp_path)


def test_lost_vectors_are_one_line(copy):
    (copy / "vectors.safetensors").unlink()  # the reference bank in it cannot be made again
    with pytest.raises(EcgclipError, match=r"vectors\.safetensors missing"):
        load_model(copy)


def test_a_knowledge_base_of_ones_own_is_embedded_anew(tiny_model, model, af, tmp_path):
    from ecgclip.assets import asset_path

    source = asset_path("knowledge_base")
    shutil.copy(source / "sources.yaml", tmp_path)
    for concept in ("atrial-fibrillation", "left-bundle-branch-block"):
        entry = yaml.safe_load((source / f"{concept}.yaml").read_text(encoding="utf-8"))
        entry |= {"broader": [], "lookalikes": []}
        if concept == "atrial-fibrillation":
            entry["aliases"] = {"en": ["delirium cordis"], "de": []}
        (tmp_path / f"{concept}.yaml").write_text(yaml.safe_dump(entry, allow_unicode=True), encoding="utf-8")
    own = load_model(tiny_model, knowledge_base=tmp_path)
    assert len(own.passage_vectors) == len(own.passages) == len(own.kb.passages) < len(model.passages)
    assert own.classify(af, ["Delirium cordis"]).scores[0].concept == "atrial-fibrillation"
    assert own.classify(af, ["STEMI"]).scores[0].concept is None and len(own.classify(af).scores) == 2
