"""A recipe: everything that an experiment chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecgclip.data.sets import MAIN
from ecgclip.data.splits import check_data
from ecgclip.ecg import EcgclipError
from ecgclip.files import parse_yaml
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.backbones import backbone_sizes
from ecgclip.networks.config import ECGConfig, TextConfig
from ecgclip.train.objectives import OBJECTIVES
from ecgclip.train.pretraining import task_sizes

LOGGED = (*OBJECTIVES, "validation_auroc")  # columns of log.csv

# An example of the options of `ecg_pretraining`; the last two may be left out
ECG_PRETRAINING: dict[str, Any] = {
    "task": "masked",
    "epochs": 20,
    "batch": 64,
    "lr": 1e-3,
    "data": ["ptb-xl"],  # the sources that it sees; without it, all of the recipe
    "sizes": {},
}


@dataclass(frozen=True)
class Recipe:
    """An experiment; the fields of a YAML file in recipes/, where the default one explains them."""

    name: str
    seed: int
    data: dict[str, dict[str, Any]]
    validation_part: int
    pretraining: dict[str, Any]
    epochs: int
    locked: dict[str, Any]
    teacher: dict[str, Any]
    wording: float  # with the text encoder locked, the share of statements asked in other words than inference does
    measured: dict[str, Any]
    lr: float
    text_lr: float
    weight_decay: float
    warmup: float
    average: float
    losses: dict[str, float]
    augment: dict[str, float]
    test_part: dict[str, int] = field(default_factory=dict)  # source → one patient in so many is kept for testing
    ecg_pretraining: dict[str, Any] = field(default_factory=dict)  # of the backbone, by `train ecg`; {}: none
    ecg: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    reports: float = 0.5  # how often the text of an ECG is its real report, where there is one
    unseen: list[str] = field(default_factory=list)  # concepts that no text and no label of the training may name

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a YAML file. Raises EcgclipError, on one line, for one that cannot be read or built."""
        import yaml

        try:
            recipe = cls(**parse_yaml(Path(path).read_text(encoding="utf-8")))
            recipe._check()
        except (OSError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise EcgclipError(f"{path}: not a recipe ({problem}); see recipes/default.yaml") from None
        except EcgclipError as error:
            raise EcgclipError(f"{path}: {error}") from None
        return recipe

    def _check(self) -> None:
        """Raises TypeError or EcgclipError for what cannot be built."""
        _ = backbone_sizes(self.ecg_config), self.text_config
        self._check_measured()
        named = self.losses.keys() | self.locked["losses"].keys()
        if strange := named - OBJECTIVES.keys():
            raise TypeError(f"no loss {sorted(strange)[0]!r}; there are {', '.join(OBJECTIVES)}")
        if not isinstance(self.unseen, list):
            raise TypeError(f"unseen {self.unseen!r} is not a list of concepts")
        if self.unseen:
            KnowledgeBase.load().without(self.unseen)  # raises for a concept that it does not know
        check_data(self.data, self.test_part)
        if not self.data.keys() & set(MAIN):
            raise EcgclipError(f"data needs one of {', '.join(MAIN)}, the sources with a full list of statements")
        self._check_ecg_pretraining()

    def _check_measured(self) -> None:
        if self.ecg_config.measured and not self.measured["epochs"]:
            raise TypeError("ecg.measured without measured.epochs: that branch would stay untrained")
        if lacking := {"epochs", "lr", "statements", "findings", "ranking"} - self.measured.keys():
            raise TypeError(f"measured lacks {', '.join(sorted(lacking))}")

    def _check_ecg_pretraining(self) -> None:
        name, options = "ecg_pretraining", self.ecg_pretraining
        if not isinstance(options, dict):
            raise EcgclipError(f"{name} {options!r}: give options such as {ECG_PRETRAINING}")
        if not options:
            return
        if lacking := ECG_PRETRAINING.keys() - {"data", "sizes"} - options.keys():
            raise EcgclipError(f"{name} lacks {', '.join(sorted(lacking))}")
        for key, value in options.items():
            if key not in ECG_PRETRAINING:
                raise EcgclipError(f"{name} has no option {key!r}; there are {', '.join(ECG_PRETRAINING)}")
            example = ECG_PRETRAINING[key]
            if type(value) is not type(example) or (isinstance(value, int | float) and value <= 0) or value == []:
                raise EcgclipError(f"{name}.{key} {value!r}: give such a value as {example!r}")
        if strange := [source for source in options.get("data", []) if source not in self.data]:
            raise EcgclipError(f"{name}.data has {strange[0]!r}; the recipe's data are {', '.join(self.data)}")
        task_sizes(options["task"], options.get("sizes", {}))

    def weighs(self, loss: str) -> bool:
        """Whether a loss has a weight above 0 in any stage."""
        return any(stage.get(loss, 0) > 0 for stage in (self.losses, self.locked["losses"], self.measured))

    @property
    def main(self) -> str:
        """The source with a full list of statements, whose windows count the epochs and whose patients validate."""
        return next(source for source in MAIN if source in self.data)

    @property
    def ecg_config(self) -> ECGConfig:
        return ECGConfig.from_dict(self.ecg)

    @property
    def text_config(self) -> TextConfig:
        return TextConfig(**self.text)
