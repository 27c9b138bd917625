"""views: two dropout masks of one ECG against those of the others (MERL's uni-modal alignment).

ECGs that share statements are positives in proportion (the clinical similarity of CLEF), and so end up close together.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ecgclip.train.objectives.base import Batch, Encoded, Objective


def view_loss(one: Tensor, other: Tensor, alike: Tensor, scale: float = 10.0) -> Tensor:
    """Cross-entropy with soft targets; one, other (b, dim): two views of the same ECGs, alike (b, b): 0 to 1."""
    target = alike**2
    target.fill_diagonal_(1.0)
    target = target / target.sum(1, keepdim=True)
    logits = one @ other.T * scale
    return -(target * (logits.log_softmax(1) + logits.T.log_softmax(1))).sum(1).mean() / 2


def clinical_similarity(present: Tensor, weight: Tensor) -> Tensor:
    """Cosine of weighted sets of statements; 0 for an empty set.

    present bool (b, k), weight (k,) → (b, b).
    """
    sets = F.normalize(present.float() * weight.sqrt(), dim=1)
    return sets @ sets.T


class Views(Objective):
    """`view_loss` of two views, alike by the statements of their ECGs, the rare ones above all."""

    columns = ("present", "rarity")
    views = 2

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        alike = clinical_similarity(batch["present"], batch["rarity"])
        return view_loss(encoded.views[0].float(), encoded.views[1].float(), alike)
