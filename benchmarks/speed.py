"""Speed, as ratios measured in one run on one machine:

    python benchmarks/speed.py > results/speed.json
    python benchmarks/speed.py --before TREE > results/speed.json     # also over an older version's tree of the code

- The whole path, from signals in memory (12 x 5000) to the vectors: one by one and in batches of 64, over an 18-layer
  1-D ResNet (64-512 channels) at 12 x 5000, as MERL has it, on the same threads. Beside it its parts: preparing;
  finding beats, measuring and making the features; and the encoder. And a folder of WFDB files, reading included: of
  64, and of 1,024 by a process for each core.
- Cold start, as whole processes, over `python -c "import torch"`: `ecgclip classify` on an example; `ecgclip search` in
  an index of the examples, for conditions that the knowledge base names and for free words, which the text encoder
  reads; and the commands that need no torch, over `python -c pass`. Of classify also the largest memory.
- With --before: `ecgclip index build` of a folder, and measuring, over the same of the older version.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ecgclip import load_model
from ecgclip.ecg import ECG
from ecgclip.files import code_version
from ecgclip.index.archive import ECGIndex
from ecgclip.io.write_wfdb import write_record
from ecgclip.measure.beats import find_beats_of_many
from ecgclip.measure.measurement import measure_many, windows_of
from ecgclip.measure.vector import features_of
from ecgclip.model.clip import ECGCLIP
from ecgclip.prepare import Prepared, prepare_many
from ecgclip.processes import cores
from ecgclip.simulate import simulate

ROUNDS, BATCH = 5, 64
ARCHIVE = 16  # batches
CONDITIONS = ("normal", "af", "lbbb", "pvc", "inferior-stemi", "lvh", "sinus-tachycardia", "first-degree-av-block")
EXAMPLES = Path(__file__).parent.parent / "examples/records"


class Block(nn.Module):
    """The basic residual block of ResNet-18, in one dimension."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Conv1d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm1d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def resnet18() -> nn.Module:
    """He et al. 2016, one-dimensional, as MERL uses it on 12 x 5000."""
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    blocks = [Block(a, b, 2 if a != b else 1) for a, b in zip(widths, widths[1:], strict=False)]
    stem = [nn.Conv1d(12, 64, 7, 2, 3, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()


def milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def in_turn(ways: dict[str, Callable[[], object]], ecgs: int) -> dict[str, list[float]]:
    """Milliseconds an ECG of each way, `ROUNDS` times in turn after a first time that is not counted."""
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            times[name].append(milliseconds(way) / ecgs)
    return times


def over(times: dict[str, list[float]], name: str, baseline: str) -> float:
    """The median of the ratios in each round."""
    return round(statistics.median(a / b for a, b in zip(times[name], times[baseline], strict=True)), 3)


def figures(times: dict[str, list[float]], suffix: str) -> dict[str, float]:
    """The medians, and those of the ratios to the ResNet."""
    out = {f"{name}_ms_{suffix}": round(statistics.median(values), 2) for name, values in times.items()}
    return out | {
        f"{name}_over_resnet18_{suffix}": over(times, name, "resnet18") for name in times if name != "resnet18"
    }


def whole_path(model: ECGCLIP, baseline: nn.Module, ecgs: list[ECG], folder: Path) -> dict[str, float]:
    """From signals in memory to vectors, by its parts and as a whole, over the ResNet."""
    prepared = [one for one in prepare_many(ecgs) if isinstance(one, Prepared)]
    examined = [model.examine(ecg) for ecg in ecgs]
    long = torch.randn(len(ecgs), 12, 5000)
    paths = sorted(folder.glob("*.hea"))

    def measuring() -> None:
        beats = find_beats_of_many(prepared)
        windows = [w for one, found in zip(prepared, beats, strict=True) for w in windows_of(one, found)]
        features_of(measure_many(windows))

    with torch.inference_mode():
        batch = {
            "preparing": lambda: prepare_many(ecgs),
            "measuring": measuring,
            "encoder": lambda: model.encode(examined),
            "path": lambda: model.embed_many(ecgs),
            "folder": lambda: model.embed_many(paths),
            "resnet18": lambda: baseline(long),
        }
        alone = {
            "path": lambda: [model.embed(ecg) for ecg in ecgs],
            "encoder": lambda: [model.encode([one]) for one in examined],
            "resnet18": lambda: [baseline(row[None]) for row in long],
        }
        archive = {  # the start of the processes included
            "archive": lambda: model.embed_many(paths * ARCHIVE, workers=cores()),
            "resnet18": lambda: [baseline(long) for _ in range(ARCHIVE)],
        }
        out = figures(in_turn(batch, len(ecgs)), str(BATCH)) | figures(in_turn(alone, len(ecgs)), "1")
        return out | figures(in_turn(archive, len(ecgs) * ARCHIVE), str(BATCH * ARCHIVE))


def process(command: list[str], tree: Path | None = None) -> float:
    """Seconds of a process; tree: with the code of another version."""
    environment = os.environ | ({"PYTHONPATH": str(tree)} if tree else {})
    start = time.perf_counter()
    if subprocess.run(command, env=environment, cwd=tree, capture_output=True).returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - start


# A process counts what its parent held when it began, so that the parent has to be a small one
MEMORY = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory(command: list[str]) -> int:
    """The most memory that a process holds, kB."""
    return int(subprocess.run([sys.executable, "-c", MEMORY, *command], capture_output=True, check=True).stdout)


def starts() -> dict[str, float]:
    """Whole processes over `import torch`, or over Python's own start."""
    record, python = str(EXAMPLES / "af.hea"), [sys.executable, "-m", "ecgclip"]
    with tempfile.TemporaryDirectory() as folder:
        ECGIndex.build([EXAMPLES], folder)
        search = [*python, "search", "--index", folder]
        commands = {
            "import_torch": [sys.executable, "-c", "import torch"],
            "classify": [*python, "classify", record, "--labels", "AF,STEMI"],
            "search": [*search, "inferior infarct with AV block"],
            "words": [*search, "an irregular pulse in a patient with palpitations"],
            "python": [sys.executable, "-c", "pass"],
            "info": [*python, "info", record],
            "kb": [*python, "kb", "show", "AF"],
            "convert": [*python, "convert", record, "-o", f"{folder}/edf", "--to", "edf", "--overwrite"],
        }
        runs = [{name: process(command) for name, command in commands.items()} for _ in range(1 + ROUNDS)][1:]
    middle = lambda values: round(statistics.median(values), 2)
    out = {f"{name}_s": middle(run[name] for run in runs) for name in commands}
    for name in ("classify", "search", "words"):
        out[f"{name}_over_import_torch"] = middle(run[name] / run["import_torch"] for run in runs)
    held = {name: memory(commands[name]) for name in ("classify", "import_torch")}
    out["classify_memory_over_import_torch"] = round(held["classify"] / held["import_torch"], 2)
    out |= {
        f"{name}_beyond_python_s": middle(run[name] - run["python"] for run in runs)
        for name in ("info", "kb", "convert")
    }
    return out


MEASURE = """
import statistics, sys, time
from pathlib import Path
from ecgclip import read_ecg
from ecgclip.prepare import prepare
from ecgclip.measure import features, measure_windows
try:
    from ecgclip.measure import find_beats
except ImportError:  # 0.1.0
    from ecgclip.beats import r_peaks
    find_beats = lambda one: [r_peaks(signal, mask) for signal, mask in zip(one.signal, one.mask)]
prepared = [prepare(read_ecg(path)) for path in sorted(Path(sys.argv[1]).glob("*.hea"))]
times = []
for _ in range(4):
    start = time.perf_counter()
    for one in prepared:
        [features(m) for m in measure_windows(one, find_beats(one))]
    times.append(1000 * (time.perf_counter() - start) / len(prepared))
print(statistics.median(times[1:]))
"""


def before(tree: Path, ecgs: list[ECG], measuring_ms: float) -> dict[str, float | str]:
    """An index of a folder, and measuring, over the same with the code of an older version."""
    ratios, older = [], []
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder, "records")
        for i in range(16 * len(ecgs)):
            write_record(ecgs[i % len(ecgs)], records / f"{i}")
        for k in range(3):
            build = [sys.executable, "-m", "ecgclip", "index", "build", str(records), "-o"]
            new = process([*build, f"{folder}/new-{k}"])
            old = process([*build, f"{folder}/old-{k}"], tree)
            ratios.append(old / new)
        few = Path(folder, "few")
        for i, ecg in enumerate(ecgs):
            write_record(ecg, few / f"{i}")
        for _ in range(3):
            command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(few)]
            environment = os.environ | {"PYTHONPATH": str(tree)}
            output = subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tree)
            older.append(float(output.stdout))
    version = subprocess.run(["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "before": version.stdout.strip(),
        "index_build_times_as_fast": round(statistics.median(ratios), 2),
        "measuring_before_ms": round(statistics.median(older), 2),
        "measuring_over_before": round(measuring_ms / statistics.median(older), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="TREE", help="a checkout of an older version")
    args = parser.parse_args()
    model, ecgs = load_model(), [simulate(CONDITIONS[i % len(CONDITIONS)], i) for i in range(BATCH)]
    out = {"weights_sha256": model.weights_sha256, "code_version": code_version(), "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        for i, ecg in enumerate(ecgs):
            write_record(ecg, Path(folder, f"{i:02}"))
        out |= whole_path(model, resnet18(), ecgs, Path(folder))
    out |= starts()
    if args.before:
        out |= before(args.before, ecgs, out[f"measuring_ms_{BATCH}"])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
