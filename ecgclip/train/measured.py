"""Training of the branch that reads the measurements, after alignment."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ecgclip.model.clip import ECGCLIP
from ecgclip.networks.measurements import MeasurementBranch
from ecgclip.train.batches import Batches
from ecgclip.train.loop import Loop, MovingAverage, Stage, device_of, parameter_groups
from ecgclip.train.objectives.banks import Findings, Statements
from ecgclip.train.objectives.base import BANKS, Batch, Encoded
from ecgclip.train.objectives.criteria import Criteria
from ecgclip.train.objectives.ranking import Ranking
from ecgclip.train.recipe import Recipe


class MeasuredAligner(nn.Module):
    """The branch with its own objectives; every member has losses of its own."""

    def __init__(self, branch: MeasurementBranch, recipe: Recipe):
        super().__init__()
        self.branch, scale = branch, recipe.locked["scale"]
        self.objectives = nn.ModuleDict(
            {
                "statements": Statements(recipe, scale),
                "ranking": Ranking(recipe),
                "findings": Findings(recipe, scale),
                **({"criteria": Criteria(recipe, scale)} if recipe.measured.get("criteria") else {}),
            }
        )

    def forward(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """batch: as of `Batches.measurements`; every loss by name."""
        members = self.branch.members(batch["measured"])  # (b, members, dim)
        repeated = {k: v.repeat(1, members.shape[1]) for k, v in batch.items() if k.endswith(("_truth", "_soft"))}
        similarity = {
            name: (members @ batch[f"{name}_vectors"].T).flatten(1)  # (b, members × texts)
            for name in BANKS
            if f"{name}_vectors" in batch
        }
        encoded = Encoded(similarity=similarity)
        return {name: loss(encoded, repeated) for name, loss in self.objectives.items()}


def train_measured(model: ECGCLIP, batches: Batches, recipe: Recipe) -> None:
    """Train the branch of the measurements of `model` by itself, on the prompts that inference asks with.

    Trained together with the signal it would learn less, as the network over signals soon overfits the training ECGs.
    Nothing is done for a model without that branch.
    """
    if model.ecg.measured is None:
        return
    if not batches.locked:
        batches.lock(model)
    device, options = device_of(model), recipe.measured
    aligner = MeasuredAligner(model.ecg.measured, recipe).to(device)
    averaged = copy.deepcopy(aligner)
    loop = Loop(
        "measured",
        recipe,
        aligner,
        torch.optim.AdamW(parameter_groups(aligner.parameters(), options["lr"], recipe.weight_decay), fused=True),
        batches.measurements,
        lambda step: recipe.seed if step == 0 else None,
        batches.steps_per_epoch,
        device,
        MovingAverage(averaged, aligner, recipe.average),
        mixed=False,
    )
    weights = {name: options[name] for name in aligner.objectives}
    loop.run([Stage(options["epochs"], [options["lr"]] * 2, weights)])
    aligner.load_state_dict(averaged.state_dict())
