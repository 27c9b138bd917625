"""What a report says of one record, apart from how it looks.

reporter = Reporter(load_model(), labels=["AF"])
for record, (embedding, result) in model.score_each(records, reporter.prompts):
    report = reporter.report(ecg, embedding, result)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ecgclip.ecg import ECG, LEADS
from ecgclip.explain.evidence import prompt_criteria, summary
from ecgclip.explain.measured import record_judge
from ecgclip.explain.places import prompt_places
from ecgclip.explain.sentences import Sentence, check_options, sentences
from ecgclip.measure.limits import OTHER_SOURCES
from ecgclip.plot.draw import View, draw
from ecgclip.plot.marks import LAYERS
from ecgclip.plot.page import Page
from ecgclip.report.ranges import Row, measured_rows, quality_rows, st_rows

if TYPE_CHECKING:
    from ecgclip.index.hits import Hit, Searched
    from ecgclip.knowledge.concepts import Concept
    from ecgclip.knowledge.criteria import Judge
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.prompts import Prompt
    from ecgclip.model.results import Embedding, Result, Score

NEAREST_CASES = 10
VIEW = View(show=LAYERS)


@dataclass(frozen=True)
class Condition:
    """One condition, over the threshold or asked for.

    label: as asked; empty for one that was not; meaning: what was understood; concept: None for a label that is several
    conditions, a number or unknown; criteria, explained: as of `ecgclip.explain.explain`; seen: what speaks for it, the
    parts of the heartbeat with their leads; cases: how many of the nearest cases share it, and how many have labels
    """

    label: str
    meaning: str
    concept: Concept | None
    score: Score
    criteria: Sequence[dict[str, Any]]
    explained: Sequence[dict[str, Any]]
    seen: dict[str, list[str]]
    cases: tuple[int, int] | None


@dataclass(frozen=True)
class Report:
    """All that is said of one record.

    name: the last part of its path; picture: the drawing, or the SVG of it
    """

    name: str
    ecg: ECG
    used_s: float
    picture: Page | str
    sentences: Sequence[Sentence]
    measured: Sequence[Row]
    waves: dict[str, dict[str, float | None]]  # mV by lead: r_mv, s_mv and t_mv
    st: dict[str, Row]
    conditions: Sequence[Condition]
    cases: Sequence[Hit] | None  # None without an index
    quality: Sequence[Row]
    masked: Sequence[str]
    derived: Sequence[str]
    notes: Sequence[str]
    sources: dict[str, str]  # of limits and criteria, by key


@dataclass(frozen=True)
class Reporter:
    """What to report: the conditions over the threshold and those asked for, as of one model.

    Attributes
    ----------
    model
        A trained one.
    labels
        Conditions in words that are reported however probable they are.
    concepts
        Label → id of its concept, for labels that a label set defines.
    threshold
        Probability from which on a condition is stated; None for the model's own.
    language
        "en" or "de".
    index
        The nearest cases are taken from it.
    sheet
        Draw on a sheet of A4, as a PDF wants it.

    Raises
    ------
    EcgclipError
        The threshold or the language is none.
    """

    model: ECGCLIP
    labels: Sequence[str] = ()
    concepts: dict[str, str] | None = None
    threshold: float | None = None
    language: str = "en"
    index: Searched | None = None
    sheet: bool = False

    def __post_init__(self):
        check_options(self.threshold, self.language)

    @cached_property
    def prompts(self) -> list[Prompt]:
        """What each record is to be scored for: all conditions that training had, and then the labels."""
        return [*self._all, *self._asked]

    @cached_property
    def _all(self) -> list[Prompt]:
        return self.model.prompts(None)

    @cached_property
    def _asked(self) -> list[Prompt]:
        return self.model.prompts(self.labels, concepts=self.concepts) if self.labels else []

    @property
    def limit(self) -> float:
        """The threshold in use."""
        return self.model.config.threshold if self.threshold is None else self.threshold

    def report(self, ecg: ECG, embedding: Embedding, result: Result, picture: str | None = None) -> Report:
        """Report on one record.

        Parameters
        ----------
        ecg
            The recording itself, which is drawn.
        embedding, result
            As of `ECGCLIP.score` for `prompts`.
        picture
            The SVG of `picture_of`, where it was drawn in another process.

        Raises
        ------
        EcgclipError
            matplotlib is missing.
        """
        said = sentences(self.model, embedding, result, threshold=self.threshold, language=self.language)
        hits = self.index.search(like=embedding, k=NEAREST_CASES) if self.index else None
        values, measurements = summary(embedding.measurements), embedding.measurements
        patient = ecg.metadata["age"], ecg.metadata["sex"]
        prepared, folder = embedding.prepared, os.path.dirname(embedding.record)
        return Report(
            name=os.path.basename(embedding.record).encode(errors="replace").decode() or "ECG",
            ecg=ecg,
            used_s=result.used_s,
            picture=picture or picture_of(ecg, self.sheet),
            sentences=said,
            measured=measured_rows(values, measurements, *patient),
            waves={key: values[key] for key in ("r_mv", "s_mv", "t_mv")},
            st=st_rows(values, *patient),
            conditions=self._conditions(embedding, result, said, hits),
            cases=hits,
            quality=quality_rows(measurements),
            masked=[lead for lead in ecg.leads if not prepared.measured[:, LEADS.index(lead)].all()],
            derived=prepared.derived,
            notes=[note.replace(folder + os.sep, "") if folder else note for note in dict.fromkeys(embedding.notes)],
            sources={key: str(source) for key, source in {**self.model.kb.sources, **OTHER_SOURCES}.items()},
        )

    def _conditions(
        self, embedding: Embedding, result: Result, said: Sequence[Sentence], hits: Sequence[Hit] | None
    ) -> list[Condition]:
        """Those asked for, and then the others that are stated."""
        judge = record_judge(embedding, self.model.kb)
        scored = list(zip(self.prompts, result.scores, strict=True))
        asked = scored[len(self._all) :]
        shown = {prompt.concept.id for prompt, _ in asked if prompt.concept and not prompt.denied}
        by_concept = {score.concept: (prompt, score) for prompt, score in scored[: len(self._all)]}
        others = [by_concept[each.concept] for each in said if each.concept not in shown]
        return [
            *(self._condition(prompt, score, prompt.label, judge, hits) for prompt, score in asked),
            *(self._condition(prompt, score, "", judge, hits) for prompt, score in others),
        ]

    def _condition(
        self, prompt: Prompt, score: Score, label: str, judge: Judge, hits: Sequence[Hit] | None
    ) -> Condition:
        from ecgclip.index import shared

        concept = prompt.concept if not prompt.denied else None
        counts = shared(hits, concept.id, self.model.kb) if hits and concept else None
        answered = prompt_criteria(prompt, judge)
        seen = _seen(prompt, judge)
        return Condition(label, prompt.meaning, concept, score, **answered, seen=seen, cases=counts)


def picture_of(ecg: ECG, sheet: bool = False) -> Page:
    """The drawing of a report; sheet: on a sheet of A4, as a PDF wants it."""
    return draw(ecg, VIEW, sheet=sheet, foot="")


def _seen(prompt: Prompt, judge: Judge) -> dict[str, list[str]]:
    """The parts of the heartbeat that speak for a prompt, each with the leads in standard order."""
    leads: dict[str, list[str]] = {}
    order = lambda p: (p.part, LEADS.index(p.lead) if p.lead else -1, str(p.beats))
    for place in sorted(prompt_places(prompt, judge), key=order):
        named = leads.setdefault(place.part, [])
        if place.lead and place.lead not in named:
            named.append(place.lead)
    return leads
