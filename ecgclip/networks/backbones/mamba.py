"""ECG-Mamba: convolutions to tokens, then selective state spaces that read them forwards and backwards.

    signal ──light stem──▶ tokens of 80 ms ──▶ [S6 forwards + S6 backwards, gated] × layers ──▶ tokens

Jiang, Mutahira, Huang and Muhammad, "One dimensional CNN ECG Mamba for multilabel abnormality classification in 12 lead
ECG" (arXiv 2510.13046, 2025). Its block is that of Vision Mamba (Zhu et al., ICML 2024), its state space the S6 of Gu
and Dao, "Mamba: linear-time sequence modeling with selective state spaces" (2023): the step Δ, the input B and the
output C depend on the signal, A is diagonal. The recurrence is a parallel scan, or on a GPU the fused kernel of the
package mamba-ssm, if that is installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbones.light_stem import LightStem, steps_of
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.scan import linear_scan, reverse_valid
from ecgclip.networks.tokens import recorded

STEP_RANGE = (0.001, 0.1)  # of Δ at the start of training
KERNEL = 4  # of the convolution before a state space, in tokens
CPU_ROWS = 4  # records that a CPU scans at a time
RANK = 16  # Δ is made through so many times fewer numbers than there are channels


@dataclass(frozen=True)
class MambaSizes:
    """Sizes of ECG-Mamba.

    Parameters
    ----------
    channels
        Channels of the stem's two convolutions before the last.
    layers
        Number of blocks.
    expand
        Channels of a block's state spaces, as a multiple of the width.
    state
        Numbers in the state of a channel.
    """

    channels: tuple[int, int] = (64, 96)
    layers: int = 4
    expand: int = 2
    state: int = 8


class Mamba(nn.Module):
    """Tokens of bidirectional selective state spaces; the padding changes nothing before it."""

    def __init__(self, config: ECGConfig, sizes: MambaSizes = MambaSizes()):
        super().__init__()
        self.stem = LightStem(12, (*sizes.channels, config.width), config.sampling_rate)
        self.blocks = nn.ModuleList(Block(config.width, sizes, config.dropout) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(config.width)

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
        x = self.stem(recorded(signal, mask, length), mask, length).transpose(1, 2)
        steps = None if length is None else steps_of(length, self.stem.step_samples)
        for block in self.blocks:
            x = block(x, steps)
        return self.norm(x)


class Block(nn.Module):
    """The block of Vision Mamba: two state spaces read the same channels in both directions; a gate lets them pass."""

    def __init__(self, width: int, sizes: MambaSizes, dropout: float):
        super().__init__()
        channels = sizes.expand * width
        self.norm = nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 2 * channels, bias=False), nn.Linear(channels, width, bias=False)
        self.ahead, self.back = SelectiveSSM(channels, sizes.state), SelectiveSSM(channels, sizes.state)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Tensor | None) -> Tensor:
        """x (b, t, width), steps int (b,) before the padding or None → (b, t, width)."""
        u, gate = self.enter(self.norm(x)).chunk(2, -1)
        y = self.ahead(u) + reverse_valid(self.back(reverse_valid(u, steps)), steps)
        return x + self.dropout(self.leave(y * F.silu(gate)))


class SelectiveSSM(nn.Module):
    """A causal convolution, then S6 of each channel: h[t] = exp(Δ A) h[t − 1] + Δ B u[t], y[t] = C h[t] + D u[t]."""

    def __init__(self, channels: int, state: int):
        super().__init__()
        self.state, self.rank = state, max(1, channels // RANK)
        self.convolution = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL - 1, groups=channels)
        self.select = nn.Linear(channels, self.rank + 2 * state, bias=False)
        self.step = nn.Linear(self.rank, channels)
        low, high = map(math.log, STEP_RANGE)
        start = torch.empty(channels).uniform_(low, high).exp()
        with torch.no_grad():
            self.step.bias.copy_(start + (-(-start).expm1()).log())  # softplus of it is `start`
        self.log_a = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(channels, 1))
        self.d = nn.Parameter(torch.ones(channels))

    def forward(self, u: Tensor) -> Tensor:
        """(b, t, channels) → (b, t, channels); a token depends on those up to it."""
        u = F.silu(self.convolution(u.transpose(1, 2))[..., : u.shape[1]].transpose(1, 2))
        low, b, c = self.select(u).split([self.rank, self.state, self.state], -1)
        y = selective_scan(u, F.softplus(self.step(low)), -self.log_a.exp(), b, c)
        return y.to(u.dtype) + self.d * u


def selective_scan(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return y[t] = C[t] h[t] with h[t] = exp(Δ[t] A) h[t − 1] + Δ[t] B[t] u[t].

    Parameters
    ----------
    u, delta : (b, t, channels)
    a : (channels, state)
        Negative.
    b, c : (b, t, state)

    Returns
    -------
    Tensor
        (b, t, channels), in float32 at least.
    """
    dtype = torch.promote_types(u.dtype, torch.float32)  # a recurrence over 750 tokens needs it
    u, delta, a, b, c = (part.to(dtype) for part in (u, delta, a, b, c))
    with torch.autocast(u.device.type, enabled=False):
        kernel = fused_kernel() if u.is_cuda and dtype == torch.float32 else None
        if kernel is not None:
            u, delta, b, c = (part.transpose(1, 2).contiguous() for part in (u, delta, b, c))  # it has time last
            return kernel(u, delta, a, b, c).transpose(1, 2)
        # a CPU takes a few records at a time, so that their states stay in its cache
        size = CPU_ROWS if u.device.type == "cpu" else len(u)
        groups = zip(*(part.split(size) for part in (u, delta, b, c)), strict=True)
        return torch.cat([_scan_records(u, delta, a, b, c) for u, delta, b, c in groups])


def _scan_records(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    decay = (delta[..., None] * a).exp()
    state = linear_scan(decay, (delta * u)[..., None] * b[:, :, None])
    return (state @ c[..., None]).squeeze(-1)


@cache
def fused_kernel() -> Callable[..., Tensor] | None:
    """Return the selective scan of mamba-ssm (a GPU's); None if it is not installed."""
    if find_spec("mamba_ssm") is None:
        return None
    return import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
