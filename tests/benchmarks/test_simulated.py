"""What is scored must not contradict what was simulated: the shipped weights, patients that nothing was fitted on."""

from pathlib import Path

import pytest

from ecgclip.model.store import load_model

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def rules():
    """The share of 20 patients who keep each rule of the benchmark, by condition."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import simulated
    from ecgclip.train.witnesses import Simulated

    model = load_model()
    conditions = tuple(dict.fromkeys(condition for rule in simulated.RULES for condition in rule.conditions))
    ecgs = Simulated.of(range(200, 220), conditions=conditions)
    of_each = [condition for condition in conditions for _ in range(20)]
    rows = simulated.rule_rows(model, of_each, simulated.score(model, ecgs))
    return {row["condition"]: row for row in rows}


@pytest.mark.parametrize(
    "condition",
    [
        "anterior-stemi",
        "inferior-stemi",
        "lateral-stemi",
        "lbbb",
        "paced",
        "complete-av-block",
        "flutter",
        "wpw",
        "long-qt",
        "hyperkalemia",
        "posterior-stemi",
    ],
)
def test_what_is_simulated_is_scored_so(rules, condition):
    assert rules[condition]["kept"] >= 0.95, rules[condition]
