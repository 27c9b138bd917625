"""Augmentation of a batch: leads dropped (down to one), gain, noise, baseline wander, mains hum, shorter windows."""

from __future__ import annotations

import numpy as np

from ecgclip.data.cases import UNKNOWN
from ecgclip.measure.vector import feature_names
from ecgclip.prepare import SAMPLING_RATE

# The measurements that a gain changes
IN_MV = np.array([name.split(":")[0].endswith("_mv") for name in feature_names()])
MAINS_HZ = (50.0, 60.0)
MAINS_PREPARED_HZ = (40.0, 48.0)  # what preparing at SAMPLING_RATE leaves of it
SHORTEST_S = 4  # of a crop


def draw_variant(leads: np.ndarray, drop: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An index that takes one lead subset of each window: with the chance `drop` another than the first.

    leads : (b, variants, 12)
    """
    n = len(leads)
    return np.arange(n), np.where(rng.random(n) < drop, rng.integers(1, max(leads.shape[1], 2), n), 0)


def augment(
    batch: dict[str, np.ndarray], strength: dict[str, float], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """A changed copy of a batch.

    Parameters
    ----------
    batch
        signal float32 (b, 12, 10 s) mV, r_peaks (b, n) s, length (b,) samples, beat_truth (b, n, kinds), and of every
        lead subset leads bool (b, variants, 12) and features (b, variants, …). Other columns stay.
    strength
        drop_leads and crop: the chance of a window; gain: standard deviation of its logarithm; noise, wander and mains:
        twice the mean amplitude, mV. drop_demographics, the chance of an age and of a sex, is for `Batches`.

    Returns
    -------
    dict
        The batch with mask (b, 12) and measured (b, …) of one lead subset instead of leads and features.
    """
    changed = {k: v.copy() for k, v in batch.items() if k in ("signal", "r_peaks", "length", "beat_truth")}
    signal, length = changed["signal"], changed["length"]
    variant = draw_variant(batch["leads"], strength["drop_leads"], rng)
    mask, measured = batch["leads"][variant], batch["features"][variant]
    gain = np.exp(rng.normal(0, strength["gain"], (len(signal), 1, 1))).astype(np.float32)
    signal *= gain
    measured[:, IN_MV] *= gain[:, 0]
    _disturb(signal, strength, rng)
    _crop(changed, strength["crop"], rng)
    signal *= mask[..., None]
    signal *= np.arange(signal.shape[-1]) < length[:, None, None]
    others = {k: v for k, v in batch.items() if k not in ("leads", "features")}
    return others | changed | {"mask": mask, "measured": measured}


def _disturb(signal: np.ndarray, strength: dict[str, float], rng: np.random.Generator) -> None:
    """Add muscle noise, baseline wander and mains hum in place; signal (b, 12, 10 s) mV."""
    n, rate = len(signal), signal.shape[-1] // 10
    time_s = np.arange(signal.shape[-1], dtype=np.float32) / rate

    def level(name: str) -> np.ndarray:  # most records get a little, few get much
        return rng.exponential(strength[name] / 2, (n, 12, 1)).astype(np.float32)

    signal += level("noise") * rng.standard_normal(signal.shape, np.float32)
    phase = rng.uniform(0, 2 * np.pi, (n, 12, 1)).astype(np.float32)
    signal += level("wander") * np.sin(2 * np.pi * rng.uniform(0.2, 0.6, (n, 1, 1)).astype(np.float32) * time_s + phase)
    mains = MAINS_PREPARED_HZ if rate == SAMPLING_RATE else MAINS_HZ
    signal += level("mains") * np.sin(2 * np.pi * rng.choice(mains, (n, 1, 1)).astype(np.float32) * time_s + phase)


def _crop(batch: dict[str, np.ndarray], chance: float, rng: np.random.Generator) -> None:
    """Cut some windows down to a stretch, in place: it moves to the beginning, with its R peaks and their truth."""
    signal, peaks, length, beat_truth = (batch[k] for k in ("signal", "r_peaks", "length", "beat_truth"))
    rate = signal.shape[-1] // 10
    for i in np.flatnonzero(rng.random(len(signal)) < chance):
        keep = int(rng.integers(min(SHORTEST_S * rate, length[i]), length[i] + 1))
        first = int(rng.integers(0, length[i] - keep + 1))
        signal[i, :, :keep] = signal[i, :, first : first + keep].copy()
        length[i] = keep
        moved = np.round(peaks[i] * rate) - first  # whole samples: 5.17 s is 516.99999 of them otherwise
        inside = (moved >= 0) & (moved < keep)
        count = int(inside.sum())
        peaks[i], truth_inside = np.nan, beat_truth[i][inside]
        peaks[i, :count] = moved[inside] / rate
        beat_truth[i] = UNKNOWN
        beat_truth[i, :count] = truth_inside
