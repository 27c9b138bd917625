"""The model as users meet it: classify, embed, load; good answers to bad files."""

import dataclasses
import fnmatch
import hashlib
import json
import shutil
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.wfdb import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.calibration import Calibration
from ecgclip.model.config import ModelConfig
from ecgclip.model.passages import EmbeddedPassages
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.store import load_model
from ecgclip.model.weights import weights_folder, weights_hash
from ecgclip.networks.config import ECGFeatures
from ecgclip.networks.encoder import ECGEncoder
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
    assert min(score.window_similarity) < score.similarity
    with pytest.raises(KeyError):
        result["LBBB"]


def test_the_json_contract(model, records):
    found = json.loads(json.dumps(model.classify(str(records / "af.hea"), ["AF"]).to_dict()))
    assert set(found) == {"record", "leads", "seconds", "used_s", "notes", "windows", "scores"}
    assert found["record"] == str(records / "af") and found["seconds"] == found["used_s"] == 10
    answered = {"label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"}
    assert set(found["scores"][0]) == answered
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


def test_the_vector_of_a_long_record_answers_as_classify_does(model, records):
    prompts = model.prompts(["AF", "STEMI"])
    similarity = model.embed_ecg(records / "pvc")[0] @ np.stack([p.vector for p in prompts]).T
    scores = model.classify(records / "pvc", ["AF", "STEMI"]).scores
    assert [s.similarity for s in scores] == pytest.approx(similarity.tolist(), abs=1e-6)


def test_many_records_are_answered_as_each_alone(model, records, af):
    many = model.classify([records / "af", records / "pvc", af], ["AF"])
    alone = [model.classify(record, ["AF"]) for record in (records / "af", records / "pvc", af)]
    assert [r["AF"].probability for r in many] == pytest.approx([r["AF"].probability for r in alone], abs=1e-5)


def test_one_bad_record_loses_no_other(model, records, tmp_path):
    (tmp_path / "bad.hea").write_text("nonsense")
    found = dict(model.embed_each([records / "af", tmp_path / "bad", records / "pvc"]))
    assert isinstance(found[tmp_path / "bad"], EcgclipError)
    assert [len(found[records / name].rhythm) for name in ("af", "pvc")] == [1, 3]
    with pytest.raises(EcgclipError, match="bad.hea"):
        model.classify([records / "af", tmp_path / "bad"], ["AF"])


def test_a_short_episode_shows_in_the_highest_window_and_the_burden(taught, monkeypatch):
    prompt = taught.prompt("AF")
    ecg = simulate("af", seed=3, seconds=100)
    embedding = taught.embed(ecg)
    away = -prompt.vector
    rhythm = np.stack([prompt.vector, *[away] * 9])
    score = taught.score(dataclasses.replace(embedding, rhythm=rhythm), [prompt]).scores[0]
    assert score.probability < 0.1 and score.max_probability > 0.9
    assert score.burden == pytest.approx(0.1), "one window in ten"


def test_conditions_that_training_never_had_are_marked_and_left_out_of_the_default_list(taught, af):
    assert {s.concept for s in taught.classify(af).scores} == set(taught.config.training["concepts"])
    asked = taught.classify(af, ["AF", "brugada type 1", "purple zebra sign", "AF without brugada type 1"])
    assert [s.trained for s in asked.scores] == [True, False, False, False]
    assert asked["brugada type 1"].note == "not trained: by its criteria" and "Brugada" not in asked["AF"].note


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
    assert result["asystole"].probability > 0.9 and "measured" in result["asystole"].note
    assert result["normal ECG"].probability < 0.1
    assert any("5.0 to 20.0 s" in note for note in result.notes), result.notes
    assert result.seconds == 20 and result.used_s < 20


def test_a_long_record_of_silence_is_answered_not_refused(model):
    signal = np.random.default_rng(0).normal(0, 0.001, (12, 5000))
    result = model.classify(ECG(signal, 250, simulate("normal", seed=3).leads), ["asystole", "normal ECG"])
    assert result["asystole"].probability > 0.9 > 0.1 > result["normal ECG"].probability


def test_in_double_precision_it_answers_the_same(tiny_model, af):
    single, double = load_model(tiny_model), load_model(tiny_model).double()
    labels = ["AF", "purple zebra sign"]
    expected = [s.similarity for s in single.classify(af, labels).scores]
    assert [s.similarity for s in double.classify(af, labels).scores] == pytest.approx(expected, abs=1e-3)
    assert double.embed_ecg(af).dtype == double.embed_text("x").dtype == np.float32
    assert np.isfinite(double.lead_evidence(double.embed(af), double.prompts(["AF"]))).any()


def test_unknown_words_from_many_threads_get_the_stored_weights(tiny_model, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from ecgclip.networks.text import TextEncoder

    expected = load_model(tiny_model).embed_text("purple zebra sign")
    monkeypatch.setattr(TextEncoder, "load_state_dict", slowly(TextEncoder.load_state_dict))
    model = load_model(tiny_model)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: model.embed_text("purple zebra sign"), range(16)))
    assert all(np.allclose(vector, expected, atol=1e-6) for vector in found)


def slowly(work):
    """The same, but others get a turn meanwhile."""

    def wait(*given, **how):
        time.sleep(0.05)
        return work(*given, **how)

    return wait


@pytest.mark.parametrize("top", [0, -1])
def test_top_is_one_or_more(model, af, top):
    with pytest.raises(EcgclipError, match="top"):
        model.classify(af, ["AF"], top=top)


def test_prompts_can_be_compared(model):
    prompt = model.prompt("AF")
    assert prompt == prompt and prompt in [model.prompt("LBBB"), prompt]


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


TEN = {
    "atrial fibrillation": "Vorhofflimmern",
    "left bundle branch block": "Linksschenkelblock",
    "right bundle branch block": "Rechtsschenkelblock",
    "normal ECG": "normales EKG",
    "myocardial infarction": "Myokardinfarkt",
    "left ventricular hypertrophy": "Linksherzhypertrophie",
    "first degree AV block": "AV-Block I. Grades",
    "sinus rhythm": "Sinusrhythmus",
    "atrial flutter": "Vorhofflattern",
    "myocardial ischemia": "Ischämie",
}


@pytest.mark.parametrize("english", TEN)
def test_a_denial_has_what_the_condition_leaves_in_both_languages(model, af, english):
    present = model.classify(af, [english]).scores[0]
    german = TEN[english]
    for denial in (
        f"no {english}",
        f"without {english}",
        f"not {english}",
        f"kein {german}",
        f"ohne {german}",
        f"{german} ausgeschlossen",
    ):
        absent = model.classify(af, [denial]).scores[0]
        assert absent.probability == 1 - present.probability and absent.similarity == -present.similarity
        assert absent.note == f"denied: 1 − p of {model.kb.find(english).name}" and absent.label == denial
        assert absent.window_similarity == tuple(-s for s in present.window_similarity)


def test_conditions_asked_for_together_have_the_least_and_alternatives_the_most_of_their_probabilities(model, af):
    p = {s.label: s for s in model.classify(af, ["AF", "LBBB", "LVH", "no LBBB"]).scores}
    typed = {
        "AF with LBBB and LVH": (
            min,
            ["AF", "LBBB", "LVH"],
            "and: atrial fibrillation; left bundle branch block; left ventricular hypertrophy",
        ),
        "AF, LBBB oder LVH": (
            max,
            ["AF", "LBBB", "LVH"],
            "or: atrial fibrillation; left bundle branch block; left ventricular hypertrophy",
        ),
        "AF without LBBB": (min, ["AF", "no LBBB"], "and: atrial fibrillation; not left bundle branch block"),
    }
    for label, (choose, parts, note) in typed.items():
        score = model.classify(af, [label])[label]
        assert score.probability == pytest.approx(choose(p[part].probability for part in parts)) and score.note == note
        assert score.similarity == pytest.approx(choose(p[part].similarity for part in parts))
    deep = model.classify(af, ["AF with LBBB or LVH"]).scores[0]
    either = max(p["LBBB"].probability, p["LVH"].probability)
    assert deep.probability == pytest.approx(min(p["AF"].probability, either))
    assert deep.note == "and: atrial fibrillation; (or: left bundle branch block; left ventricular hypertrophy)"
    both = model.classify(af, ["AF and no AF"]).scores[0]
    impossible = min(p["AF"].probability, 1 - p["AF"].probability)
    assert both.probability == pytest.approx(impossible), "even what cannot be"
    evidence = model.lead_evidence(model.embed(part(af, ["II", "V1"])), model.prompts(["AF", "no AF"]))
    assert np.allclose(evidence[0], -evidence[1], equal_nan=True) and np.nanmax(abs(evidence)) > 0


def test_abnormal_is_what_is_not_normal_or_has_another_rhythm(model, af):
    normal, *rhythms = model.classify(af, ["normal ECG", "supraventricular arrhythmia", "paced rhythm"]).scores
    abnormal = max(1 - normal.probability, *(r.probability for r in rhythms))
    for typed in ("abnormal ECG", "auffälliges EKG", "abnormal", "pathologisches EKG"):
        score = model.classify(af, [typed]).scores[0]
        assert score.probability == pytest.approx(abnormal) and score.concept == "abnormal-ecg"
        assert score.note == "or: not normal ECG; supraventricular arrhythmia; paced rhythm"
    assert model.classify(af, ["not abnormal"]).scores[0].probability == pytest.approx(1 - abnormal)
    for typed in ("not normal", "kein normales EKG"):
        score = model.classify(af, [typed]).scores[0]
        assert (
            score.probability == pytest.approx(1 - normal.probability) and score.note == "denied: 1 − p of normal ECG"
        )
    everything = {s.label: s.probability for s in model.classify(af).scores}
    assert everything["abnormal ECG"] >= 1 - everything["normal ECG"]


@pytest.mark.parametrize("kind", ["negation", "beat"])
def test_what_denies_and_what_is_of_one_heartbeat_stands_for_no_label(tiny_model, kind):
    model = load_model(tiny_model)
    label = "irregular fibrillating atria"
    model.config = dataclasses.replace(model.config, floor=0.5)
    own = model.plain_vectors([label])[0]
    rows = [i for i, p in enumerate(model.passages) if kind in (p.kind, model.kb.concepts[p.concept].category)]
    assert len(rows) > 20
    model.passage_vectors[rows] = own
    assert model.nearest_passages(own)[0][1] == pytest.approx(1, abs=1e-5), "nearest of all"
    other = next(i for i, p in enumerate(model.passages) if p.concept == "atrial-flutter")
    model.passage_vectors[other] = own + model.passage_vectors[other] * 0.5
    model.passage_vectors[other] /= np.linalg.norm(model.passage_vectors[other])
    model.knowledge = EmbeddedPassages(model.kb, model.passage_vectors)
    prompt = model.prompt(label)
    assert prompt.concept.id == "atrial-flutter"
    assert not any(kind in (p.kind, model.kb.concepts[p.concept].category) for p in prompt.passages)


@pytest.mark.parametrize("label", ["-", "1234", "?!", "12 34", "qwertz", "left", "green bananas"])
def test_nonsense_finds_nothing_however_near_a_passage_is(tiny_model, label):
    model = load_model(tiny_model)
    model.config = dataclasses.replace(model.config, floor=-1.0)
    prompt = model.prompt(label)
    assert prompt.concept is None and "not in the knowledge base" in prompt.note


@pytest.mark.parametrize(
    "typed, concept",
    [
        ("atrial fibrilation", "atrial-fibrillation"),
        ("Vorhofflimern", "atrial-fibrillation"),
        ("Linksschenkelbock", "left-bundle-branch-block"),
        ("hypokalaemiaa", "hypokalemia"),
        ("short RR interval", None),  # PR?
        ("atypical flutter", None),  # typical?
        ("2:1 atriovenrticular block", "two-to-one-av-block"),
    ],
)
def test_a_slip_of_a_letter_is_read_as_what_is_meant_and_said(model, typed, concept):
    prompt = model.prompt(typed)
    assert (prompt.concept.id if prompt.concept else None) == concept
    if concept:
        assert prompt.note == f"read as {prompt.concept.name}"
        assert np.array_equal(prompt.vector, model.prompt(prompt.concept.name).vector)


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
    assert np.allclose(evidence[0], weight, atol=1e-6) and np.allclose(evidence[1], [-weight[0], *[0] * 11], atol=1e-6)


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


def test_rounded_matrices_are_stored_in_half_precision_and_others_as_they_are(tiny_model, tmp_path):
    model = load_model(tiny_model)
    names = ("ecg.measured.layers.0.weight", "text.out.weight")
    assert {load_file(tiny_model / "model.safetensors")[name].dtype for name in names} == {torch.float32}
    model.round_matrices()
    model.save(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {stored[name].dtype for name in names} == {torch.float16}
    assert stored["ecg.stem.norm.running_var"].dtype == torch.float32, "one dimension"
    again = load_model(tmp_path)
    assert all(p.dtype == torch.float32 for p in again.parameters())
    again.save(tmp_path / "copy")
    assert weights_hash(tmp_path / "copy") == weights_hash(tmp_path)


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


def test_a_models_copy_of_the_knowledge_base_is_not_believed(copy):
    """It may claim to be the shipped one; whatever it says, the shipped definitions are shown."""
    stored = json.loads((copy / "knowledge_base.json").read_text(encoding="utf-8"))
    stored["concepts"]["atrial-fibrillation"]["definition"] = "Harmless."
    (copy / "knowledge_base.json").write_text(json.dumps(stored), encoding="utf-8")
    model, ours = load_model(copy), KnowledgeBase.load()
    assert model.kb.concepts == ours.concepts and model.passages == ours.passages
    row = next(i for i, p in enumerate(ours.passages) if p.concept == "atrial-fibrillation" and p.kind == "definition")
    again = model.embed_text([ours.passages[row].text])[0]
    assert model.passage_vectors[row] == pytest.approx(again, abs=1e-3), "vectors of other passages are made anew"


@pytest.mark.parametrize(
    "stored", [{}, [], {"concepts": {"asystole": {"name": "asystole"}}, "digest": "", "sources": {}}]
)
def test_a_model_with_concepts_of_another_version_is_embedded_anew(copy, stored):
    (copy / "knowledge_base.json").write_text(json.dumps(stored), encoding="utf-8")
    assert load_model(copy).passages == KnowledgeBase.load().passages


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
        weights_folder(name)


def test_a_mistyped_path_is_not_asked_of_the_hub(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked of the hub"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "runs/clip/model")
    for name in ("runs/clap", "runs/clip", "./runs/clap", tmp_path / "runs/clap"):
        with pytest.raises(EcgclipError, match="there is .*runs/clip/model$"):
            load_model(name)


def test_what_is_asked_of_the_hub_is_said(tiny_model, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tiny_model))
    assert load_model("nobody/nothing").kb.concepts
    assert (
        capsys.readouterr().err
        == "note: nobody/nothing is not a folder here: downloading it from the Hugging Face hub\n"
    )


def test_nothing_to_embed(model):
    assert model.embed_many([]) == []


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(EcgclipError, match="no model here"):
        load_model(tmp_path)


def test_lost_vectors_are_one_line(copy):
    (copy / "vectors.safetensors").unlink()  # the reference bank in it cannot be made again
    with pytest.raises(EcgclipError, match=r"vectors\.safetensors missing"):
        load_model(copy)


@pytest.fixture
def two_concepts(tmp_path):
    """A knowledge base of atrial fibrillation, with an alias that the shipped one has not, and left bundle branch block."""
    from ecgclip.files import asset_path

    source = asset_path("knowledge_base")
    shutil.copy(source / "sources.yaml", tmp_path)
    for concept in ("atrial-fibrillation", "left-bundle-branch-block"):
        entry = yaml.safe_load((source / f"{concept}.yaml").read_text(encoding="utf-8"))
        entry |= {"broader": [], "lookalikes": []}
        if concept == "atrial-fibrillation":
            entry["aliases"] = {"en": ["delirium cordis"], "de": []}
        (tmp_path / f"{concept}.yaml").write_text(yaml.safe_dump(entry, allow_unicode=True), encoding="utf-8")
    return tmp_path


def test_a_knowledge_base_of_ones_own_is_embedded_anew(tiny_model, model, af, two_concepts):
    own = load_model(tiny_model, knowledge_base=two_concepts)
    assert len(own.passage_vectors) == len(own.passages) == len(own.kb.passages) < len(model.passages)
    assert own.classify(af, ["Delirium cordis"]).scores[0].concept == "atrial-fibrillation"
    assert own.classify(af, ["STEMI"]).scores[0].concept is None and len(own.classify(af).scores) == 2


# --- what is known by hand ----------------------------------------------------------------------------------------------


def test_a_probability_is_a_logistic_curve_of_four_features():
    bank = np.array([[0.0, 1], [1, 1], [2, 1], [3, 1]])
    columns = Calibration().features(np.array([[2.5, 1], [-1, 0]]), bank)
    sd = np.sqrt(1.25)
    assert columns.shape == (2, 2, 4)
    assert np.allclose(columns[0, 0], [2.5, 1 / sd, 0.75, 1.5]) and np.allclose(columns[1, 0], [-1, -2.5 / sd, 0, 1.5])
    assert np.allclose(columns[0, 1], [1, 0, 0, 1]), "none of a bank of equals is less similar"
    p = Calibration((0.5, -1.0, 2.0, 0.25), 0.1)(np.array([[2.5, 1], [-1, 0]]), bank)
    assert p[0, 0] == pytest.approx(1 / (1 + np.exp(-(0.5 * 2.5 - 1 / sd + 2 * 0.75 + 0.25 * 1.5 + 0.1))))
    assert Calibration()(np.array([[2.0 + 1.5 * sd - 0.5 * sd, 1]]), bank)[0, 1] == pytest.approx(1 / (1 + np.exp(2)))


def test_probabilities_of_exactly_one_label_sum_to_one_and_keep_their_odds(model, af):
    labels = ["AF", "STEMI", "LBBB"]
    free, exactly_one = (
        np.array([s.probability for s in model.classify(af, labels, softmax=softmax).scores]) for softmax in (0, 1)
    )
    assert exactly_one.sum() == pytest.approx(1)
    odds = free / (1 - free)
    assert np.allclose(exactly_one, odds / odds.sum(), atol=1e-6)


def test_a_score_is_the_cosine_of_each_window(model, records):
    prompts = model.prompts(["AF", "STEMI"])
    embedding = model.embed(records / "pvc")
    result = model.score(embedding, prompts)
    assert result.windows == tuple(embedding.prepared.start_s) and result.record == str(records / "pvc")
    for prompt, score in zip(prompts, result.scores, strict=True):
        assert np.allclose(score.window_similarity, embedding.rhythm @ prompt.vector, atol=1e-6)
        assert score.passages == prompt.passages and score.note == prompt.note
    assert (
        [len(b) for b in embedding.beats]
        == [len(p) for p in embedding.r_peaks]
        == [m.beats for m in embedding.measurements]
    )


def test_records_embedded_together_are_as_each_alone(model, records, af):
    ecgs = [read_ecg(records / "pvc"), af, part(af, ["II", "V1"])]
    for together, ecg in zip(model.embed_many(ecgs), ecgs, strict=True):
        alone = model.embed(ecg)
        assert np.allclose(together.rhythm, alone.rhythm, atol=1e-5) and together.leads == ecg.leads
        assert together.record == alone.record and together.notes == alone.notes
        assert len(together.beats) == len(alone.beats)
        for a, b in zip(together.beats, alone.beats, strict=True):
            assert a.shape == b.shape and np.allclose(a, b, atol=1e-5)
        assert np.array_equal(together.prepared.signal, alone.prepared.signal)


def test_an_encoder_of_another_rate_is_given_that_rate(tiny_model, af):
    model = load_model(tiny_model)
    ecg = dataclasses.replace(model.config.ecg, sampling_rate=250)
    model.config, model.ecg = dataclasses.replace(model.config, ecg=ecg), ECGEncoder(ecg).eval()
    embedding = model.embed(af)
    assert embedding.prepared.encoder_signal.shape == (1, 12, 2500) and embedding.prepared.signal.shape == (1, 12, 1000)
    assert embedding.rhythm.shape == (1, 32)


def test_what_reading_and_preparing_noted_is_told(model, af):
    broken = ECG(
        np.where(np.arange(af.signal.shape[1]) < 100, np.nan, af.signal), af.sampling_rate, af.leads, notes=("read: x",)
    )
    embedding = model.embed(broken)
    assert embedding.notes == ("read: x", *embedding.prepared.notes)
    assert model.classify(broken, ["AF"]).notes == embedding.notes


def test_the_nearest_passage_to_a_passage_is_itself(model):
    row = next(i for i, p in enumerate(model.passages) if p.concept == "atrial-fibrillation" and p.kind == "definition")
    near = model.nearest_passages(model.passage_vectors[row], 3)
    assert len(near) == 3 and near[0][0] is model.passages[row] and near[0][1] == pytest.approx(1, abs=1e-3)
    cosines = [c for _, c in near]
    assert cosines == sorted(cosines, reverse=True)
    assert all(c == pytest.approx(model.passage_vectors[model.passages.index(p)] @ model.passage_vectors[row], abs=1e-5) for p, c in near)  # fmt: skip
    assert len(model.nearest_passages(model.passage_vectors[row])) == 5


def test_a_concept_is_asked_by_its_kinds_of_passages_in_their_shares(model):
    rows = zip(model.passages, model.passage_vectors, strict=True)
    own = [(p.kind, v) for p, v in rows if p.concept == "left-bundle-branch-block"]
    unit = lambda v: v / np.linalg.norm(v)
    names = unit(np.mean([v for kind, v in own if kind in ("name", "alias")], 0))
    definitions = unit(np.mean([v for kind, v in own if kind == "definition"], 0))
    vector = model.concept_vector("left-bundle-branch-block", {"name": 3.0, "definition": 1.0, "nonsense": 5.0})
    assert np.allclose(vector, unit(3 * names + definitions), atol=1e-5)


def test_what_training_never_had_is_asked_in_shares_of_its_own(taught):
    settings = prompt_settings()
    assert settings["enrich"] != settings["enrich_untrained"]
    for concept, name in (("left-bundle-branch-block", "enrich"), ("atrial-flutter", "enrich_untrained")):
        assert np.array_equal(taught.concept_vector(concept), taught.concept_vector(concept, settings[name]))


def test_texts_in_batches_are_as_each_alone(model):
    texts = ["atrial fibrillation", "Linksschenkelblock", "x", "old inferior infarct with AV block"]
    assert np.allclose(
        model.embed_text(texts, batch=3), np.concatenate([model.embed_text(t) for t in texts]), atol=1e-5
    )


def test_a_label_is_put_into_the_templates_of_its_language(model):
    found = model.plain_vectors(["Vorhofflimmern", "atrial fibrillation"], ["de", "en"])
    for vector, label, language in zip(found, ("Vorhofflimmern", "atrial fibrillation"), ("de", "en"), strict=True):
        mean = model.embed_text([t.format(label) for t in prompt_settings()["plain"][language]]).mean(0)
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert np.allclose(model.plain_vectors(["atrial fibrillation"]), found[1:], atol=1e-5), (
        "English, if nothing is said"
    )
    assert len(model.plain_vectors([])) == 0


def test_a_plain_prompt_is_the_name_in_templates_whether_it_is_stored_or_not(model):
    prompt = model.prompt("atrial fibrillation", enrich=False)
    stored = next(
        v for p, v in zip(model.passages, model.passage_vectors, strict=True) if p.text == "atrial fibrillation"
    )
    assert np.array_equal(prompt.vector, stored) and prompt.note == ""
    assert np.allclose(model.prompt("purple", enrich=False).vector, model.plain_vectors(["purple"])[0], atol=1e-6)
    assert model.prompt("atrial fibrillation").note == ""


def test_a_label_shows_the_definition_and_the_criteria_of_its_concept(model):
    shown = model.prompt("Vorhofflimmern").passages
    assert shown == tuple(
        p
        for p in model.kb.concepts["atrial-fibrillation"].passages
        if (p.kind, p.language) in {("definition", "en"), ("criterion", "en")}
    )
    assert {p.kind for p in shown} == {"definition", "criterion"}


def test_a_label_may_have_500_characters(model):
    assert model.prompt("x" * 500).vector.shape == (32,)
    with pytest.raises(EcgclipError, match="501 characters"):
        model.prompt("x" * 501)


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
    assert np.allclose(
        model.concept_vector("atrial-fibrillation"), fresh.concept_vector("atrial-fibrillation"), atol=1e-4
    )


def test_one_label_need_not_be_a_list(model, af):
    assert [s.label for s in model.classify(af, "atrial fibrillation").scores] == ["atrial fibrillation"]
    assert [s.label for s in model.classify(af, [" AF "]).scores] == ["AF"]
    assert [p.concept.id for p in model.prompts("AF")] == ["atrial-fibrillation"]
    assert [p.concept for p in model.prompts(["AF"], enrich=False)] == [None]


# --- folders and names --------------------------------------------------------------------------------------------------


def test_the_hash_of_weights_is_that_of_their_file(tiny_model):
    expected = hashlib.sha256((tiny_model / "model.safetensors").read_bytes()).hexdigest()
    assert weights_hash(tiny_model) == expected and load_model(tiny_model).weights_sha256 == expected


def test_a_config_comes_back_as_it_was_saved(tiny_model):
    stored = json.loads((tiny_model / "config.json").read_text())
    config = load_model(tiny_model).config
    assert ModelConfig.from_dict(stored) == config and config.ecg.channels == (8, 16, 24) and config.floor == 2
    del stored["threshold"]
    changed = {"floor": 0.7, "training": {"concepts": ["atrial-fibrillation"]}}
    assert ModelConfig.from_dict(stored | changed) == dataclasses.replace(config, threshold=0.5, **changed)


def test_saving_leaves_nothing_half_written(tiny_model, tmp_path):
    load_model(tiny_model).save(tmp_path / "deep" / "folder")
    files = {f.name for f in (tmp_path / "deep" / "folder").iterdir()}
    assert files == {f.name for f in tiny_model.iterdir()} and not any("partial" in f for f in files)
    assert "ä" in (tmp_path / "deep" / "folder" / "knowledge_base.json").read_text(encoding="utf-8"), "readable German"


def test_an_id_of_the_hub_is_fetched_without_pickles(tiny_model, monkeypatch):
    asked = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: asked.update(options, name=name) or str(tiny_model))  # fmt: skip
    assert load_model("owner/name").folder == tiny_model and asked["name"] == "owner/name"
    fetched = [f for f in ("config.json", "model.safetensors", "tokenizer.model", "tokenizer/vocab.txt", "x.bin", "x.pt", "x.py")
               if any(fnmatch.fnmatch(f, pattern) for pattern in asked["allow_patterns"])]  # fmt: skip
    assert fetched == ["config.json", "model.safetensors", "tokenizer.model", "tokenizer/vocab.txt"]

    def offline(name, **options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        EcgclipError, match=r"owner/name: could not be downloaded from the Hugging Face hub \(no route\)"
    ):
        load_model("owner/name")


def test_a_knowledge_base_that_changed_is_embedded_anew(copy, model):
    from safetensors.numpy import load_file, save_file

    vectors = load_file(copy / "vectors.safetensors")
    save_file({**vectors, "passages": vectors["passages"][:-1]}, copy / "vectors.safetensors")
    again = load_model(copy)
    assert len(again.passages) == len(again.passage_vectors) == len(model.passages)
    names = [i for i, p in enumerate(model.passages) if p.kind == "definition"][:3]
    expected = again.embed_text([again.passages[i].text for i in names])
    assert np.allclose(again.passage_vectors[names], expected, atol=1e-5)
