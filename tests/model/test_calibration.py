"""Calibration: a curve that is defined for any label."""

import numpy as np
import pytest

from ecgclip.model.calibration import Calibration


def test_calibration_is_defined_with_and_without_a_reference_bank():
    curve = Calibration((1.0, 1.0, 1.0, 0.0), -1.0)
    bank = np.random.default_rng(0).normal(size=(50, 2))
    p = curve(np.array([[-1.0, 0.0], [1.0, 2.0]]), bank)
    assert p.shape == (2, 2)
    assert ((p > 0) & (p < 1)).all()
    assert (p[1] > p[0]).all(), "more similar, more probable"


def test_a_probability_is_a_logistic_curve_of_four_features():
    bank = np.array([[0.0, 1], [1, 1], [2, 1], [3, 1]])
    columns = Calibration().features(np.array([[2.5, 1], [-1, 0]]), bank)
    sd = np.sqrt(1.25)
    assert columns.shape == (2, 2, 4)
    assert np.allclose(columns[0, 0], [2.5, 1 / sd, 0.75, 1.5])
    assert np.allclose(columns[1, 0], [-1, -2.5 / sd, 0, 1.5])
    assert np.allclose(columns[0, 1], [1, 0, 0, 1]), "none of a bank of equals is less similar"
    p = Calibration((0.5, -1.0, 2.0, 0.25), 0.1)(np.array([[2.5, 1], [-1, 0]]), bank)
    assert p[0, 0] == pytest.approx(1 / (1 + np.exp(-(0.5 * 2.5 - 1 / sd + 2 * 0.75 + 0.25 * 1.5 + 0.1))))
    assert Calibration()(np.array([[2.0 + 1.5 * sd - 0.5 * sd, 1]]), bank)[0, 1] == pytest.approx(1 / (1 + np.exp(2)))
