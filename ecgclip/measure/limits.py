"""The thresholds of all measurements in one table, each with its source."""

from __future__ import annotations

from typing import NamedTuple

from ecgclip.ecg import AVF, AVL, AVR, II, III, V1, V2, V3, V4, V5, V6, I


class Limit(NamedTuple):
    """A threshold, the half-width of the zone around it in which a finding is too close to say, and its source.

    source: an id of knowledge_base/sources.yaml, or one of `OTHER_SOURCES`
    """

    threshold: float
    margin: float
    source: str


OTHER_SOURCES = {
    "ptb-xl": "separates ECGs with the finding from others in PTB-XL's training folds",
    "custom": "in general use, but not given by a guideline",
    "hand": "set by hand: a guideline describes the shape without a number",
    "issue-3": "ISSUE-3, Brignole et al. 2012",
}
# Limits that depend on the patient have a row for each sex; None is an unknown patient.
LIMITS: dict[str, Limit | dict[str | None, Limit]] = {
    # Rate, beats a minute
    "rate_very_fast": Limit(150, 2.5, "esc-svt-2019"),
    "rate_fast": Limit(100, 2.5, "aha-ecg-2007-ii"),
    "rate_slow": Limit(60, 2.5, "acc-brady-2018"),
    "rate_very_slow": Limit(40, 2.5, "acc-brady-2018"),
    # Rhythm: R-R variation and irregularity (no unit), pauses (ms)
    "rr_regular": Limit(0.08, 0.015, "aha-ecg-2007-ii"),
    "rr_chaotic": Limit(0.07, 0.015, "ptb-xl"),  # separates atrial fibrillation
    "pause": Limit(2000, 60, "acc-brady-2018"),
    "asystole": Limit(3000, 0, "issue-3"),  # as studies of syncope count it
    # Intervals, ms
    "pr_long": Limit(200, 10, "acc-brady-2018"),
    "pr_short": Limit(120, 8, "esc-svt-2019"),
    "qrs_wide": Limit(120, 6, "aha-ecg-2009-iii"),
    "qrs_slightly_wide": Limit(110, 5, "aha-ecg-2009-iii"),
    "qtc_long": {
        "male": Limit(450, 8, "aha-ecg-2009-iv"),
        "female": Limit(460, 8, "aha-ecg-2009-iv"),
        None: Limit(455, 13, "aha-ecg-2009-iv"),
    },
    "qtc_short": Limit(360, 8, "esc-va-2022"),
    # Delta wave: short PR (ms), widened QRS (ms), slow start (no unit); each part alone may be borderline
    "delta_pr": Limit(125, 20, "hand"),
    "delta_qrs": Limit(105, 12, "hand"),
    "delta_upstroke": Limit(0.35, 0.1, "hand"),
    # Axis: degrees inside the edge of a sector (SECTORS)
    "axis": Limit(0, 6, "aha-ecg-2009-iii"),
    # Flutter waves: the rate that is searched for is that of esc-svt-2019; these separate flutter from other rhythms
    "flutter_share": Limit(0.65, 0.05, "ptb-xl"),
    "flutter_contrast": Limit(0.27, 0.04, "ptb-xl"),
    "flutter_mv": Limit(0.044, 0.008, "ptb-xl"),
    # Fibrillatory waves in V1: share of what is left between the beats (no unit), and height (mV)
    "f_share": Limit(0.5, 0.08, "ptb-xl"),
    "f_mv": Limit(0.012, 0.003, "ptb-xl"),
    # Dissociation: beats without a P at the usual distance, and the constancy of what precedes QRS (no unit); they keep
    # simulated AV block apart from 435 ECGs in sinus rhythm
    "p_unlocked": Limit(0.45, 0.05, "ptb-xl"),
    "p_mostly_unlocked": Limit(0.7, 0.05, "ptb-xl"),
    "p_constancy": Limit(0.75, 0.05, "ptb-xl"),
    "flutter_two_to_one": Limit(15, 0, "hand"),  # so near to two waves a beat (per minute), they may be P and T
    # Atrial abnormalities: duration (ms), height (mV), area in V1 (mV x ms: 0.1 mV for 40 ms)
    "p_long": Limit(120, 8, "iab-2012"),
    "p_tall": Limit(0.25, 0.03, "aha-ecg-2009-v"),
    "p_terminal": Limit(4.0, 1.0, "aha-ecg-2009-v"),
    # Voltages, mV: Sokolow-Lyon, Cornell by sex, R in aVL, deep S, low voltage
    "sokolow": Limit(3.5, 0.2, "aha-ecg-2009-v"),
    "cornell": {
        "male": Limit(2.8, 0.15, "aha-ecg-2009-v"),
        "female": Limit(2.0, 0.15, "aha-ecg-2009-v"),
        None: Limit(2.4, 0.5, "aha-ecg-2009-v"),
    },
    "r_avl": Limit(1.1, 0.1, "aha-ecg-2009-v"),
    "s_v1_deep": Limit(1.5, 0.2, "aha-ecg-2009-v"),
    "low_limb": Limit(0.55, 0.07, "aha-ecg-2009-iv"),
    "low_chest": Limit(1.05, 0.1, "aha-ecg-2009-iv"),
    # Shapes of bundle branch block: R in I and V6 broad and not split, S in I and V6 wide, rSR' in V1 (mV, ms)
    "r_broad_mv": Limit(0.3, 0.1, "hand"),
    "r_broad_ms": Limit(70, 10, "hand"),
    "r_broad_negative": Limit(-0.3, 0.08, "hand"),  # of the height of R: what is negative beside it
    "s_wide_ms": Limit(40, 5, "aha-ecg-2009-iii"),
    "s_wide_mv": Limit(0.15, 0.05, "hand"),
    "rsr_r": Limit(0.04, 0.01, "hand"),
    "rsr_s": Limit(0.07, 0.02, "hand"),
    "rsr_rprime": Limit(0.1, 0.05, "hand"),
    # Dominant R in V1, mV: R over S, and its height
    "dominant_r_net": Limit(0, 0.05, "hand"),
    "dominant_r_mv": Limit(0.25, 0.1, "hand"),
    # Poor R progression, mV: R in V3 and V4 small, and in V1 not large
    "r_v3_poor": Limit(0.3, 0.06, "custom"),
    "r_v4_poor": Limit(0.6, 0.1, "hand"),
    "r_v1_poor": Limit(0.3, 0.05, "hand"),
    # Infarction: Q at least 0.1 mV deep for 30 ms; in V2 and V3, any Q longer than 20 ms
    "q_depth": Limit(0.1, 0.02, "udmi-2018"),
    "q_depth_v2v3": Limit(0.06, 0.01, "hand"),
    "q_ms": Limit(29, 4, "udmi-2018"),
    "q_ms_v2v3": Limit(21, 4, "udmi-2018"),
    # ST, mV: elevation 0.1; in V2 and V3 0.2 in men from 40 years, 0.25 in younger men, 0.15 in women; depression 0.05
    "st_up": Limit(0.1, 0.02, "udmi-2018"),
    "st_up_v2v3": {
        "female": Limit(0.15, 0.03, "udmi-2018"),
        "male": Limit(0.2, 0.03, "udmi-2018"),
        "young male": Limit(0.25, 0.03, "udmi-2018"),
        None: Limit(0.2, 0.06, "udmi-2018"),
    },
    "st_down": Limit(0.05, 0.015, "udmi-2018"),
    # T waves, mV: inverted from -0.1 and flat between
    "t_inverted": Limit(0.1, 0.03, "aha-ecg-2009-iv"),
    "t_flat": Limit(0.08, 0.02, "aha-ecg-2009-iv"),
    "t_upright": Limit(0.1, 0.02, "aha-ecg-2009-iv"),
    "t_tall_limb": Limit(0.5, 0.05, "custom"),
    "t_tall_chest": Limit(1.0, 0.1, "custom"),
    # Quality, mV: by the notes on noise in PTB-XL
    "wander": Limit(0.17, 0.05, "ptb-xl"),
    "noise": Limit(0.013, 0.003, "ptb-xl"),
}
YOUNG = 40  # years; ST elevation in V2 and V3 has another threshold in younger men
# Sectors of the frontal axis by middle and half-width, degrees: aha-ecg-2009-iii
SECTORS = {"axis_normal": (30, 60), "axis_left": (-60, 30), "axis_right": (135, 45), "axis_extreme": (-135, 45)}
# Territories: the name in a finding's key -> the leads, of which two neighbours must show it (udmi-2018)
TERRITORIES = {
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
# Leads of which two are contiguous (udmi-2018): any two of the inferior ones, the high lateral ones, chest neighbours
CONTIGUOUS = ((II, III), (II, AVF), (III, AVF), (I, AVL), (V1, V2), (V2, V3), (V3, V4), (V4, V5), (V5, V6))
MIN_INTERVALS = 4  # R-R intervals without which nothing is said of regularity
MAX_FLAT_LEADS = 3  # more flat leads than that are not one electrode, but a recording of fewer leads


def limits_of(age: float | None = None, sex: str | None = None) -> dict[str, Limit]:
    """The limits that hold for a patient of `age` (years) and `sex` ("female", "male"), each None if unknown."""
    chosen = {}
    for name, limit in LIMITS.items():
        if isinstance(limit, dict):
            limit = limit.get(_group(name, age, sex), limit[None])
        chosen[name] = limit
    return chosen


def _group(name: str, age: float | None, sex: str | None) -> str | None:
    """The row of a limit that depends on the patient."""
    if name == "st_up_v2v3" and sex == "male":
        return None if age is None else "young male" if age < YOUNG else "male"
    return sex


THRESHOLDS = {name: limit.threshold for name, limit in limits_of().items()}  # those of an unknown patient
