"""Millivolts as 16-bit integers, for the formats that store those."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecgclip.ecg import EcgclipError

LARGEST = 32767
MISSING = -32768  # a sample that is NaN
MOST_MV = 9000  # what is beyond it is no voltage of a body


class Digital(NamedTuple):
    """A signal in integers: µV = step × digital + offset."""

    samples: np.ndarray  # int16 (leads, samples); MISSING for NaN
    step: np.ndarray  # µV, whole (leads,)
    offset: np.ndarray  # µV, a multiple of the step (leads,)


def digitise(signal: np.ndarray) -> Digital:
    """Round a signal to steps of 1 µV, or of the least whole number of µV in which a lead's range fits.

    Parameters
    ----------
    signal : float (leads, samples), mV
        NaN is missing.

    Raises
    ------
    EcgclipError
        A sample is beyond 9 V.
    """
    uv = signal.astype(np.float64) * 1000
    present = np.isfinite(uv)
    high = np.max(uv, axis=1, where=present, initial=-np.inf)
    low = np.min(uv, axis=1, where=present, initial=np.inf)
    high, low = (np.where(present.any(1), bound, 0) for bound in (high, low))
    if max(high.max(), -low.min()) > MOST_MV * 1000:
        raise EcgclipError(f"samples beyond {MOST_MV / 1000:g} V are no ECG's; is the unit right? (--unit overrules)")
    fits = np.maximum(high, -low) <= LARGEST  # without an offset
    centre = np.where(fits, 0, (high + low) / 2)
    step = np.where(fits, 1, np.maximum(np.ceil((high - low) / 2 / (LARGEST - 1)), 1))
    offset = step * np.round(centre / step)
    samples = np.round((uv - offset[:, None]) / step[:, None])
    return Digital(np.where(present, samples, MISSING).astype(np.int16), step.astype(int), offset.astype(int))
