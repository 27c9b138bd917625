"""docs/knowledge.md: every test on the page reads, and its two worked examples give what the page says."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from ecgclip.knowledge.criteria import parse_role, parse_test
from ecgclip.knowledge.entries import find_mistakes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")
HOW_TO = PAGE.split("## How to write a test")[1].split("## The grammar")[0]
TESTS = [line.strip() for line in HOW_TO.splitlines() if line.startswith("    ")]


def fenced(language):
    """The code blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def after(block):
    """The indented lines that follow a code block."""
    lines = PAGE.split(block)[1].split("```", 1)[1].lstrip("\n").splitlines()
    return [line[4:] for line in lines[: next((i for i, x in enumerate(lines) if not x.startswith("    ")), None)]]


@pytest.mark.parametrize("text", TESTS)
def test_every_test_on_the_page_reads(text):
    assert str(parse_test(text))


@pytest.mark.parametrize("role", ["required", "one of NAME", "2 of NAME", "supporting", "against"])
def test_every_role_on_the_page_reads(role):
    assert f"`{role}`" in PAGE
    assert parse_role(role.replace("NAME", "voltage"))


def test_the_condition_of_ones_own_is_sound_and_its_mistake_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("my_conditions")
    folder.mkdir()
    shutil.copy(ROOT / "knowledge_base" / "sources.yaml", folder)
    file = folder / "low-voltage-with-pseudoinfarction.yaml"
    entry = next(block for block in fenced("yaml") if block.startswith("id:"))
    file.write_text(entry, encoding="utf-8")
    assert find_mistakes(folder) == []
    file.write_text(entry.replace(" in all of limb", ""), encoding="utf-8")
    assert find_mistakes(folder) == [next(line.strip() for line in PAGE.splitlines() if ".yaml:14: " in line)]


def test_the_example_in_python_prints_what_the_page_says(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (program,) = fenced("python")
    exec(compile(program, "knowledge.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == after(program)


def test_the_page_of_words_is_that_of_the_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_knowledge

    written = (ROOT / "docs" / "knowledge_words.md").read_text(encoding="utf-8")
    assert written == make_knowledge.page(), "stale: run python docs/make_knowledge.py"
    del sys.modules["make_knowledge"]
