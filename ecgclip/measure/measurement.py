"""All numbers of an ECG as a cardiologist takes them: `measure`, or `measure_many` for many windows at once.

Signals are prepared ones: float32 (12, samples) in mV at 100 Hz, baseline removed, zeros where the mask is False.

The delineation is our own: the known libraries (neurokit2) bring pandas, matplotlib and scikit-learn into every
installation, and delineate single leads, while the standard wants the earliest onset and latest offset over all leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ecgclip.measure.arrays import NAN
from ecgclip.measure.atrial import measure_atrial_waves
from ecgclip.measure.batch import NO_SPIKES, Batch, Bounds, Columns, Parts, Window, batches, put, row
from ecgclip.measure.beat_table import BeatTable, tabulate
from ecgclip.measure.beats import Beats, dominant
from ecgclip.measure.course import measure_course
from ecgclip.measure.p_train import Atria, measure_atria
from ecgclip.measure.parts import measure_waves_and_parts
from ecgclip.measure.quality import measure_quality
from ecgclip.measure.rhythm import measure_rhythm
from ecgclip.measure.shape import Shape, no_shape
from ecgclip.measure.spikes import Spikes, measure_spikes
from ecgclip.measure.waves import measure_waves
from ecgclip.prepare import SAMPLING_RATE, Prepared

STEP_MS = 1000 // SAMPLING_RATE
DEFAULT_RR = 800.0  # ms, where no interval was measured
# With intervals as irregular as in atrial fibrillation, P waves must be at least this consistent to count as present.
CHAOTIC, SURE_P = 0.09, 0.93
MOST = 64  # windows measured together
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
    r_after_onset_ms: float  # from the onset of QRS to R
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
) -> Measurement:
    """Measure one window. What cannot be measured is NaN or None; nothing is raised.

    Parameters
    ----------
    signal : float32 (12, samples), mV at 100 Hz
    mask : bool (12,)
        True where the lead is usable.
    peaks : int (beats,)
        R peaks, samples, as of `r_peaks`.
    around, recorded, spikes
        As of a `Window`.
    """
    return measure_many([Window(np.asarray(signal), mask, peaks, around, recorded, spikes)])[0]


def measure_windows(prepared: Prepared, beats: Beats) -> list[Measurement]:
    """Measure each window of a recording; beats as of `find_beats`."""
    return measure_many(windows_of(prepared, beats))


def windows_of(prepared: Prepared, beats: Beats) -> list[Window]:
    """The windows of a recording; beats as of `find_beats`."""
    columns = zip(
        prepared.signal, prepared.mask, prepared.length, beats.windows, beats.around, beats.recorded, strict=True
    )
    windows = [
        Window(signal[:, :length], mask, peaks, around, recorded, prepared.spikes_in(i))
        for i, (signal, mask, length, peaks, around, recorded) in enumerate(columns)
    ]
    if prepared.columns:
        after_onset = [_r_after_onset(window) for window in windows]
        return [window._replace(parts=_of_others(windows, i, after_onset)) for i, window in enumerate(windows)]
    if prepared.parts is None:
        return windows
    return [window._replace(parts=_of_part(x)) for window, x in zip(windows, prepared.parts, strict=True)]


def _of_part(signal: np.ndarray) -> Parts:
    """The leads of (12, samples), NaN where there is none, that have some."""
    return {lead: (signal[lead], None) for lead in np.flatnonzero(np.isfinite(signal).any(axis=1)).tolist()}


def _of_others(windows: Sequence[Window], i: int, after_onset: Sequence[int]) -> Parts:
    """The leads that a window lacks and others have, each from the longest of these, with peaks as far from the onset.

    after_onset: of each window, the samples from the onset of QRS to R: in other leads, R is elsewhere
    """
    parts: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
    for k in sorted(range(len(windows)), key=lambda k: windows[k].signal.shape[1]):
        peaks = windows[k].peaks - after_onset[k] + after_onset[i]
        for lead in np.flatnonzero(windows[k].mask & ~windows[i].mask).tolist():
            parts[lead] = windows[k].signal[lead], peaks
    return parts


def _r_after_onset(window: Window) -> int:
    """Samples from the onset of QRS to R; 0 without a beat."""
    if not len(window.peaks):
        return 0
    ((_, batch),) = batches([window], 1)
    rr = np.array([np.median(np.diff(window.peaks)) * STEP_MS if len(window.peaks) > 1 else DEFAULT_RR])
    return round(float(measure_waves(batch, rr)["r_after_onset_ms"][0]) / STEP_MS)


def measure_many(windows: Sequence[Window]) -> list[Measurement]:
    """Measure many windows, of any recordings; those of the same length and leads together."""
    measured: list[Any] = [None] * len(windows)
    for rows, batch in batches(windows, MOST):
        for i, measurement in zip(rows.tolist(), _measure_batch(batch), strict=True):
            measured[i] = measurement
    return measured


def _measure_batch(batch: Batch) -> list[Measurement]:
    values = _nothing(len(batch)) | measure_rhythm(batch) | measure_atrial_waves(batch) | measure_quality(batch)
    rr = np.array([np.median(rr) if len(rr) else DEFAULT_RR for rr in values["rr_ms"]])
    beating = np.flatnonzero(batch.counts) if batch.mask.any() else np.empty(0, int)
    if len(beating):
        put(values, beating, measure_waves_and_parts(batch.of(beating), rr[beating]))
    tables = tabulate(batch, values)
    _usual_beats_of_runs(batch, tables, rr, values)
    classes = _classes(batch, tables, rr)
    spikes = measure_spikes(batch, np.nan_to_num(values["r_after_onset_ms"]))
    values["shape"] |= measure_course(batch)
    doubtful = (values["rr_irregularity"] > CHAOTIC) & (values["p_consistency"] < SURE_P)
    values["p_present"] = [
        None if p and doubt else p for p, doubt in zip(values["p_present"], doubtful.tolist(), strict=True)
    ]
    cycle_s = np.array([np.mean(rr) / 1000 if len(rr) else NAN for rr in values["rr_ms"]])
    values["qtc_ms"] = values["qt_ms"] / cycle_s ** (1 / 3)
    atria = measure_atria(batch, values)
    measurements = []
    for i, (table, of_classes, p) in enumerate(zip(tables, classes, atria, strict=True)):
        of_window = row(values, i)
        shape = Shape(**of_window.pop("shape"))
        of_classes = {name: replace(m, atria=p.of(table.of_class(name))) for name, m in of_classes.items()}
        table = replace(table, classes=of_classes)
        measurements.append(
            Measurement(
                mask=batch.mask | ~np.isnan(of_window["qrs_pp_mv"]) if batch.parts[i] else batch.mask,
                beats=int(batch.counts[i]),
                spikes=spikes[i],
                shape=shape,
                table=table,
                atria=p,
                **of_window,
            )
        )
    return measurements


def _usual_beats_of_runs(batch: Batch, tables: Sequence[BeatTable], rr: np.ndarray, values: Columns) -> None:
    """Measure the usual beats, in place, where most of those that were taken for usual are of a run."""
    ectopic = [table.wide & (table.kind != "paced") for table in tables]
    mixed = [i for i, table in enumerate(tables) if ectopic[i].any() and (table.kind == "usual").any()]
    taken = dominant(batch.of(np.array(mixed, int)))
    again = [i for i, beats in zip(mixed, taken, strict=True) if 2 * ectopic[i][beats].mean() > 1]
    if again:
        rows = np.array(again)
        usual = [batch.peaks[i][tables[i].kind == "usual"] for i in again]
        put(values, rows, measure_waves_and_parts(batch.of(rows, usual), rr[rows]))


def _classes(batch: Batch, tables: Sequence[BeatTable], rr: np.ndarray) -> list[dict[str, Measurement]]:
    """The waves of the median beat of each class that is there, measured as those of the usual one are.

    P is left out: before an early beat it may lie in the T wave.
    """
    classes: list[dict[str, Measurement]] = [{} for _ in tables]
    found = [(i, name) for i, table in enumerate(tables) for name in CLASSES if table.of_class(name).any()]
    if not found:
        return classes
    rows = np.array([i for i, _ in found])
    chosen = [tables[i].of_class(name) for i, name in found]
    peaks = [batch.peaks[i][which] for (i, _), which in zip(found, chosen, strict=True)]
    measured = measure_waves(batch.of(rows, peaks), rr[rows])
    for k, ((i, name), which) in enumerate(zip(found, chosen, strict=True)):
        waves = {key: v for key, v in row(measured, k).items() if not key.startswith(("p_", "pr_"))}
        coupling = tables[i].coupling_ms[which]
        waves["shape"] = replace(_unmeasured().shape, **waves["shape"])
        waves |= {"beats": int(which.sum()), "rr_ms": coupling[~np.isnan(coupling)]}
        classes[i][name] = replace(_unmeasured(), mask=batch.mask, **waves)
    return classes


@lru_cache(maxsize=1)
def _unmeasured() -> Measurement:
    return measure(np.zeros((12, 200)), np.zeros(12, bool), np.empty(0, int))


def _nothing(n: int) -> Columns:
    """The waves of n ECGs without a beat."""
    by_lead = "p_amplitude_mv q_mv q_ms r_mv r_ms s_mv s_ms rprime_mv st_mv t_mv qrs_pp_mv"
    numbers = "p_consistency p_height_mv p_duration_ms p_terminal_v1 pr_ms qrs_ms qt_ms qtc_ms axis_deg upstroke"
    nothing: Columns = {name: np.full(n, NAN) for name in numbers.split()}
    nothing |= {"p_present": [None] * n, "shape": no_shape(n), "r_after_onset_ms": np.full(n, NAN)}
    return nothing | {name: np.full((n, 12), NAN) for name in by_lead.split()}
