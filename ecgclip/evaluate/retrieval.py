"""Retrieval: text → ECG, ECG → text and ECG → ECG within one pool of records, beside the random encoder.

ECGs are as alike as `ecgclip similar` has them (ECGCLIP.likeness); those of the random encoder, by their cosine.
Recall at k and median rank go by the real reports: a hit is an ECG (or report) with the query's own text, as many reports
are the same word for word. Precision at 10 goes by statements: an ECG that is annotated with the condition asked for, or
shares one with the query. A condition is asked for by what the knowledge base knows, whatever its name's language, and by its bare
English and German names. Intervals resample patients: of the queries, or of the pool where the query is a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS, data_set
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.groups import report_language
from ecgclip.evaluate.metrics import Figures, Labels, interval, mean_figures, patient_draws
from ecgclip.evaluate.results import provenance, save
from ecgclip.evaluate.truth import cases_to_test, patient_numbers, truth_table
from ecgclip.evaluate.vectors import mean_vectors, random_encoder
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model

K = 10  # of precision
RECALLS = (1, 5, 10)


@dataclass(frozen=True)
class Pool:
    """What is known of the n records, in numbers; draws (1 + resamples, patients) as in metrics."""

    patients: np.ndarray  # int (n,)
    draws: np.ndarray
    text: np.ndarray  # int (n,): which of the texts is the record's report, -1 for none
    texts: np.ndarray  # float (texts, dim), unit length
    truth: np.ndarray  # int8 (n, concepts): 1, 0, -1
    languages: np.ndarray  # str (n,): that of the record's report, "" where it cannot be told
    names: dict[str, np.ndarray]  # a way to ask → float (concepts, dim), what each concept is asked with
    shared: np.ndarray  # bool (n, classes): two ECGs are alike if they share one


def retrieval(
    dataset: str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    fold: int | Sequence[int] | None = None,
    least: int = 10,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Search the test records among themselves and write results into `out`.

    least: positives that a concept needs to be asked for. Without reports there is no recall, only precision.
    Raises EcgclipError as `zeroshot` does, and where the records have neither reports nor statements to go by.
    """
    model = load_model(weights)
    fold = data_set(dataset).published_fold if fold is None else fold
    (ours, random), cases = mean_vectors(
        [model, random_encoder(model, seed)], cases_to_test(model, dataset, Path(path), fold)
    )
    concepts = _concepts(model, cases, least)
    pool = make_pool(model, cases, concepts, seed)
    if (pool.text < 0).all() and not len(concepts.names):
        raise EcgclipError(
            f"{path}: no record has a report, and no statement has {least} positives: nothing to search for"
        )
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    random = random / np.linalg.norm(random, axis=1, keepdims=True)
    found, rows = search(ours, model.likeness(ours, ours), pool)
    for j, row in enumerate(rows):
        row |= {"label": concepts.names[j], "concept": concepts.concepts[j]}
    results = {
        "task": "retrieval",
        "dataset": dataset,
        "fold": fold,
        "records": len(cases),
        "patients": int(pool.patients.max()) + 1,
        "distinct_reports": len(pool.texts),
        "least_positives": least,
        **provenance(weights, cases, seed),
        **found,
        "macro": {"precision_at_10": found["text_to_ecg"].get("precision_at_10")},
        "random_encoder": search(random, random @ random.T, pool)[0],
        "labels": rows,
    }
    return save(out, results)


def _concepts(model: ECGCLIP, cases: Sequence[Case], least: int) -> Labels:
    """Those annotated in at least `least` records."""
    counts = {c: sum(c in case.annotated for case in cases) for c in set().union(*(x.annotated for x in cases))}
    ids = sorted(c for c, n in counts.items() if n >= least)
    return Labels([model.kb.concepts[c].name for c in ids], ids, {})


def make_pool(model: ECGCLIP, cases: Sequence[Case], concepts: Labels, seed: int) -> Pool:
    texts, text = np.unique([" ".join(c.report.split()) for c in cases], return_inverse=True)
    if texts[0] == "":
        texts, text = texts[1:], text - 1
    known = [model.kb.concepts[c] for c in concepts.concepts]
    bare = {"bare_en": [c.name for c in known], "bare_de": [(c.aliases.get("de") or [c.name])[0] for c in known]}
    asked = {"precision_at_10": [model.prompt(c.name, concept=c.id) for c in known]}
    asked |= {k: [model.prompt(name, enrich=False) for name in names] for k, names in bare.items()}
    row = DATA_SETS.get(cases[0].source)
    # by all that is annotated, sinus rhythm and the like would make nearly all records alike
    classes = list(row.superclasses.values()) if row else []
    classes = classes or sorted(set().union(*(c.annotated for c in cases)))
    patients = patient_numbers(cases)
    return Pool(
        patients,
        patient_draws(patients, seed),
        text,
        model.embed_text(texts.tolist()),
        truth_table(cases, concepts),
        np.array([report_language(c.report) for c in cases]),
        {k: np.array([prompt.vector for prompt in prompts]) for k, prompts in asked.items()},
        np.array([[c in case.annotated for c in classes] for case in cases], bool),
    )


def search(vectors: np.ndarray, alike: np.ndarray, pool: Pool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """ECG vectors (n, dim), unit length, and how alike they are (n, n) → the figures of the three directions, and a row for each
    concept asked for by its names."""
    told = np.flatnonzero(pool.text >= 0)
    by_text = vectors[told] @ pool.texts.T  # (told, texts)
    own = pool.text[told, None] == np.arange(len(pool.texts))  # (told, texts)
    others = pool.patients[:, None] != pool.patients  # never the query's own patient
    same = (pool.text[:, None] == pool.text) & (pool.text >= 0) & others
    paired = np.flatnonzero(same.any(1))
    names, rows = by_name(vectors, pool)
    to_ecg = by_text.T[pool.text[told]]  # (told, told): each record's report asks for its ECG
    asks = own.T[pool.text[told]]
    spoken = pool.languages[told]
    by_language = {
        k: recall(to_ecg[spoken == k], asks[spoken == k], pool, told[spoken == k]) for k in sorted(set(spoken) - {""})
    }
    found = {
        "text_to_ecg": recall(to_ecg, asks, pool, told) | {"by_language": by_language} | names,
        "ecg_to_text": recall(by_text, own, pool, told),
        "ecg_to_ecg": recall(np.where(others, alike, -np.inf)[paired], same[paired], pool, paired)
        | by_example(np.where(others, alike, -np.inf), others, pool),
    }
    return found, rows


def recall(similarity: np.ndarray, hits: np.ndarray, pool: Pool, queries: np.ndarray) -> dict[str, Any]:
    """similarity, hits bool (queries, candidates), the records that ask → recall at 1, 5, 10 with chance, and median rank.

    A query's rank is that of its best hit; of equally similar candidates the hits come last. -inf is no candidate.
    """
    if not len(queries):
        return {"queries": 0}
    best = np.where(hits, similarity, -np.inf).max(1, keepdims=True)
    rank = 1 + ((similarity >= best) & ~hits & np.isfinite(similarity)).sum(1)
    weights = pool.draws[:, pool.patients[queries]].astype(float)
    asked = np.where(weights.any(1), weights.sum(1), np.nan)  # a draw may leave out all who ask
    candidates, right = np.isfinite(similarity).sum(1), hits.sum(1)
    out: dict[str, Any] = {"queries": len(queries)}
    for k in RECALLS:
        out[f"recall_at_{k}"] = interval(weights @ (rank <= k) / asked)
        missed = np.prod([(candidates - right - i).clip(0) / (candidates - i).clip(1) for i in range(k)], axis=0)
        out[f"recall_at_{k}_chance"] = round(float(1 - missed.mean()), 4)
    order = np.argsort(rank, kind="stable")
    half = np.cumsum(weights[:, order], 1) >= asked[:, None] / 2
    return out | {"median_rank": interval(np.where(asked > 0, rank[order][half.argmax(1)], np.nan))}


def by_name(vectors: np.ndarray, pool: Pool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Precision at 10 of every concept, by each way to ask for it, and their means."""
    rows, every = [], []
    for j in range(pool.truth.shape[1]):
        known = np.flatnonzero(pool.truth[:, j] >= 0)
        hit = pool.truth[known, j] == 1
        weights = pool.draws[:, pool.patients[known]].astype(float)
        figures = {k: precision(vectors[known] @ names[j], hit, weights) for k, names in pool.names.items()}
        every.append(figures)
        rows.append(
            {"positives": int(hit.sum()), "chance": round(float(hit.mean()), 4), "best": min(hit.sum() / K, 1.0)}
        )
        rows[-1] |= {k: interval(v) for k, v in figures.items()}
    if not rows:
        return {}, []
    mean: Figures = mean_figures(every)
    return {
        "concepts": len(rows),
        **{k: interval(v) for k, v in mean.items()},
        "chance": round(float(np.mean([row["chance"] for row in rows])), 4),
        "best": round(float(np.mean([row["best"] for row in rows])), 4),
    }, rows


def precision(scores: np.ndarray, hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """scores, hit bool (n,), weights (draws, n), how often each is in the pool → share of hits among the best K (draws,)."""
    order = np.argsort(-scores, kind="stable")
    taken = np.diff(np.minimum(np.cumsum(weights[:, order], 1), K), axis=1, prepend=0)
    return taken @ hit[order] / taken.sum(1)


def by_example(similarity: np.ndarray, others: np.ndarray, pool: Pool) -> dict[str, Any]:
    """similarity (n, n), -inf within a patient → precision at 10 of every record that has a class to share."""
    asks = np.flatnonzero(pool.shared.any(1))
    if not len(asks):
        return {}
    shares = (pool.shared[asks].astype(int) @ pool.shared.T.astype(int) > 0) & others[asks]
    best = np.argsort(-similarity[asks], axis=1, kind="stable")[:, :K]
    hits = np.take_along_axis(shares, best, 1).mean(1)
    weights = pool.draws[:, pool.patients[asks]].astype(float)
    return {
        "precision_queries": len(asks),
        "precision_at_10": interval(weights @ hits / weights.sum(1)),
        "chance": round(float((shares.sum(1) / others[asks].sum(1)).mean()), 4),
        "best": round(float((shares.sum(1) / K).clip(max=1).mean()), 4),
    }
