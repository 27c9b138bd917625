"""Asking for conditions on the page: completion, scores with their criteria, places on the paper, look-alikes."""

import json
import re
from importlib import resources

import pytest
from person import ask, errors, example, row_of, wait_opened

THRESHOLD = json.loads(resources.files("ecgclip").joinpath("weights/config.json").read_text())["threshold"]


@pytest.fixture
def af(page):
    """The page with atrial fibrillation on the paper."""
    example(page, "af")
    wait_opened(page, "af")
    return page


def options(page):
    return [text.strip() for text in page.locator("#label-options [role=option]").all_inner_texts()]


def chips(page):
    return page.locator("#chips .chip span").all_inner_texts()


def percent(row):
    return row.locator(".number").first.inner_text().replace("\u00a0", " ")


def test_condition_is_completed_in_english(af):
    box = af.locator("#label-input")
    box.press_sequentially("left bundle")
    assert options(af)[0] == "left bundle branch block"
    assert box.get_attribute("aria-expanded") == "true"
    box.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") == "option-0"
    box.press("Enter")
    assert chips(af) == ["left bundle branch block"]
    row = row_of(af, "Left bundle branch block")
    assert percent(row) == "< 1%"


def test_condition_is_completed_in_german_and_asked_in_english(af):
    box = af.locator("#label-input")
    box.press_sequentially("vorhof")
    assert any("Vorhofflimmern" in option for option in options(af))  # the page is in English: the alias is beside
    af.click("button[data-language=de]")
    box.fill("")
    box.press_sequentially("vorhof")
    assert {"Vorhofflimmern", "Vorhofflattern"} <= set(options(af))
    af.locator("#label-options [role=option]", has_text="Vorhofflimmern").first.click()
    assert chips(af) == ["Vorhofflimmern"]
    assert int(percent(row_of(af, "Vorhofflimmern")).split()[0]) > 90
    af.click("button[data-language=en]")
    assert chips(af) == ["atrial fibrillation"]
    assert row_of(af, "Atrial fibrillation").count() == 1


def test_codes_slips_and_several_at_once(af):
    ask(af, "AF, LBBB, Vorhofflatern")
    assert chips(af)[:2] == ["atrial fibrillation", "left bundle branch block"]
    row_of(af, "Atrial flutter").wait_for()
    assert "asked as “Vorhofflatern”" in row_of(af, "Atrial flutter").inner_text()
    assert "read as atrial flutter" in row_of(af, "Atrial flutter").inner_text()
    assert af.locator("#scores > li").count() == 3


def test_free_words_are_scored_and_told_as_such(af):
    ask(af, "frobnicated xyzzy")
    row = row_of(af, "frobnicated xyzzy")
    assert "not in the knowledge base: plain prompt" in row.inner_text()
    ask(af, '"irregular, rapid rhythm", no atrial fibrillation')
    row_of(af, "irregular, rapid rhythm").wait_for()
    assert "denied: 1 − p of atrial fibrillation" in row_of(af, "no atrial fibrillation").inner_text()
    assert af.locator("#scores > li").count() == 3


def test_label_that_cannot_be_asked_is_told_in_a_line(af, refusals):
    refusals.add(400)
    ask(af, "AF")
    row_of(af, "Atrial fibrillation").wait_for()
    ask(af, "x" * 3000)
    af.wait_for_selector("#scores-error:visible")
    assert len(errors(af)) == 1 and len(errors(af)[0]) < 300
    assert row_of(af, "Atrial fibrillation").count() == 1  # what was answered stays


def test_labels_are_taken_away(af):
    ask(af, "AF, LBBB")
    row_of(af, "Left bundle branch block").wait_for()
    af.click("[aria-label='Remove atrial fibrillation']")
    assert chips(af) == ["left bundle branch block"]
    assert af.evaluate("document.activeElement.id") == "label-input"
    af.keyboard.press("Backspace")
    assert chips(af) == [] and af.locator("#scores > li").count() == 0


def test_labels_stay_for_the_next_ecg(af):
    ask(af, "AF")
    before = percent(row_of(af, "Atrial fibrillation"))
    example(af, "normal")
    wait_opened(af, "normal")
    row = row_of(af, "Atrial fibrillation")
    row.wait_for()
    assert int(before.rstrip("%")) > 90 and percent(row) == "< 1%"


def test_score_tells_what_it_rests_on(af):
    ask(af, "AF")
    row = row_of(af, "Atrial fibrillation")
    said = row.locator(".bar").get_attribute("aria-label")
    assert re.match(r"9\d%, by the waveform \(model\) 9\d%, by the criteria \d\d%", said)
    assert re.search(rf"had it in validation 9\d–\d+%, threshold {THRESHOLD:.0%}$", said)
    row.get_by_role("button").first.click()
    criteria = row.locator(".criteria-list > li")
    criteria.first.wait_for()
    first = criteria.first.inner_text()
    assert "irregularly irregular R-R intervals" in first and re.search(r"R-R variation \d+ %", first)
    verdicts = criteria.locator(".verdict").all_inner_texts()
    assert verdicts == ["● met", "● met", "● met", "○ unmet"]
    row.get_by_text("Sources").click()
    assert "doi:" in row.locator(".sources").inner_text()


def test_criterion_lights_up_its_leads(af):
    example(af, "inferior-stemi")
    wait_opened(af, "inferior-stemi")
    ask(af, "inferior STEMI")
    row = row_of(af, "Inferior ST elevation myocardial infarction")
    row.get_by_role("button").first.click()
    af.wait_for_selector("#paper .shade")  # the label lights up what it looks at
    criterion = row.locator("button.criterion").first
    criterion.focus()
    af.keyboard.press("Enter")
    af.wait_for_selector("button.criterion[aria-pressed=true]")
    lit = lambda: set(af.eval_on_selector_all("#paper .shade", "all => all.map((each) => each.dataset.lead)"))
    assert lit() == {"II", "III", "aVF"}
    assert criterion.inner_text() in af.inner_text(".paper-said")
    af.keyboard.press("Enter")  # once more: dark
    assert lit() == set() and criterion.get_attribute("aria-pressed") == "false"


def test_look_alikes_stand_side_by_side(af):
    ask(af, "AF")
    row_of(af, "Atrial fibrillation").get_by_role("button").first.click()
    af.get_by_role("button", name="Compare look-alikes").click()
    columns = af.locator("#differential .columns-side > li")
    columns.nth(1).wait_for()
    assert columns.first.locator("h4").inner_text() == "Atrial fibrillation"
    names = columns.locator("h4").all_inner_texts()
    assert "Atrial flutter" in names
    assert af.evaluate("document.activeElement.id") == "differential-title"
    af.locator("#differential").get_by_role("button", name="Close").click()
    assert af.evaluate("document.activeElement.textContent") == "Compare look-alikes"
    af.keyboard.press("Enter")
    columns.nth(1).get_by_role("button").click()  # ask for it
    row_of(af, names[1]).wait_for()
    af.locator("#differential").get_by_role("button", name="Close").click()
    assert af.evaluate("document.activeElement.id") == "label-input"


def test_findings_are_stated(af):
    found = af.locator("#findings h4 .name").all_inner_texts()
    assert "Atrial fibrillation" in found and "Irregular rhythm" in found
    example(af, "normal")
    wait_opened(af, "normal")
    found = af.locator("#findings h4 .name").all_inner_texts()
    assert "Atrial fibrillation" not in found


def test_report_and_plot_are_downloaded(af):
    ask(af, "AF")
    row_of(af, "Atrial fibrillation").wait_for()
    for name, begin in (("Report (HTML)", b"<!"), ("Plot (SVG)", b"<?xml"), ("Plot (PDF)", b"%PDF")):
        with af.expect_download() as download:
            af.get_by_role("button", name=name).click()
        content = download.value.path().read_bytes()
        assert content.lstrip().startswith(begin), name
        ending = name.split("(")[1].rstrip(")").lower()
        assert download.value.suggested_filename == f"af-{name.split()[0].lower()}.{ending}"
