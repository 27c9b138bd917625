"""Calibration: one logistic curve turns the similarity of any label into a probability.

It is fitted on the validation split over all its labels at once, each record–label pair one example; the features say how
large the similarity is and how unusual beside the reference bank, so it is defined for labels never seen. From which
probability on a description says so is chosen on the same split, afterwards.

Both are measured by cross-fitting: in five folds of the validation patients, each gets its probabilities from a curve, and its
description from a threshold, that the four others gave. So is the signal's weight (train.weigh_signal). What ships is fitted on
all of them. Not cross-fitted is the choice among recipes, made by the same patients: for that, each recipe would have to be
trained once more for each fold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ecgclip.data.splits import patient_folds
from ecgclip.model.calibration import Calibration
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig

if TYPE_CHECKING:
    from ecgclip.train.sources import Split


def calibrate(model: ECGCLIP, held_out: dict[str, Split], least: int = 1) -> Calibration:
    """Fit the curve on validation windows and every concept with `least` positives among them (unknown pairs left out)."""
    return fit(*examples(model, held_out, least=least))


def calibrate_untrained(models: Iterable[tuple[ECGCLIP, dict[str, Split], Collection[str]]]) -> Calibration:
    """The curve of conditions that training never had: fitted on what several models make of conditions hidden from them.

    models: each with a validation split, loaded by a recipe that hides nothing, and the concepts hidden from its training.
    """
    parts = [examples(model, held_out, hidden) for model, held_out, hidden in models]
    return fit(*(np.concatenate([part[i].reshape(-1, *part[i].shape[2:]) for part in parts]) for i in (0, 1)))


def examples(
    model: ECGCLIP, held_out: dict[str, Split], concepts: Collection[str] | None = None, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Features (windows, concepts, 4) and truth (windows, concepts), 1, 0 or -1, of validation windows.

    concepts: None is all that the cases tell of; of these or the given ones, those with `least` positives.
    """
    from ecgclip.train.validation import embed_windows
    from ecgclip.train.wording import targets

    split = next(iter(held_out.values()))
    chosen = tuple(sorted({c for case in split.cases for c in case.statements} if concepts is None else concepts))
    truth = targets(split.cases, split.windows, chosen)
    keep = [j for j in range(len(chosen)) if (truth[:, j] == 1).sum() >= least]
    if not keep:
        return np.zeros((len(truth), 0, 4)), truth[:, keep]
    vectors = np.stack([model.concept_vector(chosen[j]) for j in keep])
    similarity = embed_windows(model, split.windows) @ vectors.T
    return Calibration().features(similarity, model.reference @ vectors.T), truth[:, keep]


def fit(features: np.ndarray, truth: np.ndarray) -> Calibration:
    """features (…, 4), truth (…) 1, 0 or -1 (unknown, left out) → the curve; the default one where there is nothing to fit."""
    from sklearn.linear_model import LogisticRegression

    known = truth >= 0
    if np.unique(truth[known]).size < 2:  # a held-out split of a few records
        return Calibration()
    curve = LogisticRegression(C=10.0, max_iter=1000).fit(features[known], truth[known])
    return Calibration(tuple(map(float, curve.coef_[0])), float(curve.intercept_[0]))


def cross_fit(model: ECGCLIP, held_out: dict[str, Split]) -> tuple[list[Calibration], float]:
    """For each fold of validation patients the curve that the others give, and the ECE of all that these say of their fold."""
    from ecgclip.evaluate.metrics import expected_calibration_error

    split = next(iter(held_out.values()))
    features, truth = examples(model, held_out)
    folds = patient_folds([split.cases[i] for i in split.windows.case])
    curves = [fit(features[folds != k], truth[folds != k]) for k in range(folds.max() + 1)]
    probability = np.stack([curves[k].curve(row) for k, row in zip(folds, features, strict=True)])
    known = truth >= 0
    return curves, expected_calibration_error(probability[known], truth[known]) if known.any() else float("nan")


THRESHOLDS = np.arange(2, 39) / 40  # tried; a finer grid would only follow the noise of a small split


def choose_threshold(model: ECGCLIP, held_out: dict[str, Split], curves: list[Calibration] | None = None) -> float:
    """The probability from which on `describe` says a label: the best micro F1 of its statements on the validation split.

    curves: of `cross_fit`; None: the model's own calibration, for all.
    """
    counts, _ = statements(model, held_out, curves)
    return float(THRESHOLDS[_best(counts)]) if counts.any() else ModelConfig.threshold  # nothing is annotated in full


def cross_fitted_f1(model: ECGCLIP, held_out: dict[str, Split], curves: list[Calibration]) -> float:
    """Micro F1 of the statements where each fold's threshold is the one that the others choose; NaN where nothing is annotated."""
    from ecgclip.evaluate.description import rates

    counts, folds = statements(model, held_out, curves)
    if not counts.any():
        return float("nan")
    apart = [counts[_best(counts[:, :, folds != k])][:, folds == k] for k in range(folds.max() + 1)]
    return float(rates(np.concatenate(apart, 1).sum(1))[2])


def _best(counts: np.ndarray) -> int:
    """counts (thresholds, 3, records) → the threshold with the best micro F1."""
    from ecgclip.evaluate.description import rates

    return int(np.argmax([rates(c.sum(1))[2] for c in counts]))


def statements(
    model: ECGCLIP, held_out: dict[str, Split], curves: list[Calibration] | None
) -> tuple[np.ndarray, np.ndarray]:
    """→ int (THRESHOLDS, 3, records): statements of a description that are right, wrong and missing; the records' folds."""
    from ecgclip.evaluate.description import statement_counts, statement_table, statement_truth
    from ecgclip.explain.sentences import choose_statements
    from ecgclip.train.validation import embed_windows

    split, kb = next(iter(held_out.values())), model.kb
    records = np.unique(split.windows.case)
    cases = [split.cases[i] for i in records]
    folds = patient_folds(cases)
    vocabulary = sorted(set().union(*(case.annotated for case in cases)))
    truth = statement_truth(kb, cases, vocabulary)
    conditions = (c.id for c in kb.concepts.values() if c.category != "beat")
    concepts = sorted(c for c in conditions if model.trained(c) is not False)
    vectors = np.stack([model.concept_vector(c) for c in concepts])
    windows = embed_windows(model, split.windows)
    means = np.stack([windows[split.windows.case == i].mean(0) for i in records])  # as Embedding.vector
    similarity = means / np.linalg.norm(means, axis=1, keepdims=True) @ vectors.T
    features = Calibration().features(similarity, model.reference @ vectors.T)
    chosen = [model.config.calibration if curves is None else curves[k] for k in folds]
    rows = [curve.curve(row) for curve, row in zip(chosen, features, strict=True)]
    probability = [dict(zip(concepts, row, strict=True)) for row in rows]

    def counts(threshold: float) -> np.ndarray:
        stated = [choose_statements(kb, by_concept, threshold) for by_concept in probability]
        return statement_counts(statement_table(kb, stated, vocabulary), truth).sum(2)

    return np.stack([counts(threshold) for threshold in THRESHOLDS]), folds


RIGHT = 0.8  # of the misspelt names that are taken for a concept are that one; many others meet a neighbour of it
STRANGE = 0.95  # of the UNRELATED and of nonsense are taken for no concept
SHORTEST = 8  # letters of a name that is still itself without one of them
UNRELATED = (
    "appendicitis", "asthma", "bone density", "broken hip", "cataract", "chest x-ray", "common cold", "dental caries",
    "diabetic retinopathy", "epilepsy", "football match", "gallstones", "green bananas", "hearing loss", "kidney stones", "liver biopsy",
    "migraine", "multiple sclerosis", "pneumonia", "psoriasis", "purple zebra sign", "railway timetable", "rheumatoid arthritis",
    "skin rash", "sleep disorder", "stock market", "the weather in spring", "thyroid nodule", "urinary tract infection", "wisdom teeth",
    "Blinddarmentzündung", "Fahrplan der Eisenbahn", "Gallensteine", "grüne Bananen", "Hautausschlag", "Knochenbruch", "Lungenentzündung",
    "Migräne", "Nierensteine", "Zahnschmerzen",
)  # fmt: skip
KEYS = ("qwertzuiop", "asdfghjkl", "yxcvbnm", "1234567890")


def nonsense(rng: np.random.Generator, n: int) -> list[str]:
    """n labels that mean nothing: random letters, runs of keys, numbers and signs."""
    letters = list("abcdefghijklmnopqrstuvwxyz")
    kinds = (
        lambda: "".join(rng.choice(letters, rng.integers(2, 12))),
        lambda: " ".join("".join(rng.choice(letters, rng.integers(2, 8))) for _ in range(2)),
        lambda: (row := KEYS[rng.integers(len(KEYS))])[(i := rng.integers(len(row) - 3)) : i + rng.integers(3, 8)],
        lambda: str(rng.integers(10 ** rng.integers(1, 9))),
        lambda: "".join(rng.choice(list("-_.!?#*/()"), rng.integers(1, 5))),
    )
    return [kinds[i % len(kinds)]() for i in range(n)]


def choose_floor(model: ECGCLIP, seed: int = 0) -> float:
    """The cosine from which on the nearest passages are trusted to say what an unknown label means.

    Names and aliases with a letter missing, where the spelling alone does not tell them, stand for what users type: at least `RIGHT`
    of those above the floor find their concept, and `STRANGE` of the `UNRELATED` and of nonsense lie below it, or have nothing in common with the names anyway.
    """
    rng, kb = np.random.default_rng(seed), model.kb
    typed: dict[str, str] = {}  # → concept
    for p in kb.passages:
        if p.kind in ("name", "alias") and len(p.text) >= SHORTEST and kb.concepts[p.concept].category != "beat":
            i = int(rng.integers(1, len(p.text) - 1))
            text = p.text[:i] + p.text[i + 1 :]
            if not (kb.find(text) or kb.find_misspelt(text)):
                typed[text] = p.concept
    found = [model.nearest_passages(v, 1, conditions=True)[0] for v in model.plain_vectors(list(typed))]
    cosine = np.array([c for _, c in found])
    right = np.array([near.concept == concept for (near, _), concept in zip(found, typed.values(), strict=True)])
    order = np.argsort(-cosine)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(cosine[order]) != 0, True)  # a floor lets all of the same cosine in, or none
    passes = np.flatnonzero((share >= RIGHT) & last)
    own = cosine[order][passes[-1]] if len(passes) else 1.0
    strange = [*UNRELATED, *nonsense(rng, len(UNRELATED))]
    near = [model.nearest_passages(v, 1, conditions=True)[0][1] for v in model.plain_vectors(strange)]
    near = [c if kb.shares_words(text) else 0.0 for text, c in zip(strange, near, strict=True)]
    return round(float(max(own, np.quantile(near, STRANGE))), 3)
