"""Checkpoints: whole, however a run ends."""

import shutil
import sys

import pytest
import torch
from toy import recipe

from ecgclip.ecg import EcgclipError
from ecgclip.train.checkpoint import load_checkpoint, save_checkpoint

INTERRUPTED = {"at": -1, "seen": 0}  # a hook cannot be taken out again, only told to do nothing


def interrupt(event, _):
    if INTERRUPTED["at"] >= 0 and event in ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"):
        INTERRUPTED["seen"] += 1
        if INTERRUPTED["seen"] > INTERRUPTED["at"]:
            INTERRUPTED["at"] = -1
            raise KeyboardInterrupt


def test_a_run_that_is_killed_while_it_saves_goes_on_from_a_whole_checkpoint(tmp_path):
    """At each file that saving opens, moves or removes."""
    sys.addaudithook(interrupt)

    def trained_for(steps):
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        optimiser = torch.optim.AdamW(module.parameters(), 0.1)
        for _ in range(steps):
            module(torch.ones(1, 3)).sum().backward()
            optimiser.step()
        return {"model": module}, optimiser

    plan, states, finished = recipe(), {s: trained_for(s) for s in (1, 2)}, False
    weights = {s: modules["model"].weight.detach().clone() for s, (modules, _) in states.items()}
    save_checkpoint(tmp_path / "whole", plan, *states[1], 1)
    shutil.copytree(tmp_path / "whole", tmp_path / "first")
    save_checkpoint(tmp_path / "whole", plan, *states[2], 2)  # once without a break, so that all is imported
    for at in range(30):
        folder = tmp_path / str(at) / "last"
        shutil.copytree(tmp_path / "first", folder)
        INTERRUPTED.update(at=at, seen=0)
        try:
            save_checkpoint(folder, plan, *states[2], 2)
            finished = INTERRUPTED["at"] >= 0
        except KeyboardInterrupt:
            pass
        INTERRUPTED["at"] = -1
        modules, optimiser = trained_for(0)
        step = load_checkpoint(folder, plan, modules, optimiser)
        assert step in (1, 2), at
        assert torch.equal(modules["model"].weight, weights[step]), at
        assert optimiser.state_dict()["state"][0]["step"] == step
        if finished:
            break
    assert finished
    assert step == 2
    assert at > 2
    (folder / "state.safetensors.0123456789ab.partial").write_bytes(b"half")  # what kill -9 leaves behind
    save_checkpoint(folder, plan, *states[2], 2)
    assert [file.name for file in folder.iterdir()] == ["state.safetensors"]


def test_a_checkpoint_that_began_with_other_weights_is_refused(tmp_path):
    module = torch.nn.Linear(3, 2)
    optimiser, plan = torch.optim.AdamW(module.parameters()), recipe()
    save_checkpoint(tmp_path / "last", plan, {"model": module}, optimiser, 4, begins_with="one")
    assert load_checkpoint(tmp_path / "last", plan, {"model": module}, optimiser, begins_with="one") == 4
    for other in ("another", ""):
        with pytest.raises(EcgclipError, match="another pretrained backbone"):
            load_checkpoint(tmp_path / "last", plan, {"model": module}, optimiser, begins_with=other)
