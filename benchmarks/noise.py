"""Real noise, added to prepared ECGs at a signal-to-noise ratio.

    training window ─less its typical heartbeat─▶ what is left of each lead ─of quiet leads─▶ strips of power 1
    a strip each for I, II, V1–V6 ─III, aVR, aVL, aVF derived─▶ noise of twelve leads ─scaled─▶ + window of the test set

Noise of recordings at a chosen ratio is the idea of the noise stress test (Moody, Muldrow & Mark, Computers in
Cardiology 1984), whose electrodes were placed where the heart is hardly seen. Such recordings are not at hand: leads
with a small heartbeat take their place, of PTB-XL and of what Challenge 2011 calls unacceptable. Both are training
ECGs, never a test patient's. Signal, noise and ratio are those of the prepared signal: 100 Hz, filtered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgclip.data.windows import Windows
from ecgclip.ecg import LEADS
from ecgclip.prepare import LIMB, SAMPLING_RATE
from ecgclip.train.sources import Splits

SAMPLES = 1000  # of a strip: a whole window
BEFORE, AFTER = 30, 50  # samples around R that the typical heartbeat has
RAMP = 8  # samples over which it begins and ends
QRS = 8  # samples on either side of R
QUIET = 3.0  # dB: the most that the heartbeats of a quiet lead are above what is left
LEFT_OF_QRS = (
    1.5  # what is left near R has at most so many times the power of the rest: else it is left of a QRS complex
)
OWN = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]  # leads with noise of their own


def noise_bank(splits: Splits) -> list[np.ndarray]:
    """The strips (n, SAMPLES) of each source: of PTB-XL in sinus rhythm, and of the bad recordings of Challenge 2011.

    splits : dict
        Training windows of both.
    """
    good, bad = splits["ptb-xl"], splits["challenge-2011"]
    sinus = [i for i, case in enumerate(good.cases) if "sinus-rhythm" in case.annotated]  # elsewhere atria are left
    poor = [i for i, case in enumerate(bad.cases) if case.statements["poor-signal-quality"]]
    return [
        strips(good.windows, np.flatnonzero(np.isin(good.windows.case, sinus))),
        strips(bad.windows, np.flatnonzero(np.isin(bad.windows.case, poor))),
    ]


def strips(windows: Windows, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """What is left of the quiet leads of some whole windows without their heartbeats: float32 (n, SAMPLES), power 1."""
    found = [np.zeros((0, SAMPLES), np.float32)]
    for i in (i for i in rows if windows.length[i] == SAMPLES):
        signal = windows.signal[i].astype(np.float32)
        peaks = windows.r_peaks[i][~np.isnan(windows.r_peaks[i])]
        at = np.round(peaks * SAMPLING_RATE).astype(int)
        left = without_heartbeats(signal, at)
        if left is not None:
            chosen = left[windows.mask[i] & is_quiet(signal - left, left, at)]
            chosen -= chosen.mean(1, keepdims=True)
            found.append(chosen / power(chosen)[:, None] ** 0.5)
    return np.concatenate(found)


def without_heartbeats(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray | None:
    """The signal (leads, samples) less the median beat of each lead at every R peak (samples); None: too few beats."""
    samples = signal.shape[1]
    whole = peaks[(peaks >= BEFORE) & (peaks <= samples - AFTER)]
    if len(whole) < 3:
        return None
    beat = np.median([signal[:, p - BEFORE : p + AFTER] for p in whole], 0)
    beat *= np.interp(np.arange(BEFORE + AFTER), [0, RAMP, BEFORE + AFTER - 1 - RAMP, BEFORE + AFTER - 1], [0, 1, 1, 0])
    left = signal.copy()
    for p in peaks:
        first, last = max(0, p - BEFORE), min(samples, p + AFTER)
        left[:, first:last] -= beat[:, first - p + BEFORE : last - p + BEFORE]
    return left


def is_quiet(heart: np.ndarray, left: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Which leads show noise rather than heartbeats, bool (leads,); heart, left: (leads, samples)."""
    near = (np.abs(np.arange(left.shape[1])[:, None] - peaks) <= QRS).any(1)
    small = power(heart) <= 10 ** (QUIET / 10) * power(left)
    return small & (power(left[:, near]) <= LEFT_OF_QRS * power(left[:, ~near])) & (power(left) > 0)


def power(signal: np.ndarray) -> np.ndarray:
    """(…, samples) → (…,), mV²."""
    return (signal.astype(float) ** 2).mean(-1)


def twelve_leads(bank: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Noise of twelve leads, float (12, SAMPLES): a source is drawn for the window, then a strip for each lead.

    Each strip begins anywhere and runs in a circle. The limb leads obey Einthoven's law, as electrodes make them do.
    """
    source = bank[rng.integers(len(bank))]
    noise = np.zeros((12, SAMPLES))
    for lead in OWN:
        noise[lead] = np.roll(source[rng.integers(len(source))], rng.integers(SAMPLES))
    noise[:6] = LIMB @ noise[:2]
    return noise


def add_noise(windows: Windows, snr_db: float, bank: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """The signals of windows with noise, float32 (n, 12, samples).

    A window gets the same noise at every ratio, but for its size. The ratio is the power of the signal over that of the
    noise, both summed over the recorded leads and samples; what noise the recording has counts as signal.

    Parameters
    ----------
    windows : Windows
    snr_db : float
        Signal-to-noise ratio, dB.
    bank : sequence of arrays
        As of `noise_bank`.
    seed : int
    """
    noisy = windows.signal.astype(np.float32)
    for i, (mask, length) in enumerate(zip(windows.mask, windows.length, strict=True)):
        noise = twelve_leads(bank, np.random.default_rng([seed, i]))[mask, :length]
        heart = noisy[i, mask, :length]
        scale = np.sqrt(power(heart).sum() / power(noise).sum() / 10 ** (snr_db / 10))
        noisy[i, mask, :length] = heart + scale * noise
    return noisy
