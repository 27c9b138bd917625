"""From a recording to what the model sees: 100 Hz, windows of 10 s, twelve rows, and a mask of usable leads.

    prepared = prepare(ecg)             # Prepared.signal: float32 (windows, 12, 1000), mV
    prepared = prepare_many(ecgs)       # the same of each, in a fraction of the time

The steps are the same for training, inference and any other use:

1. stretches without a signal are bridged, and steps of the baseline are taken out; pacing spikes are found, and a line
   stands in place of each in what is measured;
2. polyphase resampling to 100 Hz, and one zero-phase filter that removes baseline wander and what lies above 42 Hz;
3. the bridged stretches are set to zero, and windows are cut;
4. leads without a signal are masked, and missing limb leads are computed.

Nothing is scaled, as amplitude is diagnostic. A flat line means no signal where the lead is off (missing, or one value
held). Where the electrodes are on, it is a finding: electrical silence, which still varies a little in all leads.
All steps need numpy alone, as `scipy.signal` would double the time that the command line takes to start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ecgclip.ecg import ECG, LEADS, MIN_SECONDS, EcgclipError
from ecgclip.peaks import RATE, cut_beats, median_of_rows, r_peaks_of_many
from ecgclip.repair import PRINTOUT, Gap, bridge, find_runs, stretches, without_steps
from ecgclip.spikes import find_spikes_of_many, without_spikes

SAMPLING_RATE = RATE  # Hz
WINDOW = 1000  # samples
SHORTEST = 200  # samples; a remainder shorter than this gets no window of its own
# Bytes of the recordings that are prepared at once. What is made of more does not stay in the processor's cache, and
# the C library gives its memory back each time and asks for it anew.
TOGETHER = 2**20
# Gain over frequency: within 6 % of 1 from 0.5 to 42 Hz. The AHA/ACC/HRS recommendations of 2007 (part I) let a filter
# that does not shift phase cut at up to 0.67 Hz without harm to the ST segment; this one is at half gain at 0.35 Hz.
HIGHPASS = 0.35  # Hz, half gain
HIGHPASS_STEEPNESS = 8  # that of a Butterworth filter of fourth order run forwards and backwards
LOWPASS = (42.0, 49.0)  # Hz: gain 1 and gain 0; removes 50 Hz mains, and makes records of all rates alike
WIDEST = (140.0, 150.0)  # Hz: what an encoder of 500 Hz sees; to 150 Hz, the same recommendations ask of a recorder
# Which leads have a signal
FLAT_STD = 0.005  # mV
USABLE = 0.8  # the part of a window in which a lead must have a signal
PART = 200  # samples: a stretch of a lead in a window, such as the column of a printout, is measured from here on
SAME_COLUMN = 0.2  # s: leads that begin and end so near each other are of one column
LARGEST_TYPICAL = 5  # mV: a larger typical amplitude means a wrong unit
# Electrical silence
SILENCE = 2.0  # s: no diastole is so long
BLOCK = 20  # samples, 200 ms: in each, a lead rests or shows a wave
LIVE = 0.1  # of the blocks: a lead with waves in fewer is not used to detect silence
# Leads that are disconnected
SMALL = 0.25  # of the usual standard deviation: only leads below may be disconnected; true ones are seldom so small
PEAKED, PEAKED_QUANTILE = 4, 0.995  # standard deviations that this quantile exceeds in a lead with heartbeats
# Amplitude of the median beat over that expected of noise alone: below, a lead shows no beats; from the leads of PTB-XL
# and challenge-2011
NO_BEAT = 1.5
MEDIAN_NOISE = 1.25  # the standard error of a median, over that of a mean
BEAT_BEFORE, BEAT_AFTER = 15, 45  # samples around R of the median beat
# Each limb lead as a combination of I and II; any two of the six determine all.
LIMB = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording as the encoder sees it.

    Attributes
    ----------
    signal : float32 (windows, 12, 1000), mV at 100 Hz
        Rows as in `LEADS`; zero where masked, padded or without signal. Without the pacing spikes: this is measured.
    encoder_signal : float32 (windows, 12, 10 * rate), mV
        The same at the encoder's sampling rate, with the pacing spikes; `signal` itself at 100 Hz where there are none.
    mask : bool (windows, 12)
        True = usable.
    length : int (windows,)
        Samples at 100 Hz of each window that are recording; the rest, at the end, is padding.
    start_s : float (windows,)
        When each window starts in the recording.
    derived : tuple of str
        Leads that were computed from other limb leads.
    notes : tuple of str
        What a reader of the result should know.
    silence : tuple of (start, stop), s
        Electrical silence of 2 s or more while electrodes were on, in windows and between them.
    seconds : float
        Length of the recording.
    used_s : float
        Seconds of it that lie in a window.
    spikes_s : float (spikes,)
        When the recording has pacing spikes; empty where none is seen.
    spike_height : float (spikes,)
        Of each, in times the noise; from 6 up.
    parts : float32 (windows, 12, 1000), mV at 100 Hz, optional
        The leads that are masked, as they are there for a part of a window, 2 s at least, while another lead runs
        through, as on a printout; NaN where they are not. An encoder does not see them, but they are measured. None:
        there are no such leads.
    columns : bool
        The windows are the columns of a printout on which no lead runs through: each is measured in the leads of all.
    """

    signal: np.ndarray = field(repr=False)
    encoder_signal: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)
    length: np.ndarray
    start_s: np.ndarray
    derived: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    silence: tuple[tuple[float, float], ...] = ()
    seconds: float = 0.0
    used_s: float = 0.0
    spikes_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    spike_height: np.ndarray = field(default_factory=lambda: np.empty(0))
    parts: np.ndarray | None = field(default=None, repr=False)
    columns: bool = False

    @property
    def measured(self) -> np.ndarray:
        """Which leads of each window are measured, those of parts and of other columns as well: bool (windows, 12)."""
        if self.columns:
            return np.broadcast_to(self.mask.any(axis=0), self.mask.shape)
        return self.mask if self.parts is None else self.mask | np.isfinite(self.parts).any(axis=2)

    def spikes_in(self, window: int) -> np.ndarray:
        """The pacing spikes in a window and half a second around it: (spikes, 2), samples from its start, height."""
        at = (self.spikes_s - self.start_s[window]) * SAMPLING_RATE
        near = (at > -SAMPLING_RATE / 2) & (at < self.length[window] + SAMPLING_RATE / 2)
        return np.column_stack([at[near], self.spike_height[near]])


def prepare(ecg: ECG, sampling_rate: int = SAMPLING_RATE) -> Prepared:
    """Prepare a recording for an encoder.

    Parameters
    ----------
    ecg : ECG
    sampling_rate : int
        Hz of the encoder's input, 100 or more. At any rate, 100 Hz decide what is masked, measured and drawn.

    Raises
    ------
    EcgclipError
        No lead has a signal in any window. Electrical silence is a signal.
    """
    (prepared,) = prepare_many([ecg], sampling_rate)
    if isinstance(prepared, EcgclipError):
        raise prepared
    return prepared


def prepare_many(ecgs: Sequence[ECG], sampling_rate: int = SAMPLING_RATE) -> list[Prepared | EcgclipError]:
    """Prepare several recordings; one without a usable signal does not stop the others.

    Returns
    -------
    list
        For each recording what `prepare` returns, or the error that it raises.
    """
    alike: dict[tuple[tuple[str, ...], float, int], list[int]] = {}
    for i, ecg in enumerate(ecgs):
        alike.setdefault((ecg.leads, ecg.sampling_rate, ecg.signal.shape[1]), []).append(i)
    prepared: dict[int, Prepared | EcgclipError] = {}
    for rows in alike.values():
        most = max(1, TOGETHER // ecgs[rows[0]].signal.nbytes)
        for part in (rows[k : k + most] for k in range(0, len(rows), most)):
            prepared.update(zip(part, _prepare_alike([ecgs[i] for i in part], sampling_rate), strict=True))
    for i, whole in list(prepared.items()):
        if isinstance(whole, EcgclipError) or not whole.mask.all(axis=0).any():
            parts = _columns(ecgs[i])
            if isinstance(whole, Prepared) and _as_many_leads(whole, parts):
                continue
            columns = [_Column(start, ecg, prepare_many([ecg], sampling_rate)[0]) for start, ecg in parts]
            if any(isinstance(column.prepared, Prepared) for column in columns):
                prepared[i] = _side_by_side(ecgs[i], columns)
    return [prepared[i] for i in range(len(ecgs))]


def _as_many_leads(whole: Prepared, columns: list[tuple[float, ECG]]) -> bool:
    """Whether a window of the whole recording has as many leads as its columns have together."""
    return bool(whole.mask.sum(axis=1).max() >= len({lead for _, ecg in columns for lead in ecg.leads}))


class _Column(NamedTuple):
    """A column of a printout: when it begins in the recording, s; the leads that it shows; and these prepared."""

    start: float
    ecg: ECG
    prepared: Prepared | EcgclipError


def _columns(ecg: ECG) -> list[tuple[float, ECG]]:
    """When each column of a recording begins in which no lead runs through, s, and the leads that it shows."""
    if ecg.seconds > PRINTOUT:
        return []
    _, gaps = bridge(ecg.signal[None], ecg.sampling_rate)
    samples, near, least = ecg.signal.shape[1], SAME_COLUMN * ecg.sampling_rate, MIN_SECONDS * ecg.sampling_rate
    places: list[tuple[int, int, list[int]]] = []
    for (_, start, stop), leads in sorted(stretches(gaps, samples, least).items()):
        if places and start - places[-1][0] < near and abs(stop - places[-1][1]) < near:
            start, stop, leads = max(start, places[-1][0]), min(stop, places[-1][1]), places.pop()[2] + leads
        places.append((start, stop, leads))
    columns = []
    for start, stop, leads in places:
        if least <= stop - start < samples:
            part = replace(ecg, signal=ecg.signal[leads, start:stop], leads=tuple(ecg.leads[k] for k in leads))
            # beats are counted from whole samples at 100 Hz
            columns.append((round(start * SAMPLING_RATE / ecg.sampling_rate) / SAMPLING_RATE, part))
    return columns


def _side_by_side(ecg: ECG, columns: Sequence[_Column]) -> Prepared:
    """The columns of a recording as its windows; one of them has a signal at least."""
    usable = [(column.start, column.prepared) for column in columns if isinstance(column.prepared, Prepared)]
    arrays = {
        name: np.concatenate([getattr(p, name) for _, p in usable])
        for name in ("signal", "encoder_signal", "mask", "length")
    }
    spikes_s, height = (
        np.concatenate(x) for x in zip(*((p.spikes_s + start, p.spike_height) for start, p in usable), strict=True)
    )
    order, silence = np.argsort(spikes_s, kind="stable"), _joined_silence(usable)
    return Prepared(
        **arrays,
        start_s=np.concatenate([p.start_s + start for start, p in usable]),
        derived=tuple(lead for lead in LEADS if any(lead in p.derived for _, p in usable)),
        notes=tuple([*_column_notes(columns), *_silence_notes(silence)]),
        silence=silence,
        seconds=ecg.seconds,
        used_s=min(sum(p.used_s for _, p in usable), ecg.seconds),
        spikes_s=spikes_s[order],
        spike_height=height[order],
        columns=True,
    )


def _joined_silence(columns: Sequence[tuple[float, Prepared]]) -> tuple[tuple[float, float], ...]:
    """The silences of columns, s of the recording; those that go on in the next column are one."""
    joined: list[tuple[float, float]] = []
    for a, b in sorted((a + start, b + start) for start, p in columns for a, b in p.silence):
        if joined and a - joined[-1][1] <= SAME_COLUMN:
            a, b = joined[-1][0], max(b, joined.pop()[1])
        joined.append((a, b))
    return tuple(joined)


def _column_notes(columns: Sequence[_Column]) -> Iterator[str]:
    """What the columns show and when, and what was noted of each, but for its silence."""
    places = {c: f"{' '.join(c.ecg.leads)} {c.start:.1f} to {c.start + c.ecg.seconds:.1f} s" for c in columns}
    yield (
        "no lead runs through, so that each column is a window, measured with the others' leads: "
        + ", ".join(places.values())
    )
    for column, place in places.items():
        if isinstance(column.prepared, EcgclipError):
            yield f"{place}: flat"
        else:
            silence = _silence_notes(column.prepared.silence)
            yield from (f"{place}: {note}" for note in column.prepared.notes if note not in silence)


@dataclass(frozen=True, eq=False)
class _Raw:
    """n recordings with the same leads, sampling rate and number of samples, mended.

    signal: float32 (n, leads, samples), mV
    gaps: where there is none
    """

    leads: tuple[str, ...]
    rate: float
    signal: np.ndarray
    gaps: list[Gap]

    def of(self, recordings: list[int]) -> _Raw:
        """Some of the recordings."""
        gaps = [gap._replace(recording=i) for i, k in enumerate(recordings) for gap in self.gaps if gap.recording == k]
        return replace(self, signal=self.signal[recordings], gaps=gaps)


@dataclass(frozen=True, eq=False)
class _Leads:
    """What is known of the leads in each window of n recordings, or of one.

    recorded: bool (n, windows, 12), leads with a signal of their own
    disconnected: bool (n, windows, 12), leads with noise alone
    resting: bool (n, windows), windows without a usable lead because the heart rests
    """

    recorded: np.ndarray
    disconnected: np.ndarray
    resting: np.ndarray

    def of(self, recording: int) -> _Leads:
        return _Leads(self.recorded[recording], self.disconnected[recording], self.resting[recording])


def _prepare_alike(ecgs: Sequence[ECG], sampling_rate: int) -> Iterator[Prepared | EcgclipError]:
    """Prepare n recordings with the same leads, sampling rate and number of samples."""
    names, rate = ecgs[0].leads, ecgs[0].sampling_rate
    signal, gaps = bridge(np.stack([ecg.signal for ecg in ecgs]), rate)
    signal, steps = without_steps(signal, names, rate)
    spikes = find_spikes_of_many(signal, rate)
    raw = _Raw(names, rate, signal, gaps)
    heart = replace(raw, signal=_heart(signal, spikes, rate))

    signal, valid = _rows(heart, SAMPLING_RATE)
    samples = signal.shape[2]
    starts, length = _windows(samples)
    silent = _silent(signal, valid)
    signal, valid = (_cut_windows(x, starts, length[0]) for x in (signal, valid))
    leads = _judge_leads(signal, valid, _cut_windows(silent[:, None], starts, length[0])[:, :, 0])
    mask = _derive(signal, valid, leads.recorded)
    signal = _masked(signal, mask, SAMPLING_RATE)
    others = [i for i, (at, _) in enumerate(spikes) if sampling_rate != SAMPLING_RATE or len(at)]
    fine = _encoder_signals(raw, others, starts, length[0], leads.recorded, mask, sampling_rate)
    parts = _parts(heart, mask, leads.disconnected, starts, length[0])
    for i, ecg in enumerate(ecgs):
        one = _One(steps[i], spikes[i], silent[i], leads.of(i), mask[i], signal[i], fine.get(i), parts.get(i))
        yield _put_together(ecg, one, samples)


class _One(NamedTuple):
    """What has been found of one recording.

    steps: notes about steps of the baseline
    spikes: samples and heights of the pacing spikes
    silent: bool (samples,), at 100 Hz
    leads: what is known of the leads
    mask: bool (windows, 12), the usable leads
    signal: float32 (windows, 12, 1000)
    encoder_signal: the same at the encoder's rate, with the spikes; None where it is `signal` itself
    parts: as of `Prepared`
    """

    steps: list[str]
    spikes: tuple[np.ndarray, np.ndarray]
    silent: np.ndarray
    leads: _Leads
    mask: np.ndarray
    signal: np.ndarray
    encoder_signal: np.ndarray | None
    parts: np.ndarray | None


def _put_together(ecg: ECG, one: _One, samples: int) -> Prepared | EcgclipError:
    """The windows of a recording that have a usable lead, and the notes; samples: of the recording, at 100 Hz."""
    starts, length = _windows(samples)
    keep = one.mask.any(axis=1)
    if not keep.any():
        where = f"{ecg.source}: " if ecg.source else ""
        return EcgclipError(f"{where}every lead ({', '.join(ecg.leads)}) is flat (under 5 µV) or missing")
    silent = find_runs(one.silent, 0).tolist() if one.silent.any() else []
    silence = tuple((start / SAMPLING_RATE, stop / SAMPLING_RATE) for start, stop in silent)
    notes = one.steps + _remainder_notes(samples - starts[-1] - WINDOW) + _silence_notes(silence)
    parts = None if one.parts is None else one.parts[keep]
    notes += _unit_notes(one.signal[..., : length[0]], one.leads.recorded)
    notes += _part_notes(one.mask[keep], parts) + _lead_notes(ecg.leads, one.leads, one.parts)
    notes += _dropped_notes(~(keep | one.leads.resting))
    signal = one.signal[keep]
    return Prepared(
        signal=signal,
        encoder_signal=signal if one.encoder_signal is None else one.encoder_signal[keep],
        mask=one.mask[keep],
        length=length[keep],
        start_s=starts[keep] / SAMPLING_RATE,
        derived=tuple(LEADS[k] for k in np.flatnonzero((one.mask & ~one.leads.recorded).any(axis=0))),
        notes=tuple(notes),
        silence=silence,
        seconds=ecg.seconds,
        used_s=_used_seconds(starts[keep], length[keep], ecg.seconds),
        spikes_s=one.spikes[0] / ecg.sampling_rate,
        spike_height=one.spikes[1],
        parts=parts,
    )


def _heart(signal: np.ndarray, spikes: list[tuple[np.ndarray, np.ndarray]], rate: float) -> np.ndarray:
    """(n, leads, samples) without the pacing spikes; the same array where there are none."""
    paced = [i for i, (at, _) in enumerate(spikes) if len(at)]
    if not paced:
        return signal
    signal = signal.copy()
    for i in paced:
        signal[i] = without_spikes(signal[i], rate, spikes[i][0])
    return signal


def _encoder_signals(
    raw: _Raw, recordings: list[int], starts: np.ndarray, length: int, recorded: np.ndarray, mask: np.ndarray, rate: int
) -> dict[int, np.ndarray]:
    """The windows of some recordings at the encoder's rate, with the pacing spikes: each (windows, 12, 10 * rate)."""
    if not recordings:
        return {}
    at, samples = (np.rint(x * rate / SAMPLING_RATE).astype(int) for x in (starts, length))
    signal, valid = (_cut_windows(x, at, int(samples)) for x in _rows(raw.of(recordings), rate))
    _derive(signal, valid, recorded[recordings])
    return dict(zip(recordings, _masked(signal, mask[recordings], rate), strict=True))


def _parts(
    heart: _Raw, mask: np.ndarray, disconnected: np.ndarray, starts: np.ndarray, length: int
) -> dict[int, np.ndarray]:
    """Of the recordings that have any, the leads that are there for a part of a window: each (windows, 12, 1000).

    Each stretch is filtered by itself: across its edges, a filter would spread what is not there.
    """
    parts: dict[int, np.ndarray] = {}
    samples = heart.signal.shape[2]
    if samples > PRINTOUT * heart.rate:
        return parts
    wanted = ~mask & ~disconnected & mask.any(axis=2, keepdims=True)
    gaps = [gap for gap in heart.gaps if wanted[gap.recording, :, LEADS.index(heart.leads[gap.lead])].any()]
    for (i, start, stop), leads in stretches(gaps, samples, PART * heart.rate / SAMPLING_RATE).items():
        cut = replace(heart, leads=tuple(heart.leads[k] for k in leads), gaps=[])
        cut = replace(cut, signal=heart.signal[i : i + 1, leads, start:stop])
        rows = [LEADS.index(lead) for lead in cut.leads]
        signal, first = _rows(cut, SAMPLING_RATE)[0][0, rows], round(start * SAMPLING_RATE / heart.rate)
        for w in range(len(starts)):
            low, high = max(first, starts[w]), min(first + signal.shape[1], starts[w] + length)
            for row, x in zip(rows, signal[:, low - first : high - first], strict=True):
                if wanted[i, w, row] and high - low >= PART and x.std() >= FLAT_STD:
                    if i not in parts:
                        parts[i] = np.full((len(starts), 12, WINDOW), np.nan, np.float32)
                    part = parts[i][w, row]
                    if high - low > np.isfinite(part).sum():  # the longest of several
                        part[:] = np.nan
                        part[low - starts[w] : high - starts[w]] = x
    return parts


def _used_seconds(starts: np.ndarray, length: np.ndarray, seconds: float) -> float:
    """Seconds of the recording that lie in windows, each counted once: the last window may overlap the one before."""
    overlap = np.maximum(starts[:-1] + length[:-1] - starts[1:], 0).sum()
    return float(min((length.sum() - overlap) / SAMPLING_RATE, seconds))


def _masked(signal: np.ndarray, mask: np.ndarray, rate: float) -> np.ndarray:
    """(n, windows, 12, samples) at `rate`, zero, in place, where masked; padded to 10 s."""
    signal[~mask] = 0
    padding = round(WINDOW * rate / SAMPLING_RATE) - signal.shape[3]
    return np.pad(signal, ((0, 0), (0, 0), (0, 0), (0, padding))) if padding else signal


def _rows(raw: _Raw, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The twelve rows (n, 12, samples) at `rate`, filtered, zero without a signal; and bool, True = has signal."""
    rows = [LEADS.index(lead) for lead in raw.leads]
    resampled = _filter(resample(raw.signal, raw.rate, rate), rate)
    shape = len(resampled), 12, resampled.shape[2]
    signal, valid = np.zeros(shape, np.float32), np.zeros(shape, bool)
    signal[:, rows], valid[:, rows] = resampled, True
    nearest = np.minimum(np.rint(np.arange(shape[2]) * (raw.rate / rate)).astype(int), raw.signal.shape[2] - 1)
    for gap in raw.gaps:
        start, stop = np.searchsorted(nearest, (gap.start, gap.stop))
        for x in (signal, valid):
            x[gap.recording, rows[gap.lead], start:stop] = 0
    return signal, valid


# ---------------------------------------------------------------------------------------------------------------------
# Notes


def _remainder_notes(samples: int) -> list[str]:
    """samples: how many of the recording follow the last window."""
    return [f"the last {samples / SAMPLING_RATE:.1f} s are too short for a window"] if samples > 0 else []


def _silence_notes(silence: Sequence[tuple[float, float]]) -> list[str]:
    return [f"no electrical activity from {a:.1f} to {b:.1f} s, electrodes on" for a, b in silence]


def _unit_notes(signal: np.ndarray, recorded: np.ndarray) -> list[str]:
    """signal: (windows, 12, samples); recorded: bool (windows, 12)"""
    if signal.max() <= LARGEST_TYPICAL and signal.min() >= -LARGEST_TYPICAL or not recorded.any():
        return []
    typical = median_of_rows(np.abs(signal[recorded]).ravel())
    if typical > LARGEST_TYPICAL:
        return [f"the typical amplitude is {typical:.0f} mV: is the unit in the header right?"]
    return []


def _part_notes(mask: np.ndarray, parts: np.ndarray | None) -> list[str]:
    """mask: bool (windows, 12); parts: (windows, 12, 1000), or None"""
    if parts is None:
        return []
    there = np.isfinite(parts).sum(axis=2)
    shown = [LEADS[k] for k in np.flatnonzero(there.any(axis=0))]
    through = [LEADS[k] for k in np.flatnonzero(mask[there.any(axis=1)].any(axis=0))]
    seconds = sorted({round(float(n) / SAMPLING_RATE, 1) for n in there[there > 0]})
    span = f"{seconds[0]:g}" if len(seconds) == 1 else f"{seconds[0]:g} to {seconds[-1]:g}"
    return [
        f"{' '.join(shown)} {'is' if len(shown) == 1 else 'are'} there for {span} s alone: measured there, "
        f"the rhythm and the signal network see {' '.join(through)}"
    ]


def _lead_notes(names: tuple[str, ...], leads: _Leads, parts: np.ndarray | None) -> list[str]:
    rows = [LEADS.index(name) for name in names]
    if leads.recorded[:, rows].all():
        return []
    notes = []
    flat = ~(leads.recorded | leads.disconnected | leads.resting[:, None])
    if parts is not None:
        flat &= ~np.isfinite(parts).any(axis=2)
    for name, i in zip(names, rows, strict=True):
        if flat[:, i].any():
            notes.append(f"{name} is flat or missing in {_share(flat[:, i])}")
        if leads.disconnected[:, i].any():
            where = _share(leads.disconnected[:, i])
            notes.append(f"{name} shows no beats where other leads do, in {where}: disconnected?")
    return notes


def _dropped_notes(dropped: np.ndarray) -> list[str]:
    return [f"no lead has a signal in {_share(dropped)}: dropped"] if dropped.any() else []


def _share(windows: np.ndarray) -> str:
    return "the whole record" if windows.all() else f"{windows.sum()} of {len(windows)} windows"


# ---------------------------------------------------------------------------------------------------------------------
# Resampling and filtering


def resample(signal: np.ndarray, rate: float, to: float = SAMPLING_RATE) -> np.ndarray:
    """Polyphase resampling, the same as `scipy.signal.resample_poly` except at the ends, which are mirrored.

    Parameters
    ----------
    signal : float32 (..., samples)
    rate, to : float
        The sampling rate before and after, Hz.
    """
    ratio = Fraction(to / rate).limit_denominator(10_000)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal
    reach, blocks = _blocks(up, down)
    n = -(-signal.shape[-1] * up // down)
    period = sum(block.weights.shape[1] for block in blocks)
    periods, hop = -(-n // period), period * down // up  # so many samples go into a period
    wide = _mirrored(signal, reach, periods * hop + max(len(block.weights) for block in blocks))
    out = np.empty((*signal.shape[:-1], periods, period), np.float32)
    for block in (block for block in blocks if block.first < n):
        size, made = block.weights.shape
        around = sliding_window_view(wide[..., block.start :], size, axis=-1)[..., ::hop, :][..., :periods, :]
        out[..., block.first : block.first + made] = np.ascontiguousarray(around) @ block.weights
    return out.reshape(*signal.shape[:-1], -1)[..., :n]


def _mirrored(signal: np.ndarray, reach: int, samples: int) -> np.ndarray:
    """(..., n) behind and before its mirror image, `reach` samples of it, and then zeros: (..., samples)."""
    n = signal.shape[-1]
    out = np.zeros((*signal.shape[:-1], samples), np.float32)
    out[..., reach : reach + n] = signal
    out[..., :reach] = signal[..., reach - 1 :: -1]
    out[..., reach + n : 2 * reach + n] = signal[..., : -reach - 1 : -1]
    return out


class _Block(NamedTuple):
    """Samples behind each other that are made of one stretch of the recording, by one matrix product.

    first: the first of them
    start: where the stretch begins
    weights: float32 (stretch, samples)
    """

    first: int
    start: int
    weights: np.ndarray


@lru_cache(maxsize=8)
def _blocks(up: int, down: int) -> tuple[int, list[_Block]]:
    """How far the filter reaches to either side, in samples; and the blocks of a period, after which all comes again.

    A block is as long as the filter: with longer ones more of the weights would be zero, with shorter ones the
    stretches would overlap more.
    """
    reach, phases = _polyphase(up, down)
    taps = phases.shape[1]
    size = max(1, taps * up // down)
    period = size // up * up or up
    blocks = []
    for first in range(0, period, min(size, period)):
        position, phase = np.divmod(np.arange(first, min(first + size, period)) * down, up)
        weights = np.zeros((position[-1] - position[0] + taps, len(position)), np.float32)
        for column, at, k in zip(weights.T, position - position[0], phase, strict=True):
            column[at : at + taps] = phases[k]
        blocks.append(_Block(first, int(position[0]), weights))
    return reach, blocks


@lru_cache(maxsize=8)
def _polyphase(up: int, down: int) -> tuple[int, np.ndarray]:
    """How far the filter reaches to either side, in samples, and its weights at each phase, float32 (up, 2 reach + 1).

    A sinc in Kaiser's window, as `scipy.signal.resample_poly` has it.
    """
    half = 10 * max(up, down)
    taps = np.sinc(np.arange(-half, half + 1) / max(up, down)) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    reach = half // up + 1
    index = half + np.arange(up)[:, None] - (np.arange(2 * reach + 1) - reach) * up
    inside = (index >= 0) & (index <= 2 * half)
    return reach, np.where(inside, taps[np.clip(index, 0, 2 * half)], 0).astype(np.float32)


def _filter(signal: np.ndarray, rate: float) -> np.ndarray:
    """Zero-phase band-pass of (..., samples) at `rate`.

    The line through the recording is taken away first and the rest continued by its mirror image, so that neither the
    ends nor a drift leave a step there. Such a signal is a sum of cosines, whose heights are the real and the imaginary
    parts of a Fourier transform of the samples without the image, in another order (Makhoul 1980).
    """
    n = signal.shape[-1]
    t = np.linspace(-1, 1, n, dtype=np.float32)
    signal = signal - signal.mean(axis=-1, keepdims=True)
    signal -= (signal @ t / (t @ t))[..., None] * t
    gain, turn = _gain(2 * n, rate), _turn(n)
    ordered = np.concatenate((signal[..., ::2], signal[..., 1::2][..., ::-1]), axis=-1)
    cosines = np.fft.rfft(ordered, norm="ortho")  # by default NumPy would transform in double precision
    cosines *= turn
    cosines.real *= gain[: len(turn)]
    cosines.imag *= gain[::-1][: len(turn)]
    cosines *= turn.conj()
    ordered = np.fft.irfft(cosines, n, norm="ortho")
    half = (n + 1) // 2
    signal[..., ::2], signal[..., 1::2] = ordered[..., :half], ordered[..., half:][..., ::-1]
    return signal


@lru_cache(maxsize=8)
def _turn(samples: int) -> np.ndarray:
    """What turns a Fourier transform of so many samples, half of them in reverse order, to the one of cosines."""
    return np.exp(-0.5j * np.pi * np.arange(samples // 2 + 1) / samples).astype(np.complex64)


@lru_cache(maxsize=8)
def _gain(samples: int, rate: float) -> np.ndarray:
    """The gain of the band-pass at each frequency of a signal of so many samples at `rate`, float32."""
    frequency = np.fft.rfftfreq(samples, 1 / rate)[1:]
    passed, stopped = (min(f * rate / SAMPLING_RATE, most) for f, most in zip(LOWPASS, WIDEST, strict=True))
    gain = 1 / (1 + (HIGHPASS / frequency) ** HIGHPASS_STEEPNESS)
    fall = np.clip((frequency - passed) / (stopped - passed), 0, 1)
    return np.concatenate(([0], gain * (1 + np.cos(np.pi * fall)) / 2)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Windows, and which leads have a signal in them


def _windows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths, int (windows,), of the windows of a recording of n samples."""
    if n <= WINDOW:
        return np.zeros(1, int), np.array([n])
    starts = np.arange(0, n - WINDOW + 1, WINDOW)
    if n - starts[-1] - WINDOW >= SHORTEST:
        starts = np.append(starts, n - WINDOW)  # overlaps the one before, so that it is full
    return starts, np.full(len(starts), WINDOW)


def _cut_windows(signal: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(n, rows, samples) → (n, windows, rows, length); beyond the end it repeats the last sample."""
    beyond = max(0, int(starts[-1]) + length - signal.shape[2])
    signal = np.pad(signal, ((0, 0), (0, 0), (0, beyond)), "edge") if beyond else signal
    return np.stack([signal[..., start : start + length] for start in starts.tolist()], axis=1)


def _judge_leads(signal: np.ndarray, valid: np.ndarray, silent: np.ndarray) -> _Leads:
    """signal, valid: (n, windows, 12, samples); silent: bool (n, windows, samples), electrical silence."""
    size = _deviation(signal)
    recorded = _usable(signal, valid, size)
    disconnected = _disconnected(signal, recorded, size)
    recorded &= ~disconnected
    resting = ~recorded.any(axis=2) & (silent.mean(axis=2) >= USABLE)
    # the whole recording is silent: its first window stands for it
    for i in np.flatnonzero(resting.any(axis=1) & ~recorded.any(axis=(1, 2))):
        first = int(np.argmax(resting[i]))
        recorded[i, first], resting[i, first] = valid[i, first].mean(axis=1) >= USABLE, False
    return _Leads(recorded, disconnected, resting)


def _deviation(signal: np.ndarray) -> np.ndarray:
    """The standard deviation of (..., samples), (...); as `np.std`, in less time."""
    away = signal - signal.mean(axis=-1, keepdims=True)
    return np.sqrt(np.einsum("...t,...t->...", away, away) / signal.shape[-1])


def _usable(signal: np.ndarray, valid: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Which leads of (..., samples) have enough signal that is not flat: bool (...); size: their `_deviation`."""
    whole = valid.all(axis=-1)
    usable = whole & (size >= FLAT_STD)
    for at in zip(*np.nonzero(valid.any(axis=-1) & ~whole), strict=True):
        usable[at] = valid[at].mean() >= USABLE and signal[at][valid[at]].std() >= FLAT_STD
    return usable


def _disconnected(signal: np.ndarray, usable: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Which leads have noise alone where others show beats: bool (n, windows, leads).

    signal: (n, windows, leads, samples); usable, size: of each lead, (n, windows, leads)
    """
    disconnected = np.zeros_like(usable)
    middle = (np.maximum(usable.sum(axis=2, keepdims=True), 1) - 1) // 2
    usual = np.take_along_axis(np.sort(np.where(usable, size, np.inf), axis=2), middle, axis=2)  # their lower median
    doubtful = usable & (size < SMALL * usual)
    if doubtful.any():  # heartbeats stand out from the signal between them
        highest = np.quantile(np.abs(signal[doubtful]), PEAKED_QUANTILE, axis=1)
        doubtful[doubtful] = highest < PEAKED * size[doubtful]
    sure = usable & ~doubtful
    windows = list(zip(*np.nonzero(doubtful.any(axis=2)), strict=True))
    for at, peaks in zip(windows, _peaks_of_each([signal[at][sure[at]] for at in windows]), strict=True):
        shown = _shown_beat(signal[at], peaks)
        if shown is not None and np.median(shown[sure[at]]) > 2 * NO_BEAT:
            disconnected[at] = doubtful[at] & (shown < NO_BEAT)
    return disconnected


def _peaks_of_each(windows: list[np.ndarray]) -> list[np.ndarray]:
    """The R peaks of each of some windows, (leads, samples); those with as many leads are searched at once."""
    peaks: dict[int, np.ndarray] = {}
    for count in {len(window) for window in windows}:
        rows = [i for i, window in enumerate(windows) if len(window) == count]
        peaks.update(zip(rows, r_peaks_of_many(np.stack([windows[i] for i in rows])), strict=True))
    return [peaks[i] for i in range(len(windows))]


def _shown_beat(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray | None:
    """How far the median beat of (leads, samples) stands out of noise, (leads,); None with fewer than four beats."""
    peaks = peaks[(peaks >= BEAT_BEFORE) & (peaks + BEAT_AFTER <= signal.shape[1])]
    if len(peaks) < 4:
        return None
    beats = cut_beats(signal, peaks, BEAT_BEFORE, BEAT_AFTER)
    beats = beats - beats.mean(axis=2, keepdims=True)
    typical = np.median(beats, axis=0)
    noise = MEDIAN_NOISE * (beats - typical).std(axis=(0, 2)) / np.sqrt(len(peaks))
    return typical.std(axis=1) / np.maximum(noise, 1e-9)


def _silent(signal: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Where (n, leads, samples) are silent, bool (n, samples): all leads that are on rest, for 2 s at least."""
    n, leads, samples = signal.shape
    blocks = samples // BLOCK
    parts = signal[..., : blocks * BLOCK].reshape(n, leads, blocks, BLOCK)
    away = parts.reshape(-1, BLOCK) @ _without_line()
    rests = np.einsum("bt,bt->b", away, away).reshape(n, leads, blocks) < BLOCK * FLAT_STD**2
    on = valid[..., : blocks * BLOCK].reshape(parts.shape).all(axis=3)
    live = (on & ~rests).mean(axis=2) > LIVE
    on &= (live | ~live.any(axis=1, keepdims=True))[
        ..., None
    ]  # a lead without waves does not count, if others have any
    at_rest = on.any(axis=1) & (rests | ~on).all(axis=1)
    silent = np.zeros((n, samples), bool)
    for i in np.flatnonzero(at_rest.any(axis=1)):
        for start, stop in find_runs(at_rest[i], SILENCE * SAMPLING_RATE / BLOCK - 1):
            silent[i, start * BLOCK : samples if stop == blocks else stop * BLOCK] = True
    return silent


@lru_cache(maxsize=1)
def _without_line() -> np.ndarray:
    """The matrix that takes the line through each block away, which is left of the wander: float32 (BLOCK, BLOCK)."""
    line = np.linspace(-1, 1, BLOCK)
    return (np.eye(BLOCK) - 1 / BLOCK - np.outer(line, line) / (line @ line)).astype(np.float32)


def _derive(signal: np.ndarray, valid: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Compute, in place, missing limb leads from two recorded ones; returns the usable leads, bool (n, windows, 12).

    signal, valid: (n, windows, 12, samples)
    """
    mask = recorded.copy()
    limb = recorded[..., :6]
    some = (limb.sum(axis=2) >= 2) & ~limb.all(axis=2)
    for kind in {tuple(leads) for leads in limb[some].tolist()}:
        pair, missing = np.flatnonzero(kind)[:2], np.flatnonzero(~np.array(kind))
        i, w = np.nonzero(some & (limb == kind).all(axis=2))
        both = valid[i, w][:, pair].all(axis=1, keepdims=True)
        weights = np.linalg.solve(LIMB[pair].T, LIMB[missing].T).T
        derived = np.where(both, weights @ signal[i, w][:, pair], 0).astype(np.float32)
        at = i[:, None], w[:, None], missing
        signal[at], valid[at] = derived, both
        mask[at] = _usable(derived, valid[at], _deviation(derived))
    return mask
