"""Calibration: one logistic curve turns the similarity of any label into a probability.

It is fitted on the validation split over all its labels at once, each record–label pair one example; the features say how
large the similarity is and how unusual beside the reference bank, so it is defined for labels never seen. From which
probability on a description says so is chosen on the same split, afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ecgclip.model import ECGCLIP, Calibration, ModelConfig

if TYPE_CHECKING:
    from ecgclip.train import Split


def calibrate(model: ECGCLIP, held_out: dict[str, Split], least: int = 1) -> Calibration:
    """Fit the curve on validation windows and every concept with a positive among them (unknown pairs left out)."""
    from sklearn.linear_model import LogisticRegression

    from ecgclip.pairs import targets
    from ecgclip.train import embed_windows

    split = next(iter(held_out.values()))
    concepts = tuple(sorted({c for case in split.cases for c in case.statements}))
    truth = targets(split.cases, split.windows, concepts)
    keep = [j for j in range(len(concepts)) if (truth[:, j] == 1).sum() >= least]
    if not keep:
        return Calibration()
    vectors = np.stack([model.concept_vector(concepts[j]) for j in keep])
    truth = truth[:, keep]
    similarity = embed_windows(model, split.windows) @ vectors.T
    features = Calibration().features(similarity, model.reference @ vectors.T)
    known = truth >= 0
    if np.unique(truth[known]).size < 2:  # a held-out split of a few records: nothing to fit
        return Calibration()
    fit = LogisticRegression(C=10.0, max_iter=1000).fit(features[known], truth[known])
    return Calibration(tuple(map(float, fit.coef_[0])), float(fit.intercept_[0]))


THRESHOLDS = np.arange(2, 39) / 40  # tried; a finer grid would only follow the noise of a small split


def choose_threshold(model: ECGCLIP, held_out: dict[str, Split]) -> float:
    """The probability from which on `describe` says a label: the best micro F1 of its statements on the validation split.

    It needs the model's calibration.
    """
    from ecgclip.describe import consistent, founded
    from ecgclip.evaluate import rates, statement_counts, statement_table, statement_truth
    from ecgclip.train import embed_windows

    split, kb = next(iter(held_out.values())), model.kb
    records = np.unique(split.windows.case)
    cases = [split.cases[i] for i in records]
    vocabulary = sorted(set().union(*(case.annotated for case in cases)))
    if not vocabulary:  # nothing is annotated in full
        return ModelConfig.threshold
    truth = statement_truth(kb, cases, vocabulary)
    concepts = sorted(founded(model, (c.id for c in kb.concepts.values() if c.category != "beat")))
    vectors = np.stack([model.concept_vector(c) for c in concepts])
    windows = embed_windows(model, split.windows) @ vectors.T
    similarity = np.stack([windows[split.windows.case == i].mean(0) for i in records])  # as in ECGCLIP.score
    probability = model.config.calibration(similarity, model.reference @ vectors.T)

    def score(threshold: float) -> float:
        said = [consistent(kb, [concepts[j] for j in np.flatnonzero(row >= threshold)]) for row in probability]
        return float(rates(statement_counts(statement_table(kb, said, vocabulary), truth).sum((1, 2)))[2])

    return float(max(THRESHOLDS, key=score))


RIGHT = 0.8  # of the misspelt names that are taken for a concept are that one; many others meet a neighbour of it
STRANGE = 0.95  # of the UNRELATED are taken for no concept
SHORTEST = 8  # letters of a name that is still itself without one of them
UNRELATED = (
    "appendicitis", "asthma", "bone density", "broken hip", "cataract", "chest x-ray", "common cold", "dental caries",
    "diabetic retinopathy", "epilepsy", "football match", "gallstones", "green bananas", "hearing loss", "kidney stones", "liver biopsy",
    "migraine", "multiple sclerosis", "pneumonia", "psoriasis", "purple zebra sign", "railway timetable", "rheumatoid arthritis",
    "skin rash", "sleep disorder", "stock market", "the weather in spring", "thyroid nodule", "urinary tract infection", "wisdom teeth",
    "Blinddarmentzündung", "Fahrplan der Eisenbahn", "Gallensteine", "grüne Bananen", "Hautausschlag", "Knochenbruch", "Lungenentzündung",
    "Migräne", "Nierensteine", "Zahnschmerzen",
)  # fmt: skip


def choose_floor(model: ECGCLIP, seed: int = 0) -> float:
    """The cosine from which on the nearest passages are trusted to say what an unknown label means.

    Names and aliases with a letter missing stand for what users type: at least `RIGHT` of those above the floor find their concept,
    and `STRANGE` of the `UNRELATED` lie below it.
    """
    rng = np.random.default_rng(seed)
    names = [p for p in model.kb.passages if p.kind in ("name", "alias") and len(p.text) >= SHORTEST]
    dropped = [int(rng.integers(1, len(p.text) - 1)) for p in names]
    typed = [p.text[:i] + p.text[i + 1 :] for p, i in zip(names, dropped, strict=True)]
    found = [model.nearest_passages(v, 1)[0] for v in model.plain_vectors(typed)]
    cosine = np.array([c for _, c in found])
    right = np.array([near.concept == p.concept for (near, _), p in zip(found, names, strict=True)])
    order = np.argsort(-cosine)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(cosine[order]) != 0, True)  # a floor lets all of the same cosine in, or none
    passes = np.flatnonzero((share >= RIGHT) & last)
    own = cosine[order][passes[-1]] if len(passes) else 1.0
    strange = [model.nearest_passages(v, 1)[0][1] for v in model.plain_vectors(list(UNRELATED))]
    return round(float(max(own, np.quantile(strange, STRANGE))), 3)
