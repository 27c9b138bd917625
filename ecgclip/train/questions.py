"""The texts that a batch is compared with: a bank of statements, one of findings, one of conditions whose criteria are
computed, and two wordings of some concepts."""

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
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import finding_words
from ecgclip.train.targets import Targets
from ecgclip.train.wording import Bank, concept_wording, finding_wordings

# Encoding text costs more than encoding ECGs, so that a batch is compared with a part of the texts only.
BANK_SHARE = {"statement": 0.5, "finding": 0.5, "criteria": 0.1}  # of a bank are asked of a batch
SYNONYMS = 24  # concepts of which two wordings are compared


class Questions:
    """The banks of texts, and which of them a batch is compared with.

    After `lock`, a batch gets vectors of a text encoder that no longer changes, and of whole banks, as these then cost
    nothing.

    recipe : Recipe
        `wording`: share of statements that are then asked in other words than the enriched prompt of inference.
    """

    def __init__(self, kb: KnowledgeBase, tokenizer: Tokenizer, targets: Targets, recipe: Recipe):
        self.wording, self.trained = recipe.wording, targets.trained
        wordings = {c: concept_wording(kb, c, prompt_settings()["plain"]) for c in kb.concepts}
        self.banks = {
            "statement": Bank({c: wordings[c] for c in targets.concepts}, tokenizer),
            "finding": Bank(finding_wordings(finding_words(kb)), tokenizer),
        }
        self.synonyms = Bank(wordings, tokenizer)
        if recipe.weighs("criteria"):
            self.banks["criteria"] = self.synonyms  # all conditions
        # before texts are locked, asking costs much: a bank that no loss reads is left out
        self.joint = [name for name in self.banks if name != "criteria" or recipe.losses.get(name, 0) > 0]
        self.always = {"statement": targets.beat_columns}  # asked of every batch
        self.vectors: dict[str, Tensor] = {}  # of all texts of each bank, and of the enriched prompts
        self.enriched: dict[str, Tensor] = {}

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
        for name in self.banks.keys() - {"finding"}:
            enriched = [model.concept_vector(c, self._shares(c)) for c in self.banks[name].keys]
            self.enriched[name] = torch.from_numpy(np.stack(enriched).astype(np.float32))

    def ask(self, batch: Batch, rng: np.random.Generator) -> None:
        """Add the texts of the banks (or their vectors) to a batch, and fit its truth to what they ask.

        Columns of statement_truth, statement_soft, finding_truth, criteria_soft and beat_truth that are not asked for
        go; where a text denies, present becomes absent.
        """
        for name, bank in ((name, self.banks[name]) for name in (self.banks if self.locked else self.joint)):
            columns = self._columns(name, rng)
            texts, denied = bank.draw(rng, columns)
            if self.locked:
                batch[f"{name}_vectors"], denied = self._vectors(name, texts, denied, rng)
            else:
                batch[f"{name}_ids"], batch[f"{name}_mask"] = bank.tokens(texts)
            for known in {f"{name}_truth", f"{name}_soft"} & batch.keys():
                batch[known] = deny(batch[known][:, columns], denied)
            if name == "statement" and "beat_truth" in batch:
                batch["beat_columns"] = torch.from_numpy(np.searchsorted(columns, self.always["statement"]))
                batch["beat_truth"] = deny(batch["beat_truth"], denied[batch["beat_columns"]])

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
        return np.flatnonzero(
            (rng.random(len(columns)) < BANK_SHARE[name]) | np.isin(columns, self.always.get(name, []))
        )

    def _vectors(self, name: str, texts: np.ndarray, denied: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The vectors of texts, and which deny; most statements are asked by the prompt of inference instead."""
        vectors = self.vectors[name][texts]
        if name not in self.enriched:
            return vectors, denied
        enriched = torch.from_numpy(rng.random(len(texts)) >= self.wording)
        return torch.where(enriched[:, None], self.enriched[name], vectors), denied & ~enriched

    def _shares(self, concept: str) -> dict[str, float]:
        """How inference weighs the passages of a concept."""
        return prompt_settings()["enrich" if concept in self.trained else "enrich_untrained"]


def deny(truth: Tensor, denied: Tensor) -> Tensor:
    """Swap present and absent in the columns that are denied; unknown (-1 or NaN) stays unknown."""
    return torch.where(denied & (truth >= 0), 1 - truth, truth)
