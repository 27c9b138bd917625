"""The heads of the ECG encoder: a vector for each heartbeat, one for the median beat, and attention pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import (
    BEAT_AFTER_S,
    BEAT_BEFORE_S,
    BEAT_OFFSETS_S,
    MEDIAN_BEATS,
    TOKEN_S,
    ECGConfig,
)
from ecgclip.networks.intervals import BEAT_FEATURES, rr_features
from ecgclip.networks.transformer import MASKED_SCORE, TransformerBlock, masked_attention


class BeatHead(nn.Module):
    """A vector for each heartbeat, from the tokens around its R peak and the R-R intervals on both sides.

    Learned queries stand in for the beats of a window without R peaks.
    """

    def __init__(self, config: ECGConfig):
        super().__init__()
        width = config.width
        self.near = nn.Linear(len(BEAT_OFFSETS_S) * width, width)
        self.intervals = nn.Sequential(nn.Linear(BEAT_FEATURES, 64), nn.GELU(), nn.Linear(64, width))
        self.queries = nn.Parameter(torch.randn(config.beat_queries, width) * 0.02)
        self.query_pool = QueryPool(width, config.heads)
        self.layers = nn.ModuleList(
            TransformerBlock(width, config.heads, config.dropout) for _ in range(config.beat_layers)
        )

    def forward(self, tokens: Tensor, token_mask: Tensor, r_peaks: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the tokens by beats.

        Parameters
        ----------
        tokens : (b, t, width)
        token_mask : bool (b, t)
            True = signal.
        r_peaks : (b, n)
            In seconds from the window's start, NaN = padding.

        Returns
        -------
        beats : (b, n + queries, width)
        beat_mask : bool (b, n + queries)
            True for a beat; for the queries only where a window has no R peak.
        """
        beats = self.near(tokens_around(tokens, r_peaks)) + self.intervals(rr_features(r_peaks).to(tokens.dtype))
        beats = torch.cat([beats, self.query_pool(self.queries, tokens, token_mask).to(beats.dtype)], 1)
        is_beat = ~r_peaks.isnan()
        without_beats = ~is_beat.any(1, keepdim=True)
        beat_mask = torch.cat([is_beat, without_beats.expand(-1, len(self.queries))], 1)
        for layer in self.layers:
            beats = layer(beats, beat_mask)
        return beats, beat_mask


def tokens_around(tokens: Tensor, r_peaks: Tensor) -> Tensor:
    """tokens (b, t, width), r_peaks (b, n) seconds → tokens interpolated at BEAT_OFFSETS_S, (b, n, offsets · width)."""
    at = r_peaks.nan_to_num()[..., None] + torch.tensor(BEAT_OFFSETS_S, device=tokens.device)  # (b, n, offsets)
    position = (at / TOKEN_S - 0.5).clamp(0, tokens.shape[1] - 1)
    # linear interpolation as a matrix product: indexing would be slow to differentiate
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    weight = (1 - (position[..., None] - steps).abs()).clamp(min=0).to(tokens.dtype)  # (b, n, offsets, t)
    around = (weight.flatten(1, 2) @ tokens).unflatten(1, at.shape[1:])  # (b, n, offsets, width)
    return around.flatten(2)


class MedianBeat(nn.Module):
    """A vector of the median beat, cut out around R: intervals, voltages, ST and T stand at fixed places in it.

    It is what a cardiologist measures, and the criteria that speak of a single complex are almost linear in it.
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
        """signal (b, 12, samples) mV, mask bool (b, 12), r_peaks (b, n) s with NaN = padding → (b, width)."""
        median = self._median(signal, r_peaks)
        present = mask.to(median.dtype)[..., None].expand_as(median)
        return self.shape(torch.cat([median * present, present], 1))

    def _median(self, signal: Tensor, r_peaks: Tensor) -> Tensor:
        """(b, 12, samples of a beat) mV, zeros where no beat lies within the signal from beginning to end."""
        r_peaks = F.pad(r_peaks, (0, MEDIAN_BEATS), value=torch.nan)[:, :MEDIAN_BEATS]
        peaks = (r_peaks * self.rate).nan_to_num(-1e6).round().long()  # (b, n)
        around = torch.arange(-round(BEAT_BEFORE_S * self.rate), round(BEAT_AFTER_S * self.rate), device=signal.device)
        at = peaks[..., None] + around  # (b, n, samples of a beat)
        whole = (at >= 0).all(-1) & (at < signal.shape[-1]).all(-1)
        at = at.clamp(0, signal.shape[-1] - 1)
        rows = torch.arange(signal.shape[0], device=signal.device)[:, None, None]
        beats = signal.transpose(1, 2)[rows, at]  # (b, n, samples of a beat, 12)
        beats = beats.masked_fill(~whole[..., None, None], torch.nan)
        return beats.nanmedian(1).values.nan_to_num(0.0).transpose(1, 2)


class AttentionPool(nn.Module):
    """Attention pooling with one learned score for each head."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score, self.value = nn.Linear(width, heads), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (b, n, width), mask bool (b, n), True = takes part → (b, width)."""
        x = self.norm(x)
        weight = self.score(x).float().masked_fill(~mask[..., None], MASKED_SCORE).softmax(1)  # (b, n, heads)
        value = self.value(x).unflatten(-1, (weight.shape[-1], -1))
        return (weight[..., None] * value).sum(1).flatten(1)


class QueryPool(nn.Module):
    """Learned queries that attend to tokens: the attentional pooler of CoCa (Yu et al., 2022)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """queries (n, width), tokens (b, t, width), mask bool (b, t), True = signal → (b, n, width)."""
        q = self.query(queries).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (heads, n, width / heads)
        k, v = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = masked_attention(q, k, v, mask)
        return self.out(y.transpose(1, 2).flatten(2))
