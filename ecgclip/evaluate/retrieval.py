"""Retrieval: text → ECG, ECG → text and ECG → ECG within one pool of records, beside the random encoder.

Two ECGs are compared as in `ecgclip similar` (ECGCLIP.likeness), and for the random encoder by their cosine. Recall at
k and median rank go by the real reports: a hit is an ECG (or report) with the query's own text, as many reports are
the same word for word. Precision at 10 goes by statements: a hit is an ECG that is annotated with the condition, or
shares a statement with the query ECG. A condition is asked for by what the knowledge base knows, whatever the
language of its name, and by its bare English and German names. Intervals resample the patients of the queries or,
where the query is a name, those of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.bootstrap import interval, patient_draws, record_weights
from ecgclip.evaluate.groups import report_language
from ecgclip.evaluate.metrics import Labels, mean_figures
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.truth import cases_to_test, fold_to_test, patient_numbers, truth_table
from ecgclip.evaluate.vectors import mean_vectors, random_encoder
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model

K = 10  # of precision
RECALLS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Pool:
    """The n records that are searched, and the queries."""

    patients: np.ndarray  # int (n,)
    draws: np.ndarray  # (1 + resamples, patients), as `patient_draws` returns them
    text: np.ndarray  # int (n,): which of the texts is the record's report, -1 for none
    texts: np.ndarray  # float (texts, dim), unit length
    truth: np.ndarray  # int8 (n, concepts): 1, 0, -1
    languages: np.ndarray  # str (n,): that of the record's report, "" where it is unknown
    names: dict[str, np.ndarray]  # kind of prompt → float (concepts, dim), the prompt of each concept
    classes: np.ndarray  # bool (n, classes): two ECGs are alike if they share one

    def weights(self, records: np.ndarray) -> np.ndarray:
        """How often each of these records (their numbers) is drawn, float (draws, records)."""
        return record_weights(self.draws, self.patients[records])


def retrieval(
    dataset: str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    fold: int | Sequence[int] | None = None,
    min_positives: int = 10,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Search the test records of a data set among themselves.

    Without reports there is no recall, only precision.

    Parameters
    ----------
    path, out, fold, weights, device
        As of `zeroshot`.
    min_positives
        Records that a concept needs to be asked for.

    Returns
    -------
    dict
        What `out`/results.json holds.

    Raises
    ------
    EcgclipError
        As `zeroshot` does, and where the records have neither reports nor enough statements.
    """
    model = load_model(weights, device=device)
    fold = fold_to_test(dataset, fold)
    cases = cases_to_test(model, dataset, Path(path), fold)
    vectors, _, cases = mean_vectors([model, random_encoder(model, seed)], cases)
    concepts = _concepts(model, cases, min_positives)
    pool = make_pool(model, cases, concepts, seed)
    if (pool.text < 0).all() and not len(concepts.names):
        raise EcgclipError(
            f"{path}: no record has a report, and no statement has {min_positives} positives: nothing to search for"
        )
    ours, random = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in vectors)
    directions, rows = search(ours, model.likeness(ours, ours), pool)
    for j, row in enumerate(rows):
        row |= {"label": concepts.names[j], "concept": concepts.concepts[j]}
    results = {
        "task": "retrieval",
        "dataset": dataset,
        "fold": fold,
        "records": len(cases),
        "patients": int(pool.patients.max()) + 1,
        "distinct_reports": len(pool.texts),
        "least_positives": min_positives,
        **provenance(weights, cases, seed),
        **directions,
        "macro": {"precision_at_10": directions["text_to_ecg"].get("precision_at_10")},
        "random_encoder": search(random, random @ random.T, pool)[0],
        "labels": rows,
    }
    return save(out, results)


# --- the pool ---------------------------------------------------------------------------------------------------------


def _concepts(model: ECGCLIP, cases: Sequence[Case], min_positives: int) -> Labels:
    """The concepts that at least `min_positives` records are annotated with."""
    counts = {c: sum(c in case.annotated for case in cases) for c in set().union(*(x.annotated for x in cases))}
    ids = sorted(c for c, n in counts.items() if n >= min_positives)
    return Labels([model.kb.concepts[c].name for c in ids], ids, {})


def make_pool(model: ECGCLIP, cases: Sequence[Case], concepts: Labels, seed: int) -> Pool:
    """The pool of these cases, each of `concepts` asked for by its names."""
    texts, text = np.unique([" ".join(c.report.split()) for c in cases], return_inverse=True)
    if texts[0] == "":
        texts, text = texts[1:], text - 1
    patients = patient_numbers(cases)
    return Pool(
        patients=patients,
        draws=patient_draws(patients, seed),
        text=text,
        texts=model.embed_text(texts.tolist()),
        truth=truth_table(cases, concepts),
        languages=np.array([report_language(c.report) for c in cases]),
        names=_name_vectors(model, concepts),
        classes=_classes(cases),
    )


def _name_vectors(model: ECGCLIP, concepts: Labels) -> dict[str, np.ndarray]:
    """The prompts of each concept, float (concepts, dim): by the knowledge base and by its bare names."""
    entries = [model.kb.concepts[c] for c in concepts.concepts]
    german = [(c.aliases.get("de") or [c.name])[0] for c in entries]
    prompts = {
        "precision_at_10": [model.prompt(c.name, concept=c.id) for c in entries],
        "bare_en": [model.prompt(c.name, enrich=False) for c in entries],
        "bare_de": [model.prompt(name, enrich=False) for name in german],
    }
    return {way: np.array([prompt.vector for prompt in asked]) for way, asked in prompts.items()}


def _classes(cases: Sequence[Case]) -> np.ndarray:
    """bool (cases, classes): the statements by which two ECGs are alike; the superclasses alone where there are any."""
    row = DATA_SETS.get(cases[0].source)
    # by all that is annotated, sinus rhythm and the like would make nearly all records alike
    classes = list(row.superclasses.values()) if row else []
    classes = classes or sorted(set().union(*(c.annotated for c in cases)))
    return np.array([[c in case.annotated for c in classes] for case in cases], bool)


# --- the search -------------------------------------------------------------------------------------------------------


def search(vectors: np.ndarray, alike: np.ndarray, pool: Pool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Search the pool in the three directions.

    Parameters
    ----------
    vectors : float (n, dim)
        The ECGs, unit length.
    alike : float (n, n)
        How alike two ECGs are.

    Returns
    -------
    directions : dict
        The figures of "text_to_ecg", "ecg_to_text" and "ecg_to_ecg".
    rows : list of dict
        The figures of each concept that is asked for by its names.
    """
    by_report, to_report = _by_report(vectors, pool)
    by_name_mean, rows = by_name(vectors, pool)
    directions = {
        "text_to_ecg": by_report | by_name_mean,
        "ecg_to_text": to_report,
        "ecg_to_ecg": _by_ecg(alike, pool),
    }
    return directions, rows


def _by_report(vectors: np.ndarray, pool: Pool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Recall of ECGs by their reports, overall and by the report's language, and of reports by their ECGs."""
    reported = np.flatnonzero(pool.text >= 0)
    similarity = vectors[reported] @ pool.texts.T  # (reported, texts)
    hits = pool.text[reported, None] == np.arange(len(pool.texts))  # (reported, texts)
    # (reported, reported): the report of each record asks for its ECG
    to_ecg, ecg_hits = similarity.T[pool.text[reported]], hits.T[pool.text[reported]]
    languages = pool.languages[reported]
    by_language = {}
    for language in sorted(set(languages) - {""}):
        asks = languages == language
        by_language[language] = recall(to_ecg[asks], ecg_hits[asks], pool, reported[asks])
    text_to_ecg = recall(to_ecg, ecg_hits, pool, reported) | {"by_language": by_language}
    return text_to_ecg, recall(similarity, hits, pool, reported)


def _by_ecg(alike: np.ndarray, pool: Pool) -> dict[str, Any]:
    """Recall of ECGs with the same report, precision of ECGs with a shared class; never of the query's patient."""
    others = pool.patients[:, None] != pool.patients
    same_report = (pool.text[:, None] == pool.text) & (pool.text >= 0) & others
    asks = np.flatnonzero(same_report.any(1))
    similarity = np.where(others, alike, -np.inf)
    return recall(similarity[asks], same_report[asks], pool, asks) | by_example(similarity, others, pool)


def recall(similarity: np.ndarray, hits: np.ndarray, pool: Pool, queries: np.ndarray) -> dict[str, Any]:
    """Recall at 1, 5 and 10 with that of chance, and the median rank.

    A query's rank is that of its best hit; of equally similar candidates the hits come last.

    Parameters
    ----------
    similarity : float (queries, candidates)
        -inf where there is no candidate.
    hits : bool (queries, candidates)
    queries : int (queries,)
        The records that ask.
    """
    if not len(queries):
        return {"queries": 0}
    best_hit = np.where(hits, similarity, -np.inf).max(1, keepdims=True)
    rank = 1 + ((similarity >= best_hit) & ~hits & np.isfinite(similarity)).sum(1)
    weights = pool.weights(queries)
    drawn = np.where(weights.any(1), weights.sum(1), np.nan)  # a draw may leave out all queries
    candidates, right = np.isfinite(similarity).sum(1), hits.sum(1)
    figures: dict[str, Any] = {"queries": len(queries)}
    for k in RECALLS:
        figures[f"recall_at_{k}"] = interval(weights @ (rank <= k) / drawn)
        missed = np.prod([(candidates - right - i).clip(0) / (candidates - i).clip(1) for i in range(k)], axis=0)
        figures[f"recall_at_{k}_chance"] = round(float(1 - missed.mean()), 4)
    order = np.argsort(rank, kind="stable")
    half = np.cumsum(weights[:, order], 1) >= drawn[:, None] / 2
    return figures | {"median_rank": interval(np.where(drawn > 0, rank[order][half.argmax(1)], np.nan))}


def by_name(vectors: np.ndarray, pool: Pool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Precision at 10 by each way to ask for a concept: the means over the concepts, and a row for each concept."""
    rows, figures = [], []
    for j in range(pool.truth.shape[1]):
        known = np.flatnonzero(pool.truth[:, j] >= 0)
        hit = pool.truth[known, j] == 1
        weights = pool.weights(known)
        figures.append({way: precision(vectors[known] @ v[j], hit, weights) for way, v in pool.names.items()})
        chance, best = round(float(hit.mean()), 4), min(hit.sum() / K, 1.0)
        row = {"positives": int(hit.sum()), "chance": chance, "best": best}
        rows.append(row | {way: interval(figure) for way, figure in figures[-1].items()})
    if not rows:
        return {}, []
    return {
        "concepts": len(rows),
        **{way: interval(figure) for way, figure in mean_figures(figures).items()},
        "chance": round(float(np.mean([row["chance"] for row in rows])), 4),
        "best": round(float(np.mean([row["best"] for row in rows])), 4),
    }, rows


def precision(scores: np.ndarray, hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of hits among the K best of the pool in each draw, (draws,).

    Parameters
    ----------
    scores : float (n,)
    hit : bool (n,)
    weights : float (draws, n)
        How often each record is in the pool.
    """
    order = np.argsort(-scores, kind="stable")
    taken = np.diff(np.minimum(np.cumsum(weights[:, order], 1), K), axis=1, prepend=0)
    return taken @ hit[order] / taken.sum(1)


def by_example(similarity: np.ndarray, others: np.ndarray, pool: Pool) -> dict[str, Any]:
    """Precision at 10 of ECGs that share a class with the one asked for; an empty dict where no record has a class.

    Parameters
    ----------
    similarity : float (n, n)
        -inf within a patient.
    others : bool (n, n)
        Whether two records are of different patients.
    """
    asks = np.flatnonzero(pool.classes.any(1))
    if not len(asks):
        return {}
    shared = (pool.classes[asks].astype(int) @ pool.classes.T.astype(int) > 0) & others[asks]
    best = np.argsort(-similarity[asks], axis=1, kind="stable")[:, :K]
    hits = np.take_along_axis(shared, best, 1).mean(1)
    weights = pool.weights(asks)
    return {
        "precision_queries": len(asks),
        "precision_at_10": interval(weights @ hits / weights.sum(1)),
        "chance": round(float((shared.sum(1) / others[asks].sum(1)).mean()), 4),
        "best": round(float((shared.sum(1) / K).clip(max=1).mean()), 4),
    }
