"""The branch that reads the measurements of a window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig

BINS = 8  # of the range of a measured number


class Measured(nn.Module):
    """The numbers and findings of measure.features → a rhythm vector: what decades of criteria are made of, exact from the first ECG.

    A few thousand ECGs do not teach convolutions to measure: on them, trees over these numbers beat a network over signals.
    A number enters scaled and, as trees see it, by how far it gets through each of `BINS` equally frequent parts of its range
    (piecewise linear encoding, Gorishniy et al., NeurIPS 2022). Members that share the hidden layers, but neither the signs (±1 at first,
    then learnt) of what enters nor the last layer, err apart, so that their mean errs less (TabM-mini, Gorishniy et al., ICLR 2025).
    """

    def __init__(self, config: ECGConfig):
        super().__init__()
        count = len(feature_names())
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("sd", torch.ones(count))
        self.register_buffer("edges", torch.linspace(-2, 2, BINS + 1).repeat(count, 1))
        self.signs = None
        if config.members > 1:
            self.signs = nn.Parameter(torch.randint(0, 2, (config.members, (2 + BINS) * count)) * 2.0 - 1)
        self.layers = nn.Sequential(
            nn.Linear((2 + BINS) * count, config.measured), nn.GELU(), nn.Dropout(3 * config.dropout),
            nn.Linear(config.measured, config.measured), nn.GELU(), nn.Dropout(2 * config.dropout),
            nn.LayerNorm(config.measured), nn.Dropout(2 * config.dropout), nn.Linear(config.measured, config.members * config.dim),
        )  # fmt: skip

    def fit(self, features: Tensor) -> None:
        """Set the scale and the parts from training data, (n, features) with NaN for unknown."""
        known = ~features.isnan()
        count = known.sum(0).clamp(min=1)
        mean = features.nansum(0) / count
        sd = (((features - mean) ** 2).nansum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(sd > 1e-6, sd, torch.ones_like(sd)))
        parts = torch.linspace(0, 1, BINS + 1, device=features.device)
        self.edges.copy_(features.nanquantile(parts, dim=0).T.nan_to_num(0.0))

    def forward(self, features: Tensor) -> Tensor:
        """(b, features), NaN = unknown → rhythm (b, dim) of unit length, as the measurements alone give it."""
        return F.normalize(self.members(features).mean(1), dim=-1)

    def members(self, features: Tensor) -> Tensor:
        """(b, features), NaN = unknown → (b, members, dim): the unit vector of each."""
        low = self.edges[:, :-1]
        size = (self.edges[:, 1:] - low).clamp(min=1e-6)  # a value that is as frequent as a whole part leaves it empty
        through = ((features[..., None] - low) / size).clamp(0, 1).flatten(1)
        scaled = ((features - self.mean) / self.sd).clamp(-4, 4)
        known = torch.cat([scaled, features.isnan().to(scaled.dtype), through], 1).nan_to_num(0.0)
        known = known[:, None] * (1.0 if self.signs is None else self.signs)
        hidden, last = self.layers[:-1](known), self.layers[-1]
        weight, bias = (p.unflatten(0, (known.shape[1], -1)) for p in (last.weight, last.bias))
        return F.normalize((torch.einsum("bmw,mdw->bmd", hidden, weight) + bias).float(), dim=-1)
