"""A residual network of 18 layers over time, ended where a token stands for 80 ms: the ResNet-18 of MERL.

    signal (b, 12, samples) mV ──▶ 20 ms ─2 blocks─▶ 20 ms ─2 blocks─▶ 40 ms ─2 blocks─▶ 80 ms ─2 blocks─▶ 80 ms, tokens

He et al., "Deep residual learning for image recognition" (CVPR 2016), in one dimension as in Liu et al., "Zero-shot ECG
classification with multimodal learning and test-time clinical knowledge enhancement" (ICML 2024). Its first convolution
and pooling shorten 500 Hz to 8 ms, and its stages to 64 ms. Here the first convolution alone shortens, to 20 ms at any
sampling rate, and the last stage does not, so that tokens are as frequent as those of other backbones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import recorded, token_samples

STRIDES = (1, 2, 2, 1)  # of the stages; the first convolution shortens to a quarter of a token
KERNEL = 3


@dataclass(frozen=True)
class ResNetSizes:
    """Sizes of the residual network.

    Parameters
    ----------
    channels
        Channels of the four stages; MERL has (64, 128, 256, 512).
    blocks
        Residual blocks of a stage, of two convolutions each; 2 make 18 layers with the first and the last one.
    """

    channels: tuple[int, int, int, int] = (64, 96, 144, 224)
    blocks: int = 2


class ResNet(nn.Module):
    """Tokens of convolutions alone; each sees 0.9 s on both sides.

    Within that before the padding, tokens show where it begins, whatever stands in it.
    """

    def __init__(self, config: ECGConfig, sizes: ResNetSizes = ResNetSizes()):
        super().__init__()
        first = token_samples(config.sampling_rate) // 4
        kernel = 2 * (config.sampling_rate * 3 // 100) + 1  # 60 to 70 ms
        channels = sizes.channels
        self.enter = nn.Conv1d(12, channels[0], kernel, first, kernel // 2, bias=False)
        # tells which leads there are, so that the zeros of a masked lead are not read as a flat line
        self.presence = nn.Linear(12, channels[0], bias=False)
        self.norm = nn.BatchNorm1d(channels[0])
        stages = zip((channels[0], *channels[:-1]), channels, STRIDES, strict=True)
        self.stages = nn.Sequential(*(stage(*numbers, sizes.blocks, config.dropout) for numbers in stages))
        self.out = nn.Linear(channels[-1], config.width)

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
            (b, t, width), one token for each TOKEN_S.
        """
        signal = recorded(signal, mask, length)
        x = self.enter(signal) + self.presence(mask.to(signal.dtype))[..., None]
        x = self.stages(F.relu(self.norm(x), inplace=True))
        return self.out(x.transpose(1, 2))


def stage(inputs: int, outputs: int, stride: int, blocks: int, dropout: float) -> nn.Sequential:
    """Blocks of as many channels, of which the first shortens: (b, inputs, n) → (b, outputs, ⌈n / stride⌉)."""
    first = BasicBlock(inputs, outputs, stride, dropout)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1, dropout) for _ in range(blocks - 1)))


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al., figure 5, left), with dropout between them."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float):
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, KERNEL, stride, KERNEL // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout1d(dropout)  # of whole channels
        self.conv2 = nn.Conv1d(outputs, outputs, KERNEL, 1, KERNEL // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, n) → (b, outputs, ⌈n / stride⌉)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(self.dropout(y)))
        return F.relu(y.add_(self.shortcut(x)), inplace=True)
