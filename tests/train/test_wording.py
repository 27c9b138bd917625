"""Wording: a text says what is known and no more, and the same meaning has the same key."""

import numpy as np
import pytest

from ecgclip.data.cases import Case
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.model.prompts import prompt_settings
from ecgclip.networks.config import TextConfig
from ecgclip.networks.tokenizer import SentencePieceTokenizer
from ecgclip.train.wording import Bank, Composer, Wording, concept_wording, finding_wordings


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def tokenizer(kb):
    return SentencePieceTokenizer.train([p.text for p in kb.passages[:600]], TextConfig(vocabulary=300, max_tokens=40))


# --- wordings and banks -----------------------------------------------------------------------------------------------


def test_a_concept_is_said_in_both_languages_and_never_by_a_single_criterion(kb):
    for concept in ("left-bundle-branch-block", "atrial-fibrillation", "normal-ecg"):
        wording = concept_wording(kb, concept, prompt_settings()["plain"])
        assert kb.concepts[concept].name in wording.affirm["en"]
        assert wording.affirm["de"]
        criteria = {c.text for c in kb.concepts[concept].criteria}
        assert len(criteria) == 1 or not criteria & set(wording.affirm["en"])
        assert not set(wording.deny["en"]) & set(wording.affirm["en"])


def test_every_concept_and_finding_can_be_said_in_both_languages(kb):
    rng = np.random.default_rng(0)
    wordings = [concept_wording(kb, c, prompt_settings()["plain"]) for c in kb.concepts]
    for wording in [*wordings, *finding_wordings(finding_texts()).values()]:
        assert wording.affirm["en"]
        assert wording.affirm["de"]
        assert wording.draw(rng, language="de") in wording.affirm["de"]
        if wording.deny["en"]:
            assert wording.draw(rng, present=False) in [*wording.deny["en"], *wording.deny["de"]]


def test_a_bank_draws_every_wording_and_says_which_ones_deny(tokenizer):
    bank = Bank(
        {
            "af": Wording({"en": ["atrial fibrillation", "af"], "de": ["vorhofflimmern"]}, {"en": ["no af"], "de": []}),
            "lbbb": Wording({"en": ["lbbb"], "de": ["linksschenkelblock"]}, {"en": [], "de": []}),
        },
        tokenizer,
    )
    rng, drawn = np.random.default_rng(0), set()
    for _ in range(200):
        which, denied = bank.draw(rng, np.array([0, 1]), deny=0.3)
        ids, mask = bank.tokens(which)
        assert ids.shape == mask.shape
        assert len(ids) == 2
        assert not denied[1]
        texts = [tokenizer.pieces.decode(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True)]
        assert bool(denied[0]) == (texts[0] == "no af")
        drawn.update(texts)
    assert drawn == {"atrial fibrillation", "af", "vorhofflimmern", "no af", "lbbb", "linksschenkelblock"}
    which, denied = bank.draw(rng, np.array([1]), deny=1.0)
    assert len(which) == 1
    assert not denied.any(), "what has no denial is never denied"


def test_a_text_of_a_bank_is_never_longer_than_the_encoder_takes(tokenizer):
    bank = Bank({"x": Wording({"en": ["sinus rhythm " * 60], "de": []}, {})}, tokenizer)
    assert bank.tokens(np.array([0]))[0].shape[1] == 40


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composer(kb):
    concepts = ("sinus-rhythm", "left-bundle-branch-block", "atrial-fibrillation")
    return Composer(kb, finding_texts(), concepts)


def test_half_of_the_reports_are_the_real_ones_and_equal_ones_share_a_key(composer):
    rng = np.random.default_rng(0)
    case = Case("s", "p", "1", report="Sinusrhythmus  LINKSSCHENKELBLOCK")
    drawn = [composer.write(case, ["left-bundle-branch-block"], [], rng) for _ in range(400)]
    real = [d for d in drawn if d[0] == case.report]
    assert 160 < len(real) < 240
    other = Case("s", "q", "2", report="sinusrhythmus linksschenkelblock")
    assert {key for _, key in real} == {composer.write(other, [], [], rng, real=1.0)[1]}
    assert all(composer.write(case, ["sinus-rhythm"], [], rng, real=0.0)[0] != case.report for _ in range(20))


def test_texts_of_the_same_meaning_share_a_key_whatever_their_words(composer):
    rng, case = np.random.default_rng(0), Case("s", "p", "1")
    both = [composer.write(case, s, [], rng) for s in [["sinus-rhythm", "left-bundle-branch-block"]] * 40]
    swapped = composer.write(case, ["left-bundle-branch-block", "sinus-rhythm"], [], rng)
    assert len({text for text, _ in both}) > 5
    assert {key for _, key in both} == {swapped[1]}
    assert composer.write(case, ["atrial-fibrillation"], [], rng)[1] != swapped[1]


def test_a_composed_report_is_of_one_language_and_says_all_statements(composer, kb):
    rng, case = np.random.default_rng(0), Case("s", "p", "1")
    seen = set()
    for _ in range(60):
        text, _ = composer.write(case, ["sinus-rhythm", "left-bundle-branch-block"], ["regular"], rng)
        for language, attribute in (("en", "report"), ("de", "report_de")):
            rhythm, block = (
                any(r in text for r in getattr(kb.concepts[c], attribute))
                for c in ("sinus-rhythm", "left-bundle-branch-block")
            )
            assert rhythm == block
            seen.update([language] * rhythm)
    assert seen == {"en", "de"}


def test_a_measured_sentence_changes_the_meaning(composer):
    rng, case = np.random.default_rng(0), Case("s", "p", "1")
    drawn = {composer.write(case, ["sinus-rhythm"], ["regular", "rate_60_to_100"], rng)[1] for _ in range(60)}
    assert drawn == {
        "sinus-rhythm+",
        "sinus-rhythm+regular",
        "sinus-rhythm+rate_60_to_100",
        "sinus-rhythm+rate_60_to_100|regular",
    }


def test_nothing_known_is_still_a_text(composer):
    assert composer.write(Case("s", "p", "1"), [], [], np.random.default_rng(0)) == ("ecg.", "+")
