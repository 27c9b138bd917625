"""benchmarks/ablations.py: rows that can be trained, and intervals that answer for seeds as well as for patients."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "benchmarks/ablations.py"


@pytest.fixture(scope="module")
def ablations():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("ablations", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_changes_its_base_by_a_recipe_that_can_be_built(ablations):
    seen = set()
    for rows in ablations.groups().values():
        base, *others = (ablations.recipe_of(changes, "row", 0) for changes in rows.values())
        assert base[1] == "" and all(other != base for other in others)
        for recipe, patch in (base, *others):
            assert recipe.ecg_config.dim == recipe.text_config.dim
            assert not patch or callable(getattr(ablations, patch.split()[0]))
        seen |= {ablations.folder_of(FILE.parent, row, 0) for row in rows}
    assert len(seen) == sum(map(len, ablations.groups().values())), "no two rows share a folder"


def test_an_interval_widens_by_how_far_seeds_lie_apart(ablations):
    def rows(apart):
        return [
            {"set, less base": [[0.1 - apart, 0.08 - apart, 0.12 - apart], [0.1 + apart, 0.08 + apart, 0.12 + apart]]},
            {"set, less base": [[0.3, 0.28, 0.32]]},
        ]

    close, far = rows(0.0), rows(0.05)
    ablations.widen(close, ["set"])
    ablations.widen(far, ["set"])
    assert np.allclose(close[0]["set, less base"], [0.1, 0.08, 0.12]) and np.allclose(far[0]["set, less base"][0], 0.1)
    widths = [[high - low for _, low, high in (r["set, less base"] for r in given)] for given in (close, far)]
    assert np.allclose(widths[0], 0.04) and widths[1][0] > 0.1
    assert widths[1][1] > widths[1][0], "one seed tells less than two"
    one = [{"set, less base": [[0.3, 0.28, 0.32]]}]
    ablations.widen(one, ["set"])
    assert one[0]["set, less base"][1:] == [None, None], "of a single seed, nothing is known"
