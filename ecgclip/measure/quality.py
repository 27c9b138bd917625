"""Baseline wander, noise and flat leads."""

from __future__ import annotations

import numpy as np

from ecgclip.measure.beats import NAN
from ecgclip.peaks import cut_beats


def _quality(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict:
    leads = signal[mask]
    if not len(leads) or signal.shape[1] < 3:
        return {"baseline_wander_mv": NAN, "noise_mv": NAN, "flat_leads": None}
    # The second difference keeps what is above about 30 Hz; the median over time is blind to the QRS complexes.
    noise = np.median(np.abs(np.diff(leads, 2, axis=1)), axis=1) / 2
    wander = NAN
    if len(peaks) > 3:
        levels = cut_beats(leads, peaks[peaks >= 10], 10, -5).mean(axis=2)
        wander = float(np.max(np.std(levels, axis=0), initial=0.0))
    return {
        "baseline_wander_mv": wander,
        "noise_mv": float(np.median(noise)),
        "flat_leads": int((~mask).sum()) if mask.sum() >= 8 else None,
    }
