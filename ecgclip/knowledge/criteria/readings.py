"""What was measured in a record, one value for each quantity: over its windows, and with the patient's age and sex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.knowledge.criteria.limits import SEXES
from ecgclip.knowledge.criteria.quantities import QUANTITIES
from ecgclip.knowledge.criteria.tree import Quantity
from ecgclip.measure.beats import NAN
from ecgclip.measure.measurement import Measurement


class Readings:
    """The values of a record.

    Of several windows, a number is the median over those in which it can be measured; an axis the mean direction; a
    count of beats the sum; a pause the longest; and yes or no what most windows say.

    Parameters
    ----------
    measurements
        One `Measurement` for each window.
    age
        Years; None if unknown.
    sex
        "female", "male" or None.
    """

    def __init__(self, measurements: Sequence[Measurement], age: float | None = None, sex: str | None = None):
        self._measurements = tuple(measurements)
        self.age = None if age is None or np.isnan(age) else float(age)
        self.sex = sex if sex in SEXES else None
        self._values: dict[str, np.ndarray] = {}

    def value(self, quantity: Quantity, lead: str | None = None) -> float:
        """The value of a quantity in its unit, of `lead` where it names none; NaN where it cannot be measured.

        A fact is 1 (yes), 0 (no) or NaN.
        """
        if quantity.beats is not None:
            return NAN
        values = self._of_record(quantity.name)
        if values.ndim == 0:
            return float(values)
        return float(values[LEADS.index(quantity.lead or lead or "")])

    def _of_record(self, name: str) -> np.ndarray:
        """() or, by lead, (12,)."""
        if name not in self._values:
            self._values[name] = self._combined(name)
        return self._values[name]

    def _combined(self, name: str) -> np.ndarray:
        kind = QUANTITIES[name]
        if name == "age":
            return np.asarray(NAN if self.age is None else self.age)
        if kind.read is None or not self._measurements:
            return np.full(len(LEADS), NAN) if kind.by_lead else np.asarray(NAN)
        rows = [kind.read(m) for m in self._measurements]
        table = np.array([NAN if row is None else row for row in rows], float)
        return _combine(table, kind.windows)


def _combine(table: np.ndarray, how: str) -> np.ndarray:
    """(windows,) or (windows, 12) → () or (12,), NaN where no window has a value."""
    known = ~np.isnan(table)
    if how == "sum":
        return np.where(known.any(axis=0), np.where(known, table, 0).sum(axis=0), NAN)
    if how == "longest":
        return np.asarray(np.fmax.reduce(table))
    if how == "angle":
        directions = np.exp(1j * np.deg2rad(table[known]))
        return np.asarray(np.rad2deg(np.angle(directions.mean())) if len(directions) else NAN)
    columns = table.reshape(len(table), -1).T
    medians = [np.median(column[~np.isnan(column)]) if not np.isnan(column).all() else NAN for column in columns]
    if how == "most":  # a tie decides nothing
        medians = [NAN if median == 0.5 else median for median in medians]
    return np.array(medians).reshape(table.shape[1:])
