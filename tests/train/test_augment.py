"""Augmented windows are still windows that a device could have recorded."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecgclip.data.cases import UNKNOWN
from ecgclip.measure.vector import feature_names
from ecgclip.train.augment import augment

STRONG = {"drop_leads": 0.8, "gain": 0.3, "noise": 0.1, "wander": 0.1, "mains": 0.05, "crop": 0.8}


def toy_batch(rng, n=6):
    length = rng.integers(200, 1001, n)
    times = np.full((n, 40), np.nan, np.float32)
    truth = np.full((n, 40, 3), UNKNOWN, np.int8)
    for i in range(n):
        at = np.arange(0.4, length[i] / 100 - 0.005, 0.7)
        times[i, : len(at)] = at
        truth[i, : len(at)] = 0
    signal = rng.standard_normal((n, 12, 1000)).astype(np.float32) * (np.arange(1000) < length[:, None, None])
    mask = rng.random((n, 12)) < 0.8
    mask[:, 1] = True
    return {
        "signal": signal * mask[..., None],
        "leads": np.stack([mask, mask & (np.arange(12) < 2)], 1),
        "features": rng.standard_normal((n, 2, len(feature_names()))).astype(np.float32),
        "r_peaks": times,
        "length": length,
        "beat_truth": truth,
        "statement_truth": np.ones((n, 2), np.int8),
    }


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
@example(493)  # a peak in the very sample where the crop ends
def test_augmented_windows_stay_possible_windows(seed):
    rng = np.random.default_rng(seed)
    batch = toy_batch(rng)
    before = {k: v.copy() for k, v in batch.items()}
    out = augment(batch, STRONG, rng)
    for name in batch:
        assert np.array_equal(batch[name], before[name], equal_nan=name == "r_peaks"), "the input is left alone"
    assert out["mask"].any(1).all()
    assert (out["mask"] <= batch["leads"][:, 0]).all()
    assert (out["length"] <= batch["length"]).all()
    assert (out["length"] >= 200).all()
    inside = np.isnan(out["r_peaks"]) | ((out["r_peaks"] >= 0) & (out["r_peaks"] * 100 < out["length"][:, None]))
    assert inside.all()
    gaps = np.diff(out["r_peaks"])
    assert (gaps[~np.isnan(gaps)] > 0).all()
    assert ((out["beat_truth"][..., 0] != UNKNOWN) == ~np.isnan(out["r_peaks"])).all(), "truth moves with its beat"
    assert np.isfinite(out["signal"]).all()
    assert not out["signal"][~out["mask"]].any()
    for row, n in zip(out["signal"], out["length"], strict=True):
        assert not row[:, n:].any()


def test_a_crop_keeps_the_beats_at_their_r_peaks():
    rng = np.random.default_rng(0)
    batch = toy_batch(rng)
    batch["signal"] = np.zeros_like(batch["signal"])
    for i, row in enumerate(batch["r_peaks"]):
        batch["signal"][i, :, np.round(row[~np.isnan(row)] * 100).astype(int)] = 1
    batch["leads"][:] = True
    out = augment(batch, dict.fromkeys(STRONG, 0.0) | {"crop": 1.0}, rng)
    assert (out["length"] < batch["length"]).any()
    for signal, row in zip(out["signal"], out["r_peaks"], strict=True):
        assert np.flatnonzero(signal[0]).tolist() == np.round(row[~np.isnan(row)] * 100).astype(int).tolist()


def test_without_strength_nothing_changes():
    rng = np.random.default_rng(0)
    batch = toy_batch(rng)
    out = augment(batch, dict.fromkeys(STRONG, 0.0), rng)
    batch |= {"mask": batch.pop("leads")[:, 0], "measured": batch.pop("features")[:, 0]}
    for name in out:
        assert np.array_equal(out[name], batch[name], equal_nan=name == "r_peaks"), name
