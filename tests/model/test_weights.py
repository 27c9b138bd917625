"""Where a model lies: a folder, or the hub, and what is said if it is in neither."""

import fnmatch
import hashlib
import shutil

import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.model.store import load_model
from ecgclip.model.weights import weights_folder, weights_hash


def test_the_hash_of_weights_is_that_of_their_file(tiny_model):
    expected = hashlib.sha256((tiny_model / "model.safetensors").read_bytes()).hexdigest()
    assert weights_hash(tiny_model) == expected
    assert load_model(tiny_model).weights_sha256 == expected


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nonsense"])
def test_no_model_there(name):
    with pytest.raises(EcgclipError, match="neither a folder"):
        weights_folder(name)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(EcgclipError, match="no model here"):
        load_model(tmp_path)


def test_a_mistyped_path_is_not_asked_of_the_hub(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked of the hub"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "runs/clip/model")
    for name in ("runs/clap", "runs/clip", "./runs/clap", tmp_path / "runs/clap"):
        with pytest.raises(EcgclipError, match="there is .*runs/clip/model$"):
            load_model(name)


def test_a_download_from_the_hub_is_announced(tiny_model, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tiny_model))
    assert load_model("nobody/nothing").kb.concepts
    note = "note: nobody/nothing is not a folder here: downloading it from the Hugging Face hub\n"
    assert capsys.readouterr().err == note


def test_an_id_of_the_hub_is_fetched_without_pickles(tiny_model, monkeypatch):
    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(tiny_model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_model("owner/name").folder == tiny_model
    assert asked["name"] == "owner/name"
    wanted = ["config.json", "model.safetensors", "tokenizer.model", "tokenizer/vocab.txt"]
    files = [*wanted, "x.bin", "x.pt", "x.py"]
    assert [f for f in files if any(fnmatch.fnmatch(f, pattern) for pattern in asked["allow_patterns"])] == wanted

    def offline(name, **options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(EcgclipError, match=r"owner/name: could not be downloaded .* \(no route\)$"):
        load_model("owner/name")
