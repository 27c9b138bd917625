"""From vectors, criteria and prompts to scores.

similarity ─calibration─▶ probability by the vector ─┐
criteria ─evidence──────▶ probability by the criteria ┴▶ beside what it excludes ─▶ what the recording decides ─▶ Score
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import Judge, weigh
from ecgclip.knowledge.criteria.evidence import logistic
from ecgclip.knowledge.criteria.judge import midpoint
from ecgclip.measure.recording import Decision
from ecgclip.model.calibration import LIKELY, Known, yielding
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
    columns = {concept: j for j, concept in enumerate(concepts) if concept in trusted}

    def highest(table: np.ndarray, others: Collection[str]) -> np.ndarray:
        return table[:, [columns[other] for other in others if other in columns]].max(axis=1, initial=0)

    wide, beside = probability.copy(), probability.copy()
    for j, concept in enumerate(concepts):
        if kinds := kb.narrower(concept):
            kind = highest(probability, kinds)
            wide[:, j] = np.where(kind >= LIKELY, np.fmax(probability[:, j], kind), probability[:, j])
    for j, concept in enumerate(concepts):
        beside[:, j] = yielding(wide[:, j], highest(wide, rivals)) if (rivals := kb.rivals(concept)) else wide[:, j]
    return beside


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores embeddings for prompts, by one model's calibration.

    Attributes
    ----------
    config
        Calibration, threshold, and what training had.
    reference : float32 (ECGs, dim)
        The reference ECGs.
    kb
        Tells what excludes what.
    concept_vector
        The vector of a concept, by its id.
    """

    config: ModelConfig
    reference: np.ndarray
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
        vector = self.by_vector(vectors @ leaf_vectors(prompts).T, prompts)
        return [
            c
            for c, p in zip(concepts, vector.T, strict=True)
            if witnesses.at_most(p, self.config.known(c)).max() >= LIKELY
        ]

    def one_by_one(self, vectors: np.ndarray, leaves: Sequence[Prompt], judge: Judge | None) -> Probabilities:
        """The same, each condition as if there were no other."""
        vector = self.by_vector(vectors @ leaf_vectors(leaves).T, leaves)
        normal = [j for j, leaf in enumerate(leaves) if leaf.concept and leaf.concept.id == NORMAL]
        if normal and (abnormal := self._abnormal()):
            vector[:, normal] = np.fmax(vector[:, normal], self._none_of(vectors, abnormal)[:, None])
        both, criteria = vector.copy(), np.full_like(vector, np.nan)
        witnesses = self.config.witnesses
        for j, leaf in enumerate(leaves):
            if leaf.test:  # a number is measured, or unknown
                vector[:, j] = np.nan
                if judge is not None:
                    criteria[:, j] = logistic(CERTAINTY * midpoint(judge.margin(leaf.test)))
                both[:, j] = criteria[:, j]
            elif leaf.concept and judge is not None and witnesses is not None:
                evidence = weigh(judge, leaf.concept)
                rows, features = evidence.measured, evidence.features[evidence.measured]
                both[rows, j] = witnesses.together(vector[rows, j], features, self._known(leaf))
                criteria[rows, j] = witnesses.criteria(features)
        return Probabilities(both, vector, criteria)

    def _abnormal(self) -> list[Prompt]:
        """The narrowest conditions that a normal ECG lacks and training had ECGs of; none if they are few."""
        trained = set(self.config.trained_concepts or ())
        wider = set().union(*(self.kb.ancestors(c) for c in trained & self.kb.concepts.keys()))
        narrowest = sorted(self.kb.excluded(NORMAL) & trained - wider) if NORMAL in self.kb.concepts else []
        conditions = [c for c in narrowest if self.kb.concepts[c].category != "beat"]
        return [self._prompt(c) for c in conditions] if len(conditions) >= ENOUGH_ABNORMAL else []

    def _none_of(self, vectors: np.ndarray, conditions: Sequence[Prompt]) -> np.ndarray:
        """How probable it is at least that none of the conditions is there, (n,): what their sum leaves (Boole)."""
        probability = self.by_vector(vectors @ leaf_vectors(conditions).T, conditions)
        return (1 - probability.sum(axis=1)).clip(min=0)

    def by_vector(self, similarity: np.ndarray, leaves: Sequence[Prompt]) -> np.ndarray:
        """Similarities (n, leaves) → probabilities (n, leaves), by the curve for how training knew each condition."""
        bank = self.reference @ leaf_vectors(leaves).T
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
        leaves, prompt_vectors = prompt.leaves, leaf_vectors([prompt]).T
        usual: np.ndarray | float = np.inf
        if len(self.reference):
            usual = self.by_vector(self.reference @ prompt_vectors, leaves).mean(0)
        present = self.by_vector(vectors @ prompt_vectors, leaves) >= np.minimum(usual, self.config.threshold)
        return combine([prompt], present.astype(int), whole=1)[:, 0] > 0

    def score(self, embedding: Embedding, prompts: Sequence[Prompt], judge: Judge, softmax: bool = False) -> Result:
        """An embedding, prompts, and a judge of the record and its windows → scores; see `ECGCLIP.score`."""
        leaves = [leaf for prompt in prompts for leaf in prompt.leaves]
        rows = np.vstack([embedding.vector, embedding.rhythm])  # the record, then its windows
        similarity = rows @ leaf_vectors(prompts).T
        probabilities = self.probabilities(rows, leaves, judge)
        decided = embedding.recording.decides()
        _decide(probabilities.both, leaves, embedding, decided)
        similarity, probability = combine(prompts, similarity, whole=0), combine(prompts, probabilities.both, whole=1)
        record = _softmax(probability[0]) if softmax else probability[0]
        alone = [combine(prompts, p[0], whole=1) for p in (probabilities.vector, probabilities.criteria)]
        scores = [
            self._score(prompt, float(record[j]), similarity[:, j], probability[:, j], decided, *(p[j] for p in alone))
            for j, prompt in enumerate(prompts)
        ]
        prepared = embedding.prepared
        windows = tuple(float(start) for start in prepared.start_s)
        length = prepared.seconds, prepared.used_s
        return Result(embedding.record, embedding.leads, windows, tuple(scores), embedding.notes, *length)

    def _score(
        self,
        prompt: Prompt,
        answer: float,
        similarity: np.ndarray,
        probability: np.ndarray,
        decided: Mapping[str, Decision],
        by_vector: float,
        by_criteria: float,
    ) -> Score:
        """The score of one prompt; similarity and probability: (1 + windows,), of the record and of its windows."""
        concepts = [leaf.concept.id for leaf in prompt.leaves if leaf.concept]
        measured = [decided[concept].words for concept in concepts if concept in decided]
        note = prompt.note.replace(UNTRAINED, "").replace(SIMULATED, "").strip("; ") if measured else prompt.note
        return Score(
            label=prompt.label,
            concept=prompt.concept.id if prompt.concept and not prompt.denied else None,
            probability=answer,
            similarity=float(similarity[0]),
            max_probability=float(np.fmax.reduce(probability)),
            burden=float((probability[1:] >= self.config.threshold).mean()),
            trained=None if measured else prompt.trained(self.config.trained_concepts),
            passages=prompt.passages,
            window_similarity=tuple(similarity[1:].tolist()),
            note="; ".join(filter(None, [note, *measured])),
            by_vector=None if np.isnan(by_vector) else float(by_vector),
            by_criteria=None if np.isnan(by_criteria) else float(by_criteria),
        )


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
