"""From a recording to what the model sees: 100 Hz, windows of 10 s, twelve rows, and a mask of usable leads.

    prepared = prepare(ecg)             # Prepared.signal: float32 (windows, 12, 1000), mV

The steps, for training, inference and anybody else: stretches without a signal are bridged; steps of the baseline are
taken out; polyphase resampling to 100 Hz; one zero-phase filter that takes away baseline wander and what lies above 42 Hz;
the bridged stretches are set to zero; windows are cut; leads without a signal are masked; missing limb leads are computed.
Nothing is scaled: amplitude is diagnostic. A flat line is no signal where the lead is off (missing, or one value held), and
a finding, electrical silence, where the electrodes are on (it still varies a little, and in all leads at once). All steps need numpy alone, as `scipy.signal` would double the time that the command line takes to start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.peaks import cut, r_peaks

SAMPLING_RATE = 100  # Hz
WINDOW = 1000  # samples
SHORTEST = 200  # samples; a remainder shorter than this gets no window of its own
# Gain over frequency: within 6 % of 1 from 0.5 to 42 Hz. The AHA/ACC/HRS recommendations of 2007 (part I) let a filter
# that does not shift phase cut at up to 0.67 Hz without harm to the ST segment; this one is at half gain at 0.35 Hz.
HIGHPASS = 0.35  # Hz, half gain
HIGHPASS_STEEPNESS = 8  # that of a Butterworth filter of fourth order run forwards and backwards
LOWPASS = (42.0, 49.0)  # Hz: gain 1 and gain 0; takes 50 Hz mains, and makes records of all rates alike
WIDEST = (140.0, 150.0)  # Hz: what an encoder of 500 Hz sees; to 150 Hz, the same recommendations ask of a recorder
GAP = 0.1  # s: a shorter gap is interpolated and counts as signal
FLAT = 2.0  # s: a value held for longer comes from no heart (a noiseless simulation of a pause may hold it for less)
EDGE = 0.2  # s: a value held for longer at either end of a recording is the device starting or stopping
RAIL = 1.0  # mV: the highest or lowest value, held for so long and so far off the others, is the end of the recorder's range
FLAT_STD = 0.005  # mV
SILENCE = 2.0  # s: no diastole is so long
BLOCK = 20  # samples, 200 ms: in each, a lead rests or shows a wave
USABLE = 0.8  # the part of a window in which a lead must have a signal
STEP = 1.0  # mV: a baseline that jumps by so much within 20 ms, and stays there for a second, is no heartbeat
SMALL = 0.25  # of the usual standard deviation: only leads below may be disconnected; true ones are seldom so small
NO_BEAT = (
    1.5  # times what noise alone leaves of itself in the median over the beats; by PTB-XL's and challenge-2011's leads
)
# Each limb lead as a combination of I and II; any two of the six determine all.
LIMB = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the encoder is given.

    signal: float32 (windows, 12, 1000), mV at 100 Hz, rows as in `LEADS`; zero where masked, padded or without signal
    encoder_signal: the same at the encoder's sampling rate, (windows, 12, 10 × rate); `signal` itself at 100 Hz
    mask: bool (windows, 12), True = usable
    length: int (windows,), samples at 100 Hz of each window that are recording; the rest, at the end, is padding
    start_s: float (windows,), when each window starts in the recording
    derived: leads that were computed from other limb leads
    notes: what a reader of the result should know
    silence: starts and stops, s, of electrical silence of 2 s or more while electrodes were on, in windows and between them
    seconds: length of the recording
    used_s: seconds of it that lie in a window
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


def prepare(ecg: ECG, sampling_rate: int = SAMPLING_RATE) -> Prepared:
    """Prepare a recording for an encoder of `sampling_rate` (Hz, 100 or more). What is measured, drawn and masked is told
    from 100 Hz at any rate. Raises EcgclipError when no lead has a signal in any window; electrical silence is one."""
    where = f"{ecg.source}: " if ecg.source else ""
    notes = []
    raw, present = _bridge(ecg.signal, ecg.sampling_rate)
    raw, steps = _level(raw, ecg.sampling_rate, [i for i, lead in enumerate(ecg.leads) if lead in LEADS[:6]])
    notes += [f"a step of {abs(mv):.1f} mV in {ecg.leads[i]} at {at:.1f} s was taken out" for i, at, mv in steps]
    signal, valid = _rows(ecg, raw, present, SAMPLING_RATE)
    n = signal.shape[1]
    starts, length = _windows(n)
    if starts[-1] + WINDOW < n:
        notes.append(f"the last {(n - starts[-1] - WINDOW) / SAMPLING_RATE:.1f} s are too short for a window")
    silent = _silent(signal, valid)
    silence = tuple((float(a) / SAMPLING_RATE, float(b) / SAMPLING_RATE) for a, b in _runs(silent, 0))
    notes += [f"no electrical activity from {a:.1f} to {b:.1f} s, electrodes on" for a, b in silence]
    signal, valid = (_cut(x, starts, length[0]) for x in (signal, valid))
    own = _usable(signal, valid)
    off = _disconnected(signal, own)
    own &= ~off
    resting = ~own.any(1) & (_cut(silent[None], starts, length[0]).mean(2) >= USABLE)[:, 0]
    if resting.any() and not own.any():  # all is silence: its first window stands for it
        first = int(np.argmax(resting))
        own[first], resting[first] = valid[first].mean(1) >= USABLE, False
    typical = np.median(np.abs(signal[own])) if own.any() else 0
    if typical > 5:
        notes.append(f"the typical amplitude is {typical:.0f} mV: is the unit in the header right?")
    flat = ~(own | off | resting[:, None])
    for lead in ecg.leads:
        i = LEADS.index(lead)
        if flat[:, i].any():
            notes.append(f"{lead} is flat or missing in {_share(flat[:, i])}")
        if off[:, i].any():
            notes.append(f"{lead} shows no beats where other leads do, in {_share(off[:, i])}: disconnected?")
    mask = _derive(signal, valid, own)
    derived = tuple(LEADS[i] for i in np.flatnonzero((mask & ~own).any(0)))

    keep = np.any(mask, axis=1)
    if not keep.any():
        raise EcgclipError(f"{where}every lead ({', '.join(ecg.leads)}) is flat (under 5 µV) or missing")
    if not (keep | resting).all():
        notes.append(f"no lead has a signal in {_share(~(keep | resting))}: dropped")

    def finished(signal: np.ndarray, rate: float) -> np.ndarray:
        padding = round(WINDOW * rate / SAMPLING_RATE) - signal.shape[-1]
        return np.pad(np.where(mask[..., None], signal, 0), ((0, 0), (0, 0), (0, padding)))[keep]

    coarse = fine = finished(signal, SAMPLING_RATE)
    if sampling_rate != SAMPLING_RATE:
        at, many = (np.rint(x * sampling_rate / SAMPLING_RATE).astype(int) for x in (starts, length[0]))
        signal, valid = (_cut(x, at, int(many)) for x in _rows(ecg, raw, present, sampling_rate))
        _derive(signal, valid, own)
        fine = finished(signal, sampling_rate)
    starts, length = starts[keep], length[keep]
    twice = np.maximum(starts[:-1] + length[:-1] - starts[1:], 0).sum()  # the last window may overlap the one before
    return Prepared(
        coarse,
        fine,
        mask[keep],
        length,
        starts / SAMPLING_RATE,
        derived,
        tuple(notes),
        silence,
        ecg.seconds,
        float(min((length.sum() - twice) / SAMPLING_RATE, ecg.seconds)),
    )


def _rows(ecg: ECG, raw: np.ndarray, present: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The twelve rows (12, samples) at `rate`, resampled and filtered, zero without a signal; and bool, True = has signal."""
    rows = [LEADS.index(lead) for lead in ecg.leads]
    resampled = _filter(resample(raw, ecg.sampling_rate, rate), rate)
    n = resampled.shape[1]
    nearest = np.minimum(np.rint(np.arange(n) * (ecg.sampling_rate / rate)).astype(int), raw.shape[1] - 1)
    signal, valid = np.zeros((12, n), np.float32), np.zeros((12, n), bool)
    signal[rows], valid[rows] = resampled, present[:, nearest]
    signal[~valid] = 0
    return signal, valid


def _cut(signal: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(12, samples) → (windows, 12, length); a last sample that rounding asks for is the one before it."""
    at = np.minimum(starts[:, None] + np.arange(length), signal.shape[1] - 1)
    return signal[:, at].swapaxes(0, 1)


def _share(which: np.ndarray) -> str:
    return "the whole record" if which.all() else f"{which.sum()} of {len(which)} windows"


def _bridge(signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Fill stretches without a signal with straight lines: float32 (leads, samples), and bool, True = has signal."""
    filled, present = np.zeros(signal.shape, np.float32), np.ones(signal.shape, bool)
    for lead, values in enumerate(signal):
        finite = np.abs(values) < 1e6  # mV; False for NaN
        good = finite & ~_held(values, rate)
        if not good.any():
            present[lead] = False
            continue
        offset = np.median(values[good])  # small numbers keep float32 exact
        if good.all():
            filled[lead] = values - offset
            continue
        at = np.arange(values.size)
        filled[lead] = np.interp(at, at[good], values[good] - offset)
        for start, stop in _runs(~good, GAP * rate):
            present[lead, start:stop] = False
    return filled, present


def _held(values: np.ndarray, rate: float) -> np.ndarray:
    """Mark, in (samples,), where one value is held for too long to be signal."""
    same = np.diff(values) == 0
    changes = np.flatnonzero(~same)
    out = np.zeros(values.size, bool)
    if not changes.size:
        return ~out
    for start, stop in _runs(same, EDGE * rate):
        out[start : stop + 1] = stop - start > FLAT * rate or _at_the_rail(values, values[start])
    if changes[0] > EDGE * rate:
        out[: changes[0] + 1] = True
    if values.size - 1 - changes[-1] > EDGE * rate:
        out[changes[-1] + 1 :] = True
    return out


def _at_the_rail(values: np.ndarray, value: float) -> bool:
    """Whether a value is the highest or the lowest of (samples,), and far from the usual of the others."""
    others = values[(np.abs(values) < 1e6) & (values != value)]
    if not len(others) or others.min() < value < others.max():
        return False
    return abs(np.median(others) - value) > RAIL


def _runs(flags: np.ndarray, longer_than: float) -> np.ndarray:
    """Starts and stops, int (runs, 2), of the runs of True that are longer than so many samples."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])))).reshape(-1, 2)
    return edges[edges[:, 1] - edges[:, 0] > longer_than]


def _level(signal: np.ndarray, rate: float, limb: list[int]) -> tuple[np.ndarray, list[tuple[int, float, float]]]:
    """Take the steps out of the baselines of float32 (leads, samples): the signal without, and (lead, s, mV) of each step.

    The filter would spread each over seconds. A QRS complex or a pacing spike comes back, so medians on either side tell.
    limb: the rows of the limb leads, which share their electrodes: what one loses, all lose in their proportion.
    """
    half, brief, gap, sharp = (max(1, round(s * rate)) for s in (0.5, 0.1, 0.05, 0.01))
    blocks = signal.shape[1] // half
    coarse = signal[:, : blocks * half].reshape(len(signal), blocks, half)[..., :: max(1, round(rate / 50))]
    usual = np.median(coarse, axis=-1)
    moved = np.abs(usual[:, 2:] - usual[:, :-2]).max(axis=1, initial=0) > STEP / 2
    steps = []
    if moved.any():
        signal = signal.copy()
    for lead in np.flatnonzero(moved):
        x = signal[lead]
        jump = np.abs(x[2 * sharp :] - x[: -2 * sharp])
        for i in np.flatnonzero(jump > 0.7 * STEP):
            if jump[i] < jump[max(i - gap, 0) : i + gap].max():
                continue
            at = int(i) + sharp
            if min(at - gap, x.size - at - gap) < half:
                continue
            levels = [np.median(x[at + gap :][:n]) - np.median(x[: at - gap][-n:]) for n in (brief, half, 2 * half)]
            height = _height(x, at, sharp)
            if abs(height) < STEP or not all(0.8 < level / height < 1.25 for level in levels):
                continue
            for row in limb if lead in limb else [lead]:
                _take_out(signal[row], at, sharp)
            steps.append((int(lead), at / rate, height))
    return signal, steps


def _height(x: np.ndarray, at: int, sharp: int) -> float:
    """The step of (samples,) at a sample. Meanwhile the heart goes on as it does just before and after."""
    slope = (x[at - sharp] - x[at - 2 * sharp] + x[at + 2 * sharp] - x[at + sharp]) / 2
    return float(x[at + sharp] - x[at - sharp] - 2 * slope)


def _take_out(x: np.ndarray, at: int, sharp: int) -> None:
    """The same step gone, in place."""
    x[at + sharp :] -= _height(x, at, sharp)
    x[at - sharp : at + sharp + 1] = np.linspace(x[at - sharp], x[at + sharp], 2 * sharp + 1)


def resample(signal: np.ndarray, rate: float, to: float = SAMPLING_RATE) -> np.ndarray:
    """Polyphase resampling of float32 (leads, samples) from `rate` to `to` Hz, continued by its mirror image at either end.

    The same as `scipy.signal.resample_poly`, but for the ends.
    """
    ratio = Fraction(to / rate).limit_denominator(10_000)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal
    half = 10 * max(up, down)
    taps = np.sinc(np.arange(-half, half + 1) / max(up, down)) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    # Output m sits at m * down on the upsampled grid, where only each up-th sample is not zero.
    n = -(-signal.shape[1] * up // down)
    reach = half // up + 1
    padded = np.pad(signal, ((0, 0), (reach, reach + 1 + down)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    out = np.empty((signal.shape[0], n), np.float32)
    offsets = (np.arange(2 * reach + 1) - reach) * up
    for first in range(min(up, n)):
        position, phase = divmod(first * down, up)
        index = half + phase - offsets
        weights = np.where((index >= 0) & (index <= 2 * half), taps[np.clip(index, 0, 2 * half)], 0).astype(np.float32)
        count = len(range(first, n, up))
        out[:, first::up] = windows[:, position::down][:, :count] @ weights
    return out


def _filter(signal: np.ndarray, rate: float) -> np.ndarray:
    """Zero-phase band-pass of (leads, samples) at `rate`.

    The line through the recording is taken away first and the rest continued by its mirror image, so that neither the
    ends nor a drift leave a step there.
    """
    n = signal.shape[1]
    t = np.linspace(-1, 1, n, dtype=np.float32)
    signal = signal - signal.mean(1, keepdims=True)
    signal = signal - (signal @ t / (t @ t))[:, None] * t
    frequency = np.fft.rfftfreq(2 * n, 1 / rate)[1:]
    passed, stopped = (min(f * rate / SAMPLING_RATE, most) for f, most in zip(LOWPASS, WIDEST, strict=True))
    gain = 1 / (1 + (HIGHPASS / frequency) ** HIGHPASS_STEEPNESS)
    fall = np.clip((frequency - passed) / (stopped - passed), 0, 1)
    gain = np.concatenate(([0], gain * (1 + np.cos(np.pi * fall)) / 2)).astype(np.float32)
    spectrum = np.fft.rfft(np.concatenate((signal, signal[:, ::-1]), axis=1), axis=1)
    return np.fft.irfft(spectrum * gain, 2 * n, axis=1)[:, :n].astype(np.float32)


def _windows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths, int (windows,), of the windows of a recording of n samples."""
    if n <= WINDOW:
        return np.zeros(1, int), np.array([n])
    starts = np.arange(0, n - WINDOW + 1, WINDOW)
    if n - starts[-1] - WINDOW >= SHORTEST:
        starts = np.append(starts, n - WINDOW)  # overlaps the one before, so that it is full
    return starts, np.full(len(starts), WINDOW)


def _usable(signal: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """bool (windows, leads) for (windows, leads, samples)."""
    share = valid.mean(2)
    total = np.maximum(valid.sum(2), 1)
    mean = signal.sum(2) / total
    std = np.sqrt((np.where(valid, signal - mean[..., None], 0) ** 2).sum(2) / total)
    return (share >= USABLE) & (std >= FLAT_STD)


def _disconnected(signal: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Which leads have noise alone where others show beats: bool (windows, leads) for (windows, leads, samples)."""
    out = np.zeros_like(own)
    size = signal.std(axis=2)
    middle = (np.maximum(own.sum(1, keepdims=True), 1) - 1) // 2
    usual = np.take_along_axis(np.sort(np.where(own, size, np.inf), axis=1), middle, axis=1)  # their lower median
    doubtful = own & (size < SMALL * usual)
    for w, lead in np.argwhere(doubtful):  # heartbeats stand out of what lies between them
        doubtful[w, lead] = np.quantile(np.abs(signal[w, lead]), 0.995) < 4 * size[w, lead]
    for w in np.flatnonzero(doubtful.any(1)):
        peaks = r_peaks(signal[w], own[w] & ~doubtful[w])
        peaks = peaks[(peaks >= 15) & (peaks + 45 <= signal.shape[2])]
        if len(peaks) < 4:
            continue
        beats = cut(signal[w], peaks, 15, 45)
        beats = beats - beats.mean(axis=2, keepdims=True)
        typical = np.median(beats, axis=0)
        noise = 1.25 * (beats - typical).std(axis=(0, 2)) / np.sqrt(len(peaks))  # of a median over so many
        shown = typical.std(axis=1) / np.maximum(noise, 1e-9)
        if np.median(shown[own[w] & ~doubtful[w]]) > 2 * NO_BEAT:
            out[w] = doubtful[w] & (shown < NO_BEAT)
    return out


def _silent(signal: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Where (leads, samples) shows electrical silence: bool (samples,). All leads that are on rest, for two seconds at least."""
    n, blocks = signal.shape[1], signal.shape[1] // BLOCK
    parts = signal[:, : blocks * BLOCK].reshape(len(signal), blocks, BLOCK)
    line = np.linspace(-1, 1, BLOCK, dtype=np.float32)
    parts = parts - parts.mean(axis=2, keepdims=True)  # without what is left of the wander
    parts -= (parts @ line / (line @ line))[..., None] * line
    on = valid[:, : blocks * BLOCK].reshape(parts.shape).all(axis=2)
    rests = parts.std(axis=2) < FLAT_STD
    live = (on & ~rests).mean(axis=1) > 0.1
    on &= live[:, None] if live.any() else True  # a lead that never shows a wave tells nothing, unless none does
    at_rest = on.any(axis=0) & (rests | ~on).all(axis=0)
    out = np.zeros(n, bool)
    for start, stop in _runs(at_rest, SILENCE * SAMPLING_RATE / BLOCK - 1):
        out[start * BLOCK : n if stop == blocks else stop * BLOCK] = True
    return out


def _derive(signal: np.ndarray, valid: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Compute, in place, the limb leads that can be computed from two that are usable; → what is then usable, bool (windows, 12)."""
    mask = own.copy()
    for w in range(len(signal)):
        have = np.flatnonzero(own[w, :6])
        if len(have) < 2 or len(have) == 6:
            continue
        pair = have[:2]
        for lead in np.flatnonzero(~own[w, :6]):
            weights = np.linalg.solve(LIMB[pair].T, LIMB[lead])
            both = valid[w, pair].all(0)
            signal[w, lead] = np.where(both, weights @ signal[w, pair], 0)
            valid[w, lead] = both
            mask[w, lead] = _usable(signal[w, lead][None, None], both[None, None])[0, 0]
    return mask
