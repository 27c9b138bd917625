"""The ECG encoder: a prepared window becomes tokens, heartbeats and one rhythm vector.

    signal (b, 12, 1000) mV + lead mask ──stem──▶ tokens (b, 125, width)
                                                    ├─ beat head ───▶ beats (b, n, dim), one for each R peak
                                                    └─ rhythm head ─▶ rhythm (b, dim), from tokens, beats and R-R intervals
    what is measured in the window ────────────────────────────────── + rhythm (b, dim): the two are weighed and added

The three scales are those of MELP (Wang et al., ICML 2025); its beats are learned queries, ours are real heartbeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.ecg import EcgclipError
from ecgclip.measure import feature_names


@dataclass(frozen=True)
class ECGConfig:
    """Sizes of the ECG encoder. `sampling_rate` is Hz; a token stands for TOKEN_S at any rate. Raises EcgclipError for what cannot be built."""

    sampling_rate: int = 100
    width: int = 128  # of a token
    channels: tuple[int, ...] = (32, 64, 96)  # of the stem's stages before the last
    layers: int = 1  # transformer blocks over the tokens
    beat_layers: int = 1  # transformer blocks over the beats
    heads: int = 4
    beat_queries: int = 4  # learned stand-ins where no R peak is found
    dim: int = 256  # of the embedding space shared with text
    measured: int = 256  # width of the measurements' branch; 0 leaves them out
    members: int = 1  # networks in it that share their hidden layers
    dropout: float = 0.1

    def __post_init__(self):
        if self.sampling_rate < 100 or self.sampling_rate % 50:  # else a token does not stand for TOKEN_S
            raise EcgclipError(f"ecg.sampling_rate {self.sampling_rate}: give a multiple of 50 Hz, 100 or more")
        if self.members < 1:
            raise EcgclipError(f"ecg.members {self.members}: give 1 or more")
        if len(self.channels) != 3:
            raise EcgclipError(f"ecg.channels {self.channels}: give three, of the stem's stages before the last")


TOKEN_S = 0.08
BEAT_OFFSETS_S = (-0.24, -0.16, -0.08, 0.0, 0.08, 0.16, 0.24, 0.32, 0.40)  # P wave to the end of T
BEAT_BEFORE_S, BEAT_AFTER_S = 0.32, 0.48  # of R, in the average beat
MEDIAN_OF = 16  # beats at most, the first ones
RR_CLIP_S = 3.0
BINS = 8  # of the range of a measured number


@dataclass
class ECGFeatures:
    """What the encoder gives; every vector of `rhythm` and `beats` has unit length.

    tokens (b, t, width), token_mask (b, t) True = real signal, beats (b, n, dim), beat_mask (b, n), rhythm (b, dim).
    """

    tokens: Tensor
    token_mask: Tensor
    beats: Tensor
    beat_mask: Tensor
    rhythm: Tensor

    @classmethod
    def cat(cls, parts: Sequence[ECGFeatures]) -> ECGFeatures:
        """Those of several batches, on the CPU; all of them with as many beats."""
        return cls(*(torch.cat([getattr(p, f).cpu() for p in parts]) for f in cls.__dataclass_fields__))


class ResidualBlock(nn.Module):
    """Two convolutions and a squeeze-and-excitation gate; the first one may shorten the signal."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dropout: float):
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.gate = nn.Sequential(nn.Linear(outputs, outputs // 8), nn.ReLU(), nn.Linear(outputs // 8, outputs))
        self.dropout = nn.Dropout1d(dropout)  # whole channels
        self.skip = nn.Sequential(
            nn.AvgPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
            nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(self.dropout(y)))
        y = y * self.gate(y.mean(-1)).sigmoid()[..., None]
        return F.relu(y.add_(self.skip(x)), inplace=True)


class Attention(nn.Module):
    """A pre-norm transformer block; `mask` (b, n) True = may be attended to."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if torch.is_grad_enabled():
            # written out: in bfloat16 on a CPU the fused kernel's backward pass takes three times as long
            score = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            y = score.masked_fill(~mask[:, None, None, :], -1e4).softmax(-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask[:, None, None, :])
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.norm2(x)))


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


class Stem(nn.Module):
    """signal (b, 12, samples) mV, mask (b, 12) → tokens (b, t, width), one for each 0.08 s."""

    def __init__(self, config: ECGConfig):
        super().__init__()
        widths = (*config.channels, config.width)
        first = round(config.sampling_rate * TOKEN_S / 4)  # the blocks shorten by another 2 × 2 × 1
        kernel = 2 * (config.sampling_rate * 7 // 100) + 1
        self.enter = nn.Conv1d(12, widths[0], kernel, first, kernel // 2)
        self.presence = nn.Linear(
            12, widths[0], bias=False
        )  # which leads there are, so that zeros are not read as a flat line
        self.norm = nn.BatchNorm1d(widths[0])
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(a, b, kernel, stride, config.dropout)
                for a, b, kernel, stride in zip(widths[:-1], widths[1:], (7, 5, 5), (2, 2, 1), strict=True)
            )
        )

    def forward(self, signal: Tensor, mask: Tensor) -> Tensor:
        mask = mask.to(signal.dtype)
        x = self.enter(signal * mask[..., None]) + self.presence(mask)[..., None]
        return self.blocks(F.relu(self.norm(x), inplace=True)).transpose(1, 2)


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
