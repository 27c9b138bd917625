"""Labels as clinicians type them find what is meant, or plainly nothing; never a neighbour."""

import re
from pathlib import Path

import pytest

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.grammar import parse
from ecgclip.knowledge.numbers import number_test

KB = KnowledgeBase.load()
LINES = (Path(__file__).parent / "labels_typed.txt").read_text(encoding="utf-8").splitlines()
TYPED = [line.split(" -> ") for line in LINES if line and not line.startswith("#")]


def understood(label):
    """What the label is taken for, whichever passage a text encoder finds nearest: ids, or "none"."""
    if number_test(label):
        return leaf(label)
    condition = parse(label, KB)
    if not condition.parts:
        return {"!" * condition.denied + each for each in leaf(condition.text)}
    return {joined(condition)}


def joined(condition):
    if not condition.parts:
        (each,) = leaf(condition.text)
        return "!" * condition.denied + each
    return (" | " if condition.any_of else " & ").join(map(joined, condition.parts))


def leaf(text):
    if test := number_test(text):
        return {f"[{test}]"}
    if concept := KB.find(text) or KB.find_misspelt(text) or KB.find_within(text):
        return {concept.id}
    return {key for key in KB.concepts if KB.concepts[key].category != "beat" and KB.says_the_same(text, key)} or {
        "none"
    }


def test_there_are_enough_labels_each_once():
    assert len(TYPED) > 500
    assert len({typed for typed, _ in TYPED}) == len(TYPED)
    meant = re.findall(r"[a-z][a-z0-9-]{3,}", re.sub(r"\[.*?\]", "", " ".join(m for _, m in TYPED)))
    assert set(meant) - KB.concepts.keys() <= {"none"}


@pytest.mark.parametrize("typed, meant", TYPED, ids=[typed for typed, _ in TYPED])
def test_a_label_as_it_is_typed(typed, meant):
    assert understood(typed) <= set(meant.split("; or ")), typed


def test_what_is_meant_can_be_misspelt_in_any_word_of_six_letters():
    """A letter missing from the middle of a word leads to the same concept, or to none; never to another."""
    wrong = []
    for concept in KB.concepts.values():
        for name in concept.names:
            for word in re.findall(r"\w{7,}", name):
                slip = name.replace(word, word[:4] + word[5:])
                found = KB.find(slip) or KB.find_misspelt(slip)
                if found and found.id != concept.id:
                    wrong.append((slip, found.id, concept.id))
    assert wrong == []


ELSEWHERE = ["cerebral", "renal", "pulmonary", "mesenteric", "aortic", "history of", "risk of", "family history of"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_word_of_another_organ_or_of_the_past_makes_no_ecg_finding(elsewhere):
    for name in ("infarction", "ischemia", "aneurysm", "atrial fibrillation", "LBBB", "bradycardia"):
        assert understood(f"{elsewhere} {name}") == {"none"}


def test_denying_what_is_not_known_is_no_guess():
    assert understood("no RVR") == {"!none"}
