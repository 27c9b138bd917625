"""The heads of the ECG encoder: heartbeats, their R-R intervals, and pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.backbone import Attention
from ecgclip.networks.config import (
    BEAT_AFTER_S,
    BEAT_BEFORE_S,
    BEAT_OFFSETS_S,
    MEDIAN_OF,
    RR_CLIP_S,
    TOKEN_S,
    ECGConfig,
)


class Pool(nn.Module):
    """Attention pooling with one learned score a head: (b, n, width) → (b, width)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score, self.value = nn.Linear(width, heads), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(x)
        weight = self.score(x).float().masked_fill(~mask[..., None], -1e4).softmax(1)  # (b, n, heads)
        value = self.value(x).unflatten(-1, (weight.shape[-1], -1))
        return (weight[..., None] * value).sum(1).flatten(1)


class QueryPool(nn.Module):
    """Learned queries (n, width) attend to tokens (b, t, width) → (b, n, width): CoCa's attentional pooler."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        q = self.query(queries).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (heads, n, width / heads)
        k, v = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        score = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        y = score.masked_fill(~mask[:, None, None, :], -1e4).softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class AverageBeat(nn.Module):
    """The median of the beats, cut out around R, → one vector: intervals, voltages, ST and T stand at fixed places in it.

    It is what a cardiologist measures, and the half of the criteria that speak of a single complex are near to linear in it.
    """

    def __init__(self, config: ECGConfig):
        super().__init__()
        self.rate = config.sampling_rate
        samples = round((BEAT_AFTER_S + BEAT_BEFORE_S) * self.rate)
        self.shape = nn.Sequential(
            nn.Conv1d(24, 48, 5, padding=2), nn.GELU(), nn.Conv1d(48, 64, 5, 2, padding=2), nn.GELU(), nn.Flatten(),
            nn.Dropout(config.dropout), nn.Linear(64 * -(-samples // 2), config.width), nn.GELU(),
        )  # fmt: skip

    def forward(self, signal: Tensor, mask: Tensor, r_peaks: Tensor) -> Tensor:
        """signal (b, 12, samples) mV, mask (b, 12), r_peaks (b, n) s with NaN padding → (b, width)."""
        r_peaks = F.pad(r_peaks[:, :MEDIAN_OF], (0, 1), value=torch.nan)  # one column at the least
        peaks = (r_peaks * self.rate).nan_to_num(-1e6).round().long()  # (b, n)
        around = torch.arange(-round(BEAT_BEFORE_S * self.rate), round(BEAT_AFTER_S * self.rate), device=signal.device)
        at = peaks[..., None] + around  # (b, n, t)
        whole = (at >= 0).all(-1) & (at < signal.shape[-1]).all(-1)
        at = at.clamp(0, signal.shape[-1] - 1)
        rows = torch.arange(len(signal), device=signal.device)[:, None, None]
        beats = signal.transpose(1, 2)[rows, at]  # (b, n, t, 12)
        beats = beats.masked_fill(~whole[..., None, None], torch.nan)
        median = beats.nanmedian(1).values.nan_to_num(0.0).transpose(1, 2)  # (b, 12, t), zeros where no beat is whole
        present = mask.to(median.dtype)[..., None].expand_as(median)
        return self.shape(torch.cat([median * present, present], 1))


class BeatHead(nn.Module):
    """Tokens around each R peak and the R-R intervals on both sides → one vector a heartbeat."""

    def __init__(self, config: ECGConfig):
        super().__init__()
        width = config.width
        self.near = nn.Linear(len(BEAT_OFFSETS_S) * width, width)
        self.intervals = nn.Sequential(nn.Linear(5, 64), nn.GELU(), nn.Linear(64, width))
        self.queries = nn.Parameter(torch.randn(config.beat_queries, width) * 0.02)
        self.query_pool = QueryPool(width, config.heads)
        self.layers = nn.ModuleList(Attention(width, config.heads, config.dropout) for _ in range(config.beat_layers))

    def forward(self, tokens: Tensor, token_mask: Tensor, r_peaks: Tensor) -> tuple[Tensor, Tensor]:
        """r_peaks (b, n) seconds from the window's start, NaN = padding → beats (b, n + queries, width), mask."""
        real = ~r_peaks.isnan()
        at = r_peaks.nan_to_num()[..., None] + torch.tensor(BEAT_OFFSETS_S, device=tokens.device)  # (b, n, offsets)
        position = (at / TOKEN_S - 0.5).clamp(0, tokens.shape[1] - 1)
        # linear interpolation as a matrix product: indexing would be slow to differentiate
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        weight = (1 - (position[..., None] - steps).abs()).clamp(min=0).to(tokens.dtype)  # (b, n, offsets, t)
        around = (weight.flatten(1, 2) @ tokens).unflatten(1, at.shape[1:])  # (b, n, offsets, width)
        beats = self.near(around.flatten(2)) + self.intervals(rr_features(r_peaks).to(tokens.dtype))
        beats = torch.cat([beats, self.query_pool(self.queries, tokens, token_mask).to(beats.dtype)], 1)
        none = ~real.any(1, keepdim=True)
        mask = torch.cat([real, none.expand(-1, len(self.queries))], 1)
        for layer in self.layers:
            beats = layer(beats, mask)
        return beats, mask


def rr_intervals(r_peaks: Tensor) -> Tensor:
    """r_peaks (b, n) seconds, NaN = padding → (b, n + 1): the R-R interval before each beat and after the last, NaN = unknown."""
    return F.pad(r_peaks, (1, 1), value=torch.nan).diff(dim=1).clamp(0.2, RR_CLIP_S)


def rr_features(r_peaks: Tensor) -> Tensor:
    """r_peaks (b, n) seconds, NaN = padding → (b, n, 5): R-R before and after, both over the window's median, and their ratio."""
    rr = rr_intervals(r_peaks)
    median = rr.nanmedian(1, keepdim=True).values.nan_to_num(1.0)
    before, after = rr[:, :-1], rr[:, 1:]
    columns = [before, after, before / median - 1, after / median - 1, (before / after).log()]
    return torch.stack([c.nan_to_num(0.0) for c in columns], -1)


def rr_statistics(r_peaks: Tensor) -> Tensor:
    """r_peaks (b, n) seconds, NaN = padding → (b, 8): rate, spread and irregularity of the R-R intervals, and how many."""
    rr = rr_intervals(r_peaks)
    real = ~rr.isnan()
    count = real.sum(1)
    safe = torch.where(real, rr, torch.zeros_like(rr))
    mean = safe.sum(1) / count.clamp(min=1)
    sd = (torch.where(real, (rr - mean[:, None]) ** 2, safe).sum(1) / count.clamp(min=1)).sqrt()
    step = rr.diff(dim=1)
    steps = (~step.isnan()).sum(1).clamp(min=1)
    jump = step.abs().nan_to_num(0.0)
    relative = mean.clamp(min=0.2)
    median = rr.nanmedian(1).values.nan_to_num(0.0)
    low = torch.where(real, rr, torch.full_like(rr, RR_CLIP_S)).amin(1)
    features = [
        median,
        1 / median.clamp(min=0.2),
        sd / relative,
        (jump**2).sum(1).div(steps).sqrt() / relative,
        (jump > 0.1).sum(1) / steps,
        low / relative.clamp(min=0.2),
        safe.amax(1) / relative,
        count / 10,
    ]
    known = (count >= 2)[:, None]  # below two intervals nothing can be said of rhythm
    return torch.where(known, torch.stack(features, 1), torch.zeros(1, device=rr.device))
