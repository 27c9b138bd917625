"""A vocabulary of heartbeats: vector quantisation, whose codes can be drawn as beats.

    beats (m, samples) mV ─▶ encoder ─▶ vectors of unit length ─▶ nearest code ─▶ decoder ─▶ beats (m, samples) mV

A VQ-VAE (van den Oord et al., "Neural discrete representation learning", NeurIPS 2017): the gradient passes the codes
as if they were not there, and a code is the moving average of the vectors next to it. Codes and vectors lie on the unit
sphere, as in BEiT v2 (Peng et al., 2022), from which HeartLang took its quantiser. A code that stands for hardly any
beat begins anew at one of the batch, as in Jukebox (Dhariwal et al., 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMMITMENT = 0.25  # weight of how far vectors lie from their codes
KEEP = 0.95  # how much of a code's moving average stays at each step
DEAD, NEW = 0.05, 0.2  # use of a code over the mean use of all: below, it begins anew; and as how much used


class Vocabulary(nn.Module):
    """Learns words for beats, until it is frozen.

    Attributes
    ----------
    used : float32 (codes,)
        Share of the beats that each code stands for, a moving average.
    frozen : bool ()
        Nothing is learnt any more; how much each code is used is still followed.
    """

    used: Tensor
    sums: Tensor
    frozen: Tensor

    def __init__(self, samples: int, codes: int, width: int, hidden: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(samples, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.decoder = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, samples))
        self.register_buffer("used", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, width))  # of the vectors next to a code, over all beats
        self.register_buffer("frozen", torch.tensor(False))

    @property
    def codes(self) -> Tensor:
        """float32 (codes, width), of unit length."""
        return F.normalize(self.sums, dim=-1)

    def forward(self, beats: Tensor, inside: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Say beats in words, and learn.

        Parameters
        ----------
        beats : float32 (m, samples), mV
        inside : bool (m, samples)
            What belongs to the beat.

        Returns
        -------
        words : int (m,)
            Indices of codes.
        losses : dict
            vocabulary: the share of the beats' energy that is lost where a code stands for each, plus COMMITMENT times
            the squared distance of their vectors from the codes. Nothing where the vocabulary is frozen.
        """
        if self.frozen:
            words = self.words(beats)
            self._follow(words)
            return words, {}
        vectors = self.vectors(beats)
        self._revive(vectors.detach())
        words, codes = self._nearest(vectors), self.codes
        chosen = codes[words]
        told = self.decoder(vectors + (chosen - vectors).detach())
        lost = ((told - beats) * inside).square().sum() / (beats * inside).square().sum().clamp(min=1e-6)
        away = (vectors - chosen).square().sum() / max(1, len(vectors))
        self._follow(words, vectors.detach())
        return words, {"vocabulary": lost + COMMITMENT * away}

    def vectors(self, beats: Tensor) -> Tensor:
        """float32 (m, samples), mV, zero where they end → float32 (m, width), of unit length."""
        return F.normalize(self.encoder(beats), dim=-1)

    @torch.no_grad()
    def words(self, beats: Tensor) -> Tensor:
        """float32 (m, samples), mV, zero where they end → int (m,), indices of codes."""
        return self._nearest(self.vectors(beats))

    @torch.no_grad()
    def beats(self) -> Tensor:
        """Return each code as a beat, float32 (codes, samples), mV."""
        return self.decoder(self.codes)

    def perplexity(self) -> float:
        """Return the number of codes in use, as many as would be if all these were used alike; 0 before training."""
        share = self.used / self.used.sum().clamp(min=1e-9)
        return float(torch.special.entr(share).sum().exp()) if share.any() else 0.0

    def _nearest(self, vectors: Tensor) -> Tensor:
        return (vectors @ self.codes.T).argmax(-1)

    @torch.no_grad()
    def _revive(self, vectors: Tensor) -> None:
        """Let codes that are hardly used, at first all, begin anew at vectors of the batch."""
        if not (self.training and len(vectors)):
            return
        mean = 1 / len(self.used)
        dead = self.used < DEAD * mean
        fresh = NEW * mean * vectors[torch.randint(len(vectors), self.used.shape, device=vectors.device)]
        self.used.masked_fill_(dead, NEW * mean)
        self.sums.copy_(torch.where(dead[:, None], fresh, self.sums))

    @torch.no_grad()
    def _follow(self, words: Tensor, vectors: Tensor | None = None) -> None:
        """Move the averages to a batch: how much each code is used, and with vectors the codes themselves."""
        if not (self.training and len(words)):
            return
        said = F.one_hot(words, len(self.used)).to(self.used.dtype) / len(words)  # (m, codes)
        self.used.lerp_(said.sum(0), 1 - KEEP)
        if vectors is not None:
            self.sums.lerp_(said.T @ vectors, 1 - KEEP)
