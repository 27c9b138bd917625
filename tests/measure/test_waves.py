"""P, QRS, ST and T: their edges, widths and heights."""

import numpy as np
import pytest
from ecgs import PLAIN, WEIGHT, heartbeats, measure_drawn, measure_simulated
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.ecg import ECG, LEADS
from ecgclip.measure.beats import find_beats
from ecgclip.measure.measurement import measure, measure_windows
from ecgclip.measure.p_wave import p_present
from ecgclip.measure.waves import qrs_waves
from ecgclip.prepare import LIMB, prepare
from ecgclip.simulate import simulate


@pytest.mark.parametrize("rate", [100, 250, 500, 1000])
def test_a_pacing_spike_is_no_part_of_the_complex(rate):
    for seed in range(8):
        ecg = simulate("paced", seed=seed, sampling_rate=rate)
        (m,) = measure_windows(prepared := prepare(ecg), find_beats(prepared))
        assert m.qrs_ms == pytest.approx(ecg.metadata["truth"]["qrs_ms"], abs=20)
        assert m.qt_ms == pytest.approx(ecg.metadata["truth"]["qt_ms"], abs=30)


@pytest.mark.parametrize("degrees", range(-173, 180, 15))
def test_the_axis_is_that_of_the_dipole(degrees):
    """A dipole in the frontal plane, seen by I at 0° and aVF at 90°: aVF, an augmented lead, is smaller by √3/2."""
    beat = simulate("normal", seed=1, sampling_rate=100).signal
    wave = np.linalg.norm(beat[:6], axis=0) * np.sign(beat[1])
    one, two = (np.cos(np.deg2rad(degrees - at)) * wave for at in (0, 60))
    signal = np.zeros((12, 1000), np.float32)
    signal[:6] = LIMB @ np.stack([one, two])
    prepared = prepare(ECG(signal[:6], 100, LEADS[:6]))
    (m,) = measure_windows(prepared, find_beats(prepared))
    assert abs((m.axis_deg - degrees + 180) % 360 - 180) < 2


@pytest.mark.parametrize("condition", PLAIN[:-1])
def test_axis_matches_the_truth(condition):
    for seed in range(3):
        m, metadata = measure_simulated(condition, seed)
        assert m.axis_deg == pytest.approx(metadata["truth"]["axis_deg"], abs=10)


@pytest.mark.parametrize("condition", (*PLAIN, "lbbb", "anterior-stemi", "lateral-stemi"))
def test_st_levels_match_the_truth(condition):
    for seed in range(3):
        m, metadata = measure_simulated(condition, seed)
        truth = [metadata["truth"]["st_mv"][lead] for lead in LEADS]
        np.testing.assert_allclose(m.st_mv, truth, atol=0.04)


def test_the_waves_of_a_beat_have_their_heights_and_times():
    m = measure_drawn(np.arange(0.5, 9.6, 0.8))
    assert m.heart_rate == pytest.approx(75)
    assert m.longest_pause_ms == 800
    assert m.beats == 12
    assert m.regular
    assert m.rr_variation == m.rr_irregularity == 0
    assert m.n_premature_narrow == m.n_premature_wide == 0
    assert np.allclose(m.r_mv, WEIGHT, atol=0.02)
    assert np.allclose(m.qrs_pp_mv, WEIGHT, atol=0.02)
    assert np.allclose(m.t_mv, 0.3 * WEIGHT, atol=0.01)
    assert np.allclose(m.p_amplitude_mv, 0.13 * WEIGHT, atol=0.01)
    assert not m.q_mv.any()
    assert not m.s_mv.any()
    assert not m.rprime_mv.any()
    assert np.allclose(m.st_mv, 0, atol=0.01)
    assert m.p_present
    assert m.p_consistency > 0.98
    assert m.p_height_mv == pytest.approx(0.15 * np.sqrt((WEIGHT**2).mean()), abs=0.02)
    # the tangents of a Gaussian meet its level two standard deviations from its peak, where a seventh of it is left
    assert m.p_duration_ms == pytest.approx(80, abs=8)
    assert m.p_terminal_v1 == pytest.approx(0, abs=0.3)
    assert m.qrs_ms == pytest.approx(72, abs=10)
    assert m.pr_ms == pytest.approx(200 - 36, abs=8)
    assert m.qt_ms == pytest.approx(300 + 36 + 80, abs=14)
    assert m.qtc_ms == pytest.approx(m.qt_ms / 0.8 ** (1 / 3))
    upside_down, peaks = heartbeats(np.arange(0.5, 9.6, 0.8))
    m = measure(-upside_down, np.ones(12, bool), peaks)
    assert np.allclose(m.q_mv, -WEIGHT, atol=0.02), "a QS complex"
    assert not m.r_mv.any(), "a QS complex"
    assert not m.s_mv.any(), "a QS complex"
    assert np.allclose(m.t_mv, -0.3 * WEIGHT, atol=0.01)
    assert np.allclose(m.p_amplitude_mv, -0.13 * WEIGHT, atol=0.01)
    assert m.p_terminal_v1 > 3, "all of P in V1 is negative"


def test_a_lead_that_is_off_has_no_numbers():
    off = np.arange(12) == 6
    m = measure_drawn(np.arange(0.5, 9.6, 0.8), mask=~off)
    for name in ("q_mv", "q_ms", "r_mv", "s_mv", "rprime_mv", "st_mv", "t_mv", "p_amplitude_mv", "qrs_pp_mv"):
        assert np.array_equal(np.isnan(getattr(m, name)), off), name
    assert np.isnan(m.p_terminal_v1)
    assert m.flat_leads == 1
    assert measure_drawn(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) < 8).flat_leads == 4
    assert measure_drawn(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) < 7).flat_leads is None, "it never had twelve"
    assert np.isnan(measure_drawn(np.arange(0.5, 9.6, 0.8), mask=np.arange(12) > 0).axis_deg), "no axis without lead I"


def test_what_looks_like_p_waves_is_in_doubt_where_intervals_are_chaotic():
    chaotic = np.cumsum([0.6, 0.78, 1.24, 0.91, 0.72, 1.3, 0.84, 1.1, 0.65, 1.17, 0.98])
    for noise, at_s, expected in (
        (0.02, chaotic, True),
        (0.03, chaotic, None),
        (0.03, np.arange(0.6, 10.5, 0.97), True),
    ):
        signal, peaks = heartbeats(at_s, p=0.06, t=0, seconds=11)
        m = measure(signal + np.random.default_rng(0).normal(0, noise, signal.shape), np.ones(12, bool), peaks)
        assert m.p_present is expected
        assert 0.9 < m.p_consistency < 0.97
        assert m.p_height_mv > 0.06


def drawn(*complexes):
    """Complexes, each of waves with a height (mV) and a duration (ms), as rows filled up behind, and their lengths."""
    rows = [np.concatenate([np.full(ms // 2, height) for height, ms in waves]) for waves in complexes]
    length = np.array([len(row) for row in rows])
    return np.array([np.pad(row, (0, length.max() - len(row)), constant_values=9.0) for row in rows]), length


def test_a_complex_is_told_by_its_waves():
    """2 ms a sample: depth or height, and duration, of Q, R and S, and the height of R'."""
    told = {
        ((-0.2, 30), (1.0, 60), (-0.4, 40), (0.3, 20)): (-0.2, 30, 1.0, 60, -0.4, 40, 0.3),
        ((1.0, 60), (-0.4, 40)): (0, 0, 1.0, 60, -0.4, 40, 0),
        ((-1.2, 100),): (-1.2, 100, 0, 0, 0, 0, 0),  # QS
        ((-0.04, 30), (0.5, 60), (-0.04, 10), (0.04, 10)): (0, 0, 0.5, 60, 0, 0, 0),  # below 0.05 mV: no wave
        ((-0.05, 30), (0.5, 60)): (-0.05, 30, 0.5, 60, 0, 0, 0),
        ((-0.1, 20), (0.01, 4), (-0.3, 20), (0.5, 60)): (-0.3, 20, 0.5, 60, 0, 0, 0),  # the deeper of two
        ((-0.3, 20), (0.01, 4), (-0.1, 20), (0.5, 60)): (-0.3, 20, 0.5, 60, 0, 0, 0),
        ((0.5, 60), (-0.1, 20), (0.01, 4), (-0.3, 30)): (0, 0, 0.5, 60, -0.3, 30, 0),
        ((0.5, 60), (-0.3, 20), (0.2, 10), (-0.1, 30), (0.4, 10)): (0, 0, 0.5, 60, -0.3, 20, 0.4),
        ((0.0, 40),): (0, 0, 0, 0, 0, 0, 0),
    }
    every, _ = qrs_waves(*drawn(*told))
    for of_row, waves, expected in zip(every.T, told, told.values(), strict=True):
        assert tuple(of_row) == expected, waves


def test_a_j_point_that_is_raised_or_lowered_is_no_wave():
    deep, raised, turns = (-1.0, 60), [(0.1, 2), (0.2, 2), (0.3, 2)], [(0.3, 2), (0.1, 2), (0.05, 2)]
    every, before_j = qrs_waves(*drawn([deep, *raised], [deep, *raised, *turns], [deep, (0.3, 2)], [deep]))
    assert (every[0] == -1).all() and (before_j[0] == -1).all()
    assert every[2].tolist() == [0.3, 0.3, 0.3, 0]
    assert before_j[2].tolist() == [0, 0.3, 0, 0], "one that turns before it ends is an R"


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40), min_size=2, max_size=6))
def test_each_complex_is_told_by_itself(rows):
    waves = [[(height, 2) for height in row] for row in rows]
    together = np.array(qrs_waves(*drawn(*waves)))
    for i, row in enumerate(waves):
        np.testing.assert_array_equal(together[:, :, i], np.array(qrs_waves(*drawn(row)))[:, :, 0])


@pytest.mark.parametrize(
    "consistency, height, repeats, expected",
    [
        (0.9, 0.05, False, True),
        (0.9, 0.05, True, None),  # waves that repeat may be flutter
        (0.9, 0.02, False, None),
        (0.7, 0.05, False, None),
        (0.7, 0.02, False, False),
        (0.5, 0.2, False, False),
        (0.99, 0.01, False, False),
        (float("nan"), 0.2, False, None),
    ],
)
def test_p_waves_come_back_and_stand_out(consistency, height, repeats, expected):
    assert p_present(consistency, height, repeats) is expected
