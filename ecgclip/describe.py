"""An ECG in report-like sentences: what its labels say and what the caption decoder writes, both held against the ECG.

    ECG ─┬─ probability of each concept ─▶ those above the threshold ────────────┐
         └─ caption ─▶ the knowledge base's words in it ─▶ the same threshold ───┴▶ sentences, in the order of a report

Entry point: `describe`. A concept is said in the knowledge base's words, as the decoder mixes languages and styles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge import CATEGORIES, LANGUAGES, KnowledgeBase, normalise
from ecgclip.model import ECGCLIP, Embedding, Record

Origin: TypeAlias = Literal["caption", "labels", "both"]


@dataclass(frozen=True)
class Sentence:
    """One statement about an ECG; `concept` is an id of the knowledge base, None for a caption's words that it does not know."""

    text: str
    probability: float
    concept: str | None
    origin: Origin


@dataclass(frozen=True)
class Evidence:
    """What one ECG gives to speak of."""

    probability: dict[str, float]  # of every concept of the knowledge base but single beats
    captioned: frozenset[str]  # concepts that its captions state
    unknown: dict[
        str, float
    ]  # captions' sentences that the knowledge base cannot read, with a probability of their own


def describe(
    model: ECGCLIP, record: Record | Embedding, *, threshold: float | None = None, language: str = "en"
) -> list[Sentence]:
    """Sentences on one record (a path, an ECG or its embedding), in the order of a report; none if nothing is so probable.

    threshold: the least probability; None: the model's own, chosen on its validation split. language: "en" or "de".
    A label is said by itself only if training had ECGs with it: the probability of the others is a guess, and with 150 of
    them some would pass. Such a concept is said where the caption states it and the probability passes, too.
    What is broader than something said is left out, and so are "normal ecg" and "sinus rhythm" where something said contradicts
    them. Denials of a caption are left out: a description tells what is there.
    Raises EcgclipError on a bad record, threshold or language.
    """
    check(threshold, language)
    embedding = record if isinstance(record, Embedding) else model.embed(record)
    return compose(model, gather(model, embedding), threshold, language)


def compose(model: ECGCLIP, evidence: Evidence, threshold: float | None = None, language: str = "en") -> list[Sentence]:
    """The sentences of `describe`, from what `gather` found."""
    threshold = model.config.threshold if threshold is None else threshold
    labels = founded(model, evidence.probability)
    likely = {c for c in labels | evidence.captioned if evidence.probability[c] >= threshold}
    sentences = []
    for concept in consistent(model.kb, likely):
        origin: Origin = "labels" if concept not in evidence.captioned else "both" if concept in labels else "caption"
        entry = model.kb.concepts[concept]
        text = (entry.report if language == "en" else entry.report_de)[0]
        sentences.append(Sentence(text, evidence.probability[concept], concept, origin))
    # the knowledge base's categories stand in the order of a report, rhythm first
    sentences.sort(key=lambda s: (CATEGORIES.index(model.kb.concepts[s.concept].category), -s.probability))
    own = sorted(evidence.unknown.items(), key=lambda item: -item[1])
    return sentences + [Sentence(f"{text}.", p, None, "caption") for text, p in own if p >= threshold]


def gather(model: ECGCLIP, embedding: Embedding) -> Evidence:
    """Probabilities and captions of one record; a long one has a caption for each window, and one probability for all."""
    concepts = [c.id for c in model.kb.concepts.values() if c.category != "beat"]
    captioned, unknown = read_captions(model, write_captions(model, embedding))
    # not by ECGCLIP.prompts, which also looks up the passages behind each and takes four times as long
    vectors = np.stack([*(model.concept_vector(c) for c in concepts), *unknown.values()])
    similarity = (embedding.rhythm @ vectors.T).mean(0, keepdims=True)
    probability = model.config.calibration(similarity, model.reference @ vectors.T)[0].tolist()
    known = dict(zip(concepts, probability, strict=False))
    return Evidence(known, captioned, dict(zip(unknown, probability[len(concepts) :], strict=True)))


def check(threshold: float | None, language: str) -> None:
    """Raises EcgclipError for what `describe` cannot be asked; the command line does so before the first record."""
    if language not in LANGUAGES:
        raise EcgclipError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise EcgclipError(f"a threshold of {threshold:g} is no probability: give one from 0 to 1")


# --- labels -----------------------------------------------------------------------------------------------------------


def founded(model: ECGCLIP, concepts: Iterable[str]) -> set[str]:
    """Those of which training had ECGs; all where the model does not say what it was trained on."""
    trained = model.config.training.get("concepts")
    return set(concepts) if trained is None else set(concepts) & set(trained)


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


# --- captions ---------------------------------------------------------------------------------------------------------

WINDOWS = 64  # decoded at a time
DENIALS = {"no", "not", "without", "kein", "keine", "keinen", "keiner", "keinem", "nicht", "ohne"}
COMMON = {"normal", "norm"}  # aliases that also qualify other words: "normal axis" is no normal ECG
LONGEST = 12  # words of the knowledge base's longest phrases that are looked for


def write_captions(model: ECGCLIP, embedding: Embedding) -> list[str]:
    """The decoder's text for each window of a record."""
    features = model.embed_prepared(embedding.prepared, embedding.r_peaks, embedding.measurements)
    ends = model.tokenizer.begin, model.tokenizer.end
    parts = (features[i : i + WINDOWS] for i in range(0, len(features.rhythm), WINDOWS))
    return [model.tokenizer.decode(ids) for part in parts for ids in model.caption.write(part, *ends)]


def read_captions(model: ECGCLIP, texts: Iterable[str]) -> tuple[frozenset[str], dict[str, np.ndarray]]:
    """→ the concepts that texts state, and the vectors of their sentences that the knowledge base knows nothing of.

    Its phrases are found word by word, as German reports have no full stops; a sentence without any states what its nearest
    passage does, if that is near enough. Any text will do: what is not understood is left out or stands for itself.
    """
    concepts: set[str] = set()
    rest: dict[str, None] = {}
    for text in dict.fromkeys(texts):
        stated, unread = find_phrases(model.kb, text)
        concepts |= stated
        rest.update(dict.fromkeys(unread))
    unknown = {}
    for sentence, vector in zip(rest, model.embed_text(rest) if rest else (), strict=True):
        near = [p for p, cosine in model.nearest_passages(vector, 1) if cosine >= model.config.floor]
        if not near:
            unknown[sentence] = vector
        elif near[0].kind != "negation" and model.kb.concepts[near[0].concept].category != "beat":
            concepts.add(near[0].concept)
    return frozenset(concepts), unknown


def find_phrases(kb: KnowledgeBase, text: str) -> tuple[set[str], list[str]]:
    """→ the concepts that `text` states in the knowledge base's words, and its sentences without such words; no denied ones.

    The longest phrase counts: an incomplete left bundle branch block is not read as a left bundle branch block.
    """
    words = list(re.finditer(r"[^\W_]+", text))
    gaps = [text[a.end() : b.start()] for a, b in zip(words, words[1:], strict=False)]
    sentence = _numbered(re.search(r"[.;:]\s", gap) for gap in gaps)  # of each word
    clause = _numbered(re.search(r"[.;:,]\s", gap) for gap in gaps)  # how far a denial reaches, from where it stands
    denials = {clause[i]: i for i in reversed(range(len(words))) if words[i].group().casefold() in DENIALS}
    stated, read = set(), {sentence[i] for i in denials.values()}
    for first, n, concept, denial in _matches(_phrases(kb), [w.group() for w in words]):
        read.update(sentence[first : first + n])
        if not denial and denials.get(clause[first], first) >= first:
            stated.add(concept)
    unread = []
    for number in sorted(set(sentence) - read):
        own = [w for w, at in zip(words, sentence, strict=False) if at == number]
        if len(own) > 1:  # a single word that is no phrase, such as "ecg", states nothing
            unread.append(text[own[0].start() : own[-1].end()])
    return stated, unread


def _numbered(breaks: Iterable[object]) -> list[int]:
    """Whether something ends after each word but the last → the number of the part that each word belongs to."""
    return np.cumsum([0, *map(bool, breaks)]).tolist()


Phrases: TypeAlias = dict[str, tuple[str, bool]]  # normalised phrase → (concept, whether it denies it)


def _matches(phrases: Phrases, words: list[str]) -> Iterator[tuple[int, int, str, bool]]:
    """→ (first word, how many, concept, denial) of each phrase in `words`, the longest where several begin."""
    keys, i = [normalise(word) for word in words], 0
    while i < len(keys):
        for n in range(min(LONGEST, len(keys) - i), 0, -1):
            if found := phrases.get("".join(keys[i : i + n])):
                yield i, n, *found
                i += n
                break
        else:
            i += 1


@lru_cache(maxsize=4)
def _phrases(kb: KnowledgeBase) -> Phrases:
    """Names, aliases, negations, the report sentence that a concept is said with, and its others unless they state something
    else too, such as "sinus rhythm with left bundle branch block". No criteria: one of them does not make the diagnosis."""
    phrases: Phrases = {}
    for kinds in (("name", "alias"), ("report", "negation")):
        for passage in kb.passages:
            if passage.kind not in kinds or kb.concepts[passage.concept].category == "beat":
                continue
            key = normalise(passage.text)
            # three letters with a vowel ("two", "als") are more often a word than an abbreviation
            if len(key) < 3 or (len(key) == 3 and re.search("[aeiouy]", key)) or key in COMMON:
                continue
            concept = kb.concepts[passage.concept]
            if passage.text in concept.report[1:] + concept.report_de[1:]:
                within = {other for *_, other, _ in _matches(phrases, re.findall(r"[^\W_]+", passage.text))}
                if within - {concept.id} - kb.ancestors(concept.id):
                    continue
            phrases.setdefault(key, (passage.concept, passage.kind == "negation"))
    return phrases
