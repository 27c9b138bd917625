"""Flutter waves: their rate and height."""

import numpy as np
import pytest
from ecgs import heartbeats, measure_simulated

from ecgclip.measure.guideline import findings
from ecgclip.measure.measurement import measure


@pytest.mark.parametrize("seed", range(4))
def test_flutter_waves_have_their_rate_and_height(seed):
    m, metadata = measure_simulated("flutter", seed)
    ratio = m.atrial_rate / metadata["truth"]["heart_rate"]
    assert min(abs(ratio - 2), abs(ratio - 4)) < 0.2
    assert 0.05 < m.atrial_mv < 0.2
    alone, _ = measure_simulated("flutter", seed, mask=np.arange(12) == 1)
    assert alone.atrial_rate == pytest.approx(m.atrial_rate, abs=15)


@pytest.mark.parametrize("rate", [240, 300, 350])
def test_flutter_waves_between_the_complexes(rate):
    signal, peaks = heartbeats(np.arange(0.5, 9.6, 0.93), p=0, t=0)
    time = np.arange(signal.shape[1]) / 100
    signal = signal + 0.1 * np.sin(2 * np.pi * rate / 60 * time)
    m = measure(signal, np.ones(12, bool), peaks)
    assert m.atrial_rate == pytest.approx(rate, abs=4)
    assert m.atrial_mv == pytest.approx(0.1, abs=0.02)
    assert m.atrial_share > 0.8
    assert m.atrial_contrast > 0.8
    assert findings(m)["flutter_waves"]
    only_v5 = measure(signal * (np.arange(12) == 10)[:, None], np.arange(12) == 10, peaks)
    assert only_v5.atrial_mv == pytest.approx(0.1, abs=0.02), "whatever lead there is"
