"""What lies over or beside the beats: noise, and the continuous activity of fibrillating or fluttering atria."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# mV, in the order of the table: fibrillatory waves, flutter waves
FIBRILLATION = np.array([0.008, 0.028, 0.055, 0.028, 0.012, 0.008, 0.008, 0.008])
FLUTTER = np.array([-0.01, 0.13, -0.09, -0.04, 0.01, 0.03, 0.035, 0.035])


def fluttering(pace: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A slow descent and a fast rise, `pace` times a minute, (8, samples) mV."""
    phase = 2 * np.pi * time * pace / 60 + rng.uniform(0, 2 * np.pi)
    return FLUTTER[:, None] * sum(np.sin(k * phase) / k for k in (1, 2, 3))


def fibrillating(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wavelets that drift in rate and strength, each seen by the leads in its own way, (8, samples) mV."""
    waves = np.zeros((8, time.size))
    for pace in rng.uniform(5, 8, 4):
        drift, swell = (np.sin(2 * np.pi * rng.uniform(0.1, 0.7) * time + rng.uniform(0, 2 * np.pi)) for _ in range(2))
        phase = 2 * np.pi * pace * time + 1.5 * drift + rng.uniform(0, 2 * np.pi)
        size = FIBRILLATION * rng.normal(1, 0.3, 8)
        waves += size[:, None] * (0.6 + 0.4 * swell) * (np.sin(phase) + 0.3 * np.sin(2 * phase))
    return waves


def quivering(severity: float, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ventricular fibrillation, coarse to fine, (8, samples) mV."""
    waves = np.zeros((8, time.size))
    for pace in rng.uniform(3.5, 6.5, 4):
        drift, swell = (np.sin(2 * np.pi * rng.uniform(0.1, 0.6) * time + rng.uniform(0, 2 * np.pi)) for _ in range(2))
        phase = 2 * np.pi * pace * time + 2 * drift + rng.uniform(0, 2 * np.pi)
        size = (0.28 - 0.2 * severity) * rng.normal(0, 1, 8)
        waves += size[:, None] * (0.6 + 0.4 * swell) * (np.sin(phase) + 0.25 * np.sin(2 * phase))
    return waves


@dataclass(frozen=True)
class Noise:
    """SD of muscle, of baseline wander and of mains, mV, and of the jumps of an electrode that slips."""

    muscle: float = 0.007
    wander: float = 0.015
    mains: float = 0.0
    slips: float = 0.0


NOISES = {
    "good": Noise(),
    "heavy": Noise(0.05, 0.20, 0.08, 0.7),
    "wander": Noise(wander=0.3),
    "muscle": Noise(muscle=0.07),
    "mains": Noise(mains=0.12),
}


def noise(
    kind: Noise, time: np.ndarray, respiration: np.ndarray, sampling_rate: float, rng: np.random.Generator
) -> np.ndarray:
    """What is not of the heart, (8, samples) mV."""
    noise = rng.normal(0, kind.muscle, (8, time.size))
    slow = np.stack([np.sin(2 * np.pi * f * time + rng.uniform(0, 2 * np.pi)) for f in rng.uniform(0.05, 0.4, 4)])
    noise += kind.wander * rng.normal(0, 1, (8, 5)) @ np.vstack([slow, respiration])
    if kind.mains and sampling_rate > 100:  # at 100 Hz and below, the mains would only appear as an alias
        noise += kind.mains * rng.uniform(0.4, 1.4, (8, 1)) * np.sin(2 * np.pi * 50 * time)
    if kind.slips:
        for start in np.arange(rng.uniform(0.3, 1.5), time[-1], 2.5):  # an electrode slips and settles
            size = rng.normal(0, kind.slips, (8, 1)) * (rng.random((8, 1)) < 0.3)
            noise += size * np.where(time < start, 0, np.exp(-np.maximum(time - start, 0) / rng.uniform(0.2, 0.6)))
    return noise
