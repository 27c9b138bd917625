"""Searching an index: a text or an ECG becomes a query vector, and its nearest windows become hits.

text, ECG ──▶ query vector ──▶ nearest windows among those that meet the filter ──▶ a hit a record, best first
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.index.hits import Hit
from ecgclip.index.reading import HASH
from ecgclip.index.store import Store
from ecgclip.index.where import windows_where
from ecgclip.io.records import record_hash

if TYPE_CHECKING:
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.prompts import Prompt
    from ecgclip.model.results import Embedding, Record

LIKENESS_CANDIDATES = 200  # windows nearest to an ECG, which are then ranked by their likeness to it
CHUNK = 100_000  # windows whose vectors are in memory at once, when records are left out
Scored = list[tuple[int, float]]  # windows with their scores, best first


@dataclass(frozen=True, eq=False)
class Query:
    """What is searched for.

    Attributes
    ----------
    alternatives : list of Prompt or None
        The prompts of a text, of which the nearest counts; [None] if there is no text.
    denied : sequence of Prompt
        Prompts of what is left out.
    example : float32 (dim,) or None
        The vector of an ECG to be like.
    example_hash : str
        The hash of its files, as it is not found itself.
    """

    alternatives: list[Prompt | None]
    denied: Sequence[Prompt] = ()
    example: np.ndarray | None = None
    example_hash: str = ""


def make_query(model: ECGCLIP, text: str | None, like: Record | Embedding | None, without: str | None) -> Query:
    """Embed what is searched for; see `ECGIndex.search`."""
    example = None
    if isinstance(like, str | os.PathLike | ECG):
        example = model.embed_ecg(like)[0]
    elif like is not None:
        example = like.vector
    prompt = model.prompt(text) if text else None
    denied = [model.prompt(without)] if without else []
    for asked in filter(None, (prompt, *denied)):
        if numbers := [leaf.label for leaf in asked.leaves if leaf.test]:
            raise EcgclipError(f"{numbers[0]!r} is measured in a recording, and an index has vectors: use `classify`")
    alternatives: list[Prompt | None] = list(prompt.parts) if prompt and prompt.any_of else [prompt]
    return Query(alternatives, denied, example, _hash(like))


def query_notes(model: ECGCLIP, text: str | None, without: str | None) -> list[str]:
    """How the words were understood; of what is left out always, as its words never appear in the answer."""
    notes = [f"{text}: {note}"] if text and (note := model.prompt(text).note) else []
    if without:
        note = model.prompt(without).note
        notes.append(f"left out: {without}" + (f": {note}" if note else ""))
    return notes


def _hash(like: Record | Embedding | None) -> str:
    """The hash of the files that an ECG was read from; empty if there are none."""
    source: str | os.PathLike | None
    if isinstance(like, str | os.PathLike) or like is None:
        source = like
    else:
        source = like.source if isinstance(like, ECG) else like.record
    with suppress(EcgclipError):  # the files may be gone
        return record_hash(source) if source else ""
    return ""


def search(store: Store, model: ECGCLIP, query: Query, k: int, where: str | None) -> list[Hit]:
    """Find the k records nearest to a query, among the windows that meet the condition `where`, best first."""
    example = query.example if query.alternatives == [None] else None  # an ECG without words is ranked by likeness
    best: dict[str, Hit] = {}
    with store.errors_in_one_line(), store.snapshot():
        windows = Windows(store, None if where is None else windows_where(store, where))
        for prompt in query.alternatives:
            denied = [*query.denied, *(denied_prompts(prompt) if prompt else ())]
            hits = windows.nearest_records(
                query_vector(model, prompt, query.example),
                k,
                without=query.example_hash,
                is_denied=_denied_test(model, denied) if denied else None,
                likeness=None if example is None else likeness_to(model, example),
            )
            for hit in hits:
                if hit.record not in best or hit.score > best[hit.record].score:
                    best[hit.record] = hit
    ranked = sorted(best.values(), key=lambda hit: -hit.score)[:k]
    # a model that does not say which concepts it was trained on has cosines for a likeness
    measure = "likeness" if example is not None and model.statements is not None else "cosine"
    return [replace(hit, rank=rank, measure=measure) for rank, hit in enumerate(ranked, 1)]


def query_vector(model: ECGCLIP, prompt: Prompt | None, example: np.ndarray | None) -> np.ndarray:
    """The unit vector, float32 (dim,), of a prompt, of an ECG, or of both.

    Denied conditions count only if nothing else is asked for: then the vector points away from them.
    """
    conditions = prompt.leaves if prompt else ()
    parts = [condition.vector for condition in conditions if not condition.denied]
    if example is not None:
        parts.append(model.like(example))
    parts = parts or [-condition.vector for condition in conditions]
    if len(parts) > 1:
        # words are nowhere near as close to ECGs as ECGs are to each other: each part counts by how much its
        # similarity varies over the reference ECGs
        spread = [float((model.reference @ part).std()) if len(model.reference) else 1.0 for part in parts]
        parts = [part / max(s, 1e-6) for part, s in zip(parts, spread, strict=True)]
    total = np.sum(parts, 0)
    return (total / np.linalg.norm(total)).astype(np.float32)


def denied_prompts(prompt: Prompt) -> list[Prompt]:
    """What a prompt denies in any case, as prompts that ask for it.

    "AF without LBBB" denies LBBB, "AF or no LBBB" nothing.
    """
    if prompt.parts:
        return [] if prompt.any_of else [denied for part in prompt.parts for denied in denied_prompts(part)]
    return [replace(prompt, denied=False)] if prompt.denied else []


def _denied_test(model: ECGCLIP, denied: Sequence[Prompt]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of vectors (n, dim): bool (n,), whether they are likely to have one of the denied conditions."""
    return lambda vectors: np.any([model.likely(prompt, vectors) for prompt in denied], 0)


def likeness_to(model: ECGCLIP, example: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function of vectors (n, dim): float (n,), their likeness to the vector of an ECG."""
    return lambda vectors: model.likeness(example[None], vectors)[0]


class Windows:
    """The windows of one committed state of an index; to be used within `store.snapshot()`.

    Parameters
    ----------
    store : Store
        The index.
    allowed : int64 (n,) or None
        The windows that may be found; None for all.
    """

    def __init__(self, store: Store, allowed: np.ndarray | None = None):
        self.store, self.file, self.allowed = store, store.vectors, allowed
        self.dead, self.dim = store.dead(), store.dim
        self.pending = list(store.pending())

    @cached_property
    def count(self) -> int:
        """How many windows may be found; not counted in the database, which takes longer than a search in a million."""
        if self.allowed is not None:
            return len(self.allowed)
        in_file = len(self.file) if self.file else 0
        return in_file - len(self.dead) + sum(len(windows) for windows, _ in self.pending)

    def nearest_records(
        self,
        vector: np.ndarray,
        k: int,
        *,
        without: str = "",
        is_denied: Callable[[np.ndarray], np.ndarray] | None = None,
        likeness: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> list[Hit]:
        """Find the records whose windows are nearest to a vector.

        Parameters
        ----------
        vector : float32 (dim,), of unit length
        k : int
            Number of records to find.
        without : str
            The hash of a record that is left out.
        is_denied : callable or None
            A function of vectors; a record is left out if it is true of any of its windows.
        likeness : callable or None
            A function of vectors; the nearest windows are then ranked by what it gives.

        Returns
        -------
        list of Hit
            One for each record, best first.
        """
        take = min(self.count, k + 8 if likeness is None else max(LIKENESS_CANDIDATES, 4 * k))
        while True:
            scored = self._nearest(vector, take)
            if scored and is_denied:
                scored = self._without_denied(scored, is_denied)
            if scored and likeness:
                scored = self._ranked(scored, likeness)
            hits = self._hits(scored, without, k)
            if len(hits) == k or take >= self.count:
                return hits
            take = min(self.count, 4 * take)  # too many windows were of one record, or left out

    def _nearest(self, vector: np.ndarray, take: int) -> Scored:
        """The windows nearest to a vector with their cosines, best first."""
        scored: Scored = []
        if self.file and take:
            scored += self.file.search(vector, take, self.allowed, self.dead)
        for windows, vectors in self.pending:
            keep = slice(None) if self.allowed is None else np.isin(windows, self.allowed, assume_unique=True)
            scored += zip(windows[keep].tolist(), (vectors[keep] @ vector).tolist(), strict=True)
        return sorted(scored, key=_best_first)[:take]

    def _without_denied(self, scored: Scored, is_denied: Callable[[np.ndarray], np.ndarray]) -> Scored:
        """Leave out all windows of the records that have what is denied in any window, be it among these or not."""
        rows = self.store.query(
            "SELECT id, record_id FROM windows WHERE record_id IN "
            "(SELECT record_id FROM windows WHERE id IN (SELECT value FROM json_each(?)))",
            (json.dumps([window for window, _ in scored]),),
        )
        windows, records = np.array(rows, np.int64).reshape(-1, 2).T
        denied = np.zeros(len(windows), bool)
        for first in range(0, len(windows), CHUNK):  # a few long recordings may have as many windows as an archive
            part = slice(first, first + CHUNK)
            denied[part] = is_denied(self._vectors_of(windows[part]))
        left_out = set(windows[np.isin(records, records[denied])].tolist())
        return [(window, score) for window, score in scored if window not in left_out]

    def _ranked(self, scored: Scored, likeness: Callable[[np.ndarray], np.ndarray]) -> Scored:
        """The same windows with their likeness, best first."""
        windows = [window for window, _ in scored]
        scores = likeness(self._vectors_of(np.array(windows, np.int64)))
        return sorted(zip(windows, scores.tolist(), strict=True), key=_best_first)

    def _vectors_of(self, windows: np.ndarray) -> np.ndarray:
        """The vectors, float32 (n, dim), of windows, pending or in the FAISS file."""
        out = np.zeros((len(windows), self.dim), np.float32)
        in_file = np.ones(len(windows), bool)
        for ids, vectors in self.pending:  # ids ascend
            at = np.searchsorted(ids, windows).clip(max=len(ids) - 1)
            here = ids[at] == windows
            out[here], in_file = vectors[at[here]], in_file & ~here
        if in_file.any():
            if self.file is None:
                raise ValueError("vectors are missing")
            out[in_file] = self.file.vectors(windows[in_file])
        return out

    def _hits(self, scored: Scored, without: str, k: int) -> list[Hit]:
        """The first k records of scored windows, each once."""
        hits: list[Hit] = []
        seen: set[int] = set()
        sql = (
            "SELECT r.id, r.record, w.start_s, r.report, r.labels, r.file, r.sha256 "
            "FROM windows w JOIN records r ON r.id = w.record_id WHERE w.id = ?"
        )
        for window, score in scored:
            rows = self.store.query(sql, (window,))
            if not rows:
                raise ValueError(f"window {window} has no record")
            record_id, record, start, report, labels, file, sha256 = rows[0]
            if record_id in seen or (without and sha256[:HASH] == without):
                continue
            seen.add(record_id)
            score = round(min(score, 1.0), 6)  # in half precision, a cosine may exceed 1
            hits.append(Hit(len(hits) + 1, score, record, start, report, tuple(json.loads(labels)), file, id=record_id))
            if len(hits) == k:
                break
        return hits


def _best_first(scored: tuple[int, float]) -> tuple[float, int]:
    """A sort key: by falling score, then by window."""
    return -scored[1], scored[0]
