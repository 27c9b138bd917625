"""What is answered for one record, by the command line and by the server: scores with their evidence, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ecgclip.explain.evidence import explain, summary
from ecgclip.measure.examined import Examined
from ecgclip.model.prompts import Prompt
from ecgclip.model.results import Embedding, Result, ranking

if TYPE_CHECKING:
    from ecgclip.explain.sentences import Sentence  # needs torch
    from ecgclip.index.hits import Searched
    from ecgclip.model.clip import ECGCLIP

NEAREST_CASES = 10  # cases of an index that an explanation shows
TOP = 10  # conditions shown where no labels are given
DEVICE = ("patient", "time", "device", "measurements", "statements")  # what an explanation shows of the metadata


def measured(examined: Examined) -> dict[str, Any]:
    """What was measured in a record, and what its file says of it."""
    said = {key: value for key in DEVICE if (value := examined.metadata.get(key))}
    return {"measurements": summary(examined.measurements), "device": said}


@dataclass(frozen=True)
class Evidence:
    """The evidence behind the scores of one record (`classify --explain`)."""

    scores: list[dict[str, Any]]  # one for each score, see `ecgclip.explain.explain`
    record: dict[str, Any]  # measurements, and the nearest cases of an index where one is given


@dataclass(frozen=True)
class Classification:
    """The answer of `ecgclip classify`."""

    result: Result
    evidence: Evidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip classify --format json`."""
        entry = self.result.to_dict()
        if self.evidence:
            entry |= self.evidence.record
            pairs = zip(entry["scores"], self.evidence.scores, strict=True)
            entry["scores"] = [{**score, "explain": evidence} for score, evidence in pairs]
        return entry


@dataclass(frozen=True)
class Description:
    """The answer of `ecgclip describe`."""

    record: str
    sentences: list[Sentence]

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip describe --format json`."""
        return {"record": self.record, "sentences": [asdict(sentence) for sentence in self.sentences]}


@dataclass(frozen=True)
class Classifier:
    """What is asked of each record, and how it is shown.

    Attributes
    ----------
    model
        The one that scores.
    prompts
        What each record is scored for.
    top
        How many scores are shown, the most probable first; None: all, in the order asked for.
    trained_only
        Leave out conditions that training had no ECGs of.
    with_evidence
        Show what lies behind each score.
    index
        With the evidence, the nearest cases are taken from it.
    """

    model: ECGCLIP
    prompts: Sequence[Prompt]
    top: int | None = None
    trained_only: bool = False
    with_evidence: bool = False
    index: Searched | None = None

    def answer(self, embedding: Embedding, result: Result) -> Classification:
        """The answer for one record, by what `model.score` gave for the prompts."""
        result, asked = self._shown(result)
        return Classification(result, self._evidence(embedding, result, asked) if self.with_evidence else None)

    def _shown(self, result: Result) -> tuple[Result, Sequence[Prompt]]:
        """The scores to show, and the prompt of each."""
        if self.top is None:
            return result, self.prompts
        threshold = self.model.config.threshold
        best = ranking(result.scores, self.top, self.trained_only, self.model.kb.excluded, threshold)
        return replace(result, scores=tuple(result.scores[i] for i in best)), [self.prompts[i] for i in best]

    def _evidence(self, embedding: Embedding, result: Result, prompts: Sequence[Prompt]) -> Evidence:
        scores = explain(self.model, embedding, prompts, result)
        record = measured(embedding)
        if self.index:
            self._add_cases(self.index, embedding, prompts, scores, record)
        return Evidence(scores, record)

    def _add_cases(
        self,
        index: Searched,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        scores: list[dict[str, Any]],
        record: dict[str, Any],
    ) -> None:
        """Add the nearest cases of the index to `record`, and to each score how many of them share its condition."""
        from ecgclip.index import shared

        hits = index.search(like=embedding, k=NEAREST_CASES)
        record["cases"] = [hit.to_dict() for hit in hits]
        for score, prompt in zip(scores, prompts, strict=True):
            counts = shared(hits, prompt.concept.id, self.model.kb) if prompt.concept and not prompt.denied else None
            score["cases"] = {"with_label": counts[0], "labelled": counts[1]} if counts else None
