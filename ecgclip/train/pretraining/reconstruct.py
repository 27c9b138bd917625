"""Reconstruction of leads that are hidden from those that are shown.

    leads ─┬─ shown ─▶ backbone ─▶ tokens (b, t, width) ─▶ linear ─▶ predicted leads (b, 12, samples)
           └─ hidden ─────────────────────────────▶ squared error over variance ◀─┘

Leads are drawn at random as by random lead masking (Oh et al., "Lead-agnostic self-supervised learning for local and
global representations of electrocardiogram", CHIL 2022), and a hidden one is zeroed, as by the multi-channel masked
autoencoder (Chen et al., arXiv:2407.11481, 2024), which reconstructs 12 leads from one. Here the loss is of the hidden
leads alone.

Two limb leads give all six by Einthoven's law. So of the limb leads none, one or all are shown: one that follows from
others is never predicted, and what `prepare` makes of a recording looks the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import recorded, token_samples
from ecgclip.train.pretraining.base import Batch, Task

LIMB = 6  # the first of the twelve leads
QUIET_MV = 0.05  # standard deviation below which a lead's errors are relative to this: else they would be of its noise


@dataclass(frozen=True)
class ReconstructSizes:
    """Sizes of the reconstruction of leads.

    Parameters
    ----------
    shown
        Largest share of the recorded leads that is shown; that of each ECG is drawn between 0 and it.
    limb
        How often all limb leads are shown, where more than one was drawn; else one of them is.
    """

    shown: float = 0.8
    limb: float = 0.5


class Reconstruct(Task):
    """The backbone predicts the samples of hidden leads, each token its own 80 ms."""

    sizes: ReconstructSizes

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: ReconstructSizes = ReconstructSizes()):
        super().__init__(backbone, config, sizes)
        self.decoder = nn.Linear(config.width, 12 * token_samples(config.sampling_rate))
        for parameter in self.decoder.parameters():
            nn.init.zeros_(parameter)  # the loss begins near 1: tokens may be large at first, and leads are small

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: signal, mask and length; the loss is 1 where every hidden lead is predicted as its mean."""
        mask, length = batch["mask"], batch["length"]
        signal = recorded(batch["signal"].float(), mask, length)
        shown = draw_shown(mask, self.sizes)
        predicted = self.predict(signal, shown, length)
        error = relative_error(predicted, signal, length)
        hidden = mask & ~shown
        return {"reconstruction": (error * hidden).sum() / hidden.sum().clamp(min=1)}

    def predict(self, signal: Tensor, shown: Tensor, length: Tensor | None = None) -> Tensor:
        """Predict all leads from some.

        Parameters
        ----------
        signal : float32 (b, 12, samples), mV
        shown : bool (b, 12)
            Leads to predict from; the others are not looked at.
        length : int (b,)
            Samples before the padding; None if there is no padding.

        Returns
        -------
        Tensor
            float32 (b, 12, samples), mV.
        """
        tokens = self.backbone(recorded(signal, shown, length), shown, length)
        stretches = self.decoder(tokens).float().unflatten(-1, (12, -1))  # (b, t, 12, samples of a token)
        return stretches.transpose(1, 2).flatten(2)[..., : signal.shape[-1]]


def draw_shown(mask: Tensor, sizes: ReconstructSizes) -> Tensor:
    """Draw the leads that are shown: one at the least, and of the limb leads none, one or all.

    mask : bool (b, 12), leads that are recorded; returns bool (b, 12), a subset of them
    """
    chance = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, 2.0)
    share = sizes.shown * torch.rand(len(mask), 1, device=mask.device)
    shown = (chance < share) | (mask & (chance == chance.amin(1, keepdim=True)))
    limb, first = mask[:, :LIMB], chance[:, :LIMB] == chance[:, :LIMB].amin(1, keepdim=True)
    several = shown[:, :LIMB].sum(1, keepdim=True) > 1
    all_of_them = torch.rand(len(mask), 1, device=mask.device) < sizes.limb
    of_several = torch.where(all_of_them, limb, limb & first)
    return torch.cat([torch.where(several, of_several, shown[:, :LIMB]), shown[:, LIMB:]], 1)


def relative_error(predicted: Tensor, signal: Tensor, length: Tensor) -> Tensor:
    """The squared error of each lead over its variance, float32 (b, 12), both over the samples before the padding.

    predicted, signal : float32 (b, 12, samples), mV; length : int (b,)
    """
    is_signal = torch.arange(signal.shape[-1], device=signal.device) < length[:, None, None]
    count = is_signal.sum(-1).clamp(min=1)

    def mean(x: Tensor) -> Tensor:  # (b, 12), over the signal
        return x.masked_fill(~is_signal, 0.0).sum(-1) / count

    variance = mean((signal - mean(signal)[..., None]).square())
    return mean((predicted - signal).square()) / variance.clamp(min=QUIET_MV**2)
