"""The table of data sets, and the concepts that loaders name."""

import pytest

from ecgclip.data.cases import DOUBTED_CONCEPTS, MEASURED_CONCEPTS, UNKNOWN, known_statements
from ecgclip.data.ludb import LUDB_WORDS
from ecgclip.data.mitdb import BEATS, RHYTHMS
from ecgclip.data.sets import DATA_SETS, MAIN, SUPERCLASSES, data_set
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.measure.guideline import finding_texts


def test_what_is_present_makes_its_broader_concepts_present(kb):
    listed = {"left-bundle-branch-block", "right-bundle-branch-block", "atrial-fibrillation"}
    known = known_statements(kb, {"left-bundle-branch-block"}, listed)
    assert known["left-bundle-branch-block"]
    assert not known["right-bundle-branch-block"]
    assert all(known[a] for a in kb.ancestors("left-bundle-branch-block"))
    assert "wellens-syndrome" not in known


def test_every_name_in_the_tables_is_a_concept_or_a_finding(kb):
    for table in (SUPERCLASSES, BEATS, RHYTHMS, LUDB_WORDS):
        assert set(table.values()) <= set(kb.concepts)
    assert set(MEASURED_CONCEPTS | DOUBTED_CONCEPTS) <= set(kb.concepts)
    for keys in (*MEASURED_CONCEPTS.values(), *DOUBTED_CONCEPTS.values()):
        for key in keys:
            assert any(finding.startswith(key) if key.endswith(":") else finding == key for finding in finding_texts())
    assert all(word == word.lower() and kb.find(word) is None for word in LUDB_WORDS), "those need no second spelling"
    assert UNKNOWN == -1, "as in truth everywhere"


def test_every_row_names_a_loader_that_is_there():
    for name, row in DATA_SETS.items():
        assert callable(row.load_function()), name
    assert MAIN == ("ptb-xl", "mimic-iv-ecg", "folder")
    with pytest.raises(EcgclipError, match="no data set 'nonsense'; there are ptb-xl, mimic-iv-ecg, "):
        data_set("nonsense")


def test_a_row_does_not_contradict_itself():
    for name, row in DATA_SETS.items():
        assert {*row.test_folds, *row.probe_folds} <= set(row.folds), name
        assert row.published_fold is None or row.published_fold in row.test_folds, name
        assert not (row.folds and row.test_part), name
        assert not row.same_records_as or DATA_SETS[row.same_records_as].same_records_as == name
        assert set(row.options) <= {"fine", "signals", "every_s", "seeds"}, name
        for label_set in filter(None, [*row.label_sets.values(), row.subclass_labels]):
            assert load_label_set(label_set)["labels"], label_set
