"""The text encoder alone."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing, write_atomic
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.text import TextEncoder
from ecgclip.networks.tokenizer import MASK, HuggingFaceTokenizer, SentencePieceTokenizer
from ecgclip.train.loop import _autocast, _cosine, _log, _needs_extra, _resume, _save, _threads
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import corpus


def train_text(recipe: Recipe, data: Path, out: Path, threads: int | None = None) -> Path:
    """Train the tokenizer and pretrain the text encoder by masked words (Devlin et al. 2019); → the folder `out`."""
    from rich.progress import track
    from safetensors.torch import save_file

    _needs_extra()
    from accelerate import PartialState

    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise EcgclipError("the text encoder is small: train it by one process, and `train clip` by many")
    _threads(threads)
    torch.manual_seed(recipe.seed)
    kb = KnowledgeBase.load()
    config = recipe.text_config
    # one of the hub's is pretrained already: no text is read, only its tokenizer and sizes are fixed
    texts = corpus(recipe, data, kb) if not config.hf_model else [""]
    out.mkdir(parents=True, exist_ok=True)
    if config.hf_model:
        tokenizer = HuggingFaceTokenizer(config.hf_model, config.max_tokens)
        encoder = TextEncoder(config)
        hf = encoder.transformer.model.config
        config = replace(
            config, vocabulary=len(tokenizer), hf_config={**hf.to_diff_dict(), "model_type": hf.model_type}
        )
        recipe = replace(recipe, pretraining={**recipe.pretraining, "epochs": 0})
    else:
        tokenizer = SentencePieceTokenizer.train(texts, config)
        config = replace(config, vocabulary=len(tokenizer))
        encoder = TextEncoder(config)
    tokenizer.save(out)
    head = nn.Linear(encoder.width, config.vocabulary)
    device = PartialState().device
    encoder.to(device)
    head.to(device)
    params = [*encoder.parameters(), *head.parameters()]
    options = recipe.pretraining
    optimiser = torch.optim.AdamW(params, options["lr"], weight_decay=recipe.weight_decay, fused=True)
    modules = {"model": nn.ModuleList([encoder, head])}
    ids, mask = tokenizer(texts)
    step = _resume(out / "last", recipe, modules, optimiser)
    per_epoch = math.ceil(len(texts) / options["batch"])
    steps, started = options["epochs"] * per_epoch, time.time()
    for epoch in track(range(step // per_epoch, options["epochs"]), "words"):
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)
        order = torch.randperm(len(texts), generator=generator)
        total = 0.0
        # batches of like length save the padding; they are shuffled again afterwards
        blocks = [block[mask[block].sum(1).argsort()] for block in order.split(40 * options["batch"])]
        parts = [part for block in blocks for part in block.split(options["batch"])]
        for i in torch.randperm(len(parts), generator=generator):
            rows = parts[i]
            n = int(mask[rows].sum(1).max())
            x, real = ids[rows, :n], mask[rows, :n]
            hidden = (torch.rand(x.shape, generator=generator) < 0.2) & real & (x > MASK)
            x, real, hidden = (t.to(device) for t in (x, real, hidden))
            for group in optimiser.param_groups:
                group["lr"] = options["lr"] * _cosine(step, steps, recipe.warmup)
            with _autocast(device.type):
                states = encoder.hidden(x.masked_fill(hidden, MASK), real)[hidden]
                logits = head(states)
            loss = F.cross_entropy(logits.float(), x[hidden])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            optimiser.step()
            total += loss.item() * len(rows)
            step += 1
        _log(out / "log.csv", epoch + 1, {"masked_word": total / len(texts)}, time.time() - started, ("masked_word",))
        _save(out / "last", recipe, modules, optimiser, step)
    with replacing(out / "text.safetensors") as partial:
        save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, partial)
    write_atomic(out / "text.json", json.dumps(asdict(config), indent=1))
    return out
