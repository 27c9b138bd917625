"""Pretraining of the backbone: it repeats itself, goes on after an interruption, and alignment begins with it."""

import copy
import json
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy import read_log, recipe

from ecgclip.ecg import EcgclipError
from ecgclip.model.store import load_model
from ecgclip.train import ecg
from ecgclip.train.aligner import Aligner
from ecgclip.train.clip import _lock, train_clip
from ecgclip.train.ecg import SignalBatches, train_ecg
from ecgclip.train.pretrained import load_pretrained
from ecgclip.train.pretraining import TASKS
from ecgclip.train.pretraining.base import COLUMNS, Task

OPTIONS = {"task": "reconstruct", "epochs": 2, "batch": 6, "lr": 3e-3}
PLAN = recipe(ecg_pretraining=OPTIONS)
FOLDS = [1, 2, 3, 5]  # of the training patients of the toy data


@dataclass(frozen=True)
class FollowSizes:
    keep: float = 0.9


class Follow(Task):
    """Mean tokens move towards those of a teacher, which follows; reads all columns, and counts its steps."""

    columns = tuple(COLUMNS)

    def __init__(self, backbone, config, sizes):
        super().__init__(backbone, config, sizes)
        self.teacher = copy.deepcopy(backbone).requires_grad_(False)
        self.head = torch.nn.Linear(config.width, config.width)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, batch):
        assert batch.keys() == COLUMNS.keys()
        signal, mask, length = (batch[k] for k in ("signal", "mask", "length"))
        noisy = signal + 0.1 * torch.randn_like(signal)
        seen, wanted = (f(x, mask, length).mean(1) for f, x in ((self.backbone, noisy), (self.teacher, signal)))
        error = (self.head(seen) - wanted).float().square().mean()
        return {"follow": error, "small": 1e-3 * seen.float().square().mean()}

    def after_step(self, step, steps):
        assert step == self.steps < steps
        self.steps += 1
        for old, new in zip(self.teacher.parameters(), self.backbone.parameters(), strict=True):
            old.lerp_(new.detach(), 1 - self.sizes.keep)

    def watched(self):
        return {"counted": float(self.steps)}

    def extras(self):
        return {"steps": self.steps}


@pytest.fixture
def follow(monkeypatch):
    """A recipe whose task has a teacher."""
    module = ModuleType("ecgclip.train.pretraining.follow")
    module.Follow, module.FollowSizes = Follow, FollowSizes
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TASKS, "follow", "follow:Follow")
    return recipe(ecg_pretraining=OPTIONS | {"task": "follow", "sizes": {"keep": 0.8}})


@pytest.fixture(scope="module")
def pretrained(toy, cache_folder):
    """The folder of a pretrained backbone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", cache_folder)
        return train_ecg(PLAN, toy, toy / "ecg", threads=1)


def test_it_writes_what_alignment_begins_with_and_repeats_itself(toy, pretrained, tmp_path):
    assert {p.name for p in pretrained.iterdir()} == {"last", "log.csv", "ecg.json", "ecg.safetensors"}
    train_ecg(PLAN, toy, tmp_path, threads=1)
    assert (tmp_path / "ecg.safetensors").read_bytes() == (pretrained / "ecg.safetensors").read_bytes()
    about, again = (json.loads((folder / "ecg.json").read_text()) for folder in (pretrained, tmp_path))
    assert about.keys() == again.keys()
    assert all(about[k] == again[k] for k in about.keys() - {"code_version"})
    assert about["task"] == {"name": "reconstruct", "sizes": {"shown": 0.8, "limb": 0.5}}
    assert about["recipe"]["name"] == "toy"
    assert about["split"] == {"ptb-xl": {"folds": FOLDS}}
    assert len(about["data_sha256"]) == 64
    assert str(toy) not in (pretrained / "ecg.json").read_text()


def test_the_log_watches_for_collapse_in_every_epoch(pretrained):
    rows = read_log(pretrained)
    assert list(rows[0]) == ["epoch", "seconds", "reconstruction", "rank", "spread"]
    assert [r["epoch"] for r in rows] == ["1", "2"]
    assert all(float(r["rank"]) >= 1 and 0 < float(r["spread"]) < 1.5 for r in rows)


def test_an_interrupted_pretraining_goes_on_to_the_same_bytes_with_its_teacher(toy, follow, tmp_path, monkeypatch):
    whole, draw = train_ecg(follow, toy, tmp_path / "whole", threads=1), SignalBatches.__call__

    def stop(self, step):
        if step == 2 * self.steps_per_epoch - 1:  # the last one of the second epoch
            raise KeyboardInterrupt
        return draw(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SignalBatches, "__call__", stop)
        train_ecg(follow, toy, tmp_path / "broken", threads=1)
    assert [r["epoch"] for r in read_log(tmp_path / "broken")] == ["1"]
    broken = train_ecg(follow, toy, tmp_path / "broken", threads=1)
    assert (broken / "ecg.safetensors").read_bytes() == (whole / "ecg.safetensors").read_bytes()
    state, resumed = (load_file(folder / "last" / "state.safetensors") for folder in (whole, broken))
    assert all(torch.equal(resumed[name], tensor) for name, tensor in state.items())
    assert state["model.task.steps"] > 2
    assert any(name.startswith("model.task.teacher.") for name in state)
    assert load_file(whole / "task.safetensors")["steps"] == load_file(broken / "task.safetensors")["steps"]
    rows = read_log(whole)
    assert rows[0].keys() == {"epoch", "seconds", "follow", "small", "rank", "spread", "counted"}
    assert float(rows[1]["counted"]) == state["model.task.steps"] == 2 * float(rows[0]["counted"])


def test_what_cannot_be_pretrained_is_one_line(toy, tmp_path, monkeypatch):
    with pytest.raises(EcgclipError, match="toy has no ecg_pretraining"):
        train_ecg(recipe(), toy, tmp_path, threads=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(EcgclipError, match="one process"):
        train_ecg(PLAN, toy, tmp_path, threads=1)


def test_an_epoch_shows_the_windows_of_all_sources_alike(splits):
    windows = splits["ptb-xl"].windows
    plan = recipe(ecg_pretraining=OPTIONS | {"batch": len(windows)})
    batches = SignalBatches(plan, splits | {"again": splits["ptb-xl"]}, tuple(COLUMNS))
    assert batches.steps_per_epoch == 2
    drawn = [batches(step) for step in range(2)]
    peaks = torch.cat([b["r_peaks"] for b in drawn]).nan_to_num(-1).numpy()
    for one in np.nan_to_num(windows.r_peaks, nan=-1):
        assert (peaks == one).all(1).sum() == 2
    one = drawn[0]
    assert one["signal"].dtype == one["measured"].dtype == one["age"].dtype == one["male"].dtype == torch.float32
    assert one["signal"].shape == (len(windows), 12, 1000)
    assert (one["signal"][~one["mask"]] == 0).all()
    masks = torch.cat([b["mask"] for b in drawn])
    assert masks.any(1).all()
    assert not masks.all()
    assert (one["age"] == 60).all()
    assert set(one["male"].tolist()) <= {0.0, 1.0}
    again = batches(0)
    assert all(torch.equal(one[k].nan_to_num(), again[k].nan_to_num()) for k in COLUMNS)
    assert SignalBatches(PLAN, splits, ("signal", "age"))(0).keys() == {"signal", "age"}


def test_it_sees_the_sources_that_its_data_name(toy, splits, tmp_path, monkeypatch):
    """Of two sources, one; the backbone says which."""
    both = splits | {"challenge-2011": splits["ptb-xl"]}
    monkeypatch.setattr(ecg, "load_split", lambda *inputs, validation: splits if validation else both)
    seen, data = [], PLAN.data | {"challenge-2011": {"path": "ptb-xl", "per_step": 1}}
    monkeypatch.setattr(ecg, "pretrain", lambda task, recipe, splits, *rest: seen.append([*splits]) or task.backbone)
    for options in ({}, {"data": ["ptb-xl"]}):
        train_ecg(recipe(data=data, ecg_pretraining=OPTIONS | options), toy, tmp_path, threads=1)
        assert [*json.loads((tmp_path / "ecg.json").read_text())["split"]] == seen[-1]
    assert seen == [["ptb-xl", "challenge-2011"], ["ptb-xl"]]


def test_a_gain_changes_signal_and_measurements_alike(splits):
    def draw(gain):
        augment = PLAN.augment | {"gain": gain, "drop_leads": 0.0}
        return SignalBatches(recipe(ecg_pretraining=OPTIONS, augment=augment), splits, tuple(COLUMNS))(0)

    plain, changed = draw(0.0), draw(0.3)
    gain = changed["signal"].abs().sum((1, 2)) / plain["signal"].abs().sum((1, 2))
    assert gain.std() > 0.05
    ratio = (changed["measured"] / plain["measured"]).nan_to_num(1.0)
    assert all(((r - 1).abs() < 1e-4).logical_or((r - g).abs() < 1e-3).all() for r, g in zip(ratio, gain, strict=True))


def test_a_model_begins_with_the_backbone_and_says_so(toy, pretrained, tmp_path):
    """With no epoch of alignment."""
    plan = recipe(epochs=0, locked={**recipe().locked, "epochs": 0}, ecg={**recipe().ecg, "measured": 0})
    model = load_model(train_clip(plan, toy, toy / "text", tmp_path, threads=1, ecg=pretrained))
    weights = load_file(pretrained / "ecg.safetensors")
    for name, tensor in model.ecg.backbone.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], atol=2e-3, rtol=2e-3, msg=name)  # matrices in half precision
    record = model.config.training["ecg_pretraining"]
    assert record.keys() == {"recipe", "task", "seed", "weights_sha256"}
    assert record["task"] == "reconstruct"
    assert len(record["weights_sha256"]) == 64
    assert model.config.training["split"] == {"ptb-xl": {"folds": list(range(1, 9))}}


def test_the_locked_stage_begins_anew_with_the_backbone(untrained, pretrained):
    aligner, begun = Aligner(copy.deepcopy(untrained), PLAN), load_pretrained(pretrained, PLAN)
    other = copy.deepcopy(aligner.model)
    batches = SimpleNamespace(whiten=lambda *_: None, lock=lambda *_: None)
    _lock(aligner, other, batches, PLAN, begun)(True)
    for encoder in (aligner.model.ecg, other.ecg):
        state = encoder.backbone.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in begun.weights.items())
    _lock(aligner, other, batches, PLAN, None)(True)
    assert not torch.equal(other.ecg.backbone.state_dict()["position"], begun.weights["position"])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"ecg": {**PLAN.ecg, "width": 64}}, "ecg.width 32, and the recipe 64"),
        ({"ecg": {"width": 32, "backbone": "vit", "dim": 32}}, "ecg.backbone conv-transformer, and the recipe vit"),
        ({"ecg": {**PLAN.ecg, "channels": [8, 16, 32]}}, "ecg.sizes.channels"),
        ({"ecg": {**PLAN.ecg, "sampling_rate": 250}}, "ecg.sampling_rate 100, and the recipe 250"),
        ({"test_part": {"ptb-xl": 4}}, "the recipe tests on"),
        ({"validation_part": 5}, "may validate on"),
        ({"data": {"ptb-xl": {**PLAN.data["ptb-xl"], "folds": [1, 2]}}}, "may validate on"),
    ],
)
def test_a_backbone_that_does_not_fit_is_one_line(pretrained, changes, words):
    with pytest.raises(EcgclipError, match=words) as error:
        load_pretrained(pretrained, recipe(**changes))
    assert "\n" not in str(error.value)
    assert str(pretrained) in str(error.value)


def test_a_folder_without_a_backbone_and_a_recipe_without_its_folder_are_one_line(toy, pretrained, tmp_path):
    with pytest.raises(EcgclipError, match="no pretrained backbone here"):
        load_pretrained(tmp_path, PLAN)
    (tmp_path / "ecg.json").write_text((pretrained / "ecg.json").read_text())
    (tmp_path / "ecg.safetensors").write_bytes(b"nothing")
    with pytest.raises(EcgclipError, match="cannot be read"):
        load_pretrained(tmp_path, PLAN)
    with pytest.raises(EcgclipError, match="--ecg"):
        train_clip(PLAN, toy, toy / "text", tmp_path, threads=1)


def test_a_model_says_of_its_pretraining_which_patients_it_saw(pretrained):
    begun = load_pretrained(pretrained, PLAN)
    told = {"ptb-xl": {"folds": [1, 2]}, "challenge-2017": {"test_part": 5}}
    assert begun.merged(told) == {"ptb-xl": {"folds": FOLDS}, "challenge-2017": {"test_part": 5}}
    assert begun.merged({}) == {"ptb-xl": {"folds": FOLDS}}
    more = begun.merged({"ptb-xl": {"folds": [7]}})
    assert more == {"ptb-xl": {"folds": [1, 2, 3, 5, 7]}}
