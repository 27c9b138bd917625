"""Calibration: what it chooses keeps what is meant from what is not."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

import ecgclip.train  # noqa: E402
from ecgclip.calibrate import UNRELATED, calibrate, choose_floor, nonsense  # noqa: E402
from ecgclip.data import Case  # noqa: E402
from ecgclip.knowledge import KnowledgeBase  # noqa: E402
from ecgclip.model import Calibration  # noqa: E402

CONCEPTS = ("atrial-fibrillation", "left-bundle-branch-block")


# --- the curve ----------------------------------------------------------------------------------------------------------


class Windows:
    """As many windows as cases, of which nothing was measured."""

    finding_keys: tuple[str, ...] = ()

    def __init__(self, n):
        self.case, self.findings = np.arange(n), np.zeros((n, 0), np.int8)

    def __len__(self):
        return len(self.case)


@pytest.fixture
def held_out(monkeypatch):
    """→ a model, the similarity of each record to CONCEPTS, how likely each has each, and a function from truth to a split."""
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0, 1, (1500, 2)).astype(np.float32)
    likely = 1 / (1 + np.exp(4 - 8 * similarity))
    vectors = dict(zip(CONCEPTS, np.eye(2, dtype=np.float32), strict=True))
    model = SimpleNamespace(concept_vector=vectors.__getitem__, reference=similarity[::10])
    monkeypatch.setattr(ecgclip.train, "embed_windows", lambda model, windows, *rest: similarity[: len(windows)])

    def split(truth):
        known = [{c: bool(t) for c, t in zip(CONCEPTS, row, strict=True) if t >= 0} for row in truth]
        cases = [Case("s", f"r{i}", str(i), statements) for i, statements in enumerate(known)]
        return {"s": SimpleNamespace(cases=cases, windows=Windows(len(cases)))}

    return model, similarity, likely, split


def test_what_is_given_seven_tenths_is_there_in_seven_of_ten(held_out):
    model, similarity, likely, split = held_out
    truth = (np.random.default_rng(1).random(likely.shape) < likely).astype(int)
    curve = calibrate(model, split(truth))
    assert np.abs(curve(similarity, model.reference) - likely).max() < 0.1


def test_what_is_unknown_is_not_absent_to_the_curve(held_out):
    """Of nine in ten records that have a condition nobody said so, and of as many of those that have not."""
    model, similarity, likely, split = held_out
    rng = np.random.default_rng(1)
    truth = np.where(rng.random(likely.shape) < 0.9, -1, rng.random(likely.shape) < likely)
    found = calibrate(model, split(truth))(similarity, model.reference)
    assert np.abs(found - likely).mean() < 0.1 and found[similarity > 0.9].min() > 0.8


def test_where_nothing_can_be_fitted_the_curve_stays_as_it_was(held_out):
    model, similarity, _, split = held_out
    for truth in (np.zeros((20, 2)), np.full((20, 2), -1), np.ones((20, 2))):
        assert calibrate(model, split(truth)) == Calibration()


# --- the floor ----------------------------------------------------------------------------------------------------------


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


def test_the_unrelated_are_words_as_users_type_them_and_none_is_of_the_knowledge_base():
    kb = KnowledgeBase.load()
    assert len(set(UNRELATED)) == len(UNRELATED) >= 40
    for label in UNRELATED:
        assert kb.find(label) is None, label
        assert all(re.fullmatch(r"[A-ZÄÖÜ]?[a-zäöüß]+(-[a-z]+)?", word) for word in label.split()), label
