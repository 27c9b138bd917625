"""Texts become token ids: a SentencePiece model that ecgclip trained, or a tokenizer of the Hugging Face hub."""

from __future__ import annotations

import io
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic
from ecgclip.networks.config import TextConfig

PAD, UNKNOWN, BEGIN, END, MASK = 0, 1, 2, 3, 4
# texts are padded to a multiple of it: new shapes cost more than padding, as each is compiled for on its first use
LENGTH_STEP = 16
# what PTB-XL's devices print under a report
BOILERPLATE = re.compile(r"\d+\.\d+\s+unbest(ä|ae)tigter bericht|unbest(ä|ae)tigter bericht|unconfirmed report")


class Tokenizer(Protocol):
    """What a text encoder needs of a tokenizer."""

    max_tokens: int
    pad: int  # the id that fills up a shorter text

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return ids int64 (b, n) and mask bool (b, n), True = a token."""

    def save(self, folder: Path) -> None:
        """Write what `load_tokenizer` reads."""


class SentencePieceTokenizer:
    """A unigram model (Kudo & Richardson, 2018), as bytes, which are read when the first text comes."""

    pad = PAD

    def __init__(self, model: bytes, max_tokens: int):
        self.model, self.max_tokens = model, max_tokens

    @cached_property
    def pieces(self) -> Any:
        """SentencePiece's processor.

        Raises
        ------
        EcgclipError
            If the bytes are not those of a model.
        """
        import sentencepiece

        try:
            pieces = sentencepiece.SentencePieceProcessor()
            pieces.LoadFromSerializedProto(self.model)  # unlike the constructor, it does not accept an empty file
        except RuntimeError as error:
            raise EcgclipError(
                f"the tokenizer is damaged ({str(error).splitlines()[0]}); reinstall or retrain it"
            ) from None
        return pieces

    @classmethod
    def train(cls, texts: list[str], config: TextConfig) -> SentencePieceTokenizer:
        """Train a tokenizer of at most `config.vocabulary` ids; the same texts give the same bytes."""
        import sentencepiece

        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([clean(t) for t in texts]),
            model_writer=model,
            vocab_size=config.vocabulary,
            model_type="unigram",
            character_coverage=1.0,
            normalization_rule_name="nmt_nfkc_cf",
            hard_vocab_limit=False,
            num_threads=1,  # with several threads the pieces differ from run to run
            minloglevel=2,
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=BEGIN,
            eos_id=END,
            user_defined_symbols=["<mask>"],
        )
        return cls(model.getvalue(), config.max_tokens)

    def __len__(self) -> int:
        return self.pieces.get_piece_size()

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return ids int64 (b, n) and mask bool (b, n), True = a token."""
        rows = [[BEGIN, *self.pieces.encode(clean(t))[: self.max_tokens - 2], END] for t in texts]
        ids = pad_tokens(rows, PAD, self.max_tokens)
        return ids, ids != PAD

    def save(self, folder: Path) -> None:
        """Write tokenizer.model."""
        write_atomic(folder / "tokenizer.model", self.model)


class HuggingFaceTokenizer:
    """The tokenizer of an encoder of the Hugging Face hub.

    Parameters
    ----------
    name
        A Hugging Face repo id or a folder.
    max_tokens
        Number of tokens of a text at most; the rest is cut off.
    """

    def __init__(self, name: str, max_tokens: int):
        self.tokenizer, self.max_tokens = import_transformers().AutoTokenizer.from_pretrained(name), max_tokens
        self.pad = self.tokenizer.pad_token_id or PAD

    def __len__(self) -> int:
        return len(self.tokenizer)

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return ids int64 (b, n) and mask bool (b, n), True = a token."""
        encoded = self.tokenizer(
            [clean(t) for t in texts], padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return encoded["input_ids"], encoded["attention_mask"].bool()

    def save(self, folder: Path) -> None:
        """Write the folder "tokenizer"."""
        self.tokenizer.save_pretrained(folder / "tokenizer")


def load_tokenizer(folder: Path, config: TextConfig) -> Tokenizer:
    """Load the tokenizer that was saved in a model's folder.

    Raises
    ------
    EcgclipError
        If, for a Hugging Face encoder, it is missing. SentencePiece's is checked when the first text comes.
    """
    if config.hf_model:
        if not (folder / "tokenizer").is_dir():  # the hub would be asked for a relative path that does not exist
            raise EcgclipError(f"{folder}: its folder tokenizer is missing")
        return HuggingFaceTokenizer(str(folder / "tokenizer"), config.max_tokens)
    return SentencePieceTokenizer((folder / "tokenizer.model").read_bytes(), config.max_tokens)


def pad_tokens(rows: list[list[int]], pad: int, max_tokens: int) -> Tensor:
    """Return token ids as one array.

    Parameters
    ----------
    rows
        The token ids of each text.
    pad
        The id that fills up a shorter text.
    max_tokens
        Length at most.

    Returns
    -------
    Tensor
        int64 (texts, length); the length is a multiple of LENGTH_STEP, or `max_tokens`.
    """
    steps = -(-max(map(len, rows), default=1) // LENGTH_STEP)
    ids = torch.full((len(rows), min(steps * LENGTH_STEP, max_tokens)), pad)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def clean(text: str) -> str:
    """Return the text as one line in lower case, without the boilerplate of PTB-XL's devices."""
    return re.sub(r"\s+", " ", BOILERPLATE.sub(" ", text.casefold())).strip()


def import_transformers() -> Any:
    """Return the package `transformers`.

    Raises
    ------
    EcgclipError
        If it is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError:
        raise EcgclipError('a Hugging Face text encoder needs transformers: pip install "ecgclip[train]"') from None
    return transformers
