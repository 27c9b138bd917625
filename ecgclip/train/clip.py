"""Both encoders."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.vectors import random_encoder
from ecgclip.files import code_version
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.networks.tokenizer import TextConfig, load_tokenizer
from ecgclip.train.aligner import Aligner
from ecgclip.train.batches import Batches
from ecgclip.train.finish import finish
from ecgclip.train.loop import _autocast, _average, _cosine, _log, _needs_extra, _resume, _save, _threads
from ecgclip.train.measured import train_measured
from ecgclip.train.recipe import LOGGED, Recipe
from ecgclip.train.sources import load_split
from ecgclip.train.validation import validation_auroc


def train_clip(recipe: Recipe, data: Path, text: Path, out: Path, threads: int | None = None) -> Path:
    """Align both encoders from `text` (a folder that train_text wrote); → `out`/model, ready for load_model.

    Starts again from `out`/last where that exists. Raises EcgclipError if it was made by another recipe.
    """
    _needs_extra()
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
    from safetensors.torch import load_file

    if not (text / "text.json").exists():
        raise EcgclipError(f"{text}: no text encoder here; make one with `ecgclip train text`")
    _threads(threads)
    started, version = time.time(), code_version()
    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    rank, world = accelerator.process_index, accelerator.num_processes
    out.mkdir(parents=True, exist_ok=True)
    kb = KnowledgeBase.load()
    # one process prepares, the others wait and find it: no collective, which would time out on a large archive
    splits = load_split(recipe, data, kb, validation=False)
    held_out = load_split(recipe, data, kb, validation=True)
    text_config = TextConfig.from_dict(json.loads((text / "text.json").read_text()))
    torch.manual_seed(recipe.seed)
    rest = kb.without(recipe.unseen)
    model = ECGCLIP(ModelConfig(recipe.ecg_config, text_config), load_tokenizer(text, text_config), rest)
    model.build_text().load_state_dict(load_file(text / "text.safetensors"))
    if model.ecg.measured is not None:
        model.ecg.measured.fit(torch.from_numpy(np.concatenate([s.windows.features[:, 0] for s in splits.values()])))
    aligner = Aligner(model, recipe.teacher["share"])
    averaged = copy.deepcopy(aligner.model)
    batches = Batches(recipe, splits, model, rank, world)
    joint = recipe.epochs * batches.steps_per_epoch
    steps = joint + recipe.locked["epochs"] * batches.steps_per_epoch
    slow = {id(p) for p in model.text.transformer.parameters()}
    groups = [
        {
            "params": [p for p in aligner.parameters() if (id(p) in slow) == text and (p.ndim > 1) == matrix],
            "lr": recipe.text_lr if text else recipe.lr,
            "weight_decay": recipe.weight_decay if matrix else 0.0,  # of scales and biases it would take the meaning
        }
        for text in (False, True)
        for matrix in (False, True)
    ]
    optimiser = torch.optim.AdamW(groups, fused=True)
    rates = [g["lr"] for g in optimiser.param_groups]
    wrapped = accelerator.prepare(aligner)
    averaged.to(accelerator.device)
    modules = {"model": aligner, "average": averaged}
    step = _resume(out / "last", recipe, modules, optimiser)
    bar = Progress(*Progress.get_default_columns(), TimeElapsedColumn(), MofNCompleteColumn())
    sums: dict[str, float] = {}
    with bar:
        task = bar.add_task("align", total=steps, completed=step, visible=accelerator.is_main_process)
        while step < steps:
            torch.manual_seed(recipe.seed * 1_000_003 + step * world + rank)  # dropout is part of what resumes
            if step >= joint and not batches.vectors:
                # LiT (Zhai et al. 2022): the averaged texts stand still, the ECGs come to meet them
                if step == joint:
                    if recipe.locked["whiten"]:  # 0: the texts stay as they are
                        batches.whiten(averaged, recipe.locked["whiten"])
                    # what overfits few ECGs is the ECG encoder: it begins anew, its branches apart
                    averaged.ecg.load_state_dict(random_encoder(averaged, recipe.seed).ecg.state_dict())
                    aligner.model.load_state_dict(averaged.state_dict())
                    for bank in (aligner.statements, aligner.findings):
                        bank.sharpen(recipe.locked["scale"])
                batches.lock(averaged)
                rates = [recipe.locked["lr"]] * len(rates)
            within = (step, joint) if step < joint else (step - joint, steps - joint)
            weights = recipe.losses if step < joint else recipe.locked["losses"]
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * _cosine(*within, recipe.warmup)
            batch = {k: v.to(accelerator.device) for k, v in batches(step).items()}
            wrapped.train()
            with _autocast(accelerator.device.type):
                losses = wrapped(batch, weights)
            loss = sum(weights[k] * v for k, v in losses.items())
            if not torch.isfinite(loss):
                raise EcgclipError(
                    f"the loss is no longer a number at step {step}; lower lr in the recipe and start again"
                )
            optimiser.zero_grad()
            accelerator.backward(loss)
            nn.utils.clip_grad_norm_(aligner.parameters(), 1.0)
            optimiser.step()
            _average(averaged, aligner.model, min(recipe.average, (within[0] + 1) / (within[0] + 20)))
            for k, v in losses.items():
                sums[k] = sums.get(k, 0.0) + v.item() / batches.steps_per_epoch
            step += 1
            bar.update(task, completed=step)
            if step % batches.steps_per_epoch == 0:
                epoch = step // batches.steps_per_epoch
                if accelerator.is_main_process:
                    if epoch % 5 == 0 or step == steps:
                        sums["validation_auroc"] = validation_auroc(averaged, held_out, measured=step <= joint)
                    _log(out / "log.csv", epoch, sums, time.time() - started, LOGGED)
                    _save(out / "last", recipe, modules, optimiser, step)
                accelerator.wait_for_everyone()
                sums = {}
    if accelerator.is_main_process:
        batches.rank, batches.world = 0, 1  # what is left is the work of one process
        train_measured(averaged, batches, recipe)
        finish(averaged, recipe, splits, held_out, data, out, time.time() - started, version)
    return out / "model"
