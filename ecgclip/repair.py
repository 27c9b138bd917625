"""What is mended in raw recordings before anything is filtered: stretches without a signal, and steps of the baseline.

    raw, gaps = bridge(signal, rate)              # straight lines where there is no signal
    raw, steps = without_steps(raw, leads, rate)  # what the filter would spread over seconds

Arrays are (n, leads, samples), n recordings of the same leads, in mV. One test over all of them finds the few leads in
which something may be wrong, and only these are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.peaks import median_of_rows

# Where there is no signal
LARGEST = 1e6  # mV: larger values are not a cardiac signal
GAP = 0.1  # s: a shorter gap is interpolated and counts as signal
FLAT = 2.0  # s: a value held for longer is not a cardiac signal (a noiseless simulated pause may be shorter)
EDGE = 0.2  # s: a value held for longer at either end of a recording is the device starting or stopping
# An extreme value, held for longer than EDGE and so far off the others, is the end of the recorder's range
RAIL = 1.0  # mV
PRINTOUT = 60.0  # s: in a longer recording a lead that is missing for some time is no column of a printout
SAMPLED = 8  # a value held for EDGE is seen by a look at each eighth of this time
# Steps of the baseline. A QRS complex or a pacing spike comes back, so medians on either side must differ as well.
STEP = 1.0  # mV: a baseline that jumps by so much within 20 ms, and stays there for a second, is not a heartbeat
JUMP = 0.7  # of STEP: smaller jumps are not looked at
AGREEMENT = (0.8, 1.25)  # how far the medians before and after may differ from the step, as a ratio


class Gap(NamedTuple):
    """A stretch of a lead without a signal.

    recording, lead: which recording, and which lead of it
    start, stop: its samples
    missing: whether it is beside the column of a printout, or else most of it was not recorded at all (NaN); False: an
        electrode is off
    """

    recording: int
    lead: int
    start: int
    stop: int
    missing: bool


# ---------------------------------------------------------------------------------------------------------------------
# Stretches without a signal


def bridge(signal: np.ndarray, rate: float) -> tuple[np.ndarray, list[Gap]]:
    """Fill stretches without a signal with straight lines.

    Parameters
    ----------
    signal : float32 (n, leads, samples), mV
        As recorded; NaN is missing.
    rate : float
        Hz

    Returns
    -------
    filled : float32 (n, leads, samples)
        Less the median of each lead, as small numbers keep float32 exact.
    gaps : list of Gap
        The stretches that do not count as signal; a lead without any is one from end to end.
    """
    filled = signal - median_of_rows(signal)[..., None]
    finite = (signal.max(axis=2) < LARGEST) & (signal.min(axis=2) > -LARGEST)  # False for NaN
    gaps = []
    for i, lead in np.argwhere(~finite | _may_be_held(signal, rate)).tolist():
        values = signal[i, lead]
        good = (np.abs(values) < LARGEST) & ~_held(values, rate)
        if not good.all():
            filled[i, lead] = _bridged(values, good)
            runs = find_runs(~good, GAP * rate) if good.any() else np.array([[0, values.size]])
            missing = np.isnan(values)
            gaps += [Gap(i, lead, a, b, bool(missing[a:b].mean() > 0.5)) for a, b in runs.tolist()]
    samples = signal.shape[2]
    return filled, _with_columns(gaps, samples, GAP * rate) if samples <= PRINTOUT * rate else gaps


def _with_columns(gaps: list[Gap], samples: int, near: float) -> list[Gap]:
    """The gaps, those beside the columns of a printout as missing: some files have zeros there instead of NaN.

    Electrodes do not come off so that leads are there one group after the other. A group are two leads or more that
    begin and end together, within `near` samples.
    """
    there: dict[tuple[int, int], np.ndarray] = {}
    for gap in gaps:
        there.setdefault((gap.recording, gap.lead), np.ones(samples, bool))[gap.start : gap.stop] = False
    found: dict[int, list[tuple[int, int, int]]] = {}  # of each recording start, stop and lead
    for (recording, lead), signal in there.items():
        runs = find_runs(signal, near).tolist()
        if len(runs) == 1:
            found.setdefault(recording, []).append((*runs[0], lead))
    beside = set()
    for recording, leads in found.items():
        groups: list[list[tuple[int, int, int]]] = []
        for start, stop, lead in sorted(leads):
            if not groups or max(abs(start - groups[-1][0][0]), abs(stop - groups[-1][0][1])) > near:
                groups.append([])
            groups[-1].append((start, stop, lead))
        columns = [group for group in groups if len(group) > 1]
        in_turn = all(before[0][1] < after[0][0] + near for before, after in pairwise(columns))
        if len(columns) > 1 and in_turn:
            beside |= {(recording, lead) for column in columns for _, _, lead in column}
    return [gap._replace(missing=True) if gap[:2] in beside else gap for gap in gaps]


def _bridged(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """(samples,) less the median of the good ones, with straight lines between these; zeros where none is."""
    if not good.any():
        return np.zeros_like(values)
    at = np.arange(values.size)
    return np.interp(at, at[good], values[good] - np.median(values[good]))


def _may_be_held(signal: np.ndarray, rate: float) -> np.ndarray:
    """In which of (n, leads, samples) one value may last for longer than `EDGE`, bool (n, leads).

    Samples so far apart are looked at that some of them in a row lie within such a stretch.
    """
    apart = max(1, int(EDGE * rate) // SAMPLED)
    few = signal[..., ::apart]
    same = few[..., 1:] == few[..., :-1]
    return _row_of_true(same, int(EDGE * rate) // apart - 1)


def _row_of_true(flags: np.ndarray, length: int) -> np.ndarray:
    """Which rows of (..., n) have so many True behind each other, bool (...)."""
    for _ in range(length - 1):
        flags = flags[..., 1:] & flags[..., :-1]
    return np.asarray(flags.any(axis=-1))


def _held(values: np.ndarray, rate: float) -> np.ndarray:
    """Mark, in (samples,), where one value is held for too long to be signal."""
    same = np.diff(values) == 0
    changes = np.flatnonzero(~same)
    out = np.zeros(values.size, bool)
    if not changes.size:
        return ~out
    for start, stop in find_runs(same, EDGE * rate):
        out[start : stop + 1] = stop - start > FLAT * rate or _at_the_rail(values, values[start])
    if changes[0] > EDGE * rate:
        out[: changes[0] + 1] = True
    if values.size - 1 - changes[-1] > EDGE * rate:
        out[changes[-1] + 1 :] = True
    return out


def _at_the_rail(values: np.ndarray, value: float) -> bool:
    """Whether a value is the highest or the lowest of (samples,), and far from the usual of the others."""
    others = values[(np.abs(values) < LARGEST) & (values != value)]
    if not len(others) or others.min() < value < others.max():
        return False
    return abs(np.median(others) - value) > RAIL


def find_runs(flags: np.ndarray, longer_than: float) -> np.ndarray:
    """Starts and stops, int (runs, 2), of the runs of True that are longer than so many samples."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])))).reshape(-1, 2)
    return edges[edges[:, 1] - edges[:, 0] > longer_than]


def stretches(gaps: Sequence[Gap], samples: int, least: float) -> dict[tuple[int, int, int], list[int]]:
    """What is there of leads that are missing for some time, in recordings of so many samples.

    A lead is not among them whose electrode came off for `least` samples: what is left of it may be an artefact.

    Returns
    -------
    dict
        Recording, start and stop of each stretch of `least` samples or more → the leads with just this one.
    """
    there: dict[tuple[int, int], np.ndarray] = {}
    missing = {(gap.recording, gap.lead) for gap in gaps if gap.missing}
    missing -= {(gap.recording, gap.lead) for gap in gaps if not gap.missing and gap.stop - gap.start >= least}
    for gap in (gap for gap in gaps if (gap.recording, gap.lead) in missing):
        there.setdefault((gap.recording, gap.lead), np.ones(samples, bool))[gap.start : gap.stop] = False
    found: dict[tuple[int, int, int], list[int]] = {}
    for (recording, lead), signal in sorted(there.items()):
        for start, stop in find_runs(signal, least - 1).tolist():
            found.setdefault((recording, start, stop), []).append(lead)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Steps of the baseline


def without_steps(raw: np.ndarray, leads: Sequence[str], rate: float) -> tuple[np.ndarray, list[list[str]]]:
    """(n, leads, samples) without the steps of the baseline, which the filter would spread over seconds.

    Returns
    -------
    raw
        The same, or a copy where there are steps.
    notes : list of list of str
        For each of the recordings.
    """
    moved = _moved(raw, rate)
    notes: list[list[str]] = [[] for _ in raw]
    if not moved.any():
        return raw, notes
    raw = raw.copy()
    limb = [i for i, lead in enumerate(leads) if lead in LEADS[:6]]
    for i, lead in np.argwhere(moved).tolist():
        # limb leads share their electrodes: what one loses, all lose in their proportion
        rows = limb if lead in limb else [lead]
        for at_s, millivolts in _take_out_steps(raw[i], lead, rows, rate):
            notes[i].append(f"a step of {abs(millivolts):.1f} mV in {leads[lead]} at {at_s:.1f} s was taken out")
    return raw, notes


def _moved(signal: np.ndarray, rate: float) -> np.ndarray:
    """Which of (n, leads, samples) may hold a step: bool (n, leads), by the medians of half seconds."""
    half = max(1, round(0.5 * rate))
    blocks = signal.shape[2] // half
    coarse = signal[..., : blocks * half].reshape(*signal.shape[:2], blocks, half)[..., :: max(1, round(rate / 50))]
    usual = median_of_rows(coarse)
    return np.abs(usual[..., 2:] - usual[..., :-2]).max(axis=-1, initial=0) > STEP / 2


def _take_out_steps(signal: np.ndarray, lead: int, rows: list[int], rate: float) -> list[tuple[float, float]]:
    """Take the steps of a lead out of `rows` of (leads, samples), in place; when (s) and how high (mV) each was."""
    half, brief, gap, sharp = (max(1, round(s * rate)) for s in (0.5, 0.1, 0.05, 0.01))
    x = signal[lead]
    steps = []
    jump = np.abs(x[2 * sharp :] - x[: -2 * sharp])
    high = np.flatnonzero(jump > JUMP * STEP)
    around = np.clip(high[:, None] + np.arange(-gap, gap), 0, jump.size - 1)
    for i in high[jump[high] >= jump[around].max(axis=1)].tolist():
        at = i + sharp
        if min(at - gap, x.size - at - gap) < half:
            continue
        height = _step_height(x, at, sharp)
        if abs(height) < STEP:
            continue
        levels = (
            median_of_rows(x[at + gap :][:n]) - median_of_rows(x[: at - gap][-n:]) for n in (brief, half, 2 * half)
        )
        if not all(AGREEMENT[0] < level / height < AGREEMENT[1] for level in levels):
            continue
        for row in rows:
            _take_out(signal[row], at, sharp)
        steps.append((at / rate, height))
    return steps


def _step_height(x: np.ndarray, at: int, sharp: int) -> float:
    """The step of (samples,) at a sample, mV, less what the slope just before and after it accounts for."""
    slope = (x[at - sharp] - x[at - 2 * sharp] + x[at + 2 * sharp] - x[at + sharp]) / 2
    return float(x[at + sharp] - x[at - sharp] - 2 * slope)


def _take_out(x: np.ndarray, at: int, sharp: int) -> None:
    """Take the step at a sample out of (samples,), in place."""
    x[at + sharp :] -= _step_height(x, at, sharp)
    x[at - sharp : at + sharp + 1] = np.linspace(x[at - sharp], x[at + sharp], 2 * sharp + 1)
