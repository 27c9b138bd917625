"""Calibration: what it chooses keeps what is meant from what is not."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.calibrate import UNRELATED, choose_floor, nonsense  # noqa: E402
from ecgclip.knowledge import KnowledgeBase  # noqa: E402


class Scripted:
    """A model whose nearest passage to a misspelt name is the right one at a cosine of `near`, and to anything else one at `far`."""

    def __init__(self, near, far, wrong=0.0):
        self.kb, self.near, self.far = KnowledgeBase.load(), near, far
        self.rng, self.wrong = np.random.default_rng(0), wrong
        self.asked = []
        self.names = [p for p in self.kb.passages if p.kind in ("name", "alias") and len(p.text) >= 8]

    def plain_vectors(self, texts):
        strange = set(UNRELATED) <= set(texts)
        self.asked = self.asked if strange else texts
        return [("unrelated" if strange else "typed", text) for text in texts]

    def nearest_passages(self, vector, k, conditions):
        kind, text = vector
        assert conditions, "a heartbeat's passage, or one that denies, can stand for no label"
        if kind == "unrelated":
            return [(self.names[0], self.far)]
        meant = next(p for p in self.names if any(text == p.text[:i] + p.text[i + 1 :] for i in range(len(p.text))))
        if self.rng.random() < self.wrong:
            return [(next(p for p in self.names if p.concept != meant.concept), 0.5)]
        return [(meant, self.near)]


def test_the_floor_lets_misspelt_names_in_and_keeps_the_unrelated_out():
    model = Scripted(near=0.9, far=0.7)
    assert 0.7 <= choose_floor(model) <= 0.9
    assert len(model.asked) > 500 and len(set(model.asked) & {p.text for p in model.kb.passages}) < 10, (
        "a letter is missing"
    )


def test_the_floor_rises_above_what_is_often_wrong():
    assert choose_floor(Scripted(near=0.9, far=0.2, wrong=0.4)) > 0.5


def test_nonsense_has_nothing_in_common_with_the_names_of_conditions():
    kb = KnowledgeBase.load()
    labels = nonsense(np.random.default_rng(3), 200)
    assert labels == nonsense(np.random.default_rng(3), 200) and len(set(labels)) > 150
    assert sum(map(kb.speaks, labels)) <= 4
