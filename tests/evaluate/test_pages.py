"""The page beside results.json."""

import sys

from ecgclip.evaluate.zeroshot import zeroshot


def test_without_matplotlib_there_is_a_note_and_no_picture(data, tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    zeroshot("ptb-xl", data, "superclass", tmp_path, fold=9, min_positives=2, weights=tiny_model)
    assert "matplotlib" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))
    assert ".png" not in (tmp_path / "results.md").read_text()
