"""Every P wave, conducted or not: what is found beside the truth of the drawing."""

import numpy as np
import pytest
from ecgs import measure_simulated

from ecgclip.ecg import AVF, II, III, V1
from ecgclip.measure import measure

SEEDS = range(3)
COURSE = np.linspace(-1, 1, 12)  # how the leads see T
P_LEADS = np.array([0.06, 0.12, 0.06, -0.09, 0.0, 0.09, 0.03, 0.05, 0.06, 0.05, 0.05, 0.05])


def drawn(p_s, r_s, seconds=10, noise=0.004, seed=0):
    """An ECG with a P wave at each of `p_s` and a beat at each of `r_s`, s: (12, samples) mV, and the R peaks."""
    time, rng = np.arange(int(100 * seconds)) / 100, np.random.default_rng(seed)
    bump = lambda at, width: np.exp(-0.5 * ((time - at) / width) ** 2)
    signal = rng.normal(0, noise, (12, len(time)))
    for at in p_s:
        signal += P_LEADS[:, None] * bump(at, 0.025)
    for at in r_s:
        signal += np.linspace(0.5, 1.2, 12)[:, None] * bump(at, 0.012) - 0.25 * bump(at + 0.035, 0.012)
        signal += (0.2 + 0.1 * COURSE)[:, None] * bump(at + 0.27, 0.04)
    return signal, np.rint(100 * np.array([at for at in r_s if 0 < at < seconds])).astype(int)


def atria_of(p_s, r_s, **options):
    signal, peaks = drawn(p_s, r_s, **options)
    return measure(signal, np.ones(12, bool), peaks).atria


def test_in_sinus_rhythm_every_p_wave_is_conducted():
    p = np.arange(0.4, 10, 0.8)
    atria = atria_of(p, p + 0.16)
    assert atria.p_certainty > 1
    assert atria.p_rate == pytest.approx(75, abs=1)
    assert np.abs(atria.at / 100 - p).max() < 0.03
    assert (atria.dropped, atria.dropped_run, atria.missing, atria.p_unlocked, atria.p_shapes) == (0, 0, 0, 0, 1)
    assert atria.pr_range_ms < 20
    assert atria.rp_ms == pytest.approx(640, abs=30)
    assert (atria.p_before[1:] == 1).all() and not (atria.p_early == 1).any()


def test_two_to_one_block_has_two_p_waves_for_each_beat():
    p = np.arange(0.3, 10, 0.7)
    atria = atria_of(p, p[::2] + 0.16)
    assert atria.p_rate == pytest.approx(60 / 0.7, abs=2)
    assert (atria.dropped_run, atria.p_unlocked) == (1, 0)
    assert atria.dropped >= 5
    assert atria.pr_range_ms < 20


def test_three_to_one_block_drops_two_in_a_row():
    p = np.arange(0.3, 10, 0.62)
    assert atria_of(p, p[::3] + 0.16).dropped_run == 2


def test_pr_grows_in_mobitz_1_and_not_in_mobitz_2():
    p = np.arange(0.3, 10, 0.8)
    growing = np.array([0.16, 0.24, 0.28, np.nan])[np.arange(len(p)) % 4]
    constant = np.where(np.isnan(growing), np.nan, 0.16)
    first, second = (atria_of(p, (p + pr)[~np.isnan(pr)]) for pr in (growing, constant))
    assert first.dropped == second.dropped == 2  # the third comes after the last beat
    assert first.pr_growth_ms == pytest.approx(120, abs=25)
    assert first.pr_range_ms == pytest.approx(120, abs=25)
    assert abs(second.pr_growth_ms) < 20


def test_a_dropped_cycle_misses_a_p_wave_and_a_blocked_one_does_not():
    p = np.arange(0.3, 10, 0.9)
    dropped = np.delete(p, 5)
    atria = atria_of(dropped, dropped + 0.16)
    assert (atria.missing, atria.dropped, atria.p_in_pause) == (1, 0, 0)
    assert atria.pause_multiple < 0.05
    blocked = atria_of(p, np.delete(p, 5) + 0.16)
    assert (blocked.missing, blocked.dropped, blocked.p_in_pause) == (0, 1, 1)


def test_a_pause_without_p_waves_need_be_no_multiple():
    p = np.concatenate([np.arange(0.3, 4, 0.9), np.arange(5.45, 10, 0.9)])
    atria = atria_of(p, p + 0.16)
    assert atria.p_in_pause == 0
    assert atria.pause_multiple == pytest.approx(0.5, abs=0.1) or atria.missing >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_complete_block_is_dissociated(seed):
    m, metadata = measure_simulated("complete-av-block", seed)
    assert m.atria.p_certainty > 1
    assert m.atria.p_unlocked > 0.5
    assert m.atria.p_rate > 1.5 * m.heart_rate


@pytest.mark.parametrize("condition", ["normal", "sinus-tachycardia", "sinus-bradycardia", "lbbb", "pvc"])
def test_sinus_rhythm_has_no_p_too_many(condition):
    for seed in SEEDS:
        m, _ = measure_simulated(condition, seed)
        assert m.atria.p_certainty > 0
        assert m.atria.p_unlocked < 0.3
        assert (m.atria.dropped, m.atria.missing) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_fibrillation_has_no_p_and_waves_in_v1(seed):
    m, _ = measure_simulated("af", seed)
    assert m.atria.p_certainty < 0
    assert m.atria.f_mv > 0.03
    assert m.atria.f_share > 0.5


def test_flutter_waves_are_no_p_and_have_the_sign_of_a_sawtooth():
    m, _ = measure_simulated("flutter", 1)
    assert m.atria.p_certainty < 0.5
    assert (m.atria.flutter_mv[[II, III, AVF]] < -0.1).all() and m.atria.flutter_mv[V1] > 0.1
    assert np.isnan(measure_simulated("normal")[0].atria.flutter_mv).all()


def test_a_premature_p_is_seen_before_its_beat():
    p = np.sort(np.append(np.delete(np.arange(0.3, 10, 0.9), 6), 0.3 + 5 * 0.9 + 0.58))
    atria = atria_of(p, p + 0.16)
    early = np.flatnonzero(atria.p_early == 1)
    assert len(early) == 1 and early[0] == 6
    assert (atria.dropped, atria.premature_dropped) == (0, 0)


@pytest.mark.parametrize("leads", [[], [II], [0, II]])
def test_few_leads_are_measured_too(leads):
    p = np.arange(0.4, 10, 0.8)
    signal, peaks = drawn(p, p + 0.16)
    mask = np.isin(np.arange(12), leads)
    atria = measure(signal * mask[:, None], mask, peaks).atria
    assert np.isnan(atria.p_certainty) if not leads else atria.p_certainty > 1
    assert len(atria.p_before) == len(peaks)


@pytest.mark.parametrize("beats", [0, 1, 2])
def test_without_a_few_beats_nothing_is_said(beats):
    signal, peaks = drawn([], [1.0, 1.9][:beats], seconds=4)
    atria = measure(signal, np.ones(12, bool), peaks).atria
    assert all(np.isnan(getattr(atria, name)) for name in ("p_rate", "dropped", "missing", "p_unlocked", "pr_range_ms"))
    assert len(atria.p_before) == beats


@pytest.mark.parametrize("flat", [slice(3, 5), slice(None)])
def test_beats_that_are_flat_in_the_leads_that_are_there_end_the_search(flat):
    p = np.arange(0.4, 10, 0.8)
    signal, peaks = drawn(p, p + 0.16)
    for r in peaks[flat]:
        signal[:, r - 30 : r + 50] = 0
    mask = np.zeros(12, bool)
    mask[0] = True
    atria = measure(signal * mask[:, None], mask, peaks).atria  # once it searched for ever
    assert len(atria.at) <= len(p), "no more P waves than there are"
