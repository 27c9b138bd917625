"""Measurements and conditions made for a test: numbers by hand, or those of a simulated ECG."""

from dataclasses import replace

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.knowledge.concepts import Concept, Criterion
from ecgclip.knowledge.criteria import Judge, Readings, answer
from ecgclip.measure.measurement import measure
from ecgclip.peaks import r_peaks
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

EMPTY = measure(np.zeros((12, 1000)), np.ones(12, bool), np.empty(0, int))


def by_lead(default=0.0, **values):
    """float (12,): `default`, but `values` by the names of leads; I alone would be an ambiguous name."""
    return np.array([values.get(lead, default) for lead in LEADS])


def measured(**values):
    """A measurement with these numbers, also where they are of its shape or its beats; all else unknown."""
    shape, table = ({k: v for k, v in values.items() if hasattr(part, k)} for part in (EMPTY.shape, EMPTY.table))
    values = {name: value for name, value in values.items() if hasattr(EMPTY, name)}
    return replace(EMPTY, shape=replace(EMPTY.shape, **shape), table=replace(EMPTY.table, **table), **values)


def measure_simulated(condition, seed=1, leads=LEADS):
    """The measurement of a simulated ECG of some leads, its age and sex."""
    ecg = simulate(condition, seed=seed)
    prepared = prepare(ecg)
    mask = np.array([lead in leads for lead in LEADS])
    signal = prepared.signal[0] * mask[:, None]
    return measure(signal, mask, r_peaks(signal, mask)), ecg.metadata["age"], ecg.metadata["sex"]


def ask(test, *measurements, age=None, sex=None, **values):
    return answer(Judge(Readings.of_record(measurements or [measured(**values)], age, sex)), test)


def concept(name, *criteria, broader=(), explained_by=None):
    """A condition of (role, test) pairs."""
    rows = tuple(Criterion(f"c{i}", ("all",), "s", test, role) for i, (role, test) in enumerate(criteria))
    return Concept(
        name, name, "rhythm", {}, {}, list(broader), "", "", rows, [], [], [], [], [], [], explained_by or {}
    )
