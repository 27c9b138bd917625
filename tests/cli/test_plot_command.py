"""The command plot: one record, several, and what goes wrong."""

import re
import shlex
import shutil

import pytest
from commandline import ROOT, assert_misuse, run_python

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


def test_a_record_is_drawn_and_only_its_name_is_told(run, tmp_path):
    assert run("plot", RECORDS / "af.hea", "-o", tmp_path / "af.svg", "--show", "all", "--label", "AF") == (0, "", "")
    text = (tmp_path / "af.svg").read_text()
    assert ">af</text>" in text
    assert "atrial fibrillation" in text
    assert str(ROOT) not in text


def test_several_records_are_pages_of_a_pdf_without_those_that_failed(run, folder, tmp_path):
    code, out, err = run(
        "plot", folder, "-o", tmp_path / "all.pdf", "--layout", "6x2", "--speed", "50", "--seconds", "5"
    )
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: .*torn.*\n", err)
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "all.pdf").read_bytes())) == 2


def test_or_files_of_a_folder(run, folder, tmp_path):
    code, out, _ = run(
        "plot", folder / "af.hea", folder / "lbbb.hea", "-o", tmp_path / "new" / "plots", "--format", "png"
    )
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "new" / "plots").iterdir()) == ["af.png", "lbbb.png"]
    assert len(out.splitlines()) == 2


def test_two_records_of_one_name_do_not_replace_each_other(run, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    code, out, err = run("plot", folder / "af.hea", other / "af.hea", "-o", tmp_path / "plots")
    assert code == 1
    assert "af.svg is the picture of" in err
    assert len(out.splitlines()) == 1


def test_several_records_are_no_picture(run, folder, tmp_path):
    code, _, err = run("plot", folder / "af.hea", folder / "lbbb.hea", "-o", tmp_path / "x.svg")
    assert code == 1
    assert "let the name end in .pdf" in err


@pytest.mark.parametrize(
    "options, words",
    [
        (("-o", "x.jpg"), "ends in .svg, .pdf or .png"),
        (("-o", "x.svg", "--show", "p"), "no layer 'p'"),
        (("-o", "x.svg", "--gain", "7"), "gain 7"),
        (("-o", "x.svg", "--layout", "nonsense"), "unknown layout"),
        (("-o", "x.svg", "--label", "gobbledygook"), "not in the knowledge base"),
        (("-o", "plots", "--format", "gif"), "unknown --format"),
        (("-o", "nowhere/x.svg"), "nowhere/x.svg: cannot be written"),
    ],
)
def test_what_makes_no_sense_is_misuse(run, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert_misuse(run("plot", RECORDS / "af.hea", *options), words)
    assert not list(tmp_path.iterdir())


def test_a_plot_needs_no_torch(tmp_path):
    arguments = ["plot", str(RECORDS / "af.hea"), "-o", str(tmp_path / "af.svg"), "--show", "all", "--label", "AF"]
    program = (
        f"import sys\nfrom ecgclip.cli import main\nsys.argv[1:] = {arguments!r}\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "slow = {'torch', 'transformers', 'pandas', 'wfdb', 'sklearn', 'faiss', 'matplotlib.pyplot'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr


def test_the_page_on_drawing_runs_as_it_is_written(run, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "plot.md").read_text(encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^    ecgclip (plot .*)$", page, re.MULTILINE):
        assert run(*shlex.split(line))[0] == 0, line
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    drawn = {"stemi.svg", "ecgs.pdf", "pictures", "pvc.svg", "both.pdf", "examples"}
    assert {path.name for path in tmp_path.iterdir()} == drawn
    assert len(list((tmp_path / "pictures").iterdir())) == 6
