"""Chimera: state spaces in two dimensions, along time and across leads.

    each lead ──light stem──▶ steps of 80 ms ──▶ [trend + season, up and down the leads, gated] × layers ──▶ all leads
              joined ──▶ MLP ──▶ tokens

Behrouz, Santacatterina and Zabih, "Chimera: effectively modeling multivariate time series with 2-dimensional state
space models" (NeurIPS 2024). Of lead v at time t, one state runs along time and one across leads, and each feeds the
other:

    h1[v, t] = Ā1 h1[v, t − 1] + Ā2 h2[v, t − 1] + B̄1 u[v, t]          y[v, t] = C1 h1[v, t] + C2 h2[v, t]
    h2[v, t] = Ā3 h1[v − 1, t] + Ā4 h2[v − 1, t] + B̄2 u[v, t]

The steps of both dimensions, B and C depend on the input. Two heads differ in their discretisation: the trend's A1 is
real, the season's complex, which is the paper's companion matrix made diagonal. The leads are few: row by row, h2 is
pointwise and h1 one parallel scan over time, which computes the recurrence exactly at a cost that grows linearly. The
paper reads leads both ways and time forwards; here every second block reads time backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbones.light_stem import LightStem, steps_of
from ecgclip.networks.config import TOKEN_S, ECGConfig
from ecgclip.networks.scan import linear_scan, reverse_valid
from ecgclip.networks.tokens import recorded

TREND_STEPS, SEASON_STEPS = (0.01, 0.3), (0.5, 1.5)  # of Δ at the start of training
PERIODS_S = (0.3, 2.0)  # of the season's oscillations at the start: from the parts of a beat to the beats


@dataclass(frozen=True)
class ChimeraSizes:
    """Sizes of Chimera.

    Parameters
    ----------
    channels
        Channels of the stem's two convolutions before the last.
    lead_width
        Width of a lead's steps.
    layers
        Number of blocks.
    state
        Numbers in each state of a channel: so many real ones of the trend, half as many complex ones of the season.
    hidden
        Width of the hidden layer of the MLP over the joined leads.
    """

    channels: tuple[int, int] = (16, 32)
    lead_width: int = 32
    layers: int = 2
    state: int = 4
    hidden: int = 1536


class Chimera(nn.Module):
    """Tokens of 2-D state spaces; masked leads are passed over, and the padding changes nothing before it."""

    def __init__(self, config: ECGConfig, sizes: ChimeraSizes = ChimeraSizes()):
        super().__init__()
        width = sizes.lead_width
        self.stem = LightStem(1, (*sizes.channels, width), config.sampling_rate)
        self.lead = nn.Parameter(torch.randn(12, 1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, sizes.state, config.dropout) for _ in range(sizes.layers))
        self.join, self.presence = nn.Linear(12 * width, config.width), nn.Linear(12, config.width, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, sizes.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(sizes.hidden, config.width),
        )
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
        each = None if length is None else length.repeat_interleave(12)
        x = self.stem(recorded(signal, mask, length).flatten(0, 1)[:, None], mask.flatten()[:, None], each)
        x = x.unflatten(0, (-1, 12)).permute(1, 0, 3, 2) + self.lead  # (12, b, t, lead_width)
        steps = None if length is None else steps_of(length, self.stem.step_samples)
        for i, block in enumerate(self.blocks):
            if i % 2:
                x = _reverse_time(block(_reverse_time(x, steps), mask.T), steps)
            else:
                x = block(x, mask.T)
        x = x.masked_fill(~mask.T[..., None, None], 0.0).permute(1, 2, 0, 3).flatten(2)
        x = self.join(x) + self.presence(mask.to(x.dtype))[:, None]
        return self.norm(x + self.mlp(x))


def _reverse_time(x: Tensor, steps: Tensor | None) -> Tensor:
    """Reverse what is not padding: x (12, b, t, width), steps int (b,) or None."""
    return reverse_valid(x.transpose(0, 1), steps, 2).transpose(0, 1)


class Block(nn.Module):
    """The two heads over the same steps, let pass by a gate and added to their input."""

    def __init__(self, width: int, state: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.trend = Head(width, state, seasonal=False)
        self.season = Head(width, max(1, state // 2), seasonal=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (12, b, t, width), mask bool (12, b) → (12, b, t, width)."""
        u, gate = self.enter(self.norm(x)).chunk(2, -1)
        u = F.silu(u)
        y = self.trend(u, mask) + self.season(u, mask)
        return x + self.dropout(self.leave(y * F.silu(gate)))


class Head(nn.Module):
    """A 2-D state space of each channel, read up and down the leads."""

    def __init__(self, width: int, state: int, seasonal: bool):
        super().__init__()
        self.state, self.parts = state, 2 if seasonal else 1  # real numbers of an entry
        self.steps = nn.Linear(width, 2 * width)
        self.select = nn.Linear(width, 2 * state + 2 * self.parts * state, bias=False)
        low, high = map(math.log, SEASON_STEPS if seasonal else TREND_STEPS)
        start = torch.empty(2 * width).uniform_(low, high).exp()
        with torch.no_grad():
            self.steps.bias.copy_(start + (-(-start).expm1()).log())  # softplus of it is `start`
        decay = torch.empty(width, state).uniform_(0.02, 0.3) if seasonal else torch.arange(1.0, state + 1)
        self.log_a1 = nn.Parameter(decay.expand(width, state).log())
        self.log_a4 = nn.Parameter(torch.zeros(width, state))
        self.to_h1, self.to_h2 = (nn.Parameter(torch.randn(width, state) * 0.5) for _ in range(2))
        period = torch.empty(width, state).uniform_(*map(math.log, PERIODS_S)).exp()
        self.frequency = nn.Parameter(2 * math.pi * TOKEN_S / period) if seasonal else None  # radians a step
        self.d = nn.Parameter(torch.ones(width))

    def forward(self, u: Tensor, mask: Tensor) -> Tensor:
        """u (12, b, t, width), mask bool (12, b) → (12, b, t, width)."""
        dtype = torch.promote_types(u.dtype, torch.float32)  # a recurrence over 750 tokens needs it
        step1, step2 = F.softplus(self.steps(u)).to(dtype).chunk(2, -1)
        n, m = self.state, self.parts * self.state
        b1, b2, c1, c2 = self.select(u).to(dtype).split([n, n, m, m], -1)
        with torch.autocast(u.device.type, enabled=False):
            rows = [self.discretise(*row) for row in zip(u.to(dtype), step1, step2, b1, b2, strict=True)]
            up, down = scan_leads(rows, mask), scan_leads(rows[::-1], mask.flip(0))[::-1]
            y = [
                read(h1 + g1, c1[v]) + read(h2 + g2, c2[v])
                for v, ((h1, h2), (g1, g2)) in enumerate(zip(up, down, strict=True))
            ]
        return torch.stack(y).to(u.dtype) + self.d * u

    def discretise(self, u: Tensor, step1: Tensor, step2: Tensor, b1: Tensor, b2: Tensor) -> tuple[Tensor, ...]:
        """Return a lead's Ā1, Ā2, Ā3, Ā4, B̄1 u and B̄2 u, each (b, t, width, state), by zero-order hold.

        It is written by what a state tends to, which is B / −A: with that bounded, nothing grows over time or leads.
        """
        a1, a4 = (-step1[..., None] * self.log_a1.exp()).exp(), (-step2[..., None] * self.log_a4.exp()).exp()
        new1, new4 = 1 - a1, 1 - a4
        u1, u2 = u[..., None] * b1[..., None, :], u[..., None] * b2[..., None, :]
        turned = a1 if self.frequency is None else torch.polar(a1, step1[..., None] * self.frequency)
        return turned, new1 * self.to_h1.tanh(), new4 * self.to_h2.tanh(), a4, new1 * u1, new4 * u2


def scan_leads(rows: list[tuple[Tensor, ...]], mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Run the 2-D recurrence; a masked lead hands on the states of the lead before it.

    Parameters
    ----------
    rows
        Of each lead, Ā1, Ā2, Ā3, Ā4, B̄1 u and B̄2 u, each (b, t, ...).
    mask : bool (leads, b)
        True = recorded.

    Returns
    -------
    list
        Of each lead, h1 and h2, each (b, t, ...).
    """
    states = []
    h1 = h2 = torch.zeros_like(rows[0][0])
    for (a1, a2, a3, a4, u1, u2), there in zip(rows, mask.view(*mask.shape, *[1] * (h1.ndim - 1)), strict=True):
        across = a3 * h1 + a4 * h2 + u2
        before = torch.cat([torch.zeros_like(across[:, :1]), across[:, :-1]], 1)
        along = linear_scan(a1, a2 * before + u1)
        h1, h2 = torch.where(there, along, h1), torch.where(there, across, h2)
        states.append((h1, h2))
    return states


def read(state: Tensor, c: Tensor) -> Tensor:
    """Return C h: state (b, t, width, n), real or complex, c (b, t, its real numbers) → (b, t, width)."""
    if state.is_complex():
        state = torch.view_as_real(state).flatten(-2)
    return (state @ c[..., None]).squeeze(-1)
