"""Training of the text encoder: it repeats itself, goes on after an interruption, and may be no pretraining at all."""

import pytest
from toy import read_log, recipe

from ecgclip.train.text import WordBatches, train_text


def test_pretraining_writes_what_alignment_starts_from_and_repeats_itself(toy, tmp_path):
    files = {"last", "log.csv", "text.json", "text.safetensors", "tokenizer.model"}
    assert {p.name for p in (toy / "text").iterdir()} == files
    train_text(recipe(), toy, tmp_path, threads=1)
    for name in ("tokenizer.model", "text.safetensors"):
        assert (tmp_path / name).read_bytes() == (toy / "text" / name).read_bytes(), name


def test_without_pretraining_the_encoder_is_saved_as_it_was_drawn(toy, tmp_path):
    train_text(recipe(pretraining={"epochs": 0, "batch": 256, "lr": 1e-3}), toy, tmp_path, threads=1)
    assert {p.name for p in tmp_path.iterdir()} == {"text.json", "text.safetensors", "tokenizer.model"}
    assert (tmp_path / "tokenizer.model").read_bytes() == (toy / "text" / "tokenizer.model").read_bytes()


def test_interrupted_pretraining_goes_on_to_the_same_text_encoder(toy, tmp_path, monkeypatch):
    plan = recipe(pretraining={"epochs": 2, "batch": 256, "lr": 1e-3})
    whole = train_text(plan, toy, tmp_path / "whole", threads=1)
    draw = WordBatches.__call__

    def stop(self, step):
        if step == 2 * self.steps_per_epoch - 1:  # the last one of the second epoch
            raise KeyboardInterrupt
        return draw(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(WordBatches, "__call__", stop)
        train_text(plan, toy, tmp_path / "broken", threads=1)
    assert [r["epoch"] for r in read_log(tmp_path / "broken")] == ["1"]
    broken = train_text(plan, toy, tmp_path / "broken", threads=1)
    assert (broken / "text.safetensors").read_bytes() == (whole / "text.safetensors").read_bytes()
