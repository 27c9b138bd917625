"""Descriptions: what is said is probable, consistent and in the language asked for; what a caption says is read rightly."""

import copy
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import write_ptb_xl

from ecgclip import calibrate, cli, evaluate
from ecgclip.data import Case
from ecgclip.describe import Evidence, compose, consistent, describe, find_phrases, read_captions, write_captions
from ecgclip.ecg import EcgclipError, read_ecg
from ecgclip.encoder import ECGFeatures
from ecgclip.knowledge import CATEGORIES, KnowledgeBase
from ecgclip.model import Calibration, ModelConfig, load_model
from ecgclip.text import END, CaptionDecoder, TextConfig

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "records"


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


# --- what a caption states --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, concepts",
    [
        ("sinusrhythmus lagetyp normal normales ekg", {"sinus-rhythm", "normal-ecg"}),  # German reports have no stops
        ("Sinus rhythm. Normal axis. LBBB.", {"sinus-rhythm", "left-bundle-branch-block"}),
        ("sinus rhythm with incomplete left bundle branch block", {"sinus-rhythm", "incomplete-left-bundle-branch-block"}),
        ("av-block i. grades", {"first-degree-av-block"}),
        ("atrial fibrillation with rapid ventricular response.", {"rapid-atrial-fibrillation"}),
        ("no atrial fibrillation.", set()),
        ("kein hinweis auf vorhofflimmern. linksschenkelblock", {"left-bundle-branch-block"}),
        ("no st elevation, left bundle branch block", {"left-bundle-branch-block"}),
        ("atrial fibrillation without p waves", {"atrial-fibrillation"}),  # the denial is of what follows
        ("als two normal", set()),  # words that are abbreviations elsewhere
    ],
)  # fmt: skip
def test_concepts_are_found_in_running_text_and_denials_are_not(kb, text, concepts):
    assert find_phrases(kb, text)[0] == concepts


def test_a_sentence_without_a_known_phrase_stands_for_itself(kb):
    stated, unread = find_phrases(kb, "sinus rhythm. voltages rise in v4,5,6 at 4.5 mv. no such thing. ecg.")
    assert stated == {"sinus-rhythm"} and unread == ["voltages rise in v4,5,6 at 4.5 mv"]


def test_every_report_sentence_of_the_knowledge_base_states_its_concept(kb):
    for concept in kb.concepts.values():
        for text in (concept.report[0], concept.report_de[0]):
            assert concept.category == "beat" or concept.id in find_phrases(kb, text)[0], text


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from(["", " ⁇ ", "\0", ". . .", "no", "st " * 200]), max_size=3))
def test_any_caption_is_read(model, texts):
    concepts, unknown = read_captions(model, texts)
    assert concepts <= model.kb.concepts.keys() and all(v.shape == (32,) for v in unknown.values())


def test_the_nearest_passage_reads_what_no_phrase_does(model):
    far = replace(model.config, floor=2.0)
    near = replace(model.config, floor=-1.0)
    for config, known in ((far, 0), (near, 1)):
        model.config = config
        concepts, unknown = read_captions(model, ["something quite unheard of here"])
        assert len(unknown) == 1 - known and len(concepts) <= known
    model.config = far


# --- the decoder ------------------------------------------------------------------------------------------------------

SMALL = TextConfig(vocabulary=60, width=16, heads=2, max_tokens=12, caption_layers=1, caption_queries=2)


def features(ecgs, tokens, real):
    """Random ones, of which the first `real` tokens are of the signal."""
    mask = torch.arange(tokens).expand(ecgs, -1) < real
    return ECGFeatures(torch.randn(ecgs, tokens, 8), mask, torch.randn(ecgs, 3, 8), mask[:, :3], torch.randn(ecgs, 256))


def test_a_caption_is_the_likeliest_next_word_each_time():
    torch.manual_seed(3)
    decoder = CaptionDecoder(SMALL, ecg_width=8).eval()
    torch.nn.init.normal_(decoder.words.weight)
    ecg = features(5, 20, 15)
    texts = decoder.write(ecg)
    assert texts == decoder.write(ecg) and [decoder.write(ecg[i : i + 1])[0] for i in range(5)] == texts
    for i, text in enumerate(texts):
        assert END not in text and len(text) < SMALL.max_tokens
        with torch.inference_mode():
            ids = torch.tensor([[2, *text]])
            following = decoder(ecg[i : i + 1], ids).argmax(-1)[0].tolist()
        assert following[: len(text)] == text and (following[-1] == END or len(text) == SMALL.max_tokens - 1)


def test_a_decoder_that_ends_at_once_writes_nothing(model, records):
    decoder = CaptionDecoder(SMALL, ecg_width=8).eval()
    with torch.no_grad():
        decoder.layers.norm.weight.zero_()
        decoder.layers.norm.bias.fill_(1.0)
        decoder.words.weight.zero_()[END] = 1.0
    assert decoder.write(features(2, 5, 5)) == [[], []]


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "probable, said",
    [
        ({"inferior-myocardial-infarction", "myocardial-infarction"}, {"inferior-myocardial-infarction"}),
        ({"normal-ecg", "sinus-rhythm", "left-bundle-branch-block"}, {"sinus-rhythm", "left-bundle-branch-block"}),
        ({"normal-ecg", "sinus-bradycardia"}, {"normal-ecg", "sinus-bradycardia"}),
        ({"normal-ecg", "sinus-rhythm", "atrial-fibrillation"}, {"atrial-fibrillation"}),
        ({"sinus-rhythm", "paced-rhythm"}, {"paced-rhythm"}),
        (set(), set()),
    ],
)
def test_the_narrowest_is_said_and_nothing_normal_beside_its_opposite(kb, probable, said):
    assert consistent(kb, probable) == said


@pytest.fixture
def evidence(kb):
    probability = {c.id: 0.01 for c in kb.concepts.values() if c.category != "beat"}
    probability |= {"sinus-rhythm": 0.7, "st-elevation": 0.9, "stemi": 0.8, "asystole": 0.8, "premature-complexes": 0.4}
    return Evidence(probability, frozenset({"stemi", "st-elevation"}), {"early beats": 0.6, "odd shape": 0.65})


def trained(model, *concepts):
    """The same model, as if trained on these concepts only."""
    other = copy.copy(model)
    other.config = replace(model.config, training={"concepts": list(concepts)}, threshold=0.5)
    return other


def test_sentences_pass_the_threshold_in_the_order_of_a_report_and_say_where_they_come_from(model, evidence):
    knowing = trained(model, "sinus-rhythm", "st-elevation", "premature-complexes")
    said = compose(knowing, evidence)
    assert [(s.concept, s.origin) for s in said] == [
        ("sinus-rhythm", "labels"),
        ("stemi", "caption"),  # no ECG of the training had it: said as the caption states it; asystole is not
        ("st-elevation", "both"),
        (None, "caption"),
        (None, "caption"),
    ]
    assert [s.text for s in said] == [
        "sinus rhythm.", "st elevation myocardial infarction.", "st elevation.", "odd shape.", "early beats.",
    ]  # fmt: skip
    assert [s.probability for s in said] == [0.7, 0.8, 0.9, 0.65, 0.6]
    assert [s.concept for s in compose(knowing, evidence, 0.66)] == ["sinus-rhythm", "stemi", "st-elevation"]
    assert "premature-complexes" in {s.concept for s in compose(knowing, evidence, 0.3)}
    assert compose(knowing, evidence, language="de")[0].text == "sinusrhythmus."
    assert compose(knowing, evidence, 0.95) == []


def test_a_description_is_as_sure_as_classify(model, records):
    scores = {s.concept: s.probability for s in model.classify(records / "pvc").scores}
    said = [s for s in describe(model, records / "pvc", threshold=0.3) if s.concept]
    assert [s.probability for s in said] == pytest.approx([scores[s.concept] for s in said], abs=1e-5)


def test_a_record_is_described_whatever_it_is_given_as_and_always_the_same(model, records):
    path = records / "pvc"  # of three windows
    said = describe(model, path, threshold=0.3)
    assert said and said == describe(model, str(path), threshold=0.3) == describe(model, read_ecg(path), threshold=0.3)
    assert said == describe(model, model.embed(path), threshold=0.3)
    assert len(write_captions(model, model.embed(path))) == 3
    order = [CATEGORIES.index(model.kb.concepts[s.concept].category) for s in said if s.concept]
    assert order == sorted(order) and all(s.probability >= 0.3 for s in said)
    assert describe(model, path, threshold=1.0) == []


@pytest.mark.parametrize(
    "options", [{"threshold": -0.1}, {"threshold": 1.5}, {"threshold": float("nan")}, {"language": "fr"}]
)
def test_what_cannot_be_asked_is_one_line(model, records, options):
    with pytest.raises(EcgclipError) as error:
        describe(model, records / "af", **options)
    assert "\n" not in str(error.value)


# --- the threshold ----------------------------------------------------------------------------------------------------


def test_the_threshold_is_kept_and_older_models_have_one_half(tiny_model, tmp_path):
    model = load_model(tiny_model)
    model.config = replace(model.config, threshold=0.325)
    model.save(tmp_path)
    assert load_model(tmp_path).config.threshold == 0.325
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["threshold"]
    assert ModelConfig.from_dict(stored).threshold == 0.5


def test_the_threshold_is_the_one_that_parts_said_from_unsaid(model, monkeypatch):
    import ecgclip.train

    concepts = ("left-bundle-branch-block", "atrial-fibrillation")
    chosen = trained(model, *concepts)
    chosen.config = replace(chosen.config, calibration=Calibration((4.0, 0.0, 0.0, 0.0), -2.0))
    vectors = {c: np.eye(32, dtype=np.float32)[i] for i, c in enumerate(concepts)}
    monkeypatch.setattr(chosen, "concept_vector", vectors.__getitem__, raising=False)
    cases = [
        Case("s", "p", str(i), {c: c == concepts[i % 2] for c in concepts}, frozenset({concepts[i % 2]}))
        for i in range(6)
    ]
    # each has its own at 0.6 (probability 0.6) and the other at 0.4 (0.4)
    ecgs = np.stack([vectors[concepts[i % 2]] * 0.6 + vectors[concepts[(i + 1) % 2]] * 0.4 for i in range(6)])
    monkeypatch.setattr(ecgclip.train, "embed_windows", lambda model, windows: ecgs)
    split = SimpleNamespace(cases=cases, windows=SimpleNamespace(case=np.arange(6)))
    assert 0.4 < calibrate.choose_threshold(chosen, {"ptb-xl": split}) <= 0.6
    bare = SimpleNamespace(cases=[replace(c, annotated=frozenset()) for c in cases], windows=split.windows)
    assert calibrate.choose_threshold(chosen, {"ptb-xl": bare}) == 0.5


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_statements_are_counted_with_what_is_broader_and_not_where_nothing_is_known(kb):
    vocabulary = ["inferior-myocardial-infarction", "myocardial-infarction", "left-bundle-branch-block"]
    cases = [
        Case("s", "p", "1", {"left-bundle-branch-block": False}, frozenset({"inferior-myocardial-infarction"})),
        Case("s", "p", "2", {"myocardial-infarction": False}, frozenset({"left-bundle-branch-block"})),
    ]
    truth = evaluate.statement_truth(kb, cases, vocabulary)
    assert truth.tolist() == [[1, 1, 0], [-1, 0, 1]]
    said = evaluate.statement_table(
        kb, [{"myocardial-infarction", "left-bundle-branch-block"}, {vocabulary[0]}], vocabulary
    )
    assert said.tolist() == [[False, True, True], [True, True, False]]
    counts = evaluate.statement_counts(said, truth).sum((1, 2))
    assert counts.tolist() == [1, 2, 2]
    assert evaluate.rates(counts) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert evaluate.rates(np.zeros(3)).tolist() == [0, 0, 0]


def test_intervals_are_by_patient_and_macro_takes_statements_with_enough_positives():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 3)) < [0.5, 0.3, 0.02]).astype(np.int8)
    counts = evaluate.statement_counts(rng.random((60, 3)) < 0.4, truth)
    one = evaluate.statement_rates(counts, np.arange(60), 5, 0)
    assert one == evaluate.statement_rates(counts, np.arange(60), 5, 0)
    single = evaluate.rates(counts.sum(1))
    assert one["macro"]["f1"][0] == pytest.approx(single[2, :2].mean(), abs=1e-4)
    assert all(low < value < high for value, low, high in one["micro"].values())
    low, high = one["micro"]["f1"][1:]
    fewer = evaluate.statement_rates(counts, np.arange(60) // 6, 5, 0)["micro"]["f1"]
    assert fewer[0] == one["micro"]["f1"][0] and fewer[1:] != [low, high]
    assert evaluate.statement_rates(counts, np.arange(60), 100, 0)["macro"] is None


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 24)  # a patient in each of the folds 1 to 9, and more


@pytest.mark.filterwarnings("ignore")
def test_evaluation_writes_four_methods_and_the_same_file_again(ptb_xl, tiny_model, tmp_path):
    for name in ("a", "b"):
        results = evaluate.description("ptb-xl", ptb_xl, tmp_path / name, fold=9, least=1, weights=tiny_model)
    text = (tmp_path / "a" / "results.json").read_text()
    assert (tmp_path / "b" / "results.json").read_text() == text and json.loads(text) == results
    assert {"weights_sha256", "data_sha256", "code_version", "command"} <= results.keys()
    assert (results["task"], results["dataset"], results["fold"], results["records"]) == ("describe", "ptb-xl", 9, 2)
    assert results["training_records"] == 22 and list(results["methods"]) == [
        "description",
        "caption",
        "labels",
        "neighbour",
    ]
    for method in results["methods"].values():
        for value, low, high in method["micro"].values():
            assert 0 <= low <= value <= high <= 1
    # ECGs 17 and 18 of the table: left bundle branch block, and atrial fibrillation
    assert {r["concept"]: r["positives"] for r in results["statements"] if r["positives"]} == {
        "left-bundle-branch-block": 1, "conduction-disturbance": 1, "sinus-rhythm": 1, "atrial-fibrillation": 1,
    }  # fmt: skip


def test_the_baseline_is_the_nearest_of_other_patients(model, ptb_xl):
    test = evaluate.test_cases(model, "ptb-xl", ptb_xl, 3)
    training = evaluate._training_cases(model, ptb_xl, 3, {c.patient for c in test})
    assert {c.fold for c in training} == {1, 2, 4, 5, 6, 7, 8} and not {c.patient for c in test} & {
        c.patient for c in training
    }
    embeddings = [model.embed(c.path) for c in training]
    assert evaluate._nearest(embeddings, embeddings, training) == training


@pytest.mark.parametrize("dataset, fold, problem", [("cpsc2018", 1, "not on 'cpsc2018'"), ("ptb-xl", 10, "no record")])
def test_what_cannot_be_measured_is_one_line(ptb_xl, tiny_model, dataset, fold, problem):
    with pytest.raises(EcgclipError, match=problem) as error:
        evaluate.description(dataset, ptb_xl, fold=fold, weights=tiny_model)
    assert "\n" not in str(error.value)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys, tiny_model):
    """run(*arguments) → exit code, stdout, stderr of `ecgclip … --model <tiny>`."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ecgclip", *map(str, arguments), "--model", str(tiny_model)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return end.value.code or 0, out, err

    return call


def test_json_is_the_contract(run, records):
    code, out, err = run("describe", records / "af.hea", records / "pvc", "--format", "json", "--threshold", "0.3")
    entries = json.loads(out)
    assert (code, err) == (0, "") and [e["record"] for e in entries] == [str(records / "af"), str(records / "pvc")]
    for entry in entries:
        assert list(entry) == ["record", "sentences"] and entry["sentences"]
        for sentence in entry["sentences"]:
            assert list(sentence) == ["text", "probability", "concept", "origin"]
            assert sentence["probability"] >= 0.3 and sentence["origin"] in ("caption", "labels", "both")


def test_the_table_says_once_what_the_software_is_not(run, records, tmp_path):
    code, out, err = run("describe", records, "--threshold", "0.3")
    assert (code, err) == (0, "") and "probability" in out
    assert out.count(cli.DISCLAIMER) == 1 and out.splitlines()[-1] == cli.DISCLAIMER
    assert run("describe", records, "--threshold", "0.3", "--output", tmp_path / "t.txt")[1] == ""
    assert (tmp_path / "t.txt").read_text() == out
    assert "nothing is probable enough" in run("describe", records / "af", "--threshold", "1")[1]
    assert run("describe", records / "af", "--threshold", "1", "--format", "json")[1].count('"sentences": []') == 1


def test_a_bad_record_does_not_lose_the_others(run, records, tmp_path):
    (tmp_path / "bad.hea").write_text("bad 12 500 5000\n")
    code, out, err = run("describe", tmp_path / "bad", records / "af", "--format", "json")
    assert code == 1 and len(json.loads(out)) == 1 and err.startswith("error: ") and "bad" in err


@pytest.mark.parametrize(
    "options", [("--format", "csv"), ("--language", "fr"), ("--threshold", "2"), ("--threshold", "nan")]
)
def test_misuse_is_one_line_and_exit_code_2(run, records, options):
    code, out, err = run("describe", records / "af", *options)
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1


def test_eval_describe_prints_every_method(run, ptb_xl, tmp_path):
    code, out, _ = run("eval", "describe", "--dataset", "ptb-xl", ptb_xl, "--fold", "9", "--least", "1", "-o", tmp_path)
    assert code == 0 and (tmp_path / "results.json").exists()
    for name in ("description", "caption", "labels", "neighbour"):
        assert f"{name:<11} micro: precision" in out and f"{name:<11} macro: precision" in out


# --- the shipped weights ----------------------------------------------------------------------------------------------

needs_weights = pytest.mark.skipif(
    not (ROOT / "ecgclip" / "weights" / "model.safetensors").exists(), reason="ecgclip/weights is missing"
)


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
    found = [
        c for c in said if concept in {c} | shipped.kb.ancestors(c)
    ]  # itself, or something narrower that says it, too
    assert found and not unsaid & said.keys()
    assert said[found[0]].probability >= shipped.config.threshold
    german = {s.concept: s.text for s in describe(shipped, EXAMPLES / record, language="de")}
    assert german.keys() == said.keys() and german[found[0]] == shipped.kb.concepts[found[0]].report_de[0]


@cache
def shipped_model():
    return load_model()
