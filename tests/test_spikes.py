"""Pacing spikes in the raw recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import LEADS
from ecgclip.simulate import simulate
from ecgclip.spikes import find_spikes, without_spikes


def spiked(condition="normal", rate=500, times=np.arange(0.45, 9.8, 0.9), millivolts=0.6, width_s=0.002, seed=1):
    """A simulated ECG (12, samples) with spikes at the given times, and where they are."""
    signal = simulate(condition, seed=seed, sampling_rate=rate).signal.copy()
    at = np.round(times * rate).astype(int)
    height = millivolts * np.cos(np.arange(12))[:, None]
    for i in at:
        signal[:, i : i + max(1, round(width_s * rate))] += height
    return signal, at


@settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from([200, 250, 360, 500, 1000]), millivolts=st.floats(0.3, 10), seed=st.integers(0, 50),
    pace=st.floats(0.5, 1.5),
)  # fmt: skip
def test_every_spike_is_found_wherever_it_falls_between_the_waves(rate, millivolts, seed, pace):
    signal, at = spiked("lbbb", rate, np.arange(0.3, 9.7, pace), millivolts, seed=seed)
    found, height = find_spikes(signal, rate)
    hit = [np.abs(found - i).min(initial=rate) <= 0.004 * rate + 1 for i in at]
    assert np.mean(hit) > 0.7  # one or two within QRS may be hidden
    assert len(found) <= len(at)
    assert (height >= 6).all()


@pytest.mark.parametrize("condition", ["normal", "noise", "lbbb", "pvc", "lvh", "sinus-tachycardia", "flat-lead"])
@pytest.mark.parametrize("rate", [250, 500])
def test_nothing_of_the_heart_or_the_mains_is_a_spike(condition, rate):
    for seed in range(3):
        assert not len(find_spikes(simulate(condition, seed=seed, sampling_rate=rate).signal, rate)[0])


def test_an_artefact_of_one_electrode_is_no_spike():
    signal, at = spiked()
    one = simulate("normal", seed=1).signal.copy()
    one[LEADS.index("V3")] = signal[LEADS.index("V3")]
    assert not len(find_spikes(one, 500)[0])


def test_noise_without_rest_is_no_row_of_spikes():
    rng = np.random.default_rng(0)
    for leads in (1, 2, 12):
        noise = rng.standard_t(2.5, (leads, 5000)).astype(np.float32) * 0.03
        assert len(find_spikes(noise, 500)[0]) == 0


def test_two_spikes_of_two_ventricles_are_both_found():
    times = np.arange(0.45, 9.8, 0.9)
    signal, at = spiked(times=np.sort(np.concatenate([times, times + 0.03])))
    assert len(find_spikes(signal, 500)[0]) >= 0.8 * len(at)


@pytest.mark.parametrize("rate", [250, 500, 1000])
def test_what_is_left_is_what_the_heart_wrote(rate):
    clean = simulate("lbbb", seed=3, sampling_rate=rate).signal
    signal, at = spiked("lbbb", rate, seed=3)
    found, _ = find_spikes(signal, rate)
    left = without_spikes(signal, rate, found)
    near = (np.abs(np.arange(clean.shape[1])[:, None] - found) <= 0.02 * rate).any(axis=1)
    np.testing.assert_array_equal(left[:, ~near], signal[:, ~near])
    beside = np.median(np.abs(left - clean)[:, near])
    assert beside < 0.02
    assert np.abs(left - clean)[:, near].max() < np.abs(signal - clean)[:, near].max()


def test_where_the_rate_is_too_low_none_is_found_and_empty_leads_do_no_harm():
    signal, at = spiked(rate=500)
    assert not len(find_spikes(signal[:, ::5], 100)[0])
    signal[3:] = 0
    assert len(find_spikes(signal, 500)[0]) >= 0.8 * len(at)
    assert not len(find_spikes(np.zeros((12, 5000), np.float32), 500)[0])


def test_a_spike_at_either_end_is_replaced_as_well():
    signal = np.zeros((2, 500), np.float32)
    signal[:, [0, 499]] = 1
    assert np.abs(without_spikes(signal, 500, np.array([0, 499]))).max() <= 1
