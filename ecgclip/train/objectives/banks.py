"""statements, findings: the rhythm vector against a bank of texts whose truth is known."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.train.objectives.base import Batch, Encoded, Objective
from ecgclip.train.recipe import Recipe


class SigmoidBank(nn.Module):
    """The sigmoid loss (SigLIP, Zhai et al. 2023) with a learnt scale and bias."""

    def __init__(self, scale: float = 10.0, bias: float = -4.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    @torch.no_grad()
    def sharpen(self, scale: float) -> None:
        """Set the scale.

        SigLIP's 10 helps while the texts still move, but with it one unit vector cannot be sure of several statements.
        """
        self.log_scale.fill_(math.log(scale))

    def forward(self, similarity: Tensor, truth: Tensor, soft: Tensor | None = None, share: float = 0.0) -> Tensor:
        """The mean loss over all pairs of which something is known.

        Parameters
        ----------
        similarity : (b, k)
        truth : (b, k)
            1 present, 0 absent, -1 unknown.
        soft : (b, k), optional
            A teacher's probabilities, NaN where there are none (distillation, Hinton et al. 2015).
        share : float
            How much of the target is the teacher's, 0 to 1. Where the truth is unknown, the teacher alone is the
            target, with this weight.
        """
        weight = (truth >= 0).float()
        target = truth.clamp(min=0).float()
        if soft is not None:
            truth_weight = weight * torch.where(soft.isnan(), 1.0, 1 - share)
            soft_weight = torch.where(soft.isnan(), 0.0, share)
            weight = truth_weight + soft_weight
            target = (truth_weight * target + soft_weight * soft.nan_to_num(0.0)) / weight.clamp(min=1e-6)
        logits = similarity * self.log_scale.exp() + self.bias
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return (loss * weight).sum() / weight.sum().clamp(min=1)


class BankObjective(Objective):
    """The rhythm vector against a bank of texts, by the sigmoid loss."""

    banks = True

    def __init__(self, recipe: Recipe, scale: float = 10.0):
        super().__init__(recipe)
        self.bank = SigmoidBank(scale)

    def lock(self, scale: float) -> None:
        self.bank.sharpen(scale)


class Statements(BankObjective):
    """Coded statements, whose target is in part the teacher's opinion."""

    columns = ("statement_truth", "statement_soft")

    def __init__(self, recipe: Recipe, scale: float = 10.0):
        super().__init__(recipe, scale)
        self.share = recipe.teacher["share"]

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        return self.bank(encoded.similarity["statement"], batch["statement_truth"], batch["statement_soft"], self.share)


class Findings(BankObjective):
    """Findings of the measurements."""

    columns = ("finding_truth",)

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        return self.bank(encoded.similarity["finding"], batch["finding_truth"])
