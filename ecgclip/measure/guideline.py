"""Findings: what the numbers of a Measurement mean by the guidelines' thresholds. Yes, no, or too close to say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np

from ecgclip.ecg import AVL, II, V1, V2, V3, V4, V5, V6, I
from ecgclip.files import asset_path, parse_yaml
from ecgclip.measure.arrays import NAN
from ecgclip.measure.limits import CONTIGUOUS, MAX_FLAT_LEADS, MIN_INTERVALS, SECTORS, TERRITORIES, limits_of
from ecgclip.measure.measurement import Measurement
from ecgclip.measure.stacked import Stacked

IN_NEIGHBOURS = ("q_waves", "st_elevation", "st_depression", "t_inversion")  # seen in contiguous leads (udmi-2018)
# Whether values lie over a limit, by the limit's name: 1 yes, 0 no, NaN too close to say
Over: TypeAlias = Callable[[str, np.ndarray], np.ndarray]


def findings(measurement: Measurement, age: float | None = None, sex: str | None = None) -> dict[str, bool | None]:
    """Judge a measurement by the guidelines' thresholds.

    Parameters
    ----------
    measurement : Measurement
    age : float, optional
        Years.
    sex : str, optional
        "female" or "male".

    Returns
    -------
    dict
        Always the same keys, those of `finding_texts()`: True present, False absent, None not measurable or too close.
    """
    found = findings_of(Stacked([measurement]), age, sex)
    return {key: None if np.isnan(value[0]) else bool(value[0]) for key, value in found.items()}


def findings_of(m: Stacked, age: float | None = None, sex: str | None = None) -> dict[str, np.ndarray]:
    """The same for n measurements of such a patient: float (n,), 1 present, 0 absent, NaN neither."""
    limits = limits_of(age, sex)

    def over(name: str, value: np.ndarray) -> np.ndarray:
        return _above(value, limits[name].threshold, limits[name].margin)

    values = _rhythm_findings(m, over) | _interval_findings(m, over) | _axis_findings(m, over)
    values |= _shape_findings(m, over) | _lead_findings(m, over)
    values["baseline_wander"] = over("wander", m.baseline_wander_mv)
    values["muscle_noise"] = over("noise", m.noise_mv)
    few = (m.flat_leads > 0) & (m.flat_leads <= MAX_FLAT_LEADS)
    values["flat_lead"] = np.where(np.isnan(m.flat_leads), NAN, few)
    return values


@lru_cache(maxsize=1)
def finding_texts() -> dict[str, dict]:
    """The words for every finding: key -> {en, de, negative_en?, negative_de?, criteria_source}.

    Raises
    ------
    EcgclipError
        prompts/findings.yaml is missing.
    """
    return parse_yaml(asset_path("prompts/findings.yaml").read_bytes())


# ---------------------------------------------------------------------------------------------------------------------
# Three-valued logic on arrays: 1 yes, 0 no, NaN too close to say


def _above(value: np.ndarray, threshold: float, margin: float) -> np.ndarray:
    return np.where(value >= threshold + margin, 1.0, np.where(value <= threshold - margin, 0.0, NAN))


def _not(a: np.ndarray) -> np.ndarray:
    return 1 - a


def _and(*values: np.ndarray) -> np.ndarray:
    array = np.stack(values)
    return np.where((array == 0).any(axis=0), 0.0, array.prod(axis=0))


def _or(*values: np.ndarray) -> np.ndarray:
    return _not(_and(*map(_not, values)))


# ---------------------------------------------------------------------------------------------------------------------
# Groups of findings


def _rhythm_findings(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    few = m.intervals < MIN_INTERVALS
    irregular = np.where(few, NAN, over("rr_regular", m.rr_variation))
    chaotic = np.where(few, NAN, _and(over("rr_chaotic", m.rr_irregularity), irregular))
    fast, slow = over("rate_fast", m.heart_rate), _not(over("rate_slow", m.heart_rate))
    no_premature = (m.n_premature_narrow + m.n_premature_wide == 0).astype(float)
    return {
        "rate_above_150": over("rate_very_fast", m.heart_rate),
        "rate_above_100": fast,
        "rate_60_to_100": _and(_not(slow), _not(fast)),
        "rate_below_60": slow,
        "rate_below_40": _not(over("rate_very_slow", m.heart_rate)),
        "regular": np.where(few, NAN, _and(_not(irregular), no_premature)),
        "irregular": irregular,
        "irregularly_irregular": chaotic,
        "pause": over("pause", m.longest_pause_ms),
        "premature_narrow": np.where(few | (chaotic != 0), NAN, m.n_premature_narrow > 0),
        "premature_wide": np.where(few, NAN, m.n_premature_wide > 0),
        "every_second_premature": np.where(few, NAN, m.alternating),
    }


def _interval_findings(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    p = m.p_present
    with_p = lambda value: np.where(p == 1, value, NAN)
    long_pr, short_pr = with_p(over("pr_long", m.pr_ms)), with_p(_not(over("pr_short", m.pr_ms)))
    wide, slightly_wide = over("qrs_wide", m.qrs_ms), over("qrs_slightly_wide", m.qrs_ms)
    long_qt, short_qt = over("qtc_long", m.qtc_ms), _not(over("qtc_short", m.qtc_ms))
    delta = (_not(over("delta_pr", m.pr_ms)), over("delta_qrs", m.qrs_ms), _not(over("delta_upstroke", m.upstroke)))
    return {
        "flutter_waves": _flutter(m, over),
        "p_waves": p,
        "no_p_waves": _not(p),
        "p_long": with_p(over("p_long", m.p_duration_ms)),
        "p_tall": with_p(over("p_tall", m.p_amplitude_mv[:, II])),
        "p_terminal_v1": with_p(over("p_terminal", m.p_terminal_v1)),
        "pr_above_200": long_pr,
        "pr_below_120": short_pr,
        "pr_normal": with_p(_and(_not(long_pr), _not(short_pr))),
        "qrs_120_or_more": wide,
        "qrs_110_to_119": _and(slightly_wide, _not(wide)),
        "qrs_narrow": _not(slightly_wide),
        "qtc_prolonged": long_qt,
        "qtc_short": short_qt,
        "qtc_normal": _and(_not(long_qt), _not(short_qt)),
        "delta_wave": with_p(_and(*delta)),
    }


def _flutter(m: Stacked, over: Over) -> np.ndarray:
    waves = _and(
        over("flutter_share", m.atrial_share),
        over("flutter_contrast", m.atrial_contrast),
        over("flutter_mv", m.atrial_mv),
    )
    # P and T of a fast sinus rhythm are two waves a beat, as in 2:1 conduction.
    two_to_one = over("flutter_two_to_one", abs(m.atrial_rate - 2 * m.heart_rate)) == 0
    return np.where((waves == 1) & (m.p_present == 1) & two_to_one, NAN, waves)


def _axis_findings(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    off = {name: abs((m.axis_deg - middle + 180) % 360 - 180) for name, (middle, _) in SECTORS.items()}
    return {name: over("axis", half - off[name]) for name, (_, half) in SECTORS.items()}


def _shape_findings(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    tallest, nadir = np.fmax(m.r_mv, m.rprime_mv), np.fmin(m.q_mv, m.s_mv)
    wide_s = [_and(over("s_wide_ms", m.s_ms[:, lead]), over("s_wide_mv", -m.s_mv[:, lead])) for lead in (I, V6)]
    broad_r = [_broad_r(m, lead, nadir[:, lead], over) for lead in (I, V6)]
    low_limb = _and(*_not(over("low_limb", m.qrs_pp_mv[:, :6]).T))
    low_chest = _and(*_not(over("low_chest", m.qrs_pp_mv[:, 6:]).T))
    dominant_r = _and(over("dominant_r_net", tallest[:, V1] + nadir[:, V1]), over("dominant_r_mv", tallest[:, V1]))
    poor_r = (_not(over("r_v3_poor", m.r_mv[:, V3])), _not(over("r_v4_poor", m.r_mv[:, V4])))
    return {
        "dominant_r_v1": dominant_r,
        "rsr_v1": _rsr(m, dominant_r, over),
        "deep_s_v1": over("s_v1_deep", -nadir[:, V1]),
        "broad_r_i_v6": _and(over("qrs_wide", m.qrs_ms), *broad_r),
        "wide_s_i_v6": _and(*wide_s),
        "poor_r_progression": _and(*poor_r, _not(over("r_v1_poor", tallest[:, V1]))),
        "low_voltage_limb": low_limb,
        "low_voltage_all": _and(low_limb, low_chest),
        "high_voltage_chest": over("sokolow", np.fmax(m.r_mv[:, V5], m.r_mv[:, V6]) - nadir[:, V1]),
        "cornell_voltage": over("cornell", m.r_mv[:, AVL] - nadir[:, V3]),
        "r_avl_above_1_1": over("r_avl", m.r_mv[:, AVL]),
    }


def _broad_r(m: Stacked, lead: int, nadir: np.ndarray, over: Over) -> np.ndarray:
    """Whether R of a lead is tall, broad and not split: little is negative before or after it."""
    negative = over("r_broad_negative", nadir / np.maximum(m.r_mv[:, lead], 0.01))
    return _and(over("r_broad_mv", m.r_mv[:, lead]), negative, over("r_broad_ms", m.r_ms[:, lead]))


def _rsr(m: Stacked, dominant_r: np.ndarray, over: Over) -> np.ndarray:
    rsr = _and(over("rsr_r", m.r_mv[:, V1]), over("rsr_s", -m.s_mv[:, V1]), over("rsr_rprime", m.rprime_mv[:, V1]))
    # A broad or notched R of right bundle branch block comes from the same delay: neither yes nor no.
    return np.where((rsr == 0) & (over("qrs_wide", m.qrs_ms) != 0) & (dominant_r != 0), NAN, rsr)


# ---------------------------------------------------------------------------------------------------------------------
# Findings by territory


def _lead_findings(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    """Q waves, ST and T in each territory, and over all leads."""
    by_lead = _by_lead(m, over)
    values: dict[str, np.ndarray] = {}
    for name, leads in by_lead.items():
        in_territories = zip(TERRITORIES, _in_territories(leads, name), strict=True)
        values |= {f"{name}:{place}": found for place, found in in_territories}
    del values["q_waves:avr"], values["t_inversion:avr"]  # normal there
    values["t_upright"] = _and(*by_lead["t_upright"][:, [I, II, V3, V4, V5, V6]].T)
    deviations = [value for key, value in values.items() if key.startswith("st_") and not key.endswith("avr")]
    values["no_st_deviation"] = _not(_or(*deviations))
    return values


def _by_lead(m: Stacked, over: Over) -> dict[str, np.ndarray]:
    """Q, ST and T of each lead, (n, 12)."""
    chest = np.arange(12) >= V1
    v2v3 = np.isin(np.arange(12), (V2, V3))
    # A QS complex counts as a Q wave; in V2 and V3 any Q longer than 20 ms is abnormal.
    long = np.where(v2v3, over("q_ms_v2v3", m.q_ms), over("q_ms", m.q_ms))
    deep = np.where(v2v3, over("q_depth_v2v3", -m.q_mv), over("q_depth", -m.q_mv))
    return {
        "q_waves": np.where((long == 0) | (deep == 0), 0.0, long * deep),
        "st_elevation": np.where(v2v3, over("st_up_v2v3", m.st_mv), over("st_up", m.st_mv)),
        "st_depression": over("st_down", -m.st_mv),
        "t_inversion": over("t_inverted", -m.t_mv),
        "t_tall": np.where(chest, over("t_tall_chest", m.t_mv), over("t_tall_limb", m.t_mv)),
        "t_flat": _not(over("t_flat", np.abs(m.t_mv))),
        "t_upright": over("t_upright", m.t_mv),
    }


def _in_territories(by_lead: np.ndarray, name: str) -> np.ndarray:
    """Of each territory, (places, n): present in so many of its leads or pairs as are needed, absent if impossible."""
    first, second = np.array(CONTIGUOUS).T
    members, needed = _needed(name)

    def count(leads: np.ndarray) -> np.ndarray:
        return members @ np.concatenate([leads, leads[:, first] & leads[:, second]], axis=1).T

    impossible = np.where(count(by_lead != 0) < needed, 0.0, NAN)
    return np.where(count(by_lead == 1) >= needed, 1.0, impossible)


@cache
def _needed(name: str) -> tuple[np.ndarray, np.ndarray]:
    """What counts for a finding in each territory, int (places, leads and contiguous pairs), and how many are needed.

    That is one pair, or two leads: T need not be contiguous to be flat or tall, and is upright in all leads but one.
    """
    members, needed = np.zeros((len(TERRITORIES), 12 + len(CONTIGUOUS)), int), []
    for row, (place, leads) in zip(members, TERRITORIES.items(), strict=True):
        inside = set(leads)
        if name == "t_inversion" and place in ("anteroseptal", "anterior"):
            inside.remove(V1)  # inverted there in health
        if name in IN_NEIGHBOURS and len(inside) > 1:
            row[12:] = [inside.issuperset(pair) for pair in CONTIGUOUS]
            needed.append(1)
        else:
            row[list(inside)] = 1
            needed.append(min(len(inside), max(2, len(inside) - 1) if name == "t_upright" else 2))
    return members, np.array(needed)[:, None]
