"""What a search finds, and what the ECGs that were found have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ecgclip.knowledge.base import KnowledgeBase

if TYPE_CHECKING:
    from ecgclip.model.results import Embedding


@dataclass(frozen=True)
class Hit:
    """A record that was found, by its best window.

    Attributes
    ----------
    rank : int
        1 for the best.
    score : float
        What `measure` names: the cosine to the query; or, if an ECG is searched for without words, the likeness to it,
        from 0 to 1 (`ECGCLIP.likeness`).
    record : str
        The path as it was given when it was indexed, without .hea.
    start_s : float
        Start of the window, s.
    report : str
        The text of the report, if the index has one.
    labels : tuple of str
        The statements that the record came with.
    file : str
        The absolute path, without .hea.
    measure : str
        "cosine" or "likeness".
    id : int
        Of the record in the index.
    """

    rank: int
    score: float
    record: str
    start_s: float
    report: str
    labels: tuple[str, ...]
    file: str = ""
    measure: str = "cosine"
    id: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip search` and `ecgclip similar`."""
        keys = ("rank", "score", "record", "start_s", "report")
        return {**{key: getattr(self, key) for key in keys}, "labels": list(self.labels), "measure": self.measure}


class Searched(Protocol):
    """What finds the ECGs most like one: an `ECGIndex`, or what stands before it."""

    def search(self, *, like: Embedding, k: int) -> list[Hit]:
        """Find k records, best first."""


def shared(hits: Sequence[Hit], concept: str, kb: KnowledgeBase) -> tuple[int, int]:
    """Count the hits that have a concept or a narrower one among their labels, and the hits that have any label."""
    labelled = [hit for hit in hits if hit.labels]
    return sum(concept in _concepts(hit.labels, kb) for hit in labelled), len(labelled)


def _concepts(labels: Sequence[str], kb: KnowledgeBase) -> set[str]:
    """The concepts that labels name, with all broader ones."""
    named = {concept.id for label in labels if (concept := kb.find(label))}
    return named | {ancestor for concept in named for ancestor in kb.ancestors(concept)}
