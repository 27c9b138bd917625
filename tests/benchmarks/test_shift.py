"""benchmarks/shift.py: two recipes that can be built and differ in age and sex alone, and figures by group."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ecgclip.data.cases import Case
from ecgclip.evaluate.metrics import Labels

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def shift():
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import shift
    return shift


def test_the_rows_differ_in_age_and_sex_alone(shift):
    without, informed = (shift.recipe_of(shift.BUDGET | changes, "row", 0)[0] for changes in shift.ROWS.values())
    assert not without.ecg_config.demographics
    assert informed.ecg_config.demographics
    assert 0 < informed.augment["drop_demographics"] < 1
    assert {**informed.ecg, "demographics": False} == {**without.ecg, "demographics": False}
    assert informed.measured == without.measured
    assert not without.teacher["share"]


def test_figures_name_each_group_that_is_compared_and_the_worst(shift):
    rng = np.random.default_rng(0)
    cases = [Case("s", f"{i}", f"{i}", {}, frozenset("a"), age=30 if i < 100 else 70) for i in range(200)]
    truth = rng.integers(0, 2, (200, 3))
    cases = [
        Case("s", c.path, c.patient, {k: bool(t) for k, t in zip("abc", row, strict=True)},
             frozenset(k for k, t in zip("abc", row, strict=True) if t), complete=True, age=c.age)
        for c, row in zip(cases, truth, strict=True)
    ]  # fmt: skip
    score = truth * np.where(np.arange(200) < 100, 3.0, 0.5)[:, None] + rng.standard_normal(truth.shape)
    windows = SimpleNamespace(case=np.arange(200))
    figures = shift.figures_of((cases, windows, Labels(list("abc"), list("abc"), {}), 5), score)
    assert figures["age <40"] > figures["macro AUROC"] > figures["age 60–79"]
    assert (
        figures["largest gap by age"]
        == figures["age 60–79, gap"]
        == pytest.approx(figures["age <40"] - figures["age 60–79"], abs=2e-4)
    )
    assert shift.mean([figures, figures | {"macro AUROC": 0.0}])["macro AUROC"][1] == 0


def test_a_case_that_was_not_read_does_not_shift_the_others(shift):
    cases = [Case("s", f"{i}", f"{i}", {"a": True}, frozenset("a") if i % 2 else frozenset("b")) for i in range(21)]
    windows = SimpleNamespace(case=np.delete(np.arange(21), 4))
    score = np.array([[float("a" in cases[i].annotated)] for i in windows.case])
    cases = [Case("s", c.path, c.patient, {"a": "a" in c.annotated}, c.annotated, complete=True) for c in cases]
    assert shift.figures_of((cases, windows, Labels(["a"], ["a"], {}), 5), score)["macro AUROC"] == 1
