"""The model together with its objectives: one forward pass of a batch gives every loss by name."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ecgclip.model.clip import ECGCLIP
from ecgclip.train.objectives import OBJECTIVES, objective
from ecgclip.train.objectives.base import BANKS, Batch, Encoded, Objective
from ecgclip.train.recipe import Recipe


class Aligner(nn.Module):
    """Both encoders and all objectives, some of which have parameters of their own."""

    def __init__(self, model: ECGCLIP, recipe: Recipe):
        super().__init__()
        model.build_text()
        self.model = model
        self.objectives = nn.ModuleDict({name: objective(name)(recipe) for name in OBJECTIVES})
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # of clip, as CLIP begins with

    def forward(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The losses whose weight is above 0, as far as the batch has their columns."""
        objectives = cast("Mapping[str, Objective]", self.objectives)
        active = {
            name: loss
            for name, loss in objectives.items()
            if weights.get(name, 0) > 0 and batch.keys() >= set(loss.columns)
        }
        encoded = self._encode(batch, active.values())
        return {name: loss(encoded, batch) for name, loss in active.items()}

    def lock(self, scale: float) -> None:
        """Tell the objectives that the text encoder is locked."""
        for loss in cast("Mapping[str, Objective]", self.objectives).values():
            loss.lock(scale)

    def _encode(self, batch: Batch, active: Collection[Objective]) -> Encoded:
        views = max((loss.views for loss in active), default=0)
        features, others = self.model.ecg.with_views(
            batch["signal"], batch["mask"], batch["r_peaks"], batch.get("length"), batch.get("measured"), views
        )
        scale = self.log_scale.exp().clamp(max=100)
        encoded = Encoded(features, others, encode=self.model.build_text(), scale=scale)
        if any(loss.banks for loss in active):
            asked = [name for name in BANKS if {f"{name}_vectors", f"{name}_ids"} & batch.keys()]
            encoded.vectors = {name: self._bank(batch, name) for name in asked}
            # bfloat16 makes similarities equal that a scale of 60 tells apart
            with torch.autocast(features.rhythm.device.type, enabled=False):
                encoded.similarity = {
                    name: features.rhythm.float() @ vectors.float().T for name, vectors in encoded.vectors.items()
                }
        return encoded

    def _bank(self, batch: Batch, name: str) -> Tensor:
        """(k, dim): the vectors that a locked text encoder gave, or those of the tokens."""
        if f"{name}_vectors" in batch:
            return batch[f"{name}_vectors"]
        return self.model.build_text()(batch[f"{name}_ids"], batch[f"{name}_mask"])
