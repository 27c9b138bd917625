"""The texts that a batch is compared with: a bank of statements, one of findings, and two wordings of some concepts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import prompt_settings
from ecgclip.networks.tokenizer import Tokenizer
from ecgclip.train.loop import device_of
from ecgclip.train.objectives.base import Batch
from ecgclip.train.sources import finding_words
from ecgclip.train.targets import Targets
from ecgclip.train.wording import Bank, concept_wording, finding_wordings

# Encoding text costs more than encoding ECGs, so that a batch is compared with a part of the texts only.
BANK_SHARE = 0.5  # of the concepts and findings are asked of a batch
SYNONYMS = 24  # concepts of which two wordings are compared


class Questions:
    """The banks of texts, and which of them a batch is compared with.

    After `lock`, a batch gets vectors of a text encoder that no longer changes, and of whole banks, as these then cost
    nothing.

    wording : float
        Share of statements that are then asked in other words than the enriched prompt of inference.
    """

    def __init__(self, kb: KnowledgeBase, tokenizer: Tokenizer, targets: Targets, wording: float):
        self.concepts, self.wording = targets.concepts, wording
        wordings = {c: concept_wording(kb, c, prompt_settings()["plain"]) for c in kb.concepts}
        self.banks = {
            "statement": Bank({c: wordings[c] for c in targets.concepts}, tokenizer),
            "finding": Bank(finding_wordings(finding_words(kb)), tokenizer),
        }
        self.always = {"statement": targets.beat_columns, "finding": []}  # asked of every batch
        self.synonyms = Bank(wordings, tokenizer)
        self.vectors: dict[str, Tensor] = {}  # of all texts of each bank, and of the enriched prompts
        self.enriched = torch.empty(0)

    @property
    def locked(self) -> bool:
        return bool(self.vectors)

    def whiten(self, model: ECGCLIP, power: float) -> None:
        """Spread the vectors of `model`'s text encoder by how those of the knowledge base and the findings lie."""
        model.eval()
        text, banks = model.build_text(), (self.synonyms, self.banks["finding"])
        text.whiten(torch.cat([bank.vectors(text.projected, device_of(model)) for bank in banks]), power)

    def lock(self, model: ECGCLIP) -> None:
        """From now on, ask by the vectors that `model`'s text encoder gives."""
        model.eval()
        text = model.build_text()
        self.vectors = {name: bank.vectors(text, device_of(model)) for name, bank in self.banks.items()}
        model.set_knowledge(model.kb)
        enriched = np.stack([model.concept_vector(c) for c in self.concepts])
        self.enriched = torch.from_numpy(enriched.astype(np.float32))

    def ask(self, batch: Batch, rng: np.random.Generator) -> None:
        """Add the texts of both banks (or their vectors) to a batch, and fit its truth to what they ask.

        Columns of statement_truth, statement_soft, finding_truth and beat_truth that are not asked for go; where a text
        denies, present becomes absent.
        """
        for name, bank in self.banks.items():
            columns = self._columns(name, rng)
            texts, denied = bank.draw(rng, columns)
            if self.locked:
                batch[f"{name}_vectors"], denied = self._vectors(name, texts, denied, rng)
            else:
                batch[f"{name}_ids"], batch[f"{name}_mask"] = bank.tokens(texts)
            batch[f"{name}_truth"] = deny(batch[f"{name}_truth"][:, columns], denied)
            if name == "statement":
                self._match_statements(batch, columns, denied)

    def ask_synonyms(self, batch: Batch, rng: np.random.Generator) -> None:
        """Add two wordings of some concepts: synonym_ids and synonym_mask, (2 × concepts, length)."""
        count = len(self.synonyms.keys)
        concepts = rng.choice(count, min(SYNONYMS, count), replace=False)
        texts, _ = self.synonyms.draw(rng, np.tile(concepts, 2), deny=0)
        batch["synonym_ids"], batch["synonym_mask"] = self.synonyms.tokens(texts)

    def _columns(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """The rows of a bank that are asked: all once texts are locked, else a part."""
        columns = np.arange(len(self.banks[name].keys))
        if self.locked:
            return columns
        return np.flatnonzero((rng.random(len(columns)) < BANK_SHARE) | np.isin(columns, self.always[name]))

    def _vectors(self, name: str, texts: np.ndarray, denied: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The vectors of texts, and which deny; most statements are asked by the prompt of inference instead."""
        vectors = self.vectors[name][texts]
        if name != "statement":
            return vectors, denied
        enriched = torch.from_numpy(rng.random(len(texts)) >= self.wording)
        return torch.where(enriched[:, None], self.enriched, vectors), denied & ~enriched

    def _match_statements(self, batch: Batch, columns: np.ndarray, denied: Tensor) -> None:
        """Fit the teacher's opinion, and the truth of single beats, to what is asked of the statements."""
        soft = batch["statement_soft"][:, columns]
        batch["statement_soft"] = torch.where(denied, 1 - soft, soft)
        if "beat_truth" in batch:
            batch["beat_columns"] = torch.from_numpy(np.searchsorted(columns, self.always["statement"]))
            batch["beat_truth"] = deny(batch["beat_truth"], denied[batch["beat_columns"]])


def deny(truth: Tensor, denied: Tensor) -> Tensor:
    """Swap present and absent in the columns that are denied; unknown stays unknown."""
    return torch.where(denied & (truth >= 0), 1 - truth, truth)
