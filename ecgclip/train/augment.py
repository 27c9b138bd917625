"""Augmentation of a batch."""

from __future__ import annotations

import numpy as np

from ecgclip.data.cases import UNKNOWN
from ecgclip.measure.vector import feature_names
from ecgclip.prepare import SAMPLING_RATE

IN_MV = np.array(
    [name.split(":")[0].endswith("_mv") for name in feature_names()]
)  # of the measurements, those that a gain changes


def _variant(leads: np.ndarray, drop: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """leads (b, variants, 12) → indices that take one variant of each, with the chance `drop` not the first."""
    n = len(leads)
    return np.arange(n), np.where(rng.random(n) < drop, rng.integers(1, max(leads.shape[1], 2), n), 0)


def augment(
    batch: dict[str, np.ndarray], strength: dict[str, float], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Leads dropped (down to one), gain, baseline wander, muscle and mains noise, shorter windows; nothing in place.

    signal float32 (b, 12, 10 s) mV, r_peaks (b, n) s, length (b,) samples, leads bool (b, variants, 12) and features
    (b, variants, …), of which one is drawn: mask (b, 12) and measured (b, …).
    """
    signal, peaks = batch["signal"].copy(), batch["r_peaks"].copy()
    length = np.array(batch["length"])
    n, rate = len(signal), signal.shape[-1] // 10  # a window has 10 s
    time_s = np.arange(signal.shape[-1], dtype=np.float32) / rate

    def level(name: str) -> np.ndarray:  # most records get a little, few get much
        return (rng.exponential(strength[name] / 2, (n, 12, 1))).astype(np.float32)

    drawn = _variant(batch["leads"], strength["drop_leads"], rng)
    mask, measured = batch["leads"][drawn], batch["features"][drawn]
    gain = np.exp(rng.normal(0, strength["gain"], (n, 1, 1))).astype(np.float32)
    signal *= gain
    measured[:, IN_MV] *= gain[:, 0]
    signal += level("noise") * rng.standard_normal(signal.shape, np.float32)
    phase = rng.uniform(0, 2 * np.pi, (n, 12, 1)).astype(np.float32)
    signal += level("wander") * np.sin(2 * np.pi * rng.uniform(0.2, 0.6, (n, 1, 1)).astype(np.float32) * time_s + phase)
    left = [40.0, 48.0] if rate == SAMPLING_RATE else [50.0, 60.0]  # Hz; what preparing leaves of 50 or 60
    signal += level("mains") * np.sin(2 * np.pi * rng.choice(left, (n, 1, 1)).astype(np.float32) * time_s + phase)
    beat_truth = batch["beat_truth"].copy()
    for i in np.flatnonzero(rng.random(n) < strength["crop"]):
        keep = int(rng.integers(min(4 * rate, length[i]), length[i] + 1))
        first = int(rng.integers(0, length[i] - keep + 1))
        signal[i, :, :keep] = signal[i, :, first : first + keep].copy()
        length[i] = keep
        moved = np.round(peaks[i] * rate) - first  # whole samples: 5.17 s is 516.99999 of them otherwise
        inside = (moved >= 0) & (moved < keep)
        count = int(inside.sum())
        peaks[i], marks = np.nan, beat_truth[i][inside]
        peaks[i, :count] = moved[inside] / rate
        beat_truth[i] = UNKNOWN
        beat_truth[i, :count] = marks
    signal *= mask[..., None]
    signal *= np.arange(signal.shape[-1]) < length[:, None, None]
    rest = {k: v for k, v in batch.items() if k not in ("leads", "features")}
    changed = {"signal": signal, "mask": mask, "measured": measured, "r_peaks": peaks, "length": length}
    return rest | changed | {"beat_truth": beat_truth}
