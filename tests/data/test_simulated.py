"""Simulated ECGs as a data set: what holds is known, what may hold is unknown, and each is written once."""

import pytest

from ecgclip.data import simulated as module
from ecgclip.data.simulated import FIRST_SEED, simulated
from ecgclip.data.splits import check_data, divide, load
from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.train import witnesses


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", ("normal", "lbbb", "af"))


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


def test_what_holds_is_present_what_may_hold_is_unknown_and_all_else_is_absent(tmp_path, kb):
    cases = {case.patient: case for case in simulated(tmp_path, kb, seeds=2)}
    assert len(cases) == 6
    af = cases[f"af-{FIRST_SEED + 1}"]
    assert af.statements["atrial-fibrillation"]
    assert af.statements["supraventricular-arrhythmia"], "what is broader holds as well"
    assert not af.statements["left-bundle-branch-block"]
    assert "rapid-atrial-fibrillation" not in af.statements
    assert "hyperkalemia" not in af.statements, "no ECG here has it: nothing is said of it"
    assert all(case.complete and case.age and case.sex for case in cases.values())
    assert all(all(case.statements[c] for c in case.annotated) for case in cases.values())


def test_no_seed_is_one_that_tests_or_the_fit_of_the_criteria_have():
    assert max(witnesses.SEEDS) < FIRST_SEED


def test_each_record_is_written_once_and_an_interruption_costs_no_more(tmp_path, kb, monkeypatch):
    write, written = module.write_record, []

    def stop_at_the_third(ecg, path):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(ecg, path))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "write_record", stop_at_the_third)
        simulated(tmp_path, kb, seeds=1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_record", lambda ecg, path: written.append(write(ecg, path)))
        cases = simulated(tmp_path, kb, seeds=1)
        assert simulated(tmp_path, kb, seeds=1) == cases
    assert len(written) == len(set(written)) == 3
    assert read_ecg(cases[0].path).seconds == 10


def test_a_recipe_names_seeds_and_no_path(tmp_path, kb):
    check_data({"simulated": {"seeds": 2, "per_step": 4}}, {})
    for options, problem in (
        ({"per_step": 4}, "simulated lacks seeds"),
        ({"seeds": 0, "per_step": 4}, "seeds is 0"),
        ({"seeds": 2, "per_step": 4, "path": "x"}, "no option 'path'"),
    ):
        with pytest.raises(EcgclipError, match=problem):
            check_data({"simulated": options}, {})
    assert len(load("simulated", tmp_path, kb, seeds=1)) == 3
    assert len(divide("simulated", load("simulated", tmp_path, kb, seeds=1)).training) == 3, "none is held out"
