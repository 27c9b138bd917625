"""benchmarks/backbones.py: rows of equal time, scored as a model with that signal branch would score, and a table."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import few_simulated, recipe, write_dx, write_ptb_xl, write_simulated

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROW = "conv-transformer"
TINY = {"width": 32, "sizes": {"channels": [8, 16, 24]}, "heads": 4, "dim": 32}


@pytest.fixture(scope="module")
def modules():
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import ablations
        import backbones
        import changed
        import cost
        import table
    return SimpleNamespace(ablations=ablations, backbones=backbones, changed=changed, cost=cost, table=table)


@pytest.fixture(scope="module")
def backbones(modules):
    return modules.backbones


# --- plans ------------------------------------------------------------------------------------------------------------


def test_every_row_has_a_recipe_that_can_be_built_and_about_the_same_time(backbones):
    said, rows, folders = backbones.settings(), backbones.every_row(), set()
    for row, options in rows.items():
        plan = backbones.plan_of(row, 1)
        assert not plan.recipe.ecg_pretraining, "a row without a task begins with random weights"
        replace(plan.recipe, ecg_pretraining=plan.pretraining)._check()
        assert plan.recipe.epochs == 0, "the text encoder is locked"
        assert plan.recipe.unseen == said["hidden"]
        assert plan.recipe.ecg_config.measured == 0
        epochs = plan.recipe.locked["epochs"] * options["step"]
        epochs += plan.pretraining.get("epochs", 0) * options.get("task_step", 0)
        at_least = options["step"] + options.get("task_step", 0)
        assert epochs * said["epoch_s"] / 60 == pytest.approx(said["minutes"], rel=0.3) or epochs == at_least
        assert bool(plan.pretraining) == ("task" in options)
        folders.add(backbones.folder_of(FOLDER, row, 1))
    assert len(folders) == len(rows)
    assert {next(iter(group)) for group in said["groups"].values()} == {ROW}, "both groups have the same base"
    assert backbones.chosen_rows(["tasks"]) == list(said["groups"]["tasks"])
    assert set(backbones.chosen_rows([])) == set(rows)
    with pytest.raises(SystemExit, match="no row or group 'chimaera'"):
        backbones.chosen_rows(["chimaera"])


def test_epochs_fill_the_time_and_are_one_at_least(backbones):
    assert [backbones.epochs(10, 50, step) for step in (1, 2, 6, 20)] == [12, 6, 2, 1]


def test_what_is_hidden_leaves_the_other_sets_their_labels(backbones):
    from ecgclip.data.sets import SUPERCLASSES
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.knowledge.label_sets import load_label_set

    kb, hidden = KnowledgeBase.load(), backbones.settings()["hidden"]
    taken = kb.concepts.keys() - kb.without(hidden).concepts.keys()
    assert len(hidden) == 8
    assert set(hidden) <= taken
    asked = {c for name in ("cpsc2018", "cinc2017") for c in load_label_set(name)["labels"].values()}
    assert not taken & (asked | set(SUPERCLASSES.values()))


def test_a_task_trains_the_backbone_once_and_the_row_begins_with_it(backbones, tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Recipe:
        ecg_pretraining: dict = field(default_factory=dict)

    done = []

    def train_ecg(recipe, data, out, threads):
        out.mkdir(parents=True)
        done.append(("ecg", recipe.ecg_pretraining["task"], out))

    def train_clip(recipe, data, text, out, threads, ecg=None):
        done.append(("clip", recipe.ecg_pretraining.get("task"), ecg))
        if len(done) == 2:
            raise OSError("no space left")
        (out / "model").mkdir()
        (out / "model/config.json").touch()

    monkeypatch.setitem(sys.modules, "ecgclip.train.ecg", SimpleNamespace(train_ecg=train_ecg))
    monkeypatch.setattr(backbones, "train_clip", train_clip)
    monkeypatch.setattr(backbones, "plan_of", lambda row, seed: backbones.Plan(Recipe(), {"task": row}))
    monkeypatch.setattr(backbones, "score", lambda *arguments: done.append("score"))
    with pytest.raises(OSError, match="no space left"):
        backbones.train_row(tmp_path, tmp_path, "masked", 0, 1)
    backbones.train_row(tmp_path, tmp_path, "masked", 0, 1)
    backbones.train_row(tmp_path, tmp_path, "masked", 0, 1)
    ecg = tmp_path / "masked-0/ecg"
    assert done == [("ecg", "masked", ecg), ("clip", "masked", ecg), ("clip", "masked", ecg), "score", "score"]


# --- a row on a tiny data set, from training to the table -------------------------------------------------------------


def write_data(root):
    """PTB-XL with four records in fold 9, and a few records of each other set."""
    write_ptb_xl(root / "ptb-xl", 36)
    for i in range(6):
        write_dx(root / f"challenge-2020/{'AE'[i % 2]}{i:04d}", ("164889003", "426783006", "164909002")[i // 2])
    for i in range(12):
        write_simulated(root / f"challenge-2017/A{i:05d}", ("normal", "af")[i % 2], ("I",), 300, seed=i)
    lines = [f"A{i:05d},{'NA'[i % 2]}" for i in range(12)]
    (root / "challenge-2017/REFERENCE.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def toy(modules, tiny_model, tmp_path_factory):
    """A tiny row, trained and scored, and its table: data, runs, out, and what was scored."""
    from ecgclip.model.store import load_model

    root = tmp_path_factory.mktemp("backbones")
    for name in ("ptb-xl", "challenge-2020", "challenge-2017"):
        (root / name).mkdir()
    write_data(root)
    said = modules.backbones.settings() | {"minutes": 1, "epoch_s": 60, "hidden": ["left-bundle-branch-block"]}
    sets, rng = modules.ablations.whole_sets, np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        few_simulated(patch)
        patch.setattr(modules.ablations.Recipe, "load", lambda path: recipe(ecg=TINY))
        patch.setattr(modules.ablations, "whole_sets", lambda *a: {k: (*s[:3], 1) for k, s in sets(*a).items()})
        patch.setattr(modules.backbones, "settings", lambda: said)
        patch.setattr(modules.backbones, "load_model", lambda: load_model(tiny_model))
        patch.setattr(modules.changed, "noise_sources", lambda data: {})
        patch.setattr(modules.changed.noise, "noise_bank", lambda splits: [rng.standard_normal((9, 1000))])
        patch.setattr(modules.backbones, "costs", lambda configs, file: {})
        modules.backbones.write_shipped_text(root / "runs")
        modules.backbones.train_row(root, root / "runs", ROW, 0, 1)
        modules.backbones.table(root, root / "runs", root / "results/backbones")
        scored = modules.backbones.every_set(load_model(tiny_model), root, root / "runs")
        yield SimpleNamespace(root=root, sets=scored, shipped=load_model(tiny_model), folder=root / f"runs/{ROW}-0")


def test_a_row_is_scored_on_every_set_and_stands_in_the_table(toy, modules, backbones):
    scores = np.load(toy.folder / "scores.npz")
    assert set(scores) == set(backbones.columns(toy.sets))
    for name, (_, windows, labels, _) in toy.sets.items():
        found = scores[f"signal: {name}"]
        assert found.shape == (len(np.unique(windows.case)), len(labels.names))
        assert np.isfinite(found).all()
    assert toy.sets[backbones.EIGHT][2].concepts == ["left-bundle-branch-block"]
    assert f"criteria: {backbones.EIGHT}" not in scores, "the shipped branch knew it by name"
    assert all("left-bundle-branch-block" not in s[2].concepts for n, s in toy.sets.items() if n != backbones.EIGHT)
    text = "\n".join(modules.table.backbones(toy.root / "results"))
    assert text.count(f"| {ROW} |") == 2 * 4, "as the base of both groups; the rows that lack are left out"
    assert "ResNet" not in text
    assert list(modules.table.backbones(toy.root)) == ["Not measured yet."]


def test_the_signal_is_that_of_the_row_and_joins_the_measurements_as_in_the_encoder(toy, backbones):
    from safetensors.torch import load_file

    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.config import ModelConfig
    from ecgclip.train.validation import embed_windows

    stored, windows = json.loads((toy.folder / "model/config.json").read_text()), toy.sets[backbones.FOLD][1]
    own = ECGCLIP(ModelConfig.from_dict(stored), toy.shipped.tokenizer, toy.shipped.kb).eval()
    own.load_stored_state(load_file(toy.folder / "model/model.safetensors"))
    row = backbones.Row.load(toy.shipped, toy.folder / "model")
    row.beside.ecg.signal_weight.fill_(0.5)
    signal = row.signal(windows)
    np.testing.assert_allclose(signal, embed_windows(own, windows), atol=1e-5)
    np.testing.assert_allclose(row.with_measurements(signal, windows), embed_windows(row.beside, windows), atol=1e-5)
    assert abs(row.with_measurements(signal, windows) - signal).max() > 0.01
    text = ["atrial fibrillation"]
    # the row's matrices are in half precision, as the shipped ones are
    np.testing.assert_allclose(own.embed_text(text), toy.shipped.embed_text(text), atol=1e-3)
    assert own.config.training["recipe"]["unseen"] == ["left-bundle-branch-block"]
    assert "left-bundle-branch-block" not in row.alone.config.trained_concepts


def test_fewer_leads_and_noise_are_measured_anew(toy, modules, backbones):
    windows = toy.sets[backbones.FOLD][1]
    same = modules.changed.measured_anew(windows, windows.signal, windows.mask)
    np.testing.assert_array_equal(same.r_peaks, windows.r_peaks)
    near = np.isclose(same.features, windows.features, rtol=0.02, atol=0.02, equal_nan=True)
    assert near.mean() > 0.95
    shown = {name: toy.sets[name][1] for name in (*modules.changed.FEWER_LEADS, "24 dB", "0 dB")}
    assert [int(shown[name].mask[0].sum()) for name in modules.changed.FEWER_LEADS] == [6, 7, 2, 1]
    assert not shown["2 leads"].signal[:, 0].any()
    assert not np.array_equal(shown["1 lead"].readings, windows.readings, equal_nan=True)
    away = [abs(shown[name].signal.astype(float) - windows.signal).mean() for name in ("24 dB", "0 dB")]
    assert away[1] == pytest.approx(away[0] * 10**1.2, rel=0.05)


def test_what_was_changed_is_kept(toy, modules, monkeypatch):
    monkeypatch.setattr(modules.changed, "measured_anew", None)
    again = modules.changed.changed(toy.sets[modules.backbones.FOLD][1], toy.root, toy.root / "runs")
    np.testing.assert_array_equal(again["6 dB"].signal, toy.sets["6 dB"][1].signal)


def test_a_row_without_its_base_has_no_difference_and_draws_of_a_probe_are_one_figure(backbones, tmp_path, monkeypatch):
    class Scored:
        def row(self, row, scores, base, summaries):
            names = ["a", *(f"{backbones.probe_name(s)}, draw {i}" for s in (0.01, 0.1, 1.0) for i in range(3))]
            entry = {"row": row, **{name: [0.5 + i / 10] for i, name in enumerate(names)}}
            if base is not scores:
                entry |= {f"{name}, less base": [[0.1, 0.0, 0.2]] for name in names}
            return entry

    extra = ("validation_measured", "signal_weight", "epochs", "pretraining_epochs", "pretraining_seconds")
    monkeypatch.setattr(backbones, "widen", lambda entries, names: None)
    for row in ("b", "c"):
        (tmp_path / f"{row}-0").mkdir()
        (tmp_path / f"{row}-0/row.json").write_text(json.dumps({"records_sha256": "x"} | dict.fromkeys(extra, 1)))
        np.savez(tmp_path / f"{row}-0/scores.npz", a=[1])
    entries = backbones.group_rows(Scored(), "x", ["a", "b", "c"], tmp_path)
    assert [entry["row"] for entry in entries] == ["b", "c"]
    assert not [key for entry in entries for key in entry if "less base" in key]
    assert entries[0][backbones.probe_name(0.01)] == pytest.approx([0.7])
    based = backbones.group_rows(Scored(), "x", ["b", "c"], tmp_path)
    assert based[1]["a, less base"] == [[0.1, 0.0, 0.2]]
    assert based[1][f"{backbones.probe_name(0.1)}, less base"] == [pytest.approx([0.1, 0.0, 0.2])]
    with pytest.raises(SystemExit, match="other records"):
        backbones.group_rows(Scored(), "y", ["b"], tmp_path)


def test_the_probe_learns_from_training_records_and_is_tested_on_the_fold(backbones):
    from ecgclip.data.cases import Case
    from ecgclip.evaluate.metrics import Labels

    rng = np.random.default_rng(0)
    cases = [Case("ptb-xl", str(i), str(i), {"a": i % 2 == 0}, frozenset("a" * (i % 2 == 0))) for i in range(200)]
    vectors = rng.standard_normal((200, 4)) + np.array([[3 * (i % 2 == 0), 0, 0, 0] for i in range(200)])
    training = backbones.Split(cases, SimpleNamespace(case=np.arange(200)))
    test = np.array([[4.0, 0, 0, 0], [-1.0, 0, 0, 0]])
    scores = backbones.probe_scores(training, vectors, test, Labels(["a"], ["a"], {}))
    assert len(scores) == 7
    assert all(s.shape == (2, 1) and s[0] > s[1] for name, s in scores.items() if "1% " not in name)


def test_costs_are_measured_beside_the_first(modules, monkeypatch, tmp_path):
    from ecgclip.networks.config import ECGConfig

    monkeypatch.setattr(modules.cost, "BATCH", 2)
    monkeypatch.setattr(modules.cost, "ROUNDS", 1)
    small = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, measured=0)
    found = modules.cost.times({"small": small, "wide": replace(small, width=64)})
    assert found["small"]["ratio"] == 1
    assert found["wide"]["parameters"] > found["small"]["parameters"] > 1000
    assert found["small"]["ms"] > 0
    assert modules.cost.peak_memory(small) >= 0
    (tmp_path / "cost.json").write_text('{"small": {"ms": 7}}')
    assert modules.cost.costs({}, tmp_path / "cost.json") == {"small": {"ms": 7}}, "what is there is not measured again"
