"""Measurements of an ECG as a cardiologist takes them, and the findings that follow from them.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.
Entry points: `measure` (numbers), `findings` (yes, no, or too close to say), `finding_texts` (the words for them).

The delineation is our own: the known libraries (neurokit2) bring pandas, matplotlib and scikit-learn into every
installation, and delineate single leads, while the standard wants the earliest onset and latest offset over all leads.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from ecgclip.beats import GAP, RATE, Beats, cut, dominant, similarity
from ecgclip.ecg import LEADS
from ecgclip.prepare import FLAT_STD, Prepared

BEFORE, AFTER = 46, 66  # samples of the beat to delineate: 460 ms before R hold the P wave of a long PR interval
FINE = 5  # the median beat is interpolated to 500 Hz, one sample 2 ms
STEP = 1000 / RATE / FINE  # ms per interpolated sample
# What a beat has at 32 to 43 Hz, of what it has at 12 to 22 Hz: 20 of 29 paced ECGs of PTB-XL (folds 1 to 8) lie above,
# and 3 of 3,336 others.
SPIKE = 0.2
NARROW = 100  # ms: a complex with a spike in front is wider
I, II, III, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6 = range(12)
NAN = float("nan")
Bounds: TypeAlias = tuple[float, float]
LEFT_OUT = ("mask", "rr_ms")  # of the features: the encoder has the mask and the R peaks themselves


@dataclass(frozen=True)
class Measurement:
    """Numbers of one ECG. Arrays of 12 are by lead in standard order; NaN (None for bool) is "not measurable"."""

    mask: np.ndarray  # bool (12,), leads measured
    beats: int
    heart_rate: float  # bpm
    rr_ms: np.ndarray  # (intervals,), those across the window's edges with them; none with a gap in the signal
    regular: bool | None
    rr_variation: float  # standard deviation over mean of R-R, without those around wide premature beats
    rr_irregularity: (
        float  # median change of R-R over the median, the least over lags 1 to 3: high only without a pattern
    )
    n_premature_narrow: int
    n_premature_wide: int
    alternating: bool | None  # every second beat premature
    longest_pause_ms: float  # without a heartbeat: the longest R-R, or at least so long at an end of the recording
    atrial_rate: float  # per minute, of the strongest wave in the band of flutter, QRS complexes left out
    atrial_share: float  # its part of all that is as fast or faster: low in fibrillation
    atrial_contrast: float  # its part of itself and all that is slower: low beside T waves
    atrial_mv: float  # its amplitude
    p_present: bool | None  # a P wave at the same place before the QRS complexes
    p_consistency: float  # what the P window of the beats shares, over what differs
    p_height_mv: float  # over the leads, root mean square
    p_duration_ms: float
    p_amplitude_mv: np.ndarray  # (12,) signed
    p_terminal_v1: float  # mV x ms of the negative end of P in V1, positive number
    pr_ms: float
    qrs_ms: float
    qt_ms: float
    qtc_ms: float  # Fridericia
    axis_deg: float  # frontal QRS axis, -180 to 180
    q_mv: np.ndarray  # (12,) depth of the first negative wave before R, negative; of the whole complex if it is QS
    q_ms: np.ndarray  # (12,)
    r_mv: np.ndarray  # (12,) the first positive wave; 0 in a QS complex
    r_ms: np.ndarray  # (12,)
    s_mv: np.ndarray  # (12,) negative
    s_ms: np.ndarray  # (12,)
    rprime_mv: np.ndarray  # (12,) the second positive wave
    st_mv: np.ndarray  # (12,) level at J + 60 ms over the level before QRS
    t_mv: np.ndarray  # (12,) the largest deflection of T, signed
    qrs_pp_mv: np.ndarray  # (12,) peak to peak
    upstroke: float  # slope of the first 40 ms of QRS over its steepest slope: low with a delta wave
    baseline_wander_mv: float  # how the level before QRS scatters over the beats, worst lead
    noise_mv: float  # typical amplitude above 30 Hz, median of leads
    flat_leads: int | None  # leads without signal in an otherwise complete recording


def measure(
    signal: np.ndarray,
    mask: np.ndarray,
    peaks: np.ndarray,
    around: Bounds = (NAN, NAN),
    recorded: Bounds | None = None,
) -> Measurement:
    """Measure one ECG.

    signal: float32 (12, samples), mV at 100 Hz; mask: bool (12,); peaks: R positions as of `r_peaks`; around: those of the R
    peaks before and after the signal, and recorded: from where to where there is a recording around it without a gap (None:
    the signal itself), in samples from its start, as of `find_beats`. Raises nothing: what cannot be measured is NaN or None.
    """
    signal, mask, peaks = (np.asarray(signal, np.float64), np.asarray(mask, bool), np.asarray(peaks, int))
    recorded = (0, signal.shape[1]) if recorded is None else recorded
    values = _rhythm(signal[mask], peaks, around, recorded)
    values |= _atria(signal, mask, peaks) | _quality(signal, mask, peaks) | _nothing()
    rr = np.median(values["rr_ms"]) if len(values["rr_ms"]) else 800.0
    if mask.any() and len(peaks):
        values |= _waves(signal, mask, peaks, rr)
    chaotic = values["rr_irregularity"] > 0.09 and values["p_consistency"] < 0.93
    if values["p_present"] and chaotic:
        values["p_present"] = None  # such intervals cast doubt on what looks like P waves
    if len(values["rr_ms"]):
        values["qtc_ms"] = values["qt_ms"] / (np.mean(values["rr_ms"]) / 1000) ** (1 / 3)
    return Measurement(mask=mask, beats=len(peaks), **values)


def measure_windows(prepared: Prepared, beats: Beats) -> list[Measurement]:
    """One measurement a window; beats as of `find_beats`."""
    windows = zip(
        prepared.signal, prepared.mask, prepared.length, beats.windows, beats.around, beats.recorded, strict=True
    )
    return [measure(signal[:, :n], mask, *of_beats) for signal, mask, n, *of_beats in windows]


def features(measurement: Measurement) -> np.ndarray:
    """What the ECG encoder takes of a measurement: float32, in the order of `feature_names()`; NaN is unknown.

    Its numbers, then the findings (1 present, 0 absent) of a patient of unknown age and sex: the encoder sees the signal only.
    """
    values = [getattr(measurement, f.name) for f in fields(Measurement) if f.name not in LEFT_OUT]
    values += findings(measurement).values()
    return np.concatenate([np.atleast_1d(NAN if v is None else v) for v in values], dtype=np.float32)


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """Such as qrs_ms, st_mv:V2 and finding:qrs_120_or_more; what ends in _mv (before a lead's name) is in mV."""
    nothing = measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))
    names = []
    for field in fields(Measurement):
        if field.name not in LEFT_OUT:
            by_lead = np.ndim(getattr(nothing, field.name)) == 1
            names += [f"{field.name}:{lead}" for lead in LEADS] if by_lead else [field.name]
    return (*names, *(f"finding:{key}" for key in findings(nothing)))


# --- findings -------------------------------------------------------------------------------------------------------

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


# --- rhythm ---------------------------------------------------------------------------------------------------------


def _rhythm(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds) -> dict:
    every = np.array([around[0], *peaks, around[1]])
    every = every[np.isfinite(every)]
    # An interval with a gap in the signal is none: a beat may be missing in it.
    holes = np.cumsum(np.append(0, ~leads.any(axis=0)))[np.clip(every, 0, leads.shape[1]).astype(int)]
    whole = np.diff(holes) <= GAP
    between = np.diff(every) * 1000 / RATE
    nothing = {
        "heart_rate": NAN, "rr_ms": between[whole], "regular": None, "rr_variation": NAN, "rr_irregularity": NAN,
        "n_premature_narrow": 0, "n_premature_wide": 0, "alternating": None,
        "longest_pause_ms": _pause(leads, peaks, around, recorded, between[whole]),
    }  # fmt: skip
    if not whole.any() or not len(leads):
        return nothing
    values = nothing | {"heart_rate": 60000 / between[whole].mean()}
    if len(peaks) < 4:
        return values
    rr = np.diff(peaks) * 1000 / RATE
    before_rr = np.append((peaks[0] - around[0]) * 1000 / RATE, rr)
    alike = similarity(leads, peaks)
    inside = (peaks >= 14) & (peaks + 14 <= leads.shape[1])
    # The interval to expect is the one between beats of the dominant shape; mean of short and long in bigeminy.
    plain = rr[(alike[1:] > 0.85) & (alike[:-1] > 0.85)]
    expected = np.median(plain) if len(plain) > 2 else rr.mean()
    unknown = np.isnan(before_rr)
    early = np.where(unknown, rr[0] > 1.1 * expected, before_rr < 0.87 * expected)
    width = _width(leads, peaks)
    usual = np.median(width[alike > 0.85]) if (alike > 0.85).any() else np.median(width)
    odd = (alike < 0.5) | ((alike < 0.8) & (width >= usual + 15)) | ((alike < 0.93) & (width >= usual + 40))
    wide = inside & odd & (width >= 80) & np.where(unknown, early, before_rr < 0.95 * expected)
    # The intervals before and after a wide beat say nothing on the rhythm beneath; of beats outside, the shape is not known.
    shown = np.pad(wide, tuple(int(np.isfinite(p)) for p in around))
    own = between[whole & ~(shown[1:] | shown[:-1])]
    own = own if len(own) > 2 else between[whole]
    lags = [np.median(np.abs(own[lag:] - own[:-lag])) for lag in range(1, 4) if len(own) > lag + 2]
    irregularity = min(lags, default=NAN) / np.median(own)
    variation = own.std() / own.mean()
    # Early beats mean something only against a rhythm that is otherwise regular.
    narrow = early & ~wide & ~unknown & (alike > 0.8) if irregularity < 0.07 else np.zeros(len(peaks), bool)
    premature = wide | narrow
    return values | {
        "regular": bool(variation < 0.08), "rr_variation": variation, "rr_irregularity": irregularity,
        "n_premature_narrow": int(narrow.sum()), "n_premature_wide": int(wide.sum()),
        "alternating": _alternates(rr, premature),
    }  # fmt: skip


def _pause(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds, rr_ms: np.ndarray) -> float:
    """The longest time without a heartbeat, ms; without any, NaN unless the line is flat: small beats are not seen."""
    first, last = (peaks[0], peaks[-1]) if len(peaks) else (around[1], around[0])
    before = first - recorded[0] if np.isnan(around[0]) else NAN  # at least so long, and longer if it began before
    after = recorded[1] - last if np.isnan(around[1]) else NAN
    nothing = not len(peaks) and np.isnan(around).all()
    if nothing and leads.any() and (leads.std(axis=1) < FLAT_STD).all():
        before = recorded[1] - recorded[0]
    return float(np.fmax.reduce([NAN, before * 1000 / RATE, after * 1000 / RATE, *rr_ms]))


def _alternates(rr: np.ndarray, premature: np.ndarray) -> bool:
    """Whether short and long intervals take turns at least four times, or nearly every second beat is premature."""
    turns = np.diff(rr) / np.median(rr)
    turning = (np.abs(turns) > 0.2) & (np.append(np.sign(turns[1:]) == -np.sign(turns[:-1]), True))
    run = longest = 0
    for turn in turning:
        run = run + 1 if turn else 0
        longest = max(longest, run)
    return bool(longest >= 4 or premature.sum() >= max(3, 0.4 * len(premature)))


def _width(leads: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """QRS width of every beat, ms: how long the leads together move faster than a fifth of their fastest."""
    speed = np.abs(np.diff(cut(leads, peaks, 13, 15), axis=2)).sum(axis=1)
    fast = speed > 0.2 * speed.max(axis=1, keepdims=True)
    return (fast.shape[1] - np.argmax(fast[:, ::-1], axis=1) - np.argmax(fast, axis=1)) * 1000 / RATE


ATRIAL_LEADS = (II, III, AVF, V1)  # where flutter waves stand out
FLUTTER_PER_MINUTE = (220, 370)
SLOWEST, FASTEST, WIDTH, SPECTRUM = (
    40,
    600,
    25,
    2048,
)  # waves per minute: the band looked at, half a peak's width; samples


def _atria(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict:
    """The spectrum of what is left when a line replaces each QRS complex."""
    names = ("atrial_rate", "atrial_share", "atrial_contrast", "atrial_mv")
    signal = signal[:, :SPECTRUM]
    leads = [lead for lead in ATRIAL_LEADS if mask[lead]] or np.flatnonzero(mask)
    time = np.arange(signal.shape[1])
    between = np.ones(len(time), bool)
    between[np.clip(peaks[:, None] + np.arange(-6, 7), 0, len(time) - 1)] = False
    if not len(leads) or between.sum() < RATE:
        return dict.fromkeys(names, NAN)
    x = np.stack([np.interp(time, time[between], row[between]) for row in signal[leads]])
    window = np.hanning(x.shape[1])
    x = (x - x.mean(axis=1, keepdims=True)) * window
    power = (np.abs(np.fft.rfft(x, SPECTRUM, axis=1)) ** 2).sum(axis=0) / (window**2).sum()
    pace = np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    inside = lambda low, high: (pace > low) & (pace < high)
    flutter = np.flatnonzero(inside(*FLUTTER_PER_MINUTE))
    rate = pace[flutter[np.argmax(power[flutter])]]
    wave = power[inside(rate - WIDTH, rate + WIDTH)].sum()
    fast, slow = power[inside(FLUTTER_PER_MINUTE[0], FASTEST)].sum(), power[inside(SLOWEST, 200)].sum()
    mv = 2 * np.sqrt(
        wave / SPECTRUM / len(leads)
    )  # a sine's power is a quarter of its squared amplitude on either side
    return dict(zip(names, (rate, wave / max(fast, 1e-12), wave / max(wave + slow, 1e-12), mv), strict=True))


# --- quality --------------------------------------------------------------------------------------------------------


def _quality(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict:
    leads = signal[mask]
    if not len(leads) or signal.shape[1] < 3:
        return {"baseline_wander_mv": NAN, "noise_mv": NAN, "flat_leads": None}
    # The second difference keeps what is above about 30 Hz; the median over time is blind to the QRS complexes.
    noise = np.median(np.abs(np.diff(leads, 2, axis=1)), axis=1) / 2
    wander = NAN
    if len(peaks) > 3:
        levels = cut(leads, peaks[peaks >= 10], 10, -5).mean(axis=2)
        wander = float(np.max(np.std(levels, axis=0), initial=0.0))
    return {
        "baseline_wander_mv": wander,
        "noise_mv": float(np.median(noise)),
        "flat_leads": int((~mask).sum()) if mask.sum() >= 8 else None,
    }


# --- waves ----------------------------------------------------------------------------------------------------------


def _nothing() -> dict:
    by_lead = (
        "p_amplitude_mv",
        "q_mv",
        "q_ms",
        "r_mv",
        "r_ms",
        "s_mv",
        "s_ms",
        "rprime_mv",
        "st_mv",
        "t_mv",
        "qrs_pp_mv",
    )
    numbers = ("p_consistency", "p_height_mv", "p_duration_ms", "p_terminal_v1", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")
    nothing = dict.fromkeys((*numbers, "axis_deg", "upstroke"), NAN) | {"p_present": None}
    return nothing | {name: np.full(12, NAN) for name in by_lead}


def _waves(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, rr: float) -> dict:
    from scipy.interpolate import CubicSpline

    kept = peaks[dominant(signal[mask], peaks)]
    inside = kept[(kept >= 25) & (kept + 40 <= signal.shape[1])]
    kept = inside if len(inside) else kept
    beats = cut(signal, kept, BEFORE, AFTER)
    coarse = np.arange(BEFORE + AFTER)
    beat = CubicSpline(coarse, np.median(beats, axis=0), axis=1)(np.arange((BEFORE + AFTER - 1) * FINE + 1) / FINE)
    r = BEFORE * FINE
    speed = _speed(beat[mask])
    onset, offset = _qrs_edges(speed, r)
    spike = _spike(beats[:, mask]) if (offset - onset) * STEP > NARROW else None
    if spike is not None:
        speed[: (spike + 1) * FINE] = 0  # QRS begins behind the spike
        onset, offset = _qrs_edges(speed, r)
    # Level just before QRS and a spike, the reference for all amplitudes (Fourth Universal Definition of MI).
    start = onset if spike is None else min(onset, (spike - 2) * FINE)
    beat = beat - beat[:, max(start - 12, 0) : max(start - 1, 1)].mean(axis=1, keepdims=True)
    values = {"qrs_ms": (offset - onset) * STEP, "upstroke": _upstroke(speed, onset, offset)}
    values |= _qrs_shape(beat, mask, onset, offset)
    j60 = offset + round(60 / STEP)
    values["st_mv"] = np.where(mask, beat[:, j60 - 3 : j60 + 4].mean(axis=1), NAN)
    peak, end = _t_wave(beat[mask], onset, offset, rr)
    values["qt_ms"] = (end - onset) * STEP
    window = beat[:, max(peak - 50, offset + 25) : min(end, beat.shape[1])]
    values["t_mv"] = np.where(mask, _largest(window), NAN) if window.shape[1] else np.full(12, NAN)
    return values | _p_wave(beat, beats, mask, start, end, rr)


def _speed(beat: np.ndarray) -> np.ndarray:
    """How fast the leads move together, (samples,), mV per sample: the root of the summed squared slopes."""
    return np.sqrt((np.gradient(beat, axis=1) ** 2).sum(axis=0))


def _spike(beats: np.ndarray) -> int | None:
    """The sample of a pacing spike in (beats, leads, BEFORE + AFTER) at 100 Hz; None without one.

    A QRS complex has little above 30 Hz, whatever its shape, and a spike has as much there as below.
    """
    around = beats[:, :, BEFORE - 22 : BEFORE + 22]
    fast = np.median((np.diff(around, 4, axis=2) ** 2).sum(axis=1), axis=0)
    at, last = BEFORE - 20 + int(np.argmax(fast)), BEFORE - 20 + int(np.flatnonzero(fast > 0.6 * fast.max())[-1])
    part = beats[:, :, at - 8 : at + 8]
    part = (part - part.mean(axis=2, keepdims=True)) * np.hanning(18)[1:-1]
    power = np.median((np.abs(np.fft.rfft(part, 64)) ** 2).sum(axis=1), axis=0)
    hertz = np.fft.rfftfreq(64, 1 / RATE)
    above, below = (power[(hertz > low) & (hertz < high)].mean() for low, high in ((32, 43), (12, 22)))
    return min(last, at + 2) if above > SPIKE * below else None  # it moves a little from beat to beat


def _qrs_edges(speed: np.ndarray, r: int) -> tuple[int, int]:
    """Where QRS starts and ends: speed first stays low for 12 ms, seen from its maximum."""
    top = r - 40 + int(np.argmax(speed[r - 40 : r + 46]))
    # A spike that was not recognised is faster than any QRS complex: the reference is what a fifth of the time around exceeds.
    fast = min(speed[top], 2 * np.quantile(speed[r - 50 : r + 75], 0.8))
    # The complex is all that is fast without a break of 50 ms.
    active = r - 80 + np.flatnonzero(speed[r - 80 : r + 110] >= 0.3 * fast)
    runs = np.split(active, np.flatnonzero(np.diff(active) > 25) + 1)
    first, last = next((run[0], run[-1]) for run in runs if run[0] <= top <= run[-1])
    before, after = speed[max(first - 45, 0) : first], speed[last + 15 : last + 60]
    low = max(0.07 * fast, 1.5 * np.median(before))
    low_after = max(0.09 * fast, 1.5 * np.median(after))
    back = _quiet(speed[max(first - 60, 0) : first + 1][::-1] < low)
    ahead = _quiet(speed[last : last + 60] < low_after)
    return first - back, last + ahead


def _quiet(low: np.ndarray) -> int:
    """How soon it stays low for 12 ms; 24 ms if it never does."""
    held = np.convolve(low, np.ones(6), "valid") == 6
    return int(np.argmax(held)) if held.any() else 12


def _upstroke(speed: np.ndarray, onset: int, offset: int) -> float:
    return float(speed[onset : onset + 20].mean() / max(speed[onset : offset + 1].max(), 1e-9))


def _largest(x: np.ndarray) -> np.ndarray:
    return x[np.arange(len(x)), np.argmax(np.abs(x), axis=1)]


def _qrs_shape(beat: np.ndarray, mask: np.ndarray, onset: int, offset: int) -> dict:
    names = ("q_mv", "q_ms", "r_mv", "r_ms", "s_mv", "s_ms", "rprime_mv")
    table = np.full((7, 12), NAN)
    qrs = beat[:, onset : offset + 1]
    for lead in np.flatnonzero(mask):
        table[:, lead] = _complex(qrs[lead])
    # Net area, not height, so that a narrow spike does not turn the axis.
    area = qrs.sum(axis=1) * STEP
    axis = NAN
    if mask[I] and mask[AVF] and np.hypot(area[I], area[AVF]) > 2:
        axis = float(np.degrees(np.arctan2(area[AVF] * 2 / np.sqrt(3), area[I])))
    return dict(zip(names, table, strict=True)) | {
        "axis_deg": axis,
        "qrs_pp_mv": np.where(mask, np.ptp(qrs, axis=1), NAN),
    }


def _complex(x: np.ndarray, least: float = 0.05) -> tuple[float, ...]:
    """Q, R, S, R' of one lead from the stretches on either side of zero: depth and duration; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.sign(x))) + 1
    waves = [(part[np.argmax(np.abs(part))], len(part) * STEP) for part in np.split(x, edges) if len(part)]
    waves = [(height, width) for height, width in waves if abs(height) >= least]
    q = r = s = rprime = (0.0, 0.0)
    for wave in waves:
        if wave[0] < 0:
            if r[0] == 0:
                q = wave if wave[0] < q[0] else q
            elif rprime[0] == 0:
                s = wave if wave[0] < s[0] else s
        elif r[0] == 0:
            r = wave
        elif s[0] < 0:
            rprime = wave if wave[0] > rprime[0] else rprime
    return *q, *r, *s, rprime[0]


def _t_wave(beat: np.ndarray, onset: int, offset: int, rr: float) -> tuple[int, int]:
    """Peak and end of T over all leads: the tangent at its steepest fall meets the level that follows."""
    size = np.sqrt((beat**2).mean(axis=0))
    start = offset + round(60 / STEP)
    last = min(onset + round(min(0.55 * rr + 60, 520) / STEP), len(size) - 30)
    start = min(start, last - 10)
    peak = start + int(np.argmax(size[start:last]))
    stop = min(len(size), onset + round(max(0.72 * rr, 300) / STEP), peak + 100)
    tail = size[peak:stop]
    if len(tail) < 15:
        return peak, peak
    level = tail.min()
    slope = np.gradient(tail)
    steep = int(np.argmin(slope[: max(int(np.argmin(tail)), 5)]))
    end = peak + steep + (tail[steep] - level) / max(-slope[steep], 1e-9)
    # A tangent cuts off the slow foot: go on, 30 ms at most, to where an eighth of the height is left.
    foot = peak + _first(tail - level < 0.12 * (tail[0] - level))
    return peak, int(min(max(end, min(foot, end + 15)), stop))


def _p_wave(beat: np.ndarray, beats: np.ndarray, mask: np.ndarray, onset: int, t_end: int, rr: float) -> dict:
    """P over all leads, in what lies between the T wave before and QRS."""
    start = int(np.clip(round(t_end - rr / STEP) + 5, max(onset - 190, 0), onset - 55))
    window = _level(beat[mask, start : onset - 2])
    # The first principal component weighs the leads by how well they show P.
    _, _, right = np.linalg.svd(window[:, ::3], full_matrices=False)
    weights = window[:, ::3] @ right[0]
    weights /= max(np.linalg.norm(weights), 1e-9)
    bump = weights @ window
    bump = bump if bump.max() > -bump.min() else -bump
    peak = int(np.argmax(bump))
    first, last = _wave_edges(bump, peak)
    height = float(bump[peak] / np.sqrt(mask.sum()))
    # Beat by beat: does the same course come back, as P waves do and fibrillatory waves do not?
    low, high = -(-start // FINE), (onset - 5) // FINE
    courses = _level(np.tensordot(weights, beats[:, mask, low:high], axes=(0, 1)))
    consistency = _agreement(courses)
    pr = (onset - start - first) * STEP
    values = {"p_consistency": consistency, "p_height_mv": height}
    values["p_present"] = _p_present(consistency, height, _repeats(bump, peak))
    p = beat[:, start + first : start + last + 1]
    p = p - np.linspace(p[:, 0], p[:, -1], p.shape[1], axis=1)
    v1 = np.clip(-p[V1, p.shape[1] // 3 :], 0, None)
    return values | {
        "pr_ms": pr,
        "p_duration_ms": (last - first) * STEP,
        "p_amplitude_mv": np.where(mask, _largest(p), NAN),
        "p_terminal_v1": float(v1.sum() * STEP) if mask[V1] else NAN,
    }


def _p_present(consistency: float, height: float, repeats: bool) -> bool | None:
    """Separates sinus rhythm from atrial fibrillation in PTB-XL's training folds; waves that repeat may be flutter."""
    if np.isnan(consistency):
        return None
    if consistency < 0.6 or height < 0.015 or (consistency < 0.75 and height < 0.03):
        return False
    return True if consistency > 0.8 and height > 0.035 and not repeats else None


def _repeats(bump: np.ndarray, peak: int) -> bool:
    """Whether a second wave of nearly the same height stands before QRS, 120 ms or more from P."""
    from scipy.signal import find_peaks

    peaks, _ = find_peaks(bump, height=0.5 * bump[peak], prominence=0.4 * bump[peak])
    return bool((np.abs(peaks - peak) > 60).any())


def _level(x: np.ndarray) -> np.ndarray:
    """x without the straight line through its ends, along the last axis."""
    first, last = (x[..., :3].mean(axis=-1, keepdims=True), x[..., -3:].mean(axis=-1, keepdims=True))
    return x - first - (last - first) * np.linspace(0, 1, x.shape[-1])


def _wave_edges(bump: np.ndarray, peak: int) -> tuple[int, int]:
    """Where a wave leaves the level around it: the tangents at its steepest rise and fall."""
    slope = np.gradient(bump)
    up = max(peak - 40, 0) + int(np.argmax(slope[max(peak - 40, 0) : peak + 1]))
    down = peak + int(np.argmin(slope[peak : peak + 40]))
    first = up - max(bump[up], 0) / max(slope[up], 1e-6)
    last = down + max(bump[down], 0) / max(-slope[down], 1e-6)
    return int(np.clip(first, 0, peak)), int(np.clip(last, peak, len(bump) - 1))


def _first(low: np.ndarray) -> int:
    return int(np.argmax(low)) if low.any() else len(low)


def _agreement(courses: np.ndarray) -> float:
    """Median correlation of each course with the mean of the others; NaN below three courses."""
    if len(courses) < 3:
        return NAN
    courses = courses - courses.mean(axis=1, keepdims=True)
    others = courses.sum(axis=0) - courses
    norms = np.linalg.norm(courses, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.median((courses * others).sum(axis=1) / np.maximum(norms, 1e-9)))


# --- words ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def finding_texts() -> dict[str, dict]:
    """The words for every finding: key -> {en, de, negative_en?, negative_de?, criteria_source}.

    Raises EcgclipError where prompts/findings.yaml is missing.
    """
    import yaml

    from ecgclip.assets import asset_path

    return yaml.safe_load(asset_path("prompts/findings.yaml").read_text(encoding="utf-8"))
