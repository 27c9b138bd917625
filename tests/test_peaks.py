"""What `r_peaks` promises: peaks on any leads, at the right place, and nowhere else."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")
ALL = np.ones(12, bool)
CONDITIONS = ("normal", "af", "flutter", "sinus-tachycardia", "sinus-bradycardia", "complete-av-block")
CONDITIONS += ("lbbb", "rbbb", "pvc", "paced", "lvh", "anterior-stemi")
BEAT_SYMBOLS = set("NLRBAaJSVrFejnE/fQ?")  # in annotations of mitdb
# Below 0.99 with two leads are 106, 108, 201, 203 and 208; 104 and 207 (muscle noise, flutter) are close. The list was
# drawn up after the first results, so the figure over all records, which nothing is left out of, is the one to quote.
HARD = {"104", "106", "108", "201", "203", "207", "208"}


def one_record(condition, seed=0, **kwargs):
    ecg = simulate(condition, seed=seed, **kwargs)
    prepared = prepare(ecg)
    return prepared.signal[0], prepared.mask[0], np.array(ecg.metadata["truth"]["r_peaks_s"]) * 100


def matched(found, truth, tolerance=15):
    """True positives, false positives, false negatives within the tolerance (samples), one to one in order."""
    i = j = hits = 0
    while i < len(found) and j < len(truth):
        if abs(found[i] - truth[j]) <= tolerance:
            hits, i, j = hits + 1, i + 1, j + 1
        elif found[i] < truth[j]:
            i += 1
        else:
            j += 1
    return np.array([hits, len(found) - hits, len(truth) - hits])


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_simulated_beat_is_found_once(condition):
    counts = np.zeros(3, int)
    for seed in range(2):
        signal, mask, truth = one_record(condition, seed)
        counts += matched(r_peaks(signal, mask), truth[(truth > 5) & (truth < 995)])
    assert counts[0] >= 0.98 * (counts[0] + counts[2])
    assert counts[1] <= 1 + 0.03 * counts[0]  # a beat cut by the edge may be found too


@pytest.mark.parametrize("lead", range(12))
def test_one_lead_is_enough(lead):
    signal, _, truth = one_record("normal", seed=3)
    mask = np.arange(12) == lead
    hits, extra, missed = matched(r_peaks(signal * mask[:, None], mask), truth[(truth > 5) & (truth < 995)])
    assert (extra, missed) == (0, 0)
    assert hits > 8


@given(rate=st.floats(100, 350), t_mv=st.floats(0.1, 0.5), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_fast_rhythms_are_counted_up_to_350_a_minute(rate, t_mv, seed):
    rng, rr = np.random.default_rng(seed), 60 / rate
    at = np.cumsum(rr * rng.normal(1, 0.005, round(10 / rr) + 9)) - rng.uniform(0, rr)
    at, delay = at[at < 10.5], np.arange(1000) / 100 - at[at < 10.5][:, None]
    wave = lambda after, sd, height: height * np.exp(-(((delay - after) / sd) ** 2) / 2).sum(axis=0)
    beats = wave(0, 0.012, 1) + wave(0.026, 0.011, -0.35) + wave(min(0.28, 0.55 * rr), min(0.05, 0.15 * rr), t_mv)
    signal = np.linspace(0.6, 1.7, 12)[:, None] * (beats - np.median(beats)) + rng.normal(0, 0.01, (12, 1000))
    hits, extra, missed = matched(r_peaks(signal, ALL), 100 * at[(at > 0.05) & (at < 9.95)], tolerance=5)
    assert missed <= 2
    assert extra <= 2  # a beat cut by the edge may be found too


@given(gain=st.floats(0.4, 4), sign=st.sampled_from([-1, 1]))
@settings(max_examples=20, deadline=None)
def test_gain_and_polarity_do_not_matter(gain, sign):
    signal, mask, _ = one_record("normal", seed=1)
    np.testing.assert_array_equal(r_peaks(sign * gain * signal, mask), r_peaks(signal, mask))


@given(
    length=st.integers(0, 1200),
    leads=st.integers(0, 12),
    size=st.sampled_from([0.0, 0.01, 0.3]),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_any_signal_gives_sorted_positions_inside_it(length, leads, size, seed):
    signal = np.random.default_rng(seed).normal(0, size, (12, length)).astype(np.float32)
    found = r_peaks(signal, np.arange(12) < leads)
    assert (np.diff(found) > 0).all()
    assert ((found >= 0) & (found < length)).all()


@pytest.mark.parametrize("signal", [np.zeros((12, 1000)), np.full((12, 1000), 0.5)], ids=["flat", "constant"])
def test_no_peaks_where_there_is_no_signal(signal):
    assert len(r_peaks(signal, ALL)) == 0
    noise = np.random.default_rng(0).normal(0, 0.01, (12, 1000))
    assert len(r_peaks(signal + noise, ALL)) == 0
    assert len(r_peaks(signal, ~ALL)) == 0


def test_the_input_is_left_alone():
    signal, mask, _ = one_record("normal")
    before = signal.copy()
    r_peaks(signal, mask)
    np.testing.assert_array_equal(signal, before)


# --- real records


@pytest.fixture(scope="module")
def mitdb():
    """Two leads at 100 Hz, annotated beats, and the stretches of ventricular flutter, for every record."""
    import wfdb
    from scipy.signal import butter, resample_poly, sosfiltfilt

    high_pass, records = butter(2, 0.5, "highpass", fs=100, output="sos"), {}
    for header in sorted(Path(DATA, "mitdb").glob("*.hea")):
        name = str(header.with_suffix(""))
        signal = sosfiltfilt(high_pass, resample_poly(wfdb.rdrecord(name).p_signal.T, 5, 18, axis=1), axis=1)
        notes = wfdb.rdann(name, "atr")
        at, symbol = notes.sample / 3.6, np.array(notes.symbol)
        beats = at[[s in BEAT_SYMBOLS for s in symbol]]
        records[header.stem] = signal, beats, list(zip(at[symbol == "["], at[symbol == "]"], strict=True))
    return records


def scores(mitdb, leads):
    """Record -> (true positives, false positives, false negatives); EC57: ventricular flutter does not count."""
    result = {}
    for name, (signal, beats, flutter) in mitdb.items():
        mask = np.arange(12) < leads
        twelve = np.zeros((12, signal.shape[1]), np.float32)
        twelve[:leads] = signal[:leads]
        found = r_peaks(twelve, mask)
        for start, end in flutter:
            found = found[(found < start) | (found > end)]
            beats = beats[(beats < start) | (beats > end)]
        result[name] = matched(found, beats)
    return result


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("leads", [1, 2])
def test_sensitivity_and_predictive_value_on_mitdb(mitdb, leads):
    by_record = scores(mitdb, leads)
    hits, extra, missed = sum(by_record.values())
    print(f"mitdb, {leads} leads: sensitivity {hits / (hits + missed):.4f}, PPV {hits / (hits + extra):.4f}")
    assert hits / (hits + missed) >= 0.995
    assert hits / (hits + extra) >= 0.995
    for name, (hits, extra, missed) in by_record.items():
        if name not in HARD and leads == 2:
            assert hits / (hits + missed) >= 0.99, name
            assert hits / (hits + extra) >= 0.99, name
