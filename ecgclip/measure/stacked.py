"""Several measurements as one, with an array for each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np


class Stacked:
    """Several measurements, or parts of them: `stacked.qrs_ms` is (n,), `stacked.shape.j_mv` (n, 12).

    Yes is 1, no 0, and None NaN. What is first asked for is kept.
    """

    def __init__(self, each: Sequence[Any]):
        self.each = each

    def __getattr__(self, name: str) -> Any:
        values = [getattr(one, name) for one in self.each]
        stacked = Stacked(values) if values and is_dataclass(values[0]) else np.array(values, float)
        self.__dict__[name] = stacked
        return stacked

    @property
    def intervals(self) -> np.ndarray:
        """How many R-R intervals each has, int (n,)."""
        return np.array([len(one.rr_ms) for one in self.each])
