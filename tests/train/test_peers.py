"""The peers' protocol: MIMIC-IV-ECG alone, 500 Hz."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import yaml
from toy import read_log, recipe, write_mimic
from typer.testing import CliRunner

from ecgclip.cli.app import app
from ecgclip.files import asset_path
from ecgclip.model.store import load_model
from ecgclip.model.weights import weights_hash
from ecgclip.simulate import simulate
from ecgclip.train.recipe import Recipe


@pytest.mark.parametrize("name", ["merl", "melp"])
def test_the_peers_recipes_train_on_a_folder_in_mimics_layout_and_are_measured(toy, tmp_path, name, monkeypatch):
    """All commands of docs/peers.md, with small networks and a text encoder that needs no hub."""
    write_mimic(tmp_path / "mimic-iv-ecg", 12)
    plan = Recipe.load(asset_path(f"recipes/{name}.yaml"))
    assert plan.ecg_config.sampling_rate == 500
    assert list(plan.data) == ["mimic-iv-ecg"]
    assert not plan.ecg["measured"]
    small = replace(
        plan,
        epochs=1,
        data={"mimic-iv-ecg": {"path": "mimic-iv-ecg", "per_step": 6}},
        validation_part=3,
        ecg={**plan.ecg, "width": 48, "heads": 3, "sizes": {"channels": [8, 8, 16]}, "dim": 32},
        text=recipe().text,
        pretraining=recipe().pretraining,
    )
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(asdict(small)))
    for command in (
        ["train", "text", "r.yaml", "--data", ".", "-o", "text"],
        ["train", "clip", "r.yaml", "--data", ".", "--text", "text", "-o", "clip"],
        ["eval", "zeroshot", "--dataset", "ptb-xl", str(toy / "ptb-xl"), "--label-set", "superclass", "--fold", "3",
         "--model", "clip/model", "-o", "super"],
    ):  # fmt: skip
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output, result.exception)
    rows = read_log(tmp_path / "clip")
    assert float(rows[-1]["clip"]) > 0
    assert (rows[-1]["beats"] == "") == (name == "merl")
    results = json.loads((tmp_path / "super/results.json").read_text())
    assert results["records"] > 0
    assert results["weights_sha256"] == weights_hash(tmp_path / "clip/model")
    model = load_model(tmp_path / "clip/model")
    embedding = model.embed(simulate("af", seed=5, sampling_rate=250))
    assert embedding.prepared.encoder_signal.shape == (1, 12, 5000)
    assert embedding.rhythm.shape == (1, 32)
    prompts = model.prompts(["AF"])
    assert np.isfinite(model.lead_evidence(embedding, prompts)).all()
