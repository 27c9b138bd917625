"""The sampling rate by the times of the samples."""

from __future__ import annotations

import numpy as np

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def rate_of(times: np.ndarray, unit: str | None) -> tuple[float | None, np.ndarray | None, str | None]:
    """The sampling rate by the times of the samples.

    Parameters
    ----------
    times : float (samples,)
    unit : str, optional
        "s", "ms", "us" or "ns"; None: the one that gives a usual rate.

    Returns
    -------
    rate : float or None
        Hz; None where the times only count the samples, or are irregular.
    places : int (samples,) or None
        Where samples are missing: the number of each sample that is there.
    problem : str or None
        Why they are irregular.
    """
    if len(times) < 3 or not np.isfinite(times).all():
        return None, None, "the times have gaps"
    times = times - times[0]
    steps = np.diff(times)
    step = float(times[-1] / len(steps))
    if step <= 0 or (steps < 0).any():
        return None, None, "the times do not increase"
    resolution = float(steps[steps > 0].min())
    places = None
    if np.abs(times - step * np.arange(len(times))).max() > max(0.75 * step, 1.01 * min(resolution, 10 * step)):
        step = float(np.median(steps))
        step, places = _with_gaps(times, steps, step)
        if places is None:
            return None, None, "the times are irregular"
    if unit is None:
        if step == 1 or len(set(steps[:1000])) == 1 and steps[0] == 1:
            return None, places, None  # a count of samples
        unit = next((u for u, seconds in _SECONDS.items() if 49 <= 1 / (step * seconds) <= 2050), None)
        if unit is None:
            return None, places, None
    rate = 1 / (step * _SECONDS[unit])
    whole = round(rate)
    if whole and abs(rate - whole) <= rate * max(1.5 * min(resolution, step) / times[-1], 1e-5):
        rate = float(whole)  # as far as the times' own rounding goes
    return rate, places, None


def _with_gaps(times: np.ndarray, steps: np.ndarray, step: float) -> tuple[float, np.ndarray | None]:
    """The step of times with whole samples left out, and the number of each sample; None where that does not fit."""
    if step <= 0:
        return step, None
    regular = steps < 1.5 * step
    step = float(steps[regular].mean())
    places = np.concatenate([[0], np.cumsum(np.rint(steps / step).astype(np.int64).clip(1))])
    fits = np.abs(steps - np.diff(places) * step).max() <= 0.5 * step
    return step, places if fits and places[-1] <= 10 * len(times) else None
