"""Prediction of what `measure` finds in a clean ECG, from a part of its leads or with noise.

    ECG ──measure──▶ numbers and findings (b, measurements) ──scaled──▶ target ┐
      │ leads lost, noise                                                      ├─▶ Huber loss of those that are known
      └──▶ corrupted ──backbone──▶ tokens ──mean, largest──▶ linear ───────────┘

A few thousand ECGs with labels do not teach convolutions to measure, but what is measured labels every ECG with
hundreds of values: intervals, and heights, widths and slopes of each lead. So the backbone is distilled (Hinton,
Vinyals and Dean, 2015) from code instead of from a network. As it sees fewer leads and more noise than the code does,
it learns to guess what it cannot measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.measurements import MAX_SD
from ecgclip.networks.tokens import token_mask
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.views import add_noise, lose_leads, mean_of, shown, uniform

SAME = 1e-6  # standard deviation below which a measurement is the same in all ECGs


@dataclass(frozen=True)
class MeasurementsSizes:
    """Sizes of the task.

    Parameters
    ----------
    lost
        How often leads are lost; how many is drawn, up to all but one.
    noisy
        How often noise is added.
    snr_db
        Range of its signal-to-noise ratio, in dB.
    """

    lost: float = 0.3
    noisy: float = 0.5
    snr_db: tuple[float, float] = (6.0, 24.0)


class Measurements(Task):
    """The backbone predicts the measurements of the whole window."""

    columns = ("signal", "mask", "length", "measured")
    sizes: MeasurementsSizes
    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: MeasurementsSizes = MeasurementsSizes()):
        super().__init__(backbone, config, sizes)
        values = len(feature_names())
        self.norm = nn.LayerNorm(2 * config.width)
        self.predictor = nn.Linear(2 * config.width, values)
        for name in ("count", "mean", "squares"):  # of what was seen until now, to scale the targets
            self.register_buffer(name, torch.zeros(values))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: the columns; the loss `measured` is the mean over all known measurements, in standard deviations."""
        signal, mask, length, measured = shown({name: batch[name] for name in self.columns}).values()
        if self.training:
            self._learn_scale(measured)
        target, known = self.scaled(measured), ~measured.isnan() & (self.count > 1)
        mask = torch.where(self._drawn(mask, self.sizes.lost)[:, None], lose_leads(mask, 1.0), mask)
        snr_db = uniform(len(mask), self.sizes.snr_db, mask.device)
        snr_db = snr_db.masked_fill(~self._drawn(mask, self.sizes.noisy), math.inf)
        signal = add_noise(signal, mask, length, snr_db, self.config.sampling_rate)
        error = F.smooth_l1_loss(self.predict(signal, mask, length), target, reduction="none")
        return {"measured": error.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)}

    def predict(self, signal: Tensor, mask: Tensor, length: Tensor) -> Tensor:
        """Predict the scaled measurements, float32 (b, measurements).

        signal (b, 12, samples) mV, mask bool (b, 12), length int (b,)
        """
        tokens = self.backbone(signal, mask, length).float()
        there = token_mask(tokens, length, self.config.sampling_rate)
        largest = tokens.masked_fill(~there[..., None], -math.inf).amax(1)
        return self.predictor(self.norm(torch.cat([mean_of(tokens, there), largest], 1))).float()

    def scaled(self, measured: Tensor) -> Tensor:
        """Measurements (b, measurements) in standard deviations from the mean of what was seen; 0 where unknown."""
        sd = (self.squares / self.count.clamp(min=1)).sqrt()
        scaled = (measured - self.mean) / torch.where(sd > SAME, sd, 1.0)
        return scaled.nan_to_num(0.0).clamp(-MAX_SD, MAX_SD)

    @torch.no_grad()
    def _learn_scale(self, measured: Tensor) -> None:
        """Add a batch (b, measurements) to mean and squared deviations (Chan, Golub and LeVeque, 1979)."""
        known = ~measured.isnan()
        count, total = known.sum(0), self.count + known.sum(0)
        mean = measured.nansum(0) / count.clamp(min=1)
        squares = (measured - mean).square().nansum(0)
        shift = (mean - self.mean) * (count > 0)
        self.squares += squares + shift.square() * self.count * count / total.clamp(min=1)
        self.mean += shift * count / total.clamp(min=1)
        self.count += count

    @staticmethod
    def _drawn(mask: Tensor, chance: float) -> Tensor:
        """Which rows of a mask (b, 12) are drawn, bool (b,)."""
        return torch.rand(len(mask), device=mask.device) < chance
