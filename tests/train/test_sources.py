"""What a recipe reads: no patient of the validation part, and nothing of conditions that it hides."""

import re

import pytest
from toy import recipe

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.train.sources import corpus, finding_words, load_split
from ecgclip.train.text import train_text


@pytest.fixture
def unread(monkeypatch):
    """Records are listed, but not read."""
    monkeypatch.setattr("ecgclip.train.sources.load_windows", lambda *args, **kwargs: None)


def test_no_patient_is_in_training_and_validation_and_test_parts_are_in_neither(toy, unread):
    kb, plan = KnowledgeBase.load(), recipe(test_part={"ptb-xl": 4})
    training, validation = ({c.patient for c in load_split(plan, toy, kb, v)["ptb-xl"].cases} for v in (False, True))
    everyone = {c.patient: c for v in (False, True) for c in load_split(recipe(), toy, kb, v)["ptb-xl"].cases}
    assert training
    assert validation
    assert not training & validation
    assert training | validation == {p for p, c in everyone.items() if c.share(4)}
    assert training | validation != set(everyone)
    assert {c.fold for c in everyone.values()} <= set(range(1, 9))


def test_a_small_folder_still_holds_a_patient_out(toy, unread):
    kb, plan = KnowledgeBase.load(), recipe(validation_part=1_000_003)
    training, validation = ({c.patient for c in load_split(plan, toy, kb, v)["ptb-xl"].cases} for v in (False, True))
    assert len(validation) == 1
    assert len(training) > 5
    assert not training & validation


def test_unseen_conditions_are_in_no_text_and_no_case(toy, unread):
    kb, plan = KnowledgeBase.load(), recipe(unseen=["left-bundle-branch-block"])
    assert "incomplete-left-bundle-branch-block" not in kb.without(plan.unseen).concepts, "named after it"
    named = re.compile(r"\b(?:LBBB|linksschenkelblock|left bundle.branch block)\b", re.IGNORECASE)
    assert any("linksschenkelblock" in t.lower() for t in corpus(recipe(), toy, kb))
    assert not [t for t in corpus(plan, toy, kb) if named.search(t)]
    split = load_split(plan, toy, kb, validation=False)["ptb-xl"]
    assert all("left-bundle-branch-block" not in c.statements for c in split.cases)
    block = [c for c in split.cases if c.statements.get("conduction-disturbance")]
    assert block, "its broader class stays"
    assert not any(c.report for c in block), "a report that names it does not"


def test_a_finding_that_has_no_other_name_is_hidden_too():
    """ST depression is measured, and every sentence that says so names it."""
    words = finding_words(KnowledgeBase.load().without(["st-depression"]))
    hidden = finding_texts().keys() - words.keys()
    assert hidden
    assert all(k.startswith("st_depression") for k in hidden)


def test_an_unknown_unseen_condition_is_one_line(toy, tmp_path):
    with pytest.raises(EcgclipError, match="no concept 'nonsense'"):
        train_text(recipe(unseen=["nonsense"]), toy, tmp_path, threads=1)
