"""Pairs: what is unknown stays unknown, what is said is what is known, and the same meaning has the same key."""

import numpy as np
import pytest
import torch

from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.data.windows import MAX_BEATS, Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.model.prompts import prompt_settings
from ecgclip.networks.tokenizer import SentencePieceTokenizer, TextConfig
from ecgclip.train.wording import Bank, Composer, Wording, concept_wording, finding_wordings, targets

KEYS = tuple(finding_texts())


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def tokenizer(kb):
    return SentencePieceTokenizer.train([p.text for p in kb.passages[:600]], TextConfig(vocabulary=300, max_tokens=40))


def windows(case, **findings):
    """A window for each index of `case`; findings by key ("rate_above_100") for all of them, the rest unknown."""
    n = len(case)
    found = np.full((n, len(KEYS)), UNKNOWN, np.int8)
    for key, values in findings.items():
        found[:, KEYS.index(key.replace("__", ":"))] = values
    return Windows(
        np.zeros((n, 12, 1000), np.float16),
        np.ones((n, 12), bool),
        np.full(n, 1000),
        np.full((n, MAX_BEATS), np.nan, np.float32),
        np.ones((n, 1, 12), bool),
        np.zeros((n, 1, 3), np.float32),
        found,
        np.full((n, MAX_BEATS), UNKNOWN, np.int16),
        np.array(case),
        KEYS,
        (),
    )


# --- targets ----------------------------------------------------------------------------------------------------------


def test_unknown_is_neither_present_nor_absent():
    cases = [Case("s", "p", "1", {"atrial-fibrillation": True, "sinus-rhythm": False}), Case("s", "q", "2", {})]
    table = targets(cases, windows([0, 1, 1]), ("atrial-fibrillation", "sinus-rhythm", "atrial-flutter", "tachycardia"))
    assert table.tolist() == [[1, 0, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]]


@pytest.mark.parametrize(
    "coded, measured, expected",
    [
        (None, 1, 1),
        (None, 0, 0),
        (None, UNKNOWN, UNKNOWN),
        (True, 0, 1),  # a coded statement stands
        (False, 1, 1),  # nobody codes what is plain to see
        (False, 0, 0),
        (False, UNKNOWN, UNKNOWN),
    ],
)
def test_a_measured_concept_is_decided_by_measurement(coded, measured, expected):
    case = Case("s", "p", "1", {} if coded is None else {"tachycardia": coded})
    assert targets([case], windows([0], rate_above_100=measured), ("tachycardia",))[0, 0] == expected


@pytest.mark.parametrize(
    "coded, measured, expected", [(False, 1, UNKNOWN), (False, 0, 0), (False, UNKNOWN, 0), (True, 0, 1)]
)
def test_what_is_measured_but_not_coded_is_no_absence(coded, measured, expected):
    case = Case("s", "p", "1", {"sinus-bradycardia": coded})
    assert targets([case], windows([0], rate_below_60=measured), ("sinus-bradycardia",))[0, 0] == expected


def test_st_elevation_in_one_territory_is_st_elevation():
    places = [k for k in KEYS if k.startswith("st_elevation:")]
    none = {k.replace(":", "__"): 0 for k in places}
    case = [Case("s", "p", "1", {})]
    assert targets(case, windows([0], **none), ("st-elevation",))[0, 0] == 0
    assert targets(case, windows([0], **none | {places[2].replace(":", "__"): 1}), ("st-elevation",))[0, 0] == 1
    assert targets(case, windows([0], **none | {places[2].replace(":", "__"): UNKNOWN}), ("st-elevation",))[0, 0] == -1


# --- wordings and banks -----------------------------------------------------------------------------------------------


def test_a_concept_is_said_in_both_languages_and_never_by_a_single_criterion(kb):
    for concept in ("left-bundle-branch-block", "atrial-fibrillation", "normal-ecg"):
        wording = concept_wording(kb, concept, prompt_settings()["plain"])
        assert kb.concepts[concept].name in wording.said["en"] and wording.said["de"]
        assert not {c.text for c in kb.concepts[concept].criteria} & set(wording.said["en"]) or (
            len(kb.concepts[concept].criteria) == 1
        )
        assert not set(wording.denied["en"]) & set(wording.said["en"])


def test_every_concept_and_finding_can_be_said_in_both_languages(kb):
    rng = np.random.default_rng(0)
    wordings = [concept_wording(kb, c, prompt_settings()["plain"]) for c in kb.concepts]
    for wording in [*wordings, *finding_wordings(finding_texts()).values()]:
        assert wording.said["en"] and wording.said["de"]
        assert wording.draw(rng, language="de") in wording.said["de"]
        if wording.denied["en"]:
            assert wording.draw(rng, present=False) in [*wording.denied["en"], *wording.denied["de"]]


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
        assert ids.shape == mask.shape and len(ids) == 2 and not denied[1]
        texts = [tokenizer.pieces.decode(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True)]
        assert bool(denied[0]) == (texts[0] == "no af")
        drawn.update(texts)
    assert drawn == {"atrial fibrillation", "af", "vorhofflimmern", "no af", "lbbb", "linksschenkelblock"}
    which, denied = bank.draw(rng, np.array([1]), deny=1.0)
    assert len(which) == 1 and not denied.any(), "what has no denial is never denied"


def test_a_text_of_a_bank_is_never_longer_than_the_encoder_takes(tokenizer):
    bank = Bank({"x": Wording({"en": ["sinus rhythm " * 60], "de": []}, {})}, tokenizer)
    assert bank.tokens(np.array([0]))[0].shape[1] == 40


def test_where_a_text_denies_the_ones_who_have_it_are_the_negatives():
    from ecgclip.train.batches import _deny

    truth = torch.tensor([[1, 1], [0, 0], [-1, -1]])
    assert _deny(truth, torch.tensor([True, False])).tolist() == [[0, 1], [1, 0], [-1, -1]]


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
    both = [composer.write(case, s, [], rng) for s in (["sinus-rhythm", "left-bundle-branch-block"] * 1,) * 40]
    swapped = composer.write(case, ["left-bundle-branch-block", "sinus-rhythm"], [], rng)
    assert len({text for text, _ in both}) > 5 and {key for _, key in both} == {swapped[1]}
    assert composer.write(case, ["atrial-fibrillation"], [], rng)[1] != swapped[1]


def test_a_composed_report_is_of_one_language_and_says_all_statements(composer, kb):
    rng, case = np.random.default_rng(0), Case("s", "p", "1")
    seen = set()
    for _ in range(60):
        text, _ = composer.write(case, ["sinus-rhythm", "left-bundle-branch-block"], ["regular"], rng)
        for language, attribute in (("en", "report"), ("de", "report_de")):
            said = [
                any(r in text for r in getattr(kb.concepts[c], attribute))
                for c in ("sinus-rhythm", "left-bundle-branch-block")
            ]
            assert said[0] == said[1]
            seen.update([language] * said[0])
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
