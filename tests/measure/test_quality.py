"""Noise and baseline wander have their size."""

import numpy as np
import pytest
from ecgs import heartbeats

from ecgclip.measure.measurement import measure


def test_noise_and_wander_have_their_size():
    signal, peaks = heartbeats(np.arange(0.5, 9.6, 0.8))
    rng, everywhere = np.random.default_rng(0), np.ones(12, bool)
    assert measure(signal, everywhere, peaks).noise_mv < 0.002
    assert measure(signal, everywhere, peaks).baseline_wander_mv < 0.01
    noisy = measure(signal + rng.normal(0, 0.05, signal.shape), everywhere, peaks)
    assert noisy.noise_mv == pytest.approx(0.05, rel=0.3)
    one = signal + rng.normal(0, 0.05, signal.shape) * (np.arange(12) == 3)[:, None]
    assert measure(one, everywhere, peaks).noise_mv < 0.002, "one noisy lead is not the recording"
    level = np.zeros(signal.shape[1])  # up and down by turns, from one beat to the next
    for i, peak in enumerate(peaks):
        level[max(peak - 35, 0) : peak + 45] = 0.2 * (i % 2)
    wandering = measure(signal + level * (np.arange(12) == 4)[:, None], everywhere, peaks)
    assert wandering.baseline_wander_mv == pytest.approx(0.1, abs=0.01), "of the worst lead"
