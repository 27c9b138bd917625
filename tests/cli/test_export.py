"""`ecgclip export onnx`: which model is written where; tests/model/test_onnx.py looks at the files."""

import sys

from commandline import assert_misuse


def test_export_onnx_writes_the_model_that_is_named(run, tiny_model, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("ecgclip.model.onnx.export_onnx", lambda model, folder: written.append((model.folder, folder)))
    folder = tmp_path / "out"
    assert run("export", "onnx", "-o", folder, "--model", tiny_model) == (0, f"{folder}\n", "")
    assert written == [(tiny_model, folder)]


def test_without_onnx_one_line_says_what_to_install(run, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    folder = tmp_path / "out"
    assert_misuse(run("export", "onnx", "-o", folder, "--model", tiny_model), 'pip install "ecgclip[onnx]"')
    assert not folder.exists()


def test_a_file_is_no_folder_to_export_to(run, tiny_model, tmp_path):
    file = tmp_path / "record.hea"
    file.write_text("a header")
    assert_misuse(run("export", "onnx", "-o", file, "--model", tiny_model), f"{file}: is no folder")
    assert file.read_text() == "a header"
