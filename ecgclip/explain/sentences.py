"""An ECG described in report-like sentences.

    ECG ─▶ probability of each trained concept ─▶ those above the threshold ─▶ no contradictions ─▶ sentences

A long recording is asked as a whole, and its windows are: what is stated in several of them, one after another, is an
episode.

Entry point: `describe`. The sentences are those of the knowledge base, in the order of a report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, overload

from ecgclip.ecg import EcgclipError
from ecgclip.explain.episodes import Episode, find_episodes, when_words
from ecgclip.explain.measured import explained_away, judged_criteria, record_judge
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import CATEGORIES, LANGUAGES
from ecgclip.measure.examined import Examined
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import YIELDS, Embedding, Record, Result
from ecgclip.model.scoring import NORMAL
from ecgclip.prepare import SAMPLING_RATE

TRANSIENT = ("rhythm", "ectopy", "conduction", "pacing")  # categories of what comes and goes within minutes


@dataclass(frozen=True)
class Sentence:
    """One statement about an ECG.

    Attributes
    ----------
    text
        In words.
    probability
        Of its concept.
    concept
        Id in the knowledge base.
    criteria
        Those of its concept, each as met, unmet, borderline or not measurable (`explain.measured_criteria`).
    explained
        The conditions that explain these criteria (`explain.measured.explained_away`).
    episodes
        When, from and to in s, if a part of the recording alone shows it; the probability and the criteria are then
        those of the longest episode.
    """

    text: str
    probability: float
    concept: str
    criteria: tuple[dict[str, Any], ...] = ()
    explained: tuple[dict[str, Any], ...] = ()
    episodes: tuple[tuple[float, float], ...] = ()

    @property
    def said(self) -> str:
        """The text, and when: "Atrial fibrillation. (2:00–3:40 min)"."""
        return f"{self.text} ({when_words(self.episodes)})" if self.episodes else self.text

    @property
    def met(self) -> list[str]:
        """The measured values of the criteria that are met, the required ones first."""
        met = [row for row in self.criteria if row["answer"] == "met" and row["role"] != "against"]
        return list(dict.fromkeys(row["value"] for row in sorted(met, key=lambda row: row["role"] == "supporting")))


# fmt: off
@overload
def describe(model: ECGCLIP, record: Record | Embedding, *, threshold: float | None = ...,
             language: str = ...) -> list[Sentence]: ...


@overload  # several are a list, as a path is a sequence as well
def describe(model: ECGCLIP, record: list[Any], *, threshold: float | None = ...,
             language: str = ...) -> list[list[Sentence]]: ...
# fmt: on


def describe(
    model: ECGCLIP, record: Record | Embedding | list[Any], *, threshold: float | None = None, language: str = "en"
) -> list[Sentence] | list[list[Sentence]]:
    """Describe a record, or several, in sentences, in the order of a report.

    Only concepts that training had ECGs of are stated. The others are asked by their criteria alone, and some of so
    many would pass by chance. Broader concepts are left out beside narrower ones, and so are "normal ecg" and
    "sinus rhythm" if another statement contradicts them.

    Parameters
    ----------
    model
        A trained model.
    record
        A path, an ECG or its embedding; or a list of paths and ECGs.
    threshold
        Probability from which on a concept is stated; None for the model's own.
    language
        "en" or "de".

    Returns
    -------
    list of Sentence
        Empty if no concept is probable enough; a list of them for a list of records.

    Raises
    ------
    EcgclipError
        A record cannot be read, or the threshold or the language is none.
    """
    check_options(threshold, language)
    prompts = model.prompts(None)
    if isinstance(record, Embedding):
        return sentences(model, record, model.score(record, prompts), threshold=threshold, language=language)
    described = []
    for _, scored in model.score_each(record if isinstance(record, list) else [record], prompts):
        if isinstance(scored, Exception):
            raise scored
        described.append(sentences(model, *scored, threshold=threshold, language=language))
    return described if isinstance(record, list) else described[0]


def sentences(
    model: ECGCLIP, embedding: Embedding, result: Result, *, threshold: float | None = None, language: str = "en"
) -> list[Sentence]:
    """Say in sentences what was scored; parameters as of `describe`.

    Parameters
    ----------
    result
        The scores of all conditions that training had: of `ECGCLIP.score` for `ECGCLIP.prompts(None)`.
    """
    limit = model.config.threshold if threshold is None else threshold
    whole, in_parts = stated_concepts(model, result, limit), _episodes(model, embedding, result, limit)
    brief = {concept: found for concept, found in in_parts.items() if not _is_said(model.kb, concept, whole)}
    said = [
        _sentence(model, embedding, concept, probability, language)
        for concept, probability in whole.items()
        if concept != NORMAL or not model.kb.excluded(concept) & brief.keys()
    ]
    for concept, found in brief.items():
        longest = max(found, key=lambda episode: episode.stop_s - episode.start_s)
        part = replace(embedding, measurements=embedding.measurements[longest.first : longest.last + 1])
        sentence = _sentence(model, part, concept, longest.probability, language)
        said.append(replace(sentence, episodes=tuple((each.start_s, each.stop_s) for each in found)))
    # the categories of the knowledge base stand in the order of a report, rhythm first
    return sorted(said, key=lambda s: (CATEGORIES.index(model.kb.concepts[s.concept].category), -s.probability))


def _sentence(model: ECGCLIP, examined: Examined, concept: str, probability: float, language: str) -> Sentence:
    """What is said of a condition by what was measured."""
    entry, judge = model.kb.concepts[concept], record_judge(examined, model.kb)
    text = (entry.report if language == "en" else entry.report_de)[0]
    return Sentence(
        text, probability, concept, tuple(judged_criteria([entry], judge)), tuple(explained_away(entry, judge))
    )


def _episodes(model: ECGCLIP, embedding: Embedding, result: Result, threshold: float) -> dict[str, list[Episode]]:
    """The episodes of what the windows state, each by itself."""
    if len(result.windows) < 2:
        return {}
    courses = {
        s.concept: s.window_probability
        for s in result.scores
        if s.concept and s.trained is not False and model.kb.concepts[s.concept].category in TRANSIENT
    }
    stated = [
        choose_statements(model.kb, {concept: course[i] for concept, course in courses.items()}, threshold)
        for i in range(len(result.windows))
    ]
    stops = embedding.prepared.start_s + embedding.prepared.length / SAMPLING_RATE
    return find_episodes(stated, result.windows, stops.tolist())


def _is_said(kb: KnowledgeBase, concept: str, stated: Collection[str]) -> bool:
    """Whether a condition, or a kind of it, is stated."""
    return concept in stated or any(concept in kb.ancestors(other) for other in stated)


def check_options(threshold: float | None, language: str) -> None:
    """Raise EcgclipError for options that `describe` does not take."""
    if language not in LANGUAGES:
        raise EcgclipError(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise EcgclipError(f"a threshold of {threshold:g} is not a probability: give one from 0 to 1")


def stated_concepts(model: ECGCLIP, result: Result, threshold: float) -> dict[str, float]:
    """Return the concepts that `describe` states of a record, with their probabilities; `result` as of `sentences`."""
    trained = {
        score.concept: score.probability for score in result.scores if score.concept and score.trained is not False
    }
    return choose_statements(model.kb, trained, threshold)


def choose_statements(kb: KnowledgeBase, probability: Mapping[str, float], threshold: float) -> dict[str, float]:
    """Choose what to state of an ECG.

    Parameters
    ----------
    kb
        Tells what is broader or contradicts.
    probability
        Probability of each concept (id) that may be stated.
    threshold
        Probability from which on a concept is stated.

    Returns
    -------
    dict
        Probability of each concept stated, by id.
    """
    probable = {concept: p for concept, p in probability.items() if p >= threshold}
    return {concept: probable[concept] for concept in sorted(consistent(kb, probable))}


def consistent(kb: KnowledgeBase, probability: Mapping[str, float]) -> set[str]:
    """Leave out broader concepts beside narrower ones, and of two that exclude each other the less probable one.

    A normal ECG and sinus rhythm give way even to what is less probable.
    """
    kept: set[str] = set()
    for concept in sorted(probability, key=lambda c: (c in YIELDS, -probability[c], c)):
        if not kb.excluded(concept) & kept:
            kept.add(concept)
    broader = set().union(*(kb.ancestors(c) for c in kept))
    return kept - broader
