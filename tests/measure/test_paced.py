"""What is measured of pacing spikes: of which chamber, answered, in time."""

import numpy as np
import pytest

from ecgclip.ecg import ECG, LEADS
from ecgclip.measure import examine
from ecgclip.prepare import prepare, resample
from ecgclip.simulate import SPIKE, simulate

LEADS_OF_SPIKE = np.concatenate([SPIKE[:2], [-1.2, 0.1, 0.85, -0.95], SPIKE[2:]])[:, None]  # mV

TO_R = {"normal": 0.034, "lbbb": 0.07}  # s from the beginning of QRS to its highest point


def with_spikes(condition, times, seed=1, rate=500, height=1.0):
    """A simulated ECG at 500 Hz with spikes of 2 ms at times in s, sampled anew at a rate."""
    ecg = simulate(condition, seed=seed)
    signal = ecg.signal.copy()
    for i in np.round(np.asarray(times) * 500).astype(int):
        if 0 <= i < signal.shape[1]:
            signal[:, i : i + 1] += height * LEADS_OF_SPIKE
    signal = signal if rate == 500 else resample(signal.astype(np.float32), 500, rate)
    return ECG(signal, rate, LEADS), ecg.metadata["truth"]


def onsets(condition, seed=1):
    """When QRS begins, s."""
    return np.array(simulate(condition, seed=seed).metadata["truth"]["r_peaks_s"]) - TO_R[condition]


@pytest.mark.parametrize("rate", [250, 360, 500, 1000])
def test_a_spike_before_qrs_is_the_ventricles_and_one_before_p_the_atria(rate):
    ecg = simulate("paced", seed=2, sampling_rate=rate)
    spikes = examine(ecg).measurements[0].spikes
    assert spikes.ventricular
    assert not spikes.atrial
    assert spikes.share >= 90
    assert spikes.uncaptured == spikes.early == 0
    assert spikes.ventricular_contrast > 0.5 > 0 > spikes.atrial_contrast
    before_p = onsets("normal") - simulate("normal", seed=1).metadata["truth"]["pr_ms"] / 1000 - 0.01
    spikes = examine(with_spikes("normal", before_p, rate=rate)[0]).measurements[0].spikes
    assert spikes.atrial
    assert not spikes.ventricular
    assert spikes.share == 0
    assert spikes.uncaptured == spikes.early == 0
    assert spikes.atrial_contrast > 0.5 > 0 > spikes.ventricular_contrast


@pytest.mark.parametrize("delay", [0.14, 0.18, 0.25])
def test_two_spikes_in_sequence_and_no_beat_more(delay):
    ventricle = onsets("lbbb") - 0.01
    ecg, truth = with_spikes("lbbb", np.concatenate([ventricle, ventricle - delay]), height=3)
    examined = examine(ecg)
    spikes = examined.measurements[0].spikes
    assert spikes.atrial
    assert spikes.ventricular
    assert spikes.av_range_ms <= 6
    assert len(examined.r_peaks[0]) == len(truth["r_peaks_s"])
    jitter = np.random.default_rng(0).uniform(-0.025, 0.025, len(ventricle))
    ecg, _ = with_spikes("lbbb", np.concatenate([ventricle, ventricle - delay - jitter]))
    assert 25 <= examine(ecg).measurements[0].spikes.av_range_ms <= 60


def test_spikes_without_an_answer_and_spikes_in_spite_of_a_beat():
    """Complete AV block with a pacemaker at 70/min that the ventricles do not hear."""
    truth = np.array(simulate("complete-av-block", seed=3).metadata["truth"]["r_peaks_s"])
    times = np.arange(0.2, 9.9, 60 / 70)
    since = np.array([min((t - r for r in truth if r < t), default=9) for t in times])
    until = np.array([min((r - t for r in truth if r > t), default=9) for t in times])
    spikes = examine(with_spikes("complete-av-block", times, seed=3)[0]).measurements[0].spikes
    assert not spikes.ventricular
    assert spikes.uncaptured >= ((since > 0.35) & (until > 0.5) & (times < 9.5)).sum() > 3
    assert spikes.early == pytest.approx(((since > 0.03) & (since < 0.3)).sum(), abs=1)


@pytest.mark.parametrize("height", [0.3, 1, 5, 10])
@pytest.mark.parametrize("rate", [250, 500])
def test_a_spike_is_no_part_of_any_number_of_qrs(rate, height):
    plain, _ = with_spikes("lbbb", [], rate=rate)
    paced, _ = with_spikes("lbbb", onsets("lbbb") - 0.012, rate=rate, height=height)
    a, b = (examine(ecg).measurements[0] for ecg in (plain, paced))
    assert b.qrs_ms == pytest.approx(a.qrs_ms, abs=12)
    assert b.axis_deg == pytest.approx(a.axis_deg, abs=3)
    for name in ("qrs_pp_mv", "st_mv", "t_mv"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), atol=0.08)
    np.testing.assert_allclose(np.fmin(b.q_mv, b.s_mv), np.fmin(a.q_mv, a.s_mv), atol=0.08)


def test_the_encoder_and_the_drawing_see_the_spikes():
    prepared = prepare(simulate("paced", seed=1))
    spike = np.round(prepared.spikes_s * 100).astype(int)[2:8]
    assert np.abs(prepared.encoder_signal[0][:, spike]).max() > 2 * np.abs(prepared.signal[0][:, spike]).max()
    assert prepare(simulate("normal", seed=1)).encoder_signal is not None
    assert not len(prepare(simulate("normal", seed=1)).spikes_s)


def test_at_100_hz_a_smeared_spike_is_recognised_by_its_spectrum():
    for seed in range(4):
        (m,) = examine(simulate("paced", seed=seed, sampling_rate=100)).measurements
        assert m.spikes.ventricular
        assert m.spikes.ventricular_contrast > 0.2
        assert np.isnan(m.spikes.uncaptured), "spikes without a beat are not seen"
    for condition in ("normal", "lbbb", "rbbb", "pvc", "lvh", "af", "noise"):
        (m,) = examine(simulate(condition, seed=2, sampling_rate=100)).measurements
        assert m.spikes.ventricular is m.spikes.atrial is False
        assert m.spikes.share == m.spikes.uncaptured == 0
        assert m.spikes.ventricular_contrast < 0


def test_spikes_count_in_the_window_that_has_them():
    ecg = simulate("paced", seed=2, seconds=30)
    signal = ecg.signal.copy()
    signal[:, 10 * 500 :] = simulate("normal", seed=2, seconds=20).signal
    shares = [m.spikes.share for m in examine(ECG(signal, 500, LEADS)).measurements]
    assert shares[0] > 90
    assert shares[1] < 15
    assert shares[2] == 0


def test_at_100_hz_a_spike_without_an_answer_is_no_beat():
    paced = simulate("paced", seed=2, sampling_rate=100)
    signal, truth = paced.signal.copy(), np.array(paced.metadata["truth"]["r_peaks_s"])
    between = np.round((truth[2:9:3] + 0.5) * 100).astype(int)
    signal[:, between] += LEADS_OF_SPIKE
    assert len(examine(ECG(signal, 100, LEADS)).r_peaks[0]) == len(examine(paced).r_peaks[0])
