"""Rank and spread: both fall where a backbone collapses, and padding is none of their business."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig
from ecgclip.train.collapse import mean_tokens, rank, spread


def test_rank_counts_the_directions_that_are_used_alike():
    assert rank(torch.ones(50, 8)) == pytest.approx(1)
    assert rank(torch.eye(8).repeat(6, 1)) == pytest.approx(8)
    assert rank(torch.eye(8)[:3].repeat(6, 1)) == pytest.approx(3)
    assert 1 < rank(torch.diag(torch.tensor([9.0, 1.0]))) < 2
    assert rank(torch.zeros(50, 8)) == pytest.approx(1)


def test_spread_is_0_of_equal_directions_and_1_of_all():
    random = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0))
    assert spread(random) == pytest.approx(1, abs=0.02)
    assert spread(random[:1] * torch.arange(1, 9)[:, None]) == pytest.approx(0, abs=1e-5)


def test_mean_tokens_are_of_the_signal_alone():
    config = ECGConfig(width=32, backbone="vit", dim=32)
    torch.manual_seed(0)
    backbone, draw = build_backbone(config), np.random.default_rng(0)
    signal = draw.standard_normal((5, 12, 1000)).astype(np.float16)
    windows = SimpleNamespace(
        signal=signal, mask=np.ones((5, 12), bool), length=np.array([1000, 400, 1000, 1000, 1000])
    )
    rows = np.array([0, 1, 3])
    means = mean_tokens(backbone, windows, rows, 100)
    assert means.shape == (3, 32)
    tokens = backbone(torch.from_numpy(signal[[1]].astype(np.float32)), torch.ones(1, 12).bool(), torch.tensor([400]))
    torch.testing.assert_close(means[1], tokens[0, :50].mean(0), atol=1e-5, rtol=0)
