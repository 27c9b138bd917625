"""Measurements as a whole: against the simulator's truth, for any input, and fast."""

import time

import numpy as np
import pytest
from ecgs import PLAIN, measure_simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.measure.guideline import finding_texts, findings
from ecgclip.measure.measurement import measure
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate


@pytest.mark.parametrize("condition", PLAIN)
@pytest.mark.parametrize("seed", range(3))
def test_intervals_match_the_truth(condition, seed):
    m, metadata = measure_simulated(condition, seed)
    truth = metadata["truth"]
    assert m.heart_rate == pytest.approx(truth["heart_rate"], abs=2)
    assert m.p_present
    assert m.pr_ms == pytest.approx(truth["pr_ms"], abs=12)
    assert m.qrs_ms == pytest.approx(truth["qrs_ms"], abs=12)
    assert m.qt_ms == pytest.approx(truth["qt_ms"], abs=16)
    assert m.qtc_ms == pytest.approx(m.qt_ms / (60 / m.heart_rate) ** (1 / 3), abs=1)


@given(
    leads=st.integers(0, 4095),
    length=st.integers(0, 1000),
    gain=st.sampled_from([0.01, 1, 10]),
    peaks=st.lists(st.integers(0, 999), max_size=20, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_no_input_breaks_measuring(leads, length, gain, peaks):
    signal = gain * prepare(simulate("normal")).signal[0][:, :length]
    mask = np.array([bool(leads >> k & 1) for k in range(12)])
    peaks = np.array(sorted(p for p in peaks if p < length), int)
    assert len(findings(measure(signal * mask[:, None], mask, peaks))) == len(finding_texts())


def test_a_record_is_measured_in_milliseconds():
    prepared = prepare(simulate("normal"))
    signal, mask = prepared.signal[0], prepared.mask[0]
    findings(measure(signal, mask, r_peaks(signal, mask)))  # imports
    start = time.process_time()
    for _ in range(20):
        findings(measure(signal, mask, r_peaks(signal, mask)))
    assert (time.process_time() - start) / 20 < 0.05  # about 6 ms; room for a busy machine


def test_a_measurement_says_which_leads_it_is_of():
    mask = np.arange(12) != 4
    m, _ = measure_simulated("normal", mask=mask)
    assert np.array_equal(m.mask, mask)
    assert m.beats > 5
