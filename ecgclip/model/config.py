"""The configuration of a model, stored as config.json beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ecgclip.model.calibration import Calibration, Known, Witnesses
from ecgclip.networks.config import ECGConfig, TextConfig

# A range of probabilities (from, to), the share of validation ECGs in it that had the condition (95 % interval: low,
# high), and the number of pairs of ECG and condition
Reliability: TypeAlias = tuple[float, float, float, float, int]


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to rebuild a model from its weights."""

    ecg: ECGConfig = ECGConfig()
    text: TextConfig = TextConfig()
    calibration: Calibration = Calibration()
    untrained: Calibration | None = None  # for conditions without training ECGs; None: `calibration` for them, too
    simulated: Calibration | None = None  # for those with simulated ones only; None: as for those without
    witnesses: Witnesses | None = None  # how the criteria are heard beside the vector; None: they are not
    floor: float = 0.88  # cosine from which on the nearest passages explain a label that the knowledge base lacks
    threshold: float = 0.5  # probability from which on a description states a condition; chosen on validation data
    reliability: tuple[Reliability, ...] = ()  # of trained conditions, on validation data
    training: dict[str, Any] = field(default_factory=dict)  # recipe, seed, data, code version, concepts

    @property
    def trained_concepts(self) -> list[str] | None:
        """Concepts that training had ECGs of; None if the model does not say."""
        return self.training.get("concepts")

    def known(self, concept: str) -> Known:
        """By which ECGs training knew a concept; "trained" if the model does not say."""
        if self.trained_concepts is None or concept in self.trained_concepts:
            return "trained"
        return "simulated" if self.simulated and concept in self.training.get("simulated", ()) else "untrained"

    def observed(self, probability: float) -> tuple[float, float] | None:
        """What share of the validation ECGs that scored about so had the condition; None where none scored so.

        The 95 % interval, for conditions that training had ECGs of.
        """
        for first, last, low, high, _ in self.reliability:
            if first <= probability < last or probability == last == 1:
                return low, high
        return None

    def curve(self, known: Known) -> Calibration:
        """The curve of the similarity for conditions that training knew in one way."""
        own = {"trained": self.calibration, "simulated": self.simulated, "untrained": self.untrained}[known]
        return own or self.calibration

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ModelConfig:
        """Read what `dataclasses.asdict` made; older versions stored less."""
        untrained, simulated, witnesses = (stored.get(key) for key in ("untrained", "simulated", "witnesses"))
        return cls(
            ecg=ECGConfig.from_dict(stored["ecg"]),
            text=TextConfig.from_dict(stored["text"]),
            calibration=Calibration.from_dict(stored["calibration"]),
            untrained=Calibration.from_dict(untrained) if untrained else None,
            simulated=Calibration.from_dict(simulated) if simulated else None,
            witnesses=Witnesses.from_dict(witnesses) if witnesses else None,
            floor=stored["floor"],
            threshold=stored.get("threshold", cls.threshold),
            reliability=tuple(map(tuple, stored.get("reliability", ()))),
            training=stored["training"],
        )
