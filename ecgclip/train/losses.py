"""The losses: what is pulled together and what apart.

- clip: rhythm vector and whole report, symmetric cross-entropy; texts of the same meaning are all positives.
- statements, findings: sigmoid loss (SigLIP, Zhai et al. 2023) of the rhythm vector against a bank of texts whose truth is known.
- ranking: the same similarities, an ECG that has a statement above one that lacks it (the pairs that AUROC counts).
- beats: the same truth, from the beats that a text attends to (local alignment), and beat annotations where there are any.
- synonyms: wordings of one concept against those of the others (SapBERT, Liu et al. 2021), so that concepts which no ECG of the
  training data has keep a place of their own.
- views: MERL's uni-modal alignment, two dropout masks of one ECG against those of the others; ECGs that share statements are
  positives in proportion (the clinical similarity of CLEF), so that an ECG finds its like.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SigmoidBank(nn.Module):
    """Sigmoid loss with its own scale and bias; truth (b, k) 1 present, 0 absent, -1 unknown.

    soft (b, k): a teacher's probabilities, NaN where there are none, which have the part `share` of the say, and all of it
    where the truth is unknown (distillation, Hinton et al. 2015).
    """

    def __init__(self, scale: float = 10.0, bias: float = -4.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    @torch.no_grad()
    def sharpen(self, scale: float) -> None:
        """At SigLIP's scale of 10, one unit vector cannot be sure of several statements at once; texts that still move need it."""
        self.log_scale.fill_(math.log(scale))

    def forward(self, similarity: Tensor, truth: Tensor, soft: Tensor | None = None, share: float = 0.0) -> Tensor:
        weight = (truth >= 0).float()
        target = truth.clamp(min=0).float()
        if soft is not None:
            own = weight * torch.where(soft.isnan(), 1.0, 1 - share)
            taught = torch.where(soft.isnan(), 0.0, share)
            weight = own + taught
            target = (own * target + taught * soft.nan_to_num(0.0)) / weight.clamp(min=1e-6)
        logits = similarity * self.log_scale.exp() + self.bias
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return (loss * weight).sum() / weight.sum().clamp(min=1)


def ranking_loss(similarity: Tensor, truth: Tensor, scale: float = 20.0) -> Tensor:
    """similarity (b, k), truth (b, k) 1 present, 0 absent, -1 unknown → logistic loss, averaged over the pairs of an ECG that has a
    statement and one that lacks it, then over statements (the surrogate of AUROC that Gao & Zhou, IJCAI 2015, prove consistent).

    scale: from some 1/20 on, a difference of cosines counts as clear; not tuned.
    """
    lacks = truth == 0
    has, statement = (truth == 1).nonzero(as_tuple=True)
    above = similarity[has, statement] - similarity[:, statement]  # (b, those that have it)
    loss = (F.softplus(-scale * above) * lacks[:, statement]).sum(0)
    pairs = (truth == 1).sum(0) * lacks.sum(0)
    return (loss / pairs.clamp(min=1)[statement]).sum() / (pairs > 0).sum().clamp(min=1)


def clip_loss(ecg: Tensor, text: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """ecg, text (b, dim) unit vectors, same bool (b, b): text j also describes ECG i → symmetric soft cross-entropy."""
    logits = ecg @ text.T * scale
    target = same.float()
    by_row = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_column = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (by_row + by_column) / 2


def synonym_loss(texts: Tensor, scale: float = 14.0) -> Tensor:
    """texts (2, k, dim): two wordings of each of k concepts → InfoNCE, both ways."""
    logits = texts[0] @ texts[1].T * scale
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def view_loss(one: Tensor, other: Tensor, alike: Tensor, scale: float = 10.0) -> Tensor:
    """one, other (b, dim): two views of the same ECGs; alike (b, b): 0 to 1, their clinical similarity → soft cross-entropy."""
    target = alike**2
    target.fill_diagonal_(1.0)
    target = target / target.sum(1, keepdim=True)
    logits = one @ other.T * scale
    return -(target * (logits.log_softmax(1) + logits.T.log_softmax(1))).sum(1).mean() / 2


def clinical_similarity(present: Tensor, weight: Tensor) -> Tensor:
    """present bool (b, k) statements, weight (k,) → (b, b): cosine of the weighted sets; a set with nothing in it is like none."""
    sets = F.normalize(present.float() * weight.sqrt(), dim=1)
    return sets @ sets.T


def attended_similarity(beats: Tensor, mask: Tensor, text: Tensor, sharpness: float = 8.0) -> Tensor:
    """beats (b, n, dim), mask (b, n), text (k, dim) → (b, k): cosine to the beats each text attends to (GLoRIA, Huang 2021)."""
    cosine = beats @ text.T  # (b, n, k)
    weight = (cosine * sharpness).masked_fill(~mask[..., None], -1e4).softmax(1)
    return (weight * cosine).sum(1)
