"""The page of a report: what is on it, that nothing in a file becomes part of it, and that it needs nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from ecgclip.ecg import ECG
from ecgclip.index import Hit
from ecgclip.io import read_ecg
from ecgclip.measure.limits import LIMITS
from ecgclip.model import load_model
from ecgclip.report import Reporter, html_article, html_page
from ecgclip.report.pdf import text_pages
from ecgclip.report.ranges import measured_rows, st_rows
from ecgclip.report.words import GERMAN
from ecgclip.simulate import simulate

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "examples" / "records"
LABELS = ["AF", "STEMI", "QTc > 500", "AF without LBBB", "<b>gobbledygook</b>"]
HOSTILE = '"><script>alert(1)</script><img src=http://x.example/a.png> &amp; </style>'
VOID = {"meta"}


class Index:
    """An index that finds one case with a hostile name, labels and report, and one with neither."""

    def search(self, like, k):
        return [
            Hit(1, 0.91, f"/home/jane doe/{HOSTILE.replace('/', '')}", 0.0, HOSTILE, (HOSTILE, "atrial fibrillation")),
            Hit(2, 0.5, "/home/jane doe/second", 10.0, HOSTILE, ()),
        ]


class Page(HTMLParser):
    """The elements of a page; `open` at the end are those that were not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.ids, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.seen.append((name, dict(attributes)))
        self.ids += [value for key, value in attributes if key == "id"]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def all(self, name):
        return [attributes for each, attributes in self.seen if each == name]


@pytest.fixture(scope="module")
def model():
    return load_model()


def page_of(reporter, *ecgs):
    scored = reporter.model.score_each(ecgs, reporter.prompts)
    reports = [reporter.report(ecg, *both) for ecg, both in scored]
    articles = [(each.name, html_article(each, reporter.language, i)) for i, each in enumerate(reports, 1)]
    return html_page(articles, reporter)


@pytest.fixture(scope="module")
def af(model):
    return page_of(Reporter(model, LABELS, index=Index()), read_ecg(RECORDS / "af.hea"))


@pytest.fixture(scope="module")
def german(model):
    return page_of(Reporter(model, LABELS, language="de", index=Index()), read_ecg(RECORDS / "inferior-stemi.hea"))


@pytest.fixture(scope="module")
def two(model):
    return page_of(
        Reporter(model, ["STEMI"]), *(replace(simulate(name, seed=1), source=name) for name in ("af", "lbbb"))
    )


def test_every_section_is_there(af):
    headings = re.findall(r"<h3>(.*?)</h3>", af)
    assert headings == [
        "Description",
        "Measurements",
        "Conditions",
        "Nearest cases",
        "Quality, and what was assumed",
        "Sources",
    ]
    assert "63 years, female" in Page(af).text


def test_the_sentences_are_those_of_describe(model, af):
    from ecgclip.explain import describe

    for sentence in describe(model, RECORDS / "af.hea"):
        assert f"<li>{sentence.text} " in af


def test_what_was_asked_for_has_the_probability_of_classify_and_its_criteria_with_values(model, af):
    result = model.classify(RECORDS / "af.hea", labels=LABELS)
    for label, name in (("AF", "atrial fibrillation"), ("STEMI", "ST elevation myocardial infarction")):
        assert f"<h4>{name} {result[label].probability:.2f}</h4>" in af
    text = Page(af).text
    assert re.search(r"no P waves before the QRS complexes ?required ?● met ?certainty of P waves -\d", text)
    assert re.search(r"QTc > 500 ?required ?○ unmet ?QTc \d+ ms \(> 500\)", text)
    assert "1 of 1 of the nearest cases with labels share it" in text


def test_a_combined_label_has_the_criteria_of_each_of_its_conditions(af):
    assert "Criteria: atrial-fibrillation" in af
    assert "Criteria: left-bundle-branch-block" in af


def test_versions_and_the_disclaimer_are_said_once(model, af):
    text = Page(af).text
    assert text.count("Research software, not a medical device.") == 1
    assert model.weights_sha256 in text
    assert f"threshold {model.config.threshold:.2f}" in text


def test_tags_are_balanced_and_ids_unique(af, german, two):
    for text in (af, german, two):
        page = Page(text)
        assert page.open == []
        assert len(set(page.ids)) == len(page.ids)
        inside = [each["href"] for each in page.all("a")]
        assert inside
        assert {link.removeprefix("#") for link in inside} <= set(page.ids)
        assert set(re.findall(r"url\(#(.*?)\)", text)) <= set(page.ids)


def test_tables_and_pictures_are_described(af):
    page = Page(af)
    assert len(page.all("caption")) == len(page.all("table")) > 5
    assert all(each["scope"] in ("col", "row") for each in page.all("th"))
    (picture,) = page.all("svg")
    assert picture["role"] == "img"
    assert picture["aria-label"].startswith("af: 12-lead ECG")
    assert page.all("html") == [{"lang": "en"}]


def test_nothing_is_loaded_and_nothing_runs(af):
    page = Page(af)
    assert {name for name, _ in page.seen} & {"script", "img", "link", "iframe", "object", "image"} == set()
    attributes = [key for _, pairs in page.seen for key in pairs]
    assert not [key for key in attributes if key.startswith("on") or key == "src"]
    assert all(each["href"].startswith("#") for each in page.all("a") + page.all("use"))
    assert not re.search(r"@import|url\((?!#)", af)


def test_no_address_is_on_a_page_unless_a_text_says_it(two):
    assert not re.search(r"https?:", two)


def test_nothing_that_a_file_says_becomes_part_of_the_page(model):
    ecg = simulate("normal", seed=1)
    metadata = {**ecg.metadata, "device": HOSTILE, "time": HOSTILE, "comments": [HOSTILE], "patient": "Jane Doe"}
    hostile = replace(
        ecg, source=f"/home/jane doe/\udcff{HOSTILE.replace('/', '')}", metadata=metadata, notes=(HOSTILE,)
    )
    text = page_of(Reporter(model, [f"{HOSTILE} a"], index=Index()), hostile)
    text.encode()
    page = Page(text)
    assert page.open == []
    assert not page.all("script") + page.all("img")
    assert "<script>alert(1)" in page.text
    assert "jane doe" not in text.lower()


def test_the_sheets_of_a_pdf_say_the_same(af):
    sheets = list(text_pages(af, "af"))
    written = [[each.get_text() for each in sheet.figure.artists if hasattr(each, "get_text")] for sheet in sheets]
    said = sum(written, [])
    assert {"Patient: 63 years, female", "Conditions", "required", "● met", "Nearest cases"} <= set(said)
    assert [texts[0] for texts in written] == [f"af   {i}" for i in range(2, len(sheets) + 2)]
    assert any(re.fullmatch(r"\[1\] .*", text) for text in said)
    assert max(len(text) for text in said) < 200


def test_german(german):
    page = Page(german)
    assert page.all("html") == [{"lang": "de"}]
    assert "Forschungssoftware, kein Medizinprodukt." in page.text
    assert "Inferiorer Infarkt." in page.text
    assert re.search(r"notwendig ?● erfüllt|● erfüllt", page.text)
    english = re.findall(r'<span lang="en">(.*?)</span>', german)
    assert any("ST elevation" in words for words in english)


def test_every_word_is_said_in_german():
    source = (ROOT / "ecgclip" / "report" / "html.py").read_text()
    said = re.findall(r"""say\(["']([^"']+)["']\)""", source)
    assert len(said) > 30
    assert set(said) <= set(GERMAN)


def test_a_normal_ecg_of_few_leads(model):
    ecg = read_ecg(RECORDS / "normal.hea")
    one = ECG(ecg.signal[1], ecg.sampling_rate, ("II",), source="strip")
    text = Page(page_of(Reporter(model), one)).text
    assert "unknown age and sex" in text
    assert "10.0 s, 500 Hz, leads: II" in text


@pytest.mark.parametrize("sex, high", [("male", 450), ("female", 460), (None, 455)])
def test_ranges_are_those_of_the_limits_by_sex(sex, high):
    row = {each.name: each for each in measured_rows(*values(qtc_ms=high + 30), 60, sex)}["QTc (Fridericia)"]
    assert (row.low, row.high, row.answer) == (360, high, "above")


@pytest.mark.parametrize("rate, answer", [(50, "below"), (59, "borderline"), (61, "borderline"), (80, "within")])
def test_what_is_too_near_to_the_end_of_a_range_is_borderline(rate, answer):
    assert measured_rows(*values(heart_rate=rate), None, None)[0].answer == answer


def test_what_was_not_measured_has_no_answer():
    assert {row.answer for row in measured_rows(*values(), None, None)} == {""}


def test_st_has_the_limit_of_the_lead_and_the_patient():
    rows = st_rows(values()[0], 30, "male")
    assert rows["V2"].high == LIMITS["st_up_v2v3"]["young male"].threshold
    assert (rows["II"].low, rows["II"].high) == (-0.05, 0.1)
    assert (rows["aVR"].low, rows["aVR"].high) == (None, None)


def test_a_child_has_no_ranges():
    rows = measured_rows(*values(heart_rate=140), 3, None)
    assert {(row.low, row.high, row.answer) for row in rows} == {(None, None, "")}
    assert {row.high for row in st_rows(values()[0], 3, None).values()} == {None}


def values(**known):
    """A summary in which all else is not measured, and no measurements."""
    from ecgclip.explain import summary

    return {**summary([]), **known}, []
