"""The configuration of a model, stored as config.json beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ecgclip.model.calibration import Calibration, Witnesses
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokenizer import TextConfig


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to rebuild a model from its weights."""

    ecg: ECGConfig = ECGConfig()
    text: TextConfig = TextConfig()
    calibration: Calibration = Calibration()
    untrained: Calibration | None = None  # for conditions without training ECGs; None: `calibration` for them, too
    witnesses: Witnesses | None = None  # how the criteria are heard beside the vector; None: they are not
    floor: float = 0.88  # cosine from which on the nearest passages explain a label that the knowledge base lacks
    threshold: float = 0.5  # probability from which on a description states a condition; chosen on validation data
    training: dict[str, Any] = field(default_factory=dict)  # recipe, seed, data, code version, concepts

    @property
    def trained_concepts(self) -> list[str] | None:
        """Concepts that training had ECGs of; None if the model does not say."""
        return self.training.get("concepts")

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ModelConfig:
        """Read what `dataclasses.asdict` made; older versions stored less."""
        untrained, witnesses = stored.get("untrained"), stored.get("witnesses")
        return cls(
            ecg=ECGConfig(**{**stored["ecg"], "channels": tuple(stored["ecg"]["channels"])}),
            text=TextConfig.from_dict(stored["text"]),
            calibration=Calibration.from_dict(stored["calibration"]),
            untrained=Calibration.from_dict(untrained) if untrained else None,
            witnesses=Witnesses.from_dict(witnesses) if witnesses else None,
            floor=stored["floor"],
            threshold=stored.get("threshold", cls.threshold),
            training=stored["training"],
        )
