"""What an ECG is here: leads by name, millivolts, a sampling rate; and the one exception of the package."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MIN_RATE, MAX_RATE = 50, 2000  # Hz
MIN_SECONDS = 2
MAX_GAP = 60  # s without a signal in a multi-segment record, besides ten times what is stored


class EcgclipError(Exception):
    """Something the user can put right; the message is one line that says what, where and what to do."""


@dataclass(frozen=True, eq=False)
class ECG:
    """One recording.

    signal: float32 (leads, samples), mV, NaN = missing; one lead may be given as (samples,); always a copy
    sampling_rate: Hz, 50 to 2000
    leads: names out of `LEADS`, one for each row; other usual spellings ("AVR", "lead II", "MLII") are translated
    metadata: age (float or None), sex ("female", "male" or None), comments (list of str), whatever else the file says
    source: the path it was read from, without .hea; None for an array
    notes: what reading assumed, translated or left out

    Raises EcgclipError for a shape, rate, length or lead name that cannot be used.
    """

    signal: np.ndarray = field(repr=False)
    sampling_rate: float
    leads: tuple[str, ...]
    metadata: dict = field(default_factory=dict)
    source: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        where = f"{self.source}: " if self.source else ""
        names = (self.leads,) if isinstance(self.leads, str) else tuple(self.leads)
        try:
            signal = np.array(self.signal, dtype=np.float32)
            rate = float(self.sampling_rate)
        except (TypeError, ValueError) as error:
            raise EcgclipError(f"{where}signal and sampling_rate must be numbers ({error})") from None
        if signal.ndim == 1:
            signal = signal[None]
        if signal.ndim != 2 or signal.shape[0] != len(names) or not names:
            hint = "; transpose it?" if signal.ndim == 2 and signal.shape[1] == len(names) else ""
            raise EcgclipError(f"{where}signal has shape {signal.shape}, not ({len(names)} leads, samples){hint}")
        _check_duration(signal.shape[1], rate, where)
        leads, notes = [], []
        for name in names:
            lead, note = _lead(str(name))
            if lead is None:
                raise EcgclipError(f"{where}unknown lead {name!r}: use {', '.join(LEADS)}")
            if lead in leads:
                raise EcgclipError(f"{where}lead {lead} is given twice")
            leads.append(lead)
            notes += [note] if note else []
        signal[~np.isfinite(signal)] = np.nan
        object.__setattr__(self, "signal", signal)
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(self, "leads", tuple(leads))
        object.__setattr__(self, "metadata", {"age": None, "sex": None, "comments": [], **self.metadata})
        object.__setattr__(self, "notes", tuple(self.notes) + tuple(notes))

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.sampling_rate

    def between(self, start_s: float, stop_s: float | None) -> ECG:
        """A stretch of it; stop_s None: all of it."""
        if stop_s is None:
            return self
        first, last = (round(s * self.sampling_rate) for s in (start_s, stop_s))
        return ECG(self.signal[:, first:last], self.sampling_rate, self.leads, self.metadata, self.source)


def _check_duration(samples: int, rate: float, where: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise EcgclipError(f"{where}sampling rate {rate:g} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
    if samples < MIN_SECONDS * rate:
        raise EcgclipError(f"{where}{samples / rate:.2g} s is too short: at least {MIN_SECONDS} s are needed")


# ---------------------------------------------------------------------------------------------------------------------
# Lead names and units


def _lead(name: str) -> tuple[str | None, str | None]:
    """The standard name for a lead as files spell it, and a note where that is more than spelling."""
    plain = re.sub(r"[\s_.]+", "", name).upper()
    if plain in ("ECG", "EKG", "ECG1", "EKG1"):
        return "I", f"assumed that {name!r} is lead I"
    plain = re.sub(r"^(?:(?:ECG|EKG)[-:]?(?=\D))?(?:(?:LEAD|ABLEITUNG)[-:]?(?=\D))?", "", plain)
    if plain in _SPELLINGS:
        return _SPELLINGS[plain], None
    modified = re.fullmatch(r"ML(I{1,3}|[123])|(?:MV|MCL|CM)([1-6])", plain)
    if not modified:
        return None, None
    limb, chest = modified.groups()
    lead = f"V{chest}" if chest else limb if limb[0] == "I" else "I" * int(limb)
    return lead, f"{name} is read as {lead}"


_SPELLINGS = {lead.upper(): lead for lead in LEADS} | {f"C{i}": f"V{i}" for i in range(1, 7)}
_MILLIVOLTS = {"mv": 1.0, "millivolt": 1.0, "millivolts": 1.0, "uv": 1e-3, "microvolt": 1e-3, "microvolts": 1e-3}


def _millivolts(unit: str) -> float | None:
    """What one `unit` is in mV; None if it is not a voltage."""
    return _MILLIVOLTS.get(unit.replace("µ", "u").replace("μ", "u").lower())


I, II, III, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6 = range(12)
