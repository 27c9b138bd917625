"""synonyms: two wordings of one concept against those of others (SapBERT, Liu et al. 2021).

This keeps concepts without training ECGs apart from each other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ecgclip.train.objectives.base import Batch, Encoded, Objective


def synonym_loss(texts: Tensor, scale: float = 14.0) -> Tensor:
    """InfoNCE, both ways; texts (2, k, dim): two wordings of each of k concepts."""
    logits = texts[0] @ texts[1].T * scale
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Synonyms(Objective):
    """`synonym_loss` of the wordings that a batch has drawn; none once the text encoder is locked."""

    columns = ("synonym_ids", "synonym_mask")

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        return synonym_loss(encoded.encode(batch["synonym_ids"], batch["synonym_mask"]).unflatten(0, (2, -1)))
