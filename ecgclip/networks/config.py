"""The sizes of both encoders, the constants of the ECG encoder's beats, and its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecgclip.ecg import EcgclipError

if TYPE_CHECKING:  # who scores with an exported model reads its sizes without torch
    from torch import Tensor

WINDOW_S = 10.0
TOKEN_S = 0.08  # of signal a token stands for, at any sampling rate
MAX_TOKENS = round(WINDOW_S / TOKEN_S)  # of a window
BEAT_OFFSETS_S = (-0.24, -0.16, -0.08, 0.0, 0.08, 0.16, 0.24, 0.32, 0.40)  # P wave to the end of T
BEAT_BEFORE_S, BEAT_AFTER_S = 0.32, 0.48  # the part of the median beat before and after R
MEDIAN_BEATS = 16  # the median is over the first beats, at most so many
CONV_TRANSFORMER = "conv-transformer"  # the backbone of the shipped weights


@dataclass(frozen=True)
class ECGConfig:
    """Sizes of the ECG encoder, as config.json and recipes name them.

    Parameters
    ----------
    sampling_rate
        Of the signals, in Hz.
    width
        Width of a token.
    backbone
        What turns a signal into tokens: a name of networks.backbones.
    sizes
        Sizes of that backbone, where they differ from its defaults.
    beat_layers
        Number of transformer blocks over the beats.
    heads
        Number of attention heads of a transformer block.
    beat_queries
        Number of learned vectors that stand in for beats where no R peak is found.
    dim
        Dimension of the embedding space that the ECG shares with text.
    measured
        Width of the branch over measurements; 0 leaves it out.
    members
        Number of networks in that branch; they share their hidden layers.
    demographics
        Whether that branch also reads the age and the sex of the patient, where they are known.
    dropout
        Dropout rate of the blocks; other layers use multiples of it.

    Raises
    ------
    EcgclipError
        If such an encoder cannot be built.
    """

    sampling_rate: int = 100
    width: int = 128
    backbone: str = CONV_TRANSFORMER
    sizes: dict[str, Any] = field(default_factory=dict)
    beat_layers: int = 1
    heads: int = 4
    beat_queries: int = 4
    dim: int = 256
    measured: int = 256
    members: int = 1
    demographics: bool = False
    dropout: float = 0.1

    def __post_init__(self):
        if self.sampling_rate < 100 or self.sampling_rate % 50:  # else a token does not stand for TOKEN_S
            raise EcgclipError(f"ecg.sampling_rate {self.sampling_rate}: give a multiple of 50 Hz, 100 or more")
        if self.members < 1:
            raise EcgclipError(f"ecg.members {self.members}: give 1 or more")
        if not isinstance(self.sizes, dict):
            raise EcgclipError(f"ecg.sizes {self.sizes!r}: give names and values, such as {{layers: 1}}")
        object.__setattr__(self, "sizes", {k: tuple(v) if isinstance(v, list) else v for k, v in self.sizes.items()})

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ECGConfig:
        """Return the configuration of a recipe or of a stored model.

        Until version 0.7 `channels` and `layers` of the conv-transformer, then the only backbone, stood among the rest.
        """
        fields = dict(stored)
        if fields.get("backbone", CONV_TRANSFORMER) == CONV_TRANSFORMER:
            older = {name: fields.pop(name) for name in ("channels", "layers") if name in fields}
            if older:
                fields["sizes"] = older | fields.get("sizes", {})
        return cls(**fields)


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the text encoder, as config.json and recipes name them.

    Parameters
    ----------
    vocabulary
        Number of token ids.
    width
        Width of a token.
    layers
        Number of transformer blocks.
    heads
        Number of attention heads of a block.
    max_tokens
        Number of tokens of a text at most; the rest is cut off.
    dim
        Dimension of the embedding space that text shares with the ECG.
    dropout
        Dropout rate of the transformer; 0, as every statement has many wordings already.
    hf_model
        A Hugging Face repo id or folder, used instead of ecgclip's own encoder.
    hf_config
        Its configuration, kept so that a trained model loads without the hub.
    """

    vocabulary: int = 4000
    width: int = 192
    layers: int = 3
    heads: int = 4
    max_tokens: int = 64
    dim: int = 256
    dropout: float = 0.0
    hf_model: str | None = None
    hf_config: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> TextConfig:
        """Return the configuration of a stored model; version 0.1.0 also stored a caption decoder's sizes."""
        return cls(**{k: v for k, v in stored.items() if not k.startswith("caption_")})


@dataclass
class ECGFeatures:
    """The vectors of a batch of windows, all of unit length.

    Attributes
    ----------
    beats : float32 (b, n, dim)
        One for each R peak, then the learned queries.
    beat_mask : bool (b, n)
        True for a beat; for the queries only where a window has no R peak.
    rhythm : float32 (b, dim)
        One for each window.
    """

    beats: Tensor
    beat_mask: Tensor
    rhythm: Tensor

    @classmethod
    def cat(cls, batches: Sequence[ECGFeatures]) -> ECGFeatures:
        """Concatenate batches that have the same n, on the CPU."""
        import torch

        return cls(*(torch.cat([getattr(b, field).cpu() for b in batches]) for field in cls.__dataclass_fields__))
