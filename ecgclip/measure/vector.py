"""The numbers and findings of a Measurement as one vector, for the ECG encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.measure.guideline import findings, findings_of
from ecgclip.measure.measurement import Measurement, measure
from ecgclip.measure.stacked import Stacked

# Of a Measurement's fields: the encoder has the mask and the R peaks themselves; where R lies in QRS is for drawing;
# the shipped encoder was trained before the last four were measured
LEFT_OUT = (
    *("mask", "rr_ms", "r_after_onset_ms"),
    *("table.chaotic", "table.early_narrow", "table.early_wide", "table.narrow_coupling"),
)
PARTS = ("shape", "atria", "spikes", "table")  # fields with fields of their own


def features(measurement: Measurement) -> np.ndarray:
    """The vector of a measurement, as the ECG encoder takes it.

    The findings are those of a patient of unknown age and sex, as the encoder sees the signal only.

    Returns
    -------
    float32 (features,)
        The numbers, then the findings (1 present, 0 absent), in the order of `feature_names()`; NaN is unknown.
    """
    return features_of([measurement])[0]


def features_of(measurements: Sequence[Measurement]) -> np.ndarray:
    """The vectors of several measurements, float32 (n, features), each as of `features`."""
    stacked, n = Stacked(measurements), len(measurements)
    if not n:
        return np.zeros((0, len(feature_names())), np.float32)
    columns = [attrgetter(path)(stacked).reshape(n, -1) for path, _ in _numbers()]
    columns += [found[:, None] for found in findings_of(stacked).values()]
    return np.concatenate(columns, axis=1, dtype=np.float32)


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """The names of the features, such as qrs_ms, shape.j_mv:V2 and finding:qrs_120_or_more."""
    names = []
    for path, by_lead in _numbers():
        names += [f"{path}:{lead}" for lead in LEADS] if by_lead else [path]
    return (*names, *(f"finding:{key}" for key in findings(_nothing())))


@lru_cache(maxsize=1)
def _numbers() -> tuple[tuple[str, bool], ...]:
    """Each number of a measurement by its path, such as shape.j_mv, and whether it has a value for each lead."""
    paths = [f.name for f in fields(Measurement) if f.name not in PARTS]
    paths += [f"{part}.{f.name}" for part in PARTS for f in fields(getattr(_nothing(), part))]
    values = {path: attrgetter(path)(_nothing()) for path in paths}
    numbers = {path: value for path, value in values.items() if path not in LEFT_OUT and not isinstance(value, dict)}
    shapes = {path: np.shape(value) for path, value in numbers.items()}
    return tuple((path, bool(shape)) for path, shape in shapes.items() if shape in ((), (len(LEADS),)))


@lru_cache(maxsize=1)
def _nothing() -> Measurement:
    return measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))
