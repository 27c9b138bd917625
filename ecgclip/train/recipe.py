"""A recipe: everything that an experiment chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecgclip.data.sets import MAIN
from ecgclip.data.splits import check_data
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.tokenizer import TextConfig

LOGGED = ("clip", "statements", "ranking", "findings", "beats", "synonyms", "views", "validation_auroc")


@dataclass(frozen=True)
class Recipe:
    """An experiment; the fields of a YAML file in recipes/."""

    name: str
    seed: int
    data: dict[str, dict[str, Any]]
    validation_part: int
    pretraining: dict[str, Any]
    epochs: int
    locked: dict[str, Any]
    teacher: dict[str, Any]
    wording: float  # with the text encoder locked, the share of prompts other than those that inference asks with
    measured: dict[str, Any]
    lr: float
    text_lr: float
    weight_decay: float
    warmup: float
    average: float
    losses: dict[str, float]
    augment: dict[str, float]
    test_part: dict[str, int] = field(
        default_factory=dict
    )  # source → one patient in so many, beside those of splits.py
    ecg: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    reports: float = 0.5  # part of the texts that are the real report, where there is one
    unseen: list[str] = field(default_factory=list)  # concepts that no text and no label of the training may name

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        import yaml

        try:
            recipe = cls(**yaml.safe_load(Path(path).read_text(encoding="utf-8")))
            recipe.ecg_config, recipe.text_config  # noqa: B018 - their fields are checked, too
            if recipe.ecg_config.measured and not recipe.measured["epochs"]:
                raise TypeError("ecg.measured without measured.epochs: that branch would stay untrained")
            if lacking := {"epochs", "lr", "statements", "findings", "ranking"} - recipe.measured.keys():
                raise TypeError(f"measured lacks {', '.join(sorted(lacking))}")
            named = recipe.losses.keys() | recipe.locked["losses"].keys()
            if strange := named - set(LOGGED):
                raise TypeError(f"no loss {sorted(strange)[0]!r}; there are {', '.join(LOGGED[:-1])}")
            if not isinstance(recipe.unseen, list):
                raise TypeError(f"unseen {recipe.unseen!r} is no list of concepts")
            if recipe.unseen:
                KnowledgeBase.load().without(recipe.unseen)  # which knows them, or says so
            check_data(recipe.data, recipe.test_part)
        except (OSError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise EcgclipError(
                f"{path}: not a recipe ({str(error).splitlines()[0]}); see recipes/default.yaml"
            ) from None
        except EcgclipError as error:
            raise EcgclipError(f"{path}: {error}") from None
        if not recipe.data.keys() & set(MAIN):
            raise EcgclipError(
                f"{path}: data needs one of {', '.join(MAIN)}, the sources with a full list of statements"
            )
        return recipe

    @property
    def main(self) -> str:
        """The source with a full list of statements, whose windows count the epochs and whose patients validate."""
        return next(source for source in MAIN if source in self.data)

    @property
    def ecg_config(self) -> ECGConfig:
        return ECGConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in self.ecg.items()})

    @property
    def text_config(self) -> TextConfig:
        return TextConfig(**self.text)
