"""The numbers and findings of a Measurement as one vector, for the ECG encoder."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.measure.beats import NAN
from ecgclip.measure.guideline import findings
from ecgclip.measure.measurement import Measurement, measure

# Of a Measurement's fields: the encoder has the mask and the R peaks themselves, and was trained without the others
LEFT_OUT = ("mask", "rr_ms", "atria", "shape", "spikes", "table")


def features(measurement: Measurement) -> np.ndarray:
    """The vector of a measurement, as the ECG encoder takes it.

    The findings are those of a patient of unknown age and sex, as the encoder sees the signal only.

    Returns
    -------
    float32 (features,)
        The numbers, then the findings (1 present, 0 absent), in the order of `feature_names()`; NaN is unknown.
    """
    values = [getattr(measurement, f.name) for f in fields(Measurement) if f.name not in LEFT_OUT]
    values += findings(measurement).values()
    return np.concatenate([np.atleast_1d(NAN if v is None else v) for v in values], dtype=np.float32)


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """The names of the features, such as qrs_ms, st_mv:V2 and finding:qrs_120_or_more; those in mV end in _mv."""
    nothing = measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))
    names = []
    for field in fields(Measurement):
        if field.name not in LEFT_OUT:
            by_lead = np.ndim(getattr(nothing, field.name)) == 1
            names += [f"{field.name}:{lead}" for lead in LEADS] if by_lead else [field.name]
    return (*names, *(f"finding:{key}" for key in findings(nothing)))
