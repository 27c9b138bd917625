"""Reconstruction of leads: it learns what leads have in common, of hidden leads alone, and no limb lead is for free."""

import pytest
import torch
from signals import train

from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig
from ecgclip.train.collapse import rank, spread
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.reconstruct import LIMB, ReconstructSizes, draw_shown, relative_error

CONFIG = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, dropout=0.0)
ALL = torch.ones(8, 12, dtype=torch.bool)


def make_task(**sizes):
    torch.manual_seed(0)
    return build_task("reconstruct", build_backbone(CONFIG), CONFIG, sizes)


def make_partly_trained():
    """Its predictions depend on its tokens, as they do from the first step on."""
    task = make_task()
    torch.nn.init.normal_(task.decoder.weight, std=0.1)
    return task.eval()


def leads(n=8, samples=400):
    """Two sources of waves with their own times and heights, mixed into twelve leads, float32 (n, 12, samples) mV."""
    draw = torch.Generator().manual_seed(1)
    time = torch.arange(samples) / 100
    first = torch.rand(n, 1, generator=draw)
    waves = [
        sum((-(((time - first - 0.8 * k - late) / width) ** 2)).exp() for k in range(-1, 6))
        for late, width in ((0.0, 0.03), (0.3, 0.08))
    ]
    sources = torch.stack(waves, 1) * (0.5 + torch.rand(n, 2, 1, generator=draw))
    signs = torch.randn(12, 2, generator=draw).sign()
    return signs * (0.5 + torch.rand(12, 2, generator=draw)) @ sources


def batch(signal, mask=None, length=None):
    n, _, samples = signal.shape
    mask = torch.ones(n, 12, dtype=torch.bool) if mask is None else mask
    return {"signal": signal, "mask": mask, "length": torch.full((n,), samples) if length is None else length}


def test_it_learns_and_its_tokens_do_not_collapse():
    task, signal = make_task(), leads()
    losses = train(task, batch(signal), 40, lr=1e-2)
    assert losses[0] < 1.5
    assert sum(losses[-10:]) / 10 < 0.5, "1 is what the mean of each lead gives"
    with torch.no_grad():
        means = task.eval().backbone(signal, ALL, None).mean(1)
    assert rank(means) > 1.5
    assert spread(means) > 0.05


def test_a_limb_lead_that_follows_from_others_is_never_hidden():
    torch.manual_seed(0)
    mask = (torch.rand(4000, 12) < 0.8) | (torch.arange(12) == 3)
    shown = draw_shown(mask, ReconstructSizes())
    assert (shown <= mask).all()
    assert shown.any(1).all()
    limb, there = shown[:, :LIMB].sum(1), mask[:, :LIMB].sum(1)
    assert ((limb <= 1) | (limb == there)).all()
    kinds = [(limb == 0), (limb == 1), (limb == there) & (there > 1)]
    assert all(kind.float().mean() > 0.1 for kind in kinds)
    assert (mask & ~shown)[:, LIMB:].any(1).float().mean() > 0.8
    of_one = draw_shown(torch.eye(12, dtype=torch.bool), ReconstructSizes())
    assert (of_one == torch.eye(12, dtype=torch.bool)).all()


def test_the_error_is_that_of_the_mean_for_the_mean_and_none_for_the_signal():
    signal, length = leads(2), torch.tensor([400, 250])
    mean = torch.stack([signal[0].mean(-1), signal[1, :, :250].mean(-1)])[..., None].expand_as(signal)
    torch.testing.assert_close(relative_error(mean, signal, length), torch.ones(2, 12))
    assert (relative_error(signal, signal, length) == 0).all()
    flat = torch.zeros_like(signal)
    assert relative_error(flat + 0.01, flat, length).max() < 0.1, "a flat lead is no division by nothing"


def test_hidden_leads_are_not_looked_at_and_only_they_are_in_the_loss(monkeypatch):
    task, signal = make_partly_trained(), leads(4)
    shown = torch.zeros(4, 12, dtype=torch.bool)
    shown[:, [0, 6]] = True
    other = torch.where(shown[..., None], signal, signal.flip(-1) + 1)
    torch.testing.assert_close(task.predict(signal, shown), task.predict(other, shown))
    monkeypatch.setattr("ecgclip.train.pretraining.reconstruct.draw_shown", lambda mask, sizes: shown)
    task.decoder.weight.requires_grad_(False)
    task(batch(signal))["reconstruction"].backward()
    by_lead = task.decoder.bias.grad.view(12, -1).abs().sum(1)
    assert ((by_lead > 0) == ~shown[0]).all()


def test_what_is_masked_or_padding_changes_nothing():
    task, signal = make_partly_trained(), leads(4)
    mask, length = (
        torch.rand(4, 12, generator=torch.Generator().manual_seed(3)) < 0.7,
        torch.tensor([400, 320, 240, 399]),
    )
    losses = []
    for rubbish in (0.0, 7.0, float("nan")):
        there = mask[..., None] & (torch.arange(400) < length[:, None, None])
        torch.manual_seed(5)
        losses.append(task(batch(signal.masked_fill(~there, rubbish), mask, length))["reconstruction"])
    assert losses[0].item() > 0
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("leads_there", [0, 1, 12])
def test_gradients_are_finite_whatever_is_recorded(leads_there):
    task, mask = make_partly_trained().train(), torch.arange(12).expand(3, 12) < leads_there
    inputs = batch(leads(3), mask, torch.tensor([400, 0, 8]))
    with torch.autocast("cpu", torch.bfloat16):
        loss = task(inputs)["reconstruction"]
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
    if leads_there == 1:
        assert loss.item() == 0, "there is nothing to hide"


def test_a_signal_that_is_no_multiple_of_a_token_is_predicted_whole():
    task = make_task()
    assert task.predict(torch.zeros(2, 12, 333), ALL[:2]).shape == (2, 12, 333)
