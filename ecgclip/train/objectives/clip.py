"""clip: rhythm vector and whole report, a symmetric cross-entropy; texts of the same meaning are all positives."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from ecgclip.train.objectives.base import Batch, Encoded, Objective


def clip_loss(ecg: Tensor, text: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy with several positives.

    ecg, text (b, dim) unit vectors; same bool (b, b): text j also describes ECG i.
    """
    logits = ecg @ text.T * scale
    target = same.float()
    by_row = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_column = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (by_row + by_column) / 2


class Clip(Objective):
    """`clip_loss` of the ECGs of a batch that have a text of their own, over all processes."""

    columns = ("reported", "text_ids", "text_mask", "meaning")

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        with torch.set_grad_enabled("statement_vectors" not in batch):  # a locked text encoder learns nothing
            text = encoded.encode(batch["text_ids"], batch["text_mask"])
        ecg, meaning = encoded.features.rhythm[batch["reported"]], batch["meaning"]
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            ecg, text, meaning = _gathered(ecg, text, meaning, len(encoded.features.rhythm))
        return clip_loss(ecg, text, meaning[:, None] == meaning[None], encoded.scale)


def _gathered(ecg: Tensor, text: Tensor, meaning: Tensor, rows: int) -> list[Tensor]:
    """The same of all processes; gathering needs `rows` of each, but not all have as many reports."""
    from open_clip.loss import gather_features

    spare = rows - len(ecg)
    ecg, text = gather_features(
        F.pad(ecg, (0, 0, 0, spare)),
        F.pad(text, (0, 0, 0, spare)),
        local_loss=False,
        gather_with_grad=True,
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
    )
    parts = [torch.zeros(rows, dtype=meaning.dtype, device=meaning.device) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, F.pad(meaning, (0, spare), value=-1))
    meaning = torch.cat(parts)
    return [x[meaning >= 0] for x in (ecg, text, meaning)]
