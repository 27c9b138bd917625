"""The ECG paper of the page, in a browser: what is drawn and what the calipers say of an ECG that is known exactly."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from ecgclip.ecg import LEADS

PAGE = Path(__file__).parents[2] / "ecgclip" / "serve" / "page"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
RATE, CYCLE = 500, 0.8  # Hz; s between two R peaks: 75 a minute
HTML = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Paper</title>
<link rel="stylesheet" href="/paper.css"><div id="paper"></div><div id="time"></div><div id="small"></div>
<script type="module" src="/test.js"></script></html>"""
SCRIPT = """
import { Paper, smallEcg } from "/paper.js";
import { Timeline } from "/timeline.js";
import * as units from "/paper-units.js";
const paper = new Paper(document.querySelector("#paper"));
const timeline = new Timeline(document.querySelector("#time"));
Object.assign(window, { paper, timeline, smallEcg, units, asked: [], moved: [], selected: [] });
paper.onpart = async (start, seconds) => {
  asked.push([start, seconds]);
  if (start >= 40) throw new Error("this ECG is no longer held: send its files again");
  return { ...window.ecg, signal: { ...window.ecg.signal, start_s: start } };
};
paper.onmoved = (start, seconds) => moved.push([start, seconds]);
timeline.onselect = (start) => {
  document.documentElement.dataset.selected = selected.push(start);
};
document.documentElement.dataset.ready = "";
"""


def signal(leads=LEADS, seconds=10.0, missing=None):
    """Triangles of 1 mV and 40 ms, 0.4 s after the start and then each cycle; V1 may have a gap."""
    time = np.arange(int(seconds * RATE)) / RATE
    wave = np.clip(1 - np.abs((time - 0.4 + CYCLE / 2) % CYCLE - CYCLE / 2) / 0.02, 0, None)
    values = {lead: np.rint(1000 * wave).astype("<i2") for lead in leads}
    if missing:
        values["V1"][int(missing[0] * RATE) : int(missing[1] * RATE)] = -32768
    coded = {lead: base64.b64encode(row.tobytes()).decode() for lead, row in values.items()}
    return {"start_s": 0.0, "seconds": seconds, "sampling_rate": RATE, "leads": coded}


def ecg(seconds=10.0, **more):
    """An answer of /api/open; every third beat is a wide one."""
    times = 0.4 + CYCLE * np.arange(12)
    kinds = [("wide", "V") if i % 3 == 2 else ("usual", "N") for i in range(12)]
    waves = lambda t: {"P": [t - 0.16, t - 0.08], "QRS": [t - 0.04, t + 0.04], "T": [t + 0.2, t + 0.36]}
    beats = [
        {"time_s": t, "kind": kind, "letter": letter, "waves": waves(t)}
        for t, (kind, letter) in zip(times.tolist(), kinds, strict=True)
    ]
    return {"seconds": seconds, "signal": signal(**more), "beats": beats}


def answer(route):
    path = route.request.url.removeprefix("http://paper.test")
    body = {"/": HTML, "/test.js": SCRIPT}.get(path) or (PAGE / path.lstrip("/")).read_text()
    kind = TYPES[Path(path).suffix or ".html"]
    route.fulfill(body=body, content_type=kind, headers={"Content-Security-Policy": POLICY})


@pytest.fixture
def page(browser_page):
    """A page with a paper and a timeline."""
    browser_page.route("http://paper.test/**", answer)
    browser_page.goto("http://paper.test/")
    browser_page.wait_for_selector("html[data-ready]")
    return browser_page


def show(page, opened):
    page.evaluate("ecg => { window.ecg = ecg; paper.open(ecg); }", opened)
    page.focus(".paper-box")


def said(page):
    return page.inner_text(".paper-said")


def box_of(page, selector, i=0):
    """x, y, width and height of a drawn path, mm."""
    got = page.evaluate(
        "([s, i]) => { const b = document.querySelectorAll(s)[i].getBBox(); return [b.x, b.y, b.width, b.height]; }",
        [selector, i],
    )
    return np.array(got) / 100


def at(page, lead, time, mv=0.0, i=0):
    """Where a time and mV of a lead are on the screen, px; i: which of its strips."""
    return page.evaluate(
        """([lead, time, mv, i]) => {
          const strip = paper.scene.strips.filter((each) => each.lead === lead)[i];
          const area = paper.svg.getBoundingClientRect(), { speed, gain } = paper.view, { scale } = paper;
          const [x, y] = [strip.x + speed * (time - strip.first), strip.baseline - gain * mv];
          return [area.left + scale * x, area.top + scale * y];
        }""",
        [lead, time, mv, i],
    )


def drag(page, start, stop):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*np.add(start, stop) / 2)
    page.mouse.move(*stop)
    page.mouse.up()


def test_layouts_have_their_leads(page):
    show(page, ecg())
    leads = lambda: page.eval_on_selector_all(".paper-svg .trace", "paths => paths.map((path) => path.dataset.lead)")
    assert leads() == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    for layout, expected in (
        ("6x2", ["I", "V1", "II", "V2", "III", "V3", "aVR", "V4", "aVL", "V5", "aVF", "V6"]),
        ("rows", list(LEADS)),
    ):
        page.select_option("select[aria-label=Layout]", layout)
        assert leads() == expected
    page.select_option("select[aria-label=Layout]", "V4")
    assert leads() == ["V4"]
    page.keyboard.press("Escape")
    told = page.get_attribute(".paper-svg", "aria-label")
    assert "0 s to 10 s, 25 mm/s, 10 mm/mV. 12 beats: 8 usual, 4 wide" in told and "About 75 per minute" in told


def test_it_is_drawn_true_to_scale(page):
    show(page, ecg())
    rhythm = ".trace[data-lead=II]"
    x, _, width, height = box_of(page, rhythm, 1)
    assert (x, width, height) == pytest.approx((10, 249.95, 10), abs=0.02)  # 25 mm/s after 10 mm, 10 mm/mV
    assert page.get_attribute(".pulse", "d").count("h5v10") == 4  # 0.2 s and 1 mV in each row
    css = page.evaluate("paper.svg.getBoundingClientRect().width")
    assert css == pytest.approx(265 * 96 / 25.4, abs=0.1)  # a mm is a CSS mm
    page.select_option("select[aria-label=Speed]", "50")
    page.select_option("select[aria-label=Gain]", "20")
    assert box_of(page, rhythm, 1)[2:] == pytest.approx((499.9, 20), abs=0.02)
    assert page.get_attribute(".pulse", "d").count("h10v20") == 4
    page.focus(".paper-box")
    page.keyboard.press("+")
    assert page.evaluate("paper.zoom") == pytest.approx(1.25)
    assert box_of(page, rhythm, 1)[2:] == pytest.approx((499.9, 20), abs=0.02)  # only larger on the screen


def test_missing_samples_leave_a_gap(page):
    show(page, ecg(missing=(6.0, 6.5)))
    drawn = page.get_attribute(".trace[data-lead=V1]", "d")
    first, second = (np.array(re.findall(r"-?\d+", part), int).reshape(-1, 2) for part in drawn.split("M")[1:])
    assert first[-1, 0] == pytest.approx(1000 + 2500 * 5.998, abs=1)
    assert second[0, 0] == pytest.approx(1000 + 2500 * 6.5, abs=1)


def test_dense_samples_keep_their_peaks_and_draw_fast(page):
    show(page, ecg())
    count, least, most = page.evaluate(
        """() => {
          const values = Float32Array.from({ length: 100000 }, (_, i) => (i === 77777 ? 3 : i === 5 ? -2 : 0));
          const d = units.pathOf(values, 0, values.length, { x: 0, dx: 0.0025, y: 0, dy: 10, column: 0.13 });
          const y = d.slice(1).split(" ").filter((_, i) => i % 2).map(Number);
          return [y.length, Math.min(...y), Math.max(...y)];
        }"""
    )
    assert count < 8000 and (least, most) == (-3000, 2000)
    page.evaluate("paper.setLayout('rows')")
    took = page.evaluate("() => { const t = performance.now(); paper.draw(); return performance.now() - t; }")
    assert took < 500  # 12 x 5000 samples: 20 ms where nothing else runs


def test_calipers_by_keyboard(page):
    show(page, ecg())
    page.keyboard.press("c")
    assert said(page) == "Calipers on lead II. 800 ms · 75 bpm · 0.00 mV"
    page.keyboard.press("ArrowRight")  # a sample on
    assert said(page) == "802 ms · 75 bpm · −0.10 mV"
    page.keyboard.press("Shift+ArrowRight")
    assert said(page) == "812 ms · 74 bpm · −0.60 mV"
    page.keyboard.press("Shift+ArrowUp")
    assert said(page) == "812 ms · 74 bpm · −0.50 mV"
    page.keyboard.press("Shift+Tab")
    assert said(page).startswith("First end at 4.4 s")
    page.keyboard.press("Shift+ArrowLeft")
    assert said(page).startswith("822 ms")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Shift+ArrowRight")  # both
    assert said(page).startswith("822 ms")
    page.keyboard.press("m")
    marched = page.get_attribute(".caliper-march", "d")
    assert marched.count("M") == 10  # 10 s are 12 intervals, and two lines are its ends
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") != "paper-box"  # Tab goes on: no trap
    page.focus(".paper-box")
    page.keyboard.press("Escape")
    assert page.locator(".calipers").count() == 0


def test_calipers_by_mouse(page):
    show(page, ecg())
    page.click("text=Calipers")
    drag(page, at(page, "II", 2.0, 0.0, 1), at(page, "II", 3.0, 1.0, 1))
    assert said(page) == "1000 ms · 60 bpm · +1.00 mV"
    drag(page, at(page, "II", 3.0, 1.0, 1), at(page, "II", 2.5, 0.5, 1))  # an end
    assert said(page) == "500 ms · 120 bpm · +0.50 mV"
    drag(page, at(page, "II", 2.25, 0.25, 1), at(page, "II", 5.25, 0.25, 1))  # both
    assert said(page) == "500 ms · 120 bpm · +0.50 mV"
    assert page.evaluate("paper.calipers.ends.map((end) => end.time)") == pytest.approx([5, 5.5], abs=0.01)
    page.keyboard.press("+")  # they stay where they are in the ECG
    page.evaluate("paper.set({ gain: 20 })")
    assert page.text_content(".caliper-value") == "500 ms · 120 bpm · +0.50 mV"
    page.evaluate("paper.setLanguage('de')")
    assert page.text_content(".caliper-value") == "500 ms · 120/min · +0,50 mV"


def test_shades_and_marks(page):
    show(page, ecg())
    page.evaluate("paper.shade([{lead: 'V2', start_s: 5.6, end_s: 5.8}], 'ST elevation')")
    assert said(page) == "Marked: ST elevation: V2"
    x, width = (float(page.get_attribute(".shade", name)) for name in ("x", "width"))
    assert (x, width) == pytest.approx((10 + 25 * 5.6, 5))
    page.click(".paper-shaded button")
    assert page.locator(".shade").count() == 0 and page.is_hidden(".paper-shaded")
    page.evaluate("paper.shade([{lead: null, start_s: 1, end_s: 1.2}], 'rate')")
    assert page.locator(".shade").count() == 4  # the three leads of that time, and the rhythm strip
    page.keyboard.press("b")
    letters = page.eval_on_selector_all(".letter", "all => all.map((each) => each.textContent).join('')")
    assert letters == "NNV" * 4
    page.keyboard.press("w")
    assert page.locator(".wave-bar.wave-QRS").count() == 12


def test_a_long_record_is_walked_through(page):
    show(page, ecg(seconds=65.0))
    page.keyboard.press("PageDown")
    page.wait_for_selector("text=10 s to 20 s")
    assert page.evaluate("[asked, moved]") == [[[10, 10]], [[0, 10], [10, 10]]]
    assert said(page) == "10 s to 20 s"
    page.click("[aria-label='Last part']")
    page.wait_for_selector("text=cannot be shown")
    assert said(page).endswith("this ECG is no longer held: send its files again")
    assert page.evaluate("paper.view.start") == 10  # what was there stays
    page.evaluate("Promise.all([paper.goTo(20), paper.goTo(30)])")
    assert page.evaluate("moved.at(-1)") == [30, 10]
    assert "30 s to 40 s of 1:05" in page.inner_text(".paper-caption")


def test_a_lead_alone_and_the_choice_by_keys(page):
    show(page, ecg())
    page.click(".name[data-name=V2]")
    assert page.locator(".trace").count() == 1 and page.evaluate("paper.zoom") == 2
    page.keyboard.press("ArrowDown")
    assert said(page) == "Lead V3, 0 s to 10 s, 0 to 1 mV"
    page.keyboard.press("Escape")
    assert page.locator(".trace").count() == 13
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.evaluate("paper.view.layout") == "V2"


def test_on_a_phone_only_the_paper_scrolls(page):
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, ecg(seconds=65.0))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.keyboard.press("ArrowRight")
    assert page.evaluate("paper.box.scrollLeft") > 0


def test_small_ecg_and_few_leads(page):
    opened = ecg(leads=("II", "V1"))
    show(page, opened)
    assert page.locator(".trace").count() == 2
    label = page.evaluate("s => smallEcg(s, {leads: ['V1']}).getAttribute('aria-label')", opened["signal"])
    assert label == "ECG, lead V1, 10 s"


def test_timeline_chooses_a_window(page):
    shown = {
        "windows": [10.0 * i for i in range(60)],
        "rate": [None if i == 3 else 70.0 + i for i in range(60)],
        "scores": [{"label": "<b>AF</b>", "concept": "af", "probability": [i / 60 for i in range(60)]}],
    }
    page.evaluate(f"timeline.show({json.dumps(shown)}, {{seconds: 600}})")
    page.focus(".timeline-svg")
    for key in ("PageDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_selector("html[data-selected='1']")
    assert page.evaluate("selected") == [120]  # only where the keys came to rest
    assert page.get_attribute(".timeline-svg", "aria-valuetext") == "2:00, 82/min, <b>AF</b> 20%"
    width = page.evaluate("timeline.svg.clientWidth")
    page.click(".timeline-svg", position={"x": 6 + (width - 12) * 35 / 600, "y": 30})
    page.wait_for_selector("html[data-selected='2']")
    assert page.evaluate("selected[1]") == 30
    assert "no heart rate" in page.inner_text(".timeline-readout")
    page.evaluate("timeline.mark(300, 60)")
    assert float(page.get_attribute(".here", "width")) == pytest.approx((width - 12) / 10, rel=0.01)


def test_it_is_printed_true_to_scale_and_in_parts(page):
    show(page, ecg())
    page.evaluate("document.documentElement.dataset.theme = 'dark'; paper.zoomTo(3)")
    page.emulate_media(media="print")
    assert page.evaluate("paper.svg.getBoundingClientRect().width") == pytest.approx(265 * 96 / 25.4, abs=0.1)
    assert page.evaluate("getComputedStyle(document.querySelector('.trace')).stroke") == "rgb(0, 0, 0)"
    page.evaluate("paper.set({ speed: 50 }); dispatchEvent(new Event('beforeprint'))")
    parts = page.eval_on_selector_all(".paper-svg", "all => all.map((each) => each.getAttribute('viewBox').split(' '))")
    assert [(float(x), float(width)) for x, _, width, _ in parts] == [(0, 265), (265, 255)]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".paper-svg").count() == 1


def test_times_and_numbers_in_words(page):
    told = page.evaluate(
        """() => [units.clock(7.456), units.clock(125.6), units.clock(3725), units.clock(62.0456, "de", 3),
                  units.number(-0.001, 2), units.signed(-0.5, 2, "de")]"""
    )
    assert told == ["7.46 s", "2:06", "1:02:05", "1:02,046", "0", "−0,50"]
