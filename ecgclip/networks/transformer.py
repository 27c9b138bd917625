"""The transformer block (Vaswani et al., NeurIPS 2017) of the ECG encoder's backbones and heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED_SCORE = -1e4  # not -inf: where everything is masked, the softmax stays finite


class TransformerBlock(nn.Module):
    """A pre-norm transformer block; `growth` times as wide between the two layers after the attention."""

    def __init__(self, width: int, heads: int, dropout: float, growth: int = 2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, growth * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(growth * width, width)
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
