"""From a label in words to the prompt that is asked with.

label ─parse─▶ conditions ─knowledge base─▶ concept, or the label as it stands ─▶ text vector and note
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.grammar import Condition, parse
from ecgclip.knowledge.numbers import number_test
from ecgclip.measure.recording import DECIDES
from ecgclip.model.passages import EmbeddedPassages, explaining_passages
from ecgclip.model.prompts import MEASURED, SIMULATED, UNKNOWN, UNTRAINED, Prompt
from ecgclip.model.results import unit

# "Abnormal" is not a single finding. It is asked as "not normal", or one of the rhythms that PTB-XL's
# cardiologists may still call normal otherwise.
NORMAL, ABNORMAL, OTHER_RHYTHMS = "normal-ecg", "abnormal-ecg", ("supraventricular-arrhythmia", "paced-rhythm")
MAX_LABEL = 500  # characters


@dataclass(frozen=True, eq=False)
class Prompter:
    """Turns labels into prompts for one model.

    Attributes
    ----------
    knowledge
        The knowledge base and its vectors.
    floor
        Cosine from which on the nearest passages explain a label that the knowledge base lacks.
    trained
        Whether training had ECGs of a concept, by its id.
    simulated
        Ids of the concepts that training had only simulated ECGs of.
    concept_vector
        The vector of a concept, by its id.
    plain_vectors
        The vectors of labels in plain templates, (labels, dim).
    """

    knowledge: EmbeddedPassages
    floor: float
    trained: Callable[[str], bool | None]
    simulated: Collection[str]
    concept_vector: Callable[[str], np.ndarray]
    plain_vectors: Callable[[list[str]], np.ndarray]

    @property
    def kb(self) -> KnowledgeBase:
        return self.knowledge.kb

    # --- labels -------------------------------------------------------------------------------------------------------

    def prompts(self, labels: Sequence[str] | None, enrich: bool, concepts: Mapping[str, str]) -> list[Prompt]:
        """Labels → prompts; see `ECGCLIP.prompts`."""
        if labels is None:
            return [self.prompt(concept.name, enrich, concept.id) for concept in self._answerable()]
        if isinstance(labels, str):
            labels = [labels]
        if not labels:
            raise EcgclipError("no labels: give at least one, or leave them out for all that training had")
        seen: set[str] = set()
        for label in labels:
            if label.strip().casefold() in seen:
                raise EcgclipError(f"label {label!r} is given twice")
            seen.add(label.strip().casefold())
        return [self.prompt(label.strip(), enrich, concepts.get(label)) for label in labels]

    def _answerable(self) -> list[Concept]:
        """The conditions that training had ECGs of, or that a recording may decide by itself."""
        conditions = [concept for concept in self.kb.concepts.values() if concept.category != "beat"]
        return [c for c in conditions if self.trained(c.id) is not False or c.id in DECIDES]

    def prompt(self, label: str, enrich: bool, concept: str | None) -> Prompt:
        """A label → its prompt; see `ECGCLIP.prompt`."""
        self._check(label, concept)
        whole = concept or number_test(label)
        condition = Condition(label.strip()) if whole else parse(label, self.kb)
        prompt = self._prompt(condition, enrich, concept)
        return replace(prompt, label=label, note=self._note(prompt))

    def _check(self, label: str, concept: str | None) -> None:
        if not label.strip():
            raise EcgclipError("an empty label: give a condition in words, or one of `ecgclip kb list`")
        if len(label) > MAX_LABEL:
            raise EcgclipError(
                f"a label of {len(label):,} characters ({label[:30]}…): at most {MAX_LABEL}; search for parts of it"
            )
        if concept and concept not in self.kb.concepts:
            raise EcgclipError(f"label {label!r} stands for {concept!r}, which is not in the knowledge base")

    def _note(self, prompt: Prompt) -> str:
        """How the whole label was understood, and what there is to say on each of its conditions."""
        notes = []
        if prompt.parts:
            notes.append(prompt.meaning)
        elif prompt.denied:
            notes.append(f"denied: 1 − p of {prompt.meaning.removeprefix('not ')}")
        for leaf in prompt.leaves:
            untrained = ""
            if leaf.concept is not None and self.trained(leaf.concept.id) is False:
                untrained = SIMULATED if leaf.concept.id in self.simulated else UNTRAINED
            if note := "; ".join(filter(None, [leaf.note, untrained])):
                notes.append(f"{leaf.label}: {note}" if prompt.parts else note)
        return "; ".join(notes)

    # --- conditions ---------------------------------------------------------------------------------------------------

    def _prompt(self, condition: Condition, enrich: bool, concept: str | None = None) -> Prompt:
        """A condition, or several of which each has its prompt."""
        if not condition.parts:
            return self._single(condition, enrich, concept)
        parts = tuple(self._prompt(part, enrich) for part in condition.parts)
        label = (" or " if condition.any_of else " and ").join(part.label for part in parts)
        return Prompt(label, _direction(parts), None, (), parts=parts, any_of=condition.any_of)

    def _single(self, condition: Condition, enrich: bool, concept: str | None) -> Prompt:
        leaf = replace(self._leaf(condition.text, enrich, concept), denied=condition.denied)
        if condition.denied and not (leaf.concept or leaf.test or self.kb.find(condition.text)):
            raise EcgclipError(
                f"{condition.text!r} is not a condition of the knowledge base, so that its absence cannot be judged; "
                "name one of `ecgclip kb list`"
            )
        if condition.hedged and leaf.concept and not leaf.note:
            leaf = replace(leaf, note=f"read as {leaf.concept.name}")
        if leaf.concept and leaf.concept.id == ABNORMAL and NORMAL in self.kb.concepts:
            return self._abnormal(leaf, enrich)
        return leaf

    def _abnormal(self, leaf: Prompt, enrich: bool) -> Prompt:
        """The prompt of "abnormal ECG", asserted or denied, from the conditions that make an ECG abnormal."""
        parts = []
        for concept in (NORMAL, *OTHER_RHYTHMS):
            if concept in self.kb.concepts:
                part = self._leaf(self.kb.concepts[concept].name, enrich, concept)
                parts.append(replace(part, denied=(concept == NORMAL) != leaf.denied))
        return replace(
            leaf,
            vector=_direction(parts),
            concept=None if leaf.denied else leaf.concept,
            parts=tuple(parts),
            any_of=not leaf.denied,
            denied=False,
        )

    def _leaf(self, label: str, enrich: bool, concept_id: str | None) -> Prompt:
        """One condition in words → its prompt, as if it were not denied."""
        if not concept_id and (test := number_test(label)):
            return Prompt(label, self.plain_vectors([label])[0], None, (), f"{MEASURED}: {test}", test=test)
        if not enrich:
            stored = self.knowledge.name_vector(label)
            return Prompt(label, self.plain_vectors([label])[0] if stored is None else stored, None, ())
        if concept := self.kb.concepts[concept_id] if concept_id else self.kb.find(label):
            return self._concept_prompt(label, concept)
        if concept := self.kb.find_misspelt(label):
            return self._concept_prompt(label, concept, f"read as {concept.name}")
        return self._unlisted_prompt(label)

    def _concept_prompt(self, label: str, concept: Concept, note: str = "") -> Prompt:
        return Prompt(label, self.concept_vector(concept.id), concept, explaining_passages(concept), note)

    def _unlisted_prompt(self, label: str) -> Prompt:
        """The prompt of a label that is not a name: the mean of its own vector and that of the nearest concept."""
        vector = self.plain_vectors([label])[0]
        if concept := self.kb.find_within(label):
            passages, note = explaining_passages(concept), f"read as {concept.name}"
        else:
            # a text encoder finds a neighbour for anything: it must say the same, no less and no more
            near = [
                (passage, cosine)
                for passage, cosine in self.knowledge.nearest(vector, conditions=True)
                if cosine >= self.floor and self.kb.says_the_same(label, passage.concept)
            ]
            if not near:
                return Prompt(label, vector, None, (), UNKNOWN)
            concept, passages = self.kb.concepts[near[0][0].concept], tuple(passage for passage, _ in near)
            note = f"nearest in the knowledge base: {concept.name} (cosine {near[0][1]:.2f})"
        return Prompt(label, unit(vector + self.concept_vector(concept.id)), concept, passages, note)


def _direction(parts: Sequence[Prompt]) -> np.ndarray:
    """The unit vector towards all parts, and away from those that are denied."""
    total = np.sum([-part.vector if part.denied else part.vector for part in parts], 0)
    return total / max(np.linalg.norm(total), 1e-6)
