"""An ECG in report-like sentences: what its labels say, held against each other.

    ECG ─▶ probability of each concept that training had ─▶ those above the threshold ─▶ consistent ─▶ sentences

Entry point: `describe`. A concept is said in the knowledge base's words, in the order of a report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import CATEGORIES, LANGUAGES
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding, Record


@dataclass(frozen=True)
class Sentence:
    """One statement about an ECG; `concept` is an id of the knowledge base."""

    text: str
    probability: float
    concept: str


def describe(
    model: ECGCLIP, record: Record | Embedding, *, threshold: float | None = None, language: str = "en"
) -> list[Sentence]:
    """Sentences on one record (a path, an ECG or its embedding), in the order of a report; none if nothing is so probable.

    threshold: the least probability; None: the model's own, chosen on its validation split. language: "en" or "de".
    A concept is said only if training had ECGs with it: the others are only asked by their criteria, and with so many
    of them some would pass by chance. What is broader than something said is left out, and so are "normal ecg" and "sinus rhythm" where something
    said contradicts them.
    Raises EcgclipError on a bad record, threshold or language.
    """
    check(threshold, language)
    embedding = record if isinstance(record, Embedding) else model.embed(record)
    said = say(model, embedding, model.config.threshold if threshold is None else threshold)
    sentences = []
    for concept, probability in said.items():
        entry = model.kb.concepts[concept]
        sentences.append(Sentence((entry.report if language == "en" else entry.report_de)[0], probability, concept))
    # the knowledge base's categories stand in the order of a report, rhythm first
    return sorted(sentences, key=lambda s: (CATEGORIES.index(model.kb.concepts[s.concept].category), -s.probability))


def say(model: ECGCLIP, embedding: Embedding, threshold: float) -> dict[str, float]:
    """The concepts that `describe` states of a record, with their probabilities."""
    scores = model.score(embedding, model.prompts(None)).scores
    likely = {
        s.concept: s.probability for s in scores if s.concept and s.trained is not False and s.probability >= threshold
    }
    return {c: likely[c] for c in sorted(consistent(model.kb, likely))}


def check(threshold: float | None, language: str) -> None:
    """Raises EcgclipError for what `describe` cannot be asked; the command line does so before the first record."""
    if language not in LANGUAGES:
        raise EcgclipError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise EcgclipError(f"a threshold of {threshold:g} is no probability: give one from 0 to 1")


# A normal ECG has a normal beat: these categories contradict it. Rate, axis and single extrasystoles do not, as cardiologists
# write "sinus bradycardia, otherwise normal ecg".
ABNORMAL = {"conduction", "pacing", "infarction", "ischemia", "st-t", "hypertrophy", "electrolyte-drug", "syndrome"}
SINUS = {"sinus-rhythm", "sinus-bradycardia", "sinus-tachycardia", "sinus-arrhythmia"}
# With all that is narrower: rhythms that do not start in the sinus node
NOT_SINUS = {
    "supraventricular-arrhythmia", "paced-rhythm", "idioventricular-rhythm", "accelerated-idioventricular-rhythm",
    "ventricular-tachycardia", "ventricular-fibrillation", "asystole",
}  # fmt: skip


def consistent(kb: KnowledgeBase, concepts: Iterable[str]) -> set[str]:
    """`concepts` without what is broader than another of them, or normal where another of them is not.

    The abnormal one stays even where it is the less probable: what is missed costs more than what is said in vain.
    """
    concepts = set(concepts)
    family = {c: {c} | kb.ancestors(c) for c in concepts}
    kept = {c for c in concepts if not any(c in family[other] for other in concepts - {c})}
    other_rhythm = any(family[c] & NOT_SINUS for c in concepts)
    if other_rhythm:
        kept -= SINUS
    if other_rhythm or "abnormal-ecg" in concepts or any(kb.concepts[c].category in ABNORMAL for c in concepts):
        kept -= {"normal-ecg"}
    return kept
