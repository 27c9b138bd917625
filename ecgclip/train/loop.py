"""Parts of a training loop."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing
from ecgclip.train.recipe import Recipe

STATE = "state.safetensors"  # of last/


def _needs_extra() -> None:
    try:
        import accelerate  # noqa: F401
        import open_clip  # noqa: F401
        import sklearn  # noqa: F401
    except ModuleNotFoundError as error:
        raise EcgclipError(f'training needs {error.name}: pip install "ecgclip[train]"') from None


def _threads(threads: int | None) -> None:
    if threads:
        torch.set_num_threads(threads)


def _rounded(figure: float) -> float | None:
    return None if math.isnan(figure) else round(figure, 4)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _autocast(device: str) -> torch.autocast:
    # bfloat16 halves the time on processors that have it; others would emulate it, in more time than float32 takes
    has_it = device != "cpu" or (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device, torch.bfloat16, enabled=has_it)


def _cosine(step: int, steps: int, warmup: float) -> float:
    rise = max(1.0, warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


def _world() -> tuple[int, int]:
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def _gather(x: Tensor, world: int) -> Tensor:
    import torch.distributed as dist

    parts = [torch.zeros_like(x) for _ in range(world)]
    dist.all_gather(parts, x)
    return torch.cat(parts)


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


def _save(
    folder: Path, recipe: Recipe, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Into one file, so that however a run ends there is the checkpoint before or this one, whole."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    for left in folder.glob(f"{STATE}.*.partial"):  # of a run that was killed while it wrote
        left.unlink()
    tensors = {f"{name}.{k}": v for name, module in modules.items() for k, v in module.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": v for k, v in state.items()}
    facts = {"step": str(step), "recipe": json.dumps(asdict(recipe))}
    with replacing(folder / STATE) as partial:
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial, facts)


def _resume(folder: Path, recipe: Recipe, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> int:
    """Load what `_save` wrote → its step; 0 where there is none."""
    from safetensors import safe_open

    if not (folder / STATE).exists():
        return 0
    with safe_open(folder / STATE, "pt") as stored:
        facts = stored.metadata() or {}
        if facts.get("recipe") != json.dumps(asdict(recipe)):
            raise EcgclipError(f"{folder}: was made by another recipe; give another -o or remove it")
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no dict
    for name, module in modules.items():
        own = f"{name}."
        module.load_state_dict({k.removeprefix(own): v for k, v in tensors.items() if k.startswith(own)})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(facts["step"])


def _log(path: Path, epoch: int, sums: dict[str, float], seconds: float, columns: tuple[str, ...]) -> None:
    """One row an epoch; rows that an interruption left behind the last checkpoint are written anew."""
    rows: list[list[str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) < epoch]
    rows.append([str(epoch), str(round(seconds)), *(f"{sums[c]:.4f}" if c in sums else "" for c in columns)])
    with replacing(path) as partial, partial.open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", "seconds", *columns], *rows])
