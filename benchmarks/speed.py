"""Speed, as ratios measured in one run on one machine:  python benchmarks/speed.py

- Cold start, as whole processes, over `python -c "import torch"`: `ecgclip classify` on an example; `ecgclip search`
  in an index of the examples, for conditions that the knowledge base names and for free words, which the text encoder
  reads.
- Embedding: a 12 x 1000 ECG through the shipped encoder over an 18-layer 1-D ResNet (64-512 channels) at 12 x 5000, on
  the same threads, one by one and in batches of 16. Beside it: what R peaks and measurements take before the encoder.
- Whole recordings, from the signal to the vectors: an ECG of `embed_many`, 16 at once, over one by `embed`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from ecgclip import load_model, read_ecg
from ecgclip.files import code_version
from ecgclip.index.archive import ECGIndex
from ecgclip.measure.beats import find_beats
from ecgclip.measure.measurement import measure_windows
from ecgclip.measure.vector import feature_names, features
from ecgclip.model.clip import ECGCLIP
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

ROUNDS = 5


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


def milliseconds(run, repeat: int = 60) -> float:
    run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def embedding(encoder: nn.Module, baseline: nn.Module, batch: int) -> tuple[float, float, float]:
    """Milliseconds an ECG of both, and the median of their ratio."""
    peaks = torch.arange(0.4, 10, 0.8).repeat(batch, 1)
    measured = torch.randn(batch, len(feature_names()))
    ecg = (
        torch.randn(batch, 12, 1000),
        torch.ones(batch, 12, dtype=torch.bool),
        peaks,
        torch.full((batch,), 1000),
        measured,
    )
    long = torch.randn(batch, 12, 5000)
    with torch.inference_mode():
        pairs = [(milliseconds(lambda: encoder(*ecg)), milliseconds(lambda: baseline(long))) for _ in range(ROUNDS)]
    ours, theirs = (round(statistics.median(p) / batch, 2) for p in zip(*pairs, strict=True))
    return ours, theirs, round(statistics.median(a / b for a, b in pairs), 3)


def together(model: ECGCLIP, batch: int = 16) -> dict[str, float]:
    """Milliseconds a recording takes alone and in company, and the median of their ratio."""
    ecgs = [simulate("af", seed) for seed in range(batch)]
    ways = (lambda: [model.embed(ecg) for ecg in ecgs], lambda: model.embed_many(ecgs))
    pairs = [[milliseconds(way, 5) / batch for way in ways] for _ in range(ROUNDS)]
    alone, company = (round(statistics.median(p), 2) for p in zip(*pairs, strict=True))
    ratio = round(statistics.median(b / a for a, b in pairs), 2)
    return {"embed_alone_ms": alone, "embed_many_ms": company, "embed_many_over_embed": ratio}


def main() -> None:
    record = str(Path(__file__).parent.parent / "examples/records/af.hea")
    model = load_model()
    encoder, baseline = model.ecg, resnet18()
    out = {"weights_sha256": model.weights_sha256, "code_version": code_version(), "threads": torch.get_num_threads()}
    for batch in (1, 16):
        ours, theirs, ratio = embedding(encoder, baseline, batch)
        out |= {f"embed_ms_{batch}": ours, f"resnet18_ms_{batch}": theirs, f"embed_over_resnet18_{batch}": ratio}
    prepared = prepare(read_ecg(record))
    work = lambda: [features(m) for m in measure_windows(prepared, find_beats(prepared))]
    out["measure_ms"] = round(milliseconds(work, 100), 2)
    out |= together(model)
    classify = [sys.executable, "-m", "ecgclip", "classify", record, "--labels", "AF,STEMI"]
    with tempfile.TemporaryDirectory() as folder:
        ECGIndex.build([Path(record).parent], folder)
        search = [sys.executable, "-m", "ecgclip", "search", "--index", folder]
        commands = {
            "classify": classify,
            "search": [*search, "inferior infarct with AV block"],
            "words": [*search, "an irregular pulse in a patient with palpitations"],
            "import_torch": [sys.executable, "-c", "import torch"],
        }
        times = {name: [] for name in commands}
        for _ in range(1 + ROUNDS):  # the first time warms up
            for name, command in commands.items():
                times[name].append(seconds(command))
    for name in commands:
        out[f"{name}_s"] = round(statistics.median(times[name][1:]), 2)
    for name in ("classify", "search", "words"):
        ratios = [a / b for a, b in zip(times[name][1:], times["import_torch"][1:], strict=True)]
        out[f"{name}_over_import_torch"] = round(statistics.median(ratios), 2)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
