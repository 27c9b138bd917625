"""Every command has help with an example; the program starts quickly and ends with the right exit code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from commandline import ROOT, run_python
from toy import write_ptb_xl

from ecgclip import cli


def commands(group, *names):
    """The words of every command, as typed."""
    for name, command in group.commands.items():
        yield from commands(command, *names, name) if hasattr(command, "commands") else [" ".join((*names, name))]


COMMANDS = list(commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, run):
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert f"Example:\n    ecgclip {command}" in out
    if "--output" in out:
        assert "-o, --output" in out or "--output, -o" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_misuse(command, run):
    code, out, err = run(*command.split(), "--nonsense")
    assert (code, out) == (2, "")
    assert "--nonsense" in err


def test_an_unknown_command_is_misuse(run):
    assert run("nonsense")[0] == 2


def test_version(run):
    assert run("--version")[1].startswith("ecgclip ")


# --- as a process -----------------------------------------------------------------------------------------------------


# what runs commands one after the other in one process, with every argument list in sys.argv[1] as JSON
RUN_COMMANDS = """
import io, json, sys
from contextlib import redirect_stdout
from ecgclip.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        with redirect_stdout(io.StringIO()): main()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""
PEAK = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def test_classify_leaves_slow_imports_alone(records, tiny_model):
    """Each of these would cost a good part of what `import torch` takes, or of its memory."""
    slow = "transformers pandas wfdb sklearn open_clip faiss matplotlib huggingface_hub sentencepiece scipy"
    check = f"\nfound = set({slow!r}.split()) & set(sys.modules)\nassert not found, found"
    arguments = ["classify", str(records / "af"), "--labels", "AF", "--model", str(tiny_model)]
    result = run_python("-c", RUN_COMMANDS + check, json.dumps([arguments]))
    assert result.returncode == 0, result.stderr


def test_only_what_needs_a_model_imports_torch(records, tmp_path):
    """The others answer within half a second; so does the help of every command."""
    asked = [[*command.split(), "--help"] for command in COMMANDS]
    asked += [["--version"], ["kb", "list"], ["kb", "show", "AF"], ["kb", "criteria", "inferior STEMI"]]
    asked += [["kb", "check", str(ROOT / "knowledge_base")], ["info", str(records / "af")], ["simulate", "--list"]]
    asked += [["simulate", "af", "-o", str(tmp_path / "af")]]
    formats = ("wfdb", "edf", "dicom", "csv", "npz")
    asked += [["convert", str(records), "-o", str(tmp_path / to), "--to", to] for to in formats]
    result = run_python("-c", f"{RUN_COMMANDS}\nassert 'torch' not in sys.modules", json.dumps(asked))
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process is told by Linux alone")
def test_classify_takes_at_most_half_as_much_memory_again_as_torch(records):
    arguments = json.dumps([["classify", str(records / "af"), "--labels", "AF,acute ischemia in V1"]])
    torch, classify = (run_python("-c", program + PEAK, arguments) for program in ("import torch", RUN_COMMANDS))
    assert classify.returncode == 0, classify.stderr
    assert int(classify.stdout) < 1.5 * int(torch.stdout)


def test_import_is_light_and_names_are_lazy():
    program = (
        "import sys, ecgclip\nassert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert ecgclip.ECG\nassert ecgclip.read_ecg\nassert 'torch' not in sys.modules\n"
        "assert callable(ecgclip.load_model)\nassert ecgclip.KnowledgeBase\n"
        "assert isinstance(ecgclip.__version__, str)\n"
        "assert set(ecgclip.__all__) <= set(dir(ecgclip))\nassert not hasattr(ecgclip, 'nonsense')"
    )
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr


def test_a_pipe_whose_code_page_lacks_a_character_gets_its_number(records, tiny_model, tmp_path):
    """As on Windows: cp1252 has neither the arrow of `eval retrieval` nor Greek names."""
    root = write_ptb_xl(tmp_path / "ptb-xl", 10, fold=9)
    options = ("--fold", "9", "--least", "2", "-o", tmp_path / "r", "--model", tiny_model)
    greek = shutil.copytree(records, tmp_path / "\u03b1")
    for arguments, words in (
        (("eval", "retrieval", "--dataset", "ptb-xl", root, *options), "text \\u2192 ECG"),
        (("info", greek / "af"), "\\u03b1"),
        (("info", tmp_path / "\u03b2"), "\\u03b2"),
    ):
        done = run_python("-m", "ecgclip", *arguments, encoding="cp1252", variables={"PYTHONIOENCODING": "cp1252"})
        assert words in done.stdout + done.stderr, done.stderr
        assert "UnicodeEncodeError" not in done.stderr


def test_module_exit_code_and_closed_pipe(records):
    assert run_python("-m", "ecgclip", "info", records / "none").returncode == 1
    with subprocess.Popen(
        [sys.executable, "-m", "ecgclip", "kb", "list"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
