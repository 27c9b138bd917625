"""Tasks that train a backbone on signals without labels, one module each.

    task = build_task("masked", backbone, config, {"share": 0.5})
    losses = task(batch)                       # a dict of scalars, which are added
    task.after_step(step, steps)               # what a task updates itself: a teacher's average, a vocabulary

To add one, write a module with a `Task`, made of the backbone, the configuration and its sizes, a frozen dataclass
`NameSizes`, and name it in the table.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecgclip.ecg import EcgclipError
from ecgclip.networks.backbones import sizes_of

if TYPE_CHECKING:
    from torch import nn

    from ecgclip.networks.config import ECGConfig
    from ecgclip.train.pretraining.base import Task

# Name in a recipe → module and class
TASKS = {
    "masked": "masked:Masked",
    "jepa": "jepa:JEPA",
    "heartbeats": "heartbeats:Heartbeats",
    "risk": "risk:Risk",
    "tolerant": "tolerant:Tolerant",
    "reconstruct": "reconstruct:Reconstruct",
    "measurements": "measurements:Measurements",
}


def build_task(name: str, backbone: nn.Module, config: ECGConfig, options: dict[str, Any]) -> Task:
    """Make a task for a backbone; options: its sizes, where they differ from the defaults.

    Raises
    ------
    EcgclipError
        There is no such task, or it has no such size.
    """
    sizes = task_sizes(name, options)
    return task_class(name)(backbone, config, sizes)


def task_sizes(name: str, options: dict[str, Any]) -> Any:
    """Return the sizes of a task, a dataclass: its defaults, overruled by `options`, in which tuples may be lists.

    Raises
    ------
    EcgclipError
        There is no such task, or it has no such size.
    """
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return sizes_of(_class(name, "Sizes"), chosen, "ecg_pretraining.sizes", name)


def task_class(name: str) -> type[Task]:
    """Return the class of a task, imported on first use. Raises EcgclipError where there is none of that name."""
    return _class(name, "")


def _class(name: str, ending: str) -> type[Any]:
    if name not in TASKS:
        raise EcgclipError(f"no ecg_pretraining.task {name!r}; there are {', '.join(TASKS)}")
    module, cls = TASKS[name].split(":")
    return getattr(import_module(f"{__name__}.{module}"), cls + ending)
