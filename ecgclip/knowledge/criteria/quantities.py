"""The quantities that criteria speak of: their units, their spread, and how they follow from a Measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.ecg import AVF, LEADS, V1, V6, I
from ecgclip.measure.arrays import NAN
from ecgclip.measure.limits import MIN_INTERVALS, TERRITORIES, THRESHOLDS, limits_of
from ecgclip.measure.measurement import CLASSES, Measurement
from ecgclip.measure.p_train import FLUTTER_LIMITS

# No narrow beat is told premature in an irregular rhythm with so low a certainty of P waves (of such rhythms in folds 1
# to 8 of PTB-XL nine tenths of those with atrial fibrillation, a quarter of those with premature beats), nor beside so
# many dropped P waves
NO_P, DROPPED = -1.0, 2
CLEAR_NET = 0.1  # mV: a net QRS of this size has a direction
BEATS = CLASSES  # of beats, each measured as the usual ones are
# Leads and territories by name
PLACES = {
    **{lead: (lead,) for lead in LEADS},
    "all": LEADS,
    "limb": LEADS[:6],
    "chest": LEADS[6:],
    **{name: tuple(LEADS[i] for i in leads) for name, leads in TERRITORIES.items() if len(leads) > 1},
}
# Of the whole ECG, but read from certain leads
LEADS_READ = {
    "axis": ("I", "aVF"),
    "P_axis": ("I", "aVF"),
    "P_terminal": ("V1",),
    "transition": PLACES["chest"],
    "both_bundles": ("I", "V1", "V6"),
}


@dataclass(frozen=True)
class QuantityKind:
    """What a quantity is.

    Attributes
    ----------
    unit
        "yes" for a fact; "count", "ratio" and "lead" (number of a chest lead) are written without a unit.
    words
        What it is called in an answer; with "|", what it is called above and below a threshold.
    half_width
        Of the zone around a threshold in which an answer is borderline, in `unit`.
    read
        Its value from a Measurement: a number, (12,) by lead, True, False or None; None: not measured yet.
    windows
        How the values of several windows become one: median, angle (mean direction), sum, longest, shortest, most.
    by_lead
        Whether each lead has its own value.
    """

    unit: str
    words: str
    half_width: float = 0.0
    read: Callable[[Measurement], Any] | None = None
    windows: str = "median"
    by_lead: bool = False

    @property
    def typed_unit(self) -> str:
        """The unit as it is written behind a number."""
        return "" if self.unit in ("count", "ratio", "lead") else self.unit


def _half_width(name: str) -> float:
    return limits_of()[name].margin


# ---------------------------------------------------------------------------------------------------------------------
# Quantities that follow from several numbers


def _rhythm(name: str, scale: float = 1.0) -> Callable[[Measurement], float]:
    """A number that is told from `MIN_INTERVALS` R-R intervals on."""
    return lambda m: scale * getattr(m, name) if len(m.rr_ms) >= MIN_INTERVALS else NAN


def _rr_range(m: Measurement) -> float:
    return float(np.ptp(m.rr_ms)) if len(m.rr_ms) >= MIN_INTERVALS else NAN


def _with_p(name: str) -> Callable[[Measurement], Any]:
    """A measure of the P wave, where there is one."""
    return lambda m: getattr(m, name) if m.p_present else NAN * np.asarray(getattr(m, name))


def _p_axis(m: Measurement) -> float:
    p = _with_p("p_amplitude_mv")(m)
    return float(np.degrees(np.arctan2(p[AVF] * 2 / np.sqrt(3), p[I])))


def _nadir(m: Measurement) -> np.ndarray:
    return -np.fmin(m.shape.q_mv, m.shape.s_mv)


def _tallest(m: Measurement) -> np.ndarray:
    return np.fmax(m.shape.r_mv, m.shape.rprime_mv)


def _nadir_share(m: Measurement) -> np.ndarray:
    return _nadir(m) / np.fmax(m.shape.r_mv, 0.01)


def _net(m: Measurement) -> np.ndarray:
    return _tallest(m) - _nadir(m)


def _discordance(m: Measurement) -> np.ndarray:
    """The height of T, positive where it points away from QRS; less where QRS has no direction."""
    return -m.t_mv * np.clip(_net(m) / CLEAR_NET, -1, 1)


def _transition(m: Measurement) -> float:
    """The chest lead, 1 to 6, from which R is taller than the negative part of QRS; between two by interpolation."""
    net = _net(m)[V1 : V6 + 1]
    if np.isnan(net).any():
        return NAN
    if net[0] > 0:
        return 1.0
    if (net <= 0).all():
        return 6.5
    after = int(np.argmax(net > 0))
    return float(after + net[after - 1] / (net[after - 1] - net[after]))


def _spikes(name: str) -> Callable[[Measurement], Any]:
    return lambda m: getattr(m.spikes, name)


def _atria(name: str, scale: float = 1.0) -> Callable[[Measurement], Any]:
    return lambda m: scale * getattr(m.atria, name)


def _atria_fact(name: str) -> Callable[[Measurement], Any]:
    return lambda m: getattr(m.atria, name)


def _before_beats(name: str) -> Callable[[Measurement], bool | None]:
    """Whether it holds for most beats, of those for which it is known."""

    def read(m: Measurement) -> bool | None:
        known = getattr(m.atria, name)
        known = known[~np.isnan(known)]
        return bool(known.mean() > 0.5) if len(known) else None

    return read


def _pr(m: Measurement) -> float:
    """PR means nothing where P waves and beats are dissociated."""
    inconstant = m.p_consistency <= THRESHOLDS["p_constancy"]
    limit = THRESHOLDS["p_unlocked" if inconstant else "p_mostly_unlocked"]
    return m.pr_ms if m.p_present and not m.atria.p_unlocked >= limit else NAN


def _of(name: str, scale: float = 1.0) -> Callable[[Measurement], Any]:
    return lambda m: scale * getattr(m, name)


def _shape(name: str, scale: float = 1.0, with_p: bool = False) -> Callable[[Measurement], Any]:
    """A number of the shape; that of P where there is one."""
    return lambda m: (scale if m.p_present or not with_p else NAN) * getattr(m.shape, name)


def _fact(name: str) -> Callable[[Measurement], Any]:
    return lambda m: getattr(m, name)


def _premature_narrow(name: str, untold: float) -> Callable[[Measurement], float]:
    """A number of premature narrow beats; `untold` in fibrillation, in flutter and where P waves are dropped."""

    def read(m: Measurement) -> float:
        if len(m.rr_ms) < MIN_INTERVALS:
            return NAN
        fibrillation = m.table.chaotic and m.atria.p_certainty < NO_P
        flutter = all(getattr(m, name) >= limit.threshold for name, limit in FLUTTER_LIMITS.items())
        return untold if fibrillation or flutter or m.atria.dropped >= DROPPED else getattr(m.table, name)

    return read


def _table(name: str) -> Callable[[Measurement], Any]:
    """A number of the heartbeats one by one."""
    return lambda m: getattr(m.table, name)


def _in_leads(
    unit: str, words: str, half_width: float, read: Callable[[Measurement], Any] | None = None
) -> QuantityKind:
    return QuantityKind(unit, words, half_width, read, by_lead=True)


_WHOLE = {
    "rate": QuantityKind("/min", "rate", _half_width("rate_fast"), _of("heart_rate")),
    "RR": QuantityKind("ms", "R-R", 20, lambda m: float(np.median(m.rr_ms)) if len(m.rr_ms) else NAN),
    "RR_variation": QuantityKind("%", "R-R variation", 100 * _half_width("rr_regular"), _rhythm("rr_variation", 100)),
    "RR_irregularity": QuantityKind(
        "%", "R-R irregularity", 100 * _half_width("rr_chaotic"), _rhythm("rr_irregularity", 100)
    ),
    "RR_range": QuantityKind("ms", "longest less shortest R-R", 20, _rr_range),
    "pause": QuantityKind(
        "ms", "longest time without a beat", _half_width("pause"), _of("longest_pause_ms"), "longest"
    ),
    "beats": QuantityKind("count", "beats", read=_of("beats"), windows="sum"),
    "early_narrow": QuantityKind(
        "count", "early narrow beats", read=_premature_narrow("early_narrow", 0.0), windows="sum"
    ),
    "early_wide": QuantityKind("count", "early wide beats", read=_table("early_wide"), windows="sum"),
    "alternating": QuantityKind("yes", "every second beat early", read=_fact("alternating"), windows="most"),
    "PR": QuantityKind("ms", "PR", _half_width("pr_long"), _pr),
    "QRS": QuantityKind("ms", "QRS", _half_width("qrs_wide"), _of("qrs_ms")),
    "QT": QuantityKind("ms", "QT", 8, _of("qt_ms")),
    "QTc": QuantityKind("ms", "QTc", 8, _of("qtc_ms")),
    "axis": QuantityKind("deg", "QRS axis", _half_width("axis"), _of("axis_deg"), "angle"),
    "upstroke": QuantityKind("ratio", "slope at the start of QRS", _half_width("delta_upstroke"), _of("upstroke")),
    "P_waves": QuantityKind("yes", "P waves", read=_fact("p_present"), windows="most"),
    "P_duration": QuantityKind("ms", "P duration", _half_width("p_long"), _with_p("p_duration_ms")),
    "P_axis": QuantityKind("deg", "P axis", 10, _p_axis, "angle"),
    "P_terminal": QuantityKind("mVms", "end of P in V1", _half_width("p_terminal"), _with_p("p_terminal_v1")),
    # Half-widths: how far two halves of an ECG in sinus rhythm differ (250 of PTB-XL, folds 1 to 8), and R by a sample.
    "P_certainty": QuantityKind("ratio", "certainty of P waves", 1.0, _atria("p_certainty")),
    "P_constancy": QuantityKind(
        "ratio", "constancy of what precedes QRS", _half_width("p_constancy"), _of("p_consistency")
    ),
    "P_unlocked": QuantityKind(
        "%", "beats without a P at the usual distance", 100 * _half_width("p_unlocked"), _atria("p_unlocked", 100)
    ),
    "P_rate": QuantityKind("/min", "P waves", 1.6, _atria("p_rate")),
    "P_shapes": QuantityKind("count", "shapes of P", read=_atria("p_shapes")),
    "PP_variation": QuantityKind("%", "P-P variation", 0.7, _atria("pp_variation", 100)),
    "PR_range": QuantityKind("ms", "longest less shortest PR", 5, _atria("pr_range_ms")),
    "PR_growth": QuantityKind("ms", "PR before a dropped P less PR after it", 5, _atria("pr_growth_ms")),
    "dropped_P": QuantityKind("count", "P waves not conducted", read=_atria("dropped"), windows="sum"),
    "dropped_P_run": QuantityKind(
        "count", "P waves not conducted in a row", read=_atria("dropped_run"), windows="longest"
    ),
    "premature_dropped_P": QuantityKind(
        "count", "early P waves not conducted", read=_atria("premature_dropped"), windows="sum"
    ),
    "missing_P": QuantityKind("count", "P waves that did not come", read=_atria("missing"), windows="sum"),
    "P_in_pause": QuantityKind("count", "P waves in the longest R-R", read=_atria("p_in_pause")),
    "pause_multiple": QuantityKind("ratio", "longest R-R over P-P from a whole number", 0.03, _atria("pause_multiple")),
    "RP": QuantityKind("ms", "RP", 18, _atria("rp_ms")),
    "retrograde_P": QuantityKind("yes", "retrograde P", read=_atria_fact("retrograde"), windows="most"),
    "P_before": QuantityKind("yes", "P before the beats", read=_before_beats("p_before"), windows="most"),
    "P_early": QuantityKind("yes", "early P before the beats", read=_before_beats("p_early"), windows="most"),
    "P_other": QuantityKind("yes", "other P before the beats", read=_before_beats("p_other"), windows="most"),
    "flat_between_P": QuantityKind("%", "flat line between P waves", 12, _atria("flat_between", 100)),
    "f_share": QuantityKind("ratio", "fibrillatory waves", _half_width("f_share"), _atria("f_share")),
    "f_height": QuantityKind("mV", "fibrillatory waves", _half_width("f_mv"), _atria("f_mv")),
    "atrial_rate": QuantityKind("/min", "atrial waves", 15, _of("atrial_rate")),
    "atrial_share": QuantityKind(
        "ratio", "atrial waves of one rate", _half_width("flutter_share"), _of("atrial_share")
    ),
    "atrial_contrast": QuantityKind(
        "ratio", "atrial waves beside slower ones", _half_width("flutter_contrast"), _of("atrial_contrast")
    ),
    "atrial_height": QuantityKind("mV", "atrial waves", _half_width("flutter_mv"), _of("atrial_mv")),
    "transition": QuantityKind("lead", "transition zone at chest lead", 0.25, _transition),
    "noise": QuantityKind("mV", "noise", _half_width("noise"), _of("noise_mv")),
    "wander": QuantityKind("mV", "baseline wander", _half_width("wander"), _of("baseline_wander_mv")),
    "flat_leads": QuantityKind("count", "flat leads", read=lambda m: NAN if m.flat_leads is None else m.flat_leads),
    "spike_A": QuantityKind("yes", "spikes before P", read=_spikes("atrial"), windows="most"),
    "spike_V": QuantityKind("yes", "spikes before QRS", read=_spikes("ventricular"), windows="most"),
    "spike_A_contrast": QuantityKind("ratio", "clearness of spikes before P", 0.15, _spikes("atrial_contrast")),
    "spike_V_contrast": QuantityKind("ratio", "clearness of spikes before QRS", 0.15, _spikes("ventricular_contrast")),
    "spike_AV_range": QuantityKind("ms", "range of the distance of two spikes", 5, _spikes("av_range_ms")),
    "spiked_share": QuantityKind("%", "beats with a spike", 5, _spikes("share")),
    "uncaptured_spikes": QuantityKind("count", "spikes without an answer", read=_spikes("uncaptured"), windows="sum"),
    "early_spikes": QuantityKind("count", "spikes soon after a beat", read=_spikes("early"), windows="sum"),
    "age": QuantityKind("years", "age", 0.5),
}
# Depths of Q and S are positive numbers; a raised or lowered J point is no R, R' or S.
_BY_LEAD = {
    "P": _in_leads("mV", "P", 0.015, _with_p("p_amplitude_mv")),
    "Q": _in_leads("mV", "Q depth", _half_width("q_depth"), _shape("q_mv", -1)),
    "Q_ms": _in_leads("ms", "Q duration", _half_width("q_ms"), _shape("q_ms")),
    "R": _in_leads("mV", "R", 0.05, _shape("r_mv")),
    "R_ms": _in_leads("ms", "R duration", 5, _shape("r_ms")),
    "S": _in_leads("mV", "S depth", _half_width("s_wide_mv"), _shape("s_mv", -1)),
    "S_ms": _in_leads("ms", "S duration", _half_width("s_wide_ms"), _shape("s_ms")),
    "R2": _in_leads("mV", "R'", 0.03, _shape("rprime_mv")),
    "tallest": _in_leads("mV", "taller of R and R'", 0.05, _tallest),
    "nadir": _in_leads("mV", "deeper of Q and S", 0.05, _nadir),
    "nadir_share": _in_leads("ratio", "deeper of Q and S over R", 0.08, _nadir_share),
    "QRS_net": _in_leads("mV", "net QRS", _half_width("dominant_r_net"), _net),
    "QRS_height": _in_leads("mV", "QRS peak to peak", 0.05, _of("qrs_pp_mv")),
    "ST": _in_leads("mV", "ST elevation|ST depression", _half_width("st_up"), _of("st_mv")),
    "discordance": _in_leads("mV", "T against QRS", _half_width("t_inverted"), _discordance),
    "T": _in_leads("mV", "T", _half_width("t_inverted"), _of("t_mv")),
    "F": _in_leads("mV", "flutter wave", 0.02, _atria("flutter_mv")),
}
# Half-widths are about twice the scatter between the two halves of a record's beats in PTB-XL's folds 1 to 8
# (median of 400 ECGs: J 0.008 mV, slope 0.09 mV/s, R peak 2 ms, T width 4 ms, U 0.008 mV)
_SHAPES_BY_LEAD = {
    "J": _in_leads("mV", "ST elevation at J|ST depression at J", _half_width("st_up"), _shape("j_mv")),
    "ST_slope": _in_leads("mV/s", "ST slope", 0.2, _shape("st_slope")),
    "ST_curve": _in_leads("mV", "ST curvature", 0.02, _shape("st_curve_mv")),
    "ST_scatter": _in_leads("mV", "scatter of ST", 0.01, _shape("st_scatter_mv")),
    "T_symmetry": _in_leads("ratio", "T symmetry", 0.1, _shape("t_symmetry")),
    "T_width": _in_leads("ms", "T width", 10, _shape("t_width_ms")),
    "T_after": _in_leads("mV", "second phase of T", _half_width("t_inverted"), _shape("t_after_mv")),
    "T_notch": QuantityKind("yes", "notched T", 0, _shape("t_notched"), "most", by_lead=True),
    "U": _in_leads("mV", "U", 0.015, _shape("u_mv")),
    "R_peak": _in_leads("ms", "R peak time", 5, _shape("r_peak_ms")),
    "J_wave": _in_leads("mV", "J wave", 0.02, _shape("j_wave_mv")),
    "notches": _in_leads("count", "notches of QRS", 0, _shape("notches")),
    "S_to_J": _in_leads("ms", "lowest point of S to J", 5, _shape("s_to_j_ms")),
    "delta": _in_leads("mV", "delta wave", 0.03, _shape("delta_mv")),
    "PR_level": _in_leads("mV", "PR segment", 0.015, _shape("pr_level_mv", with_p=True)),
    "P_start": _in_leads("mV", "start of P", 0.015, _shape("p_start_mv", with_p=True)),
    "P_end": _in_leads("mV", "end of P", 0.015, _shape("p_end_mv", with_p=True)),
    "P_notch": _in_leads("ms", "distance of two peaks of P", 8, _shape("p_notch_ms", with_p=True)),
}
_SHAPES = {
    "ST_length": QuantityKind("ms", "J to the onset of T", 15, _shape("st_length_ms")),
    "T_alternans": QuantityKind("mV", "T alternans", 0.03, _shape("t_alternans_mv")),
    "QRS_alternans": QuantityKind("%", "QRS alternans", 4, _shape("qrs_alternans")),
    "axis_alternation": QuantityKind("deg", "axis from beat to beat", 15, _shape("axis_alternation_deg")),
    "limb_chest_fit": QuantityKind("ratio", "limb leads by the chest leads", 0.1, _shape("limb_chest_fit")),
    "signal_height": QuantityKind("mV", "signal height", 0.02, _shape("signal_height_mv")),
    "wave_rate": QuantityKind("/min", "waves", 20, _shape("wave_rate")),
    "chaos": QuantityKind("ratio", "chaotic course", 0.1, _shape("chaos"), "longest"),
    "sine_wave": QuantityKind("yes", "sine wave", 0, _shape("sine_wave"), "longest"),
    "axis_twist": QuantityKind("yes", "waves that twist", 0, _shape("axis_twist"), "longest"),
}
# Of the heartbeats one by one. A count is exact; a rate and a share are as sure as the R peaks, 10 ms each.
_OF_BEATS = {
    "late_narrow": QuantityKind("count", "late narrow beats", read=_table("late_narrow"), windows="sum"),
    "late_wide": QuantityKind("count", "late wide beats", read=_table("late_wide"), windows="sum"),
    "wide_run": QuantityKind("count", "wide beats in a row", read=_table("wide_run"), windows="longest"),
    "wide_run_rate": QuantityKind("/min", "rate of the wide beats in a row", 5, _table("wide_run_rate")),
    "wide_run_duration": QuantityKind(
        "ms", "duration of the wide beats in a row", 500, _table("wide_run_duration"), "longest"
    ),
    "beat_shapes": QuantityKind("count", "shapes of wide beats", read=_table("beat_shapes"), windows="longest"),
    "fusion_beats": QuantityKind("count", "fusion beats", read=_table("fusion_beats"), windows="sum"),
    "unclassified_beats": QuantityKind("count", "beats of no class", read=_table("unclassified_beats"), windows="sum"),
    "period": QuantityKind("count", "an early beat every so many", read=_table("period")),
    "groups": QuantityKind("count", "groups of beats between pauses", read=_table("groups"), windows="longest"),
    "narrow_coupling": QuantityKind(
        "%",
        "R-R before the earliest narrow beat over those beside it",
        2,
        _premature_narrow("narrow_coupling", NAN),
        "shortest",
    ),
    "compensation": QuantityKind("%", "intervals around an early beat of two usual ones", 3, _table("compensation")),
    "rate_step": QuantityKind("/min", "sudden change of rate", 10, _table("rate_step"), "longest"),
    "long_short": QuantityKind(
        "yes", "wide beat after a long and a short interval", read=_table("long_short"), windows="longest"
    ),
    "ashman": QuantityKind(
        "count", "wide beats after a long and a short interval", read=_table("ashman"), windows="sum"
    ),
    "beat_fit": QuantityKind("%", "part of the beats that the median beat explains", 10, _table("beat_fit")),
    "both_bundles": QuantityKind(
        "yes", "right and left bundle branch block in turn", read=_table("both_bundles"), windows="longest"
    ),
    "T_differs": QuantityKind("yes", "T before the pause differs", read=_table("T_differs"), windows="longest"),
}
# Not measured yet: a test may name them, and its answer is "not measurable".
_NEW_BY_LEAD = {
    "epsilon": _in_leads("mV", "epsilon wave", 0.02),
    "mains": _in_leads("mV", "mains hum", 0.005),
}
_NEW = {"mains_variation": QuantityKind("%", "mains variation", 5)}
QUANTITIES: dict[str, QuantityKind] = {
    **_WHOLE,
    **_BY_LEAD,
    **_SHAPES_BY_LEAD,
    **_SHAPES,
    **_OF_BEATS,
    **_NEW_BY_LEAD,
    **_NEW,
}
UNITS = sorted({kind.typed_unit for kind in QUANTITIES.values()} - {"", "yes"}, key=len, reverse=True)


def is_measured(name: str, beats: str | None = None) -> bool:
    """Whether a quantity, of a class of beats where given, is measured today."""
    return QUANTITIES[name].read is not None or (name == "age" and beats is None)
