"""Baseline wander, noise and flat leads."""

from __future__ import annotations

import numpy as np

from ecgclip.measure.arrays import NAN, cut_beats, median, std_of_groups
from ecgclip.measure.batch import Batch, Columns

LEVEL_BEFORE, LEVEL_UNTIL = 10, 5  # samples before R: the level before QRS is taken from 100 to 50 ms before
MIN_BEATS = 4  # with fewer, baseline wander is not measured
MIN_LEADS = 8  # usable leads of an otherwise complete recording


def measure_quality(batch: Batch) -> Columns:
    """How good the signal is: fields of a `Measurement`."""
    n, usable = len(batch), int(batch.mask.sum())
    if not usable or batch.samples < 3:
        return {"baseline_wander_mv": np.full(n, NAN), "noise_mv": np.full(n, NAN), "flat_leads": [None] * n}
    return {
        "baseline_wander_mv": _wander(batch),
        "noise_mv": median(np.array([_noise(leads) for leads in batch.leads])),
        "flat_leads": [12 - usable if usable >= MIN_LEADS else None] * n,
    }


def _noise(leads: np.ndarray) -> np.ndarray:
    """The typical amplitude above 30 Hz in each lead of (leads, samples), mV (leads,)."""
    # The second difference keeps what is above about 30 Hz; the median over time leaves out the QRS complexes.
    fast = np.diff(leads, 2, axis=1)
    return median(np.abs(fast, out=fast)) / 2


def _wander(batch: Batch) -> np.ndarray:
    """How the level before QRS scatters over the beats, in the worst lead, mV (n,)."""
    seen = (batch.at >= LEVEL_BEFORE) & (batch.counts >= MIN_BEATS)[batch.window]
    window, counts = batch.window[seen], np.bincount(batch.window[seen], minlength=len(batch))
    levels = cut_beats(batch.leads, window, batch.at[seen], LEVEL_BEFORE, -LEVEL_UNTIL).mean(axis=2)
    return std_of_groups(levels, counts).max(axis=1)
