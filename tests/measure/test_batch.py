"""Windows measured together are measured as each of them alone."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.measure.arrays import cut_beats, median, median_of_groups, padded, sum_of_groups
from ecgclip.measure.batch import batches
from ecgclip.measure.beats import find_beats, find_beats_of_many
from ecgclip.measure.measurement import measure_many, windows_of
from ecgclip.peaks import cut_beats as cut_beats_of_one
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

CONDITIONS = ("normal", "af", "pvc", "lbbb", "complete-av-block", "paced", "wpw", "noise", "flutter", "mobitz-1")


@pytest.fixture(scope="module")
def windows():
    """Windows of many rhythms, with all leads and with some, whole and short."""
    made = []
    for i, condition in enumerate(CONDITIONS):
        prepared = prepare(simulate(condition, seed=i, seconds=4 if i % 3 == 2 else 10, sampling_rate=250))
        made += windows_of(prepared, find_beats(prepared))
    one_lead = np.arange(12) == 1
    made += [w._replace(signal=w.signal * one_lead[:, None], mask=one_lead & w.mask) for w in made]
    return made


def numbers(measurement):
    """All numbers of a measurement, by name."""
    for field in fields(measurement):
        value = getattr(measurement, field.name)
        if is_dataclass(value):
            yield from ((f"{field.name}.{name}", x) for name, x in numbers(value))
        elif isinstance(value, dict) or hasattr(value, "items"):
            yield field.name, sorted(value)
            for name, part in value.items():
                yield from ((f"{name}.{inner}", x) for inner, x in numbers(part))
        else:
            yield field.name, value


def test_each_window_is_measured_as_if_it_were_alone(windows):
    for together, window in zip(measure_many(windows), windows, strict=True):
        (alone,) = measure_many([window])
        for (name, one), (_, other) in zip(numbers(together), numbers(alone), strict=True):
            if np.asarray(one).dtype.kind == "f":
                np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9, err_msg=name)
            else:
                np.testing.assert_equal(one, other, err_msg=name)


def test_json_takes_all_numbers(windows):
    for measurement in measure_many(windows[:3]):
        for name, value in numbers(measurement):
            assert not isinstance(value, np.bool_ | np.integer | np.float32), name


def test_a_batch_holds_windows_of_the_same_length_and_leads(windows):
    seen = []
    for rows, batch in batches(windows, 4):
        assert len(rows) == len(batch) <= 4
        for i, peaks in zip(rows, batch.peaks, strict=True):
            assert (windows[i].mask == batch.mask).all()
            assert windows[i].signal.shape[1] == batch.samples
            assert np.array_equal(windows[i].peaks, peaks)
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(windows)))


def test_beats_of_many_recordings_are_those_of_each():
    recordings = [prepare(simulate(c, seed=3, seconds=s)) for c, s in zip(CONDITIONS, (10, 25, 3) * 4, strict=False)]
    for together, alone in zip(find_beats_of_many(recordings), map(find_beats, recordings), strict=True):
        assert np.array_equal(together.times_s, alone.times_s)
        assert np.array_equal(together.around, alone.around, equal_nan=True)
        assert all(np.array_equal(a, b) for a, b in zip(together.windows, alone.windows, strict=True))


@given(st.lists(st.lists(st.floats(-5, 5), max_size=9), min_size=1, max_size=8))
def test_groups_are_summed_up_one_by_one(groups):
    counts = np.array([len(group) for group in groups])
    rows = np.array([x for group in groups for x in group])[:, None]
    medians, sums = median_of_groups(rows, counts), sum_of_groups(rows, counts)
    table = padded(rows[:, 0], counts)
    for i, group in enumerate(groups):
        assert np.isnan(medians[i, 0]) if not group else medians[i, 0] == pytest.approx(np.median(group))
        assert sums[i, 0] == pytest.approx(sum(group), abs=1e-12)
        assert np.array_equal(table[i, : len(group)], group)
        assert np.isnan(table[i, len(group) :]).all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_median_is_that_of_numpy(values):
    assert median(np.array(values)) == np.median(values)
    assert median(np.array([values, values]).T, axis=0).tolist() == [np.median(values)] * 2


def test_beats_are_cut_out_of_their_windows_and_end_with_the_last_sample():
    signal = np.random.default_rng(0).normal(size=(3, 2, 50))
    window, at = np.array([0, 0, 2]), np.array([1, 30, 49])
    cut = cut_beats(signal, window, at, 5, 7)
    for part, i, peak in zip(cut, window, at, strict=True):
        assert np.array_equal(part, cut_beats_of_one(signal[i], np.array([peak]), 5, 7)[0])
