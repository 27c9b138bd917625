"""Tests that have a name: the findings of `measure.guideline`, written in the language of the criteria.

The limits are the same, so that a name answers as the finding does, and has a margin and values besides. Some things
differ on purpose, as the network was trained with the findings as they are: ST elevation is that of the J point
(udmi-2018; 60 ms later 11 % of PTB-XL's normal ECGs have it in two contiguous leads, at J 2 %), a J point is no R' or
S, premature beats are those of the table of beats, and also flat and tall T must be in contiguous leads. ST depression
is taken 60 ms after J, where it is horizontal or downsloping: at J 13 % of the normal ECGs have it, 60 ms later 1 %.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecgclip.ecg import LEADS
from ecgclip.measure.limits import MAX_FLAT_LEADS, SECTORS, TERRITORIES

_ONE_BY_ONE = {
    # rate and rhythm
    "rate_above_150": "rate >= rate_very_fast",
    "rate_above_100": "rate >= rate_fast",
    "rate_60_to_100": "rate between rate_slow and rate_fast",
    "rate_below_60": "rate <= rate_slow",
    "rate_below_40": "rate <= rate_very_slow",
    "regular": "RR_variation <= rr_regular and early_narrow + early_wide = 0",
    "irregular": "RR_variation >= rr_regular",
    "irregularly_irregular": "RR_irregularity >= rr_chaotic and RR_variation >= rr_regular",
    "long_pause": "pause >= pause_long",
    "premature_narrow": "narrow_coupling <= 87 %",
    "premature_wide": "early_wide >= 1",
    "every_second_premature": "alternating",
    "flutter_waves": (
        "atrial_share >= flutter_share and atrial_contrast >= flutter_contrast and atrial_height >= flutter_mv"
    ),
    # P and the intervals
    "p_waves": "P_certainty > 0",
    "no_p_waves": "P_certainty < 0",
    "f_waves": "f_share >= f_common and f_height >= f_high and P_certainty < 0 and atrial_share <= flutter_share",
    # As many beats have no P at the usual distance as a constant course before QRS leaves open; or nearly all
    "dissociation": (
        "P_certainty > 0.5 and RR_variation <= 15 % "
        "and (P_unlocked >= p_apart and P_constancy <= p_inconstant or P_unlocked >= p_far_apart)"
    ),
    "p_long": "P_duration >= p_long",
    "p_tall": "P(II) >= p_tall",
    "p_terminal_v1": "P_terminal >= p_terminal",
    "pr_above_200": "PR >= pr_long",
    "pr_below_120": "PR <= pr_short",
    "pr_normal": "PR between pr_short and pr_long",
    "qrs_120_or_more": "QRS >= qrs_wide",
    "qrs_110_to_119": "QRS between qrs_slightly_wide and qrs_wide",
    "qrs_narrow": "QRS <= qrs_slightly_wide",
    "qtc_prolonged": "QTc >= qtc_long",
    "qtc_short": "QTc <= qtc_short",
    "qtc_normal": "QTc between qtc_short and qtc_long",
    "delta_wave": "PR <= delta_pr and QRS >= delta_qrs and upstroke <= delta_upstroke",
    # shape of QRS
    "dominant_r_v1": "QRS_net(V1) >= dominant_r_net and tallest(V1) >= dominant_r_mv",
    "rsr_v1": "R(V1) >= rsr_r and S(V1) >= rsr_s and R2(V1) >= rsr_rprime",
    "deep_s_v1": "nadir(V1) >= s_v1_deep",
    "broad_r_i_v6": (
        "QRS >= qrs_wide and (R >= r_broad_mv and R_ms >= r_broad_ms and nadir_share <= r_broad_nadir) in all of I V6"
    ),
    "wide_s_i_v6": "(S_ms >= s_wide_ms and S >= s_wide_mv) in all of I V6",
    "poor_r_progression": "R(V3) <= r_v3_poor and R(V4) <= r_v4_poor and tallest(V1) <= r_v1_poor",
    "low_voltage_limb": "QRS_height <= low_limb in all of limb",
    "low_voltage_all": "QRS_height <= low_limb in all of limb and QRS_height <= low_chest in all of chest",
    "high_voltage_chest": "nadir(V1) + R(V5) >= sokolow or nadir(V1) + R(V6) >= sokolow",
    "cornell_voltage": "nadir(V3) + R(aVL) >= cornell",
    "r_avl_above_1_1": "R(aVL) >= r_avl",
    # ST and T
    "t_upright": "T >= t_upright in all of I II V3 V4 V5 V6",
    "no_st_deviation": "not (J >= st_up in 2 contiguous of all or ST <= -st_down in 2 contiguous of all)",
    # in each lead
    "discordant": "discordance > 0 mV",
    # quality
    "baseline_wander": "wander >= wandering",
    "muscle_noise": "noise >= noisy",
    "flat_lead": f"flat_leads >= 1 and flat_leads <= {MAX_FLAT_LEADS}",
}
# Of each lead of a territory
BY_PLACE = {
    "q_waves": "(Q_ms >= q_long and Q >= q_deep)",
    "st_elevation": "J >= st_up",
    "st_depression": "ST <= -st_down",
    "t_inversion": "T <= -t_inverted",
    "t_tall": "T >= t_tall",
    "t_flat": "T between -t_flat and t_flat",
    "t_upright": "T >= t_upright",
}
NEEDS_LEAD = ("discordant",)  # names that hold for one lead


def _in_places() -> Iterator[tuple[str, str]]:
    for place, rows in TERRITORIES.items():
        leads = [LEADS[i] for i in rows]
        for name, test in BY_PLACE.items():
            if place == "avr" and name in ("q_waves", "t_inversion"):
                continue  # normal there
            # T is inverted in V1 in health
            inside = [lead for lead in leads if lead != "V1"] if name == "t_inversion" and len(leads) > 2 else leads
            few = len(inside) == 1 or (name == "t_upright" and len(inside) == 2)
            how = "all" if few else "2 contiguous"
            how = str(len(inside) - 1) if name == "t_upright" and not few else how
            yield f"{name}:{place}", f"{test} in {how} of {' '.join(inside)}"


_AXES = {name: f"axis between {middle - half} and {middle + half} deg" for name, (middle, half) in SECTORS.items()}
NAMED: dict[str, str] = {**_ONE_BY_ONE, **_AXES, **dict(_in_places())}
