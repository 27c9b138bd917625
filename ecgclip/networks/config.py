"""Sizes of the ECG encoder, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecgclip.ecg import EcgclipError


@dataclass(frozen=True)
class ECGConfig:
    """Sizes of the ECG encoder. `sampling_rate` is Hz; a token stands for TOKEN_S at any rate. Raises EcgclipError for what cannot be built."""

    sampling_rate: int = 100
    width: int = 128  # of a token
    channels: tuple[int, ...] = (32, 64, 96)  # of the stem's stages before the last
    layers: int = 1  # transformer blocks over the tokens
    beat_layers: int = 1  # transformer blocks over the beats
    heads: int = 4
    beat_queries: int = 4  # learned stand-ins where no R peak is found
    dim: int = 256  # of the embedding space shared with text
    measured: int = 256  # width of the measurements' branch; 0 leaves them out
    members: int = 1  # networks in it that share their hidden layers
    dropout: float = 0.1

    def __post_init__(self):
        if self.sampling_rate < 100 or self.sampling_rate % 50:  # else a token does not stand for TOKEN_S
            raise EcgclipError(f"ecg.sampling_rate {self.sampling_rate}: give a multiple of 50 Hz, 100 or more")
        if self.members < 1:
            raise EcgclipError(f"ecg.members {self.members}: give 1 or more")
        if len(self.channels) != 3:
            raise EcgclipError(f"ecg.channels {self.channels}: give three, of the stem's stages before the last")


TOKEN_S = 0.08
BEAT_OFFSETS_S = (-0.24, -0.16, -0.08, 0.0, 0.08, 0.16, 0.24, 0.32, 0.40)  # P wave to the end of T
BEAT_BEFORE_S, BEAT_AFTER_S = 0.32, 0.48  # of R, in the average beat
MEDIAN_OF = 16  # beats at most, the first ones
RR_CLIP_S = 3.0


@dataclass
class ECGFeatures:
    """What the encoder gives; every vector of `rhythm` and `beats` has unit length.

    tokens (b, t, width), token_mask (b, t) True = real signal, beats (b, n, dim), beat_mask (b, n), rhythm (b, dim).
    """

    tokens: Tensor
    token_mask: Tensor
    beats: Tensor
    beat_mask: Tensor
    rhythm: Tensor

    @classmethod
    def cat(cls, parts: Sequence[ECGFeatures]) -> ECGFeatures:
        """Those of several batches, on the CPU; all of them with as many beats."""
        return cls(*(torch.cat([getattr(p, f).cpu() for p in parts]) for f in cls.__dataclass_fields__))
