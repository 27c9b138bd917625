"""Views lose some of the leads that are there, and get the noise that was asked for, nowhere else."""

import math

import pytest
import torch
from toy_beats import toy_ecgs

from ecgclip.train.pretraining.views import add_noise, lose_leads


def test_some_of_the_leads_that_are_there_stay():
    torch.manual_seed(0)
    mask = torch.zeros(400, 12, dtype=torch.bool)
    mask[:, :8] = True
    mask[0], mask[1] = False, torch.arange(12) == 3
    kept = lose_leads(mask, 0.5)
    assert not (kept & ~mask).any()
    assert kept[2:].sum(1).unique().tolist() == [1, 2, 3, 4]
    assert kept[2:, :8].any(0).all()  # any of them may stay
    assert not kept[0].any()
    assert kept[1].sum() == 1  # of one lead, one
    assert lose_leads(mask, 1.0)[2:].sum(1).max() == 8


@pytest.mark.parametrize("rate", [100, 500])
def test_noise_has_the_power_that_was_asked_for_where_something_is_recorded(rate):
    torch.manual_seed(0)
    ecgs = toy_ecgs(6)
    signal, mask, length = ecgs["signal"], ecgs["mask"], ecgs["length"]
    mask[0, 1:], length[1] = False, 150
    signal[0, 1:], signal[1, :, 150:] = 1e3, 1e3  # whatever stands there
    asked = torch.tensor([0.0, 0.0, 6.0, 12.0, 24.0, math.inf])
    noisy = add_noise(signal, mask, length, asked, rate)
    clean = add_noise(signal, mask, length, torch.full((6,), math.inf), rate)
    assert not clean[0, 1:].any() and not clean[1, :, 150:].any()
    assert not noisy[0, 1:].any() and not noisy[1, :, 150:].any()
    power = clean.square().mean((1, 2)) / (noisy - clean).square().mean((1, 2))
    assert torch.allclose(10 * power.log10(), asked, atol=0.01)


def test_noise_of_an_empty_ecg_is_a_number():
    ecgs = toy_ecgs(2)
    noisy = add_noise(ecgs["signal"], ecgs["mask"], torch.tensor([0, 240]), torch.zeros(2), 100)
    assert torch.isfinite(noisy).all() and not noisy[0].any()
