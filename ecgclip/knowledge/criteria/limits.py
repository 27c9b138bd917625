"""Thresholds by name, with the lead and the patient that they depend on. Their numbers are those of `measure`."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.measure.limits import LIMITS, YOUNG, limits_of
from ecgclip.measure.limits import Limit as Threshold

AGES = (30.0, 60.0)  # years: an unknown patient may be younger or older than `measure.limits.YOUNG`
SEXES = ("female", "male")


@dataclass(frozen=True)
class LimitKind:
    """A named limit.

    Attributes
    ----------
    unit
        As of the quantities that are compared with it.
    rows
        Keys of `measure.limits.LIMITS` or `OWN` by the leads that they hold for; () for all other leads.
    scale
        From the row's unit to `unit`.
    """

    unit: str
    rows: dict[tuple[str, ...], str]
    scale: float = 1.0

    @property
    def by_lead(self) -> bool:
        """Whether it depends on the lead."""
        return len(self.rows) > 1

    def row(self, lead: str | None) -> str:
        """The key of the row that holds for a lead."""
        return next(key for leads, key in self.rows.items() if not leads or lead in leads)


GROWN = 35  # years: below, the voltages of health are higher (aha-ecg-2009-v)
# Limits that no finding of `measure` needs yet: by sex, by age, or one for all
OWN: dict[str, dict[str, Threshold]] = {
    "lbbb_wide": {"female": Threshold(130, 6, "esc-pacing-2021"), "male": Threshold(140, 6, "esc-pacing-2021")},
    "peguero": {"female": Threshold(2.3, 0.15, "peguero-2017"), "male": Threshold(2.8, 0.15, "peguero-2017")},
    # Near the 99th percentile of the healthy from 10 to 29 years, 5.3 mV (Chou)
    "sokolow_adult": {"young": Threshold(5.0, 0.3, "custom"), "grown": Threshold(3.5, 0.2, "aha-ecg-2009-v")},
    "pause_sinus": {"all": Threshold(3000, 60, "acc-brady-2018")},
}
_BY_UNIT = {
    "/min": "rate_very_fast rate_fast rate_slow rate_very_slow",
    "ms": "pr_long pr_short qrs_wide qrs_slightly_wide qtc_long qtc_short delta_pr delta_qrs p_long r_broad_ms "
    "s_wide_ms lbbb_wide pause_sinus",
    "mV": "flutter_mv p_tall sokolow cornell r_avl s_v1_deep low_limb low_chest r_broad_mv s_wide_mv rsr_r rsr_s "
    "rsr_rprime dominant_r_net dominant_r_mv r_v3_poor r_v4_poor r_v1_poor st_down t_inverted t_flat t_upright "
    "sokolow_adult peguero",
    "ratio": "delta_upstroke flutter_share flutter_contrast",
    "mVms": "p_terminal",
}
V2_V3 = ("V2", "V3")
LIMIT_KINDS: dict[str, LimitKind] = {
    **{name: LimitKind(unit, {(): name}) for unit, names in _BY_UNIT.items() for name in names.split()},
    "p_apart": LimitKind("%", {(): "p_unlocked"}, 100),
    "p_far_apart": LimitKind("%", {(): "p_mostly_unlocked"}, 100),
    "p_inconstant": LimitKind("ratio", {(): "p_constancy"}),
    "f_common": LimitKind("ratio", {(): "f_share"}),
    "f_high": LimitKind("mV", {(): "f_mv"}),
    "rr_regular": LimitKind("%", {(): "rr_regular"}, 100),
    "rr_chaotic": LimitKind("%", {(): "rr_chaotic"}, 100),
    "pause_long": LimitKind("ms", {(): "pause"}),
    "noisy": LimitKind("mV", {(): "noise"}),
    "wandering": LimitKind("mV", {(): "wander"}),
    "r_broad_nadir": LimitKind("ratio", {(): "r_broad_negative"}, -1),
    "q_deep": LimitKind("mV", {V2_V3: "q_depth_v2v3", (): "q_depth"}),
    "q_long": LimitKind("ms", {V2_V3: "q_ms_v2v3", (): "q_ms"}),
    "st_up": LimitKind("mV", {V2_V3: "st_up_v2v3", (): "st_up"}),
    "t_tall": LimitKind("mV", {LEADS[6:]: "t_tall_chest", (): "t_tall_limb"}),
}


# All that limits tell apart in a patient: an age in each span of years, or none, and the sex, or none
SPANS = (GROWN, YOUNG)
PATIENTS = tuple(product((GROWN - 1, YOUNG - 1, YOUNG, None), (*SEXES, None)))


@cache
def patient(age: float | None, sex: str | None) -> int:
    """The place in `PATIENTS` of those with the same limits as a patient of `age` (years) and `sex`, or None."""
    return PATIENTS.index((None if age is None else PATIENTS[bisect(SPANS, age) * 3][0], sex if sex in SEXES else None))


@cache
def limit_table(name: str, leads: tuple[str | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A limit for every kind of patient.

    Returns
    -------
    table : float (most, 2, leads, PATIENTS)
        Thresholds and half-widths; where fewer than `most` hold, the first is repeated.
    holding : int (PATIENTS,)
        How many hold at most in any of the leads.
    """
    kinds = [[thresholds(name, lead, *each) for each in PATIENTS] for lead in leads]
    most = max(len(rows) for of_lead in kinds for rows in of_lead)
    table = np.array([[[*rows, *rows[:1] * (most - len(rows))] for rows in of_lead] for of_lead in kinds])
    holding = np.array([[len(rows) for rows in of_lead] for of_lead in kinds]).max(axis=0)
    return table.transpose(2, 3, 0, 1).copy(), holding


@lru_cache(maxsize=100_000)
def thresholds(name: str, lead: str | None, age: float | None, sex: str | None) -> list[tuple[float, float]]:
    """Threshold and half-width of a limit, in its unit: one, or each that may hold for a patient not fully known.

    Parameters
    ----------
    name
        A key of `LIMIT_KINDS`.
    lead
        The lead that is compared; None where the limit is the same in all.
    age
        Years, or None.
    sex
        "female", "male" or None.
    """
    kind = LIMIT_KINDS[name]
    key = kind.row(lead)
    sexes = (sex,) if sex in SEXES else SEXES
    ages = AGES if age is None else (age,)
    if key in OWN:
        groups = {*sexes, "all", *("young" if years < GROWN else "grown" for years in ages)}
        rows = [row for group, row in OWN[key].items() if group in groups]
    elif isinstance(LIMITS[key], dict):
        rows = [limits_of(years, each)[key] for each in sexes for years in ages]
    else:
        rows = [limits_of()[key]]
    return sorted({(kind.scale * row.threshold, abs(kind.scale) * row.margin) for row in rows})
