"""A test set as it would have been recorded with fewer leads, or with noise: what the encoder sees is measured anew.

windows ─leads masked, or noise added─▶ signal ─R peaks─▶ beats ─measure─▶ measurements, readings of the criteria

    python benchmarks/changed.py $ECGCLIP_DATA runs/backbones results/changed

scores the superclasses of fold 9 so by the shipped model.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import noise
import numpy as np
from ablations import by_record, readings_by_record, recipe_of, whole_sets
from unseen import probabilities

from ecgclip.data.windows import MAX_BEATS, Windows
from ecgclip.ecg import LEADS
from ecgclip.evaluate.metrics import difference, label_summary, resample
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import patient_numbers, truth_table
from ecgclip.files import code_version, write_json
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria.readings import read
from ecgclip.measure.batch import Window
from ecgclip.measure.measurement import measure_many
from ecgclip.measure.vector import features_of
from ecgclip.model.store import load_model
from ecgclip.peaks import r_peaks
from ecgclip.prepare import LIMB, SAMPLING_RATE
from ecgclip.train.sources import Splits, load_split
from ecgclip.train.validation import embed_windows

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    model = load_model()
    cases, windows, labels, least = whole_sets(model, args.data)["fold 9, superclasses"]
    cases = [cases[i] for i in np.unique(windows.case)]
    truth, patients = truth_table(cases, labels), patient_numbers(cases)
    rows: list[dict[str, Any]] = []
    unchanged: np.ndarray | None = None
    for name, shown in {"none": windows, **changed(windows, args.data, args.runs)}.items():
        vectors = by_record(shown, embed_windows(model, shown))[1]
        score = probabilities(model, vectors, readings_by_record(shown, cases), labels).both
        figures = label_summary(resample(score, truth, patients, 0), truth, labels, least)[1]
        row = {"change": name, "auroc": figures["auroc"]}
        if unchanged is None:
            unchanged = score
        else:
            row["less none"] = difference(unchanged, score, truth, patients, labels, least, 0)[1]["auroc"]
        print(row, flush=True)
        rows.append(row)
    results = {"task": "changed", "records": len(cases), "changes": rows, "weights_sha256": model.weights_sha256}
    results |= {"data_sha256": cases_hash(cases), "code_version": code_version()}
    write_json(args.out / "results.json", results | {"command": " ".join(["python", *sys.argv])})


if __name__ == "__main__":
    main()
