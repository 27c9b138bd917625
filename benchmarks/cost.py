"""What an ECG encoder costs: parameters, time and memory."""

from __future__ import annotations

import json
import re
import statistics
import time
from pathlib import Path

import torch

from ecgclip.files import write_json
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.processes import process_pool

BATCH, ROUNDS = 64, 7  # ECGs, and how often they are timed


def costs(configs: dict[str, ECGConfig], file: Path) -> dict[str, dict[str, float]]:
    """Name → parameters, ms an ECG, their ratio to those of the first, and MB; measured once and kept in a file."""
    if not file.exists():
        found = times(configs)
        for name, config in configs.items():
            with process_pool(1) as pool:
                found[name]["memory_mb"] = pool.submit(peak_memory, config).result()
        write_json(file, found)
    return json.loads(file.read_text())


def example() -> tuple[torch.Tensor, ...]:
    """A batch of BATCH windows with a beat each second."""
    signal = torch.randn(BATCH, 12, 1000, generator=torch.Generator().manual_seed(0))
    beats = torch.arange(10.0).repeat(BATCH, 1) + 0.5
    return signal, torch.ones(BATCH, 12, dtype=torch.bool), beats, torch.full((BATCH,), 1000)


@torch.inference_mode()
def times(configs: dict[str, ECGConfig]) -> dict[str, dict[str, float]]:
    """Parameters and times on one thread: medians of ROUNDS, in each of which all encoders run in turn."""
    threads, batch = torch.get_num_threads(), example()
    torch.set_num_threads(1)
    encoders = {name: ECGEncoder(config).eval() for name, config in configs.items()}
    taken: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(1 + ROUNDS):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            encoder(*batch)
            taken[name].append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    base = taken[next(iter(taken))]
    return {
        name: {
            "parameters": sum(p.numel() for p in encoders[name].parameters()),
            "ms": round(statistics.median(seconds[1:]) / BATCH * 1000, 2),  # the first round warms up
            "ratio": round(statistics.median(a / b for a, b in zip(seconds[1:], base[1:], strict=True)), 2),
        }
        for name, seconds in taken.items()
    }


@torch.inference_mode()
def peak_memory(config: ECGConfig) -> int:
    """MB that a batch takes at most on one thread beside the weights; in a process of its own."""
    torch.set_num_threads(1)
    encoder, batch = ECGEncoder(config).eval(), example()
    encoder(*(part[:1] for part in batch))
    Path("/proc/self/clear_refs").write_text("5")  # forget the most that was held until now
    before = peak_kb()
    encoder(*batch)
    return round((peak_kb() - before) / 1024)


def peak_kb() -> int:
    """The most memory that this program has held, kB, on Linux; `getrusage` begins with what its parent held."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]
