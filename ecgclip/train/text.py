"""The text encoder before alignment: tokenizer, first weights, and pretraining on masked words if a recipe has any."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.files import replacing, write_atomic
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.config import TextConfig
from ecgclip.networks.text import TextEncoder
from ecgclip.networks.tokenizer import MASK, HuggingFaceTokenizer, SentencePieceTokenizer, Tokenizer
from ecgclip.train.loop import Journal, Loop, Stage, need_one_process, prepare_training
from ecgclip.train.objectives.base import Batch
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import corpus

HIDDEN = 0.2  # of the words of a text
SORTED = 40  # number of batches whose texts are sorted by length together


def train_text(recipe: Recipe, data: Path, out: Path, threads: int | None = None) -> Path:
    """Train the tokenizer and make the text encoder that `train_clip` begins with.

    The tokenizer learns from the reports of `data` and from the knowledge base. The text encoder starts from random
    weights, and is pretrained on masked words (Devlin et al. 2019) for `pretraining.epochs` of the recipe: none in the
    default recipe. With `text.hf_model`, tokenizer and weights are those of the Hugging Face model, and no text is
    read.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        The folder of the recipe's data sets.
    out : Path
        Gets tokenizer.model (or tokenizer/), text.safetensors and text.json, and of pretraining log.csv and last/.
    threads : int, optional
        CPU threads; None: torch's choice.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    EcgclipError
        Where several processes run, data cannot be read, or `out`/last is a checkpoint of another recipe.
    """
    prepare_training(threads)
    need_one_process("the text encoder is small: train it by one process, and `train clip` by many")
    torch.manual_seed(recipe.seed)
    config = recipe.text_config
    texts = [] if config.hf_model else corpus(recipe, data, KnowledgeBase.load())
    out.mkdir(parents=True, exist_ok=True)
    if config.hf_model:
        tokenizer, encoder, config = _from_hub(config)
    else:
        tokenizer, encoder, config = _from_texts(texts, config)
    tokenizer.save(out)
    if texts:
        pretrain(encoder, tokenizer, texts, recipe, out)
    _save(encoder, config, out)
    return out


def pretrain(encoder: TextEncoder, tokenizer: Tokenizer, texts: list[str], recipe: Recipe, out: Path) -> None:
    """Train `encoder` to predict masked words of the texts, for the epochs of the recipe (there may be none)."""
    from accelerate import PartialState

    options, device = recipe.pretraining, PartialState().device
    model = MaskedWords(encoder).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), options["lr"], weight_decay=recipe.weight_decay, fused=True)
    batches = WordBatches(*tokenizer(texts), options["batch"], recipe.seed)
    loop = Loop(
        "words",
        recipe,
        model,
        optimiser,
        batches,
        batches.seed_of,
        batches.steps_per_epoch,
        device,
        journal=Journal(out, ["masked_word"]),
        share_of=lambda batch: len(batch["ids"]) / len(texts),
    )
    loop.run([Stage(options["epochs"], [options["lr"]], {"masked_word": 1.0})])


class MaskedWords(nn.Module):
    """A text encoder with a layer that predicts the masked words."""

    def __init__(self, encoder: TextEncoder):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, encoder.config.vocabulary)

    def forward(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """batch: ids, mask and hidden, (b, n) each; the loss of the hidden words."""
        ids, hidden = batch["ids"], batch["hidden"]
        logits = self.head(self.encoder.hidden(ids.masked_fill(hidden, MASK), batch["mask"])[hidden])
        return {"masked_word": F.cross_entropy(logits.float(), ids[hidden])}


class WordBatches:
    """Batches of texts of similar length with masked words; an epoch is drawn from its first step on.

    ids, mask : (texts, length), as a tokenizer gives them.
    """

    def __init__(self, ids: Tensor, mask: Tensor, size: int, seed: int):
        self.ids, self.mask, self.size, self.seed = ids, mask, size, seed
        self.epoch: Iterator[Batch] = iter(())

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.ids) / self.size)

    def seed_of(self, step: int) -> int | None:
        """An epoch has one seed, set before its first step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.seed * 1_000_003 + epoch if within == 0 else None

    def __call__(self, step: int) -> Batch:
        if (seed := self.seed_of(step)) is not None:
            self.epoch = self._draw(torch.Generator().manual_seed(seed))
        return next(self.epoch)

    def _draw(self, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(self.ids), generator=generator)
        # texts of similar length need less padding; the batches are shuffled again afterwards
        blocks = [block[self.mask[block].sum(1).argsort()] for block in order.split(SORTED * self.size)]
        parts = [part for block in blocks for part in block.split(self.size)]
        for i in torch.randperm(len(parts), generator=generator):
            rows = parts[i]
            length = int(self.mask[rows].sum(1).max())
            ids, mask = self.ids[rows, :length], self.mask[rows, :length]
            hidden = (torch.rand(ids.shape, generator=generator) < HIDDEN) & mask & (ids > MASK)
            yield {"ids": ids, "mask": mask, "hidden": hidden}


def _from_texts(texts: list[str], config: TextConfig) -> tuple[Tokenizer, TextEncoder, TextConfig]:
    """A tokenizer trained on the texts and an encoder with random weights; the config with its real vocabulary."""
    tokenizer = SentencePieceTokenizer.train(texts, config)
    config = replace(config, vocabulary=len(tokenizer))
    return tokenizer, TextEncoder(config), config


def _from_hub(config: TextConfig) -> tuple[Tokenizer, TextEncoder, TextConfig]:
    """Tokenizer and encoder of a Hugging Face model; the config with all that rebuilds it without the hub."""
    tokenizer = HuggingFaceTokenizer(config.hf_model or "", config.max_tokens)
    encoder = TextEncoder(config)
    transformer: Any = encoder.transformer
    hf = transformer.model.config
    hf_config = {**hf.to_diff_dict(), "model_type": hf.model_type}
    return tokenizer, encoder, replace(config, vocabulary=len(tokenizer), hf_config=hf_config)


def _save(encoder: TextEncoder, config: TextConfig, out: Path) -> None:
    from safetensors.torch import save_file

    with replacing(out / "text.safetensors") as partial:
        save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, partial)
    write_atomic(out / "text.json", json.dumps(asdict(config), indent=1))
