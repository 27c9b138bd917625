"""Training: finishes, resumes to the same weights, learns, and never sees a patient of the validation part."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from toy import recipe, write_mimic, write_ptb_xl
from typer.testing import CliRunner

import ecgclip
from ecgclip.cli.app import app
from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.data.windows import LIMB, keep_leads
from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.measure.vector import feature_names
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.model.weights import weights_hash
from ecgclip.networks.tokenizer import TextConfig, load_tokenizer
from ecgclip.simulate import simulate
from ecgclip.train.aligner import Aligner
from ecgclip.train.augment import augment
from ecgclip.train.batches import Batches
from ecgclip.train.clip import train_clip
from ecgclip.train.finish import SIGNAL_WEIGHTS, signal_weights, weigh_signal, weight_scores
from ecgclip.train.loop import _cosine, _resume, _save
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, corpus, load_split
from ecgclip.train.text import train_text
from ecgclip.train.validation import encode_windows

LOSSES = ("clip", "statements", "ranking", "findings", "beats", "synonyms", "views")
ROOT = Path(ecgclip.__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Prepared windows of the toy data, away from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with ptb-xl/ of 24 simulated records, and text/, the pretrained text encoder."""
    root = tmp_path_factory.mktemp("toy")
    write_ptb_xl(root / "ptb-xl")
    train_text(recipe(), root, root / "text", threads=1)
    return root


@pytest.fixture(scope="module")
def trained(toy):
    """The output folder of two joint epochs and a locked one, without a break."""
    train_clip(recipe(), toy, toy / "text", toy / "clip", threads=1)
    return toy / "clip"


@pytest.fixture(scope="module")
def batches(toy):
    kb = KnowledgeBase.load()
    config = TextConfig(**json.loads((toy / "text" / "text.json").read_text()))
    torch.manual_seed(0)
    model = ECGCLIP(ModelConfig(recipe().ecg_config, config), load_tokenizer(toy / "text", config), kb)
    splits = load_split(recipe(), toy, kb, validation=False)
    return Batches(recipe(), splits, model), model, splits


def log(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


# --- recipes and splits -----------------------------------------------------------------------------------------------


def test_the_shipped_recipe_is_within_its_promises():
    shipped = Recipe.load(asset_path("recipes/default.yaml"))
    assert 9 not in shipped.data["ptb-xl"]["folds"] and 10 not in shipped.data["ptb-xl"]["folds"]
    assert "challenge-2020" not in shipped.data and set(shipped.losses) == set(LOSSES)
    assert shipped.ecg_config.sampling_rate == 100 and shipped.text_config.dim == shipped.ecg_config.dim


@pytest.mark.parametrize("text", ["name: x", "- a", "a: [", "nonsense: 1", ""])
def test_a_bad_recipe_is_one_line(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(EcgclipError, match=r"r\.yaml") as error:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(error.value)


def test_no_patient_is_in_training_and_validation_and_test_parts_are_in_neither(toy, monkeypatch):
    monkeypatch.setattr("ecgclip.train.sources.load_windows", lambda *args, **kwargs: None)
    kb, plan = KnowledgeBase.load(), recipe(test_part={"ptb-xl": 4})
    parts = [{c.patient for c in load_split(plan, toy, kb, v)["ptb-xl"].cases} for v in (False, True)]
    everyone = {c.patient: c for v in (False, True) for c in load_split(recipe(), toy, kb, v)["ptb-xl"].cases}
    assert all(parts) and not parts[0] & parts[1]
    assert parts[0] | parts[1] == {p for p, c in everyone.items() if c.share(4)} != set(everyone)
    assert {c.fold for c in everyone.values()} <= set(range(1, 9))


def test_a_small_folder_still_holds_a_patient_out(toy, monkeypatch):
    monkeypatch.setattr("ecgclip.train.sources.load_windows", lambda *args, **kwargs: None)
    kb, plan = KnowledgeBase.load(), recipe(validation_part=1_000_003)
    parts = [{c.patient for c in load_split(plan, toy, kb, v)["ptb-xl"].cases} for v in (False, True)]
    assert len(parts[1]) == 1 and len(parts[0]) > 5 and not parts[0] & parts[1]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"ecg": {"sampling_rate": 257}}, "multiple of 50 Hz"),
        ({"ecg": {"wide": 1}}, "wide"),
        ({"measured": {"epochs": 0}}, "untrained"),
        ({"text": {"tall": 1}}, "tall"),
        ({"ecg": {"members": 0}}, "members 0"),
        ({"measured": {"epochs": 1, "lr": 1e-3, "statements": 1.0, "findings": 1.0}}, "measured lacks ranking"),
        ({"data": {"mimic": {"path": "x"}}}, "mimic"),
        ({"captions": {"epochs": 8}}, "captions"),
        ({"losses": {"clip": 0.5, "caption": 0.25}}, "no loss 'caption'"),
        ({"data": None}, "recipe"),
        ({"unseen": "left-bundle-branch-block"}, "no list of concepts"),
        ({"unseen": 7}, "no list of concepts"),
        ({"unseen": ["left-bundle-branch"]}, "no concept 'left-bundle-branch'"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_one_line(tmp_path, change, words):
    import yaml

    plan = yaml.safe_load(asset_path("recipes/default.yaml").read_text()) | change
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(EcgclipError, match=words) as error:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(error.value) and "r.yaml" in str(error.value)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_step_draws_the_same_batch_again_and_other_steps_another(batches):
    draw = batches[0]
    a, b, other = draw(3), draw(3), draw(4)
    assert a.keys() == b.keys() and all(torch.equal(a[k].nan_to_num(), b[k].nan_to_num()) for k in a)
    assert not torch.equal(a["signal"], other["signal"])


def test_an_epoch_shows_every_window_once_to_one_process_or_two(batches):
    _, model, splits = batches
    n = len(splits["ptb-xl"].windows)
    plan = recipe(data={"ptb-xl": {**recipe().data["ptb-xl"], "per_step": n // 2}})
    alone = Batches(plan, splits, model)
    assert sorted(np.concatenate([alone.rows("ptb-xl", s) for s in (0, 1)])) == list(range(n))
    pair = [Batches(plan, splits, model, rank, 2) for rank in (0, 1)]
    assert sorted(np.concatenate([p.rows("ptb-xl", 0) for p in pair])) == list(range(n))
    assert len(alone.rows("ptb-xl", 5)) == n // 2


@pytest.mark.parametrize("off", LOSSES)
def test_each_loss_can_be_switched_off_by_its_weight(batches, off):
    draw, model, _ = batches
    losses = Aligner(model, 0.5)(draw(0), {**recipe().losses, off: 0})
    assert set(losses) == set(LOSSES) - {off} and all(v.isfinite() for v in losses.values())


def test_once_texts_are_locked_whole_ones_are_drawn_only_for_losses_that_read_them(batches):
    _, model, splits = batches
    for losses in ({"statements": 5.0, "ranking": 0.5, "findings": 2.5}, {"statements": 5.0, "clip": 0.5}):
        draw = Batches(recipe(locked={**recipe().locked, "losses": losses}), splits, model)
        draw.lock(model)
        batch = draw(0)
        assert ("text_ids" in batch) == ("clip" in losses)
        found = Aligner(model, 0.5)(batch, losses)
        assert set(found) == set(losses) and all(v.isfinite() for v in found.values())


def test_every_loss_reaches_what_it_should_train(batches):
    draw, model, _ = batches
    reaches = {"clip": "text.", "views": "ecg.rhythm_out", "beats": "ecg.beat_out"}
    reaches["ranking"] = "ecg.rhythm_out"
    for loss, part in reaches.items():
        aligner = Aligner(model, 0.5)
        aligner.zero_grad()
        aligner.train()(draw(0), {loss: 1})[loss].backward()
        moved = [n for n, p in aligner.model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
        assert any(n.startswith(part) for n in moved) and any(n.startswith("ecg.stem") for n in moved), loss


# --- augmentation -----------------------------------------------------------------------------------------------------


def toy_batch(rng, n=6):
    length = rng.integers(200, 1001, n)
    times = np.full((n, 40), np.nan, np.float32)
    truth = np.full((n, 40, 3), UNKNOWN, np.int8)
    for i in range(n):
        at = np.arange(0.4, length[i] / 100 - 0.005, 0.7)
        times[i, : len(at)] = at
        truth[i, : len(at)] = 0
    signal = rng.standard_normal((n, 12, 1000)).astype(np.float32) * (np.arange(1000) < length[:, None, None])
    mask = rng.random((n, 12)) < 0.8
    mask[:, 1] = True
    return {
        "signal": signal * mask[..., None],
        "leads": np.stack([mask, mask & (np.arange(12) < 2)], 1),
        "features": rng.standard_normal((n, 2, len(feature_names()))).astype(np.float32),
        "r_peaks": times,
        "length": length,
        "beat_truth": truth,
        "statement_truth": np.ones((n, 2), np.int8),
    }


STRONG = {"drop_leads": 0.8, "gain": 0.3, "noise": 0.1, "wander": 0.1, "mains": 0.05, "crop": 0.8}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
@example(493)  # a peak in the very sample where the crop ends
def test_augmented_windows_stay_possible_windows(seed):
    rng = np.random.default_rng(seed)
    batch = toy_batch(rng)
    kept = {k: v.copy() for k, v in batch.items()}
    out = augment(batch, STRONG, rng)
    assert all(np.array_equal(batch[k], kept[k], equal_nan=k == "r_peaks") for k in batch), "the input is left alone"
    assert out["mask"].any(1).all() and (out["mask"] <= batch["leads"][:, 0]).all()
    assert (out["length"] <= batch["length"]).all() and (out["length"] >= 200).all()
    inside = np.isnan(out["r_peaks"]) | ((out["r_peaks"] >= 0) & (out["r_peaks"] * 100 < out["length"][:, None]))
    assert inside.all() and (np.diff(out["r_peaks"])[~np.isnan(np.diff(out["r_peaks"]))] > 0).all()
    assert ((out["beat_truth"][..., 0] != UNKNOWN) == ~np.isnan(out["r_peaks"])).all(), "truth moves with its beat"
    assert np.isfinite(out["signal"]).all() and not out["signal"][~out["mask"]].any()
    for row, n in zip(out["signal"], out["length"], strict=True):
        assert not row[:, n:].any()


def test_a_crop_keeps_the_beats_at_their_r_peaks():
    rng = np.random.default_rng(0)
    batch = toy_batch(rng)
    batch["signal"] = np.zeros_like(batch["signal"])
    for i, row in enumerate(batch["r_peaks"]):
        batch["signal"][i, :, np.round(row[~np.isnan(row)] * 100).astype(int)] = 1
    batch["leads"][:] = True
    out = augment(batch, dict.fromkeys(STRONG, 0.0) | {"crop": 1.0}, rng)
    assert (out["length"] < batch["length"]).any()
    for signal, row in zip(out["signal"], out["r_peaks"], strict=True):
        assert np.flatnonzero(signal[0]).tolist() == np.round(row[~np.isnan(row)] * 100).astype(int).tolist()


def test_without_strength_nothing_changes():
    rng = np.random.default_rng(0)
    batch = toy_batch(rng)
    out = augment(batch, dict.fromkeys(STRONG, 0.0), rng)
    batch |= {"mask": batch.pop("leads")[:, 0], "measured": batch.pop("features")[:, 0]}
    assert all(np.array_equal(out[k], batch[k], equal_nan=k == "r_peaks") for k in out)


def test_measurements_follow_the_leads_and_the_gain(batches):
    _, model, splits = batches
    plan = recipe(augment={**recipe().augment, "drop_leads": 0.5, "gain": 0.3})
    draw = Batches(plan, splits, model)
    draw.lock(model)
    windows, rows = splits["ptb-xl"].windows, draw.rows("ptb-xl", 0)
    measured = draw.measurements(0)["measured"].numpy()
    names = list(feature_names())
    untouched = [names.index(n) for n in names if not n.split(":")[0].endswith("_mv")]
    variants = []
    for row, drawn in zip(rows, measured, strict=True):
        own = windows.features[row]
        same = [v for v in range(len(own)) if np.array_equal(own[v, untouched], drawn[untouched], equal_nan=True)]
        assert same, "all but the voltages are those of one subset of the leads"
        variants.append(same[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = drawn / own[same[0]]
        voltages = [i for i in range(len(names)) if i not in untouched and np.isfinite(ratio[i])]
        assert np.ptp(ratio[voltages]) < 1e-3 and abs(ratio[voltages[0]] - 1) > 1e-4
    assert 0 in variants and max(variants) > 0


def test_the_signal_is_weighed_by_validation_and_branches_learn_apart(trained, toy):
    model = load_model(trained / "model")
    held_out = load_split(recipe(), toy, model.kb, validation=True)
    scores = signal_weights(model, held_out)
    assert float(model.ecg.signal_weight) == max(scores, key=scores.get) and set(scores) == set(SIGNAL_WEIGHTS)
    windows = held_out["ptb-xl"].windows
    both = encode_windows(model, windows).rhythm
    alone = encode_windows(model, windows, measured=False).rhythm
    measured = model.ecg.measured(torch.from_numpy(windows.features[:, 0].copy()))
    expected = torch.nn.functional.normalize(measured + model.ecg.signal_weight * alone, dim=-1)
    assert torch.allclose(both, expected, atol=1e-5)


def test_the_figure_that_is_kept_is_not_the_one_that_the_choice_was_made_by(trained, toy, monkeypatch):
    """Signals that say nothing: the best of six is above chance, what the others' best says of a fold is not."""
    model = load_model(trained / "model")
    cases = [Case("s", f"r{i}", str(i)) for i in range(100)]
    held_out = {"ptb-xl": Split(cases, SimpleNamespace(case=np.arange(100)))}
    best, apart = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(len(SIGNAL_WEIGHTS), 2, 100, 3)), (rng.random((100, 3)) < 0.5).astype(np.int8)
        monkeypatch.setattr("ecgclip.train.finish.weighted_similarity", lambda *_, noise=noise: noise)
        figures = weigh_signal(model, held_out)
        best.append(max(weight_scores(*noise)))
        apart.append(figures["auroc"])
        assert len(figures["signal_weights"]) == 5
        assert float(model.ecg.signal_weight) == SIGNAL_WEIGHTS[int(np.argmax(weight_scores(*noise)))]
    assert np.mean(best) > 0.52 and abs(np.mean(apart) - 0.5) < 0.015


def test_leads_are_kept_as_devices_have_them():
    rng = np.random.default_rng(0)
    kept = [keep_leads(rng) for _ in range(2000)]
    assert all(k.any() for k in kept)
    assert all(k[LIMB].sum() in (0, 1, 6) for k in kept), "two limb leads give all six"
    single = [int(np.flatnonzero(k)[0]) for k in kept if k.sum() == 1]
    assert len(single) > 600 and set(single) == set(range(12))


# --- text alone -------------------------------------------------------------------------------------------------------


def test_pretraining_text_writes_what_alignment_starts_from_and_repeats_itself(toy, tmp_path):
    assert {p.name for p in (toy / "text").iterdir()} == {
        "last",
        "log.csv",
        "text.json",
        "text.safetensors",
        "tokenizer.model",
    }
    train_text(recipe(), toy, tmp_path, threads=1)
    for name in ("tokenizer.model", "text.safetensors"):
        assert (tmp_path / name).read_bytes() == (toy / "text" / name).read_bytes(), name


def test_interrupted_pretraining_goes_on_to_the_same_text_encoder(toy, tmp_path, monkeypatch):
    plan = recipe(pretraining={"epochs": 2, "batch": 256, "lr": 1e-3})
    whole = train_text(plan, toy, tmp_path / "whole", threads=1)
    rate = _cosine

    def stop(step, steps, warmup):
        if step == steps - 1:  # the last one of the second epoch
            raise KeyboardInterrupt
        return rate(step, steps, warmup)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ecgclip.train.text._cosine", stop)
        train_text(plan, toy, tmp_path / "broken", threads=1)
    assert [r["epoch"] for r in log(tmp_path / "broken")] == ["1"]
    broken = train_text(plan, toy, tmp_path / "broken", threads=1)
    assert (broken / "text.safetensors").read_bytes() == (whole / "text.safetensors").read_bytes()


# --- alignment --------------------------------------------------------------------------------------------------------


def test_a_trained_folder_loads_and_classifies(trained):
    model = load_model(trained / "model")
    result = model.classify(simulate("lbbb", seed=900), labels=["LBBB", "normal ECG"])
    assert [s.concept for s in result.scores] == ["left-bundle-branch-block", "normal-ecg"]
    assert all(0 < s.probability < 1 for s in result.scores)
    assert model.config.training["recipe"]["name"] == "toy" and len(model.config.training["data_sha256"]) == 64
    assert 0 < len(model.reference) <= 512
    figures = model.config.training["cross_fitted"]
    assert figures.keys() == {"auroc", "signal_weights", "ece", "f1"} and 0 < len(figures["signal_weights"]) <= 5
    assert model.config.training["split"] == {"ptb-xl": {"folds": list(range(1, 9))}}


def test_the_log_has_every_loss_of_every_epoch(trained):
    rows = log(trained)
    assert [r["epoch"] for r in rows] == ["1", "2", "3"]
    joint, locked = recipe().losses, recipe().locked["losses"]
    assert all(float(r[k]) > 0 for r in rows for k in (locked if r["epoch"] == "3" else joint))
    assert rows[-1]["synonyms"] == "", "nothing is learnt of texts once they are locked"
    assert rows[-1]["validation_auroc"]


@pytest.mark.parametrize("at,done", [(3, ["1"]), (5, ["1", "2"])], ids=["joint", "locked"])
def test_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    toy, trained, tmp_path, monkeypatch, at, done
):
    draw = Batches.__call__

    def stop(self, step):
        if step == at:  # in the middle of an epoch
            raise KeyboardInterrupt
        return draw(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Batches, "__call__", stop)
        train_clip(recipe(), toy, toy / "text", tmp_path, threads=1)
    assert [r["epoch"] for r in log(tmp_path)] == done and not (tmp_path / "model").exists()
    train_clip(recipe(), toy, toy / "text", tmp_path, threads=1)
    once, twice = (load_file(f / "model" / "model.safetensors") for f in (trained, tmp_path))
    assert once.keys() == twice.keys()
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, atol=1e-6, rtol=0, msg=name)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in log(f)] for f in (trained, tmp_path)]
    assert without_time[0] == without_time[1]


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
    _save(tmp_path / "whole", plan, *states[1], 1)
    shutil.copytree(tmp_path / "whole", tmp_path / "first")
    _save(tmp_path / "whole", plan, *states[2], 2)  # once without a break, so that all is imported
    for at in range(30):
        folder = tmp_path / str(at) / "last"
        shutil.copytree(tmp_path / "first", folder)
        INTERRUPTED.update(at=at, seen=0)
        try:
            _save(folder, plan, *states[2], 2)
            finished = INTERRUPTED["at"] >= 0
        except KeyboardInterrupt:
            pass
        INTERRUPTED["at"] = -1
        modules, optimiser = trained_for(0)
        step = _resume(folder, plan, modules, optimiser)
        assert step in (1, 2) and torch.equal(modules["model"].weight, weights[step]), at
        assert optimiser.state_dict()["state"][0]["step"] == step
        if finished:
            break
    assert finished and step == 2 and at > 2
    (folder / "state.safetensors.0123456789ab.partial").write_bytes(b"half")  # what kill -9 leaves behind
    _save(folder, plan, *states[2], 2)
    assert [file.name for file in folder.iterdir()] == ["state.safetensors"]


def test_a_checkpoint_of_another_recipe_is_refused_and_kept(toy, trained):
    before = (trained / "last" / "state.safetensors").read_bytes()
    with pytest.raises(EcgclipError, match="another recipe") as error:
        train_clip(recipe(lr=1e-4), toy, toy / "text", trained, threads=1)
    assert "\n" not in str(error.value) and str(trained) in str(error.value)
    assert (trained / "last" / "state.safetensors").read_bytes() == before


def test_a_finished_training_started_again_only_writes_the_model_again(toy, trained):
    before = load_file(trained / "model" / "model.safetensors")
    train_clip(recipe(), toy, toy / "text", trained, threads=1)
    after = load_file(trained / "model" / "model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before) and len(log(trained)) == 3


def test_training_learns(toy, tmp_path):
    plan = recipe(
        epochs=32,
        locked={**recipe().locked, "epochs": 8, "lr": 3e-3},
        measured={**recipe().measured, "epochs": 40, "lr": 3e-3},
        augment=dict.fromkeys(STRONG, 0.0),
        losses={**recipe().losses, "synonyms": 0},
    )
    model = load_model(train_clip(plan, toy, toy / "text", tmp_path, threads=1))
    rows = log(tmp_path)
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
        "from pathlib import Path\nfrom toy import recipe\nfrom ecgclip.train import train_clip\n"
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
    rows = log(tmp_path / "out")
    assert [r["epoch"] for r in rows] == ["1", "2"] and all(np.isfinite(float(rows[0][k])) for k in LOSSES)
    load_model(tmp_path / "out" / "model").classify(simulate("af"), ["AF"])


# --- conditions never heard of ----------------------------------------------------------------------------------------


def test_unseen_conditions_are_in_no_text_and_no_target(toy, tmp_path):
    kb, plan = KnowledgeBase.load(), recipe(unseen=["left-bundle-branch-block"])
    rest = kb.without(plan.unseen)
    assert "incomplete-left-bundle-branch-block" not in rest.concepts, "named after it"
    said = corpus(plan, toy, kb)
    assert any("linksschenkelblock" in t.lower() for t in corpus(recipe(), toy, kb))
    assert not [
        t for t in said if re.search(r"\b(?:LBBB|linksschenkelblock|left bundle.branch block)\b", t, re.IGNORECASE)
    ]
    split = load_split(plan, toy, kb, validation=False)["ptb-xl"]
    assert all("left-bundle-branch-block" not in c.statements for c in split.cases)
    block = [c for c in split.cases if c.statements.get("conduction-disturbance")]
    assert block and not any(c.report for c in block), "its broader class stays, a report that names it does not"
    train_text(plan, toy, tmp_path / "text", threads=1)
    folder = train_clip(plan, toy, tmp_path / "text", tmp_path / "clip", threads=1)
    model = load_model(folder)
    assert model.kb.digest == kb.digest, "asked of the whole knowledge base afterwards"
    assert "left-bundle-branch-block" not in model.config.training["concepts"]
    assert model.prompt("LBBB").concept.id == "left-bundle-branch-block"


def test_a_finding_that_has_no_other_name_is_hidden_too(toy):
    """ST depression is measured, and every sentence that says so names it."""
    kb, plan = KnowledgeBase.load(), recipe(unseen=["st-depression"])
    config = TextConfig(**json.loads((toy / "text" / "text.json").read_text()))
    model = ECGCLIP(ModelConfig(plan.ecg_config, config), load_tokenizer(toy / "text", config), kb.without(plan.unseen))
    batch = Batches(plan, load_split(plan, toy, kb, validation=False), model)
    hidden = [k for k in finding_texts() if k not in batch.banks["finding"].keys]
    assert hidden and all(k.startswith("st_depression") for k in hidden)
    drawn = [batch(step) for step in range(4)]
    assert all(d["finding_truth"].shape[1] == len(d["finding_ids"]) for d in drawn)


def test_an_unknown_unseen_condition_is_one_line(toy, tmp_path):
    with pytest.raises(EcgclipError, match="no concept 'nonsense'"):
        train_text(recipe(unseen=["nonsense"]), toy, tmp_path, threads=1)


# --- the peers' protocol: MIMIC-IV-ECG alone, 500 Hz ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["merl", "melp"])
def test_the_peers_recipes_train_on_a_folder_in_mimics_layout_and_are_measured(toy, tmp_path, name, monkeypatch):
    """docs/peers.md from the first command to the last, the networks made small and the text encoder without the hub."""
    write_mimic(tmp_path / "mimic-iv-ecg", 12)
    plan = Recipe.load(asset_path(f"recipes/{name}.yaml"))
    assert plan.ecg_config.sampling_rate == 500 and list(plan.data) == ["mimic-iv-ecg"] and not plan.ecg["measured"]
    small = replace(
        plan,
        epochs=1,
        data={"mimic-iv-ecg": {"path": "mimic-iv-ecg", "per_step": 6}},
        validation_part=3,
        ecg={**plan.ecg, "width": 48, "heads": 3, "channels": [8, 8, 16], "layers": 1, "dim": 32},
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
    rows = log(tmp_path / "clip")
    assert float(rows[-1]["clip"]) > 0 and (rows[-1]["beats"] == "") == (name == "merl")
    results = json.loads((tmp_path / "super/results.json").read_text())
    assert results["records"] > 0 and results["weights_sha256"] == weights_hash(tmp_path / "clip/model")
    model = load_model(tmp_path / "clip/model")
    embedding = model.embed(simulate("af", seed=5, sampling_rate=250))
    assert embedding.prepared.encoder_signal.shape == (1, 12, 5000) and embedding.rhythm.shape == (1, 32)
    prompts = model.prompts(["AF"])
    assert np.isfinite(model.lead_evidence(embedding, prompts)).all()
