"""Tokens of a signal: how many there are, and which stand for padding. One stands for TOKEN_S at any sampling rate."""

from __future__ import annotations

import torch
from torch import Tensor

from ecgclip.networks.config import TOKEN_S


def token_samples(sampling_rate: int) -> int:
    """Return the number of samples that a token stands for; a multiple of 4 for a rate that is a multiple of 50 Hz."""
    return round(sampling_rate * TOKEN_S)


def token_mask(tokens: Tensor, length: Tensor | None, sampling_rate: int, patch: int = 1) -> Tensor:
    """Return which tokens stand for signal.

    Parameters
    ----------
    tokens : (b, t, width)
    length : int (b,)
        Samples before the padding; None if there is no padding.
    sampling_rate
        In Hz.
    patch
        Duration of a token in TOKEN_S.

    Returns
    -------
    Tensor
        bool (b, t), True = signal, False = padding.
    """
    if length is None:
        return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    return steps < (length[:, None] / (patch * token_samples(sampling_rate))).ceil()


def recorded(signal: Tensor, mask: Tensor, length: Tensor | None = None) -> Tensor:
    """Return the signal with zeros in masked leads and in the padding, whatever stands there.

    Parameters
    ----------
    signal : float (b, 12, samples), mV
    mask : bool (b, 12)
        True = recorded.
    length : int (b,)
        Samples before the padding; None if there is no padding.

    Returns
    -------
    Tensor
        float (b, 12, samples), mV.
    """
    there = mask[..., None]
    if length is not None:
        there = there & (torch.arange(signal.shape[-1], device=signal.device) < length[:, None, None])
    return signal.masked_fill(~there, 0.0)
