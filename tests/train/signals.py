"""Simulated batches for tests of tasks without labels, and how far apart a backbone keeps what they show."""

import numpy as np
import torch
import torch.nn.functional as F
from toy import CONDITIONS

from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokens import token_mask
from ecgclip.simulate import simulate

CONFIG = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, measured=0)


def simulated(count=10, seconds=10):
    """Windows at 100 Hz of patients that go through CONDITIONS, all leads, without padding."""
    ecgs = [simulate(list(CONDITIONS)[i % len(CONDITIONS)], i, seconds, 100) for i in range(count)]
    r_peaks = torch.full((count, 30), torch.nan)
    for row, ecg in zip(r_peaks, ecgs, strict=True):
        peaks = torch.tensor(ecg.metadata["truth"]["r_peaks_s"])
        row[: len(peaks)] = peaks
    return {
        "signal": torch.from_numpy(np.stack([ecg.signal for ecg in ecgs])),
        "mask": torch.ones(count, 12, dtype=torch.bool),
        "length": torch.full((count,), 100 * seconds),
        "r_peaks": r_peaks,
    }


def make(task, sizes, config=CONFIG, backbone=None):
    """The task over a backbone with random weights, always the same; by default the conv-transformer."""
    torch.manual_seed(0)
    return task(backbone or build_backbone(config), config, sizes)


def train(task, batch, steps, lr=3e-3):
    """Train on one batch; the loss of each step."""
    found = []
    optimiser = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=lr)
    for step in range(steps):
        torch.manual_seed(step)
        loss = torch.stack(list(task.train()(batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimiser.step()
        task.after_step(step, steps)
        found.append(loss.item())
    return found


@torch.no_grad()
def losses(task, batch, draws=4):
    """The mean losses in evaluation, over a few draws of what is hidden."""
    task.eval()
    drawn = []
    for seed in range(draws):
        torch.manual_seed(seed)
        drawn.append(task(batch))
    return {name: float(torch.stack([loss[name] for loss in drawn]).mean()) for name in drawn[0]}


@torch.no_grad()
def rank_and_spread(backbone, batch):
    """Effective rank of the ECGs' mean tokens without their mean, and the standard deviation of these at length 1."""
    tokens = backbone.eval()(batch["signal"], batch["mask"], batch["length"])
    is_signal = token_mask(tokens, batch["length"], 100)[..., None]
    means = F.normalize((tokens * is_signal).sum(1) / is_signal.sum(1), dim=1)
    share = F.normalize(torch.linalg.svdvals(means - means.mean(0)), p=1, dim=0)
    return float(torch.special.entr(share).sum().exp()), float(means.std(0).norm())


def sparse(count=4):
    """A batch with one lead in its first ECG, padding in its second, and nothing at all in its last."""
    batch = simulated(count)
    batch["mask"][0, 1:] = False
    batch["mask"][-1] = False
    batch["length"][1], batch["length"][-1] = 437, 0
    batch["r_peaks"][1, batch["r_peaks"][1] > 4.3] = torch.nan
    batch["r_peaks"][-1] = torch.nan
    return batch


def with_other_padding(batch):
    """The same batch with other values in masked leads and behind the end."""
    there = batch["mask"][..., None] & (torch.arange(batch["signal"].shape[-1]) < batch["length"][:, None, None])
    return batch | {"signal": torch.where(there, batch["signal"], torch.full_like(batch["signal"], 7.0))}


def seeded(task, batch):
    """The losses of one draw, in evaluation."""
    torch.manual_seed(1)
    return task.eval()(batch)


def gradients(task, batch, mixed=False):
    """The losses of one step and the gradients of all weights that have any."""
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        drawn = task.train()(batch)
    torch.stack(list(drawn.values())).sum().backward()
    return drawn, [p.grad for p in task.parameters() if p.grad is not None]


class Seen:
    """What a module is given, when it is called next."""

    def __init__(self, module):
        self.arguments = []
        module.register_forward_pre_hook(lambda _, arguments: self.arguments.append(arguments))
