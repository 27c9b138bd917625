"""The targets of each window: statements, findings and kinds of beats, and a teacher's opinion on the statements."""

from __future__ import annotations

import numpy as np
import torch

from ecgclip.data.cases import DOUBTED_CONCEPTS, MEASURED_CONCEPTS, UNKNOWN, Case
from ecgclip.data.windows import Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Splits, finding_words, trained_concepts
from ecgclip.train.teacher import opinions


def targets(cases: list[Case], windows: Windows, concepts: tuple[str, ...]) -> np.ndarray:
    """What is known of each window and concept, from statements and measurement.

    Returns
    -------
    int8 (windows, concepts)
        1 present, 0 absent, -1 unknown.
    """
    table = np.full((len(windows), len(concepts)), UNKNOWN, np.int8)
    column = {c: j for j, c in enumerate(concepts)}
    for i, case in enumerate(windows.case):
        for concept, present in cases[case].statements.items():
            if concept in column:
                table[i, column[concept]] = present
    for concept, keys in (MEASURED_CONCEPTS | DOUBTED_CONCEPTS).items():
        if concept in column:
            j = column[concept]
            measured = windows.findings[:, [k for k, name in enumerate(windows.finding_keys) if name.startswith(keys)]]
            any_present, all_absent = (measured == 1).any(1), (measured == 0).all(1)
            if concept in MEASURED_CONCEPTS:  # a coded statement stands; where none is coded, the measurement decides
                decided = np.where(any_present, 1, np.where(all_absent, 0, UNKNOWN))
                table[:, j] = np.where(table[:, j] == 1, 1, decided)
            else:
                table[(table[:, j] == 0) & any_present, j] = UNKNOWN
    return table


class Targets:
    """The targets of all windows of all sources.

    Attributes
    ----------
    concepts : tuple of str
        The statements that are asked for: what the cases tell of, what is measured, and the kinds of beats.
    findings : tuple of str
        Keys of the findings that are asked for: those of which words are left in the knowledge base.
    beat_columns : list of int
        Where the kinds of beats stand among `concepts`.
    truth, soft : dict of source → (windows, concepts)
        1 present, 0 absent, -1 unknown; the teacher's probabilities, NaN where it has none.
    trained : set of str
        Concepts that enough ECGs have; inference asks the others by their criteria first.
    rarity : float32 (concepts,)
        Weight of a statement that two ECGs share: the rarer it is, the higher.
    """

    def __init__(self, recipe: Recipe, splits: Splits, kb: KnowledgeBase):
        windows = next(iter(splits.values())).windows
        stated = {c for split in splits.values() for case in split.cases for c in case.statements}
        asked = stated | set(MEASURED_CONCEPTS) | set(windows.beat_concepts)
        self.concepts = tuple(sorted(asked & kb.concepts.keys()))
        self.beats = np.array([i for i, c in enumerate(windows.beat_concepts) if c in kb.concepts])
        self.beat_columns = [self.concepts.index(windows.beat_concepts[i]) for i in self.beats]
        words = finding_words(kb)
        self.finding_columns = np.array([i for i, key in enumerate(windows.finding_keys) if key in words])
        self.findings = tuple(windows.finding_keys[i] for i in self.finding_columns)
        self.truth = {source: targets(s.cases, s.windows, self.concepts) for source, s in splits.items()}
        self.soft = {source: np.full(t.shape, np.nan, np.float32) for source, t in self.truth.items()}
        if recipe.teacher["share"]:
            features = splits[recipe.main].windows.measured(0, recipe.ecg_config.demographics)
            trees = recipe.teacher["trees"]
            self.soft[recipe.main] = opinions(features, self.truth[recipe.main], trees, recipe.seed)
        self.trained = trained_concepts(splits)
        counts = np.sum([(t == 1).sum(0) for t in self.truth.values()], 0)
        total = sum(map(len, self.truth.values()))
        self.rarity = torch.from_numpy(np.log(total / np.maximum(counts, 1)).astype(np.float32))

    def columns(self, source: str, windows: Windows, rows: np.ndarray) -> dict[str, np.ndarray]:
        """statement_truth, statement_soft (b, concepts) and finding_truth (b, findings) of some windows of a source."""
        return {
            "statement_truth": self.truth[source][rows],
            "statement_soft": self.soft[source][rows],
            "finding_truth": windows.findings[rows][:, self.finding_columns],
        }

    def beat_truth(self, windows: Windows, rows: np.ndarray) -> np.ndarray:
        """int8 (b, R peaks, kinds of beats): 1 for the annotated kind, 0 for others, -1 without an annotation."""
        beats = windows.beats[rows]
        truth = (beats[..., None] == self.beats).astype(np.int8)
        truth[beats == UNKNOWN] = UNKNOWN
        return truth
