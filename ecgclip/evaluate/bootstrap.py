"""The bootstrap by patient: 95 % intervals of whatever is computed from records.

A resample draws as many patients as there are, with replacement: two records of one patient are not independent
evidence. It is computed with weights, how often each record is drawn. Row 0 of the weights is the data as they are,
so that the first element of every resampled figure is its value.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
QUANTILES = (0.025, 0.975)


def patient_draws(patients: np.ndarray, seed: int) -> np.ndarray:
    """Draw the resamples.

    Parameters
    ----------
    patients : int (records,)
        The patient of each record: 0, 1, 2 …

    Returns
    -------
    int16 (1 + RESAMPLES, patients)
        How often each patient is drawn, after a first row of ones.
    """
    people = patients.max() + 1
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    return np.vstack([np.ones((1, people)), draws]).astype(np.int16)


def record_weights(draws: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """How often each record is drawn: draws (draws, patients), patients (records,) → float (draws, records)."""
    return draws[:, patients].astype(float)


def interval(figure: np.ndarray) -> list[float]:
    """A figure of all resamples, (1 + RESAMPLES,) → [value, low, high]; a resample where it is NaN does not count."""
    return [round(float(v), 4) for v in (figure[0], *np.nanquantile(figure[1:], QUANTILES))]
