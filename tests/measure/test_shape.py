"""The shapes of the waves: of heartbeats drawn by hand, so that every number is known, and of simulated ones."""

from dataclasses import fields

import numpy as np
import pytest
from ecgs import PLAIN, measure_simulated
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecgclip.ecg import ECG, LEADS
from ecgclip.measure.beats import find_beats
from ecgclip.measure.measurement import measure, measure_windows
from ecgclip.measure.median import maxima, turning_points
from ecgclip.measure.shape import Shape
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

SCALE = np.linspace(0.8, 1.2, 12)  # of the beat in each lead


def wave(t, at, sd, height, fall=None):
    """A Gaussian at `at` ms with another SD (ms) on its way down, mV."""
    return height * np.exp(-(((t - at) / np.where(t < at, sd, fall or sd)) ** 2) / 2)


def plain(t):
    """P, QRS and T of a beat whose R peaks at 0 ms."""
    return wave(t, -160, 18, 0.15) + wave(t, 0, 12, 1.2) + wave(t, 260, 45, 0.35)


def shape_of(course, rr=900, gains=None, seconds=10):
    """The Shape of beats with this course over the time from R, ms; of `gains` (beats,) times it."""
    time = np.arange(seconds * 500) * 2.0
    peaks = np.arange(500, seconds * 1000, rr)
    gains = np.ones(len(peaks)) if gains is None else gains
    row = sum(gain * course(time - at) for at, gain in zip(peaks, gains, strict=False))
    return shape_of_signal(SCALE[:, None] * row)


def shape_of_signal(signal, rate=500.0):
    prepared = prepare(ECG(signal.astype(np.float32), rate, LEADS))
    return measure_windows(prepared, find_beats(prepared))[0].shape


def segment(t, level, slope=0.0, until=170):
    """ST from 40 ms on: its level at 45 ms (mV) and slope (mV/s), with smooth edges."""
    edge = lambda at, soft: 0.5 + 0.5 * np.tanh((t - at) / soft)
    return (level + slope * (t - 45) / 1000) * edge(35, 10) * (1 - edge(until, 50))


# --- ST ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [-0.2, 0.0, 0.3])
def test_j_and_the_slope_of_st(level):
    falling, flat, rising = (shape_of(lambda t, s=s: plain(t) + segment(t, level, s)) for s in (-1.5, 0.0, 1.5))
    for shape in (falling, flat, rising):
        np.testing.assert_allclose(shape.j_mv, level * SCALE, atol=0.06)
    np.testing.assert_allclose(flat.st_slope - falling.st_slope, SCALE, atol=0.6)
    np.testing.assert_allclose(rising.st_slope - flat.st_slope, SCALE, atol=0.6)


@pytest.mark.parametrize("condition", (*PLAIN, "lbbb", "anterior-stemi", "lateral-stemi"))
def test_j_of_a_simulated_ecg_is_near_st_and_no_wave(condition):
    for seed in range(3):
        m, _ = measure_simulated(condition, seed)
        assert np.abs(m.shape.j_mv - m.st_mv).max() < 0.25
        np.testing.assert_allclose(m.shape.j_mv + 0.06 * m.shape.st_slope, m.st_mv, atol=0.05)


def test_an_elevation_is_concave_or_convex():
    concave = lambda t: plain(t) + segment(t, 0.1)
    coved = lambda t: wave(t, 0, 12, 1.2) + wave(t, 90, 60, 0.4) + wave(t, 270, 40, -0.3)
    time = np.arange(5000) * 2.0
    signal = SCALE[:, None] * sum(concave(time - at) for at in range(500, 9900, 900))
    signal[6:8] = sum(coved(time - at) for at in range(500, 9900, 900))  # V1 and V2 of Brugada's type 1
    shape = shape_of_signal(signal)
    v1_v2 = np.isin(np.arange(12), (6, 7))
    assert (shape.st_curve_mv[~v1_v2] > 0.05).all()
    assert (shape.st_curve_mv[v1_v2] < -0.04).all()


def test_the_length_of_st():
    early, late = (
        shape_of(lambda t, at=at: wave(t, 0, 12, 1.2) + wave(t, at, 35, 0.4)).st_length_ms for at in (200, 320)
    )
    assert late - early == pytest.approx(100, abs=25)


def test_a_baseline_that_moves_scatters_st():
    rng = np.random.default_rng(0)
    steady = shape_of(plain)
    moved = shape_of(lambda t: plain(t) + segment(t, rng.normal(0, 0.15)))
    assert steady.st_scatter_mv.max() < 0.01
    assert moved.st_scatter_mv.min() > 0.08


# --- T and U ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("sd", [25, 40, 60])
def test_width_and_symmetry_of_t(sd, sign):
    even = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 290, sd, 0.5 * sign))
    uneven = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 290, sd, 0.5 * sign, fall=sd / 2))
    np.testing.assert_allclose(even.t_width_ms, 2.355 * sd, atol=6)
    np.testing.assert_allclose(uneven.t_width_ms, 0.75 * 2.355 * sd, atol=6)
    assert (even.t_symmetry > 0.9).all()
    np.testing.assert_allclose(uneven.t_symmetry, 0.5, atol=0.1)


def test_a_t_with_two_phases_or_two_peaks():
    one = shape_of(plain)
    after = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 220, 25, 0.25) + wave(t, 310, 25, -0.3))
    peaks = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 220, 22, 0.25) + wave(t, 310, 25, 0.3))
    np.testing.assert_allclose(after.t_after_mv, -0.3 * SCALE, atol=0.04)
    assert not one.t_after_mv.any() and not peaks.t_after_mv.any()
    assert (peaks.t_notched == 1).all()
    assert not one.t_notched.any()


def test_a_flat_t_has_no_shape():
    flat = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 260, 45, 0.04))
    assert np.isnan([flat.t_width_ms, flat.t_symmetry, flat.t_notched]).all()


@pytest.mark.parametrize("height", [0.0, 0.06, 0.2])
def test_u(height):
    shape = shape_of(lambda t: plain(t) + wave(t, 450, 25, height), rr=1100)
    np.testing.assert_allclose(shape.u_mv, height * SCALE, atol=0.02)


def test_no_u_is_told_at_a_fast_rate():
    assert np.isnan(shape_of(plain, rr=450).u_mv).all()


# --- QRS --------------------------------------------------------------------------------------------------------------


def test_the_time_to_the_peak_of_r_is_that_of_the_last_tall_one():
    early = shape_of(lambda t: wave(t, 0, 12, 1.2) + wave(t, 260, 45, 0.3))
    late = shape_of(lambda t: wave(t, 0, 9, 0.6) + wave(t, 25, 9, -0.8) + wave(t, 60, 12, 0.9) + wave(t, 290, 45, 0.3))
    assert np.ptp(early.r_peak_ms) <= 4 and np.median(early.r_peak_ms) == pytest.approx(32, abs=10)
    assert np.median(late.r_peak_ms - early.r_peak_ms) == pytest.approx(50, abs=12)
    assert (late.notches == 1).all() and not early.notches.any()


def test_a_notch_of_r():
    shape = shape_of(lambda t: wave(t, -22, 10, 0.9) + wave(t, 22, 10, 0.8) + wave(t, 280, 45, 0.3))
    assert (shape.notches == 1).all()


@pytest.mark.parametrize("height", [0.15, 0.25])
def test_a_notch_at_the_end_of_qrs_is_a_j_wave(height):
    shape = shape_of(lambda t: plain(t) + wave(t, 45, 8, height))
    np.testing.assert_allclose(shape.j_wave_mv, height * SCALE, atol=0.04)


def test_a_slur_is_neither_a_j_wave_nor_none():
    slurred = shape_of(lambda t: plain(t) + wave(t, 30, 9, 0.25, fall=20))
    assert np.isnan(slurred.j_wave_mv).all()
    assert not shape_of(plain).j_wave_mv.any()


def test_from_the_lowest_point_of_s_to_j():
    shape = shape_of(lambda t: wave(t, -30, 8, 0.4) + wave(t, 0, 10, -1.2) + wave(t, 270, 45, 0.3))
    np.testing.assert_allclose(shape.s_to_j_ms, 27, atol=8)


def test_the_start_of_qrs_is_up_or_down():
    up = shape_of(lambda t: plain(t) + wave(t, -45, 14, 0.25, fall=20))
    down = shape_of(lambda t: plain(t) - wave(t, -45, 14, 0.25, fall=20))
    assert (up.delta_mv > 0.08).all() and (down.delta_mv < -0.05).all()


def test_a_raised_j_point_is_no_r():
    shape = shape_of(lambda t: wave(t, 0, 12, -1.5) + segment(t, 0.25, until=250) + wave(t, 260, 45, 0.4))
    assert not shape.r_mv.any() and not shape.rprime_mv.any()


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=60), st.floats(0.01, 0.5))
def test_a_course_turns_by_as_much_as_is_asked(values, least):
    x = np.array([values])
    row, turns = turning_points(x, np.array([least]))
    steps = np.diff(x[row, turns])
    assert (np.abs(steps) >= least).all()
    assert (steps[1:] * steps[:-1] < 0).all()
    assert not row.any() and (np.diff(turns) > 0).all()


@given(hnp.arrays(float, (3, 30), elements=st.floats(-1, 1, width=32)), st.integers(1, 30))
def test_the_maxima_of_a_row_do_not_depend_on_the_others(x, length):
    x[1, length:] = x[1, length - 1]  # filled up
    together = maxima(x, np.array([0.1, 0.2, 0.3]))
    for row, least, found in zip((x[0], x[1, :length], x[2]), (0.1, 0.2, 0.3), together, strict=True):
        alone = maxima(row, least)
        assert np.array_equal(found[: len(row)], alone) and not found[len(row) :].any()
        assert not alone[[0, -1]].any()


# --- P ----------------------------------------------------------------------------------------------------------------


def test_the_parts_of_p():
    narrow = lambda t: wave(t, 0, 12, 1.2) + wave(t, 260, 45, 0.35)
    notched = shape_of(lambda t: narrow(t) + wave(t, -200, 13, 0.15) + wave(t, -150, 13, 0.15))
    one = shape_of(plain)
    v1 = 6
    for seed in range(3):  # P of V1 is first positive, then negative
        shape = measure_simulated("normal", seed)[0].shape
        assert shape.p_start_mv[v1] > 0.02 and shape.p_end_mv[v1] < -0.015
        assert shape.p_start_mv[1] > 0.03 and shape.p_end_mv[1] > 0.02
    np.testing.assert_allclose(notched.p_notch_ms, 50, atol=6)
    assert not one.p_notch_ms.any()


@pytest.mark.parametrize("level", [-0.08, 0.08])
def test_the_level_of_the_pr_segment_is_over_that_before_p(level):
    ramp = lambda t: 0.5 * (np.tanh((t + 130) / 12) - np.tanh((t + 10) / 12))
    shape = shape_of(lambda t: plain(t) + level * ramp(t))
    np.testing.assert_allclose(shape.pr_level_mv, level, atol=0.025)


# --- from beat to beat ------------------------------------------------------------------------------------------------


def test_every_second_beat_is_smaller():
    gains = np.resize([1.0, 0.75], 20)
    shape = shape_of(plain, gains=gains)
    assert shape.qrs_alternans == pytest.approx(100 * 0.25 / 0.875, abs=3)
    assert shape.t_alternans_mv == pytest.approx(0.25 * 0.35 * SCALE[-2], abs=0.02)
    steady = shape_of(plain, gains=1 + np.random.default_rng(1).normal(0, 0.02, 20))
    assert steady.qrs_alternans < 5 and steady.t_alternans_mv < 0.02


def test_bigeminy_is_no_alternans():
    time = np.arange(5000) * 2.0
    early = sum(plain(time - at) + 0.6 * plain(time - at - 550) for at in range(500, 9500, 1500))
    assert np.isnan(shape_of_signal(SCALE[:, None] * early).qrs_alternans)


def test_an_axis_that_takes_turns():
    time = np.arange(5000) * 2.0
    signal = np.zeros((12, 5000))
    for i, at in enumerate(range(300, 10000, 400)):
        signal += (SCALE * (-1) ** i)[:, None] * (wave(time - at, 0, 25, 1.2) + wave(time - at, 180, 40, -0.4))
    assert shape_of_signal(signal).axis_alternation_deg > 150
    assert measure_simulated("lbbb")[0].shape.axis_alternation_deg < 10


# --- the whole course -------------------------------------------------------------------------------------------------


def fibrillating(seed):
    rng, time = np.random.default_rng(seed), np.arange(5000) / 500
    signal = np.zeros((12, 5000))
    for _ in range(6):
        drift, swell = (np.sin(2 * np.pi * rng.uniform(0.1, 0.6) * time + rng.uniform(0, 6)) for _ in range(2))
        phase = 2 * np.pi * rng.uniform(3.5, 7) * time + 2.5 * drift + rng.uniform(0, 6)
        signal += rng.normal(0, 0.25, (12, 1)) * (0.5 + 0.5 * swell) * np.sin(phase)
    return signal


def test_ventricular_fibrillation_is_chaos():
    chaos = [shape_of_signal(fibrillating(seed)) for seed in range(6)]
    assert min(shape.chaos for shape in chaos) > 0.65
    assert np.median([shape.wave_rate for shape in chaos]) > 250
    assert not any(shape.sine_wave for shape in chaos)


def test_ventricular_flutter_is_a_sine_wave_and_torsades_twist():
    rng, time = np.random.default_rng(3), np.arange(5000) / 500
    one, two = rng.normal(0, 0.8, (2, 12, 1))
    flutter = shape_of_signal(one * np.sin(2 * np.pi * 4 * time))
    turn = 2 * np.pi * 0.1 * time
    torsades = shape_of_signal((one * np.cos(turn) + 0.5 * two * np.sin(turn)) * np.sin(2 * np.pi * 3.7 * time))
    assert flutter.sine_wave == 1 and flutter.wave_rate == pytest.approx(240, abs=12)
    assert torsades.axis_twist == 1 and not flutter.axis_twist
    assert max(flutter.chaos, torsades.chaos) < 0.4


@pytest.mark.parametrize("condition", ["normal", "af", "flutter", "sinus-tachycardia", "pvc", "lbbb", "paced"])
def test_heartbeats_are_no_chaos_and_no_sine_wave(condition):
    shape = measure_simulated(condition)[0].shape
    assert shape.chaos < 0.1
    assert not shape.sine_wave and not shape.axis_twist
    assert shape.wave_rate < 300


def test_a_flat_line_has_a_height_and_nothing_else():
    noise = np.random.default_rng(0).normal(0, 0.004, (12, 1000))
    shape = measure(noise, np.ones(12, bool), np.empty(0, int)).shape
    assert shape.signal_height_mv < 0.05
    others = [np.atleast_1d(getattr(shape, f.name)) for f in fields(Shape) if f.name != "signal_height_mv"]
    assert np.isnan(np.concatenate(others)).all()


# --- the leads together -----------------------------------------------------------------------------------------------


def test_limb_leads_that_do_not_fit_the_chest_leads():
    ecg = simulate("normal", seed=2)
    one, two, three, avr, avl, avf = ecg.signal[:6]
    exchanged = np.vstack([-one, three, two, avl, avr, avf, ecg.signal[6:]])  # the arm electrodes
    assert shape_of_signal(ecg.signal).limb_chest_fit > 0.6
    assert shape_of_signal(exchanged).limb_chest_fit < -0.5
    assert np.isnan(measure_simulated("normal", mask=np.arange(12) < 6)[0].shape.limb_chest_fit)
