"""The ECG encoder: a prepared window becomes tokens, heartbeats and one rhythm vector.

    signal (b, 12, 1000) mV + lead mask ──stem──▶ tokens (b, 125, width)
                                                    ├─ beat head ───▶ beats (b, n, dim), one for each R peak
                                                    └─ rhythm head ─▶ rhythm (b, dim), from tokens, beats and R-R intervals
    what is measured in the window ────────────────────────────────── + rhythm (b, dim): the two are weighed and added

The three scales are those of MELP (Wang et al., ICML 2025); its beats are learned queries, ours are real heartbeats.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbone import Attention, Stem
from ecgclip.networks.config import TOKEN_S, ECGConfig, ECGFeatures
from ecgclip.networks.heads import AverageBeat, BeatHead, Pool, rr_statistics
from ecgclip.networks.measured import Measured


class ECGEncoder(nn.Module):
    def __init__(self, config: ECGConfig = ECGConfig()):
        super().__init__()
        self.config = config
        width = config.width
        self.stem = Stem(config)
        self.position = nn.Parameter(torch.randn(125, width) * 0.02)
        self.layers = nn.ModuleList(Attention(width, config.heads, config.dropout) for _ in range(config.layers))
        self.beat_head = BeatHead(config)
        self.beat_out = nn.Linear(width, config.dim)
        self.token_pool, self.beat_pool = Pool(width, 8), Pool(width, 8)
        self.average_beat = AverageBeat(config)
        self.statistics = nn.Sequential(nn.Linear(8, 64), nn.GELU(), nn.Linear(64, 64))
        self.dropout = nn.Dropout(2 * config.dropout)
        self.norm, self.rhythm_out = nn.LayerNorm(4 * width + 64), nn.Linear(4 * width + 64, config.dim)
        self.measured = Measured(config) if config.measured else None
        self.register_buffer("signal_weight", torch.ones(()))  # of the signal beside the measurements

    def forward(
        self,
        signal: Tensor,
        mask: Tensor,
        r_peaks: Tensor,
        length: Tensor | None = None,
        measured: Tensor | None = None,
    ) -> ECGFeatures:
        """signal float32 (b, 12, samples) mV, mask bool (b, 12), r_peaks (b, n) s with NaN padding, length (b,) samples,
        measured (b, features) as of measure.features; None: the rhythm vector is that of the signal alone."""
        return self.with_views(signal, mask, r_peaks, length, measured, views=0)[0]

    def with_views(
        self,
        signal: Tensor,
        mask: Tensor,
        r_peaks: Tensor,
        length: Tensor | None = None,
        measured: Tensor | None = None,
        views: int = 2,
    ) -> tuple[ECGFeatures, list[Tensor]]:
        """As forward, and `views` rhythm vectors (b, dim) more, each under its own dropout of the pooled features (MERL)."""
        tokens = self.stem(signal, mask)
        if length is None:
            token_mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        else:
            steps = torch.arange(tokens.shape[1], device=tokens.device)
            token_mask = steps < (length[:, None] / (self.config.sampling_rate * TOKEN_S)).ceil()
        tokens = tokens + self.position[: tokens.shape[1]]
        for layer in self.layers:
            tokens = layer(tokens, token_mask)
        beats, beat_mask = self.beat_head(tokens, token_mask, r_peaks)
        mean = (tokens * token_mask[..., None]).sum(1) / token_mask.sum(1, keepdim=True).clamp(min=1)
        statistics = self.statistics(rr_statistics(r_peaks).to(tokens.dtype))
        average = self.average_beat(signal, mask, r_peaks)
        pooled = [self.token_pool(tokens, token_mask), mean, self.beat_pool(beats, beat_mask), average, statistics]
        pooled = self.norm(torch.cat([p.to(statistics.dtype) for p in pooled], 1))
        vectors = [F.normalize(self.rhythm_out(self.dropout(pooled)).float(), dim=-1) for _ in range(1 + views)]
        if self.measured is not None and measured is not None:
            numbers = self.measured(measured)
            vectors = [F.normalize(numbers + self.signal_weight * v, dim=-1) for v in vectors]
        rhythm, *others = vectors
        unit_beats = F.normalize(self.beat_out(beats).float(), dim=-1)
        return ECGFeatures(tokens, token_mask, unit_beats, beat_mask, rhythm), others
