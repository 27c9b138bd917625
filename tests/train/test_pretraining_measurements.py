"""Prediction of measurements: it learns those of a clean ECG from corrupted ones, of what is known alone."""

import pytest
import torch
from signals import train

from ecgclip.measure.vector import feature_names
from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig
from ecgclip.train.collapse import rank, spread
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.views import mean_token

CONFIG = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, dropout=0.0)
N, VALUES = 16, len(feature_names())


def make_task(**sizes):
    torch.manual_seed(0)
    return build_task("measurements", build_backbone(CONFIG), CONFIG, sizes)


def make_batch(samples=400):
    """Waves of a height and a width of each ECG, which are its first two measurements; the others are unknown."""
    draw = torch.Generator().manual_seed(1)
    height, width = 0.5 + torch.rand(N, 1, generator=draw), 0.03 + 0.1 * torch.rand(N, 1, generator=draw)
    time = torch.arange(samples) / 100
    wave = sum(height * (-(((time - 0.4 - 0.8 * k) / width) ** 2)).exp() for k in range(5))
    measured = torch.full((N, VALUES), torch.nan)
    measured[:, :2] = 1000 * torch.cat([height, width], 1)
    leads = 0.5 + torch.rand(12, generator=draw)
    return {
        "signal": wave[:, None] * leads[:, None],
        "mask": torch.ones(N, 12, dtype=torch.bool),
        "length": torch.full((N,), samples),
        "measured": measured,
    }


def test_it_learns_what_is_measured_and_its_tokens_do_not_collapse():
    task, batch = make_task(), make_batch()
    losses = train(task, batch, 80)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    with torch.no_grad():
        means = mean_token(task.eval().backbone, batch["signal"], batch["mask"], batch["length"], 100)
    assert rank(means) > 1.5
    assert spread(means) > 0.05


def test_targets_are_scaled_by_all_that_was_seen():
    task, batch = make_task(), make_batch()
    for part in range(4):
        task({name: column[4 * part : 4 * part + 4] for name, column in batch.items()})
    scaled = task.scaled(batch["measured"])[:, :2]
    torch.testing.assert_close(scaled.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(2), atol=1e-3, rtol=0)
    task.eval()(batch | {"measured": batch["measured"] + 1e6})
    torch.testing.assert_close(task.scaled(batch["measured"])[:, :2], scaled)  # only training moves the scale


def test_what_is_unknown_is_not_in_the_loss_and_what_is_masked_or_padding_not_in_the_prediction():
    task, batch = make_task(lost=0.0, noisy=0.0), make_batch()
    task(batch)["measured"].backward()
    moved = task.predictor.bias.grad != 0
    assert moved[:2].all()
    assert not moved[2:].any()
    task.eval()
    mask = torch.rand(N, 12, generator=torch.Generator().manual_seed(3)) < 0.7
    length = torch.full((N,), 240)
    there = mask[..., None] & (torch.arange(400) < 240)
    losses = [
        task(batch | {"signal": batch["signal"].masked_fill(~there, rubbish), "mask": mask, "length": length})
        for rubbish in (0.0, 7.0, float("nan"))
    ]
    assert losses[0]["measured"] > 0
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("leads_there", [0, 1, 12])
def test_gradients_are_finite_whatever_is_recorded(leads_there):
    task, batch = make_task(), make_batch()
    mask = torch.arange(12).expand(N, 12) < leads_there
    length = torch.tensor([400, 0, 8, 240] * (N // 4))
    with torch.autocast("cpu", torch.bfloat16):
        loss = task(batch | {"mask": mask, "length": length})["measured"]
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
