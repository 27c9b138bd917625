"""Predict a teacher's tokens where the signal is hidden: the joint-embedding predictive architecture.

    signal ──teacher, without gradients──────────▶ tokens of the whole signal ──layer norm──▶ targets where hidden
       └──stretches hidden──▶ backbone ──▶ tokens ──predictor──▶ predictions where hidden ──smooth L1──┘
    teacher ◀──moving average, ever slower── backbone

Kim, "Learning general representation of 12-lead electrocardiogram with a joint-embedding predictive architecture"
(2024), after I-JEPA: Assran et al., "Self-supervised learning from images with a joint-embedding predictive
architecture" (CVPR 2023). What cannot be predicted, such as noise, need not be: only what the teacher makes of it.
There the tokens are of one lead each, and the predictor sees one lead at a time; here they are of all leads.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import recorded
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.hiding import Predictor, draw_hidden, mean_where, samples_of, signal_tokens


@dataclass(frozen=True)
class JEPASizes:
    """Sizes of the task.

    Parameters
    ----------
    share
        Of the tokens of each ECG that are hidden, in all leads.
    stretch
        Tokens that are hidden together: a few are patches at random places, many are blocks.
    layers
        Number of transformer blocks of the predictor.
    momentum
        How much of the teacher stays in the first step; it rises to 1 in the last one.
    """

    share: float = 0.6
    stretch: int = 5
    layers: int = 2
    momentum: float = 0.996


class JEPA(Task):
    """The backbone learns to make tokens from which the teacher's can be predicted where it saw nothing."""

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: JEPASizes = JEPASizes()):
        super().__init__(backbone, config, sizes)
        self.teacher = copy.deepcopy(backbone).requires_grad_(False)
        self.predictor = Predictor(config, sizes.layers)
        self.out = nn.Linear(config.width, config.width)
        self.train()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss "jepa"; the columns are those of every task, see base."""
        mask, length, rate = batch["mask"], batch["length"], self.config.sampling_rate
        signal = recorded(batch["signal"], mask, length)
        is_signal = signal_tokens(signal, length, rate)
        hidden = draw_hidden(is_signal, self.sizes.share, self.sizes.stretch)
        targets = self.targets(signal, mask, length)
        seen = signal.masked_fill(samples_of(hidden, signal.shape[-1], rate)[:, None], 0.0)
        predicted = self.out(self.predictor(self.backbone(seen, mask, length), hidden, is_signal))
        error = F.smooth_l1_loss(predicted.float(), targets, reduction="none")
        return {"jepa": mean_where(error, hidden[..., None])}

    @torch.no_grad()
    def targets(self, signal: Tensor, mask: Tensor, length: Tensor | None) -> Tensor:
        """Return the teacher's tokens of whole signals, each of mean 0 and variance 1: float32 (b, t, width)."""
        tokens = self.teacher(signal, mask, length).float()
        return F.layer_norm(tokens, tokens.shape[-1:])

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher's weights towards the backbone's."""
        keep = 1 - (1 - self.sizes.momentum) * (1 - step / steps)
        for old, new in zip(self.teacher.parameters(), self.backbone.parameters(), strict=True):
            old.lerp_(new, 1 - keep)

    def train(self, mode: bool = True) -> JEPA:
        """Train or evaluate; the teacher has no dropout, but normalises by batches, which it alone sees whole."""
        super().train(mode)
        self.teacher.eval()
        for module in self.teacher.modules():
            if isinstance(module, _BatchNorm):
                module.train(mode)
        return self
