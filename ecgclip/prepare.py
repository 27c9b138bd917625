"""From a recording to what the model sees: 100 Hz, windows of 10 s, twelve rows, and a mask of usable leads.

    prepared = prepare(ecg)             # Prepared.signal: float32 (windows, 12, 1000), mV

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

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.peaks import RATE, cut_beats, median_of_rows, r_peaks
from ecgclip.spikes import find_spikes, without_spikes

SAMPLING_RATE = RATE  # Hz
WINDOW = 1000  # samples
SHORTEST = 200  # samples; a remainder shorter than this gets no window of its own
# Gain over frequency: within 6 % of 1 from 0.5 to 42 Hz. The AHA/ACC/HRS recommendations of 2007 (part I) let a filter
# that does not shift phase cut at up to 0.67 Hz without harm to the ST segment; this one is at half gain at 0.35 Hz.
HIGHPASS = 0.35  # Hz, half gain
HIGHPASS_STEEPNESS = 8  # that of a Butterworth filter of fourth order run forwards and backwards
LOWPASS = (42.0, 49.0)  # Hz: gain 1 and gain 0; removes 50 Hz mains, and makes records of all rates alike
WIDEST = (140.0, 150.0)  # Hz: what an encoder of 500 Hz sees; to 150 Hz, the same recommendations ask of a recorder
# Where there is no signal
LARGEST = 1e6  # mV: larger values are not a cardiac signal
GAP = 0.1  # s: a shorter gap is interpolated and counts as signal
FLAT = 2.0  # s: a value held for longer is not a cardiac signal (a noiseless simulated pause may be shorter)
EDGE = 0.2  # s: a value held for longer at either end of a recording is the device starting or stopping
# An extreme value, held for longer than EDGE and so far off the others, is the end of the recorder's range
RAIL = 1.0  # mV
FLAT_STD = 0.005  # mV
USABLE = 0.8  # the part of a window in which a lead must have a signal
LARGEST_TYPICAL = 5  # mV: a larger typical amplitude means a wrong unit
# Electrical silence
SILENCE = 2.0  # s: no diastole is so long
BLOCK = 20  # samples, 200 ms: in each, a lead rests or shows a wave
LIVE = 0.1  # of the blocks: a lead with waves in fewer is not used to detect silence
# Steps of the baseline. A QRS complex or a pacing spike comes back, so medians on either side must differ as well.
STEP = 1.0  # mV: a baseline that jumps by so much within 20 ms, and stays there for a second, is not a heartbeat
JUMP = 0.7  # of STEP: smaller jumps are not looked at
AGREEMENT = (0.8, 1.25)  # how far the medians before and after may differ from the step, as a ratio
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
    raw, present = _bridge(ecg.signal, ecg.sampling_rate)
    raw, notes = _without_steps(ecg, raw)
    spikes, height = find_spikes(raw, ecg.sampling_rate)
    heart = without_spikes(raw, ecg.sampling_rate, spikes) if len(spikes) else raw
    signal, valid = _rows(ecg, heart, present, SAMPLING_RATE)
    starts, length = _windows(signal.shape[1])
    silent = _silent(signal, valid)
    silence = tuple((float(a) / SAMPLING_RATE, float(b) / SAMPLING_RATE) for a, b in find_runs(silent, 0))
    notes += _remainder_notes(signal.shape[1] - starts[-1] - WINDOW)
    notes += [f"no electrical activity from {a:.1f} to {b:.1f} s, electrodes on" for a, b in silence]

    signal, valid = (_cut_windows(x, starts, length[0]) for x in (signal, valid))
    leads = _judge_leads(signal, valid, _cut_windows(silent[None], starts, length[0])[:, 0])
    notes += _unit_notes(signal[leads.recorded]) + _lead_notes(ecg.leads, leads)
    mask = _derive(signal, valid, leads.recorded)
    keep = np.any(mask, axis=1)
    if not keep.any():
        where = f"{ecg.source}: " if ecg.source else ""
        raise EcgclipError(f"{where}every lead ({', '.join(ecg.leads)}) is flat (under 5 µV) or missing")
    dropped = ~(keep | leads.resting)
    notes += [f"no lead has a signal in {_share(dropped)}: dropped"] if dropped.any() else []

    coarse = fine = _masked(signal, mask, SAMPLING_RATE)[keep]
    if sampling_rate != SAMPLING_RATE or len(spikes):
        at, samples = (np.rint(x * sampling_rate / SAMPLING_RATE).astype(int) for x in (starts, length[0]))
        signal, valid = (_cut_windows(x, at, int(samples)) for x in _rows(ecg, raw, present, sampling_rate))
        _derive(signal, valid, leads.recorded)
        fine = _masked(signal, mask, sampling_rate)[keep]
    return Prepared(
        signal=coarse,
        encoder_signal=fine,
        mask=mask[keep],
        length=length[keep],
        start_s=starts[keep] / SAMPLING_RATE,
        derived=tuple(LEADS[i] for i in np.flatnonzero((mask & ~leads.recorded).any(0))),
        notes=tuple(notes),
        silence=silence,
        seconds=ecg.seconds,
        used_s=_used_seconds(starts[keep], length[keep], ecg.seconds),
        spikes_s=spikes / ecg.sampling_rate,
        spike_height=height,
    )


def _used_seconds(starts: np.ndarray, length: np.ndarray, seconds: float) -> float:
    """Seconds of the recording that lie in windows, each counted once: the last window may overlap the one before."""
    overlap = np.maximum(starts[:-1] + length[:-1] - starts[1:], 0).sum()
    return float(min((length.sum() - overlap) / SAMPLING_RATE, seconds))


def _masked(signal: np.ndarray, mask: np.ndarray, rate: float) -> np.ndarray:
    """(windows, 12, samples) at `rate`, zero where masked, padded to 10 s."""
    padding = round(WINDOW * rate / SAMPLING_RATE) - signal.shape[-1]
    return np.pad(np.where(mask[..., None], signal, 0), ((0, 0), (0, 0), (0, padding)))


def _rows(ecg: ECG, raw: np.ndarray, present: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The twelve rows (12, samples) at `rate`, filtered, zero without a signal; and bool, True = has signal."""
    rows = [LEADS.index(lead) for lead in ecg.leads]
    resampled = _filter(resample(raw, ecg.sampling_rate, rate), rate)
    n = resampled.shape[1]
    nearest = np.minimum(np.rint(np.arange(n) * (ecg.sampling_rate / rate)).astype(int), raw.shape[1] - 1)
    signal, valid = np.zeros((12, n), np.float32), np.zeros((12, n), bool)
    signal[rows], valid[rows] = resampled, present[:, nearest]
    signal[~valid] = 0
    return signal, valid


# ---------------------------------------------------------------------------------------------------------------------
# Notes


def _remainder_notes(samples: int) -> list[str]:
    """samples: how many of the recording follow the last window."""
    return [f"the last {samples / SAMPLING_RATE:.1f} s are too short for a window"] if samples > 0 else []


def _unit_notes(signal: np.ndarray) -> list[str]:
    typical = median_of_rows(np.abs(signal).ravel()) if signal.size else 0
    if typical > LARGEST_TYPICAL:
        return [f"the typical amplitude is {typical:.0f} mV: is the unit in the header right?"]
    return []


def _lead_notes(names: tuple[str, ...], leads: _Leads) -> list[str]:
    notes = []
    flat = ~(leads.recorded | leads.disconnected | leads.resting[:, None])
    for name in names:
        i = LEADS.index(name)
        if flat[:, i].any():
            notes.append(f"{name} is flat or missing in {_share(flat[:, i])}")
        if leads.disconnected[:, i].any():
            where = _share(leads.disconnected[:, i])
            notes.append(f"{name} shows no beats where other leads do, in {where}: disconnected?")
    return notes


def _share(windows: np.ndarray) -> str:
    return "the whole record" if windows.all() else f"{windows.sum()} of {len(windows)} windows"


# ---------------------------------------------------------------------------------------------------------------------
# Stretches without a signal, at the recording's own rate


def _bridge(signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Fill stretches without a signal with straight lines: float32 (leads, samples), and bool, True = has signal."""
    present = np.ones(signal.shape, bool)
    finite = np.abs(signal) < LARGEST  # False for NaN
    broken = ~finite.all(axis=1) | _may_be_held(signal, rate)
    filled = (signal - median_of_rows(signal)[:, None]).astype(np.float32)  # small numbers keep float32 exact
    for lead in np.flatnonzero(broken):
        values = signal[lead]
        good = finite[lead] & ~_held(values, rate)
        if not good.any():
            filled[lead], present[lead] = 0, False
            continue
        at = np.arange(values.size)
        filled[lead] = np.interp(at, at[good], values[good] - np.median(values[good]))
        for start, stop in find_runs(~good, GAP * rate):
            present[lead, start:stop] = False
    return filled, present


def _may_be_held(signal: np.ndarray, rate: float) -> np.ndarray:
    """In which of (leads, samples) one value lasts for longer than `EDGE`, bool (leads,)."""
    leads, samples = signal.shape
    changes = np.ones((leads, samples + 1), bool)
    changes[:, 1:-1] = signal[:, 1:] != signal[:, :-1]
    at = np.flatnonzero(changes)
    held = np.zeros(leads, bool)
    held[at[:-1][np.diff(at) - 1 > EDGE * rate] // (samples + 1)] = True
    return held


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


# ---------------------------------------------------------------------------------------------------------------------
# Steps of the baseline


def _without_steps(ecg: ECG, raw: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(leads, samples) without the steps of the baseline, which the filter would spread over seconds; and notes."""
    moved = _moved(raw, ecg.sampling_rate)
    if not moved.any():
        return raw, []
    raw, notes = raw.copy(), []
    limb = [i for i, lead in enumerate(ecg.leads) if lead in LEADS[:6]]
    for lead in np.flatnonzero(moved).tolist():
        # limb leads share their electrodes: what one loses, all lose in their proportion
        rows = limb if lead in limb else [lead]
        for at_s, millivolts in _take_out_steps(raw, lead, rows, ecg.sampling_rate):
            notes.append(f"a step of {abs(millivolts):.1f} mV in {ecg.leads[lead]} at {at_s:.1f} s was taken out")
    return raw, notes


def _moved(signal: np.ndarray, rate: float) -> np.ndarray:
    """Which of (leads, samples) may hold a step: bool (leads,), by the medians of half seconds."""
    half = max(1, round(0.5 * rate))
    blocks = signal.shape[1] // half
    coarse = signal[:, : blocks * half].reshape(len(signal), blocks, half)[..., :: max(1, round(rate / 50))]
    usual = median_of_rows(coarse)
    return np.abs(usual[:, 2:] - usual[:, :-2]).max(axis=1, initial=0) > STEP / 2


def _take_out_steps(signal: np.ndarray, lead: int, rows: list[int], rate: float) -> list[tuple[float, float]]:
    """Take the steps of a lead out of `rows` of (leads, samples), in place; when (s) and how high (mV) each was."""
    half, brief, gap, sharp = (max(1, round(s * rate)) for s in (0.5, 0.1, 0.05, 0.01))
    x = signal[lead]
    steps = []
    jump = np.abs(x[2 * sharp :] - x[: -2 * sharp])
    for i in np.flatnonzero(jump > JUMP * STEP):
        if jump[i] < jump[max(i - gap, 0) : i + gap].max():
            continue
        at = int(i) + sharp
        if min(at - gap, x.size - at - gap) < half:
            continue
        height = _step_height(x, at, sharp)
        if abs(height) < STEP:
            continue
        levels = (np.median(x[at + gap :][:n]) - np.median(x[: at - gap][-n:]) for n in (brief, half, 2 * half))
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


# ---------------------------------------------------------------------------------------------------------------------
# Resampling and filtering


def resample(signal: np.ndarray, rate: float, to: float = SAMPLING_RATE) -> np.ndarray:
    """Polyphase resampling, the same as `scipy.signal.resample_poly` except at the ends, which are mirrored.

    Parameters
    ----------
    signal : float32 (leads, samples)
    rate, to : float
        The sampling rate before and after, Hz.
    """
    ratio = Fraction(to / rate).limit_denominator(10_000)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal
    # Output m sits at m * down on the upsampled grid, where only each up-th sample is not zero.
    n = -(-signal.shape[1] * up // down)
    reach, phases = _polyphase(up, down)
    padded = np.pad(signal, ((0, 0), (reach, reach + 1 + 2 * down)), mode="symmetric")
    out = np.empty((signal.shape[0], n), np.float32)
    for first in range(min(up, n)):
        position, phase = divmod(first * down, up)
        out[:, first::up] = _weigh(padded[:, position:], phases[phase], down, len(range(first, n, up)))
    return out


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


def _weigh(x: np.ndarray, weights: np.ndarray, step: int, count: int) -> np.ndarray:
    """The weighted sums of (leads, samples) over windows that begin at each `step`-th sample: (leads, count).

    The windows overlap: each block of `step` samples is weighed once for each place that it has in one.
    """
    blocks = -(-len(weights) // step)
    by_place = np.zeros((blocks, step), np.float32)
    by_place.flat[: len(weights)] = weights
    parts = x[:, : (count + blocks - 1) * step].reshape(len(x), -1, step) @ by_place.T
    total: np.ndarray = parts[:, :count, 0].copy()
    for place in range(1, blocks):
        total += parts[:, place : place + count, place]
    return total


def _filter(signal: np.ndarray, rate: float) -> np.ndarray:
    """Zero-phase band-pass of (leads, samples) at `rate`.

    The line through the recording is taken away first and the rest continued by its mirror image, so that neither the
    ends nor a drift leave a step there.
    """
    n = signal.shape[1]
    t = np.linspace(-1, 1, n, dtype=np.float32)
    signal = signal - signal.mean(1, keepdims=True)
    signal = signal - (signal @ t / (t @ t))[:, None] * t
    spectrum = np.fft.rfft(np.concatenate((signal, signal[:, ::-1]), axis=1), axis=1)
    return np.fft.irfft(spectrum * _gain(2 * n, rate), 2 * n, axis=1)[:, :n].astype(np.float32)


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
    """(12, samples) → (windows, 12, length); behind the end, which rounding may reach, the last sample is repeated."""
    at = np.minimum(starts[:, None] + np.arange(length), signal.shape[1] - 1)
    return signal[:, at].swapaxes(0, 1)


@dataclass(frozen=True)
class _Leads:
    """What is known of the leads in each window.

    recorded: bool (windows, 12), leads with a signal of their own
    disconnected: bool (windows, 12), leads with noise alone
    resting: bool (windows,), windows without a usable lead because the heart rests
    """

    recorded: np.ndarray
    disconnected: np.ndarray
    resting: np.ndarray


def _judge_leads(signal: np.ndarray, valid: np.ndarray, silent: np.ndarray) -> _Leads:
    """signal, valid: (windows, 12, samples); silent: bool (windows, samples), electrical silence."""
    recorded = _usable(signal, valid)
    disconnected = _disconnected(signal, recorded)
    recorded &= ~disconnected
    resting = ~recorded.any(1) & (silent.mean(1) >= USABLE)
    if resting.any() and not recorded.any():  # the whole recording is silent: its first window stands for it
        first = int(np.argmax(resting))
        recorded[first], resting[first] = valid[first].mean(1) >= USABLE, False
    return _Leads(recorded, disconnected, resting)


def _usable(signal: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Which leads of (windows, leads, samples) have enough signal that is not flat: bool (windows, leads)."""
    share = valid.mean(2)
    total = np.maximum(valid.sum(2), 1)
    mean = signal.sum(2) / total
    std = np.sqrt((np.where(valid, signal - mean[..., None], 0) ** 2).sum(2) / total)
    return (share >= USABLE) & (std >= FLAT_STD)


def _disconnected(signal: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Which leads have noise alone where others show beats: bool (windows, leads) for (windows, leads, samples)."""
    disconnected = np.zeros_like(usable)
    size = signal.std(axis=2)
    middle = (np.maximum(usable.sum(1, keepdims=True), 1) - 1) // 2
    usual = np.take_along_axis(np.sort(np.where(usable, size, np.inf), axis=1), middle, axis=1)  # their lower median
    doubtful = usable & (size < SMALL * usual)
    if doubtful.any():  # heartbeats stand out from the signal between them
        highest = np.quantile(np.abs(signal[doubtful]), PEAKED_QUANTILE, axis=1)
        doubtful[doubtful] = highest < PEAKED * size[doubtful]
    for w in np.flatnonzero(doubtful.any(1)):
        sure = usable[w] & ~doubtful[w]
        shown = _shown_beat(signal[w], r_peaks(signal[w], sure))
        if shown is not None and np.median(shown[sure]) > 2 * NO_BEAT:
            disconnected[w] = doubtful[w] & (shown < NO_BEAT)
    return disconnected


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
    """Where (leads, samples) is silent, bool (samples,): all leads that are on rest, for 2 s at least."""
    n, blocks = signal.shape[1], signal.shape[1] // BLOCK
    parts = signal[:, : blocks * BLOCK].reshape(len(signal), blocks, BLOCK)
    line = np.linspace(-1, 1, BLOCK, dtype=np.float32)
    parts = parts - parts.mean(axis=2, keepdims=True)  # without what is left of the wander
    parts -= (parts @ line / (line @ line))[..., None] * line
    on = valid[:, : blocks * BLOCK].reshape(parts.shape).all(axis=2)
    rests = parts.std(axis=2) < FLAT_STD
    live = (on & ~rests).mean(axis=1) > LIVE
    on &= live[:, None] if live.any() else True  # a lead that never shows a wave is not counted, unless none does
    at_rest = on.any(axis=0) & (rests | ~on).all(axis=0)
    silent = np.zeros(n, bool)
    for start, stop in find_runs(at_rest, SILENCE * SAMPLING_RATE / BLOCK - 1):
        silent[start * BLOCK : n if stop == blocks else stop * BLOCK] = True
    return silent


def _derive(signal: np.ndarray, valid: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Compute, in place, missing limb leads from two recorded ones; returns the usable leads, bool (windows, 12)."""
    mask = recorded.copy()
    for w in range(len(signal)):
        available = np.flatnonzero(recorded[w, :6])
        if len(available) < 2 or len(available) == 6:
            continue
        pair = available[:2]
        for lead in np.flatnonzero(~recorded[w, :6]):
            weights = np.linalg.solve(LIMB[pair].T, LIMB[lead])
            both = valid[w, pair].all(0)
            signal[w, lead] = np.where(both, weights @ signal[w, pair], 0)
            valid[w, lead] = both
            mask[w, lead] = _usable(signal[w, lead][None, None], both[None, None])[0, 0]
    return mask
