"""beats: both banks against the heartbeats, and the annotated kinds of beats against their texts."""

from __future__ import annotations

import torch
from torch import Tensor

from ecgclip.train.objectives.banks import SigmoidBank
from ecgclip.train.objectives.base import Batch, Encoded, Objective
from ecgclip.train.recipe import Recipe


def attended_similarity(beats: Tensor, mask: Tensor, text: Tensor, sharpness: float = 8.0) -> Tensor:
    """Cosine of each text to the beats it attends to (local alignment, GLoRIA, Huang et al. 2021).

    beats (b, n, dim), mask (b, n), text (k, dim) → (b, k).
    """
    cosine = beats @ text.T  # (b, n, k)
    weight = (cosine * sharpness).masked_fill(~mask[..., None], -1e4).softmax(1)
    return (weight * cosine).sum(1)


class Beats(Objective):
    """What is true of an ECG, from the beats that a text attends to; and of single beats, where it is annotated."""

    columns = ("statement_truth", "finding_truth", "r_peaks", "beat_truth", "beat_columns")
    banks = True

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.bank = SigmoidBank()

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        features, statement = encoded.features, encoded.vectors["statement"]
        texts = torch.cat([statement, encoded.vectors["finding"]])
        truth = torch.cat([batch["statement_truth"], batch["finding_truth"]], 1)
        loss = self.bank(attended_similarity(features.beats, features.beat_mask, texts), truth)
        annotated = batch["beat_truth"].amax(-1) >= 0  # (b, n)
        if annotated.any():
            beats = features.beats[:, : batch["r_peaks"].shape[1]][annotated]
            loss = loss + self.bank(beats @ statement[batch["beat_columns"]].T, batch["beat_truth"][annotated])
        return loss
