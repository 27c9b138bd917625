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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecgclip.blas import one_blas_thread
from ecgclip.data.beats import BEAT_CONCEPTS, match_beats
from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import write_atomic
from ecgclip.io.read import read_ecg
from ecgclip.io.records import record_stamp
from ecgclip.knowledge.criteria.readings import read
from ecgclip.measure.batch import Window
from ecgclip.measure.beats import find_beats_of_many
from ecgclip.measure.guideline import finding_texts, findings
from ecgclip.measure.measurement import Measurement, measure_many, windows_of
from ecgclip.measure.vector import features_of
from ecgclip.networks.demographics import demographics
from ecgclip.prepare import SAMPLING_RATE, Prepared, prepare_many

MAX_BEATS = 40  # in a 10 s window: 240 beats a minute
VARIANTS = 8  # lead subsets of a window in which it is measured for training
LIMB = slice(0, 6)  # of the twelve leads
# modules besides those of io/ and measure/ on which the arrays depend
PREPARATION = (
    "ecg.py", "peaks.py", "prepare.py", "repair.py", "spikes.py", "data/beats.py", "data/windows.py",
    "knowledge/criteria/quantities.py", "knowledge/criteria/readings.py",
)  # fmt: skip
CHUNK = 32  # cases that a process prepares and measures together
BLOCK = 1024  # cases whose rows are written at once; an interruption costs no more


@dataclass(frozen=True)
class Windows:
    """Cases as arrays, one row a window, memory-mapped where they lie on disk.

    Attributes
    ----------
    signal : float16 (n, 12, 10 × sampling rate)
        In mV.
    mask : bool (n, 12)
        Leads that are there.
    length : int (n,)
        Samples of the window that are recorded.
    r_peaks : float32 (n, MAX_BEATS)
        In s, with NaN padding.
    leads : bool (n, variants, 12)
        Lead subsets, the first of them `mask`.
    features : float32 (n, variants, …)
        Measured in each of the lead subsets.
    readings : float32 (n, quantities)
        What the criteria ask for, as of `ecgclip.knowledge.criteria.Readings`.
    findings : int8 (n, keys)
        1 present, 0 absent, -1 unknown.
    beats : int16 (n, MAX_BEATS)
        Kind of the beat at each R peak, as an index into `beat_concepts`; -1 unknown.
    case : int (n,)
        Index into the cases.
    demographics : float32 (n, 2)
        Age and sex of the patient, as of `ecgclip.networks.demographics`; NaN is unknown.
    finding_keys : tuple of str
        Names of the findings.
    beat_concepts : tuple of str
        Concept ids of the kinds of beats.
    """

    signal: np.ndarray
    mask: np.ndarray
    length: np.ndarray
    r_peaks: np.ndarray
    leads: np.ndarray
    features: np.ndarray
    readings: np.ndarray
    findings: np.ndarray
    beats: np.ndarray
    case: np.ndarray
    demographics: np.ndarray
    finding_keys: tuple[str, ...]
    beat_concepts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case)

    def measured(self, variant: int = 0, demographics: bool = False) -> np.ndarray:
        """The measurements in a lead subset, float32 (n, …), with age and sex behind them if they are wanted."""
        features = self.features[:, variant]
        return np.concatenate([features, self.demographics], 1) if demographics else features


# ---------------------------------------------------------------------------------------------------------------------
# A few cases


@one_blas_thread()
def case_windows(
    cases: Sequence[Case],
    keys: tuple[str, ...],
    sampling_rate: int = SAMPLING_RATE,
    variants: int = VARIANTS,
    max_windows: int = 3,
) -> list[list[dict[str, np.ndarray]] | EcgclipError]:
    """Prepare and measure the first windows of cases.

    Parameters
    ----------
    cases : sequence of Case
        The records.
    keys : tuple of str
        Findings to keep.
    sampling_rate : int
        Of the encoder, in Hz.
    variants : int
        Lead subsets in which each window is measured.
    max_windows : int
        Later windows of a long record are left out.

    Returns
    -------
    list
        For each case why it cannot be read, or for each of its windows the columns of `Windows`, without `case`.
    """
    rows: list[list[dict[str, np.ndarray]]] = [[] for _ in cases]
    failed: dict[int, EcgclipError] = {}
    ecgs: dict[int, ECG] = {}
    for i, case in enumerate(cases):
        try:
            ecgs[i] = read_ecg(case.path).between(case.start_s, case.stop_s)
        except EcgclipError as error:
            failed[i] = error
    read_cases: dict[int, Prepared] = {}
    for i, prepared in zip(ecgs, prepare_many(list(ecgs.values()), sampling_rate), strict=True):
        if isinstance(prepared, EcgclipError):
            failed[i] = prepared
        else:
            read_cases[i] = prepared
    beats = find_beats_of_many(list(read_cases.values()))
    shown = [
        _Shown(i, k, window, _lead_subsets(cases[i], k, window.mask, variants))
        for (i, prepared), found in zip(read_cases.items(), beats, strict=True)
        for k, window in enumerate(windows_of(prepared, found)[:max_windows])
    ]
    for one, measurements in zip(shown, _measured(shown), strict=True):
        signal = read_cases[one.case].encoder_signal[one.number]
        rows[one.case].append(_row(cases[one.case], one, signal, measurements, keys, sampling_rate))
    return [failed.get(i, rows_of_case) for i, rows_of_case in enumerate(rows)]


class _Shown(NamedTuple):
    """A window of a case, and the subsets of its leads that it is measured in, bool (variants, 12)."""

    case: int
    number: int
    window: Window
    leads: np.ndarray


def _measured(shown: Sequence[_Shown]) -> list[list[Measurement]]:
    """Each window measured in all of its lead subsets; a subset that comes twice is measured once."""
    whole = measure_many([one.window for one in shown])
    parts: dict[tuple[int, bytes], Window] = {}
    for i, one in enumerate(shown):
        for subset in one.leads[1:]:
            if (subset != one.leads[0]).any():
                signal = one.window.signal * subset[:, None]
                parts.setdefault((i, subset.tobytes()), one.window._replace(signal=signal, mask=subset, parts={}))
    found = dict(zip(parts, measure_many(list(parts.values())), strict=True))
    return [[found.get((i, subset.tobytes()), whole[i]) for subset in one.leads] for i, one in enumerate(shown)]


def _row(
    case: Case,
    one: _Shown,
    signal: np.ndarray,
    measurements: Sequence[Measurement],
    keys: tuple[str, ...],
    sampling_rate: int,
) -> dict[str, np.ndarray]:
    """The columns of one window; signal: float32 (12, samples) at the encoder's rate."""
    window, whole = one.window, measurements[0]
    r_peaks_s = _padded_seconds(window.peaks)
    found = findings(whole, case.age, case.sex)
    return {
        "signal": signal.astype(np.float16),
        "mask": window.mask,
        "length": np.array(round(window.signal.shape[1] * sampling_rate / SAMPLING_RATE)),
        "r_peaks": r_peaks_s,
        "leads": one.leads,
        "features": features_of(measurements),
        "readings": read(whole),
        "findings": np.array([UNKNOWN if found[key] is None else found[key] for key in keys], np.int8),
        "beats": _beat_kinds(r_peaks_s, case.beats),
    }


def _lead_subsets(case: Case, window: int, mask: np.ndarray, variants: int) -> np.ndarray:
    """bool (variants, 12): the leads that are there, then random subsets of them."""
    name = "/".join(Path(case.path).parts[-2:])  # the same wherever the data set lies
    rng = np.random.default_rng([zlib.crc32(name.encode()), window])
    leads = np.stack([mask, *(mask & keep_leads(rng) for _ in range(variants - 1))])
    leads[~leads.any(1)] = mask
    return leads


def keep_leads(rng: np.random.Generator) -> np.ndarray:
    """Draw leads as devices have them: one, two, the limb leads, or any; two limb leads give all six, as in prepare().

    Returns
    -------
    bool (12,)
    """
    kind = rng.random()
    keep = np.zeros(12, bool)
    if kind < 0.4:
        keep[rng.choice([0, 1, 6]) if rng.random() < 0.7 else rng.integers(12)] = True
    elif kind < 0.6:
        keep[[1, int(rng.integers(6, 12))]] = True
    elif kind < 0.75:
        keep[LIMB] = True
    else:
        keep[rng.permutation(12)[: rng.integers(2, 12)]] = True
    if keep[LIMB].sum() >= 2:
        keep[LIMB] = True
    return keep


def _padded_seconds(peaks: np.ndarray) -> np.ndarray:
    """R peaks in samples → float32 (MAX_BEATS,) in s, with NaN padding."""
    seconds = np.full(MAX_BEATS, np.nan, np.float32)
    seconds[: len(peaks)] = peaks[:MAX_BEATS] / SAMPLING_RATE
    return seconds


def _beat_kinds(r_peaks_s: np.ndarray, beats: Sequence[tuple[float, str]]) -> np.ndarray:
    """int16 (MAX_BEATS,): kind of the annotated beat at each R peak, -1 where there is none."""
    kinds = np.array([*(BEAT_CONCEPTS.index(concept) for _, concept in beats), UNKNOWN], np.int16)
    return kinds[match_beats(r_peaks_s, np.array([t for t, _ in beats]))]  # no match is -1: the last of `kinds`


# ---------------------------------------------------------------------------------------------------------------------
# All cases, on disk


def load_windows(
    cases: list[Case], cache: Path, workers: int = 1, sampling_rate: int = SAMPLING_RATE, variants: int = VARIANTS
) -> Windows:
    """Prepare and measure cases, or map what an earlier call has kept; a record that cannot be read is left out.

    Parameters
    ----------
    cases : list of Case
        The records.
    cache : Path
        A folder that keeps the arrays: they are made again when the cases, the records' files or the code of the
        preparation differ. An interrupted run goes on where it stopped.
    workers : int
        Processes.
    sampling_rate : int
        Of the encoder, in Hz.
    variants : int
        Lead subsets in which each window is measured.

    Raises
    ------
    EcgclipError
        No record can be read.
    """
    keys = tuple(finding_texts())
    folder = cache / f"windows-{_digest(cases, [keys, BEAT_CONCEPTS, sampling_rate, variants])}"
    cache.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        # an empty database is a lock that the system frees however its holder ends: others wait, then find the folder
        with closing(sqlite3.connect(cache / f"{folder.name}.lock", timeout=1e6, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            if not folder.is_dir():
                _write(folder, cases, (keys, sampling_rate, variants), workers)
    table = json.loads((folder / "columns.json").read_text())["columns"]
    columns = {k: np.memmap(folder / k, np.dtype(kind), "r", shape=tuple(shape)) for k, (kind, shape) in table.items()}
    who = demographics([c.age for c in cases], [c.sex for c in cases])[columns["case"]]
    return Windows(**columns, demographics=who, finding_keys=keys, beat_concepts=BEAT_CONCEPTS)


def _digest(cases: Iterable[Case], settings: list[Any]) -> str:
    """A hash of all that the arrays depend on: code, records and settings."""
    package = Path(__file__).parents[1]
    modules = [package / name for name in PREPARATION]
    modules += [module for part in ("io", "measure") for module in sorted((package / part).glob("*.py"))]
    code = b"".join(module.read_bytes() for module in modules)
    stamps = {path: record_stamp(path) for path in {case.path for case in cases}}
    described = [[c.path, stamps[c.path], c.start_s, c.stop_s, c.age, c.sex, c.beats] for c in cases]
    return hashlib.sha256(code + json.dumps([described, settings]).encode()).hexdigest()[:16]


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that, when interrupted, does not work off what is waiting first."""
    pool = ProcessPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _write(folder: Path, cases: list[Case], settings: tuple[Any, ...], workers: int) -> None:
    """Write the rows of all cases, a block at a time, into a folder beside, which gets its name when all are there.

    settings: arguments of `case_windows`
    """
    from rich.progress import Progress

    partial = folder.with_name(f"{folder.name}.partial")
    done = _resume(partial)
    with _processes(workers) as pool, Progress() as bar:
        task = bar.add_task("preparing", total=len(cases), completed=done["cases"])
        while done["cases"] < len(cases):
            first = done["cases"]
            rows, index = [], []
            block_of_cases = cases[first : first + BLOCK]
            chunks = [block_of_cases[i : i + CHUNK] for i in range(0, len(block_of_cases), CHUNK)]
            results = pool.map(case_windows, chunks, *(repeat(value) for value in settings))
            for i, result in enumerate(chain.from_iterable(results), first):
                bar.advance(task)
                if isinstance(result, EcgclipError):
                    print(f"left out: {result}")
                else:
                    rows += result
                    index += [i] * len(result)
            if rows:
                block = {k: np.stack([row[k] for row in rows]) for k in rows[0]} | {"case": np.array(index)}
                _append(partial, done["columns"], block)
            done["cases"] = min(first + BLOCK, len(cases))
            write_atomic(partial / "columns.json", json.dumps(done))
    if not done["columns"]:
        shutil.rmtree(partial)
        raise EcgclipError("no record of the training data could be read")
    partial.rename(folder)


def _resume(partial: Path) -> dict[str, Any]:
    """What an interrupted run has done: the number of cases, and for each column its type and shape."""
    state = partial / "columns.json"
    partial.mkdir(exist_ok=True)
    done: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {"cases": 0, "columns": {}}
    for name, (kind, shape) in done["columns"].items():  # rows behind the last block that was finished
        os.truncate(partial / name, np.dtype(kind).itemsize * int(np.prod(shape)))
    return done


def _append(partial: Path, columns: dict[str, list], block: dict[str, np.ndarray]) -> None:
    """Append a block of rows to the files of the columns, and keep count in `columns`."""
    for name, values in block.items():
        with (partial / name).open("r+b" if name in columns else "wb") as file:
            file.seek(0, os.SEEK_END)
            values.tofile(file)
            os.fsync(file.fileno())  # else a power cut may leave fewer rows than columns.json tells
        kind, (rows, *shape) = columns.get(name, [values.dtype.str, [0, *values.shape[1:]]])
        columns[name] = [kind, [rows + len(values), *shape]]
