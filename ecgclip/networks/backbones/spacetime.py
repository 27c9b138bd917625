"""SpaceTime: layers of companion-matrix state spaces, each a learned autoregressive filter of one channel.

    signal ──light stem──▶ steps of 40 ms ──▶ [preprocess → companion SSMs → MLP] × layers ──mean of two──▶ tokens

Zhang, Saab, Poli, Dao, Goel and Ré, "Effectively modeling time series with simple discrete state spaces" (ICLR 2023).
A state space is x[k + 1] = A x[k] + B u[k], y[k] = C x[k + 1] + D u[k]; its companion matrix A shifts the state by one
and adds `a` times its last entry, which is what an AR(d) process needs. Its output filter F[k] = C A^k B is found for
all k at once from the resolvent at the roots of unity, in Õ(d + ℓ). The paper's filters look back only; here half of
the channels read the signal backwards, as a token of an ECG may know what follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbones.light_stem import LightStem, steps_of
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.scan import reverse_valid
from ecgclip.networks.tokens import recorded

FILTER_STEPS = 1500  # of 40 ms: a minute. C̃ = C (I − A^ℓ) is learned for this ℓ, whatever the length of a signal
NORM = 0.99  # of `a`, the sum of absolute values: below 1, no state grows
DIFFERENCES = ((1.0,), (1.0, -1.0), (1.0, -2.0, 1.0), (1.0, -3.0, 3.0, -1.0))  # of order 0 to 3
AVERAGES = (5, 10, 25, 50)  # steps whose moving average is taken off: 0.2 to 2 s
FFT_MULTIPLE = 64  # lengths of a Fourier transform: far from large primes, which are slow


@dataclass(frozen=True)
class SpaceTimeSizes:
    """Sizes of SpaceTime.

    Parameters
    ----------
    channels
        Channels of the stem's first convolution.
    layers
        Number of blocks.
    state
        Dimension d of a state, at most FILTER_STEPS: steps of 40 ms that an autoregression reaches back.
    hidden
        Width of the MLP's hidden layer.
    """

    channels: int = 64
    layers: int = 5
    state: int = 64
    hidden: int = 512


class SpaceTime(nn.Module):
    """Tokens of companion state spaces; the padding changes nothing before it."""

    def __init__(self, config: ECGConfig, sizes: SpaceTimeSizes = SpaceTimeSizes()):
        super().__init__()
        self.stem = LightStem(12, (sizes.channels, config.width), config.sampling_rate)
        self.blocks = nn.ModuleList(
            Block(config.width, sizes, config.dropout, preprocess=i == 0) for i in range(sizes.layers)
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
        x = self.stem(recorded(signal, mask, length), mask, length).transpose(1, 2)
        steps = None if length is None else steps_of(length, self.stem.step_samples)
        for block in self.blocks:
            x = block(x, steps)
        return mean_of_pairs(self.norm(x), steps)


class Block(nn.Module):
    """A layer of state spaces, one for each channel, then an MLP that mixes them; both are added to their input."""

    preprocess: Tensor | None

    def __init__(self, width: int, sizes: SpaceTimeSizes, dropout: float, preprocess: bool):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ssm = CompanionSSM(width, sizes.state)
        self.register_buffer("preprocess", preprocessing(width) if preprocess else None, persistent=False)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.Linear(width, sizes.hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(sizes.hidden, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Tensor | None) -> Tensor:
        """x (b, n, width), steps int (b,) before the padding or None → (b, n, width)."""
        ahead, back = self.norm1(x).transpose(1, 2).chunk(2, 1)
        u = torch.cat([ahead, reverse_valid(back, steps, 2)], 1)
        if self.preprocess is not None:
            u = convolve(u, self.preprocess)
        ahead, back = self.ssm(u).chunk(2, 1)
        y = torch.cat([ahead, reverse_valid(back, steps, 2)], 1)
        x = x + self.mix(y.transpose(1, 2))
        return x + self.dropout(self.mlp(self.norm2(x)))


class CompanionSSM(nn.Module):
    """A companion state space for each channel, y = F * u + D u."""

    def __init__(self, channels: int, state: int):
        super().__init__()
        self.a, self.b, self.c = (
            nn.Parameter(torch.empty(channels, state).uniform_(-1, 1) * state**-0.5) for _ in range(3)
        )
        self.d = nn.Parameter(torch.randn(channels))

    def forward(self, u: Tensor) -> Tensor:
        """(b, channels, n) → (b, channels, n)."""
        return convolve(u, self.filter()) + self.d[:, None] * u

    def filter(self) -> Tensor:
        """Return the filters of a minute, (channels, FILTER_STEPS), in float32 at least."""
        a, b, c = (p.to(torch.promote_types(p.dtype, torch.float32)) for p in (self.a, self.b, self.c))
        a = NORM * a / a.abs().sum(-1, keepdim=True).clamp(min=1e-6)
        return companion_filter(a, b, c, FILTER_STEPS)


def companion_filter(a: Tensor, b: Tensor, c: Tensor, steps: int) -> Tensor:
    """Return F[k] = C A^k B for k < steps, with C = c (I − A^steps)^-1 and A = S + a e_d', S the shift (Algorithm 1).

    The Fourier transform of F is c (I − zA)^-1 B at the roots of unity z. With R = (I − zS)^-1, Woodbury's identity
    splits it in four products with R, each a polynomial of degree d − 1 in z, that is a Fourier transform:

        c R B + z (c R a) (e_d' R B) / (1 − z e_d' R a)

    Parameters
    ----------
    a, b, c : (channels, d)
        The sum of |a| is below 1.
    steps
        At least d.

    Returns
    -------
    Tensor
        (channels, steps).
    """
    c_r_b, c_r_a = (torch.fft.rfft(correlate(c, v), steps) for v in (b, a))
    e_r_b, e_r_a = (torch.fft.rfft(v.flip(-1), steps) for v in (b, a))
    z = torch.polar(torch.ones_like(e_r_a.real[0]), -torch.arange(e_r_a.shape[-1]).to(a) * (2 * torch.pi / steps))
    return torch.fft.irfft(c_r_b + z * c_r_a * e_r_b / (1 - z * e_r_a), steps)


def correlate(c: Tensor, v: Tensor) -> Tensor:
    """Return the sum over j of c[j + k] v[j] for each k < d: the coefficients of c R v; (channels, d) each."""
    d = c.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(c, 2 * d) * torch.fft.rfft(v, 2 * d).conj(), 2 * d)[..., :d]


def convolve(u: Tensor, filters: Tensor) -> Tensor:
    """Filter each channel causally: u (b, channels, n), filters (channels, k) → (b, channels, n)."""
    n = u.shape[-1]
    size = -(-2 * n // FFT_MULTIPLE) * FFT_MULTIPLE
    dtype = torch.promote_types(filters.dtype, torch.float32)  # a Fourier transform needs it
    spectrum = torch.fft.rfft(u.to(dtype), size) * torch.fft.rfft(filters[:, :n].to(dtype), size)
    return torch.fft.irfft(spectrum, size)[..., :n].to(u.dtype)


def preprocessing(channels: int) -> Tensor:
    """Return the fixed filters of the first layer, (channels, 50): differences and what a moving average leaves."""
    filters = torch.zeros(len(DIFFERENCES) + len(AVERAGES), max(AVERAGES))
    for row, taps in zip(filters, DIFFERENCES, strict=False):
        row[: len(taps)] = torch.tensor(taps)
    for row, steps in zip(filters[len(DIFFERENCES) :], AVERAGES, strict=True):
        row[:steps] = -1 / steps
        row[0] += 1
    return filters.repeat(-(-channels // len(filters)), 1)[:channels]


def mean_of_pairs(x: Tensor, steps: Tensor | None) -> Tensor:
    """Average each two steps, of those before the padding: (b, n, width) → (b, ⌈n / 2⌉, width)."""
    if steps is None:
        return F.avg_pool1d(x.transpose(1, 2), 2, ceil_mode=True).transpose(1, 2)
    there = (torch.arange(x.shape[1], device=x.device) < steps[:, None]).to(x.dtype)[:, None]
    total, count = (F.avg_pool1d(part, 2, ceil_mode=True) for part in (x.transpose(1, 2) * there, there))
    return (total / count.clamp(min=0.5)).transpose(1, 2)
