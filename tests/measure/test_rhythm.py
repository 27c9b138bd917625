"""Intervals, premature beats and pauses, over the edges of windows too."""

import numpy as np
import pytest
from ecgs import measure_drawn, windows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.explain.evidence import summary
from ecgclip.measure.guideline import findings
from ecgclip.simulate import simulate


def without_beats(start_s, stop_s, seconds, sd=0.01):
    """A sinus rhythm without the beats of a stretch; there is noise of `sd` mV. Also how long no beat is seen, ms."""
    ecg = simulate("normal", seed=1, seconds=seconds, sampling_rate=100)
    signal, peaks = ecg.signal.copy(), np.array(ecg.metadata["truth"]["r_peaks_s"])
    kept = np.array([0, *peaks[(peaks < start_s) | (peaks >= stop_s)], seconds])
    i = np.searchsorted(kept, start_s, "right")
    last, first = (kept[i - 1] + 0.4) * (i > 1), kept[i] - 0.25 * (i < len(kept) - 1)
    part = signal[:, round(100 * last) : round(100 * first)]
    part[:] = np.random.default_rng(0).normal(0, sd, part.shape)
    return signal, 1000 * np.diff(kept).max()


def test_a_pause_over_the_edge_of_a_window_is_one_pause():
    signal, longest = without_beats(8.1, 12.0, 24)
    first, second, third = windows_of(signal)
    assert longest > 3900
    assert first.longest_pause_ms == pytest.approx(longest, abs=40)
    assert second.longest_pause_ms == pytest.approx(longest, abs=40)
    assert third.longest_pause_ms < 1000
    assert findings(first)["pause"]
    assert findings(second)["pause"]
    assert findings(third)["pause"] is False
    assert summary([first, second, third])["longest_rr_s"] == pytest.approx(longest / 1000, abs=0.04)


@pytest.mark.parametrize(("start_s", "stop_s"), [(5, 20), (0, 14)])
def test_a_recording_that_ends_or_begins_in_a_pause_has_one_at_least_so_long(start_s, stop_s):
    signal, longest = without_beats(start_s, stop_s, 20)
    assert max(m.longest_pause_ms for m in windows_of(signal)) == pytest.approx(longest, abs=40)


@given(start=st.floats(1, 17), length=st.floats(2.5, 6))
@settings(max_examples=20, deadline=None)
def test_a_pause_is_as_long_wherever_it_lies(start, length):
    signal, longest = without_beats(start, start + length, 24)
    measurements = windows_of(signal)
    assert summary(measurements)["longest_rr_s"] == pytest.approx(longest / 1000, abs=0.06)


def test_every_interval_counts_once_and_those_over_the_edges_in_both_windows():
    ecg = simulate("normal", seed=1, seconds=30, sampling_rate=100)
    true = 1000 * np.diff(ecg.metadata["truth"]["r_peaks_s"])
    measurements = windows_of(ecg.signal)
    assert [len(m.rr_ms) - m.beats for m in measurements] == [0, 1, 0]
    intervals = np.concatenate([measurements[0].rr_ms, measurements[1].rr_ms[1:]])
    np.testing.assert_allclose(intervals, true[: len(intervals)], atol=21)


def test_a_gap_in_the_signal_is_no_pause():
    signal = simulate("normal", seed=1, sampling_rate=100).signal.copy()
    signal[:, 400:590] = np.nan
    (m,) = windows_of(signal)
    assert m.longest_pause_ms < 1000
    assert m.heart_rate == pytest.approx(74, abs=3)


def test_an_early_beat_is_premature_and_wide_only_if_its_complex_is():
    early = np.r_[np.arange(0.5, 4.2, 0.8), 4.2, np.arange(5.3, 9.6, 0.8)]
    narrow = measure_drawn(early)
    assert (narrow.n_premature_narrow, narrow.n_premature_wide, narrow.alternating) == (1, 0, False)
    assert narrow.longest_pause_ms == 1100
    wide = measure_drawn(early, wide=[5])
    assert (wide.n_premature_narrow, wide.n_premature_wide, wide.alternating) == (0, 1, False)
    assert wide.regular, "the intervals around it say nothing on the rhythm beneath"
    assert wide.rr_variation == 0, "the intervals around it say nothing on the rhythm beneath"
    late = np.r_[np.arange(0.5, 4.2, 0.8), 5.2, np.arange(6.0, 9.6, 0.8)]
    escape = measure_drawn(late, wide=[5])
    assert (escape.n_premature_narrow, escape.n_premature_wide) == (0, 0), "late: an escape beat"
    steady = measure_drawn(np.arange(0.5, 9.6, 0.8))
    assert (steady.n_premature_narrow, steady.n_premature_wide, steady.alternating) == (0, 0, False)


def test_bigeminy_takes_turns():
    pairs = np.sort(np.r_[np.arange(0.5, 8.6, 1.6), np.arange(1.0, 9.1, 1.6)])
    for wide in ((), range(1, 12, 2)):
        assert measure_drawn(pairs, wide=wide).alternating
    assert measure_drawn(pairs, wide=range(1, 12, 2)).n_premature_wide == 6


def test_intervals_without_a_pattern_are_irregular():
    steps = np.array([0.6, 0.95, 0.7, 0.55, 1.0, 0.65, 0.85, 0.5, 0.9, 0.75])
    m = measure_drawn(np.cumsum(np.r_[0.6, steps]), p=0)
    assert m.regular is False
    assert m.rr_variation == pytest.approx(steps.std() / steps.mean(), abs=0.01)
    changes = [np.median(np.abs(steps[lag:] - steps[:-lag])) for lag in (1, 2, 3)]
    assert m.rr_irregularity == pytest.approx(min(changes) / np.median(steps), abs=0.01)
    assert not m.p_present
    assert m.n_premature_wide == m.n_premature_narrow == 0
    says = findings(m)
    assert says["irregularly_irregular"]
    assert says["regular"] is False
    assert says["premature_narrow"] is None


def test_two_beats_have_a_rate_and_no_rhythm():
    m = measure_drawn([0.5, 1.75], seconds=2.6)
    assert m.qtc_ms == pytest.approx(m.qt_ms / 1.25 ** (1 / 3))
    assert m.heart_rate == pytest.approx(48)
    assert m.longest_pause_ms == 1250
    assert list(m.rr_ms) == [1250]
    assert m.regular is None
    assert m.alternating is None
    assert np.isnan(m.rr_variation)
    assert np.isnan(m.baseline_wander_mv)
    assert np.isnan(measure_drawn([1], seconds=2).heart_rate)
    assert np.isnan(measure_drawn([1], seconds=2).qtc_ms)
    four = measure_drawn([1, 2, 3, 4], seconds=5)
    assert four.regular
    assert four.alternating is False
    assert four.baseline_wander_mv < 0.01
