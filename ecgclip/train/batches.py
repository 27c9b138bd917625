"""Batches."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from ecgclip.data.cases import MEASURED_CONCEPTS, UNKNOWN
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import prompt_settings
from ecgclip.train.augment import IN_MV, _variant, augment
from ecgclip.train.loop import _device
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, spoken_findings
from ecgclip.train.teacher import opinions
from ecgclip.train.wording import Bank, Composer, concept_wording, finding_wordings, targets

# Text costs more than the ECGs do, so that only a part of a batch meets each kind of it.
REPORTED = 32  # ECGs of a batch that get a text of their own
SYNONYMS = 24  # concepts of which two wordings meet
BANK_PART = 0.5  # of the concepts and findings are asked of a batch


class Batches:
    """Draws the batch of a step: the same one for the same seed, step and rank.

    After `lock`, banks come as vectors of a text encoder that no longer changes, and whole, as they then cost nothing.
    """

    def __init__(self, recipe: Recipe, splits: dict[str, Split], model: ECGCLIP, rank: int = 0, world: int = 1):
        self.recipe, self.splits, self.rank, self.world = recipe, splits, rank, world
        self.tokenizer, kb = model.tokenizer, model.kb
        templates = prompt_settings()["plain"]
        known = {c for split in splits.values() for case in split.cases for c in case.statements}
        beat_concepts = next(iter(splits.values())).windows.beat_concepts
        self.beats = np.array([i for i, c in enumerate(beat_concepts) if c in kb.concepts])  # kinds that are asked for
        self.concepts = tuple(sorted((known | set(MEASURED_CONCEPTS) | set(beat_concepts)) & kb.concepts.keys()))
        self.always = {"statement": [self.concepts.index(beat_concepts[i]) for i in self.beats], "finding": []}
        spoken = spoken_findings(kb)
        keys = next(iter(splits.values())).windows.finding_keys
        self.findings = np.array([i for i, key in enumerate(keys) if key in spoken])
        self.banks = {
            "statement": Bank({c: concept_wording(kb, c, templates) for c in self.concepts}, self.tokenizer),
            "finding": Bank(finding_wordings(spoken), self.tokenizer),
        }
        wordings = {c: concept_wording(kb, c, templates) for c in kb.concepts}
        self.synonyms = Bank(wordings, self.tokenizer)
        self.vectors: dict[str, Tensor] = {}
        self.truth = {k: targets(s.cases, s.windows, self.concepts) for k, s in splits.items()}
        self.main = recipe.main
        self.soft = {k: np.full(t.shape, np.nan, np.float32) for k, t in self.truth.items()}
        if recipe.teacher["share"]:
            self.soft[self.main] = opinions(
                splits[self.main].windows.features[:, 0], self.truth[self.main], recipe.teacher["trees"], recipe.seed
            )
        # what most ECGs have says little of how alike two are
        counts = np.sum([(t == 1).sum(0) for t in self.truth.values()], 0)
        self.rarity = torch.from_numpy(
            np.log(sum(map(len, self.truth.values())) / np.maximum(counts, 1)).astype(np.float32)
        )
        self.composer = Composer(kb, spoken, self.concepts)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.splits[self.main].windows) // (self.recipe.data[self.main]["per_step"] * self.world))

    def whiten(self, model: ECGCLIP, power: float) -> None:
        """Spread the vectors of `model`'s text encoder by how those of the knowledge base and the findings lie."""
        model.eval()
        text, banks = model.build_text(), (self.synonyms, self.banks["finding"])
        text.whiten(torch.cat([bank.vectors(text.projected, _device(model)) for bank in banks]), power)

    def lock(self, model: ECGCLIP) -> None:
        """From now on, draw from the vectors that `model`'s text encoder gives, the enriched prompts among them."""
        model.eval()
        text = model.build_text()
        self.vectors = {name: bank.vectors(text, _device(model)) for name, bank in self.banks.items()}
        model.set_knowledge(model.kb)
        enriched = np.stack([model.concept_vector(c) for c in self.concepts])
        self.vectors["enriched"] = torch.from_numpy(enriched.astype(np.float32))

    def rows(self, source: str, step: int) -> np.ndarray:
        """Indices of this rank's windows: consecutive slices of an endless sequence of permutations."""
        n, take = len(self.splits[source].windows), self.recipe.data[source]["per_step"]
        first = (step * self.world + self.rank) * take
        seed = [self.recipe.seed, *source.encode()]
        cycles = range(first // n, (first + take - 1) // n + 1)
        order = np.concatenate([np.random.default_rng([*seed, c]).permutation(n) for c in cycles])
        return order[first - cycles[0] * n :][:take]

    def __call__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.recipe.seed, 1, step, self.rank])
        parts, texts, meanings, reported, start = [], [], [], [], 0
        # once the text encoder is locked, whole texts are for CLIP alone
        texted = not self.vectors or bool(self.recipe.locked["losses"].get("clip"))
        for source, split in self.splits.items():
            rows = self.rows(source, step)
            windows, truth = split.windows, self.truth[source][rows]
            for i, row in enumerate(rows):
                case = split.cases[windows.case[row]]
                if texted and case.complete and i < REPORTED:
                    present = [
                        self.concepts[j] for j in np.flatnonzero(truth[i] == 1) if self.concepts[j] in case.statements
                    ]
                    found = [windows.finding_keys[j] for j in self.findings if windows.findings[row, j] == 1]
                    text, meaning = self.composer.write(case, present, found, rng, self.recipe.reports)
                    texts.append(text)
                    meanings.append(int.from_bytes(hashlib.blake2b(meaning.encode(), digest_size=7).digest(), "big"))
                    reported.append(start + i)
            beats = windows.beats[rows]
            marks = (beats[..., None] == self.beats).astype(np.int8)
            marks[beats == UNKNOWN] = UNKNOWN
            parts.append(
                {
                    "signal": windows.signal[rows].astype(np.float32),
                    "leads": windows.leads[rows],
                    "features": windows.features[rows],
                    "r_peaks": windows.r_peaks[rows],
                    "length": windows.length[rows],
                    "statement_truth": truth,
                    "statement_soft": self.soft[source][rows],
                    "finding_truth": windows.findings[rows][:, self.findings],
                    "beat_truth": marks,
                }
            )
            start += len(rows)
        batch = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        batch = augment(batch, self.recipe.augment, rng)
        if self.vectors:  # from here on, the signal learns alone
            del batch["measured"]
        out = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in batch.items()}
        out["present"], out["rarity"] = out["statement_truth"] == 1, self.rarity
        self._ask(out, rng)
        if not self.vectors:
            few = rng.choice(len(self.synonyms.keys), min(SYNONYMS, len(self.synonyms.keys)), replace=False)
            which, _ = self.synonyms.draw(rng, np.tile(few, 2), deny=0)
            out["synonym_ids"], out["synonym_mask"] = self.synonyms.tokens(which)
        if texted:
            out["text_ids"], out["text_mask"] = self.tokenizer(texts)
            out["meaning"], out["reported"] = torch.tensor(meanings), torch.tensor(reported)
        return out

    def measurements(self, step: int) -> dict[str, Tensor]:
        """What is measured in a step's windows and asked of it, without the signals; of a locked text encoder."""
        rng = np.random.default_rng([self.recipe.seed, 2, step, self.rank])
        parts = []
        for source, split in self.splits.items():
            rows, windows = self.rows(source, step), split.windows
            measured = windows.features[rows][_variant(windows.leads[rows], self.recipe.augment["drop_leads"], rng)]
            measured[:, IN_MV] *= np.exp(rng.normal(0, self.recipe.augment["gain"], (len(rows), 1)))
            soft, truth = self.soft[source][rows], self.truth[source][rows]
            parts.append((measured, truth, soft, windows.findings[rows][:, self.findings]))
        names = ("measured", "statement_truth", "statement_soft", "finding_truth")
        out = {k: torch.from_numpy(np.concatenate(v)) for k, v in zip(names, zip(*parts, strict=True), strict=True)}
        self._ask(out, rng)
        return out

    def _ask(self, out: dict[str, Tensor], rng: np.random.Generator) -> None:
        """Add to a batch the texts of both banks, or their vectors, and what is true of them.

        Once the text encoder is locked, a statement is mostly asked for by the very prompt that inference asks with.
        """
        for name, bank in self.banks.items():
            rows = np.arange(len(bank.keys))
            if not self.vectors:
                rows = np.flatnonzero((rng.random(len(rows)) < BANK_PART) | np.isin(rows, self.always[name]))
            which, denied = bank.draw(rng, rows)
            if self.vectors:
                vectors = self.vectors[name][which]
                if name == "statement":
                    whole = torch.from_numpy(rng.random(len(rows)) >= self.recipe.wording)
                    vectors, denied = torch.where(whole[:, None], self.vectors["enriched"], vectors), denied & ~whole
                out[f"{name}_vectors"] = vectors
            else:
                out[f"{name}_ids"], out[f"{name}_mask"] = bank.tokens(which)
            out[f"{name}_truth"] = _deny(out[f"{name}_truth"][:, rows], denied)
            if name == "statement":  # the teacher's opinion and a beat's own truth follow the wording too
                soft = out["statement_soft"][:, rows]
                out["statement_soft"] = torch.where(denied, 1 - soft, soft)
                if "beat_truth" not in out:
                    continue
                out["beat_columns"] = torch.from_numpy(np.searchsorted(rows, self.always[name]))
                out["beat_truth"] = _deny(out["beat_truth"], denied[out["beat_columns"]])


def _deny(truth: Tensor, denied: Tensor) -> Tensor:
    """Where a text denies, those who have it are its negatives; what is unknown stays so."""
    return torch.where(denied & (truth >= 0), 1 - truth, truth)
