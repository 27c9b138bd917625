"""The branch of the measurements."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ecgclip.model.clip import ECGCLIP
from ecgclip.train.batches import Batches
from ecgclip.train.loop import _average, _cosine, _device
from ecgclip.train.losses import SigmoidBank, ranking_loss
from ecgclip.train.recipe import Recipe


def train_measured(model: ECGCLIP, batches: Batches, recipe: Recipe) -> None:
    """Teach the measurements' branch, alone, on the prompts that inference asks with.

    Taught together with the signal it would learn half of what it can, beside a network that knows its training ECGs by heart.
    """
    from rich.progress import track

    branch, options = model.ecg.measured, recipe.measured
    if branch is None:
        return
    torch.manual_seed(recipe.seed)
    if not batches.vectors:
        batches.lock(model)
    device = _device(model)
    banks = nn.ModuleDict({name: SigmoidBank(recipe.locked["scale"]) for name in ("statement", "finding")}).to(device)
    trained = nn.ModuleList([branch, banks])
    averaged = copy.deepcopy(trained)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in trained.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        options["lr"],
        fused=True,
    )
    steps = options["epochs"] * batches.steps_per_epoch
    model.train()
    for step in track(range(steps), "measured"):
        for group in optimiser.param_groups:
            group["lr"] = options["lr"] * _cosine(step, steps, recipe.warmup)
        batch = {k: v.to(device) for k, v in batches.measurements(step).items()}
        members = branch.members(batch["measured"])  # each is taught by itself
        loss = torch.zeros((), device=device)
        for name, bank in banks.items():
            similarity = (members @ batch[f"{name}_vectors"].T).flatten(1)
            truth = batch[f"{name}_truth"].repeat(1, members.shape[1])
            taught = (batch["statement_soft"].repeat(1, members.shape[1]), recipe.teacher["share"])
            loss = loss + options[f"{name}s"] * bank(similarity, truth, *(taught if name == "statement" else ()))
            if name == "statement":
                loss = loss + options["ranking"] * ranking_loss(similarity, truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        _average(averaged, trained, min(recipe.average, (step + 1) / (step + 20)))
    trained.load_state_dict(averaged.state_dict())
