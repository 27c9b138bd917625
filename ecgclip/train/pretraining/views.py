"""Views of a batch for tasks that compare two versions of one ECG: leads that are lost, noise, and the mean token.

    signal, lead mask ──lose_leads──▶ fewer leads        signal ──add_noise──▶ muscle noise + wander + mains at an SNR

The disturbances are those of `ecgclip.train.augment`, in torch and on the batch's device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ecgclip.networks.tokens import recorded, token_mask
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.train.augment import MAINS_HZ, MAINS_PREPARED_HZ

WANDER_HZ = (0.2, 0.6)


def lose_leads(mask: Tensor, share: float) -> Tensor:
    """Keep some leads of each ECG: a random number of them, from one to `share` of those that it has.

    mask : bool (b, 12), True = recorded → bool (b, 12)
    """
    there = mask.sum(1)
    kept = 1 + (torch.rand(len(mask), device=mask.device) * (share * there).clamp(min=1)).floor()
    order = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, 2.0).argsort(1).argsort(1)
    return mask & (order < kept[:, None])


def add_noise(signal: Tensor, mask: Tensor, length: Tensor, snr_db: Tensor, sampling_rate: int) -> Tensor:
    """Add muscle noise, baseline wander and mains hum, mixed at random, to the leads and samples that are recorded.

    Parameters
    ----------
    signal : float (b, 12, samples), mV
    mask : bool (b, 12)
        True = recorded.
    length : int (b,)
        Samples before the padding.
    snr_db : float (b,)
        Power of the signal over that of the noise, both over all that is recorded of an ECG; inf: no noise.
    sampling_rate
        In Hz.

    Returns
    -------
    Tensor
        float (b, 12, samples), mV, zero where nothing is recorded.
    """
    signal = recorded(signal, mask, length)
    noise = recorded(_mixture(signal, sampling_rate), mask, length)
    power = signal.square().mean((1, 2)) / noise.square().mean((1, 2)).clamp(min=1e-12)
    return signal + noise * (power / 10 ** (snr_db / 10)).sqrt()[:, None, None]


def _mixture(signal: Tensor, sampling_rate: int) -> Tensor:
    """Noise of the shape of a signal (b, 12, samples): three kinds in random parts, which differ from lead to lead."""
    b, device = len(signal), signal.device
    time_s = torch.arange(signal.shape[-1], device=device) / sampling_rate

    def wave(hz: Tensor) -> Tensor:
        turn = torch.rand(b, 12, 1, device=device)
        return math.sqrt(2) * torch.sin(2 * math.pi * (hz[:, None, None] * time_s + turn))

    wander = WANDER_HZ[0] + (WANDER_HZ[1] - WANDER_HZ[0]) * torch.rand(b, device=device)
    mains = torch.tensor(MAINS_PREPARED_HZ if sampling_rate == SAMPLING_RATE else MAINS_HZ, device=device)
    parts = torch.rand(3, b, 12, 1, device=device) * torch.rand(3, b, 1, 1, device=device)
    hum = wave(mains[torch.randint(len(mains), (b,), device=device)])
    return parts[0] * torch.randn_like(signal) + parts[1] * wave(wander) + parts[2] * hum


def shown(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the rows of a batch that show anything: a lead, and samples of it."""
    seen = batch["mask"].any(1) & (batch["length"] > 0)
    return {name: column[seen] for name, column in batch.items()}


def uniform(count: int, limits: tuple[float, float], device: torch.device) -> Tensor:
    """Draw float (count,) between two limits."""
    return limits[0] + (limits[1] - limits[0]) * torch.rand(count, device=device)


def mean_token(backbone: nn.Module, signal: Tensor, mask: Tensor, length: Tensor, sampling_rate: int) -> Tensor:
    """Return the mean of the tokens that stand for signal, float32 (b, width); zero where there are none.

    signal (b, 12, samples) mV, mask bool (b, 12), length int (b,)
    """
    tokens = backbone(signal, mask, length)
    return mean_of(tokens, token_mask(tokens, length, sampling_rate))


def mean_of(tokens: Tensor, there: Tensor) -> Tensor:
    """Tokens (b, t, width), there bool (b, t) → the mean of those that are there, float32 (b, width), 0 for none."""
    there = there[..., None]
    return tokens.float().masked_fill(~there, 0.0).sum(1) / there.sum(1).clamp(min=1)
