"""Texts become token ids: a SentencePiece model of one's own, or one of the Hugging Face hub."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic

PAD, UNKNOWN, BEGIN, END, MASK = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the text encoder."""

    vocabulary: int = 4000
    width: int = 192
    layers: int = 3
    heads: int = 4
    max_tokens: int = 64
    dim: int = 256  # of the embedding space shared with the ECG
    dropout: float = 0.0  # every text is already said in many ways
    hf_model: str | None = None  # a Hugging Face repo id or folder to use instead
    hf_config: dict[str, Any] | None = None  # its configuration, kept so that a trained model loads without the hub

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> TextConfig:
        """From JSON; models of version 0.1.0 also stored the sizes of a caption decoder, which is gone."""
        return cls(**{k: v for k, v in stored.items() if not k.startswith("caption_")})


class Tokenizer(Protocol):
    max_tokens: int
    pad: int  # id that fills up a shorter text

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """texts → ids int64 (b, n), mask bool (b, n), True = a token"""

    def decode(self, ids: list[int]) -> str: ...

    def save(self, folder: Path) -> None: ...


def clean(text: str) -> str:
    """One line of lower case, without the boilerplate that PTB-XL's devices print under a report."""
    text = re.sub(
        r"\d+\.\d+\s+unbest(ä|ae)tigter bericht|unbest(ä|ae)tigter bericht|unconfirmed report", " ", text.casefold()
    )
    return re.sub(r"\s+", " ", text).strip()


class SentencePieceTokenizer:
    pad = PAD

    def __init__(self, model: bytes, max_tokens: int):
        import sentencepiece

        try:
            self.pieces = sentencepiece.SentencePieceProcessor()
            self.pieces.LoadFromSerializedProto(model)  # unlike the constructor, it does not accept an empty file
        except RuntimeError as error:
            raise EcgclipError(
                f"the tokenizer is damaged ({str(error).splitlines()[0]}); reinstall or retrain it"
            ) from None
        self.model, self.max_tokens = model, max_tokens

    @classmethod
    def train(cls, texts: list[str], config: TextConfig) -> SentencePieceTokenizer:
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
            num_threads=1,  # several threads give other pieces from run to run
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
        rows = [[BEGIN, *self.pieces.encode(clean(t))[: self.max_tokens - 2], END] for t in texts]
        # a multiple of 16: new shapes cost more than padding, as each is compiled for on its first use
        length = min(-(-max(map(len, rows), default=1) // 16) * 16, self.max_tokens)
        ids = torch.full((len(rows), length), PAD)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
        return ids, ids != PAD

    def decode(self, ids: list[int]) -> str:
        return self.pieces.decode([i for i in ids if i > MASK])

    def save(self, folder: Path) -> None:
        write_atomic(folder / "tokenizer.model", self.model)


class HuggingFaceTokenizer:
    def __init__(self, name: str, max_tokens: int):
        self.tokenizer, self.max_tokens = _transformers().AutoTokenizer.from_pretrained(name), max_tokens
        self.pad = self.tokenizer.pad_token_id or PAD

    def __len__(self) -> int:
        return len(self.tokenizer)

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        out = self.tokenizer(
            [clean(t) for t in texts], padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return out["input_ids"], out["attention_mask"].bool()

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")


def load_tokenizer(folder: Path, config: TextConfig) -> Tokenizer:
    if config.hf_model:
        if not (folder / "tokenizer").is_dir():  # a relative path that is not there would be asked of the hub
            raise EcgclipError(f"{folder}: its folder tokenizer is missing")
        return HuggingFaceTokenizer(str(folder / "tokenizer"), config.max_tokens)
    return SentencePieceTokenizer((folder / "tokenizer.model").read_bytes(), config.max_tokens)


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError:
        raise EcgclipError('a Hugging Face text encoder needs transformers: pip install "ecgclip[train]"') from None
    return transformers
