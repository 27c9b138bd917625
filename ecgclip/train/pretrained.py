"""A pretrained backbone on disk: `train ecg` writes it, `train clip --ecg` begins with it.

ecg.safetensors: the weights; ecg.json: the configuration of the encoder that it is of, and how it was trained;
task.safetensors: what some tasks keep, such as a vocabulary of heartbeats.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ecgclip.data.sets import data_set
from ecgclip.ecg import EcgclipError
from ecgclip.files import file_sha256, replacing, write_json
from ecgclip.networks.backbones import backbone_sizes
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.train.pretraining.base import Task
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Splits, data_hash, split_records

WEIGHTS, EXTRAS, ABOUT = "ecg.safetensors", "task.safetensors", "ecg.json"


def save_pretrained(
    backbone: nn.Module, task: Task, recipe: Recipe, splits: Splits, data: Path, out: Path, version: str
) -> None:
    """Write a backbone and what is to be known of it.

    Parameters
    ----------
    backbone : nn.Module
    task : Task
        That trained it.
    recipe : Recipe
    splits : dict
        The windows that it was trained on.
    data, out : Path
        The folder of the data sets, and the folder to write to.
    version : str
        Of the code that trained it.
    """
    from safetensors.torch import save_file

    for name, tensors in ((WEIGHTS, backbone.state_dict()), (EXTRAS, task.extras())):
        if tensors:
            with replacing(out / name) as partial:
                save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
    about = {
        "ecg": asdict(recipe.ecg_config),
        "task": {"name": recipe.ecg_pretraining["task"], "sizes": asdict(task.sizes)},
        "recipe": asdict(recipe),
        "code_version": version,
        "data_sha256": data_hash(recipe, data),
        "split": split_records(recipe, splits),
    }
    write_json(out / ABOUT, about)


@dataclass(frozen=True)
class Pretrained:
    """A pretrained backbone that fits a recipe.

    Attributes
    ----------
    weights : dict
        Its state.
    record : dict
        What the config of a model that begins with it says of it: recipe, task, seed and hash of the weights.
    split : dict
        Data set → `split_record` of the ECGs that it was trained on.
    """

    weights: dict[str, Tensor]
    record: dict[str, Any]
    split: dict[str, dict[str, Any]]

    def put_into(self, encoder: ECGEncoder) -> None:
        """Give the backbone of an encoder these weights."""
        encoder.backbone.load_state_dict(self.weights)

    def merged(self, split: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The `split_record` of each data set that a model trained on `split` has seen, pretraining included."""
        both = self.split | split
        for source in self.split.keys() & split.keys():
            if "folds" in split[source]:
                folds = {*self.split[source]["folds"], *split[source]["folds"]}
                both[source] = {"folds": sorted(folds)}
        return both


def load_pretrained(folder: Path, recipe: Recipe) -> Pretrained:
    """Read what `save_pretrained` wrote.

    Raises
    ------
    EcgclipError
        Where `folder` has no pretrained backbone, it is not that of the recipe, or it was trained on patients that the
        recipe keeps for validation or for testing.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / ABOUT).exists():
        raise EcgclipError(f"{folder}: no pretrained backbone here; make one with `ecgclip train ecg`")
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        config, before = ECGConfig.from_dict(about["ecg"]), Recipe(**about["recipe"])
        split, task = about["split"], about["task"]["name"]
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise EcgclipError(f"{folder}: its pretrained backbone cannot be read ({error})".splitlines()[0]) from None
    _check_backbone(folder, config, recipe.ecg_config)
    _check_patients(folder, before, recipe)
    sha256 = file_sha256(folder / WEIGHTS)
    record = {"recipe": before.name, "task": task, "seed": before.seed, "weights_sha256": sha256}
    return Pretrained(weights, record, split)


def _check_backbone(folder: Path, config: ECGConfig, wanted: ECGConfig) -> None:
    """config: of the pretrained backbone; wanted: of the recipe."""
    for name in ("backbone", "sampling_rate", "width", "heads"):
        here, there = getattr(config, name), getattr(wanted, name)
        if here != there:
            raise EcgclipError(f"{folder}: its backbone has ecg.{name} {here}, and the recipe {there}")
    here, there = asdict(backbone_sizes(config)), asdict(backbone_sizes(wanted))
    for name in (name for name in there if here[name] != there[name]):
        raise EcgclipError(f"{folder}: its backbone has ecg.sizes.{name} {here[name]}, and the recipe {there[name]}")


def _check_patients(folder: Path, before: Recipe, recipe: Recipe) -> None:
    """before: the recipe of the pretraining. Test parts that are published are never trained on (`data.splits`)."""
    for source in before.data:
        if data_set(source).same_records_as in recipe.data:
            raise EcgclipError(f"{folder}: was pretrained on {source}, which shares records with data of the recipe")
        tested = recipe.test_part.get(source, 0)
        if source in recipe.data and tested and before.test_part.get(source, 0) != tested:
            raise EcgclipError(f"{folder}: was pretrained on patients of {source} that the recipe tests on (test_part)")
    main = recipe.main
    if main in before.data and _validation(before, main) != _validation(recipe, main):
        raise EcgclipError(f"{folder}: was pretrained on patients of {main} that the recipe may validate on")


def _validation(recipe: Recipe, source: str) -> tuple[Any, ...]:
    """All that chooses the validation patients of a source."""
    folds = recipe.data[source].get("folds") or data_set(source).training_folds
    return recipe.main, recipe.validation_part, sorted(folds), recipe.test_part.get(source, 0)
