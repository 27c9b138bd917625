"""`ecgclip kb`: the knowledge base as one reads and searches it, and one's own embedded."""

import shutil

import pytest
import yaml
from commandline import ROOT, assert_misuse


def test_kb_list(run):
    code, out, _ = run("kb", "list", "--category", "pacing")
    assert code == 0
    assert ["paced-rhythm", "pacing"] in [line.split()[:2] for line in out.splitlines()]
    assert len(run("kb", "list")[1].splitlines()) >= 150
    assert_misuse(run("kb", "list", "--category", "nonsense"), "rhythm")


def test_kb_show(run):
    out = run("kb", "show", "vorhofflimmern")[1]
    assert out.startswith("atrial-fibrillation: ")
    assert "[esc-af-2020]" in out
    assert "irregularly irregular" in out
    assert_misuse(run("kb", "show", "atrial-fibrilation"), "did you mean atrial-fibrillation")


def test_kb_criteria(run):
    code, out, _ = run("kb", "criteria", "inferior STEMI")
    assert code == 0
    assert out.startswith("inferior-stemi: ")
    assert "test     J >= st_up in 2 contiguous of inferior\n" in out
    assert "st_depression:high_lateral: ST <= -st_down in 2 contiguous of I aVL" in out
    assert "role     required" in out
    assert "epsilon: not measured" in run("kb", "criteria", "epsilon wave")[1]
    assert "explained  by pericarditis: always" in out
    assert "none: this is not computed" in run("kb", "criteria", "vasospastic angina")[1]


def test_kb_check(run, base):
    code, out, err = run("kb", "check", base)
    assert (code, err) == (0, "")
    assert out == "no mistake (concepts: 1, criteria: 5, tests: 5)\n"
    file = base / "sinus-rhythm.yaml"
    file.write_text(
        file.read_text().replace("test: regular", "test: regularly").replace("test: p_waves", "test: QRS > 1")
    )
    code, out, err = run("kb", "check", base)
    assert (code, err) == (2, "")
    assert [line.split(": ")[1] for line in out.splitlines()] == ["test 'QRS > 1'", "test 'regularly'"]
    assert all(line.startswith(f"{file}:") for line in out.splitlines())
    assert_misuse(run("kb", "check", base / "nowhere"), "no knowledge base here")


def test_kb_search(run, tiny_model):
    lines = run("kb", "search", "no P waves", "-k", "3", "--model", tiny_model)[1].splitlines()
    assert len(lines) == 3
    assert all(-1 <= float(line.split()[0]) <= 1 for line in lines)


@pytest.fixture
def base(tmp_path):
    """A knowledge base of one concept."""
    base = tmp_path / "base"
    base.mkdir()
    shutil.copy(ROOT / "knowledge_base/sources.yaml", base)
    entry = yaml.safe_load((ROOT / "knowledge_base/sinus-rhythm.yaml").read_text(encoding="utf-8"))
    apart = {"broader": [], "lookalikes": [], "excludes": [], "explained_by": {}}
    text = yaml.safe_dump({**entry, **apart}, allow_unicode=True)
    (base / "sinus-rhythm.yaml").write_text(text, encoding="utf-8")
    return base


@pytest.fixture
def embed(run, tiny_model, base):
    """embed(folder): `kb embed` with that knowledge base."""
    return lambda folder: run("kb", "embed", "--model", tiny_model, "--knowledge-base", base, "-o", folder)


def test_kb_embed_writes_a_new_folder_and_the_same_again(embed, tmp_path):
    for _ in range(2):
        code, out, _ = embed(tmp_path / "mine")
        assert code == 0
        assert "1 concepts embedded" in out


def test_kb_embed_overwrites_nothing_but_the_same_weights(embed, tiny_model, tmp_path):
    thesis, other_model = tmp_path / "thesis", tmp_path / "other"
    thesis.mkdir()
    (thesis / "config.json").write_text("the only copy")
    shutil.copytree(tiny_model, other_model)
    (other_model / "model.safetensors").write_bytes(b"another's")
    for folder in (thesis, other_model, thesis / "config.json"):
        assert_misuse(embed(folder), str(folder), "give a new folder")
    assert (thesis / "config.json").read_text() == "the only copy"
    assert len(list(thesis.iterdir())) == 1
