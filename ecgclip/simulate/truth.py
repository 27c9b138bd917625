"""What a perfect measurement of a simulated ECG would find."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.simulate.beats import USUAL, Beat, Rhythm
from ecgclip.simulate.concepts import what_holds
from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import P_MV, Patient
from ecgclip.simulate.waves import GRID, by_lead, span, twelve

OF_BEATS = ("heart_rate", "qrs_ms", "qt_ms", "axis_deg", "j_mv", "st_mv", "t_mv", "r_mv", "s_mv")  # none without beats
LONGEST_PR = 500.0  # ms
T_AFTER_J = 80.0  # ms: from there to the end of QT, the largest deflection is that of T


def truth_of(kind: Condition, patient: Patient, rhythm: Rhythm, seconds: float) -> dict[str, Any]:
    """The numbers of the usual beat, the times of all waves in the record, and the concepts that hold."""
    beats = [beat for beat in rhythm.beats if 0 <= beat.onset < seconds]
    names = [beat.name for beat in beats if beat.kind == USUAL] or [beat.name for beat in beats]
    name = max(names, key=names.count) if names else patient.beat
    truth = _beat_numbers(patient, name) | _times(patient, rhythm, seconds)
    if kind.rhythm == "pattern":
        truth["pr_ms"] = _usual_pr(truth)
    peaks = truth["r_peaks_s"]
    truth["heart_rate"] = float(60 / np.diff(peaks).mean()) if len(peaks) > 1 else patient.rate
    if not rhythm.beats:
        truth |= dict.fromkeys(OF_BEATS)
    truth["atrial_rate"] = rhythm.atrial_rate
    truth["severity"] = patient.severity
    truth |= _p_numbers(patient) if rhythm.p_waves else {"p_ms": None, "p_mv": None}
    holds, unknown = what_holds(kind, patient, truth)
    return truth | {"concepts": holds, "unknown": unknown}


def _beat_numbers(patient: Patient, name: str) -> dict[str, Any]:
    qt, (waves, qrs) = patient.qt_ms(60 / patient.rate, name), patient.depolarisation(name)
    whole = patient.complex(name, qt)
    j, st = twelve(whole(np.array([qrs, qrs + 60]))).T
    t = twelve(whole(np.arange(qrs + T_AFTER_J, max(qt, qrs + T_AFTER_J + 1))))
    qrs_waves = twelve(waves(GRID))
    area = qrs_waves.sum(1)
    return {
        "pr_ms": patient.pr,
        "qrs_ms": float(qrs),
        "qt_ms": float(qt),
        "axis_deg": float(np.rad2deg(np.arctan2(2 / np.sqrt(3) * area[LEADS.index("aVF")], area[0]))),
        "j_mv": by_lead(j),
        "st_mv": by_lead(st),
        "t_mv": by_lead(np.take_along_axis(t, np.abs(t).argmax(1)[:, None], 1)[:, 0]),
        "r_mv": by_lead(qrs_waves.max(1)),
        "s_mv": by_lead(qrs_waves.min(1)),
    }


def _p_numbers(patient: Patient) -> dict[str, Any]:
    wave = patient.waves(patient.p, "P", gain=patient.p_gain)(GRID)
    on, off = span(wave, P_MV * patient.p_gain)
    p = twelve(wave)
    return {"p_ms": float(off - on), "p_mv": by_lead(np.take_along_axis(p, np.abs(p).argmax(1)[:, None], 1)[:, 0])}


def _usual_pr(truth: dict[str, Any]) -> float | None:
    """The median PR of the P waves that usual beats follow, ms."""
    usual = [at for at, of in zip(truth["qrs_onsets_s"], truth["beat_classes"], strict=True) if of == USUAL]
    starts = [at for at, conducted in zip(truth["p_onsets_s"], truth["p_conducted"], strict=True) if conducted]
    after = np.searchsorted(usual, starts)
    gaps = [1000 * (usual[i] - at) for i, at in zip(after, starts, strict=True) if i < len(usual)]
    gaps = [gap for gap in gaps if gap < LONGEST_PR]
    return float(np.median(gaps)) if gaps else None


def _times(patient: Patient, rhythm: Rhythm, seconds: float) -> dict[str, Any]:
    """When each beat, P wave and spike in the record is, s."""
    delay = {name: _peak_delay(patient, name) for name in {beat.name for beat in rhythm.beats}}
    seen: list[tuple[float, Beat]] = [
        (float(peak), beat)
        for peak, beat in ((beat.onset + delay[beat.name], beat) for beat in rhythm.beats)
        if 0 <= peak < seconds
    ]
    p_waves = sorted(p for p in rhythm.p_waves if 0 <= p.onset < seconds)
    spikes = sorted([*rhythm.atrial_spikes, *rhythm.spikes])
    return {
        "r_peaks_s": [peak for peak, _ in seen],
        "qrs_onsets_s": [float(beat.onset) for _, beat in seen],
        "beat_classes": [beat.kind for _, beat in seen],
        "p_onsets_s": [float(p.onset) for p in p_waves],
        "p_conducted": [p.conducted for p in p_waves],
        "spikes_s": [float(spike) for spike in spikes if 0 <= spike < seconds],
    }


def _peak_delay(patient: Patient, name: str) -> float:
    """Seconds from the onset of QRS to the largest deflection over all leads."""
    waves = patient.depolarisation(name)[0](GRID)
    return GRID[np.linalg.norm(waves, axis=0).argmax()] / 1000
