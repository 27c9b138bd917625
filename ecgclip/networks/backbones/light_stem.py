"""The light stem of the state-space backbones: a few convolutions from samples to steps of 20, 40 or 80 ms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.tokens import token_samples

STRIDES = (1, 2, 2)  # of each convolution, in the steps of the one before; the first makes steps of 20 ms
KERNEL_S = 0.14  # of signal that the first convolution sees
KERNEL = 7  # of the others, in steps


class LightStem(nn.Module):
    """One to three convolutions, each with batch norm and ReLU, to steps of 20, 40 and 80 ms.

    What follows the padding's start is set to zero after each, so that the steps before it are those of the recording
    alone. In training, the statistics of a batch count the padding's zeros.

    Parameters
    ----------
    leads
        Leads that enter together.
    channels
        Channels of each convolution.
    sampling_rate
        In Hz.
    """

    def __init__(self, leads: int, channels: tuple[int, ...], sampling_rate: int):
        super().__init__()
        first = token_samples(sampling_rate) // 4
        entering = 2 * round(sampling_rate * KERNEL_S / 2) + 1
        self.strides = (first, *STRIDES[1 : len(channels)])
        self.step_samples = first * 2 ** (len(channels) - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, stride, kernel // 2, bias=False)
            for a, b, kernel, stride in zip(
                (leads, *channels[:-1]), channels, (entering, KERNEL, KERNEL), self.strides, strict=False
            )
        )
        # tells which leads there are, so that the zeros of a masked lead are not read as a flat line
        self.presence = nn.Linear(leads, channels[0], bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in channels)

    def forward(self, signal: Tensor, mask: Tensor, length: Tensor | None = None) -> Tensor:
        """Return the steps of a batch.

        Parameters
        ----------
        signal : float (b, leads, samples), mV
            Zero in masked leads and in the padding.
        mask : bool (b, leads)
            True = recorded.
        length : int (b,)
            Samples before the padding; None if there is no padding.

        Returns
        -------
        Tensor
            (b, channels[-1], ⌈samples / step_samples⌉).
        """
        x, samples = signal, 1
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x, samples = convolution(x), samples * self.strides[i]
            if i == 0:
                x = x + self.presence(mask.to(signal.dtype))[..., None]
            x = F.relu(norm(x), inplace=True)
            if length is not None:
                x = x * (torch.arange(x.shape[-1], device=x.device) < steps_of(length, samples)[:, None, None])
        return x


def steps_of(length: Tensor, step_samples: int) -> Tensor:
    """Return how many steps of so many samples hold `length` samples, int (b,)."""
    return (length + step_samples - 1).div(step_samples, rounding_mode="floor")
