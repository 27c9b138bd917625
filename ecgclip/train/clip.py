"""Alignment of both encoders, then of the measurements' branch: from a text encoder and ECGs to a model.

The backbone of the ECG encoder may be pretrained (`train_ecg`).
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.vectors import random_encoder
from ecgclip.files import code_version
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.networks.config import TextConfig
from ecgclip.networks.tokenizer import load_tokenizer
from ecgclip.train.aligner import Aligner
from ecgclip.train.batches import Batches
from ecgclip.train.finish import finish
from ecgclip.train.loop import Journal, Loop, MovingAverage, Stage, parameter_groups, prepare_training
from ecgclip.train.measured import train_measured
from ecgclip.train.pretrained import Pretrained, load_pretrained
from ecgclip.train.recipe import LOGGED, Recipe
from ecgclip.train.sources import Splits, load_split
from ecgclip.train.validation import validation_auroc

if TYPE_CHECKING:
    from accelerate import Accelerator


def train_clip(
    recipe: Recipe, data: Path, text: Path, out: Path, threads: int | None = None, ecg: Path | None = None
) -> Path:
    """Train a model: both encoders together, then the ECG encoder alone, then the measurements' branch.

    Goes on from `out`/last where an interrupted training left it. Several processes (torchrun) share each step.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        The folder of the recipe's data sets.
    text : Path
        What `train_text` wrote.
    out : Path
        Gets model/, ready for `load_model`, log.csv and last/.
    threads : int, optional
        CPU threads; None: torch's choice.
    ecg : Path, optional
        What `train_ecg` wrote: the backbone that the ECG encoder begins with, here and where it begins anew with the
        text encoder locked. None: random weights.

    Returns
    -------
    Path
        `out`/model.

    Raises
    ------
    EcgclipError
        Where `text` has no text encoder, `ecg` no backbone of the recipe or one that was trained on patients that the
        recipe keeps for validation or testing, the recipe has a pretraining and `ecg` is not given, data cannot be
        read, `out`/last is a checkpoint of another recipe or backbone, or a loss is no longer a number.
    """
    prepare_training(threads)
    from accelerate import Accelerator, DistributedDataParallelKwargs

    if not (text / "text.json").exists():
        raise EcgclipError(f"{text}: no text encoder here; make one with `ecgclip train text`")
    if recipe.ecg_pretraining and not ecg:
        raise EcgclipError(f"the recipe {recipe.name} has ecg_pretraining: give what `ecgclip train ecg` wrote (--ecg)")
    pretrained = load_pretrained(ecg, recipe) if ecg else None
    started, version = time.time(), code_version()
    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    out.mkdir(parents=True, exist_ok=True)
    kb = KnowledgeBase.load()
    # one process prepares, the others wait and find it: no collective, which would time out on a large archive
    splits = load_split(recipe, data, kb, validation=False)
    held_out = load_split(recipe, data, kb, validation=True)
    model = build_model(recipe, splits, text, kb, pretrained)
    batches = Batches(recipe, splits, model, accelerator.process_index, accelerator.num_processes)
    averaged = align(model, batches, recipe, accelerator, Journal(out, LOGGED, started), held_out, pretrained)
    if accelerator.is_main_process:  # the rest runs in one process
        train_measured(averaged, batches.for_one_process(), recipe)
        finish(averaged, recipe, splits, held_out, data, out, time.time() - started, version, pretrained)
    return out / "model"


def build_model(
    recipe: Recipe, splits: Splits, text: Path, kb: KnowledgeBase, pretrained: Pretrained | None = None
) -> ECGCLIP:
    """The model that training begins with: the text encoder in `text`, and an ECG encoder, random but for `pretrained`.

    Its knowledge base is without the recipe's unseen concepts, its measurements' branch has their scale.
    """
    from safetensors.torch import load_file

    config = TextConfig.from_dict(json.loads((text / "text.json").read_text()))
    torch.manual_seed(recipe.seed)
    model = ECGCLIP(ModelConfig(recipe.ecg_config, config), load_tokenizer(text, config), kb.without(recipe.unseen))
    model.build_text().load_state_dict(load_file(text / "text.safetensors"))
    if pretrained:
        pretrained.put_into(model.ecg)
    if model.ecg.measured is not None:
        read = recipe.ecg_config.demographics
        features = np.concatenate([split.windows.measured(0, read) for split in splits.values()])
        model.ecg.measured.fit(torch.from_numpy(features))
    return model


def align(
    model: ECGCLIP,
    batches: Batches,
    recipe: Recipe,
    accelerator: Accelerator,
    journal: Journal,
    held_out: Splits,
    pretrained: Pretrained | None = None,
) -> ECGCLIP:
    """Train both encoders together, then the ECG encoder with the text encoder locked; the moving average of both."""
    aligner = Aligner(model, recipe)
    averaged = copy.deepcopy(aligner.model)
    optimiser = torch.optim.AdamW(_parameter_groups(aligner, recipe), fused=True)
    rank, world = accelerator.process_index, accelerator.num_processes
    loop = Loop(
        "align",
        recipe,
        aligner,
        optimiser,
        batches,
        lambda step: recipe.seed * 1_000_003 + step * world + rank,  # dropout is part of what resumes
        batches.steps_per_epoch,
        accelerator.device,
        MovingAverage(averaged, aligner.model, recipe.average),
        journal,
        accelerator=accelerator,
        begins_with=pretrained.record["weights_sha256"] if pretrained else "",
    )

    def validation(measured: bool) -> Callable[[], dict[str, float]]:
        return lambda: {"validation_auroc": validation_auroc(averaged, held_out, measured=measured)}

    locked, rates = recipe.locked, [group["lr"] for group in optimiser.param_groups]
    begin = _lock(aligner, averaged, batches, recipe, pretrained)
    locked_rates = [locked["lr"]] * len(rates)
    both = Stage(recipe.epochs, rates, recipe.losses, validate=validation(measured=True))
    ecg_alone = Stage(locked["epochs"], locked_rates, locked["losses"], begin, validation(measured=False))
    loop.run([both, ecg_alone])
    return averaged


def _parameter_groups(aligner: Aligner, recipe: Recipe) -> list[dict[str, Any]]:
    """For the optimiser: the text transformer has a learning rate of its own."""
    transformer = list(aligner.model.build_text().transformer.parameters())
    in_transformer = {id(p) for p in transformer}
    others = [p for p in aligner.parameters() if id(p) not in in_transformer]
    return [
        *parameter_groups(others, recipe.lr, recipe.weight_decay),
        *parameter_groups(transformer, recipe.text_lr, recipe.weight_decay),
    ]


def _lock(
    aligner: Aligner, averaged: ECGCLIP, batches: Batches, recipe: Recipe, pretrained: Pretrained | None
) -> Callable[[bool], None]:
    """How the locked stage begins (LiT, Zhai et al. 2022): averaged texts stay fixed, and ECGs move towards them."""

    def begin(first: bool) -> None:
        if first:
            if recipe.locked["whiten"]:
                batches.whiten(averaged, recipe.locked["whiten"])
            # few ECGs are soon overfitted: the ECG encoder starts anew, and its branches are trained one by one
            averaged.ecg.load_state_dict(random_encoder(averaged, recipe.seed).ecg.state_dict())
            if pretrained:
                pretrained.put_into(averaged.ecg)
            aligner.model.load_state_dict(averaged.state_dict())
            aligner.lock(recipe.locked["scale"])
        batches.lock(averaged)

    return begin
