"""A scalogram of each lead, stacked as the channels of an image, and a residual network in two dimensions over it.

    signal (b, 12, samples) mV ──wavelets──▶ images (b, 24, frequencies, one column each 20 ms)
                               ──residual blocks──▶ (b, channels, a few rows, one column each 80 ms) ──▶ tokens

The wavelets are Morlet's, fixed, at frequencies of equal ratios from 1 to 40 Hz: Torrence & Compo, "A practical guide
to wavelet analysis" (Bulletin of the American Meteorological Society, 1998). Convolutions over scalograms of ECGs:
Byeon et al., "Intelligent deep models based on scalograms of electrocardiogram signals for biometrics" (Sensors, 2019).
Magnitudes alone, as there, do not tell an inverted wave from an upright one; the real part beside them does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import recorded, token_samples

LOWEST_HZ, HIGHEST_HZ = 1.0, 40.0  # T waves of a slow beat to the edges of a QRS complex
REACH = 3  # standard deviations of its Gaussian at which a wavelet ends
FLOOR_MV = 0.02  # about the noise: images are linear below it and logarithmic above
STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1))  # of the first convolution and the blocks, over (frequency, time)


@dataclass(frozen=True)
class ScalogramSizes:
    """Sizes of the scalogram and of the network over it.

    Parameters
    ----------
    frequencies
        Number of wavelets, the rows of an image.
    omega
        Radians of a wavelet within one standard deviation of its Gaussian: fewer tell times better, more frequencies.
        Torrence & Compo have 6.
    channels
        Channels of the first convolution and of the three residual blocks.
    """

    frequencies: int = 24
    omega: float = 4.0
    channels: tuple[int, int, int, int] = (32, 64, 128, 192)


class Scalogram(nn.Module):
    """Tokens of the times and frequencies around them.

    A wavelet of 1 Hz reaches 2 s on both sides. Within that and 0.5 s before the padding, tokens show where it begins,
    whatever stands in it.
    """

    def __init__(self, config: ECGConfig, sizes: ScalogramSizes = ScalogramSizes()):
        super().__init__()
        self.wavelets = Wavelets(config.sampling_rate, sizes.frequencies, sizes.omega)
        channels = sizes.channels
        self.enter = nn.Conv2d(2 * 12, channels[0], 3, STRIDES[0], 1, bias=False)
        # tells which leads there are, so that the zeros of a masked lead are not read as a flat line
        self.presence = nn.Linear(12, channels[0], bias=False)
        self.norm = nn.BatchNorm2d(channels[0])
        blocks = zip(channels[:-1], channels[1:], STRIDES[1:], strict=True)
        self.blocks = nn.Sequential(*(ImageBlock(*numbers, config.dropout) for numbers in blocks))
        rows = -(-sizes.frequencies // math.prod(down for down, _ in STRIDES))
        self.out = nn.Linear(channels[-1] * rows, config.width)

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
        images = self.wavelets(recorded(signal, mask, length))
        x = self.enter(images) + self.presence(mask.to(signal.dtype))[..., None, None]
        x = self.blocks(F.relu(self.norm(x), inplace=True))
        return self.out(x.flatten(1, 2).transpose(1, 2))


class Wavelets(nn.Module):
    """Continuous wavelet transform by convolution with fixed filters, an octave at a time, as low ones are long."""

    def __init__(self, sampling_rate: int, count: int, omega: float):
        super().__init__()
        self.hop = token_samples(sampling_rate) // 4
        frequencies = torch.logspace(math.log10(LOWEST_HZ), math.log10(HIGHEST_HZ), count, dtype=torch.float64)
        octave = (frequencies / LOWEST_HZ).log2().floor()
        octaves = [frequencies[octave == o] for o in octave.unique()]
        self.octaves = len(octaves)
        for i, part in enumerate(octaves):  # not stored: the sizes tell them
            self.register_buffer(f"filters{i}", morlets(part, sampling_rate, omega), persistent=False)

    def forward(self, signal: Tensor) -> Tensor:
        """Transform each lead.

        Parameters
        ----------
        signal : float (b, 12, samples), mV

        Returns
        -------
        Tensor
            (b, 24, frequencies, ⌈samples / hop⌉): of each lead the real part, then of each the magnitude, both as
            the logarithm of 1 + |mV| / FLOOR_MV with the sign.
        """
        rows = signal.flatten(0, 1)[:, None]
        filters = [self.get_buffer(f"filters{i}") for i in range(self.octaves)]
        parts = [F.conv1d(rows, f, stride=self.hop, padding=f.shape[-1] // 2).unflatten(1, (2, -1)) for f in filters]
        real, imaginary = torch.cat(parts, 2).unflatten(0, signal.shape[:2]).unbind(2)  # each (b, 12, frequencies, n)
        magnitude = (real.square() + imaginary.square()).clamp(min=1e-8).sqrt()  # at 0 its gradient is not finite
        images = torch.cat([real, magnitude], 1)
        return images.sign() * (images.abs() / FLOOR_MV).log1p()


def morlets(frequencies: Tensor, sampling_rate: int, omega: float) -> Tensor:
    """Make Morlet's wavelets, all as long as the lowest one.

    Parameters
    ----------
    frequencies : float64 (k,)
        In Hz.
    sampling_rate
        In Hz.
    omega
        Radians of a wavelet within one standard deviation of its Gaussian.

    Returns
    -------
    Tensor
        float32 (2 k, 1, taps): the real parts, then the imaginary ones. A sine of 1 mV and a wavelet's frequency gives
        a magnitude of 1 mV, a constant gives 0.
    """
    sd = omega / (2 * math.pi * frequencies)[:, None]  # s
    half = math.ceil(REACH * sd.max().item() * sampling_rate)
    t = torch.arange(-half, half + 1, dtype=torch.float64) / sampling_rate
    gauss = (-0.5 * (t / sd) ** 2).exp()
    gauss = gauss / gauss.sum(1, keepdim=True)
    phase = 2 * math.pi * frequencies[:, None] * t
    real = phase.cos() - (gauss * phase.cos()).sum(1, keepdim=True)
    # conjugated; not turned over time, as a convolution layer correlates
    return torch.cat([2 * gauss * real, -2 * gauss * phase.sin()])[:, None].float()


class ImageBlock(nn.Module):
    """Two convolutions over frequency and time beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], dropout: float):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout2d(dropout)  # of whole channels
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, rows, columns) → (b, outputs, rows and columns divided by the strides, rounded up)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(self.dropout(y)))
        return F.relu(y.add_(self.shortcut(x)), inplace=True)
