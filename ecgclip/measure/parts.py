"""Waves of leads that are there at another time, as on a printout, where each column shows 2.5 s of three leads.

The rhythm is measured in the leads that run through, or in those of one column. Another lead has its waves in the beats
that it shows: these stand for the others, so that the median beat of the window has all leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ecgclip.measure.alternans import NAMES as ALTERNANS
from ecgclip.measure.batch import AFTER, BEFORE, Batch, Columns, Parts, put
from ecgclip.measure.beats import dominant
from ecgclip.measure.median import WHOLE_AFTER, WHOLE_BEFORE
from ecgclip.measure.waves import measure_waves

# What compares beats with each other: beats that stand for others would all look alike
OF_MANY_BEATS = ("p_present", "p_consistency", "p_height_mv", "p_duration_ms", "pr_ms")
# How much of the part there is around R in the beats that stand for all, samples: of these the first that some beat has
ROOM = ((BEFORE, AFTER), (WHOLE_BEFORE, WHOLE_AFTER), (15, 20))  # at least the level before a wide QRS, and ST


def measure_waves_and_parts(batch: Batch, rr_ms: np.ndarray) -> Columns:
    """Measure the waves of the median beat as `measure_waves` does, in `Batch.parts` as well."""
    values = measure_waves(batch, rr_ms)
    for rows, complete in _complete(batch):
        waves = measure_waves(complete, rr_ms[rows])
        shape = {name: x for name, x in waves.pop("shape").items() if name not in ALTERNANS}
        put(values, rows, {name: x for name, x in waves.items() if name not in OF_MANY_BEATS} | {"shape": shape})
    return values


def _complete(batch: Batch) -> Iterator[tuple[np.ndarray, Batch]]:
    """Windows with the same leads, int (m,), as a batch of their dominant beats in the leads of `parts`, too."""
    if not any(batch.parts):
        return
    peaks = [at[usual] for at, usual in zip(batch.peaks, dominant(batch), strict=True)]
    usual = batch.of(np.arange(len(batch)), peaks)
    shown = [_shown(parts, at) for parts, at in zip(batch.parts, peaks, strict=True)]
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, of_window in enumerate(shown):
        alike.setdefault(tuple(of_window), []).append(i)
    for leads, rows in alike.items():
        if leads:
            one, mask = usual.of(np.array(rows)), batch.mask.copy()
            mask[list(leads)] = True
            beats = one.beats.copy()
            for beats_of_one, i in zip(one.split(beats), rows, strict=True):
                for lead, of_lead in shown[i].items():
                    beats_of_one[:, lead] = of_lead[np.arange(len(beats_of_one)) % len(of_lead)]
            complete = replace(one, mask=mask)
            complete.__dict__["beats"] = beats  # what is cut out of its signal otherwise
            yield np.array(rows), complete


def _shown(parts: Parts, usual: np.ndarray) -> dict[int, np.ndarray]:
    """The beats that the parts of a window show, by lead: (beats, BEFORE + AFTER), one at least.

    usual: int (beats,), the R peaks of the window
    """
    shown = {}
    for lead, (signal, own) in sorted(parts.items()):
        peaks, there = usual if own is None else own, np.flatnonzero(np.isfinite(signal))
        first, stop = there[0], there[-1] + 1
        for before, after in ROOM:
            at = peaks[(peaks - before >= first) & (peaks + after <= stop)]
            if len(at):
                shown[lead] = signal[np.clip(at[:, None] + np.arange(-BEFORE, AFTER), first, stop - 1)]
                break
    return shown
