"""The passages of a knowledge base as text vectors: the nearest ones to a text, and one vector for each concept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept, Passage
from ecgclip.model.results import unit

DENIAL = re.compile(r"no (?!.*, or )", re.IGNORECASE)  # how a criterion begins that denies and offers no alternative


@dataclass(frozen=True, eq=False)
class EmbeddedPassages:
    """A knowledge base and the vectors of its passages.

    Attributes
    ----------
    kb
        The knowledge base.
    vectors : float32 (passages, dim)
        Of unit length, in the order of `kb.passages`; no rows before they are embedded.
    """

    kb: KnowledgeBase
    vectors: np.ndarray
    _of_concepts: dict[tuple, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def passages(self) -> list[Passage]:
        """The passages that have a vector: all of them, or none yet."""
        return self.kb.passages[: len(self.vectors)]

    @cached_property
    def _rows_by_concept(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, passage in enumerate(self.passages):
            rows.setdefault(passage.concept, []).append(row)
        return rows

    @cached_property
    def _rows_by_name(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row, passage in enumerate(self.passages):
            if passage.kind in ("name", "alias"):
                rows.setdefault(passage.text, row)
        return rows

    @cached_property
    def _index(self) -> Any:
        """FAISS' index of all vectors."""
        import faiss

        index = faiss.IndexFlatIP(self.vectors.shape[1])
        index.add(np.ascontiguousarray(self.vectors, np.float32))
        return index

    @cached_property
    def _conditions(self) -> Any:
        """FAISS' selection of the passages that explain a label: of conditions, not of beats or of an absence."""
        import faiss

        concepts = self.kb.concepts
        selected = [p.kind != "negation" and concepts[p.concept].category != "beat" for p in self.passages]
        return faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.flatnonzero(selected)))  # type: ignore[call-arg]

    def nearest(self, vector: np.ndarray, k: int = 5, conditions: bool = False) -> list[tuple[Passage, float]]:
        """Return the k passages closest to a text vector (dim,), with their cosines; see `ECGCLIP.nearest_passages`."""
        selection = self._conditions if conditions else None
        cosines, rows = self._index.search(vector[None].astype(np.float32), k, params=selection)
        return [(self.passages[i], float(c)) for i, c in zip(rows[0], cosines[0], strict=True) if i >= 0]

    def name_vector(self, name: str) -> np.ndarray | None:
        """Return the vector of a name or alias as it is spelt here, (dim,); None if no concept has it."""
        row = self._rows_by_name.get(name)
        return None if row is None else self.vectors[row]

    def concept_vector(self, concept: str, shares: Mapping[str, float]) -> np.ndarray:
        """Average the passages of each kind, and weight the kinds by `shares`; see `ECGCLIP.concept_vector`.

        It is computed once, as a score asks for many: the array cannot be written to.
        """
        asked = (concept, *shares.items())
        if asked not in self._of_concepts:
            self._of_concepts[asked] = self._averaged(concept, shares)
            self._of_concepts[asked].setflags(write=False)
        return self._of_concepts[asked]

    def _averaged(self, concept: str, shares: Mapping[str, float]) -> np.ndarray:
        groups: dict[str, list[np.ndarray]] = {}
        for row in self._rows_by_concept[concept]:
            passage, vector = self.passages[row], self.vectors[row]
            kind = "name" if passage.kind == "alias" else passage.kind
            denies = kind == "criterion" and DENIAL.match(passage.text)
            groups.setdefault(kind, []).append(-vector if denies else vector)
        parts = [share * unit(np.mean(groups[kind], 0)) for kind, share in shares.items() if kind in groups]
        return unit(np.sum(parts, 0))


def explaining_passages(concept: Concept) -> tuple[Passage, ...]:
    """Return the passages that show a user what a label was taken for: the English definition and criteria."""
    return tuple(p for p in concept.passages if p.kind in ("definition", "criterion") and p.language == "en")
