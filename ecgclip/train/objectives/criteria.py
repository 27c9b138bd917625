"""criteria: the rhythm vector against conditions whose criteria were computed; the target is what these alone say."""

from __future__ import annotations

import torch
from torch import Tensor

from ecgclip.train.objectives.banks import BankObjective
from ecgclip.train.objectives.base import Batch, Encoded


class Criteria(BankObjective):
    """The sigmoid loss with weak labels, probabilities by the criteria; NaN, where nothing is known, is left out."""

    columns = ("criteria_soft",)

    def forward(self, encoded: Encoded, batch: Batch) -> Tensor:
        soft = batch["criteria_soft"]
        return self.bank(encoded.similarity["criteria"], torch.full_like(soft, -1), soft, share=1.0)
