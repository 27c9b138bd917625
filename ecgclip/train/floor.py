"""The floor: from which cosine on the nearest passages are trusted to say what an unknown label means."""

from __future__ import annotations

import numpy as np

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP

MIN_RIGHT = 0.8  # of the misspelt names above the floor that must find their own concept; many others find one near it
MIN_REFUSED = 0.95  # of UNRELATED and of nonsense that must match no concept
MIN_LETTERS = 8  # of a name that can still be recognised with one letter missing
UNRELATED = (
    "appendicitis", "asthma", "bone density", "broken hip", "cataract", "chest x-ray", "common cold", "dental caries",
    "diabetic retinopathy", "epilepsy", "football match", "gallstones", "green bananas", "hearing loss",
    "kidney stones", "liver biopsy", "migraine", "multiple sclerosis", "pneumonia", "psoriasis", "purple zebra sign",
    "railway timetable", "rheumatoid arthritis", "skin rash", "sleep disorder", "stock market",
    "the weather in spring", "thyroid nodule", "urinary tract infection", "wisdom teeth",
    "Blinddarmentzündung", "Fahrplan der Eisenbahn", "Gallensteine", "grüne Bananen", "Hautausschlag", "Knochenbruch",
    "Lungenentzündung", "Migräne", "Nierensteine", "Zahnschmerzen",
)  # fmt: skip
KEYBOARD = ("qwertzuiop", "asdfghjkl", "yxcvbnm", "1234567890")


def choose_floor(model: ECGCLIP, seed: int = 0) -> float:
    """The cosine from which on the nearest passages are trusted to say what an unknown label means.

    Names with a letter missing stand for what users type: of those above the floor, at least `MIN_RIGHT` find their
    concept. Of the `UNRELATED` and of nonsense, `MIN_REFUSED` lie below it or share no word with the names anyway.
    """
    rng = np.random.default_rng(seed)
    typed = misspelt(model.kb, rng)
    nearest = [model.nearest_passages(v, 1, conditions=True)[0] for v in model.plain_vectors(list(typed))]
    cosine = np.array([c for _, c in nearest])
    right = np.array([passage.concept == c for (passage, _), c in zip(nearest, typed.values(), strict=True)])
    strange = [*UNRELATED, *nonsense(rng, len(UNRELATED))]
    nearest = [model.nearest_passages(v, 1, conditions=True)[0] for v in model.plain_vectors(strange)]
    refused = [c if model.kb.shares_words(text) else 0.0 for text, (_, c) in zip(strange, nearest, strict=True)]
    return round(float(max(_lowest(cosine, right), np.quantile(refused, MIN_REFUSED))), 3)


def misspelt(kb: KnowledgeBase, rng: np.random.Generator) -> dict[str, str]:
    """Names and aliases with a letter missing → their concepts, where the spelling alone does not tell them."""
    typed: dict[str, str] = {}
    for p in kb.passages:
        if p.kind in ("name", "alias") and len(p.text) >= MIN_LETTERS and kb.concepts[p.concept].category != "beat":
            i = int(rng.integers(1, len(p.text) - 1))
            text = p.text[:i] + p.text[i + 1 :]
            if not (kb.find(text) or kb.find_misspelt(text)):
                typed[text] = p.concept
    return typed


def nonsense(rng: np.random.Generator, n: int) -> list[str]:
    """n labels that mean nothing: random letters, runs of keys, numbers and signs."""
    letters = list("abcdefghijklmnopqrstuvwxyz")
    kinds = (
        lambda: "".join(rng.choice(letters, rng.integers(2, 12))),
        lambda: " ".join("".join(rng.choice(letters, rng.integers(2, 8))) for _ in range(2)),
        lambda: (row := KEYBOARD[rng.integers(len(KEYBOARD))])[
            (i := rng.integers(len(row) - 3)) : i + rng.integers(3, 8)
        ],
        lambda: str(rng.integers(10 ** rng.integers(1, 9))),
        lambda: "".join(rng.choice(list("-_.!?#*/()"), rng.integers(1, 5))),
    )
    return [kinds[i % len(kinds)]() for i in range(n)]


def _lowest(cosine: np.ndarray, right: np.ndarray) -> float:
    """The lowest cosine above which `MIN_RIGHT` are right; 1 where there is none."""
    order = np.argsort(-cosine)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(cosine[order]) != 0, True)  # a floor lets all of the same cosine in, or none
    passes = np.flatnonzero((share >= MIN_RIGHT) & last)
    return float(cosine[order][passes[-1]]) if len(passes) else 1.0
