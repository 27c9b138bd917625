"""The command line, called in this process."""

import sys

import pytest

from ecgclip import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """run(*arguments) → exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ecgclip", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def classify(run, tiny_model):
    """classify(*arguments), by the tiny model."""
    return lambda *arguments: run("classify", "--model", tiny_model, *arguments)
