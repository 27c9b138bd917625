"""A label is found under every name of a concept, misspelt or within more words, and nothing else is."""

import pytest

from ecgclip.knowledge.spelling import normalise


@pytest.mark.parametrize(
    "label,concept",
    [
        ("AF", "atrial-fibrillation"),
        ("a-fib", "atrial-fibrillation"),
        ("Vorhofflimmern", "atrial-fibrillation"),
        ("vorhofflimmern", "atrial-fibrillation"),
        ("164889003", "atrial-fibrillation"),
        ("STACH", "sinus-tachycardia"),
        ("first-degree AV block", "first-degree-av-block"),
        ("LSB", "left-bundle-branch-block"),
        ("Hyperkaliaemie", "hyperkalemia"),
        ("wolff-parkinson-white", "wolff-parkinson-white"),
        ("sick sinus syndrome", "sinus-node-dysfunction"),
        ("AHA 50", "atrial-fibrillation"),
        ("aha code 104", "left-bundle-branch-block"),
        ("SNOMED CT 164889003", "atrial-fibrillation"),
        ("SCTID: 59118001", "right-bundle-branch-block"),
        ("SCP CLBBB", "left-bundle-branch-block"),
        ("ICD-10: i44.2", "complete-av-block"),
        ("I44.2", "complete-av-block"),
        ("I48.91", "atrial-fibrillation"),  # also that of rapid and slow fibrillation, which are kinds of it
    ],
)
def test_find(kb, label, concept):
    assert kb.find(label).id == concept


@pytest.mark.parametrize(
    "label", ["", "  ", "?", "not a condition", "QRS wave", "0", "173", "AHA 9999", "AHA", "I47.19"]
)
def test_what_is_not_there_is_not_found(kb, label):
    assert kb.find(label) is None


def test_every_spelling_leads_to_its_own_concept(kb):
    for concept in kb.concepts.values():
        for spelling in (concept.id, concept.name, *(a for v in concept.aliases.values() for a in v)):
            assert kb.find(spelling).id == concept.id, spelling


def test_normalise_ignores_spelling_alone():
    assert normalise("AV-Block I°") == normalise("av block i")
    assert normalise("überdreht") == normalise("UEBERDREHT") == normalise("u\u0308berdreht")
    assert normalise("Mobitz I") != normalise("Mobitz II")


@pytest.mark.parametrize(
    "typed, concept",
    [
        ("akute Ischämie", "myocardial-ischemia"),
        ("old infarction in V1", "old-myocardial-infarction"),
        ("supraventricular premature beats", "premature-atrial-contraction"),
        ("AV block type 2", "av-block"),
        ("atypical flutter", None),
        ("axis normal", "normal-axis"),
        ("normal blood pressure", None),
    ],
)
def test_the_name_in_a_text_is_what_it_ends_in(kb, typed, concept):
    found = kb.find_within(typed)
    assert (found.id if found else None) == concept


@pytest.mark.parametrize("typed", ["chest pain", "heart", "QRS", "narrow QRS", "P waves", "P-Wellen", "RVR"])
def test_a_wave_or_an_unknown_abbreviation_is_near_to_no_condition(kb, typed):
    assert not kb.shares_words(typed)
