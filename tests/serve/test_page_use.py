"""Who uses the page: by keyboard alone, on a phone, in German, in the dark, by a screen reader."""

from importlib import resources

import pytest
from person import ask, example, row_of, visit, wait_opened

VIEWS = ("start", "ecg", "long", "search", "kb", "concept", "api")
FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
  return {
    id: element.id, text: (element.getAttribute("aria-label") ?? element.textContent).trim().slice(0, 60),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none"
      || element.matches("input[type=file]"),  // its label is framed
    shown: box.bottom > 0 && box.top < innerHeight,
  };
}"""


def show(page, view, server):
    """Bring a view of the page onto the screen, with all that it may show."""
    if view == "ecg":
        example(page, "inferior-stemi")
        wait_opened(page, "inferior-stemi")
        ask(page, "inferior STEMI, anything at all")
        row = row_of(page, "Inferior ST elevation myocardial infarction")
        row.get_by_role("button").first.click()
        row.locator(".criteria-list > li").first.wait_for()
        row.locator("button[aria-pressed]").first.wait_for()
        page.click("text=Compare look-alikes")
        page.wait_for_selector("#differential .columns-side > li")
        page.click("#find-similar")
        page.wait_for_selector("#similar-hits svg .trace")
        for mark in ("Beats", "Waves", "Calipers"):
            page.get_by_role("button", name=mark, exact=True).click()
    elif view == "long":
        example(page, "paroxysm")
        wait_opened(page, "paroxysm")
        page.wait_for_selector("#timeline .score")
    elif view == "search":
        page.click("#views a[href='#/search']")
        page.fill("#search-text", "AF")
        page.press("#search-text", "Enter")
        page.wait_for_selector("#hits svg .trace")
    elif view == "kb":
        page.click("#views a[href='#/kb']")
    elif view == "concept":
        visit(page, server.address, "#/kb/atrial-fibrillation")
        page.wait_for_selector("#kb-concept table")
    elif view == "api":
        page.goto(f"{server.address}/api")
        page.wait_for_selector("h2 >> nth=2")


def faults(page, **options):
    """The serious and critical faults that axe finds; with its options."""
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("options => axe.run(document, {resultTypes: ['violations'], ...options})", options)
    return [
        f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


def too_wide(page):
    """What sticks out to the right of the window without a scroll bar of its own."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
             [...document.querySelectorAll("body *")]
               .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
               .map((each) => each.outerHTML.slice(0, 100)).slice(0, 5)"""
    )


@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_fault_of_accessibility(page, server, view):
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    show(page, view, server)
    assert faults(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert faults(page, runOnly=["color-contrast"]) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == []
    assert faults(page, rules={"color-contrast": {"enabled": False}}) == []


def test_from_load_to_the_answer_by_keyboard_alone(page):
    press, stops = page.keyboard.press, []

    def tab_to(found, most=60, key="Tab"):
        for _ in range(most):
            press(key)
            focus = page.evaluate(FOCUS)
            stops.append(focus["text"])
            assert focus["seen"] and focus["shown"], focus
            if found(focus):
                return
        raise AssertionError(f"not reached: {stops}")

    press("Tab")
    assert page.evaluate(FOCUS)["text"] == "Skip to the content"
    press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(lambda focus: focus["id"] == "files", 2)  # the first thing to do
    tab_to(lambda focus: focus["text"] == "Atrial fibrillation", 5)
    press("Enter")
    wait_opened(page, "af")
    assert page.evaluate("document.activeElement.id") == "record-name"  # not lost
    tab_to(lambda focus: focus["text"] == "ECG paper")
    press("ArrowDown")
    press("c")
    page.wait_for_selector(".paper-said:has-text('Calipers on lead')")
    press("Escape")
    tab_to(lambda focus: focus["id"] == "label-input")
    page.keyboard.type("inf stemi")
    press("ArrowDown")
    press("Enter")
    page.keyboard.type("AF")
    press("Enter")
    row_of(page, "Atrial fibrillation").wait_for()
    tab_to(lambda focus: focus["text"].startswith("Atrial fibrillation"), 8)
    press("Enter")
    page.wait_for_selector("#scores .criteria-list > li")
    tab_to(lambda focus: focus["text"] == "Compare look-alikes", 4)
    tab_to(lambda focus: focus["text"] == "irregularly irregular R-R intervals", 4)
    press("Space")
    page.wait_for_selector("#scores button.criterion[aria-pressed=true]")
    page.wait_for_selector("#paper .shade")


def test_answers_are_spoken(page):
    assert page.locator("#status[role=status]").count() == 1
    example(page, "af")
    wait_opened(page, "af")
    assert page.inner_text("#status") == "af is open, heart rate 104 per minute."
    ask(page, "AF")
    row_of(page, "Atrial fibrillation").wait_for()
    assert page.inner_text("#status").startswith("Atrial fibrillation: 9")


def test_phone(page):
    page.set_viewport_size({"width": 360, "height": 740})
    example(page, "af")
    wait_opened(page, "af")
    boxes = [page.locator(f"#{each}").bounding_box() for each in ("paper", "findings", "facts")]
    assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)  # one column
    assert all(box["width"] <= 360 for box in boxes)
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, #views a")]
             .filter((each) => each.checkVisibility())
             .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
             .filter(([, box]) => box.width && (box.height < 24 || box.width < 24)).map(([html]) => html)"""
    )
    assert [each for each in small if "unseen" not in each] == []  # a finger hits them


def test_german(page):
    page.click("button[data-language=de]")
    assert page.get_attribute("html", "lang") == "de"
    example(page, "af")
    wait_opened(page, "af")
    ask(page, "Linksschenkelblock")
    row_of(page, "Linksschenkelblock").wait_for()
    for words in ("63 Jahre, weiblich", "Frequenz", "Messwerte", "Genannte Befunde", "Vorhofflimmern", "Vorschub"):
        assert page.get_by_text(words).or_(page.get_by_label(words)).first.count() == 1, words
    page.reload()
    page.wait_for_selector("#example-list a:has-text('Vorhofflattern')")  # remembered
    assert page.title() == "EKG – ecgclip"
    shown = page.locator("body").inner_text().split()
    assert not {"Open", "Choose", "Download", "Measurements", "Search"} & set(shown)


def test_german_where_the_browser_is(browser, server):
    context = browser.new_context(locale="de-DE")
    visit(context.new_page(), server.address)
    assert context.pages[0].get_attribute("html", "lang") == "de"
    context.close()


def test_dark(page):
    background = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert min(background()) > 200
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("#theme[aria-pressed=true]")
    assert max(background()) < 60
    page.click("#theme")
    assert min(background()) > 200  # chosen by hand
    page.reload()
    page.wait_for_selector("#example-list a")
    assert min(background()) > 200 and page.get_attribute("#theme", "aria-pressed") == "false"
    page.emulate_media(color_scheme="light")
