"""The backbone of the ECG encoder before alignment, pretrained on signals without labels.

training windows of all sources ─▶ SignalBatches ─▶ task(backbone) ─▶ losses      for each step
held-out windows ─▶ averaged backbone ─▶ mean tokens ─▶ rank and spread           for each epoch
averaged backbone ─▶ ecg.safetensors, ecg.json, which `train clip --ecg` begins with
"""

from __future__ import annotations

import copy
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecgclip.ecg import EcgclipError
from ecgclip.files import code_version
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.demographics import DEMOGRAPHICS, demographics
from ecgclip.train.augment import IN_MV, draw_variant
from ecgclip.train.batches import joined, slice_of_permutations
from ecgclip.train.collapse import mean_tokens, rank, spread
from ecgclip.train.loop import Journal, Loop, MovingAverage, Stage, need_one_process, parameter_groups, prepare_training
from ecgclip.train.objectives.base import Batch
from ecgclip.train.pretrained import save_pretrained
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.base import Task
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, Splits, load_split

WATCHED = 256  # held-out windows whose tokens are watched


def train_ecg(recipe: Recipe, data: Path, out: Path, threads: int | None = None) -> Path:
    """Train the recipe's backbone on signals without labels, by the task of its `ecg_pretraining`.

    It sees the training windows of all sources of the recipe, or of those that its `data` names, whatever their leads,
    and no patient of a validation or test part. Goes on from `out`/last where an interrupted training left it.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        The folder of the recipe's data sets.
    out : Path
        Gets ecg.safetensors and ecg.json, of some tasks task.safetensors (`Task.extras`), log.csv and last/. The log
        has, beside the losses, the effective rank of the mean tokens of held-out windows and their spread: both fall
        where the backbone collapses.
    threads : int, optional
        CPU threads; None: torch's choice.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    EcgclipError
        Where the recipe has no `ecg_pretraining`, several processes run, data cannot be read, `out`/last is a
        checkpoint of another recipe, or a loss is no longer a number.
    """
    if not recipe.ecg_pretraining:
        raise EcgclipError(f"the recipe {recipe.name} has no ecg_pretraining (docs/training.md)")
    prepare_training(threads)
    need_one_process("pretrain the backbone by one process, and `train clip` by many")
    version, kb = code_version(), KnowledgeBase.load()
    out.mkdir(parents=True, exist_ok=True)
    splits, options = load_split(recipe, data, kb, validation=False), recipe.ecg_pretraining
    splits = {source: split for source, split in splits.items() if source in options.get("data", recipe.data)}
    held_out = load_split(recipe, data, kb, validation=True)
    torch.manual_seed(recipe.seed)
    backbone = build_backbone(recipe.ecg_config)
    task = build_task(options["task"], backbone, recipe.ecg_config, options.get("sizes", {}))
    averaged = pretrain(task, recipe, splits, held_out, out)
    save_pretrained(averaged, task, recipe, splits, data, out, version)
    return out


def pretrain(task: Task, recipe: Recipe, splits: Splits, held_out: Splits, out: Path) -> nn.Module:
    """Train by `task` for the epochs of the recipe; the moving average of its backbone."""
    from accelerate import PartialState

    options, device = recipe.ecg_pretraining, PartialState().device
    averaged, model = copy.deepcopy(task.backbone), Pretrainer(task).to(device)
    trained = [p for p in task.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameter_groups(trained, options["lr"], recipe.weight_decay), fused=True)
    batches = SignalBatches(recipe, splits, task.columns)
    loop = Loop(
        "ecg",
        recipe,
        model,
        optimiser,
        batches,
        lambda step: recipe.seed * 1_000_003 + step,
        batches.steps_per_epoch,
        device,
        MovingAverage(averaged, task.backbone, recipe.average),
        Journal(out, columns=None),
        after_step=task.after_step,
    )
    windows = next(iter(held_out.values())).windows
    rows = np.sort(np.random.default_rng(recipe.seed).permutation(len(windows))[:WATCHED])

    def watch() -> dict[str, float]:
        means = mean_tokens(averaged, windows, rows, recipe.ecg_config.sampling_rate)
        return {"rank": rank(means), "spread": spread(means), **task.watched()}

    weights: dict[str, float] = defaultdict(lambda: 1.0)  # a task weighs its losses itself
    loop.run([Stage(options["epochs"], [options["lr"]] * 2, weights, validate=watch, validate_every=1)])
    return averaged


class Pretrainer(nn.Module):
    """A task as the training loop calls it."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task

    def forward(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """batch: the columns that the task reads; its losses by name, each of weight 1."""
        return self.task(batch)


class SignalBatches:
    """Draws the batch of a step out of the windows of all sources alike; the same seed and step give the same batch.

    Amplitudes vary by a gain, and of some windows only a subset of the leads is there, by the recipe's `augment`.

    columns : of `pretraining.base.COLUMNS`
    """

    def __init__(self, recipe: Recipe, splits: Splits, columns: tuple[str, ...]):
        self.recipe, self.columns, self.splits = recipe, columns, list(splits.values())
        self.first = np.cumsum([0, *(len(split.windows) for split in self.splits)])  # row of each source's first window
        self.take = min(recipe.ecg_pretraining["batch"], int(self.first[-1]))

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show every window once, but for a remainder smaller than a batch."""
        return int(self.first[-1]) // self.take

    def __call__(self, step: int) -> Batch:
        """The columns of a task."""
        rows = slice_of_permutations(int(self.first[-1]), step * self.take, self.take, [self.recipe.seed])
        rng = np.random.default_rng([self.recipe.seed, 3, step])
        parts = []
        for split, first, last in zip(self.splits, self.first[:-1], self.first[1:], strict=True):
            inside = rows[(rows >= first) & (rows < last)]
            if len(inside):
                parts.append(self._draw(split, inside - first, rng))
        return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in joined(parts).items() if k in self.columns}

    def _draw(self, split: Split, rows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """All columns of some windows of a source."""
        windows, strength = split.windows, self.recipe.augment
        variant = draw_variant(windows.leads[rows], strength["drop_leads"], rng)
        mask, measured = windows.leads[rows][variant], windows.features[rows][variant]
        gain = np.exp(rng.normal(0, strength["gain"], (len(rows), 1))).astype(np.float32)
        measured[:, IN_MV] *= gain
        cases = [split.cases[i] for i in windows.case[rows]]
        return {
            "signal": windows.signal[rows].astype(np.float32) * (gain * mask)[..., None],
            "mask": mask,
            "length": windows.length[rows],
            "r_peaks": windows.r_peaks[rows],
            "measured": measured,
            "findings": windows.findings[rows],
            **dict(zip(DEMOGRAPHICS, demographics([c.age for c in cases], [c.sex for c in cases]).T, strict=True)),
        }
