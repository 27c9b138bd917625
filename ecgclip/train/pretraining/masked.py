"""A masked autoencoder: rebuild the hidden part of a signal, its course, its frequencies and its kind.

    signal ──stretches and leads hidden──▶ backbone ──▶ tokens ──decoder──┬──▶ mV of all leads ──where hidden──▶ samples
                                                                          │         └──wavelets──▶ spectrum
                                                                          └──▶ embeddings ──▶ which prototypes?
    signal ─────────whole, without gradients─▶ backbone, decoder ─────────────▶ embeddings ──balanced──┘
                                               (of each token, each heartbeat and the window)

Xu et al., "Masked autoencoders that feel the heart: unveiling simplicity bias for ECG analyses" (2025): a network that
is free to choose learns what is large and frequent. Against this stand filters of time and frequency, and prototypes
that are reconstructed at a coarse and at a fine grain. Here the filters are fixed wavelets, on a scale of logarithms on
which a P wave counts beside a QRS complex. The prototypes are clusters, whose balanced assignment is that of Caron et
al., "Unsupervised learning of visual features by contrasting cluster assignments" (NeurIPS 2020); assignments of a
whole signal are told from its seen part as in Assran et al., "Masked siamese networks for label-efficient learning"
(ECCV 2022). Whole leads are hidden beside stretches as in ST-MEM (Na et al., ICLR 2024), where each lead has stretches
of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbones.scalogram import FLOOR_MV, morlets
from ecgclip.networks.config import BEAT_AFTER_S, BEAT_BEFORE_S, TOKEN_S, ECGConfig
from ecgclip.networks.tokens import recorded, token_samples
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.hiding import Predictor, draw_hidden, mean_where, samples_of, signal_tokens

QUIET_MV = 0.05  # a lead whose mean amplitude is below counts as if it had this one, lest noise be learned
LOWEST_HZ, HIGHEST_HZ, OMEGA = 4.0, 40.0, 4.0  # of wavelets; radians within one standard deviation
EMBEDDED = 64  # dimension of the embeddings that the prototypes share
TEMPERATURE, SHARPNESS, ROUNDS = 0.1, 0.05, 3  # of a told assignment, of a balanced one (Caron et al.)


@dataclass(frozen=True)
class MaskedSizes:
    """Sizes of the task, and the weights of its losses beside that of the samples, which is 1.

    Parameters
    ----------
    share
        Of the tokens of each ECG that are hidden, in all leads.
    stretch
        Tokens that are hidden together.
    leads
        Share of the leads of each ECG that are hidden from beginning to end.
    layers
        Number of transformer blocks of the decoder.
    spectrum
        Weight of the wavelets' loss; 0 leaves it out.
    frequencies
        Number of wavelets.
    prototypes
        Weight of the prototypes' loss, the mean over the grains; 0 leaves it out.
    grains
        Number of prototypes of tokens, of heartbeats and of windows.
    """

    share: float = 0.5
    stretch: int = 5
    leads: float = 0.25
    layers: int = 1
    spectrum: float = 0.5
    frequencies: int = 6
    prototypes: float = 0.1
    grains: tuple[int, int, int] = (64, 32, 16)


class Masked(Task):
    """The backbone learns to make tokens from which the hidden part of the signal can be rebuilt."""

    columns = ("signal", "mask", "length", "r_peaks")

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: MaskedSizes = MaskedSizes()):
        super().__init__(backbone, config, sizes)
        self.decoder = Predictor(config, sizes.layers)
        self.rebuild = nn.Linear(config.width, 12 * token_samples(config.sampling_rate))
        nn.init.zeros_(self.rebuild.weight), nn.init.zeros_(self.rebuild.bias)  # a flat line is the first guess
        self.wavelets = Wavelets(config.sampling_rate, sizes.frequencies) if sizes.spectrum else None
        self.embed = nn.Linear(config.width, EMBEDDED) if sizes.prototypes else None
        self.prototypes = nn.ModuleList(Prototypes(count) for count in sizes.grains if sizes.prototypes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses "samples", "spectrum" and "prototypes"; for the columns see base."""
        mask, length, rate = batch["mask"], batch["length"], self.config.sampling_rate
        signal = recorded(batch["signal"], mask, length)
        there = recorded(torch.ones_like(signal), mask, length).bool()
        is_signal = signal_tokens(signal, length, rate)
        hidden = draw_hidden(is_signal, self.sizes.share, self.sizes.stretch)
        hidden_leads = draw_hidden(mask, self.sizes.leads)
        lost = there & (hidden_leads[..., None] | samples_of(hidden, signal.shape[-1], rate)[:, None])
        seen = signal.masked_fill(lost, 0.0)
        decoded = self.decoder(self.backbone(seen, mask & ~hidden_leads, length), hidden, is_signal)
        losses = self._signal_losses(self.rebuild(decoded), signal, there, lost)
        if self.embed:
            with torch.no_grad():
                tokens = self.backbone(signal, mask, length)
                whole = self.embed(self.decoder(tokens, torch.zeros_like(hidden), is_signal))
            groups = grains(is_signal, batch["r_peaks"])
            changed = hidden | hidden_leads.any(1, keepdim=True)
            losses["prototypes"] = self._prototype_loss(self.embed(decoded), whole, groups, changed)
        return losses

    def _signal_losses(self, rebuilt: Tensor, signal: Tensor, there: Tensor, lost: Tensor) -> dict[str, Tensor]:
        """rebuilt (b, t, 12 · samples of a token), signal float32 and there and lost bool (b, 12, samples); in mV."""
        with torch.autocast(signal.device.type, enabled=False):
            rebuilt = rebuilt.float().unflatten(2, (12, -1)).transpose(1, 2).flatten(2)[..., : signal.shape[-1]]
            power = signal.square().sum(-1, keepdim=True) / there.sum(-1, keepdim=True).clamp(min=1)
            unit = power.sqrt().clamp(min=QUIET_MV)  # each lead counts alike, however high its waves
            losses = {"samples": mean_where(F.smooth_l1_loss(rebuilt / unit, signal / unit, reduction="none"), lost)}
            if self.wavelets:
                images = self.wavelets(torch.where(lost, rebuilt, signal)), self.wavelets(signal)
                error = F.smooth_l1_loss(*images, reduction="none")
                losses["spectrum"] = self.sizes.spectrum * mean_where(error, lost[..., :: self.wavelets.hop, None])
            return losses

    def _prototype_loss(self, seen: Tensor, whole: Tensor, groups: list[Tensor], changed: Tensor) -> Tensor:
        """Embeddings of tokens (b, t, dim), groups of them bool (b, n, t), tokens that hide something bool (b, t)."""
        with torch.autocast(seen.device.type, enabled=False):
            losses = []
            for prototypes, members in zip(self.prototypes, groups, strict=True):
                counted = (members & changed[:, None]).any(-1)  # of others, what is seen is the whole
                pooled = [(members.float() @ embedding.float())[counted] for embedding in (seen, whole)]
                losses.append(prototypes(*pooled))
            return self.sizes.prototypes * torch.stack(losses).mean()


class Wavelets(nn.Module):
    """Fixed filters of time and frequency: Morlet's wavelets, at frequencies of equal ratios."""

    filters: Tensor

    def __init__(self, sampling_rate: int, count: int):
        super().__init__()
        self.hop = token_samples(sampling_rate)
        frequencies = torch.logspace(math.log10(LOWEST_HZ), math.log10(HIGHEST_HZ), count, dtype=torch.float64)
        self.register_buffer("filters", morlets(frequencies, sampling_rate, OMEGA), persistent=False)

    def forward(self, signal: Tensor) -> Tensor:
        """Transform each lead.

        Parameters
        ----------
        signal : float32 (b, 12, samples), mV

        Returns
        -------
        Tensor
            float32 (b, 12, t, 2 · frequencies), at the beginning of each token: real parts, then magnitudes, both as
            the logarithm of 1 + |mV| / FLOOR_MV with the sign.
        """
        reach = self.filters.shape[-1] // 2
        parts = F.conv1d(signal.flatten(0, 1)[:, None], self.filters, stride=self.hop, padding=reach)
        real, imaginary = parts.unflatten(0, signal.shape[:2]).transpose(2, 3).chunk(2, -1)
        magnitude = (real.square() + imaginary.square()).clamp(min=1e-8).sqrt()  # at 0 its gradient is not finite
        image = torch.cat([real, magnitude], -1)
        return image.sign() * (image.abs() / FLOOR_MV).log1p()


class Prototypes(nn.Module):
    """Directions around which embeddings gather, each as many of them as any other."""

    def __init__(self, count: int):
        super().__init__()
        self.directions = nn.Parameter(torch.randn(count, EMBEDDED))

    def forward(self, seen: Tensor, whole: Tensor) -> Tensor:
        """Return how well the assignments of wholes are told by what is seen of them, a cross-entropy.

        seen, whole : float32 (n, dim), embeddings of any length; n may be 0
        """
        seen, whole = seen - seen.mean(0), whole - whole.mean(0)  # what all have in common tells none apart
        directions = F.normalize(self.directions, dim=1)
        told = (F.normalize(seen, dim=1) @ directions.T / TEMPERATURE).log_softmax(1)
        assigned = balanced(F.normalize(whole, dim=1) @ directions.detach().T)
        return -(assigned * told).sum() / max(len(seen), 1)


def balanced(similarity: Tensor) -> Tensor:
    """Assign rows to columns so that each column gets the same share of all (Cuturi, NeurIPS 2013).

    Without this, one prototype for all embeddings would be the easiest to tell.

    similarity : float32 (n, prototypes), cosines → float32 (n, prototypes), each row sums to 1
    """
    log = similarity / SHARPNESS
    for _ in range(ROUNDS):
        log = log.log_softmax(0).log_softmax(1)
    return log.exp()


def grains(is_signal: Tensor, r_peaks: Tensor) -> list[Tensor]:
    """Say which tokens belong together: each by itself, those of a heartbeat, all of a window.

    Parameters
    ----------
    is_signal : bool (b, t)
    r_peaks : float (b, n)
        In s, NaN = padding.

    Returns
    -------
    list of Tensor
        bool (b, groups, t): as many groups as tokens, as R peaks, and one.
    """
    t = is_signal.shape[1]
    at = (torch.arange(t, device=is_signal.device) + 0.5) * TOKEN_S - r_peaks[..., None]  # (b, n, t)
    beats = (at >= -BEAT_BEFORE_S) & (at < BEAT_AFTER_S)  # false where R is NaN
    each = torch.eye(t, dtype=torch.bool, device=is_signal.device)[None]
    return [group & is_signal[:, None] for group in (each, beats, torch.ones_like(each[:, :1]))]
