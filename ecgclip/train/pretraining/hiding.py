"""What a task hides of a signal, and the network that predicts it from the tokens of the rest.

    lead mask, length ──draw_hidden──▶ hidden stretches of time, hidden leads
    tokens (b, t, width) ──a learned token where hidden, + position──▶ transformer blocks ──▶ (b, t, width)

The learned token and the blocks over it are those of masked autoencoders: He et al., "Masked autoencoders are scalable
vision learners" (CVPR 2022). There the encoder is a transformer that leaves hidden patches out; as a backbone of any
kind cannot, it gets zeros, and its tokens where time is hidden are not used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import token_mask, token_samples
from ecgclip.networks.transformer import TransformerBlock

LONGEST = 10_000  # tokens, of the slowest sine of a position


class Predictor(nn.Module):
    """Transformer blocks over the tokens of what was seen, which predict at the hidden ones."""

    positions: Tensor

    def __init__(self, config: ECGConfig, layers: int):
        super().__init__()
        width = config.width
        self.enter = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.hidden = nn.Parameter(torch.randn(width) * 0.02)
        self.layers = nn.ModuleList(TransformerBlock(width, config.heads, dropout=0.0) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, hidden: Tensor, is_signal: Tensor) -> Tensor:
        """Predict a vector for each token.

        Parameters
        ----------
        tokens : (b, t, width)
            Of the backbone.
        hidden, is_signal : bool (b, t)
            True = hidden, whatever the backbone made of it; True = no padding.

        Returns
        -------
        Tensor
            (b, t, width), of unit variance but for learned scales.
        """
        x = torch.where(hidden[..., None], self.hidden, self.enter(tokens)) + sines(tokens)
        for layer in self.layers:
            x = layer(x, is_signal)
        return self.norm(x)


def sines(tokens: Tensor) -> Tensor:
    """Positions of tokens (b, t, width) as sines and cosines of their number (Vaswani et al., 2017), (t, width)."""
    t, width = tokens.shape[1:]
    half = torch.arange(-(-width // 2), device=tokens.device)
    angle = torch.arange(t, device=tokens.device)[:, None] * LONGEST ** (-2 * half / width)
    return torch.cat([angle.sin(), angle.cos()], 1)[:, :width]


def draw_hidden(there: Tensor, share: float, stretch: int = 1) -> Tensor:
    """Draw what is hidden: of each row the same share, in stretches at random places.

    Parameters
    ----------
    there : bool (b, n)
        Tokens that are signal, or leads that are recorded.
    share
        Of those in each row, between 0 and 1; one stays to be seen, however large the share.
    stretch
        Neighbours that are hidden together; the last one of a row may be shorter.

    Returns
    -------
    Tensor
        bool (b, n), True = hidden.
    """
    rows, n = there.shape
    start = torch.randint(stretch, (rows, 1), device=there.device)
    number = (torch.arange(n, device=there.device) + start) // stretch  # of the stretch that each is in
    drawn = torch.rand(rows, n // stretch + 2, device=there.device).gather(1, number)
    rank = drawn.masked_fill(~there, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    total = there.sum(1, keepdim=True)
    return rank < (share * total).round().minimum(total - 1)


def signal_tokens(signal: Tensor, length: Tensor | None, sampling_rate: int) -> Tensor:
    """Tell which tokens a signal (b, 12, samples) of this length (b,) will have: bool (b, t), False = padding."""
    return token_mask(signal[:, 0, :: token_samples(sampling_rate)], length, sampling_rate)


def samples_of(tokens: Tensor, samples: int, sampling_rate: int) -> Tensor:
    """Tell which samples lie within chosen tokens: bool (b, t) → bool (b, samples)."""
    return tokens.repeat_interleave(token_samples(sampling_rate), 1)[:, :samples]


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values, 0 where none is; chosen: bool, of a shape that broadcasts to that of the values."""
    weight = chosen.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1)
