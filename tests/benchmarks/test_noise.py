"""benchmarks/noise.py: real noise at the ratio that was asked for."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ecgclip.data.cases import Case
from ecgclip.measure.beats import find_beats
from ecgclip.prepare import LIMB, prepare
from ecgclip.simulate import simulate

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def noise():
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import noise as module
    return module


@pytest.fixture(scope="module")
def windows():
    """A whole window of twelve leads, one of two leads, and one of 7 s."""
    prepared = prepare(simulate("normal", seed=1, sampling_rate=100))
    signal = np.repeat(prepared.signal, 3, 0).astype(np.float16)
    mask, length = np.ones((3, 12), bool), np.array([1000, 1000, 700])
    mask[1, [0, 2, 3, 4, 5, 6, 7, 8, 9, 11]] = False
    signal[2, :, 700:] = 0
    signal[~mask] = 0
    peaks = np.full((3, 40), np.nan)
    found = find_beats(prepared).windows[0] / 100
    peaks[:, : len(found)] = found
    return SimpleNamespace(signal=signal, mask=mask, length=length, r_peaks=peaks, case=np.arange(3))


@pytest.fixture(scope="module")
def bank():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((5, 1000)), np.cumsum(rng.standard_normal((5, 1000)), 1)]


@pytest.mark.parametrize("snr", (24, 12, 6, 0))
def test_the_ratio_is_the_one_asked_for_over_the_recorded_leads_and_samples(noise, windows, bank, snr):
    noisy = noise.add_noise(windows, snr, bank)
    for i, length in enumerate(windows.length):
        heart = windows.signal[i, windows.mask[i], :length].astype(float)
        added = noisy[i, windows.mask[i], :length] - heart
        assert 10 * np.log10((heart**2).sum() / (added**2).sum()) == pytest.approx(snr, abs=0.1)
        assert not noisy[i, ~windows.mask[i]].any()
        assert not noisy[i, :, length:].any()


def test_a_seed_gives_the_same_noise_and_every_ratio_the_same_but_for_its_size(noise, windows, bank):
    noisy = noise.add_noise(windows, 6, bank, seed=3)
    assert (noisy == noise.add_noise(windows, 6, bank, seed=3)).all()
    assert not np.allclose(noisy, noise.add_noise(windows, 6, bank, seed=4))
    signal = windows.signal.astype(np.float32)
    weak = noise.add_noise(windows, 26, bank, seed=3) - signal
    np.testing.assert_allclose(noisy - signal, 10 * weak, atol=1e-5)
    assert not np.allclose(noisy[0] - signal[0], noisy[1] - signal[1]), "each window has its own"


def test_noise_of_limb_leads_obeys_einthoven(noise, windows, bank):
    added = noise.add_noise(windows, 6, bank)[0] - windows.signal[0].astype(np.float32)
    np.testing.assert_allclose(added[:6], LIMB @ added[:2], atol=1e-6)
    assert abs(np.corrcoef(added[[0, 1, 6, 7, 8, 9, 10, 11]]) - np.eye(8)).max() < 0.9


def test_strips_are_the_noise_of_quiet_leads_without_the_heart(noise, windows):
    rng = np.random.default_rng(0)
    truth = 0.05 * rng.standard_normal((12, 1000))
    signal = windows.signal[:1].astype(float)
    signal[0, :3] *= 0.02  # three leads in which the heart is hardly seen
    mask = np.array([[True] * 3 + [False] * 3 + [True] * 6])
    shown = SimpleNamespace(**{**vars(windows), "signal": signal + truth, "mask": mask})
    found = noise.strips(shown, [0])
    assert found.shape == (3, 1000)
    np.testing.assert_allclose(noise.power(found), 1, rtol=1e-4)
    assert all(abs(np.corrcoef(a, b)[0, 1]) > 0.85 for a, b in zip(found, truth[:3], strict=True))
    clean = {**vars(windows), "mask": windows.mask & (np.ptp(windows.signal, axis=2) > 0.6)}
    assert clean["mask"][:2].sum() >= 8
    assert not len(noise.strips(SimpleNamespace(**clean), [0, 1])), "clean leads are no noise"
    assert not len(noise.strips(SimpleNamespace(**{**vars(shown), "length": np.array([900, 1, 1])}), [0]))


def test_what_is_left_of_a_qrs_complex_is_no_noise(noise, windows):
    peaks = (windows.r_peaks[0][~np.isnan(windows.r_peaks[0])] * 100).astype(int)
    left = 0.01 * np.random.default_rng(0).standard_normal((1, 1000))
    assert noise.is_quiet(left, left, peaks).all()
    left[:, peaks[::2]] += 0.5
    assert not noise.is_quiet(left, left, peaks).any()


def test_the_bank_is_of_sinus_rhythm_and_of_bad_recordings(noise, windows, monkeypatch):
    monkeypatch.setattr(noise, "strips", lambda windows, rows: list(rows))
    good = [Case("ptb-xl", str(i), str(i), annotated=frozenset(["sinus-rhythm"] * (i != 1))) for i in range(3)]
    bad = [Case("challenge-2011", str(i), str(i), {"poor-signal-quality": i == 2}) for i in range(3)]
    splits = {"ptb-xl": SimpleNamespace(cases=good, windows=windows)}
    splits["challenge-2011"] = SimpleNamespace(cases=bad, windows=windows)
    assert noise.noise_bank(splits) == [[0, 2], [2]]
