"""The floor of a model: which misspelt labels are understood, and that what is strange to it is not."""

import re
from functools import cached_property

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.knowledge.base import KnowledgeBase  # noqa: E402
from ecgclip.train.floor import KEYBOARD, MIN_RIGHT, UNRELATED, choose_floor, nonsense  # noqa: E402


class Typed:
    """A model that finds the misspelt names by cosines from a list, the first of them rightly."""

    def __init__(self, kb, cosines, n_right, strange=0.0):
        self.kb, self.cosines, self.n_right, self.strange = kb, cosines, n_right, strange
        self.typed, self.unrelated = [], []

    def plain_vectors(self, texts):
        if set(UNRELATED) <= set(texts):
            self.unrelated = texts
            return [("strange", text) for text in texts]
        self.typed = texts
        return list(enumerate(texts))

    def nearest_passages(self, vector, k, conditions):
        assert k == 1
        assert conditions
        place, text = vector
        if place == "strange":
            return [(self.kb.passages[0], self.strange(text) if callable(self.strange) else self.strange)]
        meant = self.meant[text]
        passages = (p for p in self.kb.passages if (p.concept == meant) == (place < self.n_right))
        return [(next(passages), self.cosines[place] if place < len(self.cosines) else 0.1)]

    @cached_property
    def meant(self):
        """Each misspelt name → the concept of the first passage that it may stand for."""
        names = [p for p in self.kb.passages if p.kind in ("name", "alias")]
        return {typed: p.concept for p in reversed(names) for typed in misspelt(p.text)}


def misspelt(name):
    """The name without one letter that is neither the first nor the last."""
    return {name[:i] + name[i + 1 :] for i in range(1, len(name) - 1)}


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


def test_a_user_who_mistypes_misses_one_letter_inside_a_name_or_an_alias_of_a_condition(kb):
    model = Typed(kb, [], 0)
    choose_floor(model)
    names = {p.text: p for p in kb.passages if p.kind in ("name", "alias")}
    named = {}
    for name in names:
        for typed in misspelt(name):
            named.setdefault(typed, []).append(name)
    for text in model.typed:
        sources = named.get(text)
        assert sources, f"{text}: a letter that is neither the first nor the last is missing"
        assert any(kb.concepts[names[n].concept].category != "beat" for n in sources)
    assert min(map(len, model.typed)) == 7, "names of eight letters are the shortest that are still themselves"
    kinds = {p.kind for n, p in names.items() for text in model.typed if len(n) == len(text) + 1 and text[:3] == n[:3]}
    assert kinds == {"name", "alias"}


def test_four_of_five_above_the_floor_are_found_rightly(kb):
    right, wrong = 8, 2
    cosines = [0.9] * right + [0.8] * wrong + [0.7]
    assert MIN_RIGHT == 0.8
    assert choose_floor(Typed(kb, cosines, right)) == 0.8, "eight of ten are enough, eight of eleven are not"
    assert choose_floor(Typed(kb, [0.9] * 8 + [0.8] * 3, right)) == 0.9


def test_what_is_strange_stays_below_the_floor_unless_it_shares_no_word_with_the_names(kb):
    cosines = [0.5] * 10
    low = choose_floor(Typed(kb, cosines, 10))
    assert low == 0.5
    assert choose_floor(Typed(kb, cosines, 10, strange=0.7)) >= low
    spoken = Typed(kb, cosines, 10, strange=lambda text: 0.9 if kb.shares_words(text) else 0.1)
    silent = Typed(kb, cosines, 10, strange=lambda text: 0.1 if kb.shares_words(text) else 0.9)
    choose_floor(spoken)
    share = np.mean([kb.shares_words(text) for text in spoken.unrelated])
    assert 0 < share < 0.5
    assert choose_floor(silent) == 0.5, "a text without a word of the names is never taken for one of them"


def test_nonsense_is_of_five_kinds():
    labels = nonsense(np.random.default_rng(0), 500)
    letters, words, keys, numbers, signs = (labels[i::5] for i in range(5))
    assert all(text.isalpha() and text.isascii() and 2 <= len(text) <= 11 for text in letters)
    assert len({len(text) for text in letters}) == 10
    assert all(len(part) in range(2, 8) for text in words for part in text.split())
    assert {len(text.split()) for text in words} == {2}
    assert all(any(text in row for row in KEYBOARD) and 3 <= len(text) <= 7 for text in keys)
    assert all(text.isdigit() for text in numbers)
    assert all(set(text) <= set("-_.!?#*/()") and 1 <= len(text) <= 4 for text in signs)


class Scripted:
    """A model that finds the right passage for a misspelt name at a cosine of `near`, and any for others at `far`."""

    def __init__(self, near, far, wrong=0.0):
        self.kb, self.near, self.far = KnowledgeBase.load(), near, far
        self.rng, self.wrong = np.random.default_rng(0), wrong
        self.asked = []
        self.names = [p for p in self.kb.passages if p.kind in ("name", "alias") and len(p.text) >= 8]
        self.meant = {typed: p for p in reversed(self.names) for typed in misspelt(p.text)}

    def plain_vectors(self, texts):
        strange = set(UNRELATED) <= set(texts)
        self.asked = self.asked if strange else texts
        return [("unrelated" if strange else "typed", text) for text in texts]

    def nearest_passages(self, vector, k, conditions):
        kind, text = vector
        assert conditions, "a heartbeat's passage, or one that denies, can stand for no label"
        if kind == "unrelated":
            return [(self.names[0], self.far)]
        meant = self.meant[text]
        if self.rng.random() < self.wrong:
            return [(next(p for p in self.names if p.concept != meant.concept), 0.5)]
        return [(meant, self.near)]


def test_the_floor_lets_misspelt_names_in_and_keeps_the_unrelated_out():
    model = Scripted(near=0.9, far=0.7)
    assert 0.7 <= choose_floor(model) <= 0.9
    assert len(model.asked) > 500
    assert len(set(model.asked) & {p.text for p in model.kb.passages}) < 10, "a letter is missing"


def test_the_floor_rises_above_what_is_often_wrong():
    assert choose_floor(Scripted(near=0.9, far=0.2, wrong=0.4)) > 0.5


def test_nonsense_has_nothing_in_common_with_the_names_of_conditions():
    kb = KnowledgeBase.load()
    labels = nonsense(np.random.default_rng(3), 200)
    assert labels == nonsense(np.random.default_rng(3), 200)
    assert len(set(labels)) > 150
    assert sum(map(kb.shares_words, labels)) <= 4


def test_the_unrelated_are_words_as_users_type_them_and_none_is_of_the_knowledge_base():
    kb = KnowledgeBase.load()
    assert len(set(UNRELATED)) == len(UNRELATED) >= 40
    for label in UNRELATED:
        assert kb.find(label) is None, label
        assert all(re.fullmatch(r"[A-ZÄÖÜ]?[a-zäöüß]+(-[a-z]+)?", word) for word in label.split()), label
