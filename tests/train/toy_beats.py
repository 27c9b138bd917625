"""Toy ECGs for tests of tasks without labels: each has its own rate, width of QRS, T wave, axis and gains."""

import torch
from torch import nn

from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import recorded

CONFIG = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, dropout=0.0)


def toy_ecgs(count: int, seed: int = 0, seconds: float = 2.4) -> dict[str, torch.Tensor]:
    """The columns signal, mask and length of `count` ECGs at 100 Hz, and which have a left axis or a high rate."""
    draw = torch.Generator().manual_seed(seed)
    between = lambda low, high: low + (high - low) * torch.rand(count, 1, generator=draw)
    time_s = torch.arange(round(100 * seconds)) / 100
    rr, width, t = between(0.4, 1.2), between(0.02, 0.07), between(-0.4, 0.4)
    since = (time_s + between(0, 1)) % rr
    beat = torch.exp(-(((since - 0.1) / width) ** 2)) + t * torch.exp(-(((since - 0.35) / 0.06) ** 2))
    left = (torch.rand(count, generator=draw) < 0.5).long()
    axis = (2 * left[:, None, None] - 1) * torch.tensor([1.0, -1.0]).repeat(6)[:, None]
    gain = torch.randn(count, 12, 1, generator=draw) + axis
    samples = len(time_s)
    return {
        "signal": gain * beat[:, None],
        "mask": torch.ones(count, 12, dtype=torch.bool),
        "length": torch.full((count,), samples),
        "left": left,
        "fast": (rr[:, 0] < 0.8).long(),
    }


class TinyBackbone(nn.Module):
    """Two convolutions, as a task takes any backbone: a hundred steps in a second."""

    def __init__(self):
        super().__init__()
        self.patch, self.mix = nn.Conv1d(12, 32, 8, 8), nn.Conv1d(32, CONFIG.width, 3, 1, 1)

    def forward(self, signal, mask, length=None):
        return self.mix(nn.functional.gelu(self.patch(recorded(signal, mask, length)))).transpose(1, 2)


def tiny_backbone(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return TinyBackbone()


def fit(task: nn.Module, draw, steps: int, rate: float = 3e-3) -> list[dict[str, float]]:
    """Train on the batches of `draw`, a function of the step; the losses of each step."""
    optimiser = torch.optim.AdamW((p for p in task.parameters() if p.requires_grad), lr=rate)
    task.train()
    log = []
    for step in range(steps):
        torch.manual_seed(step)
        losses = task(draw(step))
        optimiser.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimiser.step()
        task.after_step(step, steps)
        log.append({name: loss.item() for name, loss in losses.items()})
    return log


def rank_and_spread(vectors: torch.Tensor) -> tuple[float, float]:
    """Effective rank of centred vectors (exponential of the entropy of their singular values), and their deviation."""
    centred = vectors - vectors.mean(0)
    share = torch.linalg.svdvals(centred)
    share = share / share.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum())), float(centred.std(0).mean())
