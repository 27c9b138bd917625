"""Readers of files: how fast beside WFDB, and what they make of damaged files.

    python benchmarks/formats.py $ECGCLIP_DATA results/formats [--damaged 20000]

Speed: each file of $ECGCLIP_DATA/formats that holds twelve leads of about 5,000 samples, beside the same signal written
as a WFDB record in format 16, in one run; the median of several readings. Damage: files of every format with bytes
flipped, cut out, put in or repeated, headers more often than the rest. Each must be read, or refused in one line.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import code_version, write_json
from ecgclip.io import find_records, read_ecg
from ecgclip.io.file import File
from ecgclip.io.formats import format_by
from ecgclip.simulate import write_record

READINGS = 15  # of each file; the median counts
SMALLEST = 50_000  # samples: what is shorter says little about the speed
LARGEST = 2_000_000  # bytes of a file that is damaged: a mutation of a long one costs time and shows no more
HEADER = 2048  # bytes
SLOW_S = 5.0


def ecg_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each format, by its name."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        second_reading = path.name.endswith((".ref.npz", "truth.npz"))
        if path.is_file() and path.stat().st_size and not second_reading and (row := format_by(File.at(path).head)):
            found[row.name].append(path)
    return dict(found)


# --- speed ------------------------------------------------------------------------------------------------------------


def median_ms(read: Callable[[], object]) -> float:
    """The median time of one call, ms; the first call, which imports, does not count."""
    read()
    times = []
    for _ in range(READINGS):
        start = time.perf_counter()
        read()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def ratios(files: dict[str, list[Path]], folder: Path) -> dict[str, dict[str, float]]:
    """For each format: how long its slowest file takes, as a multiple of the same signal in WFDB's format 16."""
    table: dict[str, dict[str, float]] = {}
    for name, paths in files.items():
        for path in paths:
            if (ecg := _read(path)) is None or ecg.signal.size < SMALLEST or ecg.signal.size > 4 * SMALLEST:
                continue
            record = write_record(ECG(np.nan_to_num(ecg.signal), ecg.sampling_rate, ecg.leads), folder / "same")
            wfdb = median_ms(lambda record=record: read_ecg(record))
            own = median_ms(lambda first=first_ecg(path): read_ecg(first))
            if name not in table or own / wfdb > table[name]["ratio"]:
                table[name] = {"ms": round(own, 2), "wfdb_ms": round(wfdb, 2), "ratio": round(own / wfdb, 2)}
    return table


def first_ecg(path: Path) -> str:
    return find_records(path)[0]


def _read(path: Path) -> ECG | None:
    try:
        return read_ecg(first_ecg(path))
    except EcgclipError:
        return None


# --- damage -----------------------------------------------------------------------------------------------------------


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to eight mutations."""
    mutated = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        size = max(len(mutated), 1)
        at = int(rng.integers(min(size, HEADER) if rng.random() < 0.6 else size))
        length = int(rng.integers(1, 1 + min(size, 4 ** int(rng.integers(1, 6)))))
        kind = rng.integers(6)
        if kind == 0:
            mutated[at : at + length] = rng.bytes(length)
        elif kind == 1:
            del mutated[at : at + length]
        elif kind == 2:
            mutated[at:at] = rng.bytes(length)
        elif kind == 3:
            mutated[at:at] = mutated[at : at + length] * int(rng.integers(1, 20))
        elif kind == 4:
            mutated[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"9999", b"-1e9"])
        else:
            del mutated[at:]
    return bytes(mutated)


def mutations(files: dict[str, list[Path]], count: int) -> Iterator[tuple[str, Path, int, bytes]]:
    """Damaged files of all formats in turn: format, original, seed, contents."""
    small = {name: [p for p in paths if p.stat().st_size <= LARGEST] for name, paths in files.items()}
    names = [name for name, paths in small.items() if paths]
    for seed in range(count):
        name = names[seed % len(names)]
        path = small[name][seed // len(names) % len(small[name])]
        yield name, path, seed, damaged(path.read_bytes(), np.random.default_rng(seed))


def survive(files: dict[str, list[Path]], count: int, folder: Path) -> dict[str, object]:
    """Read damaged files; what was read, what was refused, what failed, the slowest and the most memory."""
    from rich.progress import track

    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    failures, slowest = [], 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, path, seed, data in track(mutations(files, count), "damaged files", total=count):
        target = folder / f"damaged{path.suffix}"
        target.write_bytes(data)
        start = time.perf_counter()
        try:
            read_ecg(first_ecg(target))
            outcomes[name]["read"] += 1
        except EcgclipError as error:
            outcomes[name]["refused"] += 1
            if "\n" in str(error) or not str(error).startswith(str(target)):
                failures.append(
                    f"{path.name}, seed {seed}: not one line that begins with the file: {str(error)[:200]!r}"
                )
        except Exception as error:
            outcomes[name]["failed"] += 1
            failures.append(f"{path.name}, seed {seed}: {type(error).__name__}: {str(error)[:200]}")
        seconds = time.perf_counter() - start
        if seconds > SLOW_S:
            failures.append(f"{path.name}, seed {seed}: {seconds:.1f} s")
        slowest = max(slowest, seconds)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "files": count,
        "slowest_s": round(slowest, 2),
        "memory_grown_mb": round(grown),
        "failures": failures,
        "outcomes": {name: dict(counts) for name, counts in outcomes.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="$ECGCLIP_DATA")
    parser.add_argument("output", type=Path, help="folder of results.json")
    parser.add_argument("--damaged", type=int, default=20_000, metavar="N")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of what is assumed: one for each file
    files = ecg_files(arguments.data / "formats")
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "code_version": code_version(),
            "files": {name: len(paths) for name, paths in files.items()},
            "speed": ratios(files, Path(folder)),
            "damage": survive(files, arguments.damaged, Path(folder)),
        }
    write_json(arguments.output / "results.json", results)
    print(f"{arguments.output / 'results.json'}: {len(results['damage']['failures'])} failures")


if __name__ == "__main__":
    main()
