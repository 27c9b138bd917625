"""The vector of a measurement."""

import numpy as np
import pytest

from ecgclip.measure.guideline import findings
from ecgclip.measure.measurement import measure
from ecgclip.measure.vector import feature_names, features, features_of
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate


def test_features_have_a_name_each_and_do_not_know_the_patient():
    signal = prepare(simulate("lbbb", seed=2)).signal[0]
    mask = np.ones(12, bool)
    measurement = measure(signal, mask, r_peaks(signal, mask))
    values = dict(zip(feature_names(), features(measurement), strict=True))
    assert values["qrs_ms"] == pytest.approx(measurement.qrs_ms)
    assert values["st_mv:V2"] == pytest.approx(measurement.st_mv[7])
    assert values["finding:qrs_120_or_more"] == 1
    assert values["beats"] == measurement.beats
    assert {f"finding:{key}" for key in findings(measurement)} <= set(values)
    nothing = measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))
    assert features(nothing).shape == (len(values),)
    assert np.isnan(features(nothing)).mean() > 0.8


def test_many_measurements_have_the_features_of_each_alone():
    mask = np.ones(12, bool)
    signals = [prepare(simulate(name, seed=2)).signal[0] for name in ("lbbb", "af", "pvc")]
    measurements = [measure(signal, mask, r_peaks(signal, mask)) for signal in signals]
    measurements.append(measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int)))
    alone = [features(measurement) for measurement in measurements]
    assert np.array_equal(features_of(measurements), alone, equal_nan=True)
    assert features_of([]).shape == (0, len(feature_names()))
