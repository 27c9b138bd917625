"""Who is trained on, who validates and who is tested on: no patient, report or record is in two of them."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from toy import recipe, write_challenge_2011, write_challenge_2017, write_headers, write_mitdb, write_ptb_xl

from ecgclip.data import splits
from ecgclip.data.cases import Case
from ecgclip.data.mitdb import DS1, DS2
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate import probe
from ecgclip.evaluate.description import training_cases
from ecgclip.evaluate.truth import cases_to_test
from ecgclip.files import asset_path
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.store import load_model
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import corpus, load_split, split_records

PTB_XL = 300
PACED = ["102", "104", "107", "217"]
DATA = {
    "ptb-xl": {"path": "ptb-xl", "folds": [1, 2, 3, 4, 5, 6, 7, 8], "per_step": 6},
    "challenge-2017": {"path": "challenge-2017", "per_step": 2},
    "challenge-2011": {"path": "challenge-2011", "per_step": 2},
    "mitdb": {"path": "mitdb", "folds": [0, 1], "per_step": 2},
    "challenge-2020": {"path": "challenge-2020", "per_step": 2},
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A folder with every source of DATA: PTB-XL in folds 1 to 9, a fourth of its rows without a signal."""
    root = tmp_path_factory.mktemp("everything")
    write_ptb_xl(root / "ptb-xl", PTB_XL, signals=False, numbered=True)
    rows = [f"records100/00000/{i + 1:05d}_lr" for i in range(PTB_XL) if i % 8 < 6]
    write_headers(root / "ptb-xl", rows)
    write_challenge_2017(root / "challenge-2017", 200)
    write_challenge_2011(root / "challenge-2011", 60)
    write_mitdb(root / "mitdb", DS1 + DS2 + PACED)
    names = [f"{source}{i:05d}" for source in ("A", "Q", "E", "JS", "HR", "S") for i in range(30)]
    write_headers(root / "challenge-2020", [f"g{i % 3}/{name}" for i, name in enumerate(names)], "426783006")
    return root


@pytest.fixture(autouse=True)
def no_windows(monkeypatch):
    monkeypatch.setattr("ecgclip.train.sources.load_windows", lambda *args, **options: None)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def after(model, plan, everything):
    """The model, as if trained by that recipe."""
    learnt = load_split(plan, everything, model.kb, False), load_split(plan, everything, model.kb, True)
    training = {"recipe": asdict(plan), "split": split_records(plan, *learnt)}
    other = load_model(model.folder)
    other.config = replace(model.config, training=training)
    return other


def names(cases):
    """Records, each as (source, name)."""
    return {(c.source, Path(c.path).name) for c in cases}


def persons(cases):
    """Patients: what the sources say of them, said here again."""
    same = {("mitdb", "202"): ("mitdb", "201")}
    return {c.source if c.source == "S" else same.get((c.source, c.patient), (c.source, c.patient)) for c in cases}


# --- by hand ----------------------------------------------------------------------------------------------------------


def two_each(source, folds=(0,)):
    """Forty patients with two records each, in `folds` by turns."""
    return [Case(source, f"r{i}", str(i // 2), fold=folds[i // 2 % len(folds)]) for i in range(80)]


def test_parts_of_a_source_are_shares_of_its_patients():
    cases = two_each("challenge-2011")
    whole = splits.divide("challenge-2011", cases)
    assert (whole.training, whole.validation, whole.test) == (cases, [], [])
    parts = splits.divide("challenge-2011", cases, validation_part=4, test_part=5)
    assert parts.test == [c for c in cases if c.share(5) == 0]
    assert parts.validation == [c for c in cases if c.share(5) and c.share(4) == 0]
    assert parts.training == [c for c in cases if c.share(5) and c.share(4)]
    assert all(len(part) > 5 for part in (parts.training, parts.validation, parts.test))
    few = splits.divide("challenge-2011", cases[:8], validation_part=1_000_003)
    assert len(few.validation) == 2, "one patient at least validates"
    assert len(few.training) == 6
    assert splits.divide("challenge-2011", [], validation_part=4) == splits.Parts([], [], [])


def test_folds_choose_among_what_is_not_tested_on():
    cases = two_each("ptb-xl", range(1, 11))
    parts = splits.divide("ptb-xl", cases, folds=[1, 2, 9])
    assert {c.fold for c in parts.training} == {1, 2}
    assert {c.fold for c in parts.test} == {9, 10}
    assert {c.fold for c in splits.divide("ptb-xl", cases).training} == set(range(1, 9))
    twins = [Case("ptb-xl", "a", "p", fold=1), Case("ptb-xl", "b", "p", fold=10), Case("ptb-xl", "c", "q", fold=1)]
    parts = splits.divide("ptb-xl", twins)
    assert parts.test == twins[:2], "whose other record is tested on"
    assert parts.training == twins[2:]


def test_what_a_config_keeps_of_a_source_says_later_what_was_trained_on():
    cases = two_each("mitdb", (1, 0, 1))
    assert splits.split_record("mitdb", cases) == {"folds": [0, 1]}
    assert splits.split_record("challenge-2017", cases, 9) == {"test_part": 5}
    assert splits.split_record("challenge-2017", cases) == {"test_part": 5}
    assert splits.split_record("challenge-2011", cases, 9) == {"test_part": 9}
    assert splits.split_record("challenge-2011", cases) == {"test_part": 0}
    kept = {"mitdb": {"folds": [0, 1]}}
    assert splits.trained_sources({"split": kept, "recipe": {"data": {"ptb-xl": {}}}}) == kept
    assert splits.trained_sources({}) == {}
    old = {"data": {"ptb-xl": {"folds": [1, 2]}, "mitdb": {}, "ludb": {}}, "test_part": {"ludb": 4}}
    assert splits.trained_sources({"recipe": old}) == {
        "ptb-xl": {"folds": [1, 2], "test_part": 0},
        "mitdb": {"folds": (0, 1, 2), "test_part": 0},
        "ludb": {"folds": None, "test_part": 4},
    }


@pytest.mark.parametrize(
    "own, part, trained",
    [
        (None, 0, False),  # of no model: all of it
        ({"test_part": 4}, 4, False),  # what this model left
        ({"test_part": 0}, 0, True),  # it left nothing
    ],
)
def test_a_source_without_folds_is_tested_on_what_the_model_left(own, part, trained):
    cases = two_each("ludb")
    chosen, noted = splits.choose_test("ludb", cases, {"split": {"ludb": own} if own else {}})
    assert chosen == [c for c in cases if not part or c.share(part) == 0]
    assert noted is trained


def test_a_probe_is_tested_on_others_than_it_was_trained_on():
    cases = two_each("ptb-xl", range(1, 11))
    test = [c for c in cases if c.fold == 2]
    training, same = splits.choose_probe("ptb-xl", cases, test)
    assert same == test
    assert {c.fold for c in training} == {1, 3, 4, 5, 6, 7, 8}
    cases = two_each("ludb")
    training, test = splits.choose_probe("ludb", cases, cases)
    assert test == [c for c in cases if c.share(5) == 0]
    assert training == [c for c in cases if c.share(5)]
    part = [c for c in cases if c.share(3) == 0]
    assert splits.choose_probe("ludb", cases, part) == ([c for c in cases if c.share(3)], part)


def test_folds_of_patients_are_as_large_as_can_be():
    cases = two_each("ludb")
    folds = splits.patient_folds(cases)
    assert np.bincount(folds).tolist() == [16] * 5
    assert all(folds[::2] == folds[1::2])
    assert not np.array_equal(np.sort(folds), folds), "not in the order of the records"


@pytest.mark.parametrize(
    "data, problem",
    [
        (None, "data: None is not a list of data sets"),
        ({"ludb": None}, "data: ludb needs path and per_step"),
        ({"nonsense": {}}, "no data set 'nonsense'; there are ptb-xl, "),
        ({"ludb": {"per_step": 2}}, "data: ludb lacks path"),
        ({"ludb": {"path": "x"}}, "data: ludb lacks per_step"),
        ({"mitdb": {"path": "x", "per_step": 2, "folds": [2]}}, "give a list out of 0, 1; the others are tested on"),
        ({"ptb-xl": {"path": "x", "per_step": 2, "folds": [10]}}, "give a list out of 1, 2, 3, 4, 5, 6, 7, 8;"),
        ({s: {"path": "x", "per_step": 2} for s in ("chapman", "challenge-2020")}, "challenge-2020 and chapman hold"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_line(data, problem):
    with pytest.raises(EcgclipError, match=problem):
        splits.check_data(data, {})
    splits.check_data(
        {"mitdb": {"path": "x", "per_step": 2, "folds": [0, 1]}, "ludb": {"path": "x", "per_step": 2}}, {}
    )


@pytest.mark.parametrize(
    "test_part, problem",
    [
        ({"lubd": 5}, "test_part: 'lubd' is not in data, where there is ludb"),
        ({"ludb": 1}, "test_part: ludb is 1; one patient in 2 or more"),
        ({"ludb": 0.2}, "test_part: ludb is 0.2; one"),
        ({"ludb": None}, "test_part: ludb is None; one"),
        (["ludb"], "test_part: .* is not a list of data sets"),
    ],
)
def test_a_part_that_nobody_can_be_tested_on_is_one_line(test_part, problem):
    data = {"ludb": {"path": "x", "per_step": 2}}
    with pytest.raises(EcgclipError, match=problem):
        splits.check_data(data, test_part)
    splits.check_data(data, {"ludb": 5})


# --- the whole of it --------------------------------------------------------------------------------------------------


def test_no_patient_report_or_record_is_in_two_parts(everything, model):
    """Everything that trains, validates and is tested on, in one training on all sources and its evaluation."""
    kb, plan = model.kb, recipe(data=DATA, validation_part=8)
    training = [c for s in load_split(plan, everything, kb, False).values() for c in s.cases]
    validation = [c for s in load_split(plan, everything, kb, True).values() for c in s.cases]
    tests = [
        *cases_to_test(model, "ptb-xl", everything / "ptb-xl", [9]),
        *cases_to_test(model, "mitdb", everything / "mitdb", 2),
        *cases_to_test(model, "challenge-2017", everything / "challenge-2017"),
    ]
    parts = {"training": training, "validation": validation, "tests": tests}
    assert all(len(names(part)) > 10 for part in parts.values())
    for one, other in (("training", "validation"), ("training", "tests"), ("validation", "tests")):
        assert not names(parts[one]) & names(parts[other]), (one, other)
        assert not persons(parts[one]) & persons(parts[other]), (one, other)
    assert not [c for c in training + validation if c.source == "HR"], "PTB-XL again, its test folds among them"
    # the reports that words are learnt from: those of training patients, whether there is a signal or not
    said = corpus(plan, everything, kb)
    numbers = {int(found[1]) for text in said if (found := re.search(r" (\d+)\.$", text))}
    read = {
        c.patient
        for c in splits.load("ptb-xl", everything / "ptb-xl", kb, signals=False)
        if int(c.path[-8:-3]) in numbers
    }
    assert read
    assert not read & {c.patient for c in validation + tests if c.source == "ptb-xl"}
    assert {c.patient for c in training if c.source == "ptb-xl"} < read, "and those without a signal"
    # what is no test is used: all of the other sources
    used = names(training)
    assert {("challenge-2011", str(i)) for i in range(60)} <= used
    assert {r for s, r in used if s == "mitdb"} == set(DS1 + PACED) - {"201"}, "202 is his, too, and tested on"
    assert (
        len([s for s, _ in used if s == "challenge-2017"]) + len([c for c in tests if c.source == "challenge-2017"])
        == 200
    )
    assert {s for s, _ in used} >= {"Q", "E", "JS", "S"}


def test_in_a_small_folder_too_the_words_of_who_validates_are_not_learnt(model, tmp_path):
    """Nobody falls into the validation part: another patient is taken instead than would be with all rows."""
    write_ptb_xl(tmp_path / "ptb-xl", 40, signals=False, numbered=True)
    for first in range(0, 40, 2):  # whichever patient has the only signals, he and another
        write_headers(tmp_path / "ptb-xl", [f"records100/00000/{i + 1:05d}_lr" for i in (first, first + 1)])
        plan = recipe(validation_part=1_000_003)
        held = load_split(plan, tmp_path, model.kb, True)["ptb-xl"].cases
        reports = {c.report for c in held}
        assert reports.isdisjoint(corpus(plan, tmp_path, model.kb)), first


def test_a_probe_and_the_neighbours_of_a_description_are_of_other_patients(everything, model):
    for source, fold in (("ptb-xl", 9), ("mitdb", 2), ("mitdb", 1), ("challenge-2017", None), ("challenge-2020", None)):
        training, test = probe.split(model, source, everything / source, fold)
        assert training, source
        assert test, source
        assert not persons(training) & persons(test), source
        assert not names(training) & names(test)
        assert not {"A", "HR"} & {c.source for c in training + test}, "data sets of their own"
        assert source != "ptb-xl" or {c.fold for c in training} == set(range(1, 9))
        assert source != "challenge-2017" or len(names(test)) < 60
    test = cases_to_test(model, "ptb-xl", everything / "ptb-xl", 9)
    near = training_cases(model, "ptb-xl", everything / "ptb-xl", 9, {c.patient for c in test})
    assert not persons(near) & persons(test)
    assert {c.fold for c in near} == set(range(1, 9))


# --- what is tested on ------------------------------------------------------------------------------------------------


def test_a_fifth_of_challenge_2017_is_tested_on_whoever_was_trained(everything, model):
    path = everything / "challenge-2017"
    tested = cases_to_test(model, "challenge-2017", path)
    everyone = splits.load("challenge-2017", path, model.kb)
    assert tested == [c for c in everyone if c.share(5) == 0]
    assert 20 < len(tested) < 60
    for plan in (recipe(data=DATA), recipe(data=DATA, test_part={"challenge-2017": 10})):
        trained = load_split(plan, everything, model.kb, False)["challenge-2017"].cases
        assert not names(trained) & names(tested)
        assert names(cases_to_test(after(model, plan, everything), "challenge-2017", path)) == names(tested)


NOTE = "note: the model was trained on these records"


@pytest.mark.parametrize(
    "data, source, fold, trained",
    [
        ({"mitdb": [1]}, "mitdb", 2, False),
        ({"mitdb": [1]}, "mitdb", 1, True),
        ({"mitdb": [0, 1]}, "mitdb", [1, 2], True),
        ({"mitdb": None}, "mitdb", 2, False),
        ({"ptb-xl": [1, 2]}, "ptb-xl", 9, False),
        ({"ptb-xl": [1, 2]}, "ptb-xl", 3, False),
        ({"ptb-xl": [1, 2]}, "ptb-xl", [2, 9], True),
        ({"challenge-2017": None}, "challenge-2017", None, False),
        ({"challenge-2011": None}, "challenge-2011", None, True),
        ({"challenge-2011": None}, "challenge-2017", None, False),
        ({"challenge-2020": None}, "challenge-2020", None, True),
    ],
)
def test_a_note_says_where_the_model_was_trained_on_what_tests_it(
    everything, model, capsys, data, source, fold, trained
):
    chosen = {k: {**DATA[k], "folds": f} if f else {"path": k, "per_step": 2} for k, f in data.items()}
    plan = recipe(data={"ptb-xl": {**DATA["ptb-xl"], "folds": [1, 2]}} | chosen)
    cases_to_test(after(model, plan, everything), source, everything / source, fold)
    assert (NOTE in capsys.readouterr().err) == trained


@pytest.mark.parametrize(
    "folds, source, fold, trained",
    [(None, "mitdb", 2, True), ([1], "mitdb", 2, False), (None, "challenge-2017", None, False)],
)
def test_weights_of_0_1_0_were_trained_on_all_that_their_recipe_does_not_hold_out(
    everything, model, capsys, folds, source, fold, trained
):
    mitdb = {"path": "mitdb", "per_step": 2} | ({"folds": folds} if folds else {})
    data = DATA | {"mitdb": mitdb}
    old = load_model(model.folder)
    old.config = replace(old.config, training={"recipe": {"data": data, "test_part": {"challenge-2017": 5}}})
    cases_to_test(old, source, everything / source, fold)
    assert (NOTE in capsys.readouterr().err) == trained


def test_the_records_of_chapman_in_challenge_2020_were_trained_on_as_chapman(everything, model, capsys):
    training = {"split": {"chapman": {"test_part": 0}}}
    assert splits.choose_test("challenge-2020", [Case("JS", "JS1", "1")], training)[1]
    assert not splits.choose_test("challenge-2020", [Case("JS", "JS1", "1")], {"split": {"ludb": {"test_part": 0}}})[1]


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, options, problem",
    [
        ("challenge-2017", {"folds": [1]}, "challenge-2017 has no folds"),
        ("mitdb", {"folds": [1, 2]}, "mitdb folds .* out of 0, 1; the others are tested on"),
        ("ptb-xl", {"folds": [8, 9]}, "ptb-xl folds .* tested on"),
        ("ptb-xl", {"folds": [17]}, "ptb-xl folds"),
        ("ptb-xl", {"folds": 1}, "give a list"),
        ("ptb-xl", {"folds": []}, "give a list"),
        ("ptb-xl", {"fold": [1]}, "no option 'fold'"),
        ("nonsense", {}, "no data set 'nonsense'"),
    ],
)
def test_folds_that_cannot_be_trained_on_are_one_line_that_names_the_recipe(tmp_path, source, options, problem):
    plan = yaml.safe_load(asset_path("recipes/default.yaml").read_text())
    plan["data"][source] = {"path": source, "per_step": 4} | options
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(EcgclipError, match=problem) as error:
        Recipe.load(tmp_path / "mine.yaml")
    assert "\n" not in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_one_recipe_takes_records_once(tmp_path):
    plan = yaml.safe_load(asset_path("recipes/default.yaml").read_text())
    plan["data"] |= {s: {"path": s, "per_step": 4} for s in ("chapman", "challenge-2020")}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(EcgclipError, match="the same records"):
        Recipe.load(tmp_path / "mine.yaml")


def test_the_shipped_recipe_leaves_ds2_out(everything):
    plan = Recipe.load(asset_path("recipes/default.yaml"))
    cases = load_split(plan, everything, KnowledgeBase.load(), False)["mitdb"].cases
    assert {c.fold for c in cases} == {0, 1}
    assert not {Path(c.path).name for c in cases} & set(DS2)


def test_any_source_is_loaded_by_folds_or_says_that_it_has_none(everything, model):
    assert {c.fold for c in splits.load("mitdb", everything / "mitdb", model.kb, [1])} == {1}
    assert {c.fold for c in splits.load("ptb-xl", everything / "ptb-xl", model.kb, [3, 4])} == {3, 4}
    with pytest.raises(EcgclipError, match="challenge-2011 has no folds"):
        splits.load("challenge-2011", everything / "challenge-2011", model.kb, [1])
