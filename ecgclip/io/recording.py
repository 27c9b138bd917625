"""What a file holds, before it is an ECG; and how it becomes one, whatever the format.

file ─reader─▶ Recording: channels as they are stored ─make_ecg─▶ ECG: leads by their names, mV, one sampling rate
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecgclip.ecg import ECG, LEADS, MAX_RATE, MIN_RATE, EcgclipError, check_duration, millivolts_per, standard_lead
from ecgclip.io.identity import without_identity

# Unnamed channels are these leads, by how many there are
USUAL_ORDERS: dict[int, tuple[str, ...]] = {12: LEADS, 8: ("I", "II", *LEADS[6:]), 1: ("I",)}
# What a heart gives, in mV: the median over the leads of how far a second of signal reaches from its lowest to its
# highest sample. Of 250 records of PTB-XL the least has 0.45 and the most 2.9 mV; of MIT-BIH the most has 3.8.
RESTING_LEADS, RESTING_S, RESTING_RATES = 8, 10, (100, 250, 400, 500, 1000)  # of resting ECGs: at least leads, s, Hz
LEAST_RATE = 25  # Hz of a lead beside faster ones
LEAST_MV, MOST_MV = 0.05, 4.0
USUAL_MV = 1.0
HIGH_MV = 5.0  # two of four ECGs of CODE, in mV by its authors, have 4.1
SCALES = {"V": 1e3, "mV": 1.0, "1e-4 V": 0.1, "µV": 1e-3, "nV": 1e-6}  # mV; what a file may be in that says no unit


@dataclass(frozen=True)
class Channel:
    """One channel as it is stored.

    Attributes
    ----------
    samples : float (samples,)
        In `unit`; NaN is missing.
    name : str, optional
        As the file spells it; None where it gives no name.
    unit : str, optional
        As the file spells it; None where it gives none.
    rate : float, optional
        Hz; None where the file does not say.
    """

    samples: np.ndarray
    name: str | None = None
    unit: str | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Recording:
    """What a reader gives.

    Attributes
    ----------
    channels : sequence of Channel
        All that begin at the same time, ECG or not.
    metadata : dict
        In one form for all formats (`ecgclip.io.metadata`): age (years), sex ("female" or "male"), time (ISO 8601),
        device, statements (list of str, the machine's own), measurements (dict of number, its own: heart_rate in
        beats/min, pr_ms, qrs_ms, qt_ms, qtc_ms, p_axis, qrs_axis, t_axis in degrees), comments (list of str). And
        patient_id as the file has it, which `make_ecg` replaces by a hash. Names and dates of birth stay out.
    notes : tuple of str
        What the reader left out, translated or assumed; an assumption begins with "assumed".
    """

    channels: Sequence[Channel]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What the user says of a file; it overrules the file.

    Attributes
    ----------
    sampling_rate : float, optional
        Hz.
    unit : str, optional
        Of the samples, such as "uV".
    leads : tuple of str, optional
        A name for each channel, in order.
    keep_ids : bool
        Keep the patient's id in `metadata` instead of a hash of it.
    """

    sampling_rate: float | None = None
    unit: str | None = None
    leads: tuple[str, ...] | None = None
    keep_ids: bool = False

    def __post_init__(self):
        if self.sampling_rate is not None and not MIN_RATE <= self.sampling_rate <= MAX_RATE:
            raise EcgclipError(f"sampling rate {self.sampling_rate:g} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
        for name in self.leads or ():
            if not name:
                raise EcgclipError("an empty name in --leads (leads=)")
        if self.unit is not None and millivolts_per(self.unit) is None:
            raise EcgclipError(f"unit {self.unit!r} is not a voltage: give mV, uV, V or nV")


def reading_options(
    sampling_rate: float | None, unit: str | None, leads: str | None, keep_ids: bool = False
) -> dict[str, Any]:
    """The keyword arguments of `read_ecg` that a user asks for; leads: names between commas. Raises as `Given`."""
    names = None if leads is None else tuple(name.strip() for name in leads.split(","))
    Given(sampling_rate, unit, names)
    options = {"sampling_rate": sampling_rate, "unit": unit, "leads": names, "keep_ids": keep_ids}
    return {name: value for name, value in options.items() if value}


def make_ecg(recording: Recording, source: str, given: Given = Given()) -> ECG:
    """Make an ECG of what a file holds.

    Parameters
    ----------
    recording : Recording
    source : str
        The path; messages begin with it.
    given : Given
        What the user says of the file.

    Raises
    ------
    EcgclipError
        No channel is one of the twelve leads; the sampling rate, or the name of the channels, is not known and not
        given; fewer than 2 s.
    """
    notes = list(recording.notes)
    channels = _named(recording.channels, source, given, notes)
    leads = _ecg_leads(channels, source, given, notes)
    rate = given.sampling_rate or max((c.rate for c in leads.values() if c.rate), default=None)
    if rate is None:
        rate = _usual_rate(leads, source, notes)
    samples = _same_rate(leads, rate, given)
    check_duration(max(map(len, samples)), rate, f"{source}: ")
    signal = np.full((len(samples), max(map(len, samples))), np.nan, np.float32)
    for row, values in zip(signal, samples, strict=True):
        row[: len(values)] = values
    signal *= _millivolts(signal, leads, rate, given, notes)[:, None]
    notes = list(dict.fromkeys(" ".join(note.split()) for note in notes))
    for note in notes:
        if note.startswith("assumed"):
            warnings.warn(f"{source}: {note}", stacklevel=3)
    metadata = without_identity(recording.metadata, given.keep_ids)
    return ECG(signal, rate, tuple(leads), metadata, source, tuple(notes))


def _named(channels: Sequence[Channel], source: str, given: Given, notes: list[str]) -> list[tuple[str, Channel]]:
    """Channels with a name: the user's, the file's, or by the usual order."""
    names: list[str | None] = [c.name for c in channels]
    if given.leads is not None:
        if len(given.leads) != len(channels):
            raise EcgclipError(f"{source}: {len(given.leads)} names in --leads (leads=) for {len(channels)} channels")
        names = list(given.leads)
    elif channels and not any(names):
        if len(channels) not in USUAL_ORDERS:
            raise EcgclipError(
                f"{source}: {len(channels)} channels without names; name them with --leads (leads=), such as II,V5"
            )
        names = list(USUAL_ORDERS[len(channels)])
        order = "lead I" if len(names) == 1 else f"leads {', '.join(map(str, names))}"
        notes.append(f"assumed {order}: the file names no lead")
    return [(name or f"channel {i}", channel) for i, (name, channel) in enumerate(zip(names, channels, strict=True), 1)]


def _ecg_leads(
    channels: Sequence[tuple[str, Channel]], source: str, given: Given, notes: list[str]
) -> dict[str, Channel]:
    """The channels that are leads in a voltage, by lead; adds to `notes` what was left out or translated."""
    leads: dict[str, Channel] = {}
    for name, channel in channels:
        lead, note = standard_lead(name)
        if lead is None:
            notes.append(f"left out {name[:40]}: not one of the twelve leads")
        elif given.unit is None and channel.unit and millivolts_per(channel.unit) is None:
            notes.append(f"left out {name[:40]}: its unit {channel.unit[:20]} is not a voltage")
        elif lead in leads:
            notes.append(f"left out {name[:40]}: lead {lead} is there already")
        elif channel.rate is not None and not given.sampling_rate and not LEAST_RATE <= channel.rate <= MAX_RATE:
            notes.append(f"left out {name[:40]}: {channel.rate:g} Hz is no sampling rate of an ECG")
        else:
            leads[lead] = channel
            notes += [note] if note else []
    if not leads:
        raise no_lead(f"{source}: ", notes)
    return leads


def no_lead(where: str, notes: Sequence[str]) -> EcgclipError:
    """The error for a file without an ECG lead: why channels were left out, each reason once with the first names."""
    names: dict[str, list[str]] = {}
    for note in notes:
        name, _, reason = note.removeprefix("left out ").partition(": ")
        names.setdefault(reason or name, []).append(name)
    shown = [f"{', '.join(who[:3])}{' …' if len(who) > 3 else ''}: {reason}"[:120] for reason, who in names.items()]
    left_out = "; ".join(shown[:3]) or "it has no signals"
    return EcgclipError(f"{where}no ECG lead ({left_out}); --leads names them: {', '.join(LEADS)}")


def _usual_rate(leads: dict[str, Channel], source: str, notes: list[str]) -> float:
    """Hz, of a resting ECG whose file does not say it: nearly all are of 10 s."""
    samples = max(len(channel.samples) for channel in leads.values())
    if len(leads) < RESTING_LEADS or samples not in (RESTING_S * rate for rate in RESTING_RATES):
        raise EcgclipError(f"{source}: gives no sampling rate; give it with --sampling-rate (sampling_rate=)")
    rate = samples / RESTING_S
    notes.append(f"assumed {rate:g} Hz, as resting ECGs last {RESTING_S} s: the file gives no sampling rate")
    return rate


def _same_rate(leads: dict[str, Channel], rate: float, given: Given) -> list[np.ndarray]:
    """The samples of all leads at `rate`; a lead that is stored at a lower one is interpolated."""
    samples = []
    highest = max((c.rate or 0 for c in leads.values()), default=0)
    for channel in leads.values():
        values = np.asarray(channel.samples, np.float32)
        if channel.rate and highest and channel.rate != highest:
            n = round(len(values) * highest / channel.rate)
            values = np.interp(np.arange(n) * (channel.rate / highest), np.arange(len(values)), values)
        samples.append(values)
    return samples


def _millivolts(
    signal: np.ndarray, leads: dict[str, Channel], rate: float, given: Given, notes: list[str]
) -> np.ndarray:
    """mV for one unit of each lead, float32 (leads,); adds a note where the unit is assumed or makes no heart's ECG."""
    units = [given.unit or channel.unit for channel in leads.values()]
    unsaid, likely = [not unit for unit in units], ""
    if any(unsaid):
        likely = likely_unit(height(signal[unsaid], rate) or USUAL_MV)
        notes.append(f"assumed {likely}, by the amplitude: the file gives no unit")
    scale = np.array([millivolts_per(unit) if unit else SCALES[likely] for unit in units], np.float32)
    if (note := implausible(signal * scale[:, None], rate, units[0] or likely)) is not None:
        notes.append(note)
    return scale


def likely_unit(high: float) -> str:
    """The unit, a key of SCALES, in which complexes of height `high` are a heart's: mV where that can be."""
    if LEAST_MV <= high <= HIGH_MV:
        return "mV"
    return min(SCALES, key=lambda unit: abs(np.log(high * SCALES[unit] / USUAL_MV)))


def implausible(signal: np.ndarray, rate: float, unit: str = "mV") -> str | None:
    """A note where a signal (leads, samples) in mV is too high or too low for a heart's, with what would fit.

    unit : what the samples were taken to be in
    """
    high = height(signal, rate)
    if high is None or LEAST_MV <= high <= MOST_MV:
        return None
    stored = high / (millivolts_per(unit) or SCALES.get(unit, 1.0))
    fitting = [name for name in ("mV", "uV", "V") if 0.3 <= stored * (millivolts_per(name) or 0) <= MOST_MV]
    factor = min((0.01, 0.1, 0.2, 5.0, 10.0, 100.0), key=lambda factor: abs(np.log(high * factor / USUAL_MV)))
    cure = f"--unit {fitting[0]} would fit" if fitting else f"{factor:g} times that would fit"
    return f"a second of signal spans {high:.3g} mV, which no heart gives: noise, or a wrong unit or gain ({cure})"


def height(signal: np.ndarray, rate: float) -> float | None:
    """Median over leads of the median range of 1 s, in the signal's unit; None where all is flat or missing."""
    second = max(int(rate), 1)
    whole = signal.shape[1] // second * second
    pieces = signal[:, : min(whole, 60 * second)].reshape(len(signal), -1, second)
    with np.errstate(invalid="ignore"):  # of stretches without a sample
        ranges = np.sort(np.fmax.reduce(pieces, 2) - np.fmin.reduce(pieces, 2), axis=1)
    by_lead = sorted(_middle(row[row > 0]) for row in ranges if (row > 0).any())
    return _middle(by_lead) if by_lead else None


def _middle(ordered: Sequence[float] | np.ndarray) -> float:
    """The median of sorted values, the upper one of two; np.nanmedian takes longer than reading the file."""
    return float(ordered[len(ordered) // 2])
