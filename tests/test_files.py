"""Files are written whole or not at all, whoever else writes them and however a program ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecgclip.cli.writers import output_file
from ecgclip.files import replacing, write_atomic, write_json

ROOT = Path(__file__).parents[1]


def test_a_file_appears_whole_and_in_the_place_of_the_old_one(tmp_path):
    write_atomic(tmp_path / "a.txt", "größer")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    with replacing(tmp_path / "link.txt") as written:
        written.write_text("new")
        assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()
    write_atomic(tmp_path / "b", b"\0")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b", "link.txt"]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path, raised):
    write_atomic(tmp_path / "a", "old")
    with pytest.raises(raised), replacing(tmp_path / "a") as written:
        written.write_text("half")
        raise raised
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_two_runs_with_one_output_do_not_disturb_each_other(tmp_path):
    with output_file(tmp_path / "out.csv") as one:
        one.write("one")
        with output_file(tmp_path / "out.csv") as other:
            other.write("the other")
        assert (tmp_path / "out.csv").read_text() == "the other"
    assert (tmp_path / "out.csv").read_text() == "one"
    assert os.listdir(tmp_path) == ["out.csv"]


SCRIPT = """
import sys, time
from pathlib import Path
from ecgclip import cli
from ecgclip.cli.writers import output_file

@cli.app.command()
def wait(path: Path):
    with output_file(path) as out:
        out.write("half")
        out.flush()
        print("begun", flush=True)
        time.sleep(60)

sys.argv = ["ecgclip", "wait", sys.argv[1]]
cli.main()
"""


def test_sigterm_leaves_nothing_half_written_and_exit_code_143(tmp_path):
    (tmp_path / "out.csv").write_text("old")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out.csv")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout.readline() == "begun\n"
        assert len(os.listdir(tmp_path)) == 2
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 143
    assert os.listdir(tmp_path) == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "old"


def test_json_has_a_line_for_each_key_and_for_each_object_of_a_list(tmp_path):
    results = {
        "macro": {"auroc": [0.5, 0.4, 0.6]},
        "labels": [{"label": "größer", "auroc": [1, 0.25, 1e-7]}, {"label": "b", "auroc": None}],
        "calibration": {"ece": 0.1, "bins": [{"from": 0.0}]},
        "leads": ("I", "II"),
        "empty": [],
    }
    write_json(tmp_path / "new" / "results.json", results)
    text = (tmp_path / "new" / "results.json").read_text(encoding="utf-8")
    assert json.loads(text) == results | {"leads": ["I", "II"]}
    assert text.splitlines() == [
        "{",
        ' "macro": {"auroc": [0.5, 0.4, 0.6]},',
        ' "labels": [',
        '  {"label": "größer", "auroc": [1, 0.25, 1e-07]},',
        '  {"label": "b", "auroc": null}',
        " ],",
        ' "calibration": {',
        '  "ece": 0.1,',
        '  "bins": [',
        '   {"from": 0.0}',
        "  ]",
        " },",
        ' "leads": ["I", "II"],',
        ' "empty": []',
        "}",
    ]
