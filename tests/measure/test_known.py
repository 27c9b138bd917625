"""Arithmetic on rows of which not everything is known."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ecgclip.measure.arrays import in_row, mean_of_known, median_of_known, packed, quantile_of_known

NUMBERS = st.one_of(st.just(np.nan), st.integers(-50, 50).map(float))
ROWS = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=NUMBERS)


@given(x=ROWS)
@settings(deadline=None)
def test_what_is_not_known_does_not_count(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows of which nothing is known
        np.testing.assert_array_equal(median_of_known(x), np.nanmedian(x, axis=1))
        np.testing.assert_allclose(mean_of_known(x), np.nanmean(x, axis=1), atol=1e-12)
        np.testing.assert_allclose(quantile_of_known(x, 0.3), np.nanquantile(x, 0.3, axis=1), atol=1e-12)


@given(x=ROWS)
@settings(deadline=None)
def test_what_is_known_moves_to_the_start(x):
    for row, kept in zip(packed(x, ~np.isnan(x)), x, strict=True):
        known = kept[~np.isnan(kept)]
        np.testing.assert_array_equal(row[: len(known)], known)
        assert np.isnan(row[len(known) :]).all()


@given(flags=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)), length=st.integers(1, 5))
@settings(deadline=None)
def test_flags_in_a_row(flags, length):
    found = in_row(flags, length)
    for i, row in enumerate(flags.tolist()):
        assert found[i].tolist() == [all(row[k : k + length]) for k in range(len(row) - length + 1)]
