"""The backbone of the ECG encoder: convolutions that turn a signal into tokens, and the transformer block over them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import TOKEN_S, ECGConfig

MASKED_SCORE = -1e4  # not -inf: where everything is masked, the softmax stays finite


class Stem(nn.Module):
    """Convolutions from a signal to one token for each TOKEN_S."""

    def __init__(self, config: ECGConfig):
        super().__init__()
        widths = (*config.channels, config.width)
        first = round(config.sampling_rate * TOKEN_S / 4)  # the blocks shorten by another 2 × 2 × 1
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
        """signal float (b, 12, samples) mV, mask bool (b, 12), True = recorded → tokens (b, t, width)."""
        mask = mask.to(signal.dtype)
        x = self.enter(signal * mask[..., None]) + self.presence(mask)[..., None]
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


class TransformerBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (b, n, width), mask bool (b, n), True = may be attended to → (b, n, width)."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if torch.is_grad_enabled():
            # written out: in bfloat16 on a CPU the fused kernel's backward pass takes three times as long
            y = masked_attention(q, k, v, mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask[:, None, None, :])
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.norm2(x)))


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attend with each head.

    Parameters
    ----------
    q : (b, heads, m, width / heads)
        (heads, m, width / heads) if it is the same for the whole batch.
    k, v : (b, heads, n, width / heads)
    mask : bool (b, n)
        True = may be attended to.

    Returns
    -------
    Tensor
        (b, heads, m, width / heads).
    """
    score = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return score.masked_fill(~mask[:, None, None, :], MASKED_SCORE).softmax(-1) @ v
