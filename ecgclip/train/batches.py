"""The batch of a training step: augmented windows, their targets and the texts that they are compared with."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from ecgclip.model.clip import ECGCLIP
from ecgclip.train.augment import IN_MV, augment, draw_variant
from ecgclip.train.objectives import columns_of
from ecgclip.train.objectives.base import Batch
from ecgclip.train.questions import Questions
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Splits, finding_words
from ecgclip.train.targets import Targets
from ecgclip.train.weak import WeakLabels
from ecgclip.train.wording import Composer

REPORTED = 32  # ECGs of a source with a text of their own in a batch: encoding text costs more than encoding ECGs


class Sampler:
    """Which windows a step shows: consecutive slices of an endless sequence of permutations.

    Each process takes a slice of its own.
    """

    def __init__(self, recipe: Recipe, splits: Splits, rank: int, world: int):
        self.recipe, self.splits, self.rank, self.world = recipe, splits, rank, world

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show every window of the main source once."""
        main = self.recipe.main
        return max(1, len(self.splits[main].windows) // (self.recipe.data[main]["per_step"] * self.world))

    def rows(self, source: str, step: int) -> np.ndarray:
        """Indices of this process's windows of a source."""
        count, take = len(self.splits[source].windows), self.recipe.data[source]["per_step"]
        first = (step * self.world + self.rank) * take
        return slice_of_permutations(count, first, take, [self.recipe.seed, *source.encode()])


def slice_of_permutations(count: int, first: int, take: int, seed: list[int]) -> np.ndarray:
    """Elements `first` to `first + take` of an endless sequence of permutations of `count` indices."""
    cycles = range(first // count, (first + take - 1) // count + 1)
    order = np.concatenate([np.random.default_rng([*seed, c]).permutation(count) for c in cycles])
    return order[first - cycles[0] * count :][:take]


class Reports:
    """Whole texts for ECGs of which every statement is known."""

    def __init__(self, recipe: Recipe, splits: Splits, model: ECGCLIP, targets: Targets):
        self.splits, self.targets, self.tokenizer = splits, targets, model.tokenizer
        self.composer = Composer(model.kb, finding_words(model.kb), targets.concepts)
        self.real = recipe.reports

    def add(self, batch: Batch, rows: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        """Add text_ids and text_mask (texts, length), meaning (texts,) and reported (texts,), the ECGs that have them.

        rows : source → indices of its windows, in the order of the batch
        """
        texts, meanings, reported, start = [], [], [], 0
        for source, indices in rows.items():
            for i, row in enumerate(indices[:REPORTED]):
                case = self.splits[source].cases[self.splits[source].windows.case[row]]
                if case.complete:
                    text, meaning = self._write(source, row, rng)
                    texts.append(text)
                    meanings.append(_number(meaning))
                    reported.append(start + i)
            start += len(indices)
        batch["text_ids"], batch["text_mask"] = self.tokenizer(texts)
        batch["meaning"], batch["reported"] = torch.tensor(meanings), torch.tensor(reported)

    def _write(self, source: str, row: int, rng: np.random.Generator) -> tuple[str, str]:
        targets, windows = self.targets, self.splits[source].windows
        case = self.splits[source].cases[windows.case[row]]
        present = np.flatnonzero(targets.truth[source][row] == 1)
        statements = [targets.concepts[j] for j in present if targets.concepts[j] in case.statements]
        present = np.flatnonzero(windows.findings[row, targets.finding_columns] == 1)
        findings = [targets.findings[j] for j in present]
        return self.composer.write(case, statements, findings, rng, self.real)


class Batches:
    """Draws the batch of a step; the same seed, step and rank give the same batch."""

    def __init__(self, recipe: Recipe, splits: Splits, model: ECGCLIP, rank: int = 0, world: int = 1):
        self.recipe, self.splits = recipe, splits
        self.sampler = Sampler(recipe, splits, rank, world)
        self.targets = Targets(recipe, splits, model.kb)
        self.weak = WeakLabels(recipe, splits, model.kb)
        self.questions = Questions(model.kb, model.tokenizer, self.targets, recipe)
        self.reports = Reports(recipe, splits, model, self.targets)

    @property
    def steps_per_epoch(self) -> int:
        return self.sampler.steps_per_epoch

    @property
    def locked(self) -> bool:
        """Whether the text encoder no longer changes, so that batches hold vectors of texts instead of tokens."""
        return self.questions.locked

    def whiten(self, model: ECGCLIP, power: float) -> None:
        """Spread the vectors of `model`'s text encoder (`Questions.whiten`)."""
        self.questions.whiten(model, power)

    def lock(self, model: ECGCLIP) -> None:
        """From now on, draw vectors that `model`'s text encoder gives (`Questions.lock`)."""
        self.questions.lock(model)

    def for_one_process(self) -> Batches:
        """Draw from now on for a single process; returns the batches."""
        self.sampler = Sampler(self.recipe, self.splits, 0, 1)
        return self

    def __call__(self, step: int) -> Batch:
        """The columns that the objectives read (`ecgclip.train.objectives`)."""
        rng = np.random.default_rng([self.recipe.seed, 1, step, self.sampler.rank])
        rows = {source: self.sampler.rows(source, step) for source in self.splits}
        texts: Batch = {}
        if not self.locked or "text_ids" in columns_of(self.recipe.locked["losses"]):
            self.reports.add(texts, rows, rng)
        windows = self._windows(rows)
        arrays = augment(windows, self.recipe.augment, rng)
        arrays["measured"] = self._with_demographics(arrays["measured"], rows, rng)
        self.weak.hide_unshown(arrays, arrays["mask"], windows["leads"][:, 0])
        if self.locked:  # from here on, the signal learns alone
            del arrays["measured"]
        batch = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
        batch["present"], batch["rarity"] = batch["statement_truth"] == 1, self.targets.rarity
        self.questions.ask(batch, rng)
        if not self.locked:
            self.questions.ask_synonyms(batch, rng)
        return batch | texts

    def measurements(self, step: int) -> Batch:
        """The batch of a step without its signals: measurements and what is asked of them, of a locked text encoder."""
        rng = np.random.default_rng([self.recipe.seed, 2, step, self.sampler.rank])
        parts = []
        for source, split in self.splits.items():
            rows, windows = self.sampler.rows(source, step), split.windows
            variant = draw_variant(windows.leads[rows], self.recipe.augment["drop_leads"], rng)
            measured = windows.features[rows][variant]
            measured[:, IN_MV] *= np.exp(rng.normal(0, self.recipe.augment["gain"], (len(rows), 1)))
            measured = self._with_demographics(measured, {source: rows}, rng)
            known = {**self.targets.columns(source, windows, rows), **self.weak.columns(source, rows)}
            self.weak.hide_unshown(known, windows.leads[rows][variant], windows.mask[rows])
            parts.append({"measured": measured, **known})
        batch = {k: torch.from_numpy(v) for k, v in joined(parts).items()}
        self.questions.ask(batch, rng)
        return batch

    def _with_demographics(
        self, measured: np.ndarray, rows: dict[str, np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """The measurements (b, …) with age and sex behind them where the branch reads these, some made unknown."""
        if not self.recipe.ecg_config.demographics:
            return measured
        who = np.concatenate([self.splits[source].windows.demographics[indices] for source, indices in rows.items()])
        hidden = rng.random(who.shape) < self.recipe.augment.get("drop_demographics", 0.0)
        return np.concatenate([measured, np.where(hidden, np.float32(np.nan), who)], 1)

    def _windows(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The windows of all sources as they lie on disk, with their targets."""
        parts = []
        for source, indices in rows.items():
            windows = self.splits[source].windows
            parts.append(
                {
                    "signal": windows.signal[indices].astype(np.float32),
                    "leads": windows.leads[indices],
                    "features": windows.features[indices],
                    "r_peaks": windows.r_peaks[indices],
                    "length": windows.length[indices],
                    "beat_truth": self.targets.beat_truth(windows, indices),
                    **self.targets.columns(source, windows, indices),
                    **self.weak.columns(source, indices),
                }
            )
        return joined(parts)


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Concatenate the rows of batches that have the same columns."""
    return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def _number(meaning: str) -> int:
    """The hash of a key, as an integer of 56 bits that a tensor can hold."""
    return int.from_bytes(hashlib.blake2b(meaning.encode(), digest_size=7).digest(), "big")
