"""The ECG encoder: a prepared window becomes tokens, heartbeats and one rhythm vector.

    signal (b, 12, 1000) mV + lead mask ──backbone──▶ tokens (b, 125, width)
                                                        ├─ beat head ───▶ beats (b, n, dim), one for each R peak
                                                        └─ rhythm head ─▶ rhythm (b, dim), of tokens, beats, intervals
    measurements of the window ────────── branch ──────────────────────  + rhythm (b, dim): both are weighted and added

The three scales are those of MELP (Wang et al., ICML 2025); its beats are learned queries, ours are real heartbeats.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig, ECGFeatures
from ecgclip.networks.heads import AttentionPool, BeatHead, MedianBeat
from ecgclip.networks.intervals import STATISTICS, rr_statistics
from ecgclip.networks.measurements import MeasurementBranch
from ecgclip.networks.tokens import token_mask

POOL_HEADS = 8
OLDER_PARTS = ("stem.", "position", "layers.")


class ECGEncoder(nn.Module):
    """Encodes windows of up to 10 s, with any leads and any number of beats."""

    signal_weight: Tensor

    def __init__(self, config: ECGConfig = ECGConfig()):
        super().__init__()
        self.config = config
        width = config.width
        self.backbone = build_backbone(config)
        self.beat_head = BeatHead(config)
        self.beat_out = nn.Linear(width, config.dim)
        self.token_pool, self.beat_pool = AttentionPool(width, POOL_HEADS), AttentionPool(width, POOL_HEADS)
        self.average_beat = MedianBeat(config)
        self.statistics = nn.Sequential(nn.Linear(STATISTICS, 64), nn.GELU(), nn.Linear(64, 64))
        self.dropout = nn.Dropout(2 * config.dropout)
        self.norm, self.rhythm_out = nn.LayerNorm(4 * width + 64), nn.Linear(4 * width + 64, config.dim)
        self.measured = MeasurementBranch(config) if config.measured else None
        self.register_buffer("signal_weight", torch.ones(()))  # of the signal beside the measurements
        self.register_load_state_dict_pre_hook(_rename_older)

    def forward(
        self,
        signal: Tensor,
        mask: Tensor,
        r_peaks: Tensor,
        length: Tensor | None = None,
        measurements: Tensor | None = None,
    ) -> ECGFeatures:
        """Encode a batch of windows.

        Parameters
        ----------
        signal : float32 (b, 12, samples), mV
            Sampled at config.sampling_rate.
        mask : bool (b, 12)
            True = recorded.
        r_peaks : float32 (b, n)
            In seconds from the window's start, NaN = padding.
        length : int (b,)
            Samples before the padding; None if there is no padding.
        measurements : float32 (b, measurements)
            In the order of measurements.input_names, NaN = unknown; None for the signal alone.

        Returns
        -------
        ECGFeatures
            beats (b, n + beat_queries, dim) and rhythm (b, dim), of unit length.
        """
        return self.with_views(signal, mask, r_peaks, length, measurements, views=0)[0]

    def with_views(
        self,
        signal: Tensor,
        mask: Tensor,
        r_peaks: Tensor,
        length: Tensor | None = None,
        measurements: Tensor | None = None,
        views: int = 2,
    ) -> tuple[ECGFeatures, list[Tensor]]:
        """Encode as `forward` does, with more views of each rhythm vector (MERL, Liu et al., ICML 2024).

        Returns
        -------
        features : ECGFeatures
            The same as `forward` returns.
        views : list of float32 (b, dim)
            More rhythm vectors, each under its own dropout of the pooled features.
        """
        tokens, is_signal = self.tokens(signal, mask, length)
        beats, beat_mask = self.beat_head(tokens, is_signal, r_peaks)
        mean = (tokens * is_signal[..., None]).sum(1) / is_signal.sum(1, keepdim=True).clamp(min=1)
        statistics = self.statistics(rr_statistics(r_peaks).to(tokens.dtype))
        median_beat = self.average_beat(signal, mask, r_peaks)
        pooled = [self.token_pool(tokens, is_signal), mean, self.beat_pool(beats, beat_mask), median_beat, statistics]
        rhythm, *others = self._rhythm_vectors(pooled, measurements, 1 + views)
        unit_beats = F.normalize(self.beat_out(beats).float(), dim=-1)
        return ECGFeatures(unit_beats, beat_mask, rhythm), others

    def tokens(self, signal: Tensor, mask: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the tokens of a batch; the arguments are those of `forward`.

        Returns
        -------
        tokens : (b, t, width)
            One for each TOKEN_S.
        token_mask : bool (b, t)
            True = signal, False = padding.
        """
        tokens = self.backbone(signal, mask, length)
        return tokens, token_mask(tokens, length, self.config.sampling_rate)

    def _rhythm_vectors(self, pooled: list[Tensor], measurements: Tensor | None, count: int) -> list[Tensor]:
        """Pooled features, each (b, its width) → `count` unit vectors (b, dim), each under its own dropout."""
        features = self.norm(torch.cat([part.to(pooled[-1].dtype) for part in pooled], 1))
        vectors = [F.normalize(self.rhythm_out(self.dropout(features)).float(), dim=-1) for _ in range(count)]
        if self.measured is None or measurements is None:
            return vectors
        by_measurements = self.measured(measurements)
        return [F.normalize(by_measurements + self.signal_weight * vector, dim=-1) for vector in vectors]


def _rename_older(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Until version 0.7 the parts of the conv-transformer, then the only backbone, were parts of the encoder."""
    for name in [name for name in state if name.startswith(tuple(prefix + part for part in OLDER_PARTS))]:
        state[f"{prefix}backbone.{name.removeprefix(prefix)}"] = state.pop(name)
