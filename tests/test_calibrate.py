"""Calibration: what it chooses keeps what is meant from what is not."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.calibrate import UNRELATED, choose_floor  # noqa: E402
from ecgclip.knowledge import KnowledgeBase  # noqa: E402


class Scripted:
    """A model whose nearest passage to a misspelt name is the right one at a cosine of `near`, and to anything else one at `far`."""

    def __init__(self, near, far, wrong=0.0):
        self.kb, self.near, self.far = KnowledgeBase.load(), near, far
        self.rng, self.wrong = np.random.default_rng(0), wrong
        self.asked = []

    def plain_vectors(self, texts):
        self.asked = [t for t in texts if t not in UNRELATED] or self.asked
        return [("unrelated", 0) if t in UNRELATED else ("typed", i) for i, t in enumerate(texts)]

    def nearest_passages(self, vector, k):
        kind, i = vector
        names = [p for p in self.kb.passages if p.kind in ("name", "alias") and len(p.text) >= 8]
        if kind == "unrelated":
            return [(names[0], self.far)]
        if self.rng.random() < self.wrong:
            return [(next(p for p in names if p.concept != names[i].concept), 0.5)]
        return [(names[i], self.near)]


def test_the_floor_lets_misspelt_names_in_and_keeps_the_unrelated_out():
    model = Scripted(near=0.9, far=0.7)
    assert 0.7 <= choose_floor(model) <= 0.9
    assert len(model.asked) > 500 and len(set(model.asked) & {p.text for p in model.kb.passages}) < 10, (
        "a letter is missing"
    )


def test_the_floor_rises_above_what_is_often_wrong():
    assert choose_floor(Scripted(near=0.9, far=0.2, wrong=0.4)) > 0.5
