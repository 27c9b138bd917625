"""The interface of a task without labels: the columns that it reads, and the losses that it returns."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from ecgclip.networks.config import ECGConfig

Batch = dict[str, Tensor]  # columns by name

COLUMNS = {
    "signal": "float32 (b, 12, samples), mV; zero where masked and behind `length`",
    "mask": "bool (b, 12), leads that are there",
    "length": "int (b,), samples before the padding",
    "r_peaks": "float32 (b, n), s, NaN = padding",
    "measured": "float32 (b, measurements), in the order of measure.vector, NaN = unknown",
    "findings": "int8 (b, keys), 1 present, 0 absent, -1 unknown; in the order of data.windows.Windows.finding_keys",
    "age": "float32 (b,), years, NaN = unknown",
    "male": "float32 (b,), 1 male, 0 female, NaN = unknown",
}


class Task(nn.Module):
    """What a backbone learns from signals alone: `forward(batch)` returns losses by name, which are added.

    The batch is not augmented but by gain: a task makes its own views. Random numbers are torch's, whose generator the
    training seeds at each step. What a task keeps from step to step, such as a teacher, is among its modules and
    buffers, as the checkpoint has these alone.

    Parameters
    ----------
    backbone : nn.Module
        signal (b, 12, samples), mask (b, 12), length (b,) → tokens (b, t, width); it is what is kept in the end.
    config : ECGConfig
        Of the encoder that the backbone is from.
    sizes
        The task's own, a frozen dataclass.
    """

    columns: ClassVar[tuple[str, ...]] = ("signal", "mask", "length")  # those of `COLUMNS` that it reads

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: Any):
        super().__init__()
        self.backbone, self.config, self.sizes = backbone, config, sizes

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: the columns that it reads; losses by name, scalars."""
        raise NotImplementedError

    def after_step(self, step: int, steps: int) -> None:
        """Called behind each step of the optimiser, step out of `steps`."""

    def watched(self) -> dict[str, float]:
        """Return figures for log.csv, by name, beside the losses."""
        return {}

    def extras(self) -> dict[str, Tensor]:
        """Return what is kept beside the backbone when the training is over, by name."""
        return {}
