"""Resamples are drawn by patient, and an interval is their middle 95 %."""

import numpy as np

from ecgclip.evaluate.bootstrap import interval, patient_draws, record_weights


def test_an_interval_is_the_value_and_the_middle_95_percent_of_the_resamples():
    draws = np.arange(1001) / 1000
    assert interval(np.r_[7, draws]) == [7, 0.025, 0.975]
    assert interval(np.r_[7, draws, np.nan]) == [7, 0.025, 0.975], "a resample that defines nothing does not count"
    assert interval(np.array([1 / 3, 1 / 3, 2 / 3])) == [0.3333, 0.3417, 0.6583]


def test_a_resample_draws_as_many_patients_as_there_are():
    draws = patient_draws(np.array([0, 1, 1, 4, 2, 3]), 5)
    assert draws.shape == (1001, 5)
    assert (draws[0] == 1).all()
    assert (draws.sum(1) == 5).all()
    assert draws.min() == 0
    assert 0.9 < draws[1:].mean() < 1.1
    assert draws[1:].mean(0).min() > 0.9
    assert draws[1:].mean(0).max() < 1.1, "each as often as any other"
    assert np.array_equal(draws, patient_draws(np.arange(5), 5))


def test_a_record_weighs_as_often_as_its_patient_is_drawn():
    draws = np.array([[1, 1], [2, 0]], np.int16)
    assert record_weights(draws, np.array([1, 0, 0])).tolist() == [[1, 1, 1], [0, 2, 2]]
