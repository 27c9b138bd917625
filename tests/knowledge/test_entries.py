"""A folder of one's own is read with care: the digest, the compiled copy, and a clear line about a damaged file."""

import json

import pytest
import yaml

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.checks import CRITERION_FIELDS, FIELDS, OPTIONAL_CRITERION_FIELDS, OPTIONAL_FIELDS
from ecgclip.knowledge.entries import find_mistakes


@pytest.fixture
def folder(tmp_path):
    """A knowledge base of two concepts, to damage."""
    shipped = asset_path("knowledge_base")
    for name in ("normal-ecg", "sinus-rhythm"):
        entry = yaml.safe_load((shipped / f"{name}.yaml").read_text(encoding="utf-8"))
        alone = [c for c in entry["criteria"] if "is " not in c.get("test", "")]
        apart = {"lookalikes": [], "broader": [], "excludes": [], "explained_by": {}}
        write(tmp_path, entry | apart | {"criteria": alone})
    (tmp_path / "sources.yaml").write_bytes((shipped / "sources.yaml").read_bytes())
    return tmp_path


def write(folder, entry):
    (folder / f"{entry['id']}.yaml").write_text(yaml.safe_dump(entry, allow_unicode=True), encoding="utf-8")


def read(folder, name="sinus-rhythm"):
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


def complaint(folder):
    with pytest.raises(EcgclipError) as error:
        KnowledgeBase.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_digest_changes_with_an_edit(folder):
    before = KnowledgeBase.load(folder).digest
    assert KnowledgeBase.load(folder).digest == before
    write(folder, read(folder) | {"definition": "Another one."})
    assert KnowledgeBase.load(folder).digest != before


def test_the_compiled_copy_is_the_same_and_is_left_aside_after_an_edit(folder, tmp_path, monkeypatch):
    base = KnowledgeBase.load(folder)
    compiled = tmp_path / "kb.json"
    compiled.write_text(json.dumps(base.to_dict()), encoding="utf-8")
    monkeypatch.setattr("ecgclip.knowledge.entries.COMPILED", compiled)
    with monkeypatch.context() as patch:
        patch.setattr("ecgclip.knowledge.entries.parse_entries", None)  # the copy is what is read
        copy = KnowledgeBase.load(folder)
    assert copy.concepts == base.concepts
    assert copy.sources == base.sources
    assert copy.passages == base.passages
    write(folder, read(folder) | {"definition": "Another one."})
    assert KnowledgeBase.load(folder).concepts["sinus-rhythm"].definition == "Another one."


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1}', "no file"])
def test_without_a_compiled_copy_the_folder_is_parsed(content, kb, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.knowledge.entries.COMPILED", tmp_path / "kb.json")
    if content != "no file":
        (tmp_path / "kb.json").write_text(content)
    parsed = KnowledgeBase.load()
    assert (parsed.concepts, parsed.sources, parsed.digest) == (kb.concepts, kb.sources, kb.digest)


@pytest.mark.parametrize("field", ["criteria", "negation_de", "codes"])
def test_a_missing_field(folder, field):
    entry = read(folder)
    write(folder, {k: v for k, v in entry.items() if k != field})
    assert "sinus-rhythm.yaml" in complaint(folder)
    assert f"missing {field}" in complaint(folder)


def criterion(**changes):
    return {"criteria": [{"text": "a P wave", "leads": ["II"], "source": "aha-ecg-2007-ii"} | changes]}


@pytest.mark.parametrize(
    "changes,words",
    [
        (criterion(leads=["V9"]), "V9"),
        (criterion(source="my-uncle"), "my-uncle"),
        (criterion(page=3), "exactly text, leads and source"),
        ({"sources": ["my-uncle"]}, "my-uncle"),
        ({"broader": ["no-such-concept"]}, "no-such-concept"),
        ({"category": "sports"}, "sports"),
        ({"colour": "red"}, "colour"),
        ({"report": []}, "empty"),
        ({"aliases": {"en": [True]}}, "quote"),
        ({"codes": {"snomed": [426783006]}}, "quoted"),
        ({"codes": {"aha": 20}}, "quoted"),
        ({"excludes": "normal-ecg"}, "excludes is not a list"),
        ({"excludes": ["flying-saucer"]}, "unknown concepts ['flying-saucer']"),
        ({"excludes": ["normal-ecg"], "broader": ["normal-ecg"]}, "is a kind of both"),
    ],
)
def test_a_wrong_entry(folder, changes, words):
    write(folder, read(folder) | changes)
    line = complaint(folder)
    assert "sinus-rhythm.yaml" in line
    assert words in line


def test_an_id_that_is_not_the_files_name(folder):
    (folder / "sinus-rhythm.yaml").rename(folder / "other.yaml")
    assert "other.yaml" in complaint(folder)


def test_an_alias_in_two_files(folder):
    entry = read(folder, "normal-ecg")
    write(folder, entry | {"aliases": {"en": ["Sinus-Rhythm"]}})
    line = complaint(folder)
    assert ".yaml" in line
    assert "sinus-rhythm" in line
    assert "normal-ecg" in line


@pytest.mark.parametrize("text", ["id: [", "", "- a list", "\x00"], ids=["broken", "empty", "list", "binary"])
def test_a_file_that_is_no_entry(folder, text):
    (folder / "sinus-rhythm.yaml").write_text(text, encoding="utf-8")
    assert "sinus-rhythm.yaml" in complaint(folder)


def test_a_folder_without_a_knowledge_base(tmp_path):
    assert str(tmp_path) in complaint(tmp_path)
    assert "nowhere" in complaint(tmp_path / "nowhere")


def test_a_folder_without_sources(folder):
    write(folder, read(folder) | {"id": "third"})
    (folder / "sources.yaml").unlink()
    assert "sources.yaml" in complaint(folder)


# --- tests and roles --------------------------------------------------------------------------------------------------


def write_criteria(folder, *criteria, **fields):
    """sinus-rhythm with these criteria; returns the mistakes."""
    rows = [
        {"text": f"criterion {i}", "leads": ["II"], "source": "aha-ecg-2007-ii"} | c for i, c in enumerate(criteria)
    ]
    write(folder, read(folder) | {"criteria": rows} | fields)
    return find_mistakes(folder)


def test_a_test_a_role_and_explanations_are_kept(folder):
    explained_by = {"normal-ecg": "always", "sinus-rhythm": "QRS >= qrs_wide"}
    criteria = ({"test": "regular", "role": "required"}, {"role": "one of a"}, {})
    assert write_criteria(folder, *criteria, explained_by=explained_by) == []
    concept = KnowledgeBase.load(folder).concepts["sinus-rhythm"]
    assert [(c.test, c.role) for c in concept.criteria] == [("regular", "required"), (None, "one of a"), (None, None)]
    assert concept.explained_by == explained_by


def test_a_test_is_no_passage(folder):
    before = KnowledgeBase.load(folder).passages
    entry = read(folder)
    write(folder, entry | {"criteria": [c | {"test": "regular", "role": "required"} for c in entry["criteria"]]})
    assert KnowledgeBase.load(folder).passages == before


@pytest.mark.parametrize(
    "criteria, fields, words",
    [
        ([{"test": "QRS >= 120"}], {}, "test 'QRS >= 120': 120 has no unit: QRS is in ms"),
        ([{"test": 3}], {}, "a test is a text"),
        ([{"test": None}], {}, "a test is a text"),
        ([{"test": "is flying-saucer"}], {}, "unknown condition flying-saucer"),
        ([{"role": "vital"}], {}, "unknown role 'vital'"),
        ([{"role": "2 of a"}], {}, "2 of 'a' are needed, and it has 1"),
        ([{"role": "2 of a"}, {"role": "one of a"}], {}, "once 2 and once 1"),
        ([{}], {"explained_by": ["stemi"]}, "explained_by is not a mapping"),
        ([{}], {"explained_by": {"stemi": "always"}}, "unknown condition 'stemi'"),
        ([{}], {"explained_by": {"normal-ecg": "QRZ > 1 ms"}}, "unknown quantity 'QRZ'"),
    ],
)
def test_a_wrong_test_or_role(folder, criteria, fields, words):
    mistakes = write_criteria(folder, *criteria, **fields)
    assert any(words in mistake for mistake in mistakes)
    assert mistakes[0] == complaint(folder)


def test_a_mistake_names_file_and_line(folder):
    write_criteria(folder, {}, {"test": "QRS >= 120"})
    lines = (folder / "sinus-rhythm.yaml").read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines, 1) if "QRS >= 120" in line)
    assert complaint(folder).startswith(f"{folder / 'sinus-rhythm.yaml'}:{at}: ")


def test_all_mistakes_of_tests_are_found_at_once(folder):
    assert len(write_criteria(folder, {"test": "QRS"}, {"role": "vital", "test": "regular"}, {"test": "T > 0"})) == 3


def test_broken_yaml_is_a_mistake_with_its_line(folder):
    (folder / "sinus-rhythm.yaml").write_text("id: sinus-rhythm\nname: [\n", encoding="utf-8")
    (folder / "normal-ecg.yaml").write_text("- a list", encoding="utf-8")
    mistakes = find_mistakes(folder)
    assert len(mistakes) == 2
    assert mistakes[0].startswith(f"{folder / 'sinus-rhythm.yaml'}:3: not valid YAML")


def test_conditions_that_ask_for_one_another(folder):
    normal = read(folder, "normal-ecg")
    write(folder, normal | {"criteria": [normal["criteria"][0] | {"test": "is sinus-rhythm"}]})
    mistakes = write_criteria(folder, {"test": "not is normal-ecg"})
    assert len(mistakes) == 1
    assert "in a circle: normal-ecg > sinus-rhythm > normal-ecg" in mistakes[0]


def test_a_hidden_condition_is_asked_for_by_no_test(kb):
    hidden = kb.without(["left-bundle-branch-block"])
    texts = [c.test or "" for concept in hidden.concepts.values() for c in concept.criteria]
    assert not any("is left-bundle-branch-block" in text for text in texts)
    assert not any("left-bundle-branch-block" in concept.explained_by for concept in hidden.concepts.values())
    assert any(texts)


def test_the_shipped_knowledge_base_has_no_mistake():
    assert find_mistakes(asset_path("knowledge_base")) == []


JUNK = [None, 1, True, 1e400, "", "x", [], [[]], [None], [1], ["x"], {}, {"a": 1}, {1: 2}, {None: [None]}]


@pytest.mark.parametrize("field", sorted(FIELDS | OPTIONAL_FIELDS))
def test_no_content_of_a_field_breaks_the_check(folder, field):
    entry = read(folder)
    for junk in JUNK:
        (folder / "sinus-rhythm.yaml").write_text(yaml.safe_dump(entry | {field: junk}), encoding="utf-8")
        assert all(isinstance(mistake, str) and "\n" not in mistake for mistake in find_mistakes(folder))


@pytest.mark.parametrize("field", sorted(CRITERION_FIELDS | OPTIONAL_CRITERION_FIELDS))
def test_no_content_of_a_criterion_breaks_the_check(folder, field):
    for junk in JUNK:
        mistakes = write_criteria(folder, {field: junk})
        assert all(isinstance(mistake, str) and "\n" not in mistake for mistake in mistakes)
