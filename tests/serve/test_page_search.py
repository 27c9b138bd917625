"""Searching an index on the page, walking through a long record, and reading the knowledge base."""

import re

import pytest
from person import errors, example, row_of, visit, wait_opened


@pytest.fixture
def search(page):
    """The search view."""
    page.click("#views a[href='#/search']")
    page.wait_for_selector("#search-text:visible")
    return page


def hits(page):
    """Names of the hits, once their ECGs are drawn."""
    page.wait_for_function(
        """() => !document.querySelector("#hits[aria-busy]") && document.querySelector("#search-notes").textContent
             && [...document.querySelectorAll("#hits .small")].every((each) => each.querySelector("svg .trace"))"""
    )
    return [re.sub(r"^\d+\. ", "", name) for name in page.locator("#hits strong").all_inner_texts()]


def test_search_by_words_and_open_a_hit(search):
    search.fill("#search-text", "Vorhofflimmern")
    search.fill("#search-k", "3")
    search.press("#search-text", "Enter")
    found = hits(search)
    assert found[0] == "af" and len(found) == 3
    first = search.locator("#hits > li").first.inner_text()
    assert "atrial fibrillation" in first and "Atrial fibrillation with a rapid response" in first
    assert "3 ECGs found." in search.inner_text("#search-notes")
    search.locator("#hits a").first.focus()
    search.keyboard.press("Enter")
    wait_opened(search, "af")
    assert "#/ecg/record/" in search.url
    search.go_back()
    search.wait_for_selector("#hits:visible")
    assert search.locator("#hits > li").count() == 3


def test_api_page_leads_to_the_search(page, server):
    page.goto(f"{server.address}/api")
    page.click("#views a[href='/#/search']")
    page.wait_for_selector("#search-text")


def test_hit_opens_by_its_address_alone(search, server):
    search.fill("#search-text", "LBBB")
    search.press("#search-text", "Enter")
    assert hits(search)[0] == "lbbb"
    href = search.locator("#hits a").first.get_attribute("href")
    visit(search, server.address, href)
    wait_opened(search, "lbbb")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"age-from": "60", "age-to": "65"}, {"af"}),
        ({"search-label": "infarction"}, {"inferior-stemi"}),
        ({"search-where": "ward = 'A'"}, {"af", "lbbb"}),
        ({"search-where": "ward = 'A'", "search-label": "fibrillation"}, {"af"}),
        ({"search-label": "it's"}, set()),
    ],
)
def test_filters(search, fields, expected):
    search.fill("#search-text", "infarction")
    for name, value in fields.items():
        search.fill(f"#{name}", value)
    search.press("#search-text", "Enter")
    assert set(hits(search)) == expected


def test_filter_by_sex_and_without(search):
    search.fill("#search-text", "rhythm disorder")
    search.fill("#search-not", "atrial fibrillation")
    search.select_option("#search-sex", "F")
    search.click("#search-form button[type=submit]")
    found = hits(search)
    assert found and "af" not in found and "lbbb" not in found


def test_wrong_condition_is_one_line(search, refusals):
    refusals.add(400)
    search.fill("#search-text", "AF")
    search.fill("#search-where", "ward = ; DROP TABLE")
    search.press("#search-text", "Enter")
    search.wait_for_selector("#search-error:visible")
    (line,) = errors(search)
    assert len(line) < 300 and "/" not in line.split("ward")[0]


def test_like_the_ecg_on_screen(search):
    search.wait_for_selector("#search-like:disabled")  # nothing is on screen
    search.press("#search-text", "Enter")
    assert errors(search) == ["Type words to search for, or choose “like the ECG on screen”."]
    example(search, "rbbb")
    wait_opened(search, "rbbb")
    search.click("#find-similar")
    search.wait_for_selector("#similar-hits .small svg")
    assert search.locator("#similar-hits strong").first.inner_text() == "1. rbbb"
    search.click("#views a[href='#/search']")
    search.check("#search-like")
    search.click("#search-form button[type=submit]")
    assert hits(search)[0] == "rbbb"


def test_long_record_is_walked_through(page):
    example(page, "paroxysm")
    wait_opened(page, "paroxysm")
    line = page.locator("#timeline [role=slider]")
    line.wait_for()
    assert "5:00 min" in page.inner_text("#patient")
    page.wait_for_selector("#findings:has-text('trial fibrillation')")
    assert int(line.get_attribute("aria-valuemax")) == 29
    line.focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    caption = lambda text: page.wait_for_selector(f".paper-caption:has-text('{text}')")
    caption("2:30")  # the paper is where the timeline is: within the paroxysm
    assert re.search(r"trial fibrillation 9\d%", line.get_attribute("aria-valuetext"))
    box = line.bounding_box()
    page.mouse.click(box["x"] + 0.115 * box["width"], box["y"] + 30)
    caption("30 s to 40 s")
    assert not re.search(r"trial fibrillation 9\d%", line.get_attribute("aria-valuetext"))
    page.get_by_role("button", name="Next part").click()
    caption("40 s to 50 s")
    assert line.get_attribute("aria-valuenow") == "4"


def test_record_that_is_opened_at_a_time(page, server):
    visit(page, server.address, "#/ecg/example/paroxysm/150")
    wait_opened(page, "paroxysm")
    page.wait_for_selector(".paper-caption:has-text('2:30')")


def test_knowledge_base_is_browsed(page):
    page.click("#views a[href='#/kb']")
    page.locator("#kb-categories a").first.wait_for()
    assert int(page.inner_text("#kb-count").split()[0]) > 200
    page.locator("#kb-filter").press_sequentially("vorhoffl")
    names = page.locator("#kb-categories a").all_inner_texts()
    assert {"atrial fibrillation", "atrial flutter"} <= set(names) and len(names) < 30
    page.click("#kb-categories a:text-is('atrial fibrillation')")
    concept = page.locator("#kb-concept")
    concept.locator("h1").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    text = concept.inner_text()
    for part in ("164889003", "irregularly irregular R-R intervals", "Vorhofflimmern", "doi:10."):
        assert part in text, part
    concept.get_by_role("link", name="atrial flutter").first.click()  # a look-alike
    page.wait_for_selector("#kb-concept h1:text-is('Atrial flutter')")
    page.click("text=← All conditions")
    page.wait_for_selector("#kb-categories:visible")
    page.fill("#kb-filter", "zzzz")
    assert page.inner_text("#kb-count").startswith("0 ")


def test_condition_of_the_knowledge_base_is_asked_for(page, server):
    example(page, "af")
    wait_opened(page, "af")
    page.evaluate("location.hash = '#/kb/atrial-flutter'")
    page.click("text=Ask for this")
    row_of(page, "Atrial flutter").wait_for()
    assert page.locator("#paper").is_visible()


def test_condition_that_is_not_there(page, server, refusals):
    refusals.add(404)
    visit(page, server.address, "#/kb/no-such-condition")
    page.wait_for_selector("#kb-error:visible")
    assert errors(page) == ["this is not in the knowledge base"]
    page.click("text=← All conditions")
    page.wait_for_selector("#kb-categories:visible")
    assert errors(page) == []
