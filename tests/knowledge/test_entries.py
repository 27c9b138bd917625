"""A folder of one's own is read with care: the digest, the compiled copy, and a clear line about a damaged file."""

import json

import pytest
import yaml

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.base import KnowledgeBase


@pytest.fixture
def folder(tmp_path):
    """A knowledge base of two concepts, to damage."""
    shipped = asset_path("knowledge_base")
    for name in ("normal-ecg", "sinus-rhythm"):
        entry = yaml.safe_load((shipped / f"{name}.yaml").read_text(encoding="utf-8"))
        write(tmp_path, entry | {"lookalikes": [], "broader": []})
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
