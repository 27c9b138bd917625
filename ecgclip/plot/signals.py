"""The signals of a recording as they are drawn: as recorded, or as they are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecgclip.ecg import ECG, LEADS
from ecgclip.prepare import LIMB, SAMPLING_RATE, Prepared


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals by lead.

    rows: float (samples,) in mV for each lead that there is, NaN = no signal; rate: Hz; begin: s of the recording
    computed: leads that follow from others; words: what was done to them
    """

    rows: dict[str, np.ndarray]
    rate: float
    begin: float = 0.0
    computed: tuple[str, ...] = ()
    words: str = ""

    @property
    def leads(self) -> list[str]:
        """The leads, in standard order."""
        return [lead for lead in LEADS if lead in self.rows]

    def cut(self, lead: str, first: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Times (s) and values (mV) of a stretch, as far as there is one: float (samples,) each."""
        row = self.rows.get(lead, np.empty(0))
        low, high = (int(np.ceil((s - self.begin) * self.rate - 1e-6)) for s in (first, first + seconds))
        at = np.arange(max(low, 0), max(min(high, len(row)), 0))
        return self.begin + at / self.rate, row[at]


def recorded_signals(ecg: ECG, first: float, seconds: float) -> Signals:
    """The recording itself: its rate, wander and hum. Each lead lies around its median in what is shown.

    Missing limb leads follow exactly from two others.
    """
    whole = Signals(dict(zip(ecg.leads, ecg.signal, strict=True)), ecg.sampling_rate)
    times = whole.cut(ecg.leads[0], first, seconds)[0]
    rows = {lead: whole.cut(lead, first, seconds)[1] for lead in ecg.leads}
    computed = limb_leads(rows)
    rows = {**rows, **computed}
    rows = {lead: row - _middle(row) for lead, row in rows.items()}
    return Signals(rows, ecg.sampling_rate, times[0], tuple(computed), f"{ecg.sampling_rate:g} Hz as recorded")


def limb_leads(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The limb leads that are missing, each as it follows exactly from two others; none if there are no two.

    rows : float (samples,) by lead
    """
    given = [lead for lead in LEADS[:6] if lead in rows][:2]
    if len(given) < 2:
        return {}
    pair = LIMB[[LEADS.index(lead) for lead in given]]
    shares = {lead: np.linalg.solve(pair.T, LIMB[i]) for i, lead in enumerate(LEADS[:6]) if lead not in rows}
    return {lead: one * rows[given[0]] + other * rows[given[1]] for lead, (one, other) in shares.items()}


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def filtered_signals(
    prepared: Prepared, signal: np.ndarray, windows: Sequence[int], words: str, begin: float = 0.0
) -> Signals:
    """Some windows of a prepared signal, (windows, 12, 1000) at 100 Hz, one after the other.

    begin: when, in s, the recording that was prepared begins
    """
    starts = np.rint(prepared.start_s * SAMPLING_RATE).astype(int)
    low, high = starts[windows[0]], max(starts[i] + prepared.length[i] for i in windows)
    rows = np.full((12, high - low), np.nan, np.float32)
    for i in windows:
        # exactly zero where there is no signal: a line there would look like asystole
        part = np.where(signal[i] == 0, np.nan, signal[i])[:, : prepared.length[i]]
        there = np.isfinite(part)  # columns of a printout may overlap
        rows[:, starts[i] - low :][:, : part.shape[1]][there] = part[there]
    leads = {lead: row for lead, row in zip(LEADS, rows, strict=True) if np.isfinite(row).any()}
    return Signals(leads, SAMPLING_RATE, begin + float(low) / SAMPLING_RATE, prepared.derived, words)
