"""The interface of an objective: the columns and encodings that it reads, and the scalar that it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from ecgclip.train.recipe import Recipe

Batch = dict[str, Tensor]  # columns by name
BANKS = ("statement", "finding", "criteria")  # of texts that a batch is compared with


@dataclass
class Encoded:
    """A batch after the encoders: b ECGs of n beats, and banks of texts: "statement", "finding", and where conditions
    are asked whose criteria were computed, "criteria".

    The measurements' branch, which is trained without the encoders, fills in `similarity` alone.

    features : ECGFeatures
        rhythm (b, dim) and beats (b, n, dim) of the ECGs.
    views : list of (b, dim)
        Rhythm vectors of the same ECGs under other dropout masks; as many as the objectives ask for.
    vectors : (k, dim) of each bank
        The texts of a bank.
    similarity : (b, k) of each bank
        Cosine of every rhythm vector and every text.
    encode : ids (n, length), mask (n, length) → (n, dim)
        The text encoder, for texts that only one objective reads.
    scale : scalar
        The learnt factor of cosines in a softmax (CLIP's logit scale).
    """

    features: Any = None
    views: list[Tensor] = field(default_factory=list)
    vectors: dict[str, Tensor] = field(default_factory=dict)
    similarity: dict[str, Tensor] = field(default_factory=dict)
    encode: Any = None
    scale: Any = None


class Objective(nn.Module):
    """A loss: `forward(encoded, batch)` returns a scalar.

    It is computed where its weight in the recipe is above 0 and the batch has its columns.
    """

    columns: ClassVar[tuple[str, ...]] = ()  # those of a batch that it reads
    banks: ClassVar[bool] = False  # whether it reads `Encoded.vectors` or `Encoded.similarity`
    views: ClassVar[int] = 0  # how many `Encoded.views` it reads

    def __init__(self, recipe: Recipe):
        super().__init__()

    def lock(self, scale: float) -> None:
        """Called once, when the text encoder is locked; scale: `locked.scale` of the recipe."""
