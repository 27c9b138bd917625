"""ranking: an ECG that has a statement is more similar to it than one that lacks it (the pairs that AUROC counts)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ecgclip.train.objectives.base import Batch, Encoded, Objective


def ranking_loss(similarity: Tensor, truth: Tensor, scale: float = 20.0) -> Tensor:
    """Logistic loss over pairs of an ECG that has a statement and one that lacks it.

    It is averaged over the pairs of a statement, then over statements. Gao & Zhou (IJCAI 2015) prove that this
    surrogate of AUROC is consistent.

    Parameters
    ----------
    similarity : (b, k)
    truth : (b, k)
        1 present, 0 absent, -1 unknown.
    scale : float
        From about 1/scale on, a difference of cosines counts as clear; not tuned.
    """
    lacks = truth == 0
    has, statement = (truth == 1).nonzero(as_tuple=True)
    above = similarity[has, statement] - similarity[:, statement]  # (b, those that have it)
    loss = (F.softplus(-scale * above) * lacks[:, statement]).sum(0)
    pairs = (truth == 1).sum(0) * lacks.sum(0)
    return (loss / pairs.clamp(min=1)[statement]).sum() / (pairs > 0).sum().clamp(min=1)


class Ranking(Objective):
    """`ranking_loss` of the statements."""

    columns = ("statement_truth",)
    banks = True

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        return ranking_loss(encoded.similarity["statement"], batch["statement_truth"])
