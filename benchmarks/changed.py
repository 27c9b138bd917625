"""A test set as it would have been recorded with fewer leads, or with noise: what the encoder sees is measured anew.

windows ─leads masked, or noise added─▶ signal ─R peaks─▶ beats ─measure─▶ measurements, readings of the criteria
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import noise
import numpy as np
from ablations import recipe_of

from ecgclip.data.windows import MAX_BEATS, Windows
from ecgclip.ecg import LEADS
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria.readings import read
from ecgclip.measure.batch import Window
from ecgclip.measure.measurement import measure_many
from ecgclip.measure.vector import features_of
from ecgclip.peaks import r_peaks
from ecgclip.prepare import LIMB, SAMPLING_RATE
from ecgclip.train.sources import Splits, load_split

LIMB_LEADS = LEADS[: len(LIMB)]
FEWER_LEADS = {  # two limb leads give all six, as in `prepare`
    "6 leads": LIMB_LEADS,
    "3 leads": (*LIMB_LEADS, "V2"),
    "2 leads": ("II", "V5"),
    "1 lead": ("I",),
}
SNRS = (24, 12, 6, 0)  # dB


def changed(windows: Windows, data: Path, runs: Path) -> dict[str, Windows]:
    """The windows with fewer leads and with noise, measured anew; they are kept in `runs`."""
    code = b"".join(Path(file).read_bytes() for file in (noise.__file__, __file__))
    prepared = f"{getattr(windows.signal, 'filename', '')} {windows.signal.shape}"  # the name says of what, and how
    folder = runs / "changed" / hashlib.sha256(code + prepared.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    bank: list[np.ndarray] = []
    found = {}
    for name in (*FEWER_LEADS, *(f"{snr} dB" for snr in SNRS)):
        file = folder / f"{name.replace(' ', '-')}.npz"
        if not file.exists():
            if name in FEWER_LEADS:
                shown = measured_anew(windows, windows.signal, windows.mask & np.isin(LEADS, FEWER_LEADS[name]))
            else:
                bank = bank or noise.noise_bank(noise_sources(data))
                noisy = noise.add_noise(windows, float(name.removesuffix(" dB")), bank)
                shown = measured_anew(windows, noisy, windows.mask)
            keep(file, shown)
        found[name] = replace(windows, **np.load(file))
    return found


def keep(file: Path, windows: Windows) -> None:
    """Write what differs in changed windows; other processes see the whole file or none."""
    partial = file.with_name(f"{time.time_ns()}.npz")
    columns = ("signal", "mask", "r_peaks", "features", "readings")
    np.savez(partial, **{name: getattr(windows, name) for name in columns})
    partial.rename(file)


def noise_sources(data: Path) -> Splits:
    """Training windows that noise is taken from."""
    recipe, _ = recipe_of({"data": ["ptb-xl", "challenge-2011"]}, "noise", 0)
    return load_split(recipe, data, KnowledgeBase.load(), validation=False)


def measured_anew(windows: Windows, signal: np.ndarray, mask: np.ndarray) -> Windows:
    """The windows with other signals (n, 12, samples) and leads (n, 12): R peaks, measurements and readings, too."""
    signal = np.where(mask[:, :, None], signal, 0).astype(np.float32)
    peaks, shown = np.full((len(windows), MAX_BEATS), np.nan, np.float32), []
    for i, length in enumerate(windows.length):
        at = r_peaks(signal[i, :, :length], mask[i])
        peaks[i, : len(at)] = at[:MAX_BEATS] / SAMPLING_RATE
        shown.append(Window(signal[i, :, :length], mask[i], at))
    measurements = measure_many(shown)
    readings = np.stack([read(m) for m in measurements])
    features = features_of(measurements)[:, None]
    return replace(
        windows, signal=signal.astype(np.float16), mask=mask, r_peaks=peaks, features=features, readings=readings
    )
