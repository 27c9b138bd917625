"""Labels in words become prompts: names, slips, denials, several conditions, and what the knowledge base lacks."""

import dataclasses

import numpy as np
import pytest
from toy import some_leads

from ecgclip.ecg import EcgclipError
from ecgclip.model.passages import EmbeddedPassages
from ecgclip.model.store import load_model


def test_prompts_can_be_compared(model):
    prompt = model.prompt("AF")
    assert prompt == prompt
    assert prompt in [model.prompt("LBBB"), prompt]


def test_one_label_need_not_be_a_list(model, af):
    assert [s.label for s in model.classify(af, "atrial fibrillation").scores] == ["atrial fibrillation"]
    assert [s.label for s in model.classify(af, [" AF "]).scores] == ["AF"]
    assert [p.concept.id for p in model.prompts("AF")] == ["atrial-fibrillation"]
    assert [p.concept for p in model.prompts(["AF"], enrich=False)] == [None]


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
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_label_may_have_500_characters(model):
    assert model.prompt("x" * 500).vector.shape == (32,)
    with pytest.raises(EcgclipError, match="501 characters"):
        model.prompt("x" * 501)


def test_label_sets_fix_what_a_label_means(model, af):
    fixed = model.classify(af, ["CD"], concepts={"CD": "conduction-disturbance"})["CD"]
    assert fixed.concept == "conduction-disturbance"
    with pytest.raises(EcgclipError, match="not in the knowledge base"):
        model.classify(af, ["CD"], concepts={"CD": "nonsense"})


def test_a_concept_scores_the_same_by_any_of_its_names(model, af):
    names = ["AF", "atrial fibrillation", "Vorhofflimmern", "AFIB", "164889003", "  af "]
    scores = [model.classify(af, [n]).scores[0] for n in names]
    assert {s.concept for s in scores} == {"atrial-fibrillation"}
    assert len({s.similarity for s in scores}) == 1
    assert len({s.probability for s in scores}) == 1


def test_a_label_shows_the_definition_and_the_criteria_of_its_concept(model):
    shown = model.prompt("Vorhofflimmern").passages
    assert shown == tuple(
        p
        for p in model.kb.concepts["atrial-fibrillation"].passages
        if (p.kind, p.language) in {("definition", "en"), ("criterion", "en")}
    )
    assert {p.kind for p in shown} == {"definition", "criterion"}


def test_without_enrichment_the_bare_label_is_asked(model, af):
    bare, enriched = model.classify(af, ["AF"], enrich=False)["AF"], model.classify(af, ["AF"])["AF"]
    assert bare.concept is None
    assert bare.passages == ()
    assert bare.similarity != enriched.similarity


def test_a_plain_prompt_is_the_name_in_templates_whether_it_is_stored_or_not(model):
    prompt = model.prompt("atrial fibrillation", enrich=False)
    stored = next(
        v for p, v in zip(model.passages, model.passage_vectors, strict=True) if p.text == "atrial fibrillation"
    )
    assert np.array_equal(prompt.vector, stored)
    assert prompt.note == ""
    assert np.allclose(model.prompt("purple", enrich=False).vector, model.plain_vectors(["purple"])[0], atol=1e-6)
    assert model.prompt("atrial fibrillation").note == ""


def test_an_unknown_label_is_asked_plainly_and_says_so(model, af):
    score = model.classify(af, ["purple zebra sign"]).scores[0]
    assert score.concept is None
    assert "not in the knowledge base" in score.note
    assert np.isfinite(score.probability)


def test_a_label_near_the_knowledge_base_borrows_from_it_and_says_so(tiny_model, af):
    model = load_model(tiny_model)
    model.config = dataclasses.replace(model.config, floor=-1.0)
    rows = [i for i, p in enumerate(model.passages) if p.concept == "atrial-fibrillation"]
    model.passage_vectors[rows] = model.plain_vectors(["fibrillating atria"])[0]
    model.knowledge = EmbeddedPassages(model.kb, model.passage_vectors)
    score = model.classify(af, ["fibrillating atria"]).scores[0]
    assert score.concept == "atrial-fibrillation"
    assert "nearest" in score.note
    assert score.passages


@pytest.mark.parametrize("kind", ["negation", "beat"])
def test_what_denies_and_what_is_of_one_heartbeat_stands_for_no_label(tiny_model, kind):
    model = load_model(tiny_model)
    label = "fluttering atria"
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


@pytest.mark.parametrize(
    "label", ["-", "1234", "?!", "12 34", "qwertz", "left", "green bananas", "QRS", "flutter block"]
)
def test_nonsense_finds_nothing_however_near_a_passage_is(tiny_model, label):
    model = load_model(tiny_model)
    model.config = dataclasses.replace(model.config, floor=-1.0)
    prompt = model.prompt(label)
    assert prompt.concept is None
    assert "not in the knowledge base" in prompt.note


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
        assert absent.probability == 1 - present.probability
        assert absent.similarity == -present.similarity
        assert absent.note == f"denied: 1 − p of {model.kb.find(english).name}"
        assert absent.label == denial
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
        assert score.probability == pytest.approx(choose(p[part].probability for part in parts))
        assert score.note == note
        assert score.similarity == pytest.approx(choose(p[part].similarity for part in parts))
    deep = model.classify(af, ["AF with LBBB or LVH"]).scores[0]
    either = max(p["LBBB"].probability, p["LVH"].probability)
    assert deep.probability == pytest.approx(min(p["AF"].probability, either))
    assert deep.note == "and: atrial fibrillation; (or: left bundle branch block; left ventricular hypertrophy)"
    both = model.classify(af, ["AF and no AF"]).scores[0]
    impossible = min(p["AF"].probability, 1 - p["AF"].probability)
    assert both.probability == pytest.approx(impossible), "even what cannot be"
    evidence = model.lead_evidence(model.embed(some_leads(af, ["II", "V1"])), model.prompts(["AF", "no AF"]))
    assert np.allclose(evidence[0], -evidence[1], equal_nan=True)
    assert np.nanmax(abs(evidence)) > 0


def test_abnormal_is_what_is_not_normal_or_has_another_rhythm(model, af):
    normal, *rhythms = model.classify(af, ["normal ECG", "supraventricular arrhythmia", "paced rhythm"]).scores
    abnormal = max(1 - normal.probability, *(r.probability for r in rhythms))
    for typed in ("abnormal ECG", "auffälliges EKG", "abnormal", "pathologisches EKG"):
        score = model.classify(af, [typed]).scores[0]
        assert score.probability == pytest.approx(abnormal)
        assert score.concept == "abnormal-ecg"
        assert score.note == "or: not normal ECG; supraventricular arrhythmia; paced rhythm"
    assert model.classify(af, ["not abnormal"]).scores[0].probability == pytest.approx(1 - abnormal)
    for typed in ("not normal", "kein normales EKG"):
        score = model.classify(af, [typed]).scores[0]
        assert score.probability == pytest.approx(1 - normal.probability)
        assert score.note == "denied: 1 − p of normal ECG"
    everything = {s.label: s.probability for s in model.classify(af).scores}
    assert everything.get("abnormal ECG", abnormal) == pytest.approx(abnormal)
    assert not {"abnormal ECG", "normal ECG"} <= everything.keys(), "one excludes the other"
