"""The training loop of all stages.

for each step:  seed ─▶ (first step of a stage: begin) ─▶ learning rates ─▶ batch ─▶ losses ─▶ gradients, clipped
                ─▶ optimiser ─▶ (after_step) ─▶ moving average
for each epoch: (validation) ─▶ a row of log.csv ─▶ checkpoint, from which an interrupted training goes on
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing
from ecgclip.train.checkpoint import load_checkpoint, save_checkpoint
from ecgclip.train.objectives.base import Batch
from ecgclip.train.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.progress import Progress

VALIDATED_EVERY = 5  # epochs


@dataclass(frozen=True)
class Stage:
    """Epochs that share a schedule of the learning rate and the weights of the losses.

    Attributes
    ----------
    epochs : int
    rates : sequence of float
        The highest learning rate of each of the optimiser's groups.
    weights : dict
        Name of a loss → its weight.
    begin : callable, optional
        Called before the first step: with True, or with False where an interrupted training goes on within the stage.
    validate : callable, optional
        Gives further figures for log.csv, every few epochs.
    validate_every : int
        How many.
    """

    epochs: int
    rates: Sequence[float]
    weights: dict[str, float]
    begin: Callable[[bool], None] | None = None
    validate: Callable[[], dict[str, float]] | None = None
    validate_every: int = VALIDATED_EVERY


@dataclass
class MovingAverage:
    """`module`, a copy of `source`, follows it as the exponential moving average of its weights."""

    module: nn.Module
    source: nn.Module
    keep: float  # how much of the average stays at each step

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards `source`; in the first steps of a stage faster, so that the average forgets where it began."""
        keep = min(self.keep, (step + 1) / (step + 20))
        for old, new in zip(self.module.state_dict().values(), self.source.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


@dataclass
class Journal:
    """What a training leaves in its folder: a row of log.csv and a checkpoint for each epoch.

    columns : of log.csv, after epoch and seconds; None: all figures that any epoch has
    """

    folder: Path
    columns: Sequence[str] | None
    started: float = field(default_factory=time.time)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last"

    def log(self, epoch: int, figures: dict[str, float]) -> None:
        """Add a row; rows that an interruption left behind the last checkpoint are replaced."""
        path, rows, known = self.folder / "log.csv", [], ["epoch", "seconds"]
        if path.exists():
            with path.open(newline="") as file:
                table = csv.DictReader(file)
                known, rows = list(table.fieldnames or known), [row for row in table if int(row["epoch"]) < epoch]
        columns = [*known, *figures] if self.columns is None else ["epoch", "seconds", *self.columns]
        row = {"epoch": str(epoch), "seconds": str(round(time.time() - self.started))}
        rows.append(row | {name: f"{figure:.4f}" for name, figure in figures.items()})
        with replacing(path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(columns)), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


@dataclass
class Loop:
    """Everything that the stages of a training share; `run` trains.

    Attributes
    ----------
    name : str
        Shown beside the progress bar.
    recipe : Recipe
    model : nn.Module
        Called with a batch and the weights of the losses, it gives the losses by name.
    optimiser : torch.optim.Optimizer
    draw : callable
        Step → batch.
    seed_of : callable
        Step → the seed of torch's generator; None: it goes on from the step before.
    steps_per_epoch : int
    device : torch.device
    average : MovingAverage, optional
        Of a part of the model.
    journal : Journal, optional
        None: nothing is logged or saved.
    share_of : callable, optional
        Batch → its share in the mean of an epoch; None: the same for all steps.
    accelerator : Accelerator, optional
        Where several processes train together.
    mixed : bool
        Whether the model computes in bfloat16 where the processor has it.
    after_step : callable, optional
        Called behind each step of the optimiser, with the step and the number of all steps.
    begins_with : str
        What names weights that the training begins with, so that a checkpoint that began with others is refused.
    """

    name: str
    recipe: Recipe
    model: nn.Module
    optimiser: torch.optim.Optimizer
    draw: Callable[[int], Batch]
    seed_of: Callable[[int], int | None]
    steps_per_epoch: int
    device: torch.device
    average: MovingAverage | None = None
    journal: Journal | None = None
    share_of: Callable[[Batch], float] | None = None
    accelerator: Accelerator | None = None
    mixed: bool = True
    after_step: Callable[[int, int], None] | None = None
    begins_with: str = ""

    def __post_init__(self) -> None:
        self.forward = self.accelerator.prepare(self.model) if self.accelerator else self.model
        self.main = self.accelerator is None or self.accelerator.is_main_process
        if self.average:
            self.average.module.to(self.device)

    def run(self, stages: Sequence[Stage]) -> None:
        """Train through all stages, from the checkpoint on where there is one.

        Raises EcgclipError where another recipe or other first weights made the checkpoint, or where a loss is no
        longer a number.
        """
        step = 0
        if self.journal:
            folder = self.journal.checkpoint
            step = load_checkpoint(folder, self.recipe, self._modules, self.optimiser, self.begins_with)
        steps = sum(stage.epochs for stage in stages) * self.steps_per_epoch
        if step >= steps:
            return
        with _progress() as bar:
            task = bar.add_task(self.name, total=steps, completed=step, visible=self.main)
            first = 0
            for stage in stages:
                last = first + stage.epochs * self.steps_per_epoch
                if step < last:
                    self._run_stage(stage, range(step, last), first, steps, lambda: bar.advance(task))
                    step = last
                first = last

    def _run_stage(self, stage: Stage, remaining: range, first: int, steps: int, advance: Callable[[], None]) -> None:
        """The remaining steps of a stage that begins with step `first`, out of `steps` in all."""
        means: dict[str, float] = {}
        for step in remaining:
            if (seed := self.seed_of(step)) is not None:
                torch.manual_seed(seed)
            if step == remaining[0] and stage.begin:
                stage.begin(step == first)
            self._set_rates(stage, step - first)
            batch = {k: v.to(self.device) for k, v in self.draw(step).items()}
            losses = self._train_on(batch, stage.weights, step)
            if self.after_step:
                self.after_step(step, steps)
            if self.average:
                self.average.update(step - first)
            share = self.share_of(batch) if self.share_of else 1 / self.steps_per_epoch
            for name, loss in losses.items():
                means[name] = means.get(name, 0.0) + loss * share
            advance()
            if (step + 1) % self.steps_per_epoch == 0:
                self._finish_epoch(stage, step + 1, steps, means)
                means = {}

    def _set_rates(self, stage: Stage, step: int) -> None:
        factor = cosine(step, stage.epochs * self.steps_per_epoch, self.recipe.warmup)
        for group, rate in zip(self.optimiser.param_groups, stage.rates, strict=True):
            group["lr"] = rate * factor

    def _train_on(self, batch: Batch, weights: dict[str, float], step: int) -> dict[str, float]:
        """One step of the optimiser; the losses by name."""
        self.forward.train()
        with autocast(self.device.type, self.mixed):
            losses = self.forward(batch, weights)
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        if not torch.isfinite(loss):
            raise EcgclipError(f"the loss is no longer a number at step {step}; lower lr in the recipe and start again")
        self.optimiser.zero_grad()
        if self.accelerator:
            self.accelerator.backward(loss)
        else:
            loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return {name: value.item() for name, value in losses.items()}

    def _finish_epoch(self, stage: Stage, done: int, steps: int, means: dict[str, float]) -> None:
        """Validate, log and save after `done` steps; processes wait for the one that does."""
        epoch = done // self.steps_per_epoch
        if self.main and self.journal:
            if stage.validate and (epoch % stage.validate_every == 0 or done == steps):
                means = means | stage.validate()
            self.journal.log(epoch, means)
            folder = self.journal.checkpoint
            save_checkpoint(folder, self.recipe, self._modules, self.optimiser, done, self.begins_with)
        if self.accelerator:
            self.accelerator.wait_for_everyone()

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model} | ({"average": self.average.module} if self.average else {})


def parameter_groups(parameters: Iterable[nn.Parameter], rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimiser: matrices, and scales and biases, which weight decay would rob of their meaning."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": rate, "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
    ]


def cosine(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: it rises over the part `warmup` of the steps, then falls by a cosine to 0."""
    rise = max(1.0, warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


def autocast(device: str, wanted: bool = True) -> torch.autocast:
    """bfloat16 where the processor has it, which halves the time; others emulate it, slower than float32."""
    has_it = device != "cpu" or (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device, torch.bfloat16, enabled=wanted and has_it)


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def prepare_training(threads: int | None) -> None:
    """Set the number of CPU threads, None: torch's choice. Raises EcgclipError without packages of ecgclip[train]."""
    try:
        import accelerate  # noqa: F401
        import open_clip  # noqa: F401
        import sklearn  # noqa: F401
    except ModuleNotFoundError as error:
        raise EcgclipError(f'training needs {error.name}: pip install "ecgclip[train]"') from None
    if threads:
        torch.set_num_threads(threads)


def need_one_process(problem: str) -> None:
    """Raise EcgclipError, with what to do, where several processes run (torchrun)."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise EcgclipError(problem)


def _progress() -> Progress:
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    return Progress(*Progress.get_default_columns(), TimeElapsedColumn(), MofNCompleteColumn())
