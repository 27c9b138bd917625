"""Annotated heartbeats and the R peaks that belong to them."""

from __future__ import annotations

import numpy as np

from ecgclip.data.mitdb import BEATS

BEAT_CONCEPTS = tuple(sorted(set(BEATS.values())))
TOLERANCE_S = 0.15  # of ANSI/AAMI EC57


def match_beats(times_s: np.ndarray, others_s: np.ndarray) -> np.ndarray:
    """Find for each time the nearest other, such as the R peak of an annotated beat.

    Parameters
    ----------
    times_s, others_s : float (times,) and (others,)
        In s; NaN matches nothing.

    Returns
    -------
    int (times,)
        Index into `others_s`, the first of equally near ones; -1 where none is within 150 ms.
    """
    if not len(others_s):
        return np.full(len(times_s), -1)
    distance = np.abs(np.subtract.outer(times_s, others_s))
    distance[np.isnan(distance)] = np.inf
    nearest = distance.argmin(1)
    return np.where(distance.min(1) <= TOLERANCE_S, nearest, -1)
