"""From vectors, criteria and prompts to scores.

similarity ─calibration─▶ probability by the vector ─┐
criteria ─evidence──────▶ probability by the criteria ┴▶ beside what it excludes ─▶ what the recording decides ─▶ Score
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Passage
from ecgclip.knowledge.criteria import Judge
from ecgclip.knowledge.criteria.evidence import logistic, weigh_all
from ecgclip.knowledge.criteria.judge import midpoint
from ecgclip.measure.recording import Decision
from ecgclip.model.calibration import LIKELY, Bank, Known, Witnesses, yielding
from ecgclip.model.config import ModelConfig
from ecgclip.model.prompts import SIMULATED, UNTRAINED, Prompt, combine, leaf_vectors
from ecgclip.model.results import Embedding, Result, Score
from ecgclip.prepare import SAMPLING_RATE

NORMAL = "normal-ecg"
ENOUGH_ABNORMAL = 30  # conditions that training had; fewer are not all that makes an ECG abnormal
CERTAINTY = 3.0  # a number at the edge of its zone of doubt is so probable: logistic(1) = 0.73


@dataclass(frozen=True, eq=False)
class Probabilities:
    """How probable conditions are in ECGs, (n, leaves) each: by both witnesses, and by either alone.

    `criteria` is NaN where a condition has none, or none can be measured; `both` is then `vector`. A label that is a
    number is measured alone: where it cannot be, all are NaN.
    """

    both: np.ndarray
    vector: np.ndarray
    criteria: np.ndarray


def coherent(
    kb: KnowledgeBase, concepts: Sequence[str], probability: np.ndarray, trusted: Collection[str]
) -> np.ndarray:
    """Probabilities (n, concepts) that do not contradict each other: of each condition beside the others.

    A condition is at least as probable as a `LIKELY` kind of it, and yields to what it excludes, if `trusted`: what
    training knew no real ECG of is claimed too easily to bear upon others. An id may be "".
    """
    rows = {concept: j for j, concept in enumerate(concepts) if concept in trusted}

    def highest(table: np.ndarray, others: Collection[str]) -> np.ndarray:
        return table[[rows[other] for other in others & rows.keys()]].max(axis=0, initial=0)

    wide = probability.T.copy()  # (concepts, n)
    for j, concept in enumerate(concepts):
        if (kinds := kb.narrower(concept)) and not kinds.isdisjoint(rows):
            kind = highest(probability.T, kinds)
            wide[j] = np.where(kind >= LIKELY, np.fmax(wide[j], kind), wide[j])
    rival = np.array([highest(wide, kb.rivals(concept)) for concept in concepts])
    return yielding(wide, rival.reshape(wide.shape)).T


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores embeddings for prompts, by one model's calibration.

    Attributes
    ----------
    config
        Calibration, threshold, and what training had.
    bank
        The reference ECGs.
    kb
        Tells what excludes what.
    concept_vector
        The vector of a concept, by its id.
    """

    config: ModelConfig
    bank: Bank
    kb: KnowledgeBase
    concept_vector: Callable[[str], np.ndarray]

    def probabilities(self, vectors: np.ndarray, leaves: Sequence[Prompt], judge: Judge | None) -> Probabilities:
        """Vectors (n, dim), and a judge of the same ECGs → probabilities; of single conditions."""
        by = self.one_by_one(vectors, leaves, judge)
        if judge is None or self.config.witnesses is None:
            return by
        names = [leaf.concept.id if leaf.concept else "" for leaf in leaves]
        beside_them = set().union(*(self.kb.rivals(c) | self.kb.narrower(c) for c in names))
        trusted = {c for c in beside_them if self.config.known(c) == "trained"}
        if others := self._perhaps_likely(vectors, sorted(trusted - set(names))):  # not asked for
            prompts = [self._prompt(c) for c in others]
            beside = np.hstack([by.both, self.one_by_one(vectors, prompts, judge).both])
        else:
            beside = by.both
        both = coherent(self.kb, [*names, *others], beside, trusted)[:, : len(names)]
        return Probabilities(both, by.vector, by.criteria)

    def _prompt(self, concept: str) -> Prompt:
        return Prompt(concept, self.concept_vector(concept), self.kb.concepts[concept], ())

    def _perhaps_likely(self, vectors: np.ndarray, concepts: Sequence[str]) -> list[str]:
        """Those concepts that evidence could make `LIKELY` in any ECG: only they bear upon others."""
        witnesses, prompts = self.config.witnesses, [self._prompt(c) for c in concepts]
        if not prompts or witnesses is None:
            return []
        vector = self.by_vector(vectors, prompts)
        of_concept = [self.config.known(c) for c in concepts]
        likely = np.zeros(len(concepts), bool)
        for known in set(of_concept):
            columns = np.array(of_concept) == known
            likely[columns] = (witnesses.at_most(vector[:, columns], known) >= LIKELY).any(axis=0)
        return [concept for concept, is_likely in zip(concepts, likely, strict=True) if is_likely]

    def one_by_one(self, vectors: np.ndarray, leaves: Sequence[Prompt], judge: Judge | None) -> Probabilities:
        """The same, each condition as if there were no other."""
        vector = self.by_vector(vectors, leaves)
        normal = [j for j, leaf in enumerate(leaves) if leaf.concept and leaf.concept.id == NORMAL]
        if normal and (abnormal := self._abnormal()):
            vector[:, normal] = np.fmax(vector[:, normal], self._none_of(vectors, abnormal)[:, None])
        by = Probabilities(vector.copy(), vector, np.full_like(vector, np.nan))
        for j, leaf in enumerate(leaves):
            if leaf.test:  # a number is measured, or unknown
                vector[:, j] = np.nan
                if judge is not None:
                    by.criteria[:, j] = logistic(CERTAINTY * midpoint(judge.margin(leaf.test)))
                by.both[:, j] = by.criteria[:, j]
        if judge is not None and self.config.witnesses is not None:
            self._hear(by, leaves, judge, self.config.witnesses)
        return by

    def _hear(self, by: Probabilities, leaves: Sequence[Prompt], judge: Judge, witnesses: Witnesses) -> None:
        """Put in, in place, what the criteria of conditions say."""
        columns: dict[Known, list[int]] = {}
        for j, leaf in enumerate(leaves):
            if leaf.concept and not leaf.test:
                columns.setdefault(self._known(leaf), []).append(j)
        for known, of_known in columns.items():
            evidence = weigh_all(judge, [leaves[j].concept for j in of_known])  # type: ignore[misc]
            features, measured = evidence.features, evidence.measured.T
            together = witnesses.together(by.vector[:, of_known].T, features, known).T
            by.both[:, of_known] = np.where(measured, together, by.both[:, of_known])
            by.criteria[:, of_known] = np.where(measured, witnesses.criteria(features).T, np.nan)

    def _abnormal(self) -> list[Prompt]:
        """The narrowest conditions that a normal ECG lacks and training had ECGs of; none if they are few."""
        trained = set(self.config.trained_concepts or ())
        wider = set().union(*(self.kb.ancestors(c) for c in trained & self.kb.concepts.keys()))
        narrowest = sorted(self.kb.excluded(NORMAL) & trained - wider) if NORMAL in self.kb.concepts else []
        conditions = [c for c in narrowest if self.kb.concepts[c].category != "beat"]
        return [self._prompt(c) for c in conditions] if len(conditions) >= ENOUGH_ABNORMAL else []

    def _none_of(self, vectors: np.ndarray, conditions: Sequence[Prompt]) -> np.ndarray:
        """How probable it is at least that none of the conditions is there, (n,): what their sum leaves (Boole)."""
        probability = self.by_vector(vectors, conditions)
        return (1 - probability.sum(axis=1)).clip(min=0)

    def by_vector(self, vectors: np.ndarray, leaves: Sequence[Prompt]) -> np.ndarray:
        """Vectors (n, dim) → probabilities (n, leaves), by the curve for how training knew each condition."""
        labels = leaf_vectors(leaves)
        similarity, bank = cosines(vectors, labels), self.bank.similarity(labels)
        probability = np.zeros(similarity.shape)
        of_leaf = np.array([self._known(leaf) for leaf in leaves])
        for known in set(of_leaf.tolist()):
            columns = of_leaf == known
            probability[:, columns] = self.config.curve(known)(similarity[:, columns], bank[:, columns])
        return probability

    def _known(self, leaf: Prompt) -> Known:
        if leaf.trained(self.config.trained_concepts) is not False:
            return "trained"
        return self.config.known(leaf.concept.id) if leaf.concept else "untrained"

    def likely(self, prompt: Prompt, vectors: np.ndarray) -> np.ndarray:
        """Vectors of ECGs (n, dim) → bool (n,); see `ECGCLIP.likely`."""
        usual: np.ndarray | float = np.inf
        if len(self.bank.reference):
            usual = self.by_vector(self.bank.reference, prompt.leaves).mean(0)
        present = self.by_vector(vectors, prompt.leaves) >= np.minimum(usual, self.config.threshold)
        return combine([prompt], present.astype(int), whole=1)[:, 0] > 0

    def score(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], judge: Judge, softmax: bool = False
    ) -> list[Result]:
        """Embeddings, prompts, and a judge of each record followed by its windows → scores; see `ECGCLIP.score`."""
        leaves = [leaf for prompt in prompts for leaf in prompt.leaves]
        rows = np.vstack([vectors for e in embeddings for vectors in (e.vector, e.rhythm)])
        by = self.probabilities(rows, leaves, judge)
        decided = [embedding.recording.decides() for embedding in embeddings]
        ends = np.cumsum([1 + len(embedding.rhythm) for embedding in embeddings])
        parts = [slice(end - 1 - len(e.rhythm), end) for e, end in zip(embeddings, ends, strict=True)]
        for embedding, part, decisions in zip(embeddings, parts, decided, strict=True):
            if decisions:
                _decide(by.both[part], leaves, embedding, decisions)
        tables = _Tables(
            combine(prompts, cosines(rows, leaf_vectors(prompts)), whole=0),
            *(combine(prompts, p, whole=1) for p in (by.both, by.vector, by.criteria)),
        )
        asked = [_Asked.of(prompt, self.config) for prompt in prompts]
        return [
            Result(
                record=embedding.record,
                leads=embedding.leads,
                windows=tuple(embedding.prepared.start_s.tolist()),
                scores=tuple(self._scores(asked, tables.of(part), decisions, softmax)),
                notes=embedding.notes,
                seconds=embedding.prepared.seconds,
                used_s=embedding.prepared.used_s,
            )
            for embedding, part, decisions in zip(embeddings, parts, decided, strict=True)
        ]

    def _scores(
        self, asked: Sequence[_Asked], tables: _Tables, decided: Mapping[str, Decision], softmax: bool
    ) -> Iterator[Score]:
        """The scores of one record, whose tables have a row for it and for each of its windows."""
        record = _softmax(tables.probability[0]) if softmax else tables.probability[0]
        columns = zip(
            asked,
            record.tolist(),
            tables.similarity[0].tolist(),
            np.fmax.reduce(tables.probability, axis=0).tolist(),
            (tables.probability[1:] >= self.config.threshold).mean(axis=0).tolist(),
            tables.similarity[1:].T.tolist(),
            tables.probability[1:].T.tolist(),
            tables.vector[0].tolist(),
            tables.criteria[0].tolist(),
            strict=True,
        )
        for each, probability, similarity, highest, burden, *of_windows, by_vector, by_criteria in columns:
            measured = [decided[concept].words for concept in each.concepts if concept in decided] if decided else []
            note = each.note.replace(UNTRAINED, "").replace(SIMULATED, "").strip("; ") if measured else each.note
            calibrated = each.concept and each.trained and not measured and not softmax
            yield Score(
                label=each.label,
                concept=each.concept,
                probability=probability,
                similarity=similarity,
                max_probability=highest,
                burden=burden,
                trained=None if measured else each.trained,
                passages=each.passages,
                window_similarity=tuple(of_windows[0]),
                window_probability=tuple(of_windows[1]),
                note="; ".join(filter(None, [note, *measured])),
                by_vector=None if math.isnan(by_vector) else by_vector,
                by_criteria=None if math.isnan(by_criteria) else by_criteria,
                observed=self.config.observed(probability) if calibrated else None,
            )


@dataclass(frozen=True, eq=False)
class _Tables:
    """What is scored, (n, labels) each."""

    similarity: np.ndarray
    probability: np.ndarray
    vector: np.ndarray
    criteria: np.ndarray

    def of(self, rows: slice) -> _Tables:
        return _Tables(self.similarity[rows], self.probability[rows], self.vector[rows], self.criteria[rows])


class _Asked(NamedTuple):
    """What the scores of a prompt have in common."""

    label: str
    concept: str | None
    concepts: list[str]
    trained: bool | None
    passages: tuple[Passage, ...]
    note: str

    @classmethod
    def of(cls, prompt: Prompt, config: ModelConfig) -> _Asked:
        concepts = [leaf.concept.id for leaf in prompt.leaves if leaf.concept]
        own = prompt.concept.id if prompt.concept and not prompt.denied else None
        return cls(prompt.label, own, concepts, prompt.trained(config.trained_concepts), prompt.passages, prompt.note)


def cosines(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosines (n, m) of vectors of unit length, (n, dim) and (m, dim).

    In double precision, as a score must not depend on what is scored beside it.
    """
    return vectors.astype(float) @ others.T.astype(float)


def _decide(
    probability: np.ndarray, leaves: Sequence[Prompt], embedding: Embedding, decided: Mapping[str, Decision]
) -> None:
    """Put in, in place, the probabilities (1 + windows, leaves) that the recording itself decides.

    The record gets them, and of its windows those in which it was measured.
    """
    starts = embedding.prepared.start_s
    stops = starts + embedding.prepared.length / SAMPLING_RATE
    for j, leaf in enumerate(leaves):
        if leaf.concept and (decision := decided.get(leaf.concept.id)):
            within = (starts < decision.stop_s) & (stops > decision.start_s)
            probability[np.append(True, within), j] = decision.probability


def _softmax(probability: np.ndarray) -> np.ndarray:
    """Probabilities (labels,) that sum to one, in the proportion of their odds."""
    odds = probability / (1 - probability).clip(1e-9)
    return odds / np.nansum(odds)  # a number that cannot be measured has none
