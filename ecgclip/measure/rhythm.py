"""R-R intervals, premature beats, pauses and atrial waves."""

from __future__ import annotations

import numpy as np

from ecgclip.ecg import AVF, II, III, V1
from ecgclip.measure.beats import GAP, NAN, Bounds, similarity
from ecgclip.peaks import RATE, cut_beats
from ecgclip.prepare import FLAT_STD


def _rhythm(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds) -> dict:
    every = np.array([around[0], *peaks, around[1]])
    every = every[np.isfinite(every)]
    # An interval with a gap in the signal is none: a beat may be missing in it.
    holes = np.cumsum(np.append(0, ~leads.any(axis=0)))[np.clip(every, 0, leads.shape[1]).astype(int)]
    whole = np.diff(holes) <= GAP
    between = np.diff(every) * 1000 / RATE
    nothing = {
        "heart_rate": NAN, "rr_ms": between[whole], "regular": None, "rr_variation": NAN, "rr_irregularity": NAN,
        "n_premature_narrow": 0, "n_premature_wide": 0, "alternating": None,
        "longest_pause_ms": _pause(leads, peaks, around, recorded, between[whole]),
    }  # fmt: skip
    if not whole.any() or not len(leads):
        return nothing
    values = nothing | {"heart_rate": 60000 / between[whole].mean()}
    if len(peaks) < 4:
        return values
    rr = np.diff(peaks) * 1000 / RATE
    before_rr = np.append((peaks[0] - around[0]) * 1000 / RATE, rr)
    alike = similarity(leads, peaks)
    inside = (peaks >= 14) & (peaks + 14 <= leads.shape[1])
    # The interval to expect is the one between beats of the dominant shape; mean of short and long in bigeminy.
    plain = rr[(alike[1:] > 0.85) & (alike[:-1] > 0.85)]
    expected = np.median(plain) if len(plain) > 2 else rr.mean()
    unknown = np.isnan(before_rr)
    early = np.where(unknown, rr[0] > 1.1 * expected, before_rr < 0.87 * expected)
    width = _width(leads, peaks)
    usual = np.median(width[alike > 0.85]) if (alike > 0.85).any() else np.median(width)
    odd = (alike < 0.5) | ((alike < 0.8) & (width >= usual + 15)) | ((alike < 0.93) & (width >= usual + 40))
    wide = inside & odd & (width >= 80) & np.where(unknown, early, before_rr < 0.95 * expected)
    # The intervals before and after a wide beat say nothing on the rhythm beneath; of beats outside, the shape is not known.
    shown = np.pad(wide, tuple(int(np.isfinite(p)) for p in around))
    own = between[whole & ~(shown[1:] | shown[:-1])]
    own = own if len(own) > 2 else between[whole]
    lags = [np.median(np.abs(own[lag:] - own[:-lag])) for lag in range(1, 4) if len(own) > lag + 2]
    irregularity = min(lags, default=NAN) / np.median(own)
    variation = own.std() / own.mean()
    # Early beats mean something only against a rhythm that is otherwise regular.
    narrow = early & ~wide & ~unknown & (alike > 0.8) if irregularity < 0.07 else np.zeros(len(peaks), bool)
    premature = wide | narrow
    return values | {
        "regular": bool(variation < 0.08), "rr_variation": variation, "rr_irregularity": irregularity,
        "n_premature_narrow": int(narrow.sum()), "n_premature_wide": int(wide.sum()),
        "alternating": _alternates(rr, premature),
    }  # fmt: skip


def _pause(leads: np.ndarray, peaks: np.ndarray, around: Bounds, recorded: Bounds, rr_ms: np.ndarray) -> float:
    """The longest time without a heartbeat, ms; without any, NaN unless the line is flat: small beats are not seen."""
    first, last = (peaks[0], peaks[-1]) if len(peaks) else (around[1], around[0])
    before = first - recorded[0] if np.isnan(around[0]) else NAN  # at least so long, and longer if it began before
    after = recorded[1] - last if np.isnan(around[1]) else NAN
    nothing = not len(peaks) and np.isnan(around).all()
    if nothing and leads.any() and (leads.std(axis=1) < FLAT_STD).all():
        before = recorded[1] - recorded[0]
    return float(np.fmax.reduce([NAN, before * 1000 / RATE, after * 1000 / RATE, *rr_ms]))


def _alternates(rr: np.ndarray, premature: np.ndarray) -> bool:
    """Whether short and long intervals take turns at least four times, or nearly every second beat is premature."""
    turns = np.diff(rr) / np.median(rr)
    turning = (np.abs(turns) > 0.2) & (np.append(np.sign(turns[1:]) == -np.sign(turns[:-1]), True))
    run = longest = 0
    for turn in turning:
        run = run + 1 if turn else 0
        longest = max(longest, run)
    return bool(longest >= 4 or premature.sum() >= max(3, 0.4 * len(premature)))


def _width(leads: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """QRS width of every beat, ms: how long the leads together move faster than a fifth of their fastest."""
    speed = np.abs(np.diff(cut_beats(leads, peaks, 13, 15), axis=2)).sum(axis=1)
    fast = speed > 0.2 * speed.max(axis=1, keepdims=True)
    return (fast.shape[1] - np.argmax(fast[:, ::-1], axis=1) - np.argmax(fast, axis=1)) * 1000 / RATE


ATRIAL_LEADS = (II, III, AVF, V1)  # where flutter waves stand out
FLUTTER_PER_MINUTE = (220, 370)
SLOWEST, FASTEST, WIDTH, SPECTRUM = (
    40,
    600,
    25,
    2048,
)  # waves per minute: the band looked at, half a peak's width; samples


def _atria(signal: np.ndarray, mask: np.ndarray, peaks: np.ndarray) -> dict:
    """The spectrum of what is left when a line replaces each QRS complex."""
    names = ("atrial_rate", "atrial_share", "atrial_contrast", "atrial_mv")
    signal = signal[:, :SPECTRUM]
    leads = [lead for lead in ATRIAL_LEADS if mask[lead]] or np.flatnonzero(mask)
    time = np.arange(signal.shape[1])
    between = np.ones(len(time), bool)
    between[np.clip(peaks[:, None] + np.arange(-6, 7), 0, len(time) - 1)] = False
    if not len(leads) or between.sum() < RATE:
        return dict.fromkeys(names, NAN)
    x = np.stack([np.interp(time, time[between], row[between]) for row in signal[leads]])
    window = np.hanning(x.shape[1])
    x = (x - x.mean(axis=1, keepdims=True)) * window
    power = (np.abs(np.fft.rfft(x, SPECTRUM, axis=1)) ** 2).sum(axis=0) / (window**2).sum()
    pace = np.fft.rfftfreq(SPECTRUM, 1 / RATE) * 60
    inside = lambda low, high: (pace > low) & (pace < high)
    flutter = np.flatnonzero(inside(*FLUTTER_PER_MINUTE))
    rate = pace[flutter[np.argmax(power[flutter])]]
    wave = power[inside(rate - WIDTH, rate + WIDTH)].sum()
    fast, slow = power[inside(FLUTTER_PER_MINUTE[0], FASTEST)].sum(), power[inside(SLOWEST, 200)].sum()
    mv = 2 * np.sqrt(
        wave / SPECTRUM / len(leads)
    )  # a sine's power is a quarter of its squared amplitude on either side
    return dict(zip(names, (rate, wave / max(fast, 1e-12), wave / max(wave + slow, 1e-12), mv), strict=True))
