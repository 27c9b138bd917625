"""The beats of a whole recording, and which of them are alike."""

import numpy as np
import pytest
from ecgs import resting
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import ECG
from ecgclip.measure.batch import Window, batches
from ecgclip.measure.beats import dominant, find_beats
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate


def test_ectopic_beats_are_not_dominant():
    ecg = simulate("pvc", seed=0)
    prepared = prepare(ecg)
    signal = prepared.signal[0]
    before = signal.copy()
    peaks = r_peaks(signal, prepared.mask[0])
    ((_, batch),) = batches([Window(signal, prepared.mask[0], peaks)], most=1)
    (chosen,) = dominant(batch)
    rr = np.diff(peaks)
    early = np.append(False, rr < 0.75 * np.median(rr))
    assert early.any()
    np.testing.assert_array_equal(chosen, ~early)
    np.testing.assert_array_equal(signal, before)


@pytest.mark.parametrize("condition", ["normal", "af", "pvc"])
def test_one_window_has_the_beats_of_its_signal(condition):
    prepared = prepare(simulate(condition, seed=2))
    beats = find_beats(prepared)
    np.testing.assert_array_equal(beats.windows[0], r_peaks(prepared.signal[0], prepared.mask[0]))
    np.testing.assert_allclose(beats.times_s * 100, beats.windows[0])
    assert np.isnan(beats.around).all()
    assert beats.recorded.tolist() == [[0, 1000]]


@given(seconds=st.floats(10, 75), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_the_windows_share_the_beats_of_the_recording(seconds, seed):
    ecg = simulate("normal", seed=seed, seconds=seconds, sampling_rate=100)
    prepared = prepare(ecg)
    beats = find_beats(prepared)
    truth = np.array(ecg.metadata["truth"]["r_peaks_s"]) * 100
    end = 100 * prepared.start_s[-1] + prepared.length[-1]
    truth = truth[(truth > 5) & (truth < end - 5)]
    assert np.abs(beats.times_s * 100 - truth[:, None]).min(axis=1).max() <= 15
    for start, length, peaks, (before, after) in zip(
        prepared.start_s * 100, prepared.length, beats.windows, beats.around, strict=True
    ):
        at = beats.times_s * 100 - start
        np.testing.assert_allclose(peaks, at[(at >= 0) & (at < length)], atol=1e-6)
        assert np.isnan(before) == (start == 0)
        assert np.isnan(before) or before == pytest.approx(at[at < 0].max())
        assert np.isnan(after) == (not (at >= length).any())
        assert np.isnan(after) or length <= after < length + 120


def test_a_lead_that_comes_and_goes_costs_no_beat():
    ecg = simulate("normal", seed=1, seconds=60, sampling_rate=100)
    signal = ecg.signal.copy()
    signal[6:9, 2000:4000] = np.nan
    np.testing.assert_allclose(
        find_beats(prepare(ECG(signal, 100, ecg.leads))).times_s, find_beats(prepare(ecg)).times_s, atol=0.03
    )


def test_across_a_gap_without_signal_nothing_is_counted():
    ecg = simulate("normal", seed=1, seconds=30, sampling_rate=100)
    signal = ecg.signal.copy()
    signal[:, 950:1350] = np.nan
    beats = find_beats(prepare(ECG(signal, 100, ecg.leads)))  # the windows 0 to 10 and 20 to 30 s
    assert np.isnan(beats.around).all()
    assert len(beats.windows) == 2
    assert beats.recorded[0] == pytest.approx((0, 950), abs=2)


def test_after_a_long_rest_the_heartbeats_are_found_as_before():
    truth = find_beats(prepare(resting(0, 0, seconds=60)))
    found = find_beats(prepare(resting(20, 40, seconds=60)))
    alone = truth.times_s[(truth.times_s < 19.9) | (truth.times_s > 40.1)]
    np.testing.assert_allclose(found.times_s, alone, atol=0.05)


def test_a_day_is_searched_in_parts_and_no_beat_is_lost_between_them(monkeypatch):
    prepared = prepare(simulate("af", seed=3, seconds=90, sampling_rate=100))
    whole = find_beats(prepared)
    monkeypatch.setattr("ecgclip.measure.beats.LONGEST", 2000)
    np.testing.assert_allclose(find_beats(prepared).times_s, whole.times_s, atol=0.03)


def test_the_beats_of_some_windows_are_theirs():
    beats = find_beats(prepare(simulate("normal", seed=2, seconds=30)))
    some = beats.of(np.array([2, 0]))
    assert np.array_equal(some.times_s, beats.times_s)
    assert np.array_equal(some.windows[0], beats.windows[2])
    assert np.array_equal(some.around, beats.around[[2, 0]], equal_nan=True)
    assert np.array_equal(some.recorded, beats.recorded[[2, 0]])
