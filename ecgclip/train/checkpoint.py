"""Checkpoints: everything that a training needs to go on, in one file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing
from ecgclip.train.recipe import Recipe

STATE = "state.safetensors"
OPTIMISER = "optimiser"


def save_checkpoint(
    folder: Path,
    recipe: Recipe,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    step: int,
    begins_with: str = "",
) -> None:
    """Write `modules`, the optimiser and the step into one file of `folder`; begins_with: names the first weights.

    However a run ends, the file is that of the checkpoint before or of this one, whole.
    """
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    for partial in folder.glob(f"{STATE}.*.partial"):  # of a run that was killed while it wrote
        partial.unlink()
    tensors = {f"{name}.{k}": v for name, module in modules.items() for k, v in module.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}.{i}.{k}": v for k, v in state.items()}
    metadata = {"step": str(step), "recipe": json.dumps(asdict(recipe)), "begins_with": begins_with}
    with replacing(folder / STATE) as partial:
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial, metadata)


def load_checkpoint(
    folder: Path,
    recipe: Recipe,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    begins_with: str = "",
) -> int:
    """Load what `save_checkpoint` wrote into `modules` and the optimiser.

    Returns the step; 0 where there is no checkpoint. Raises EcgclipError if another recipe made it, or if its training
    began with other weights.
    """
    from safetensors import safe_open

    if not (folder / STATE).exists():
        return 0
    with safe_open(folder / STATE, "pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("recipe") != json.dumps(asdict(recipe)):
            raise EcgclipError(f"{folder}: was made by another recipe; give another -o or remove it")
        if metadata.get("begins_with", "") != begins_with:
            raise EcgclipError(f"{folder}: began with another pretrained backbone; give another -o or remove it")
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no dict
    for name, module in modules.items():
        prefix = f"{name}."
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{OPTIMISER}."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["step"])
