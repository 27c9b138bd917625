"""The branch of the ECG encoder that reads the measurements of a window: its numbers and findings, and who it is of."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.demographics import DEMOGRAPHICS

BINS = 8  # parts of a measurement's range, equally frequent
MAX_SD = 4.0  # a scaled measurement is clipped to as many standard deviations


def input_names(config: ECGConfig) -> tuple[str, ...]:
    """The names of what the branch reads, in order: those of measure.vector, then age and sex where it reads them."""
    return (*feature_names(), *(DEMOGRAPHICS if config.demographics else ()))


class MeasurementBranch(nn.Module):
    """A network from the measurements of a window (measure.vector) to a rhythm vector.

    A few thousand ECGs do not teach convolutions to measure: on them, trees over these numbers beat a network over
    signals. A number enters scaled and, as trees see it, by how far it gets through each of `BINS` parts of its range
    (piecewise linear encoding, Gorishniy et al., NeurIPS 2022). Members share the hidden layers, but neither the signs
    of what enters (±1 at first, then learnt) nor the last layer. They make different errors, so that their mean errs
    less (TabM-mini, Gorishniy et al., ICLR 2025).

    `measurements` are columns in the order of `input_names`. A branch that reads age and sex takes them as unknown
    where these last columns are left out.
    """

    mean: Tensor
    sd: Tensor
    edges: Tensor

    def __init__(self, config: ECGConfig):
        super().__init__()
        count = len(input_names(config))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("sd", torch.ones(count))
        self.register_buffer("edges", torch.linspace(-2, 2, BINS + 1).repeat(count, 1))
        inputs, width = (2 + BINS) * count, config.measured
        self.signs = None
        if config.members > 1:
            self.signs = nn.Parameter(torch.randint(0, 2, (config.members, inputs)) * 2.0 - 1)
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.GELU(), nn.Dropout(3 * config.dropout),
            nn.Linear(width, width), nn.GELU(), nn.Dropout(2 * config.dropout),
            nn.LayerNorm(width), nn.Dropout(2 * config.dropout), nn.Linear(width, config.members * config.dim),
        )  # fmt: skip

    def fit(self, measurements: Tensor) -> None:
        """Set scale and edges of the parts from training data, (n, measurements) with NaN = unknown."""
        count = (~measurements.isnan()).sum(0).clamp(min=1)
        mean = measurements.nansum(0) / count
        sd = (((measurements - mean) ** 2).nansum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(sd > 1e-6, sd, torch.ones_like(sd)))
        shares = torch.linspace(0, 1, BINS + 1, device=measurements.device)
        self.edges.copy_(measurements.nanquantile(shares, dim=0).T.nan_to_num(0.0))

    def forward(self, measurements: Tensor) -> Tensor:
        """(b, measurements), NaN = unknown → rhythm vectors (b, dim) of unit length."""
        return F.normalize(self.members(measurements).mean(1), dim=-1)

    def members(self, measurements: Tensor) -> Tensor:
        """(b, measurements), NaN = unknown → the unit vector of each member, (b, members, dim)."""
        encoded = self._encoded(measurements)[:, None] * (1.0 if self.signs is None else self.signs)
        hidden, last = self.layers[:-1](encoded), cast(nn.Linear, self.layers[-1])
        weight, bias = (p.unflatten(0, (encoded.shape[1], -1)) for p in (last.weight, last.bias))
        return F.normalize((torch.einsum("bmw,mdw->bmd", hidden, weight) + bias).float(), dim=-1)

    def _encoded(self, measurements: Tensor) -> Tensor:
        """(b, measurements) → (b, (2 + BINS) · measurements): scaled, whether unknown, and parts of the range."""
        if left_out := len(self.edges) - measurements.shape[1]:
            measurements = F.pad(measurements, (0, left_out), value=torch.nan)
        low = self.edges[:, :-1]
        # a value that is as frequent as a whole part leaves that part empty
        size = (self.edges[:, 1:] - low).clamp(min=1e-6)
        through = ((measurements[..., None] - low) / size).clamp(0, 1).flatten(1)
        scaled = ((measurements - self.mean) / self.sd).clamp(-MAX_SD, MAX_SD)
        return torch.cat([scaled, measurements.isnan().to(scaled.dtype), through], 1).nan_to_num(0.0)
