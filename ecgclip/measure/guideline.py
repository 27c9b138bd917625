"""What the numbers of a Measurement say by the guidelines' thresholds: yes, no, or too close to say."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ecgclip.ecg import AVF, AVL, AVR, II, III, V1, V2, V3, V4, V5, V6, I
from ecgclip.measure.beats import NAN
from ecgclip.measure.measurement import Measurement

TERRITORIES = {  # the name in a finding's key -> the leads, of which two must show it
    "inferior": (II, III, AVF),
    "septal": (V1, V2),
    "anteroseptal": (V1, V2, V3),
    "anterior": (V1, V2, V3, V4),
    "v3v4": (V3, V4),
    "lateral": (V5, V6),
    "high_lateral": (I, AVL),
    "anterolateral": (I, AVL, V4, V5, V6),
    "avr": (AVR,),
}
# Threshold and the half-width of the zone around it in which a finding is too close to say (None).
LIMITS = {
    # Rates, intervals, axis: AHA/ACCF/HRS 2009 part III (QRS, axis) and part IV (QT); AHA/ACC/HRS 2007 part II.
    "rate": 2.5,  # half-width, bpm
    "rr_regular": (0.08, 0.015),
    "rr_chaotic": (0.07, 0.015),  # separates atrial fibrillation in PTB-XL
    "pause": (2000, 60),
    "pr_long": (200, 10),
    "pr_short": (120, 8),
    "qrs_wide": (120, 6),
    "qrs_slightly_wide": (110, 5),
    "axis": 6,  # half-width, degrees
    "qtc_long": {"male": (450, 8), "female": (460, 8), None: (455, 13)},
    "qtc_short": (360, 8),
    # Flutter waves: rate by ESC SVT 2019; the rest separates PTB-XL's flutter from its other rhythms (training folds).
    "flutter_share": (0.65, 0.05),
    "flutter_contrast": (0.27, 0.04),
    "flutter_mv": (0.044, 0.008),
    # Atrial abnormalities: AHA/ACCF/HRS 2009 part V; P duration 120 ms, IAB consensus 2012.
    "p_long": (120, 8),
    "p_tall": (0.25, 0.03),
    "p_terminal": (4.0, 1.0),  # mV x ms: 0.1 mV for 40 ms
    # Voltages: AHA/ACCF/HRS 2009 part V (Sokolow-Lyon, Cornell by sex, R in aVL), low voltage part IV.
    "sokolow": (3.5, 0.2),
    "cornell": {"male": (2.8, 0.15), "female": (2.0, 0.15), None: (2.4, 0.5)},
    "r_avl": (1.1, 0.1),
    "low_limb": (0.55, 0.07),
    "low_chest": (1.05, 0.1),
    "s_v1_deep": (1.5, 0.2),
    "r_v3_poor": (0.3, 0.06),
    # Infarction: Fourth Universal Definition 2018. Q at least 0.1 mV deep for 30 ms, longer than 20 ms in V2 and V3.
    "q_depth": (0.1, 0.02),
    "q_ms": (29, 4),
    "q_ms_v2v3": (21, 4),
    # ST elevation 0.1 mV; V2 and V3: 0.2 mV men from 40 years, 0.25 mV younger men, 0.15 mV women. Depression 0.05 mV.
    "st_up": (0.1, 0.02),
    "st_up_v2v3": {"female": (0.15, 0.03), "male": (0.2, 0.03), "young male": (0.25, 0.03), None: (0.2, 0.06)},
    "st_down": (0.05, 0.015),
    # T waves: AHA/ACCF/HRS 2009 part IV calls T inverted from -0.1 mV and flat between; tall by custom (0.5, 1.0 mV).
    "t_inverted": (0.1, 0.03),
    "t_flat": (0.08, 0.02),
    "t_upright": (0.1, 0.02),
    "t_tall_limb": (0.5, 0.05),
    "t_tall_chest": (1.0, 0.1),
    # Quality, by experience with PTB-XL's noise notes.
    "wander": (0.17, 0.05),
    "noise": (0.013, 0.003),
}


def findings(measurement: Measurement, age: float | None = None, sex: str | None = None) -> dict[str, bool | None]:
    """What the numbers say by the guidelines' thresholds: True present, False absent, None not measurable or too close.

    age: years; sex: "female" or "male". The keys are always the same ones, those of `finding_texts()`. Raises nothing.
    """
    m = measurement
    limits = {name: limit.get(_group(name, age, sex), limit[None]) if isinstance(limit, dict) else limit
              for name, limit in LIMITS.items()}  # fmt: skip
    over = lambda name, value: _above(value, *limits[name])
    found = _rhythm_findings(m, over) | _interval_findings(m, over) | _axis_findings(m) | _shape_findings(m, over)
    leads = _lead_findings(m, over, limits)
    for name, by_lead in leads.items():
        found |= {f"{name}:{place}": _enough(by_lead, place, name) for place in TERRITORIES}
    del found["q_waves:avr"], found["t_inversion:avr"]  # normal there
    found["t_upright"] = _and(*leads["t_upright"][[I, II, V3, V4, V5, V6]])
    deviates = _or(*(value for key, value in found.items() if key.startswith("st_") and not key.endswith("avr")))
    found["no_st_deviation"] = _not(deviates)
    found["baseline_wander"] = _above(m.baseline_wander_mv, *LIMITS["wander"])
    found["muscle_noise"] = _above(m.noise_mv, *LIMITS["noise"])
    found["flat_lead"] = None if m.flat_leads is None else 0 < m.flat_leads < 4
    return {key: None if value is None or np.isnan(value) else bool(value) for key, value in found.items()}


def _group(name: str, age: float | None, sex: str | None) -> str | None:
    if name == "st_up_v2v3" and sex == "male":
        return None if age is None else "young male" if age < 40 else "male"
    return sex


# Three-valued logic on floats and arrays of them: 1 yes, 0 no, NaN open.


def _above(value, threshold: float, margin: float):
    value = np.asarray(value, float)
    return np.where(value >= threshold + margin, 1.0, np.where(value <= threshold - margin, 0.0, NAN))


def _bool(value: bool | None) -> float:
    return NAN if value is None else float(value)


def _not(a):
    return 1 - np.asarray(a, float)


def _and(*values) -> float:
    values = np.asarray(values, float)
    return 0.0 if (values == 0).any() else float(values.prod())


def _or(*values) -> float:
    return float(_not(_and(*(_not(v) for v in values))))


def _enough(by_lead: np.ndarray, place: str, name: str) -> float:
    """Present in two neighbouring leads (upright T: in all but one), absent where that cannot be any more."""
    leads = list(TERRITORIES[place])
    if name == "t_inversion" and place in ("anteroseptal", "anterior"):
        leads.remove(V1)  # inverted there in health
    need = min(len(leads), max(2, len(leads) - 1) if name == "t_upright" else 2)
    by_lead = by_lead[leads]
    if (by_lead == 1).sum() >= need:
        return 1.0
    return 0.0 if (by_lead != 0).sum() < need else NAN


def _rhythm_findings(m: Measurement, over) -> dict:
    rate = lambda limit: _above(m.heart_rate, limit, LIMITS["rate"])
    few = len(m.rr_ms) < 4
    irregular = NAN if few else over("rr_regular", m.rr_variation)
    chaotic = NAN if few else _and(over("rr_chaotic", m.rr_irregularity), irregular)
    return {
        "rate_above_150": rate(150), "rate_above_100": rate(100), "rate_60_to_100": _and(rate(60), _not(rate(100))),
        "rate_below_60": _not(rate(60)), "rate_below_40": _not(rate(40)),
        "regular": NAN if few else _and(_not(irregular), _bool(m.n_premature_narrow + m.n_premature_wide == 0)),
        "irregular": irregular, "irregularly_irregular": chaotic,
        "pause": over("pause", m.longest_pause_ms),
        "premature_narrow": NAN if few or chaotic != 0 else _bool(m.n_premature_narrow > 0),
        "premature_wide": NAN if few else _bool(m.n_premature_wide > 0),
        "every_second_premature": NAN if few else _bool(m.alternating),
    }  # fmt: skip


def _interval_findings(m: Measurement, over) -> dict:
    p = _bool(m.p_present)
    with_p = lambda value: value if p == 1 else NAN
    long_pr, short_pr = (with_p(over("pr_long", m.pr_ms)), with_p(_not(over("pr_short", m.pr_ms))))
    wide, slightly = over("qrs_wide", m.qrs_ms), over("qrs_slightly_wide", m.qrs_ms)
    long_qt, short_qt = over("qtc_long", m.qtc_ms), _not(over("qtc_short", m.qtc_ms))
    # Each part alone may be borderline: short PR, widened QRS, slow start.
    delta = with_p(_and(_not(_above(m.pr_ms, 125, 20)), _above(m.qrs_ms, 105, 12), _not(_above(m.upstroke, 0.35, 0.1))))
    return {
        "flutter_waves": _flutter(m, over), "p_waves": p, "no_p_waves": _not(p),
        "p_long": with_p(over("p_long", m.p_duration_ms)), "p_tall": with_p(over("p_tall", m.p_amplitude_mv[II])),
        "p_terminal_v1": with_p(over("p_terminal", m.p_terminal_v1)),
        "pr_above_200": long_pr, "pr_below_120": short_pr, "pr_normal": with_p(_and(_not(long_pr), _not(short_pr))),
        "qrs_120_or_more": wide, "qrs_110_to_119": _and(slightly, _not(wide)), "qrs_narrow": _not(slightly),
        "qtc_prolonged": long_qt, "qtc_short": short_qt, "qtc_normal": _and(_not(long_qt), _not(short_qt)),
        "delta_wave": delta,
    }  # fmt: skip


def _flutter(m: Measurement, over) -> float:
    waves = _and(*(over(f"flutter_{name}", getattr(m, f"atrial_{name}")) for name in ("share", "contrast", "mv")))
    # P and T of a fast sinus rhythm are two waves a beat, as in 2:1 conduction.
    doubtful = m.p_present and abs(m.atrial_rate - 2 * m.heart_rate) < 15
    return NAN if waves == 1 and doubtful else waves


def _axis_findings(m: Measurement) -> dict:
    # Each sector by its middle and half-width; AHA 2009 part III.
    sectors = {"axis_normal": (30, 60), "axis_left": (-60, 30), "axis_right": (135, 45), "axis_extreme": (-135, 45)}
    off = {name: abs((m.axis_deg - middle + 180) % 360 - 180) for name, (middle, _) in sectors.items()}
    return {name: _above(half - off[name], 0, LIMITS["axis"]) for name, (_, half) in sectors.items()}


def _shape_findings(m: Measurement, over) -> dict:
    tallest, nadir = np.fmax(m.r_mv, m.rprime_mv), np.fmin(m.q_mv, m.s_mv)
    wide = over("qrs_wide", m.qrs_ms)
    # Broad and unsplit: nothing negative before or after R worth the name.
    left = [
        _and(
            _above(m.r_mv[k], 0.3, 0.1), _above(nadir[k] / max(m.r_mv[k], 0.01), -0.3, 0.08), _above(m.r_ms[k], 70, 10)
        )
        for k in (I, V6)
    ]
    right = [_and(_above(m.s_ms[k], 40, 5), _above(-m.s_mv[k], 0.15, 0.05)) for k in (I, V6)]
    pp = m.qrs_pp_mv
    low_limb = _and(*_not(_above(pp[:6], *LIMITS["low_limb"])))
    low_chest = _and(*_not(_above(pp[6:], *LIMITS["low_chest"])))
    dominant_r = _and(_above(tallest[V1] + nadir[V1], 0, 0.05), _above(tallest[V1], 0.25, 0.1))
    rsr = _and(_above(m.r_mv[V1], 0.04, 0.01), _above(-m.s_mv[V1], 0.07, 0.02), _above(m.rprime_mv[V1], 0.1, 0.05))
    # A broad or notched R of right bundle branch block comes from the same delay: neither yes nor no.
    rsr = NAN if rsr == 0 and wide != 0 and dominant_r != 0 else rsr
    sokolow = over("sokolow", np.fmax(m.r_mv[V5], m.r_mv[V6]) - nadir[V1])
    cornell = over("cornell", m.r_mv[AVL] - nadir[V3])
    return {
        "dominant_r_v1": dominant_r, "rsr_v1": rsr,
        "deep_s_v1": over("s_v1_deep", -nadir[V1]),
        "broad_r_i_v6": _and(wide, *left), "wide_s_i_v6": _and(*right),
        "poor_r_progression": _and(_not(over("r_v3_poor", m.r_mv[V3])), _not(_above(m.r_mv[V4], 0.6, 0.1)),
                                   _not(_above(tallest[V1], 0.3, 0.05))),
        "low_voltage_limb": low_limb, "low_voltage_all": _and(low_limb, low_chest),
        "high_voltage_chest": sokolow, "cornell_voltage": cornell, "r_avl_above_1_1": over("r_avl", m.r_mv[AVL]),
    }  # fmt: skip


def _lead_findings(m: Measurement, over, limits: dict) -> dict[str, np.ndarray]:
    """By lead, (12,): Q, ST and T."""
    chest = np.arange(12) >= V1
    v2v3 = np.isin(np.arange(12), (V2, V3))
    # A QS complex counts as a Q wave; in V2 and V3 any Q longer than 20 ms is abnormal.
    long = np.where(v2v3, over("q_ms_v2v3", m.q_ms), over("q_ms", m.q_ms))
    deep = np.where(v2v3, _above(-m.q_mv, 0.06, 0.01), over("q_depth", -m.q_mv))
    q = np.where((long == 0) | (deep == 0), 0.0, long * deep)
    up = np.where(v2v3, over("st_up_v2v3", m.st_mv), over("st_up", m.st_mv))
    flat = _not(over("t_flat", np.abs(m.t_mv)))
    return {
        "q_waves": q, "st_elevation": up, "st_depression": over("st_down", -m.st_mv),
        "t_inversion": over("t_inverted", -m.t_mv),
        "t_tall": np.where(chest, over("t_tall_chest", m.t_mv), over("t_tall_limb", m.t_mv)),
        "t_flat": flat, "t_upright": over("t_upright", m.t_mv),
    }  # fmt: skip


@lru_cache(maxsize=1)
def finding_texts() -> dict[str, dict]:
    """The words for every finding: key -> {en, de, negative_en?, negative_de?, criteria_source}.

    Raises EcgclipError where prompts/findings.yaml is missing.
    """
    import yaml

    from ecgclip.files import asset_path

    return yaml.safe_load(asset_path("prompts/findings.yaml").read_text(encoding="utf-8"))
