"""All numbers of one ECG as a cardiologist takes them: `measure`, or `measure_windows` for a whole recording.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.

The delineation is our own: the known libraries (neurokit2) bring pandas, matplotlib and scikit-learn into every
installation, and delineate single leads, while the standard wants the earliest onset and latest offset over all leads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ecgclip.measure.atrial import measure_atrial_waves
from ecgclip.measure.beat_table import BeatTable, tabulate
from ecgclip.measure.beats import NAN, Beats, Bounds, dominant
from ecgclip.measure.course import measure_course
from ecgclip.measure.p_train import Atria, measure_atria
from ecgclip.measure.quality import measure_quality
from ecgclip.measure.rhythm import measure_rhythm
from ecgclip.measure.shape import Shape, no_shape
from ecgclip.measure.spikes import Spikes, measure_spikes
from ecgclip.measure.waves import measure_waves
from ecgclip.prepare import Prepared

DEFAULT_RR = 800.0  # ms, where no interval was measured
# With intervals as irregular as in atrial fibrillation, P waves must be at least this consistent to count as present.
CHAOTIC, SURE_P = 0.09, 0.93
NO_SPIKES = np.empty((0, 2))
CLASSES = ("early", "wide", "late", "run")  # of beats, whose waves are measured apart from the usual ones


@dataclass(frozen=True)
class Measurement:
    """The numbers of one ECG.

    Arrays of 12 are by lead in standard order; NaN (None for bool) is "not measurable".
    """

    mask: np.ndarray  # bool (12,), leads measured
    beats: int
    heart_rate: float  # bpm
    rr_ms: np.ndarray  # (intervals,), those across the window's edges with them; none with a gap in the signal
    regular: bool | None
    rr_variation: float  # standard deviation over mean of R-R, without those around wide premature beats
    # median change of R-R over the median, the least over lags 1 to 3: high only without a pattern
    rr_irregularity: float
    n_premature_narrow: int
    n_premature_wide: int
    alternating: bool | None  # every second beat premature
    # without a heartbeat: the longest R-R, or the time before the first or after the last beat of the recording
    longest_pause_ms: float
    atrial_rate: float  # per minute, of the strongest wave in the band of flutter, QRS complexes left out
    atrial_share: float  # its part of all that is as fast or faster: low in fibrillation
    atrial_contrast: float  # its part of itself and all that is slower: low beside T waves
    atrial_mv: float  # its amplitude
    p_present: bool | None  # a P wave at the same place before the QRS complexes
    p_consistency: float  # correlation of the beats in the window before QRS
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
    spikes: Spikes  # of a pacemaker
    shape: Shape  # of the waves, of the beats in turn, and of the course as a whole
    table: BeatTable  # every beat by itself
    atria: Atria  # every P wave, conducted or not


def measure(
    signal: np.ndarray,
    mask: np.ndarray,
    peaks: np.ndarray,
    around: Bounds = (NAN, NAN),
    recorded: Bounds | None = None,
    spikes: np.ndarray = NO_SPIKES,
    detailed: bool = True,
) -> Measurement:
    """Measure one ECG. What cannot be measured is NaN or None; nothing is raised.

    Parameters
    ----------
    signal : float32 (12, samples), mV at 100 Hz
    mask : bool (12,)
        True where the lead is usable.
    peaks : int (beats,)
        R peaks, samples, as of `r_peaks`.
    around : (float, float)
        The R peaks before and after the signal, in samples from its start, as of `find_beats`; NaN where there is none.
    recorded : (float, float), optional
        From where to where there is a recording around the signal without a gap, likewise; the signal itself if None.
    spikes : float (spikes, 2), optional
        Pacing spikes that were found in the raw recording, as of `Prepared.spikes_in`.
    detailed : bool, optional
        False leaves out the P train and the classes of beats, which the ECG encoder does not read.
    """
    signal, mask, peaks = np.asarray(signal, np.float64), np.asarray(mask, bool), np.asarray(peaks, int)
    recorded = (0, signal.shape[1]) if recorded is None else recorded
    values = _nothing() | measure_rhythm(signal[mask], peaks, around, recorded)
    values |= measure_atrial_waves(signal, mask, peaks) | measure_quality(signal, mask, peaks)
    rr = values["rr_ms"]
    if mask.any() and len(peaks):
        values |= measure_waves(signal, mask, peaks, np.median(rr) if len(rr) else DEFAULT_RR, spikes)
    table = tabulate(signal, mask, peaks, around, spikes, values)
    ectopic, usual = table.wide & (table.kind != "paced"), table.kind == "usual"
    if ectopic.any() and usual.any() and 2 * ectopic[dominant(signal[mask], peaks)].mean() > 1:
        values |= measure_waves(signal, mask, peaks[usual], np.median(rr), spikes)  # most beats are those of a run
    values["table"] = replace(table, classes=_classes(signal, mask, peaks, table, rr, spikes)) if detailed else table
    qrs = values.pop("r_after_onset_ms", 0.0)
    values["spikes"] = measure_spikes(signal, mask, peaks, spikes, (around, recorded), qrs)
    values["shape"] = Shape(**values["shape"], **measure_course(signal, mask))
    if values["p_present"] and values["rr_irregularity"] > CHAOTIC and values["p_consistency"] < SURE_P:
        values["p_present"] = None
    if len(rr):
        values["qtc_ms"] = values["qt_ms"] / (np.mean(rr) / 1000) ** (1 / 3)
    if not detailed:
        return Measurement(mask=mask, beats=len(peaks), atria=_unmeasured().atria, **values)
    atria = measure_atria(signal, mask, peaks, values)
    table = values["table"]
    classes = {name: replace(m, atria=atria.of(table.of_class(name))) for name, m in table.classes.items()}
    values |= {"atria": atria, "table": replace(table, classes=classes)}
    return Measurement(mask=mask, beats=len(peaks), **values)


def measure_windows(prepared: Prepared, beats: Beats) -> list[Measurement]:
    """Measure each window of a recording; beats as of `find_beats`."""
    spikes = [prepared.spikes_in(i) for i in range(len(prepared.signal))]
    windows = zip(
        prepared.signal,
        prepared.mask,
        prepared.length,
        beats.windows,
        beats.around,
        beats.recorded,
        spikes,
        strict=True,
    )
    return [measure(signal[:, :n], mask, *of_beats) for signal, mask, n, *of_beats in windows]


def _classes(
    signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray, table: BeatTable, rr_ms: np.ndarray, spikes: np.ndarray
) -> dict[str, Measurement]:
    """The waves of the median beat of each class that is there, measured as those of the usual one are.

    P is left out: before an early beat it may lie in the T wave.
    """
    classes = {}
    for name in CLASSES:
        which = table.of_class(name)
        if which.any():
            rr, coupling = np.median(rr_ms) if len(rr_ms) else DEFAULT_RR, table.coupling_ms[which]
            waves = measure_waves(signal, mask, peaks[which], rr, spikes)
            waves = {key: value for key, value in waves.items() if not key.startswith(("p_", "pr_", "r_after"))}
            waves["shape"] = replace(_unmeasured().shape, **waves["shape"])
            waves |= {"beats": int(which.sum()), "rr_ms": coupling[~np.isnan(coupling)]}
            classes[name] = replace(_unmeasured(), mask=mask, **waves)
    return classes


@lru_cache(maxsize=1)
def _unmeasured() -> Measurement:
    return measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))


def _nothing() -> dict[str, Any]:
    """The waves of an ECG without a beat."""
    by_lead = "p_amplitude_mv q_mv q_ms r_mv r_ms s_mv s_ms rprime_mv st_mv t_mv qrs_pp_mv"
    numbers = "p_consistency p_height_mv p_duration_ms p_terminal_v1 pr_ms qrs_ms qt_ms qtc_ms axis_deg upstroke"
    nothing = dict.fromkeys(numbers.split(), NAN) | {"p_present": None, "shape": no_shape()}
    return nothing | {name: np.full(12, NAN) for name in by_lead.split()}
