"""Models are saved and loaded: unchanged, from older versions, and with one line about what is damaged."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.model.weights import weights_hash


def test_a_saved_model_answers_as_before(model, af, tmp_path):
    labels = ["AF", "STEMI", "purple zebra sign"]
    before = model.classify(af, labels)
    model.save(tmp_path / "again")
    after = load_model(tmp_path / "again").classify(af, labels)
    assert [s.similarity for s in after.scores] == pytest.approx([s.similarity for s in before.scores], abs=1e-3)
    assert weights_hash(tmp_path / "again") == weights_hash(tmp_path / "again")


def test_saving_leaves_nothing_half_written(tiny_model, tmp_path):
    load_model(tiny_model).save(tmp_path / "deep" / "folder")
    files = {f.name for f in (tmp_path / "deep" / "folder").iterdir()}
    assert files == {f.name for f in tiny_model.iterdir()}
    assert not any("partial" in f for f in files)
    assert "ä" in (tmp_path / "deep" / "folder" / "knowledge_base.json").read_text(encoding="utf-8"), "readable German"


def test_a_config_comes_back_as_it_was_saved(tiny_model):
    stored = json.loads((tiny_model / "config.json").read_text())
    config = load_model(tiny_model).config
    assert ModelConfig.from_dict(stored) == config
    assert config.ecg.sizes == {"channels": (8, 16, 24)}
    assert config.floor == 2
    del stored["threshold"]
    changed = {"floor": 0.7, "training": {"concepts": ["atrial-fibrillation"]}}
    assert ModelConfig.from_dict(stored | changed) == dataclasses.replace(config, threshold=0.5, **changed)


def test_rounded_matrices_are_stored_in_half_precision_and_others_as_they_are(tiny_model, tmp_path):
    model = load_model(tiny_model)
    names = ("ecg.measured.layers.0.weight", "text.out.weight")
    assert {load_file(tiny_model / "model.safetensors")[name].dtype for name in names} == {torch.float32}
    model.round_matrices()
    model.save(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {stored[name].dtype for name in names} == {torch.float16}
    assert stored["ecg.backbone.stem.norm.running_var"].dtype == torch.float32, "one dimension"
    again = load_model(tmp_path)
    assert all(p.dtype == torch.float32 for p in again.parameters())
    again.save(tmp_path / "copy")
    assert weights_hash(tmp_path / "copy") == weights_hash(tmp_path)


def test_saving_a_loaded_model_keeps_text_weights_that_were_never_used(tiny_model, tmp_path):
    load_model(tiny_model).save(tmp_path)
    assert weights_hash(tmp_path) == weights_hash(tiny_model)


def test_a_model_of_0_1_0_loads_without_the_caption_decoder_that_it_had(model, tiny_model, af, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["text"] |= {"caption_layers": 2, "caption_queries": 16}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    state = load_file(tmp_path / "model.safetensors")
    save_file({**state, "caption.queries": torch.zeros(16, 32)}, tmp_path / "model.safetensors")
    old = load_model(tmp_path)
    assert old.classify(af, ["AF"]) == model.classify(af, ["AF"])
    old.save(tmp_path / "again")
    assert load_file(tmp_path / "again/model.safetensors").keys() == state.keys()
    assert "caption" not in (tmp_path / "again/config.json").read_text()


def test_a_knowledge_base_of_ones_own_is_embedded_anew(tiny_model, model, af, two_concepts):
    own = load_model(tiny_model, knowledge_base=two_concepts)
    assert len(own.passage_vectors) == len(own.passages) == len(own.kb.passages) < len(model.passages)
    assert own.classify(af, ["Delirium cordis"]).scores[0].concept == "atrial-fibrillation"
    assert own.classify(af, ["STEMI"]).scores[0].concept is None
    assert len(own.classify(af).scores) == 2


def test_a_knowledge_base_that_changed_is_embedded_anew(copy, model):
    from safetensors.numpy import load_file, save_file

    vectors = load_file(copy / "vectors.safetensors")
    save_file({**vectors, "passages": vectors["passages"][:-1]}, copy / "vectors.safetensors")
    again = load_model(copy)
    assert len(again.passages) == len(again.passage_vectors) == len(model.passages)
    names = [i for i, p in enumerate(model.passages) if p.kind == "definition"][:3]
    expected = again.embed_text([again.passages[i].text for i in names])
    assert np.allclose(again.passage_vectors[names], expected, atol=1e-5)


@pytest.mark.parametrize(
    "stored", [{}, [], {"concepts": {"asystole": {"name": "asystole"}}, "digest": "", "sources": {}}]
)
def test_a_model_with_concepts_of_another_version_is_embedded_anew(copy, stored):
    (copy / "knowledge_base.json").write_text(json.dumps(stored), encoding="utf-8")
    assert load_model(copy).passages == KnowledgeBase.load().passages


def test_a_models_copy_of_the_knowledge_base_is_not_believed(copy):
    """It may claim to be the shipped one; whatever it says, the shipped definitions are shown."""
    stored = json.loads((copy / "knowledge_base.json").read_text(encoding="utf-8"))
    stored["concepts"]["atrial-fibrillation"]["definition"] = "Harmless."
    (copy / "knowledge_base.json").write_text(json.dumps(stored), encoding="utf-8")
    model, ours = load_model(copy), KnowledgeBase.load()
    assert model.kb.concepts == ours.concepts
    assert model.passages == ours.passages
    row = next(i for i, p in enumerate(ours.passages) if p.concept == "atrial-fibrillation" and p.kind == "definition")
    again = model.embed_text([ours.passages[row].text])[0]
    assert model.passage_vectors[row] == pytest.approx(again, abs=1e-3), "vectors of other passages are made anew"


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.model", "vectors.safetensors", "knowledge_base.json"]
)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_file_is_one_line(copy, name, damage):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(
        {"truncated": content[: len(content) // 2], "garbage": b"\x00{not" * 50, "empty": b""}[damage]
    )
    with pytest.raises(EcgclipError) as error:
        load_model(copy).embed_text("AF")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.model"])
def test_a_missing_file_is_one_line(copy, name):
    (copy / name).unlink()
    with pytest.raises(EcgclipError):
        load_model(copy)


def test_lost_vectors_are_one_line(copy):
    (copy / "vectors.safetensors").unlink()  # the reference bank in it cannot be made again
    with pytest.raises(EcgclipError, match=r"vectors\.safetensors missing"):
        load_model(copy)


@pytest.mark.parametrize("change", [{"ecg": {"width": 64}}, {"ecg": {"nonsense": 1}}, {"floor": None}])
def test_a_config_of_another_network_is_one_line(copy, change):
    config = json.loads((copy / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    if change.get("floor", 0) is None:
        del config["floor"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(EcgclipError) as error:
        load_model(copy)
    assert "\n" not in str(error.value)
