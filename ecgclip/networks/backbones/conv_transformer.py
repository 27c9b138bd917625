"""Residual convolutions with squeeze-and-excitation gates, then transformer blocks: the shipped weights' backbone.

    signal (b, 12, samples) mV ──stem──▶ one token for each 80 ms ──+ position──▶ transformer blocks ──▶ tokens

Convolutions find waves, attention compares beats: the order of CNN and transformer is that of Natarajan et al., "A wide
and deep transformer neural network for 12-lead ECG classification" (CinC 2020). The gates are those of Hu et al.,
"Squeeze-and-excitation networks" (CVPR 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import MAX_TOKENS, ECGConfig
from ecgclip.networks.tokens import recorded, token_mask, token_samples
from ecgclip.networks.transformer import TransformerBlock


@dataclass(frozen=True)
class ConvTransformerSizes:
    """Sizes of the conv-transformer.

    Parameters
    ----------
    channels
        Channels of the stem's three stages before the last.
    layers
        Number of transformer blocks; `ECGConfig.heads` of attention in each.
    """

    channels: tuple[int, int, int] = (32, 64, 96)
    layers: int = 1


class ConvTransformer(nn.Module):
    """Tokens of convolutions, each over 0.8 s on both sides, related to each other by attention.

    The gates average over the whole signal, so that how much padding there is shows in every token, if not what stands
    in it.
    """

    def __init__(self, config: ECGConfig, sizes: ConvTransformerSizes = ConvTransformerSizes()):
        super().__init__()
        self.sampling_rate = config.sampling_rate
        self.stem = Stem(config, sizes.channels)
        self.position = nn.Parameter(torch.randn(MAX_TOKENS, config.width) * 0.02)
        blocks = (TransformerBlock(config.width, config.heads, config.dropout) for _ in range(sizes.layers))
        self.layers = nn.ModuleList(blocks)

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
            (b, t, width), one token for each TOKEN_S. Positions repeat every WINDOW_S.
        """
        tokens = self.stem(recorded(signal, mask, length), mask)
        attended = token_mask(tokens, length, self.sampling_rate)
        windows = -(-tokens.shape[1] // MAX_TOKENS)
        tokens = tokens + self.position.repeat(windows, 1)[: tokens.shape[1]]
        for layer in self.layers:
            tokens = layer(tokens, attended)
        return tokens


class Stem(nn.Module):
    """Convolutions from a signal to one token for each TOKEN_S."""

    def __init__(self, config: ECGConfig, channels: tuple[int, ...]):
        super().__init__()
        widths = (*channels, config.width)
        first = token_samples(config.sampling_rate) // 4  # the blocks shorten by another 2 × 2 × 1
        kernel = 2 * (config.sampling_rate * 7 // 100) + 1
        self.enter = nn.Conv1d(12, widths[0], kernel, first, kernel // 2)
        # tells which leads there are, so that the zeros of a masked lead are not read as a flat line
        self.presence = nn.Linear(12, widths[0], bias=False)
        self.norm = nn.BatchNorm1d(widths[0])
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(a, b, kernel, stride, config.dropout)
                for a, b, kernel, stride in zip(widths[:-1], widths[1:], (7, 5, 5), (2, 2, 1), strict=True)
            )
        )

    def forward(self, signal: Tensor, mask: Tensor) -> Tensor:
        """signal float (b, 12, samples) mV, zero where masked, mask bool (b, 12), True = recorded → (b, t, width)."""
        x = self.enter(signal) + self.presence(mask.to(signal.dtype))[..., None]
        return self.blocks(F.relu(self.norm(x), inplace=True)).transpose(1, 2)


class ResidualBlock(nn.Module):
    """Two convolutions and a squeeze-and-excitation gate; the first convolution may shorten the signal."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dropout: float):
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.gate = nn.Sequential(nn.Linear(outputs, outputs // 8), nn.ReLU(), nn.Linear(outputs // 8, outputs))
        self.dropout = nn.Dropout1d(dropout)  # of whole channels
        self.skip = nn.Sequential(
            nn.AvgPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
            nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, n) → (b, outputs, ⌈n / stride⌉)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(self.dropout(y)))
        y = y * self.gate(y.mean(-1)).sigmoid()[..., None]
        return F.relu(y.add_(self.skip(x)), inplace=True)
