"""Cases as arrays: prepared, measured, and kept on disk, so that an archive need not fit into memory.

case ──read, prepare──▶ windows ──R peaks, measure (in several lead subsets)──▶ one row of every column
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.data.mitdb import BEATS
from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic
from ecgclip.io.wfdb import read_ecg
from ecgclip.measure.beats import find_beats
from ecgclip.measure.guideline import findings
from ecgclip.measure.measurement import measure
from ecgclip.measure.vector import features
from ecgclip.prepare import SAMPLING_RATE, prepare

MAX_BEATS = 40  # in a 10 s window: 240 beats a minute
VARIANTS = 8  # lead subsets of a window in which it is measured for training
LIMB = slice(0, 6)  # of the twelve leads
PREPARATION = (
    "ecg.py",
    "peaks.py",
    "prepare.py",
    "io/wfdb.py",
    "data/windows.py",
)  # beside measure/: what the arrays depend on
BLOCK = 1024  # cases whose rows are written at once; an interruption costs no more


@dataclass(frozen=True)
class Windows:
    """Cases as arrays, one row a window, memory-mapped where they lie on disk.

    signal float16 (n, 12, 10 × sampling rate) mV, mask bool (n, 12), length int (n,) samples, r_peaks float32 (n, MAX_BEATS) s with NaN padding,
    leads bool (n, variants, 12), lead subsets, the first of them `mask`; features float32 (n, variants, …), measured in each;
    findings int8 (n, keys), beats int16 (n, MAX_BEATS) index into `beat_concepts`; 1 present, 0 absent, -1 unknown;
    case int (n,) index into the cases.
    """

    signal: np.ndarray
    mask: np.ndarray
    length: np.ndarray
    r_peaks: np.ndarray
    leads: np.ndarray
    features: np.ndarray
    findings: np.ndarray
    beats: np.ndarray
    case: np.ndarray
    finding_keys: tuple[str, ...]
    beat_concepts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case)


def case_windows(
    case: Case, keys: tuple[str, ...], sampling_rate: int = SAMPLING_RATE, variants: int = VARIANTS, most: int = 3
) -> list[dict[str, np.ndarray]]:
    """The first `most` windows of a case, prepared for an encoder of that rate, with R peaks and findings."""
    prepared = prepare(read_ecg(case.path).between(case.start_s, case.stop_s), sampling_rate)
    beats = find_beats(prepared)
    rows = []
    for i in range(min(most, len(prepared.signal))):
        signal, mask, length = prepared.signal[i], prepared.mask[i], prepared.length[i]
        of_beats = beats.windows[i], beats.around[i], beats.recorded[i]
        peaks = beats.windows[i][:MAX_BEATS]
        measurement = measure(signal[:, :length], mask, *of_beats)
        found = findings(measurement, case.age, case.sex)
        name = "/".join(Path(case.path).parts[-2:])  # the same wherever the data set lies
        rng = np.random.default_rng([zlib.crc32(name.encode()), i])
        leads = np.stack([mask, *(mask & keep_leads(rng) for _ in range(variants - 1))])
        leads[~leads.any(1)] = mask
        measured = {mask.tobytes(): features(measurement)}  # a record of one lead has but one variant
        for kept in leads:
            if kept.tobytes() not in measured:
                measured[kept.tobytes()] = features(measure(signal[:, :length] * kept[:, None], kept, *of_beats))
        seconds = np.full(MAX_BEATS, np.nan, np.float32)
        seconds[: len(peaks)] = peaks / SAMPLING_RATE
        rows.append(
            {
                "signal": prepared.encoder_signal[i].astype(np.float16),
                "mask": mask,
                "length": np.int64(round(length * sampling_rate / SAMPLING_RATE)),
                "r_peaks": seconds,
                "leads": leads,
                "features": np.stack([measured[kept.tobytes()] for kept in leads]),
                "findings": np.array([UNKNOWN if found[k] is None else found[k] for k in keys], np.int8),
                "beats": _match_beats(seconds, case.beats),
            }
        )
    return rows


def keep_leads(rng: np.random.Generator) -> np.ndarray:
    """A subset as devices have it: one lead, two, the limb leads, or any; two limb leads give all six, as in prepare()."""
    kind = rng.random()
    keep = np.zeros(12, bool)
    if kind < 0.4:
        keep[rng.choice([0, 1, 6]) if rng.random() < 0.7 else rng.integers(12)] = True
    elif kind < 0.6:
        keep[[1, rng.integers(6, 12)]] = True
    elif kind < 0.75:
        keep[LIMB] = True
    else:
        keep[rng.permutation(12)[: rng.integers(2, 12)]] = True
    if keep[LIMB].sum() >= 2:
        keep[LIMB] = True
    return keep


def _match_beats(r_peaks_s: np.ndarray, beats: tuple[tuple[float, str], ...]) -> np.ndarray:
    kinds = sorted(set(BEATS.values()))
    out = np.full(MAX_BEATS, UNKNOWN, np.int16)
    for i, peak in enumerate(r_peaks_s):
        near = min(beats, key=lambda b: abs(b[0] - peak), default=None) if np.isfinite(peak) else None
        if near and abs(near[0] - peak) < 0.15:  # the tolerance of ANSI/AAMI EC57
            out[i] = kinds.index(near[1])
    return out


def _stamp(record: str) -> list[float]:
    """Size and time of a record's files: another file of the same name is another record."""
    files = [Path(f"{record}{ending}") for ending in (".hea", ".dat", ".mat")]
    return [x for f in files if f.exists() for x in (f.stat().st_size, f.stat().st_mtime)]


def _try_windows(job: tuple[Any, ...]) -> list[dict] | str:
    try:
        return case_windows(*job)
    except EcgclipError as error:
        return str(error)


def load_windows(
    cases: list[Case],
    cache: Path,
    workers: int = 1,
    log: Callable[[str], None] = print,
    sampling_rate: int = SAMPLING_RATE,
    variants: int = VARIANTS,
) -> Windows:
    """Prepare and measure `cases`, by `workers` processes; a record that cannot be read is logged and left out.

    `cache` is a folder that keeps the arrays: they are made again when the cases, the records' files or the code's preparation
    differ, and an interrupted run goes on where it stopped. Raises EcgclipError if no record can be read.
    """
    from ecgclip.measure.guideline import finding_texts

    keys = tuple(finding_texts())
    package = Path(__file__).parents[1]
    modules = [*(package / name for name in PREPARATION), *sorted(package.glob("measure/*.py"))]
    code = b"".join(module.read_bytes() for module in modules)
    described = [[c.path, *_stamp(c.path), c.start_s, c.stop_s, c.age, c.sex, c.beats] for c in cases]
    settings = [keys, sorted(set(BEATS.values())), sampling_rate, variants]
    digest = hashlib.sha256(code + json.dumps([described, settings]).encode()).hexdigest()[:16]
    folder = cache / f"windows-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        # an empty database is a lock that the system frees however its holder ends: others wait, then find the folder
        with closing(sqlite3.connect(cache / f"{folder.name}.lock", timeout=1e6, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            if not folder.is_dir():
                _write(folder, [(c, keys, sampling_rate, variants) for c in cases], workers, log)
    table = json.loads((folder / "columns.json").read_text())["columns"]
    columns = {k: np.memmap(folder / k, np.dtype(kind), "r", shape=tuple(shape)) for k, (kind, shape) in table.items()}
    return Windows(**columns, finding_keys=keys, beat_concepts=tuple(sorted(set(BEATS.values()))))


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that, when interrupted, does not work off what is waiting first."""
    pool = ProcessPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _write(folder: Path, jobs: list[tuple], workers: int, log: Callable[[str], None]) -> None:
    """The rows of all jobs, appended a block at a time to one file a column in a folder beside, which at last gets its name."""
    from rich.progress import Progress

    partial = folder.with_name(f"{folder.name}.partial")
    state = partial / "columns.json"
    partial.mkdir(exist_ok=True)
    done = json.loads(state.read_text()) if state.exists() else {"cases": 0, "columns": {}}
    for name, (kind, shape) in done["columns"].items():  # rows behind the last block that was finished
        os.truncate(partial / name, np.dtype(kind).itemsize * int(np.prod(shape)))
    with _processes(workers) as pool, Progress() as bar:
        task = bar.add_task("preparing", total=len(jobs), completed=done["cases"])
        while done["cases"] < len(jobs):
            first = done["cases"]
            rows, index = [], []
            results = pool.map(_try_windows, jobs[first : first + BLOCK], chunksize=16)
            for i, result in enumerate(results):
                bar.advance(task)
                if isinstance(result, str):
                    log(f"left out: {result}")
                else:
                    rows += result
                    index += [first + i] * len(result)
            if rows:
                block = {k: np.stack([r[k] for r in rows]) for k in rows[0]} | {"case": np.array(index)}
                for name, values in block.items():
                    with (partial / name).open("r+b" if name in done["columns"] else "wb") as file:
                        file.seek(0, os.SEEK_END)
                        values.tofile(file)
                        os.fsync(file.fileno())  # else a power cut may leave fewer rows than columns.json tells
                    known = done["columns"].get(name, [values.dtype.str, [0, *values.shape[1:]]])
                    done["columns"][name] = [known[0], [known[1][0] + len(values), *known[1][1:]]]
            done["cases"] = min(first + BLOCK, len(jobs))
            write_atomic(state, json.dumps(done))
    if not done["columns"]:
        shutil.rmtree(partial)
        raise EcgclipError("no record of the training data could be read")
    partial.rename(folder)
