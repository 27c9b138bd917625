"""Training of a model: it finishes, resumes to the same weights, learns, and runs in two processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy import read_log, recipe, write_ptb_xl

import ecgclip
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate
from ecgclip.train.batches import Batches
from ecgclip.train.clip import train_clip
from ecgclip.train.objectives import OBJECTIVES

ROOT = Path(ecgclip.__file__).parents[1]


def test_a_trained_folder_loads_and_classifies(trained):
    model = load_model(trained / "model")
    result = model.classify(simulate("lbbb", seed=900), labels=["LBBB", "normal ECG"])
    assert [s.concept for s in result.scores] == ["left-bundle-branch-block", "normal-ecg"]
    assert all(0 < s.probability < 1 for s in result.scores)
    assert model.config.training["recipe"]["name"] == "toy"
    assert len(model.config.training["data_sha256"]) == 64
    assert 0 < len(model.reference) <= 512
    figures = model.config.training["cross_fitted"]
    assert figures.keys() == {"auroc", "signal_weights", "ece", "f1"}
    assert 0 < len(figures["signal_weights"]) <= 5
    assert model.config.training["split"] == {"ptb-xl": {"folds": list(range(1, 9))}}


def test_a_trained_model_listens_to_the_criteria(trained):
    witnesses = load_model(trained / "model").config.witnesses
    assert min(witnesses.weights) >= 0
    assert max(witnesses.weights) > 0
    assert witnesses.trained[0] >= 0
    lbbb, normal = (
        load_model(trained / "model").classify(simulate(c, seed=900), ["LBBB"])["LBBB"].by_criteria
        for c in ("lbbb", "normal")
    )
    assert lbbb > normal


def test_the_log_has_every_loss_of_every_epoch(trained):
    rows = read_log(trained)
    assert [r["epoch"] for r in rows] == ["1", "2", "3"]
    joint, locked = recipe().losses, recipe().locked["losses"]
    assert all(float(r[k]) > 0 for r in rows for k in (locked if r["epoch"] == "3" else joint))
    assert rows[-1]["synonyms"] == "", "nothing is learnt of texts once they are locked"
    assert rows[-1]["validation_auroc"]


def test_training_that_is_interrupted_twice_ends_with_the_weights_of_an_uninterrupted_one(
    toy, trained, tmp_path, monkeypatch
):
    draw = Batches.__call__
    for at, done in ((3, ["1"]), (5, ["1", "2"])):  # in the middle of a joint epoch, and of a locked one

        def stop(self, step, at=at):
            if step == at:
                raise KeyboardInterrupt
            return draw(self, step)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Batches, "__call__", stop)
            train_clip(recipe(), toy, toy / "text", tmp_path, threads=1)
        assert [r["epoch"] for r in read_log(tmp_path)] == done
        assert not (tmp_path / "model").exists()
    train_clip(recipe(), toy, toy / "text", tmp_path, threads=1)
    once, twice = (load_file(f / "model" / "model.safetensors") for f in (trained, tmp_path))
    assert once.keys() == twice.keys()
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, atol=1e-6, rtol=0, msg=name)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in read_log(f)] for f in (trained, tmp_path)]
    assert without_time[0] == without_time[1]


def test_a_checkpoint_of_another_recipe_is_refused_and_kept(toy, trained):
    before = (trained / "last" / "state.safetensors").read_bytes()
    with pytest.raises(EcgclipError, match="another recipe") as error:
        train_clip(recipe(lr=1e-4), toy, toy / "text", trained, threads=1)
    assert "\n" not in str(error.value)
    assert str(trained) in str(error.value)
    assert (trained / "last" / "state.safetensors").read_bytes() == before


def test_a_finished_training_started_again_only_writes_the_model_again(toy, trained):
    before = load_file(trained / "model" / "model.safetensors")
    train_clip(recipe(), toy, toy / "text", trained, threads=1)
    after = load_file(trained / "model" / "model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert len(read_log(trained)) == 3


def test_training_learns(toy, tmp_path):
    plan = recipe(
        epochs=32,
        locked={**recipe().locked, "epochs": 8, "lr": 3e-3},
        measured={**recipe().measured, "epochs": 40, "lr": 3e-3},
        augment=dict.fromkeys(recipe().augment, 0.0),
        losses={**recipe().losses, "synonyms": 0},
    )
    model = load_model(train_clip(plan, toy, toy / "text", tmp_path, threads=1))
    rows = read_log(tmp_path)
    for name in ("clip", "statements", "findings"):
        assert float(rows[-1][name]) < 0.9 * float(rows[0][name]), name
    assert rows[0]["synonyms"] == "", "switched off, so neither computed nor logged"
    lbbb, normal = ([simulate(c, seed=s) for s in range(900, 904)] for c in ("lbbb", "normal"))
    for label, has, lacks in (("LBBB", lbbb, normal), ("normal ECG", normal, lbbb)):
        with_it = [model.classify(e, [label])[label].similarity for e in has]
        without = [model.classify(e, [label])[label].similarity for e in lacks]
        assert min(with_it) > max(without), label


def test_two_processes_finish_and_log(toy, tmp_path):
    """With rows that have no report, so that the processes' batches hold different numbers of them."""
    partial = ["True" if i % 3 == 0 else "False" for i in range(20)]
    classes = [["NORM", "CD", "", "HYP", "MI"][i % 5] for i in range(20)]
    write_ptb_xl(tmp_path / "ptb-xl", 20, {"row_reconstructed": partial, "diagnostic_superclass": classes})
    script = tmp_path / "job.py"
    script.write_text(
        "from pathlib import Path\nimport pytest\nfrom toy import few_simulated, recipe\n"
        "from ecgclip.train import train_clip\nfew_simulated(pytest.MonkeyPatch())\n"
        f"train_clip(recipe(epochs=1, data={{'ptb-xl': {{'path': 'ptb-xl', 'per_step': 4}}}}), Path({str(tmp_path)!r}),"
        f" Path({str(toy / 'text')!r}), Path({str(tmp_path / 'out')!r}), threads=1)\n"
    )
    paths = [str(ROOT), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),  # cold, so that both want to fill it
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"two processes could not be run here: {error}")
    if done.returncode and "train_clip" not in done.stderr:
        pytest.skip(f"torchrun cannot start here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = read_log(tmp_path / "out")
    assert [r["epoch"] for r in rows] == ["1", "2"]
    assert all(np.isfinite(float(rows[0][k])) for k in OBJECTIVES)
    load_model(tmp_path / "out" / "model").classify(simulate("af"), ["AF"])


def test_a_model_that_never_had_a_condition_is_asked_of_it_afterwards(toy, tmp_path):
    plan = recipe(unseen=["left-bundle-branch-block"])
    model = load_model(train_clip(plan, toy, toy / "text", tmp_path, threads=1))
    assert model.kb.digest == KnowledgeBase.load().digest, "of the whole knowledge base"
    assert "left-bundle-branch-block" not in model.config.training["concepts"]
    assert model.prompt("LBBB").concept.id == "left-bundle-branch-block"
