"""Descriptions: what is said is probable, consistent and in the language asked for."""

import copy
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import write_ptb_xl

from ecgclip import cli
from ecgclip.cli.lines import DISCLAIMER
from ecgclip.data.cases import Case
from ecgclip.ecg import EcgclipError
from ecgclip.explain.sentences import consistent, describe
from ecgclip.io.wfdb import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import CATEGORIES
from ecgclip.model.calibration import Calibration
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate
from ecgclip.train import calibrate

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "records"


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


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


def trained(model, *concepts):
    """The same model, as if trained on these concepts only."""
    other = copy.copy(model)
    other.config = replace(model.config, training={"concepts": list(concepts)}, threshold=0.5)
    return other


@pytest.fixture
def probable(monkeypatch):
    """probable(model, **{concept: p}): what the model then finds in any record, and 0.01 of all others."""

    def script(model, found):
        order = [c.id for c in model.kb.concepts.values()]
        vectors = dict(zip(order, np.eye(len(order), dtype=np.float32), strict=True))
        logit = np.array([np.log(p / (1 - p)) for p in (found.get(c, 0.01) for c in order)], np.float32)
        monkeypatch.setattr(model, "concept_vector", vectors.__getitem__, raising=False)
        monkeypatch.setattr(model, "reference", np.zeros((2, len(order)), np.float32), raising=False)
        scale = float(np.linalg.norm(logit))  # as a record's vector has unit length
        model.config = replace(model.config, calibration=Calibration((scale, 0.0, 0.0, 0.0), 0.0))
        return replace(model.embed(simulate("normal")), rhythm=logit[None])

    return script


def test_sentences_pass_the_threshold_in_the_order_of_a_report(model, probable):
    knowing = trained(model, "sinus-rhythm", "st-elevation", "premature-complexes")
    found = {"sinus-rhythm": 0.7, "st-elevation": 0.9, "stemi": 0.8, "asystole": 0.8, "premature-complexes": 0.4}
    embedding = probable(knowing, found)
    said = describe(knowing, embedding)
    # no ECG of the training had a STEMI or an asystole: neither is said, however probable
    assert [(s.concept, s.text) for s in said] == [("sinus-rhythm", "sinus rhythm."), ("st-elevation", "st elevation.")]
    assert [s.probability for s in said] == pytest.approx([0.7, 0.9])
    assert [s.concept for s in describe(knowing, embedding, threshold=0.75)] == ["st-elevation"]
    assert "premature-complexes" in {s.concept for s in describe(knowing, embedding, threshold=0.3)}
    assert describe(knowing, embedding, language="de")[0].text == "sinusrhythmus."
    assert describe(knowing, embedding, threshold=0.95) == []


def test_a_description_is_as_sure_as_classify(model, records):
    scores = {s.concept: s.probability for s in model.classify(records / "pvc").scores}
    said = describe(model, records / "pvc", threshold=0.3)
    assert [s.probability for s in said] == pytest.approx([scores[s.concept] for s in said], abs=1e-5)


def test_a_record_is_described_whatever_it_is_given_as_and_always_the_same(model, records):
    path = records / "pvc"  # of three windows
    said = describe(model, path, threshold=0.3)
    assert said and said == describe(model, str(path), threshold=0.3) == describe(model, read_ecg(path), threshold=0.3)
    assert said == describe(model, model.embed(path), threshold=0.3)
    order = [CATEGORIES.index(model.kb.concepts[s.concept].category) for s in said]
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
    monkeypatch.setattr("ecgclip.train.validation.embed_windows", lambda model, windows: ecgs)
    split = SimpleNamespace(cases=cases, windows=SimpleNamespace(case=np.arange(6)))
    assert 0.4 < calibrate.choose_threshold(chosen, {"ptb-xl": split}) <= 0.6
    bare = SimpleNamespace(cases=[replace(c, annotated=frozenset()) for c in cases], windows=split.windows)
    assert calibrate.choose_threshold(chosen, {"ptb-xl": bare}) == 0.5


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 24)  # a patient in each of the folds 1 to 9, and more


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
            assert list(sentence) == ["text", "probability", "concept"]
            assert sentence["probability"] >= 0.3


def test_the_table_says_once_what_the_software_is_not(run, records, tmp_path):
    code, out, err = run("describe", records, "--threshold", "0.3")
    assert (code, err) == (0, "") and "probability" in out
    assert out.count(DISCLAIMER) == 1 and out.splitlines()[-1] == DISCLAIMER
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
    for name in ("description", "neighbour"):
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
