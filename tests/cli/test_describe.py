"""`ecgclip describe` and `ecgclip eval describe` on the command line."""

import json

import pytest
from commandline import assert_misuse
from toy import write_ptb_xl

from ecgclip.cli.lines import DISCLAIMER


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 24)  # a patient in each of the folds 1 to 9, and more


@pytest.fixture
def run_tiny(run, tiny_model):
    """run_tiny(*arguments) → exit code, stdout, stderr, by the tiny model."""
    return lambda *arguments: run(*arguments, "--model", tiny_model)


def test_json_is_the_contract(run_tiny, records):
    code, out, err = run_tiny("describe", records / "af.hea", records / "pvc", "--format", "json", "--threshold", "0.3")
    entries = json.loads(out)
    assert (code, err) == (0, "")
    assert [e["record"] for e in entries] == [str(records / "af"), str(records / "pvc")]
    for entry in entries:
        assert list(entry) == ["record", "sentences"]
        assert entry["sentences"]
        for sentence in entry["sentences"]:
            assert list(sentence) == ["text", "probability", "concept", "criteria", "explained", "episodes"]
            assert sentence["probability"] >= 0.3


def test_the_table_says_once_what_the_software_is_not(run_tiny, records, tmp_path):
    code, out, err = run_tiny("describe", records, "--threshold", "0.3")
    assert (code, err) == (0, "")
    assert "probability" in out
    assert out.count(DISCLAIMER) == 1
    assert out.splitlines()[-1] == DISCLAIMER
    assert run_tiny("describe", records, "--threshold", "0.3", "--output", tmp_path / "t.txt")[1] == ""
    assert (tmp_path / "t.txt").read_text() == out
    assert "nothing is probable enough" in run_tiny("describe", records / "af", "--threshold", "1")[1]
    assert run_tiny("describe", records / "af", "--threshold", "1", "--format", "json")[1].count('"sentences": []') == 1


def test_a_bad_record_does_not_lose_the_others(run_tiny, records, tmp_path):
    (tmp_path / "bad.hea").write_text("bad 12 500 5000\n")
    code, out, err = run_tiny("describe", tmp_path / "bad", records / "af", "--format", "json")
    assert code == 1
    assert len(json.loads(out)) == 1
    assert err.startswith("error: ")
    assert "bad" in err


@pytest.mark.parametrize(
    "options", [("--format", "csv"), ("--language", "fr"), ("--threshold", "2"), ("--threshold", "nan")]
)
def test_misuse_is_one_line_and_exit_code_2(run_tiny, records, options):
    assert_misuse(run_tiny("describe", records / "af", *options))


def test_eval_describe_prints_every_method(run_tiny, ptb_xl, tmp_path):
    code, out, _ = run_tiny(
        "eval", "describe", "--dataset", "ptb-xl", ptb_xl, "--fold", "9", "--least", "1", "-o", tmp_path
    )
    assert code == 0
    assert (tmp_path / "results.json").exists()
    for name in ("description", "neighbour"):
        assert f"{name:<11} micro: precision" in out
        assert f"{name:<11} macro: precision" in out
