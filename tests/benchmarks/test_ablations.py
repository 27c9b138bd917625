"""benchmarks/ablations.py: rows that can be trained, and intervals that answer for seeds as well as for patients."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "benchmarks/ablations.py"


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
        assert base[1] == ""
        assert all(other != base for other in others)
        for recipe, patch in (base, *others):
            assert recipe.ecg_config.dim == recipe.text_config.dim
            assert not patch or callable(getattr(ablations, patch.split()[0]))
        seen |= {ablations.folder_of(FILE.parent, row, 0) for row in rows}
    assert len(seen) == sum(map(len, ablations.groups().values())), "no two rows share a folder"
    assert ablations.ALONE_OF in ablations.groups()["ECG encoder"]


def test_a_row_that_fails_costs_no_other_and_is_the_only_one_trained_again(ablations, tmp_path, monkeypatch):
    def row(data, out, folder, changes, name, seed, threads):
        folder.mkdir(parents=True, exist_ok=True)
        with (tmp_path / "begun").open("a") as begun:
            begun.write(f"{name}\n")
        if name == "no beat loss" and not (tmp_path / "mended").exists():
            raise OSError("no space left")
        (folder / "row.json").touch()

    monkeypatch.setattr(ablations, "train_row", row)
    monkeypatch.setattr(ablations, "make_text", lambda data, recipe, folder: folder.mkdir(exist_ok=True))
    assert ablations.train(tmp_path, tmp_path, ["ECG encoder"], 2, 2) == [
        "no beat loss, seed 0",
        "no beat loss, seed 1",
    ]
    begun = (tmp_path / "begun").read_text().splitlines()
    assert sorted(begun) == sorted([*ablations.groups()["ECG encoder"]] * 2)
    (tmp_path / "mended").touch()
    assert ablations.train(tmp_path, tmp_path, ["ECG encoder"], 2, 2) == []
    assert (tmp_path / "begun").read_text().splitlines()[len(begun) :] == ["no beat loss"] * 2
    with pytest.raises(SystemExit, match="no beet loss"):
        ablations.train(tmp_path, tmp_path, ["no beet loss"], 1, 1)


def test_rows_that_share_a_text_encoder_would_have_trained_the_same(ablations):
    settings = {}
    for rows in ablations.groups().values():
        for name, changes in rows.items():
            plan = ablations.recipe_of(changes, name, 0)[0]
            own = (plan.text, plan.unseen, plan.pretraining) if plan.epochs else "that of the shipped weights"
            assert settings.setdefault(ablations.text_of(plan, FILE.parent), own) == own, name


def test_an_interval_widens_by_how_far_seeds_lie_apart(ablations):
    def rows(apart, seeds=3):
        base = {"set": [0.7, 0.7 + apart, 0.7 - apart][:seeds]}
        more = {"set": [v + 0.1 for v in base["set"]], "set, less base": [[0.1, 0.08, 0.12]] * seeds}
        return [base, more, {"set": [0.9], "set, less base": [[0.2, 0.18, 0.22]]}]

    widened = {}
    for name, group in (("close", rows(0.0)), ("far", rows(0.05)), ("single", rows(0.0, 1))):
        ablations.widen(group, ["set"])
        widened[name] = [row["set, less base"] for row in group[1:]]
    assert np.allclose(widened["close"], [[0.1, 0.08, 0.12], [0.2, 0.18, 0.22]])
    assert np.allclose([v[0] for v in widened["far"]], [0.1, 0.2])
    widths = [high - low for _, low, high in widened["far"]]
    assert widths[0] > 0.1
    assert widths[1] > widths[0], "one seed tells less than three"
    assert widened["single"][0] == [0.1, None, None], "of single seeds, nothing is known of how far they lie apart"
