"""The heartbeats one by one: their classes, and the runs, patterns and pauses that they form."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ecgs import WEIGHT, measure_simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.measure.measurement import measure
from ecgclip.simulate import simulate

TURN = np.cos(np.linspace(0, 9, 12))  # another direction than WEIGHT
FAR = np.roll(TURN, 3)
ALL = np.ones(12, bool)


def drawn(at_s, kinds, seconds=10, t=0.3):
    """The measurement of drawn heartbeats; kinds: a letter for each.

    n narrow; w, x wide, of two shapes; f half narrow and half w; b narrow with a bump on its T wave
    """
    time, signal = np.arange(round(seconds * 100)) / 100, np.zeros((12, round(seconds * 100)))
    wave = lambda at, sd, height: height * np.exp(-(((time - at) / sd) ** 2) / 2)
    for r, kind in zip(at_s, kinds, strict=True):
        narrow = wave(r, 0.012, 1) + wave(r + 0.03, 0.012, -0.3) + wave(r + 0.3, 0.04, t)
        wide = wave(r, 0.045, 1.6) + wave(r + 0.34, 0.06, -0.5)
        p_wave = WEIGHT[:, None] * wave(r - 0.16, 0.02, 0.12)
        signal += {
            "n": p_wave + WEIGHT[:, None] * narrow,
            "b": p_wave + WEIGHT[:, None] * (narrow + wave(r + 0.25, 0.02, 0.25)),
            "w": TURN[:, None] * wide,
            "x": FAR[:, None] * wide,
            "f": p_wave + 0.5 * WEIGHT[:, None] * narrow + 0.5 * TURN[:, None] * wide,
        }[kind]
    signal += np.random.default_rng(0).normal(0, 0.005, signal.shape)
    return measure(signal, ALL, np.round(100 * np.array(at_s)).astype(int))


def times(*intervals):
    return 0.4 + np.cumsum([0, *intervals])


def test_a_steady_rhythm_has_usual_beats_only():
    m = drawn(times(*[0.8] * 11), "n" * 12)
    t = m.table
    assert set(t.kind) == {"usual"}
    assert t.classes == {}
    assert (t.late_narrow, t.late_wide, t.wide_run, t.beat_shapes, t.fusion_beats) == (0, 0, 0, 0, 0)
    assert (t.period, t.groups, t.ashman, t.unclassified_beats, t.rate_step) == (0, 0, 0, 0, 0)
    assert (t.long_short, t.T_differs) == (False, None)
    assert np.isnan([t.compensation, t.wide_run_rate]).all()
    assert t.beat_fit > 95
    np.testing.assert_allclose(t.coupling_ms[1:], 800)
    assert np.isnan(t.coupling_ms[0])


def test_too_few_beats_have_no_table():
    t = drawn(times(0.8, 0.8), "nnn").table
    assert len(t.kind) == 3
    assert np.isnan([t.wide_run, t.late_narrow, t.period, t.groups, t.beat_fit]).all()
    assert t.classes == {}


@pytest.mark.parametrize(("kind", "name"), [("n", "early"), ("w", "wide")])
@pytest.mark.parametrize(("before", "after", "expected"), [(0.5, 1.1, 100), (0.5, 0.85, 84), (0.42, 0.38, 50)])
def test_the_pause_after_an_early_beat_is_compared_with_two_intervals(kind, name, before, after, expected):
    t = drawn(times(0.8, 0.8, 0.8, before, after, 0.8, 0.8, 0.8, 0.8, 0.8), f"nnnn{kind}nnnnnn").table
    assert t.kind[4] == name
    assert Counter(t.kind)["usual"] == 10
    assert t.compensation == pytest.approx(expected, abs=2)
    assert t.classes[name].beats == 1


@pytest.mark.parametrize(
    ("intervals", "kinds", "percent"),
    [
        ((0.8, 0.8, 0.8, 0.5, 1.1, 0.8, 0.8, 0.8), "nnnnnnnnn", 100 * 0.5 / 0.8),
        ((0.8, 0.8, 0.8, 0.5, 1.1, 0.8, 0.8, 0.8), "nnnnwnnnn", 100),  # a wide beat is none, nor the one behind it
        ((0.8, 0.8, 0.8, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6), "nnnnnnnnnn", 100),  # a faster rhythm stays fast
        ((1.0, 0.96, 0.92, 0.88, 0.86, 0.88, 0.92, 0.96, 1.0), "nnnnnnnnnn", 105),  # breathing is slow
        ((0.8, 0.8, 0.8, 0.8, 0.76, 0.72, 0.68), "nnnnnnnn", 94),  # also at the end, where no pause can be seen
        ((0.8, 2.4, 0.8, 0.8, 0.8, 0.8), "nnnnnnn", 100),  # an arrest makes no beat before it early
        ((0.5, 1.1, 0.8, 0.8, 0.8, 0.8, 0.8), "nnnnnnnn", 100 * 0.5 / 0.8),
    ],
)
def test_a_premature_narrow_beat_comes_early_and_a_pause_follows(intervals, kinds, percent):
    t = drawn(times(*intervals), kinds).table
    assert t.narrow_coupling == pytest.approx(percent, abs=3)
    assert t.early_narrow == (percent < 87)
    assert t.early_wide == kinds.count("w")


@pytest.mark.parametrize("kind", ["n", "w"])
@pytest.mark.parametrize("every", [2, 3, 4])
def test_an_early_beat_every_so_many_is_a_period(kind, every):
    cycle = [0.8] * (every - 2) + [0.5, 1.1]
    intervals = (cycle * 8)[: 4 * every]
    kinds = ("n" * (every - 1) + kind) * 8
    t = drawn(times(*intervals), kinds[: len(intervals) + 1], seconds=sum(intervals) + 1).table
    assert t.period == every
    assert t.groups == 0 or (kind == "n" and every == 2)


@pytest.mark.parametrize("around", [3, 1])  # a run that is most of the window is a run too
def test_wide_beats_in_a_row_are_a_run_with_a_rate_and_a_length(around):
    count = 4 if around == 3 else 10
    t = drawn(times(*[0.8] * around, *[0.4] * count, *[0.8] * 4), "n" * (around + 1) + "w" * count + "nnnn").table
    assert (t.wide_run, t.beat_shapes) == (count, 1)
    assert Counter(t.kind)["run"] == count
    assert t.wide_run_rate == pytest.approx(150)
    assert t.wide_run_duration == pytest.approx(400 * (count - 1))
    assert t.classes["run"].qrs_ms > 130
    assert t.classes["wide"].qrs_ms == t.classes["run"].qrs_ms, "the beats of a run are wide beats"


def test_two_wide_shapes_are_two():
    t = drawn(times(0.8, 0.8, 0.5, 1.1, 0.8, 0.5, 1.1, 0.8, 0.5, 1.1), "nnnwnnxnnwn").table
    assert (t.wide_run, t.beat_shapes) == (1, 2)
    assert np.isnan(t.wide_run_rate)
    one = drawn(times(0.8, 0.8, 0.5, 1.1, 0.8, 0.5, 1.1, 0.8, 0.5, 1.1), "nnnwnnwnnwn").table
    assert one.beat_shapes == 1


@pytest.mark.parametrize("kind", ["n", "w"])
def test_a_beat_that_ends_a_pause_is_late(kind):
    t = drawn(times(0.8, 0.8, 0.8, 0.8, 1.4, 0.8, 0.8, 0.8, 0.8), f"nnnnn{kind}nnnn").table
    assert t.kind[5] == "late"
    assert (t.late_narrow, t.late_wide) == ((1, 0) if kind == "n" else (0, 1))
    assert list(t.classes) == ["late"]
    early = drawn(times(0.8, 0.8, 0.8, 0.5, 1.1, 0.8, 0.8, 0.8), "nnnnwnnnn").table
    assert early.late_narrow == 0, "the pause is that of the early beat"


def test_a_fusion_beat_lies_between_the_usual_and_the_wide_ones():
    t = drawn(times(0.8, 0.8, 0.5, 1.1, 0.8, 0.78, 0.8, 0.5, 1.1, 0.8), "nnnwnnfnwnn").table
    assert t.kind[6] == "fusion"
    assert t.fusion_beats == 1
    assert t.wide_run == 1


def test_a_sudden_change_of_rate_is_a_step_and_a_slow_one_or_fibrillation_is_none():
    sudden = drawn(times(*[0.9] * 5, *[0.36] * 10), "n" * 16)
    assert sudden.table.rate_step == pytest.approx(60 / 0.36 - 60 / 0.9, abs=1)
    slow = drawn(times(*np.linspace(0.9, 0.6, 12)), "n" * 13)
    assert slow.table.rate_step < 40
    rng = np.random.default_rng(3)
    for _ in range(5):
        fibrillation = drawn(times(*rng.gamma(18, 0.7 / 18, 12)), "n" * 13, seconds=14)
        assert fibrillation.table.rate_step < 40


def test_beats_in_groups_are_counted():
    groups = drawn(times(0.85, 0.8, 0.78, 1.3, 0.85, 0.8, 0.78, 1.3, 0.85, 0.8), "n" * 11)
    assert groups.table.groups == 3
    pairs = drawn(times(*[0.9, 1.5] * 4), "n" * 9, seconds=11)
    assert pairs.table.groups >= 4


def test_a_long_and_a_short_interval_before_a_wide_beat():
    t = drawn(times(0.7, 0.7, 0.7, 1.0, 0.42, 0.7, 0.7, 0.7, 0.7), "nnnnnwnnnn").table
    assert t.long_short
    assert t.ashman == 1
    bigeminy = drawn(times(*[0.5, 1.1] * 5), "nwnwnwnwnwn").table
    assert bigeminy.ashman == 0, "an early beat explains each long interval"
    plain = drawn(times(0.7, 0.7, 0.7, 0.7, 0.42, 0.98, 0.7, 0.7, 0.7), "nnnnnwnnnn").table
    assert not plain.long_short
    assert plain.ashman == 0


def test_the_t_wave_before_a_pause_shows_a_hidden_wave():
    hidden = drawn(times(0.8, 0.8, 0.8, 1.3, 0.8, 0.8, 0.8, 0.8, 0.8), "nnnbnnnnnn").table
    assert hidden.T_differs is True
    assert drawn(times(0.8, 0.8, 0.8, 1.3, 0.8, 0.8, 0.8, 0.8, 0.8), "n" * 10).table.T_differs is False


def test_right_and_left_bundle_branch_block_in_turn():
    right, left = (simulate(kind, seed=3, sampling_rate=100, seconds=10) for kind in ("rbbb", "lbbb"))
    peaks = [np.round(100 * np.array(ecg.metadata["truth"]["r_peaks_s"])).astype(int) for ecg in (right, left)]
    cut = peaks[0][np.searchsorted(peaks[0], 480)] - 25
    shift = cut - peaks[1][0] + 25
    signal = np.hstack([right.signal[:, :cut], left.signal[:, cut - shift :]])[:, :1000]
    both = np.r_[peaks[0][peaks[0] < cut], peaks[1][peaks[1] + shift >= cut] + shift]
    both = both[both < signal.shape[1] - 5]
    signal = signal - np.median(signal, axis=1, keepdims=True)
    assert measure(signal, ALL, both).table.both_bundles
    assert measure(signal, ALL & (np.arange(12) != 6), both).table.both_bundles is None
    for kind in ("rbbb", "lbbb", "pvc"):
        assert measure_simulated(kind)[0].table.both_bundles is False


def test_what_is_no_rhythm_fits_no_median_beat():
    rng, time = np.random.default_rng(0), np.arange(1000) / 100
    phase = 2 * np.pi * np.cumsum(rng.normal(5, 1.5, 1000)) / 100
    fibrillation = np.stack([np.sin(phase + a) * np.sin(time * b) for a, b in rng.uniform(0.5, 4, (12, 2))])
    from ecgclip.peaks import r_peaks

    fit = measure(fibrillation, ALL, r_peaks(fibrillation, ALL)).table.beat_fit
    assert fit < 40
    for condition in ("normal", "af", "pvc", "lbbb", "complete-av-block"):
        assert measure_simulated(condition)[0].table.beat_fit > 80


@pytest.mark.parametrize("seed", range(4))
def test_simulated_ventricular_beats_are_measured_by_themselves(seed):
    m, _ = measure_simulated("pvc", seed)
    wide = m.table.classes["wide"]
    assert wide.beats == Counter(m.table.kind)["wide"] >= 2
    assert wide.qrs_ms > 130 > m.qrs_ms + 20
    assert wide.qt_ms > 0
    assert not wide.p_present, "P waves are not looked for before them"
    assert np.isnan(wide.pr_ms)
    assert m.table.compensation == pytest.approx(100, abs=6)


@pytest.mark.parametrize("condition", ["lbbb", "rbbb", "paced"])
def test_a_wide_rhythm_is_no_run_of_wide_beats(condition):
    t = measure_simulated(condition)[0].table
    assert t.wide_run == 0
    assert t.classes == {}


def test_a_wide_tachycardia_of_one_shape_may_be_either():
    assert np.isnan(drawn(times(*[0.4] * 22), "w" * 23).table.wide_run)
    assert drawn(times(*[0.8] * 11), "w" * 12).table.wide_run == 0


@given(gain=st.floats(0.5, 3), sign=st.sampled_from([-1, 1]), seed=st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_gain_and_polarity_do_not_change_the_classes(gain, sign, seed):
    ecg = simulate("pvc", seed=seed, sampling_rate=100)
    peaks = np.round(100 * np.array(ecg.metadata["truth"]["r_peaks_s"])).astype(int)
    kinds = [measure(g * ecg.signal, ALL, peaks).table.kind.tolist() for g in (1, sign * gain)]
    assert kinds[0] == kinds[1]


# --- real records

DATA = os.environ.get("ECGCLIP_DATA")


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")
def test_ventricular_beats_of_mitdb_are_wide():
    import wfdb

    from ecgclip.data.beats import match_beats
    from ecgclip.data.mitdb import BEATS
    from ecgclip.io.read import read_ecg
    from ecgclip.measure.beats import find_beats
    from ecgclip.measure.measurement import measure_windows
    from ecgclip.prepare import prepare

    counts = Counter()
    for record in ("106", "119", "208", "215", "223"):
        path = str(Path(DATA, "mitdb", record))
        prepared = prepare(read_ecg(path))
        beats, notes = find_beats(prepared), wfdb.rdann(path, "atr")
        symbols = np.array(notes.symbol)
        known = np.isin(symbols, list(BEATS))
        marked, symbols = notes.sample[known] / notes.fs, symbols[known]
        for m, start, peaks in zip(measure_windows(prepared, beats), prepared.start_s, beats.windows, strict=True):
            wide = m.table.of_class("wide")
            found = match_beats(start + peaks / 100, marked)
            counts.update(zip(symbols[found[found >= 0]].tolist(), wide[found >= 0].tolist(), strict=True))
    hits = counts["V", True]
    sensitivity = hits / (hits + counts["V", False])
    predictive = hits / sum(n for (symbol, wide), n in counts.items() if wide and symbol != "F")
    print(f"V of five records: sensitivity {sensitivity:.3f}, PPV {predictive:.3f}")
    assert sensitivity > 0.9
    assert predictive > 0.97
