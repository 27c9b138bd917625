"""The knowledge base that ships: complete, consistent, and what follows from what."""

import re

import pytest
import yaml
from published_codes import CINC_2021, CPSC_2018, SCP

from ecgclip.data.mitdb import BEATS, RHYTHMS
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path

# --- what it holds ----------------------------------------------------------------------------------------------------


def test_at_least_150_conditions_in_two_languages(kb):
    assert len(kb.concepts) >= 150
    for concept in kb.concepts.values():
        assert concept.report, concept.id
        assert concept.report_de, concept.id
        assert concept.negation, concept.id
        assert concept.negation_de, concept.id
        assert concept.aliases.get("de"), concept.id


def test_sentences_are_written_as_in_a_report(kb):
    texts = [t for c in kb.concepts.values() for t in [*c.report, *c.report_de, *c.negation, *c.negation_de]]
    abbreviation = re.compile(r"\b(?:ecg|ekg|qrs|qtc?|pr|pq|st|av|sa|stemi|lbbb|rbbb|wpw|i{2,3}|v[1-6]|av[rlf])\b")
    wrong = [t for t in texts if not re.match(r"[A-ZÄÖÜ0-9]|rS", t) or abbreviation.search(t)]
    assert (wrong, [t for t in texts if not t.endswith(".")]) == ([], [])


def test_every_scp_statement_of_ptb_xl(kb):
    assert len(set(SCP)) == 71
    assert [code for code in SCP if not kb.by_code("scp", code)] == []
    assert {c.codes["scp"] for c in kb.concepts.values() if "scp" in c.codes} == set(SCP)


@pytest.mark.parametrize("codes", [CINC_2021, CPSC_2018], ids=["cinc2021", "cpsc2018"])
def test_every_scored_snomed_code(kb, codes):
    assert [code for code in codes.values() if not kb.by_code("snomed", code)] == []


def test_every_mit_bih_annotation_and_superclass(kb):
    used = {*BEATS.values(), *RHYTHMS.values(), *SUPERCLASSES.values()}
    assert used - kb.concepts.keys() == set()


def test_no_code_belongs_to_two_concepts(kb):
    for system in ("scp", "snomed", "aha"):
        codes = [code for c in kb.concepts.values() for code in listed(c.codes.get(system))]
        assert len(codes) == len(set(codes))


def listed(codes):
    return [codes] if isinstance(codes, str) else codes or []


def test_sources_with_a_doi_have_a_real_one(kb):
    assert all(s.society and s.title and 1950 < s.year <= 2026 for s in kb.sources.values())
    assert [s.key for s in kb.sources.values() if s.doi and not re.fullmatch(r"10\.\d{4,9}/\S+", s.doi)] == []


def test_every_criterion_names_a_source_that_its_concept_lists(kb):
    unlisted = {(c.id, x.source) for c in kb.concepts.values() for x in c.criteria if x.source not in c.sources}
    assert unlisted == set()


def test_criteria_speak_the_words_of_the_measured_findings(kb):
    """Training grounds a criterion in signal by measured sentences that say the same words."""
    findings = yaml.safe_load(asset_path("prompts/findings.yaml").read_text(encoding="utf-8"))
    criteria = [words(x.text) for c in kb.concepts.values() for x in c.criteria]
    covered = {key for key, f in findings.items() if any(words(f["en"][0]) <= c for c in criteria)}
    print(
        f"{len(covered)} of {len(findings)} findings are said by a criterion; not {sorted(findings.keys() - covered)}"
    )
    assert len(covered) >= 0.6 * len(findings)


def words(text):
    return set(re.findall(r"[\w'+.-]+", text.casefold()))


# --- what follows from what -------------------------------------------------------------------------------------------


def test_ancestors_are_all_that_follows(kb):
    infarctions = {"stemi", "acute-myocardial-infarction", "myocardial-infarction", "anterior-myocardial-infarction"}
    assert kb.ancestors("anterior-stemi") == infarctions | {"st-elevation"}
    assert kb.ancestors("normal-ecg") == set()
    assert "conduction-disturbance" in kb.ancestors("mobitz-2-av-block")


def test_no_concept_follows_from_itself(kb):
    assert [c for c in kb.concepts if any(c in kb.ancestors(a) for a in kb.ancestors(c))] == []


def test_no_lookalike_is_a_broader_concept(kb):
    """What a condition is a kind of cannot be mistaken for it."""
    both = [(c.id, x) for c in kb.concepts.values() for x in c.lookalikes if x in kb.ancestors(c.id) or x == c.id]
    assert both == []


def test_what_excludes_each_other_does_so_both_ways_and_with_all_its_kinds(kb):
    assert "atrial-fibrillation" in kb.excluded("sinus-rhythm")
    assert "sinus-rhythm" in kb.excluded("atrial-fibrillation")
    assert "rapid-atrial-fibrillation" in kb.excluded("sinus-tachycardia")
    assert "anterior-stemi" in kb.excluded("normal-ecg")
    assert "right-bundle-branch-block" in kb.excluded("left-bundle-branch-block")
    for key in kb.concepts:
        assert key not in kb.excluded(key)
        assert kb.excluded(key).isdisjoint(kb.ancestors(key)), key
        assert all(key in kb.excluded(other) for other in kb.excluded(key))


# --- hiding conditions ------------------------------------------------------------------------------------------------


def test_a_hidden_condition_is_nowhere_named(kb):
    hidden = kb.without(["atrial-fibrillation"])
    assert "atrial-fibrillation" not in hidden.concepts
    assert len(hidden.concepts) > 0.9 * len(kb.concepts)
    assert [p for p in hidden.passages if re.search(r"\b(AF|atrial fibrillation|Vorhofflimmern)\b", p.text, re.I)] == []
    assert all(concept.report for concept in hidden.concepts.values())
    assert hidden.digest != kb.digest


def test_hiding_nothing_changes_nothing(kb):
    assert kb.without([]) is kb


def test_what_is_not_there_cannot_be_hidden(kb):
    with pytest.raises(EcgclipError, match="no concept 'sports'"):
        kb.without(["sports"])
