"""benchmarks/unseen.py: groups hide a condition with all that names it, and labels are scored by models without it."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import recipe

from ecgclip.data.cases import Case
from ecgclip.evaluate.metrics import Labels
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.model.calibration import Calibration, Witnesses
from ecgclip.model.scoring import Probabilities

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def unseen():
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import unseen as module
    return module


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


def test_what_must_be_hidden_together_is_in_one_group_and_everything_in_exactly_one(unseen, kb):
    statements = set(load_label_set("ptb-xl-all")["labels"].values()) | {
        "myocardial-infarction",
        "conduction-disturbance",
    }
    positives = Counter({c: 10 * len(c) for c in statements} | {"sinus-rhythm": 4000, "normal-ecg": 3000})
    groups = unseen.balanced(unseen.families(kb, statements), positives)
    assert sorted(c for group in groups for c in group) == sorted(statements)
    assert len(groups) == 4
    number = {c: i for i, group in enumerate(groups) for c in group}
    for one in statements:
        for other in statements - kb.without([one]).concepts.keys():
            assert number[one] == number[other], f"{one} cannot be hidden without {other}"
    assert number["left-bundle-branch-block"] == number["conduction-disturbance"] == number["first-degree-av-block"]
    assert number["left-ventricular-hypertrophy"] == number["lvh-voltage-criteria"], "a namesake"
    assert number["sinus-rhythm"] == number["sinus-bradycardia"], "a kind of it"
    assert max(map(len, groups)) < 2 * len(statements) / 4
    assert groups == unseen.balanced(unseen.families(kb, sorted(statements, reverse=True)), positives)


def test_only_what_is_missing_is_trained_each_without_its_group(unseen, tmp_path, monkeypatch):
    def one(plan, data, folder, threads):
        if plan.unseen == ["d"] and not (tmp_path / "mended").exists():
            raise OSError("no space left")
        (folder / "model").mkdir(parents=True)
        (folder / "model/config.json").write_text(json.dumps([plan.name, plan.unseen, plan.epochs]))

    monkeypatch.setattr(unseen, "train_one", one)
    groups = [["a", "b"], ["c"], ["d"]]
    assert unseen.train(recipe(), tmp_path, tmp_path, groups, 2) == [str(tmp_path / "3")]
    (tmp_path / "1/model/config.json").write_text("kept")
    (tmp_path / "mended").touch()
    assert unseen.train(recipe(), tmp_path, tmp_path, groups, 2) == []
    assert (tmp_path / "1/model/config.json").read_text() == "kept"
    assert json.loads((tmp_path / "3/model/config.json").read_text()) == ["without group 3", ["d"], recipe().epochs]


def test_the_groups_share_one_pretrained_backbone(unseen, tmp_path, monkeypatch):
    def ecg(plan, data, out, threads):
        out.mkdir()
        (out / "ecg.json").touch()

    def clip(plan, data, text, out, threads, ecg):
        (out / "model").mkdir(parents=True)
        (out / "model/config.json").write_text(str(ecg))

    monkeypatch.setattr(unseen, "train_ecg", ecg)
    monkeypatch.setattr(unseen, "train_text", lambda *arguments: None)
    monkeypatch.setattr(unseen, "train_clip", clip)
    plan = recipe(ecg_pretraining={"task": "masked", "epochs": 1, "batch": 4, "lr": 1e-3})
    assert unseen.train(plan, tmp_path, tmp_path, [["a"], ["b"]], 1) == []
    assert {(tmp_path / n / "model/config.json").read_text() for n in "12"} == {str(tmp_path / "ecg")}


def test_a_model_that_has_heard_of_its_group_scores_nothing(unseen, tmp_path, monkeypatch):
    training = {"recipe": {"unseen": ["a", "b"]}, "concepts": ["c"]}
    model = SimpleNamespace(config=SimpleNamespace(training=training))
    monkeypatch.setattr(unseen, "load_model", lambda *arguments: model)
    assert unseen.load_unseen(tmp_path, ["a", "b"])
    with pytest.raises(SystemExit, match="another group"):
        unseen.load_unseen(tmp_path, ["a", "c"])
    training["concepts"] = ["b"]
    with pytest.raises(SystemExit, match="another group"):
        unseen.load_unseen(tmp_path, ["a", "b"])


class Fake:
    """A model that ranks the labels of `knows` without a fault, and all others upside down."""

    def __init__(self, knows, heard, kb):
        self.knows, self.kb = knows, kb
        training = {"concepts": [c for c in "ab" if c in heard], "recipe": {"data": {"ptb-xl": {}}}}
        self.config = SimpleNamespace(training=training)

    def concept_vector(self, concept, shares=None):
        return np.eye(2)["ab".index(concept)] * (1 if concept in self.knows else -1)

    def embed_text(self, texts):
        return np.array([[0.6, 0.8]] * len(texts))


@pytest.fixture
def fakes(unseen, monkeypatch):
    """Two groups, a and b; eight records, a patient each, of which every second has a and every fourth b."""
    concept = SimpleNamespace(name="name", passages=())
    kb = SimpleNamespace(concepts={"a": concept, "b": concept})
    cases = []
    for i in range(8):
        statements = {"a": i % 2 == 0, "b": i % 4 < 1}
        cases.append(Case("s", str(i), str(i), statements, frozenset(c for c in "ab" if statements[c]), complete=True))
    windows = SimpleNamespace(case=np.arange(8))
    truth = np.array([[c in case.annotated for c in "ab"] for case in cases], float)
    monkeypatch.setattr(unseen, "embed_windows", lambda model, windows: truth)
    monkeypatch.setattr(unseen, "targets", lambda cases, windows, concepts: truth[:, ["ab".index(c) for c in concepts]])
    return [Fake("a", "b", kb), Fake("b", "a", kb)], Fake("", "a", kb), cases, windows


def test_every_label_is_scored_by_the_model_that_never_heard_of_it(unseen, fakes, monkeypatch):
    models, shipped, cases, windows = fakes

    def by_vector(model, vectors, readings, labels):
        scores = vectors @ np.stack([model.concept_vector(c) for c in labels.concepts]).T
        return Probabilities(scores, scores, np.full_like(scores, np.nan))

    monkeypatch.setattr(unseen, "VECTORS", {"bare name": "bare name"})
    monkeypatch.setattr(unseen, "ASKED", ("bare name", "criteria", "knowledge base"))
    monkeypatch.setattr(unseen, "probabilities", by_vector)
    monkeypatch.setattr(unseen, "readings_by_record", lambda windows, cases: None)
    scored = (cases, windows, Labels(["a", "b"], ["a", "b"], {}), 1)
    for groups, value in (([["a"], ["b"]], 1.0), ([["b"], ["a"]], 0.0)):
        result, figures = unseen.unseen_table(models, groups, shipped, scored, "cpsc2018")
        assert [row["knowledge base"][0] for row in result["labels"]] == [value] * 2
        assert [row["criteria"][0] for row in result["labels"]] == [0.5] * 2, "nothing measured: all ECGs are alike"
        assert result["macro"]["shipped"][0] == 0.0
        assert result["records"] == 8
        assert [row["trained"] for row in result["labels"]] == [value == 0.0] * 2
        assert [row["shipped_trained"] for row in result["labels"]] == [True, False]
        assert result["source_trained"] is False, "of another hospital than PTB-XL"
        assert [row["positives"] for row in result["labels"]] == [4, 2]
        assert len(figures["shipped"]) == 2


def test_the_shares_are_the_best_of_their_own_table_and_what_choosing_is_worth_is_told(unseen, fakes, monkeypatch):
    models, _, cases, windows = fakes
    good = {"a": "name", "b": "report"}  # the best way to ask differs from group to group, and overall the third is
    for model in models:
        ask = model.concept_vector
        model.concept_vector = lambda c, shares, ask=ask: (
            ask(c) * (1 if "criteria" in shares or good[c] in shares else -1)
        )
    monkeypatch.setattr(unseen, "SHARES", [{"name": 1.0}, {"report": 1.0}, {"criteria": 1.0}])
    monkeypatch.setattr(unseen, "MIN_CASES", 1)
    split = SimpleNamespace(cases=cases, windows=windows)
    shares = unseen.choose_shares(models, [["a"], ["b"]], split)
    assert shares["best"] == {"criteria": 1.0}
    assert shares["conditions"] == 2
    assert [row["auroc"][0] for row in shares["tried"]] == [0.5, 0.5, 1.0]
    assert shares["chosen_elsewhere"][0] == 0.0, "each group asked as is best for the other, of equal ones the first"


WITNESSES = Witnesses((1.0, 2.0), -1.0, trained=(0.9, 0.3, 0.1))


def test_calibrating_a_model_changes_its_curves_and_nothing_else_of_its_config(
    unseen, tiny_model, tmp_path, monkeypatch
):
    shutil.copytree(tiny_model, tmp_path / "model")
    file = tmp_path / "model/config.json"
    before = json.loads(file.read_text())
    before["training"] = {"cross_fitted": {"auroc": 0.9, "ece": 0.1}}
    file.write_text(json.dumps(before))

    def fitted(model, splits, held_out, figures):
        assert (splits, held_out) == ("training", "split")
        assert figures == {"auroc": 0.9}, "the weight of the signal is not chosen again"
        model.config = replace(model.config, threshold=0.25, witnesses=WITNESSES)

    monkeypatch.setattr(unseen, "calibrate_model", fitted)
    answer = {"curve": {"weights": (1, 2, 3, 4), "bias": -3}, "witnesses": {"untrained": [0.5, 0.9, -0.2]}}
    unseen.recalibrate(tmp_path / "model", answer, "training", "split")
    after = json.loads(file.read_text())
    curve = {"weights": [1, 2, 3, 4], "bias": -3}
    mixed = {"weights": [1.0, 2.0], "bias": -1.0, "trained": [0.9, 0.3, 0.1], "untrained": [0.5, 0.9, -0.2]}
    mixed["simulated"] = [1.0, 1.0, 0.0]
    assert after == before | {"untrained": curve, "witnesses": mixed, "threshold": 0.25}


def test_the_answer_is_fitted_on_conditions_as_rare_as_predicts_the_groups_left_out_best(unseen, monkeypatch):
    cases = [Case("s", f"r{i}", str(i), annotated=frozenset("a" if i < 50 else "b")) for i in range(51)]
    weights = {2: (1.0, 0.0, 0.0, 0.0), 1: (1.0, 0.0, 0.0, 0.0)}
    monkeypatch.setattr(unseen, "RARE", (1.0, 0.05))
    monkeypatch.setattr(unseen.calibrate, "simulated_examples", lambda model, simulated, group: None)
    monkeypatch.setattr(unseen.calibrate, "examples", lambda model, split, group: list(group))
    monkeypatch.setattr(unseen.calibrate, "mix", lambda real, simulated, curve, criteria: (0.5, 0.9, criteria.bias))

    def curve_of(parts):
        conditions = sum(map(len, parts))
        return Calibration(weights.get(conditions, (1.0, 0.0, 0.0, 0.0)), float(conditions))

    monkeypatch.setattr(unseen.calibrate, "fit_untrained", curve_of)
    # a group left out is answered by one condition where all are used, and by one or none where the rare ones are
    monkeypatch.setattr(unseen, "left_out_ece", lambda examples, curve, witnesses: 0.3 if len(examples) else 0.1)
    criteria = [replace(WITNESSES, bias=bias) for bias in (1.0, 2.0, 3.0)]
    found, answers = unseen.fit_answer(["one", "two"], [["a"], ["b"]], cases, "split", "simulated", criteria)
    assert found["best"]["share"] == 0.05
    assert found["best"]["conditions"] == 1
    assert found["best"]["curve"]["bias"] == 1.0
    assert found["best"]["witnesses"]["untrained"] == (0.5, 0.9, 3.0), "of the weights fitted on all conditions"
    assert [witnesses.untrained[2] for _, witnesses in answers] == [1.0, 2.0], "each of those without its group"
    weights[1] = (0.0, 0.0, 1.0, 0.0)
    found, _ = unseen.fit_answer(["one", "two"], [["a"], ["b"]], cases, "split", "simulated", criteria)
    assert found["best"]["share"] == 1.0, "the other is flat beyond the bank"


def test_groups_are_those_that_trainings_were_kept_from(unseen, tmp_path):
    (tmp_path / "2/model").mkdir(parents=True)
    config = {"training": {"recipe": {"unseen": ["a", "b"]}}}
    (tmp_path / "2/model/config.json").write_text(json.dumps(config))
    assert unseen.trained_groups(tmp_path) == [[], ["a", "b"], [], []]
