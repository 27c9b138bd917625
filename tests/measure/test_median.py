"""The median beat."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from ecgclip.measure.batch import AFTER, BEFORE
from ecgclip.measure.median import FINE, median_beats


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_median_beats_are_interpolated_by_a_cubic_spline(seed, counts):
    beats = np.random.default_rng(seed).normal(size=(sum(counts), 12, BEFORE + AFTER))
    fine = np.arange((BEFORE + AFTER - 1) * FINE + 1) / FINE
    found = median_beats(beats, np.array(counts))
    for of_window, beat in zip(np.split(beats, np.cumsum(counts)[:-1]), found, strict=True):
        spline = CubicSpline(np.arange(BEFORE + AFTER), np.median(of_window, axis=0), axis=1)
        np.testing.assert_allclose(beat, spline(fine), atol=1e-12)
