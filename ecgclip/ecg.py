"""An ECG in this package: leads by name, millivolts, a sampling rate; and the one exception of the package."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
I, II, III, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6 = range(12)  # rows of a signal with the leads in this order
MIN_RATE, MAX_RATE = 50, 2000  # Hz
MIN_SECONDS = 2


class EcgclipError(Exception):
    """An error that the user can fix; the message is one line that says what is wrong, where, and what to do."""


@dataclass(frozen=True, eq=False)
class ECG:
    """One recording.

    Parameters
    ----------
    signal : float32 (leads, samples), mV
        NaN is missing. One lead may be given as (samples,). The signal is always copied.
    sampling_rate : float
        Hz, 50 to 2000.
    leads : tuple of str
        One name for each row, out of `LEADS`; other usual spellings ("AVR", "lead II", "MLII") are translated.
    metadata : dict
        age (years or None), sex ("female", "male" or None), comments (list of str), and whatever else the file says.
    source : str or None
        The path it was read from, without .hea; None for an array.
    notes : tuple of str
        What reading assumed, translated or left out.

    Raises
    ------
    EcgclipError
        The shape, rate, length or a lead name cannot be used.
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
        check_duration(signal.shape[1], rate, where)
        leads, notes = _standard_leads(names, where)
        signal[~np.isfinite(signal)] = np.nan
        object.__setattr__(self, "signal", signal)
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(self, "leads", leads)
        object.__setattr__(self, "metadata", {"age": None, "sex": None, "comments": [], **self.metadata})
        object.__setattr__(self, "notes", tuple(self.notes) + notes)

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.sampling_rate

    def between(self, start_s: float, stop_s: float | None) -> ECG:
        """The part from `start_s` to `stop_s`; the whole recording where `stop_s` is None."""
        if stop_s is None:
            return self
        first, last = (round(s * self.sampling_rate) for s in (start_s, stop_s))
        return ECG(self.signal[:, first:last], self.sampling_rate, self.leads, self.metadata, self.source)


def check_duration(samples: int, rate: float, where: str) -> None:
    """Raise EcgclipError, its message beginning with `where`, for a sampling rate or length out of range."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise EcgclipError(f"{where}sampling rate {rate:g} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
    if samples < MIN_SECONDS * rate:
        raise EcgclipError(f"{where}{samples / rate:.2g} s is too short: at least {MIN_SECONDS} s are needed")


# ---------------------------------------------------------------------------------------------------------------------
# Lead names and units

_SPELLINGS = {lead.upper(): lead for lead in LEADS}
_SPELLINGS |= {f"{letter}{i}": f"V{i}" for letter in ("C", "V-") for i in range(1, 7)}
_SPELLINGS |= {"DI": "I", "DII": "II", "DIII": "III"}
_SPELLINGS |= {f"{word}{i}": "I" * i for word in ("LEAD", "LEAD-", "L", "D") for i in (1, 2, 3)}
_SPELLINGS |= {"VR": "aVR", "VL": "aVL", "VF": "aVF", "LA-RA": "I", "LL-RA": "II", "LL-LA": "III"}
_WORDS = "LEAD|ABLEITUNG|DERIVATION|DERIVACION|DERIVACAO|DERIVAZIONE|AFLEIDING|AVLEDNING"
# What stands before the name of a lead: a device's word for ECG, IEEE 11073's prefix, "lead" in some language
_BEFORE = re.compile(rf"^(?:MDC-?ECG-?(?:LEAD|ELECPOTL)-?)?(?:(?:ECG|EKG)[-:]?(?=\D))?(?:(?:{_WORDS})[-:]?(?=\D))?")
MAX_NAME = 80  # characters of a name that are looked at
_ONE_LEAD = ("ECG", "EKG", "ECG1", "EKG1", "ECG1-ECG2", "EKG1-EKG2")
_MILLIVOLTS = {"mv": 1.0, "millivolt": 1.0, "millivolts": 1.0, "uv": 1e-3, "microvolt": 1e-3, "microvolts": 1e-3}
_MILLIVOLTS |= {"v": 1e3, "volt": 1e3, "volts": 1e3, "nv": 1e-6}


@lru_cache(maxsize=512)
def standard_lead(name: str) -> tuple[str | None, str | None]:
    """Translate a lead name as files spell it.

    Returns
    -------
    lead : str or None
        A name of `LEADS`; None if it is not one of the twelve leads.
    note : str or None
        What was assumed, where the translation is more than a matter of spelling.
    """
    name = name.strip()[:MAX_NAME]
    first = re.split(r"\s*[,;(\[]", name)[0] or name  # "aVR, augmented voltage, right", "Lead I (Einthoven)", "I [mV]"
    letters = "".join(c for c in unicodedata.normalize("NFKD", first) if not unicodedata.combining(c))
    plain = re.sub(r"[\s_.\0]+", "", letters).upper()
    if plain in _ONE_LEAD:
        return "I", f"assumed that {name!r} is lead I"
    plain = _BEFORE.sub("", plain)
    if plain in _SPELLINGS:
        return _SPELLINGS[plain], None
    modified = re.fullmatch(r"ML(I{1,3}|[123])|(?:MV|MCL|CM)([1-6])", plain)
    if not modified:
        return None, None
    limb, chest = modified.groups()
    lead = f"V{chest}" if chest else limb if limb[0] == "I" else "I" * int(limb)
    return lead, f"{name} is read as {lead}"


def _standard_leads(names: tuple[str, ...], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The standard names of leads, and notes. Raises EcgclipError for an unknown lead and for one given twice."""
    leads: list[str] = []
    notes: list[str] = []
    for name in names:
        lead, note = standard_lead(str(name))
        if lead is None:
            raise EcgclipError(f"{where}unknown lead {name!r}: use {', '.join(LEADS)}")
        if lead in leads:
            raise EcgclipError(f"{where}lead {lead} is given twice")
        leads.append(lead)
        notes += [note] if note else []
    return tuple(leads), tuple(notes)


def millivolts_per(unit: str) -> float | None:
    """How many mV one `unit` is; None if it is not a voltage."""
    return _MILLIVOLTS.get(unit.strip(" \t\0").replace("µ", "u").replace("μ", "u").lower())
