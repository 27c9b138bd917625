"""What an `ECG` promises: a copy in millivolts with standard lead names, or one clear line."""

import numpy as np
import pytest

from ecgclip.ecg import ECG, LEADS, EcgclipError


def test_arrays_are_copied_and_named():
    signal = np.zeros((2, 1000))
    signal[0, 3] = np.inf
    ecg = ECG(signal, 500, ("MLII", "AVR"))
    assert ecg.leads == ("II", "aVR")
    assert ecg.signal.dtype == np.float32
    assert ecg.seconds == 2
    assert np.isnan(ecg.signal[0, 3])
    assert np.isinf(signal[0, 3])
    assert ECG(np.zeros(1000), 100, "I").signal.shape == (1, 1000)
    assert ecg.metadata["age"] is None
    assert ecg.metadata["comments"] == []


@pytest.mark.parametrize(
    ("signal", "rate", "leads", "words"),
    [
        (np.zeros((1000, 12)), 500, LEADS, "transpose"),
        (np.zeros((2, 1000)), 500, ("I",), "shape"),
        (np.zeros((0, 1000)), 500, (), "shape"),
        (np.zeros((1, 1000)), 500, ("Q7",), "unknown lead 'Q7'"),
        (np.zeros((2, 1000)), 500, ("II", "MLII"), "twice"),
        (np.zeros((1, 1000)), 0, ("I",), "50 to 2000"),
        (np.zeros((1, 1000)), float("nan"), ("I",), "50 to 2000"),
        (np.zeros((1, 150)), 500, ("I",), "too short"),
        ([["a", "b"]], 500, ("I",), "numbers"),
    ],
)
def test_unusable_arrays_are_refused(signal, rate, leads, words):
    with pytest.raises(EcgclipError, match=words):
        ECG(signal, rate, leads)
