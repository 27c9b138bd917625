"""The command report: one record, several, and what goes wrong."""

import re
import shlex
import shutil

import pytest
from commandline import ROOT, assert_misuse

pytest.importorskip("matplotlib")
RECORDS = ROOT / "examples" / "records"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two good records and one that is damaged."""
    path = tmp_path_factory.mktemp("records")
    for name in ("af", "lbbb"):
        for ending in ("hea", "dat"):
            shutil.copy(RECORDS / f"{name}.{ending}", path)
    (path / "torn.hea").write_text((path / "af.hea").read_text().replace("af", "torn"))
    return path


@pytest.fixture
def report(run, tiny_model):
    """report(*arguments), by the tiny model."""
    return lambda *arguments: run("report", "--model", tiny_model, *arguments)


def test_a_record_is_reported_and_only_its_name_is_told(report, tmp_path):
    assert report(RECORDS / "af.hea", "-o", tmp_path / "af.html", "--labels", "AF") == (0, "", "")
    text = (tmp_path / "af.html").read_text(encoding="utf-8")
    assert "<title>ECG report: af</title>" in text
    assert "<nav" not in text
    assert "asked as AF" in text
    assert str(ROOT) not in text


def test_several_records_are_a_page_with_contents_without_those_that_failed(report, folder, tmp_path):
    code, out, err = report(folder, "-o", tmp_path / "all.html", "--language", "de")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: .*torn.*\n", err)
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert re.findall(r'<li><a href="#record-\d">(\w+)</a></li>', text) == ["af", "lbbb"]
    assert len(re.findall("<article", text)) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "all.html"]


def test_or_files_of_a_folder(report, folder, tmp_path):
    code, out, _ = report(folder, "-o", tmp_path / "new" / "reports")
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "new" / "reports").iterdir()) == ["af.html", "lbbb.html"]
    assert len(out.splitlines()) == 2


def test_or_sheets_of_a_pdf(report, folder, tmp_path):
    assert report(folder, "-o", tmp_path / "all.pdf")[0] == 1
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "all.pdf").read_bytes())) >= 4


def test_no_file_is_written_if_no_record_could_be_reported(report, folder, tmp_path):
    (tmp_path / "all.html").write_text("before")
    code, _, err = report(folder / "torn.hea", "-o", tmp_path / "all.html")
    assert code == 1
    assert "torn" in err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("all.html", "before")]


def test_the_nearest_cases_of_an_index(run, report, tiny_model, folder, tmp_path):
    run("index", "build", folder / "af.hea", folder / "lbbb.hea", "-o", tmp_path / "index", "--model", tiny_model)
    page = tmp_path / "af.html"
    code, _, _ = report(folder / "af.hea", "-o", page, "--index", tmp_path / "index")
    assert code == 0
    cases = re.search("<h3>Nearest cases</h3>.*?</section>", page.read_text(encoding="utf-8"))[0]
    assert re.findall('<th scope="row">(.*?)</th>', cases) == ["lbbb"]  # the record itself is no case


def test_the_page_on_reports_runs_as_it_is_written(run, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^    ecgclip (report .*)$", page, re.MULTILINE):
        assert run(*shlex.split(line))[0] == 0, line
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert {path.name for path in tmp_path.iterdir()} == {"af.html", "all.html", "reports", "pvc.pdf", "examples"}
    assert len(list((tmp_path / "reports").iterdir())) == 6


@pytest.mark.parametrize(
    "options, words",
    [
        (("-o", "x.txt"), "ends in .html or .pdf"),
        (("-o", "x.html", "--language", "fr"), "no language 'fr'"),
        (("-o", "x.html", "--threshold", "2"), "not a probability"),
        (("-o", "x.html", "--labels", "AF,AF"), "AF"),
        (("-o", "x.html", "--index", "nowhere"), "nowhere"),
        (("-o", "nowhere/x.html"), "nowhere/x.html: cannot be written"),
    ],
)
def test_what_makes_no_sense_is_misuse(report, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert_misuse(report(RECORDS / "af.hea", *options), words)
    assert not list(tmp_path.iterdir())
