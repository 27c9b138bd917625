"""The files of the page: both languages, nothing inline, nothing from elsewhere, and strangers' text stays text."""

import re
from pathlib import Path

import pytest

import ecgclip.serve

PAGE = Path(ecgclip.serve.__file__).parent / "page"
SCRIPTS = {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.js"))}
PAGES = {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.html"))}
PAPER = ("paper", "calipers", "timeline", "words-paper")  # scripts that have words of their own


def words() -> set[str]:
    table = SCRIPTS["words.js"].split("const NOTES")[0]
    return set(re.findall(r'^  "?([\w -]+?)"?: \[', table, re.MULTILINE))


def words_asked_for() -> set[str]:
    own = [text for name, text in SCRIPTS.items() if not name.startswith(PAPER)]
    said = {key for text in own for key in re.findall(r'\bsay(?:If)?\("([\w -]+)"', text)}
    return said | {key for text in PAGES.values() for key in re.findall(r'data-(?:say|label)="([\w-]+)"', text)}


def test_every_text_that_the_page_asks_for_is_there():
    assert words_asked_for() - words() == set()


def test_every_text_is_there_in_both_languages():
    table = SCRIPTS["words.js"].split("const NOTES")[0]
    entries = re.findall(r'^  "?[\w -]+?"?: (\[.*?\]),$', table, re.MULTILINE | re.DOTALL)
    assert len(entries) == len(words())
    for entry in entries:
        texts = re.sub(r'"\s*\+\s*"', "", entry)  # one text on several lines
        assert len(re.findall(r'"(?:[^"\\]|\\.)+"', texts)) == 2, entry


@pytest.mark.parametrize("name", PAGES)
def test_nothing_in_a_page_is_inline_or_from_elsewhere(name):
    text = PAGES[name]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r'(?:src|href)="(?!/|#)', text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_takes_text_for_markup_or_code(name):
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", SCRIPTS[name])


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "api-page.js"])
def test_every_script_is_fetched_at_once_and_not_one_after_the_other(name):
    assert f'href="/static/{name}"' in PAGES["index.html"] or f'src="/static/{name}"' in PAGES["index.html"]


@pytest.mark.parametrize("path", [*PAGE.glob("*.js"), *PAGE.glob("*.css")], ids=lambda path: path.name)
def test_lines_are_short(path):
    assert max(map(len, path.read_text("utf-8").splitlines())) <= 120
