"""What was measured in records, or in the windows of one: a table with a row for each and a column for each quantity.

measurement ─read─▶ row of a window ─combine─▶ row of a record
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.knowledge.criteria.limits import SEXES, patient
from ecgclip.knowledge.criteria.quantities import BEATS, QUANTITIES
from ecgclip.knowledge.criteria.tree import Quantity
from ecgclip.measure.arrays import NAN
from ecgclip.measure.examined import Examined
from ecgclip.measure.measurement import Measurement

USUAL: str | None = None  # the class of the usual beats
Leads: TypeAlias = tuple[str | None, ...]  # None stands for no lead in particular


@lru_cache(maxsize=1)
def columns() -> dict[tuple[str | None, str], slice]:
    """The columns of a row, by class of beats and quantity: one, or twelve by lead."""
    places: dict[tuple[str | None, str], slice] = {}
    stop = 0
    for beats in (USUAL, *BEATS):
        for name, kind in QUANTITIES.items():
            if kind.read is not None:
                start, stop = stop, stop + (len(LEADS) if kind.by_lead else 1)
                places[beats, name] = slice(start, stop)
    return places


def width() -> int:
    """The number of columns."""
    return next(reversed(columns().values())).stop


def read(measurement: Measurement) -> np.ndarray:
    """The row of a measurement: float32 (columns,); a fact is 1 (yes), 0 (no), and NaN is what cannot be measured."""
    row = np.full(width(), NAN, np.float32)
    of_beats: dict[Any, Any] = {USUAL: measurement, **measurement.table.classes}
    for (beats, name), place in columns().items():
        if beats in of_beats:
            value = QUANTITIES[name].read(of_beats[beats])  # type: ignore[misc]
            row[place] = NAN if value is None else value
    return row


def combine(rows: np.ndarray) -> np.ndarray:
    """The rows of a record's windows, (windows, columns), as one: (columns,).

    A number is the median over the windows in which it can be measured; an axis the mean direction; a count of beats
    the sum; a pause the longest, the coupling of an early beat the shortest; and yes or no what most windows say.
    """
    if len(rows) == 1:
        return rows[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no window has a value: NaN is right
        row = np.nanmedian(rows, axis=0) if len(rows) else np.full(width(), NAN, np.float32)
    for how, places in _combined_otherwise().items():
        part = rows[:, places]
        known = ~np.isnan(part)
        some = known.any(axis=0)
        if how == "sum":
            row[places] = np.where(some, np.where(known, part, 0).sum(axis=0), NAN)
        elif how in ("longest", "shortest"):
            row[places] = (np.fmax if how == "longest" else np.fmin).reduce(part, axis=0, initial=NAN)
        elif how == "angle":
            direction = np.where(known, np.exp(1j * np.deg2rad(part)), 0).sum(axis=0)
            row[places] = np.where(some, np.rad2deg(np.angle(direction)), NAN)
        else:  # a tie decides nothing
            row[places] = np.where(row[places] == 0.5, NAN, row[places])
    return row


@lru_cache(maxsize=1)
def _combined_otherwise() -> dict[str, np.ndarray]:
    """The columns that are not combined by their median, int (…), by how they are."""
    places: dict[str, list[int]] = {}
    for (_, name), place in columns().items():
        if (how := QUANTITIES[name].windows) != "median":
            places.setdefault(how, []).extend(range(place.start, place.stop))
    return {how: np.array(found) for how, found in places.items()}


class Readings:
    """The values of n records, or windows.

    Parameters
    ----------
    rows : float (n, columns)
        As of `read` and `combine`.
    age : (n,)
        Years; None or NaN if unknown.
    sex : (n,)
        "female", "male" or None.
    """

    def __init__(self, rows: np.ndarray, age: Iterable[float | None], sex: Iterable[str | None]):
        self.rows = np.asarray(rows).reshape(-1, width())
        self.age = tuple(None if a is None or np.isnan(a) else float(a) for a in age)
        self.sex = tuple(s if s in SEXES else None for s in sex)
        # the kind of each patient, int (n,), as of `limits.patient`
        self.patients = np.array([patient(*each) for each in zip(self.age, self.sex, strict=True)], int)

    @classmethod
    def of_record(
        cls, measurements: Sequence[Measurement], age: float | None = None, sex: str | None = None
    ) -> Readings:
        """One record, by the measurements of its windows."""
        return cls(combine(np.array([read(m) for m in measurements]).reshape(-1, width())), [age], [sex])

    @classmethod
    def of_examined(cls, examined: Examined) -> Readings:
        """One record, with the age and sex that its file tells."""
        return cls.of_record(examined.measurements, examined.metadata.get("age"), examined.metadata.get("sex"))

    @classmethod
    def of_records_and_windows(cls, examined: Sequence[Examined]) -> Readings:
        """Each record followed by its windows, with the age and sex that its file tells."""
        rows: list[np.ndarray] = [np.zeros((0, width()), np.float32)]
        patients: list[tuple[float | None, str | None]] = []
        for each in examined:
            of_windows = np.array([read(m) for m in each.measurements]).reshape(-1, width())
            rows += [combine(of_windows)[None], of_windows]
            patients += [(each.metadata.get("age"), each.metadata.get("sex"))] * (1 + len(of_windows))
        return cls(np.concatenate(rows), *zip(*patients, strict=True) if patients else ((), ()))

    @classmethod
    def stack(cls, parts: Sequence[Readings]) -> Readings:
        """All rows of several readings."""
        return cls(
            np.concatenate([np.zeros((0, width()), np.float32), *(part.rows for part in parts)]),
            [age for part in parts for age in part.age],
            [sex for part in parts for sex in part.sex],
        )

    def __len__(self) -> int:
        return len(self.rows)

    def value(self, quantity: Quantity, lead: str | None = None) -> np.ndarray:
        """The values (n,) of a quantity in its unit, of `lead` where it names none; NaN where not measurable.

        A fact is 1 (yes), 0 (no) or NaN.
        """
        return self.values(quantity, (lead,))[0]

    def values(self, quantity: Quantity, leads: Leads) -> np.ndarray:
        """The same in each of several leads, (leads, n); (1, n) of a quantity that names its lead or has none."""
        if quantity.name == "age":
            return np.array([[NAN if age is None else age for age in self.age]])
        place = columns().get((quantity.beats, quantity.name))
        if place is None:
            return np.full((1, len(self)), NAN)
        if not QUANTITIES[quantity.name].by_lead:
            return self._columns[place]
        at = (quantity.lead,) if quantity.lead else leads
        return self._columns[place][[LEADS.index(name or "") for name in at]]

    @cached_property
    def recorded(self) -> np.ndarray:
        """The leads in which a heartbeat was measured, bool (n, 12); all of a record without a heartbeat."""
        found = ~np.isnan(self.rows[:, columns()[USUAL, "QRS_height"]])
        return found | ~found.any(axis=1, keepdims=True)

    @cached_property
    def _columns(self) -> np.ndarray:
        """The rows the other way round, float (columns, n)."""
        return self.rows.T.astype(float)
