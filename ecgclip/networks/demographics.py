"""Age and sex of patients as numbers, for the networks: years, and 1 male, 0 female; NaN is unknown."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

DEMOGRAPHICS = ("age", "male")
OLDEST = 120  # years; an age beyond it stands for something else


def demographics(age: Iterable[float | None], sex: Iterable[str | None]) -> np.ndarray:
    """The columns `DEMOGRAPHICS` of n patients.

    Parameters
    ----------
    age : (n,)
        Years; None, NaN, below 0 or above `OLDEST` is unknown.
    sex : (n,)
        "female" or "male"; anything else is unknown.

    Returns
    -------
    float32 (n, 2)
    """
    years = np.array([np.nan if a is None else a for a in age], np.float32)
    years[~((years >= 0) & (years <= OLDEST))] = np.nan
    male = np.array([{"male": 1.0, "female": 0.0}.get(s or "", np.nan) for s in sex], np.float32)
    return np.stack([years, male], 1)
