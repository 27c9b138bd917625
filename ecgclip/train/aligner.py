"""The model and its losses."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.model.clip import ECGCLIP
from ecgclip.train.loop import _gather, _world
from ecgclip.train.losses import (
    SigmoidBank,
    attended_similarity,
    clinical_similarity,
    clip_loss,
    ranking_loss,
    synonym_loss,
    view_loss,
)


class Aligner(nn.Module):
    """The model and its losses: one forward pass of a batch gives every loss by name."""

    def __init__(self, model: ECGCLIP, taught: float):
        super().__init__()
        model.build_text()
        self.model, self.taught = model, taught  # the teacher's share of the say
        self.statements, self.findings, self.beats = SigmoidBank(), SigmoidBank(), SigmoidBank()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """→ each loss whose weight is above 0."""
        from open_clip.loss import gather_features

        on = {k for k, w in weights.items() if w > 0}
        rank, world = _world()
        given = (batch.get(name) for name in ("signal", "mask", "r_peaks", "length", "measured"))
        features, views = self.model.ecg.with_views(*given, views=2 if "views" in on else 0)
        losses = {}
        if on & {"statements", "ranking", "findings", "beats"}:
            concept, finding = self._bank(batch, "statement"), self._bank(batch, "finding")
            with torch.autocast(concept.device.type, enabled=False):  # bfloat16 ties what a scale of 60 tells apart
                similarity, found = (features.rhythm.float() @ bank.float().T for bank in (concept, finding))
            if "statements" in on:
                losses["statements"] = self.statements(
                    similarity, batch["statement_truth"], batch["statement_soft"], self.taught
                )
            if "ranking" in on:
                losses["ranking"] = ranking_loss(similarity, batch["statement_truth"])
            if "findings" in on:
                losses["findings"] = self.findings(found, batch["finding_truth"])
            if "beats" in on:
                bank = torch.cat([concept, finding])
                truth = torch.cat([batch["statement_truth"], batch["finding_truth"]], 1)
                local = self.beats(attended_similarity(features.beats, features.beat_mask, bank), truth)
                n = batch["r_peaks"].shape[1]
                annotated = batch["beat_truth"].amax(-1) >= 0  # (b, n)
                if annotated.any():
                    beats = features.beats[:, :n][annotated] @ concept[batch["beat_columns"]].T
                    local = local + self.beats(beats, batch["beat_truth"][annotated])
                losses["beats"] = local
        if "clip" in on:
            reported = batch["reported"]  # rows of the batch that have a text of their own
            with torch.set_grad_enabled("statement_vectors" not in batch):
                text = self.model.text(batch["text_ids"], batch["text_mask"])
            ecg, meaning = features.rhythm[reported], batch["meaning"]
            if world > 1:
                # gathering needs as many rows of each process, but not all processes have as many reports
                spare = len(features.rhythm) - len(reported)
                ecg, text = gather_features(
                    F.pad(ecg, (0, 0, 0, spare)),
                    F.pad(text, (0, 0, 0, spare)),
                    local_loss=False,
                    gather_with_grad=True,
                    rank=rank,
                    world_size=world,
                )
                meaning = _gather(F.pad(meaning, (0, spare), value=-1), world)
                ecg, text, meaning = (x[meaning >= 0] for x in (ecg, text, meaning))
            losses["clip"] = clip_loss(
                ecg, text, meaning[:, None] == meaning[None], self.log_scale.exp().clamp(max=100)
            )
        if "synonyms" in on and "synonym_ids" in batch:
            losses["synonyms"] = synonym_loss(
                self.model.text(batch["synonym_ids"], batch["synonym_mask"]).unflatten(0, (2, -1))
            )
        if "views" in on:
            alike = clinical_similarity(batch["present"], batch["rarity"])
            losses["views"] = view_loss(views[0].float(), views[1].float(), alike)
        return losses

    def _bank(self, batch: dict[str, Tensor], name: str) -> Tensor:
        if f"{name}_vectors" in batch:
            return batch[f"{name}_vectors"]
        return self.model.text(batch[f"{name}_ids"], batch[f"{name}_mask"])
