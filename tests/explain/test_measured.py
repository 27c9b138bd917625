"""The criteria of a condition over the windows of a record, ready for JSON."""

import json

from ecgclip.explain import measured_criteria
from ecgclip.knowledge import KnowledgeBase
from ecgclip.measure import find_beats, measure_windows
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate

KB = KnowledgeBase.load()


def rows_of(concept, condition, seconds=10, knowledge_base=KB):
    """The rows of a condition's criteria by their text."""
    ecg = simulate(condition, seed=1, seconds=seconds)
    prepared = prepare(ecg)
    measurements = measure_windows(prepared, find_beats(prepared))
    age, sex = ecg.metadata["age"], ecg.metadata["sex"]
    return {
        row["text"]: row for row in measured_criteria([KB.concepts[concept]], measurements, age, sex, knowledge_base)
    }


def test_every_criterion_of_the_condition_is_a_row():
    rows = rows_of("vasospastic-angina", "normal")
    assert list(rows) == [c.text for c in KB.concepts["vasospastic-angina"].criteria]
    assert {row["answer"] for row in rows.values()} == {"not measurable"}
    assert {row["value"] for row in rows.values()} == {"not computed"}
    json.dumps(list(rows.values()), allow_nan=False)


def test_premature_beats_of_all_windows_count():
    row = rows_of("premature-ventricular-contraction", "pvc", seconds=30)["premature wide QRS complexes"]
    assert row["answer"] == "met"
    assert int(row["value"].split()[3]) >= 5


def test_a_row_has_margin_value_role_and_source():
    row = rows_of("sinus-tachycardia", "sinus-tachycardia")["heart rate above 100 beats per minute"]
    assert row["margin"] > 1
    assert row["value"].endswith("/min (≥ 100)")
    assert row["role"] == "required"
    assert row["source"] == "esc-svt-2019"


def test_a_test_that_asks_for_another_condition_needs_the_knowledge_base():
    concept = KB.concepts["fragmented-qrs"]
    text = next(c.text for c in concept.criteria if c.test and c.test.startswith("not is left-bundle-branch-block"))
    assert rows_of("fragmented-qrs", "inferior-stemi")[text]["answer"] == "met"
    assert rows_of("fragmented-qrs", "inferior-stemi", knowledge_base=None)[text]["answer"] == "not measurable"
