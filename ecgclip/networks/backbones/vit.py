"""A vision transformer over patches of time, each of all leads or of one.

    "all"   signal (b, 12, samples) mV ──▶ a patch of all leads ──+ time──▶ transformer blocks ──▶ tokens
    "one"   signal (b, 12, samples) mV ──▶ patches of each lead ──+ lead + time──▶ transformer blocks
                                                                  ──mean over the recorded leads──▶ tokens

Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale" (ICLR 2021), in one
dimension. All leads: the ViT-tiny of MERL (Liu et al., ICML 2024), whose patches are of 100 ms. One lead: as in ST-MEM
(Na et al., "Guiding masked representation learning to capture spatio-temporal relationship of electrocardiogram", ICLR
2024). A patch attends to all others, those of its lead at other times and those of its time in other leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.ecg import EcgclipError
from ecgclip.networks.config import MAX_TOKENS, ECGConfig
from ecgclip.networks.tokens import recorded, token_mask, token_samples
from ecgclip.networks.transformer import TransformerBlock

GROWTH = 4  # width within a block's MLP, in widths of a token


@dataclass(frozen=True)
class ViTSizes:
    """Sizes of the vision transformer.

    Parameters
    ----------
    leads
        "all": a patch is of all leads; "one": of one lead.
    patch
        Duration of a patch in tokens of TOKEN_S. The cost grows with the square of the number of patches: 12 leads of
        a minute have 1800 patches of 5 tokens, and 9000 of one.
    layers
        Number of transformer blocks, of `ECGConfig.heads` of attention; MERL has 12, of width 192 and 3 heads.

    Raises
    ------
    EcgclipError
        If patches are of neither.
    """

    leads: str = "all"
    patch: int = 1
    layers: int = 5

    def __post_init__(self):
        if self.leads not in ("all", "one"):
            raise EcgclipError(f"ecg.sizes.leads {self.leads!r}: give all or one")


class ViT(nn.Module):
    """Tokens of patches that attend to each other. Neither padding nor how much there is shows in them."""

    def __init__(self, config: ECGConfig, sizes: ViTSizes = ViTSizes()):
        super().__init__()
        width, self.sampling_rate = config.width, config.sampling_rate
        self.patch, self.by_lead = sizes.patch, sizes.leads == "one"
        samples = sizes.patch * token_samples(config.sampling_rate)
        self.enter = nn.Conv1d(1 if self.by_lead else 12, width, samples, samples)
        # of a patch of one lead: which one; of all leads: which there are, whose zeros would else be a flat line
        self.lead = nn.Parameter(torch.randn(12, width) * 0.02)
        self.time = nn.Parameter(torch.randn(-(-MAX_TOKENS // sizes.patch), width) * 0.02)
        blocks = (TransformerBlock(width, config.heads, config.dropout, GROWTH) for _ in range(sizes.layers))
        self.layers, self.norm = nn.ModuleList(blocks), nn.LayerNorm(width)
        self.out = nn.Linear(width, sizes.patch * width)  # a patch becomes the tokens of its time

    def forward(self, signal: Tensor, mask: Tensor, length: Tensor | None = None) -> Tensor:
        """Make tokens of a batch of windows.

        Parameters
        ----------
        signal : float (b, 12, samples), mV
            Sampled at config.sampling_rate.
        mask : bool (b, 12)
            True = recorded.
        length : int (b,)
            Samples before the padding; None if there is no padding.

        Returns
        -------
        Tensor
            (b, t, width), one token for each TOKEN_S. Embeddings of time repeat every WINDOW_S.
        """
        count = -(-signal.shape[-1] // token_samples(self.sampling_rate))
        signal = recorded(signal, mask, length)
        patches = self._of_one_lead(signal, mask, length) if self.by_lead else self._of_all_leads(signal, mask, length)
        return self.out(self.norm(patches)).unflatten(2, (self.patch, -1)).flatten(1, 2)[:, :count]

    def _of_all_leads(self, signal: Tensor, mask: Tensor, length: Tensor | None) -> Tensor:
        """(b, 12, samples) mV → patches after the blocks, (b, n, width)."""
        x = self._patches(signal) + (mask.to(signal.dtype) @ self.lead)[:, None]
        is_signal = token_mask(x, length, self.sampling_rate, self.patch)
        for layer in self.layers:
            x = layer(x, is_signal)
        return x

    def _of_one_lead(self, signal: Tensor, mask: Tensor, length: Tensor | None) -> Tensor:
        """(b, 12, samples) mV → patches after the blocks, the mean of those of recorded leads, (b, n, width)."""
        x = self._patches(signal.flatten(0, 1)[:, None]).unflatten(0, (-1, 12)) + self.lead[:, None]
        is_signal = token_mask(x[:, 0], length, self.sampling_rate, self.patch)
        attended = (mask[..., None] & is_signal[:, None]).flatten(1)
        attended = attended | ~attended.any(1, keepdim=True)  # without any lead all is zero, but attention finite
        flat = x.flatten(1, 2)
        for layer in self.layers:
            flat = layer(flat, attended)
        weight = mask.to(x.dtype)[..., None, None]
        return (flat.view_as(x) * weight).sum(1) / weight.sum(1).clamp(min=1)

    def _patches(self, signal: Tensor) -> Tensor:
        """(rows, leads of a patch, samples) mV → patches with the embedding of their time, (rows, n, width)."""
        size = self.enter.stride[0]
        x = self.enter(F.pad(signal, (0, -signal.shape[-1] % size))).transpose(1, 2)
        return x + self.time.repeat(-(-x.shape[1] // len(self.time)), 1)[: x.shape[1]]
