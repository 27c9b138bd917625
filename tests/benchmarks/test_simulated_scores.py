"""What is scored must not contradict what was simulated: the shipped weights, patients that nothing was fitted on.

`benchmarks/simulated.py` asks for more than holds today (docs/benchmarks.md has its table); here stands what does.
"""

from pathlib import Path

import numpy as np
import pytest

from ecgclip.model.store import load_model

FOLDER = Path(__file__).parents[2] / "benchmarks"
WALLS = ("anterior-stemi", "inferior-stemi", "lateral-stemi")
CONDITIONS = (*WALLS, "lbbb", "paced", "long-qt", "complete-av-block", "normal")
SEEDS = range(200, 220)


@pytest.fixture(scope="module")
def scored():
    """The benchmark's module, and the scores of 20 patients of each condition."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import simulated
    from ecgclip.train.witnesses import Simulated

    model = load_model()
    return simulated, model, simulated.score(model, Simulated.of(SEEDS, conditions=CONDITIONS))


def rows(condition):
    first = CONDITIONS.index(condition) * len(SEEDS)
    return slice(first, first + len(SEEDS))


@pytest.mark.parametrize("condition", ["lbbb", "paced"])
def test_the_rule_of_a_condition_is_kept(scored, condition):
    simulated, model, scores = scored
    of_each = [name for name in CONDITIONS for _ in SEEDS]
    kept = {rule["condition"]: rule["kept"] for rule in simulated.rule_rows(model, of_each, scores)}
    assert kept[condition] >= 0.95


@pytest.mark.parametrize("wall", WALLS)
def test_an_infarction_is_more_probable_than_in_normal_paced_and_bundle_branch_block(scored, wall):
    stemi = scored[2].of("stemi")
    others = max(np.quantile(stemi[rows(other)], 0.95) for other in ("normal", "lbbb", "paced"))
    assert np.quantile(stemi[rows(wall)], 0.05) > others


@pytest.mark.parametrize("condition", ["complete-av-block", "long-qt", "inferior-stemi"])
def test_a_normal_ecg_is_less_probable_than_in_a_normal_one(scored, condition):
    normal = scored[2].of("normal-ecg")
    assert np.quantile(normal[rows(condition)], 0.95) < np.quantile(normal[rows("normal")], 0.05)
