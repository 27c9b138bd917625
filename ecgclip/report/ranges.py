"""Measurements beside what is normal for the patient, by the limits of `ecgclip.measure.limits`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.measure.limits import SECTORS, Limit, limits_of
from ecgclip.measure.measurement import Measurement

ADULT = 18  # years, from which on the limits hold


class Row(NamedTuple):
    """A measurement.

    value: None if it could not be measured; low, high: what is normal, None without such an end; answer: within, below,
    above, borderline (too near to an end to say), or empty where there is no value or no range; source: of the range
    """

    name: str
    value: float | None
    unit: str
    digits: int
    low: float | None
    high: float | None
    answer: str
    source: str | None


# Name, key, unit, digits, and the limits that end the normal range
_ROWS = (
    ("heart rate", "heart_rate", "/min", 0, "rate_slow", "rate_fast"),
    ("R–R variation", "rr_variation", "%", 0, None, "rr_regular"),
    ("longest R–R", "longest_rr_s", "s", 2, None, "pause"),
    ("P duration", "p_ms", "ms", 0, None, "p_long"),
    ("PR", "pr_ms", "ms", 0, "pr_short", "pr_long"),
    ("QRS", "qrs_ms", "ms", 0, None, "qrs_slightly_wide"),
    ("QT", "qt_ms", "ms", 0, None, None),
    ("QTc (Fridericia)", "qtc_ms", "ms", 0, "qtc_short", "qtc_long"),
    ("QRS axis", "axis_deg", "°", 0, None, None),
    ("Sokolow–Lyon", "sokolow_mv", "mV", 1, None, "sokolow"),
    ("Cornell", "cornell_mv", "mV", 1, None, "cornell"),
)
_QUALITY = (("baseline wander", "baseline_wander_mv", "wander"), ("noise over 30 Hz", "noise_mv", "noise"))
_SCALE = {"rr_variation": 100.0, "longest_rr_s": 1 / 1000}  # of limits


def measured_rows(
    values: Mapping[str, Any], measurements: Sequence[Measurement], age: float | None, sex: str | None
) -> list[Row]:
    """The measurements of a record with their ranges.

    Parameters
    ----------
    values
        As `ecgclip.explain.summary` gives them.
    measurements
        One for each window.
    age, sex
        Years, "female" or "male"; None if unknown. Below 18 years there are no ranges.
    """
    limits = limits_of(age, sex)
    known = {**values, **_more(values, measurements)}
    if known["rr_variation"] is not None:
        known["rr_variation"] *= 100
    middle, half = SECTORS["axis_normal"]
    rows = []
    for name, key, unit, digits, low, high in _ROWS:
        ends = [_scaled(limits[end], _SCALE.get(key, 1.0)) if end else None for end in (low, high)]
        if key == "axis_deg":
            margin = limits["axis"].margin
            ends = [Limit(edge, margin, limits["axis"].source) for edge in (middle - half, middle + half)]
        rows.append(_row(name, known[key], unit, digits, ends if is_adult(age) else [None, None]))
    return rows


def st_rows(values: Mapping[str, Any], age: float | None, sex: str | None) -> dict[str, Row]:
    """ST at J + 60 ms by lead, with its range; there is none in aVR, which mirrors the other leads."""
    limits = limits_of(age, sex)
    down = limits["st_down"]
    rows = {}
    for lead in LEADS:
        ends = [Limit(-down.threshold, down.margin, ""), limits["st_up_v2v3" if lead in ("V2", "V3") else "st_up"]]
        ranged = is_adult(age) and lead != "aVR"
        rows[lead] = _row(lead, values["st_mv"][lead], "mV", 2, ends if ranged else [None, None])
    return rows


def quality_rows(measurements: Sequence[Measurement]) -> list[Row]:
    """How good the signal is: the median of its windows."""
    limits = limits_of()
    values = {key: _median([getattr(m, key) for m in measurements]) for _, key, _ in _QUALITY}
    return [_row(name, values[key], "mV", 3, [None, limits[limit]]) for name, key, limit in _QUALITY]


def is_adult(age: float | None) -> bool:
    """Whether the limits hold, which are those of adults; a patient of unknown age is taken for one."""
    return age is None or age >= ADULT


def _more(values: Mapping[str, Any], measurements: Sequence[Measurement]) -> dict[str, float | None]:
    """What is worked out of the summary, and what it lacks."""
    r, s = values["r_mv"], values["s_mv"]
    tallest = max((r[lead] for lead in ("V5", "V6") if r[lead] is not None), default=None)
    return {
        "p_ms": _median([m.p_duration_ms for m in measurements if m.p_present]),
        "sokolow_mv": None if tallest is None or s["V1"] is None else tallest - s["V1"],
        "cornell_mv": None if r["aVL"] is None or s["V3"] is None else r["aVL"] - s["V3"],
    }


def _median(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else None


def _scaled(limit: Limit, by: float) -> Limit:
    return Limit(limit.threshold * by, limit.margin * by, limit.source)


def _row(name: str, value: float | None, unit: str, digits: int, ends: Sequence[Limit | None]) -> Row:
    low, high = ends
    least, most = (None if end is None else round(end.threshold, 3) for end in ends)
    source = next((end.source for end in ends if end), None)
    return Row(name, value, unit, digits, least, most, "" if value is None else _answer(value, low, high), source)


def _answer(value: float, low: Limit | None, high: Limit | None) -> str:
    for end, sign, word in ((low, -1, "below"), (high, 1, "above")):
        if end is not None:
            over = sign * (value - end.threshold)  # how far it lies outside
            if abs(over) < end.margin:
                return "borderline"
            if over > 0:
                return word
    return "within" if low or high else ""
