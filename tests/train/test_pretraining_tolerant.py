"""The tolerant task: corrupted views are sorted as a teacher sorts clean ones, and both agree with a description."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from toy_beats import CONFIG, fit, rank_and_spread, tiny_backbone, toy_ecgs

from ecgclip.measure.guideline import finding_texts
from ecgclip.networks.backbones import build_backbone
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.tolerant import retrieve
from ecgclip.train.pretraining.views import mean_token

KEYS = len(finding_texts())


def batch_of(count, seed=0, told=True):
    """Toy ECGs of which two findings are known, if any: a left axis and a high rate."""
    batch = toy_ecgs(count, seed)
    batch["findings"] = torch.full((count, KEYS), -1, dtype=torch.int8)
    if told:
        batch["findings"][:, 0], batch["findings"][:, 1] = batch["left"].to(torch.int8), batch["fast"].to(torch.int8)
    return batch


def task_of(backbone=None, **sizes):
    return build_task("tolerant", backbone or tiny_backbone(), CONFIG, {"dim": 16, "prototypes": 32, **sizes})


@torch.no_grad()
def vectors_of(module, batch):
    return mean_token(module, batch["signal"], batch["mask"], batch["length"], 100)


# ---------------------------------------------------------------------------------------------------------------------
# The teacher


def test_the_teacher_follows_the_student_and_gets_no_gradient():
    task = task_of()
    before, centre = copy.deepcopy(task.teacher.state_dict()), task.centre.clone()
    sum(task(batch_of(6)).values()).backward()
    assert all(p.grad is None and not p.requires_grad for p in task.teacher.parameters())
    assert not torch.equal(task.centre, centre)
    with torch.no_grad():
        for p in (*task.backbone.parameters(), *task.head.parameters()):
            p.add_(1.0)
    for step in (5000, 5001):
        task.after_step(step, 10000)
    for name, source in (("backbone", task.backbone), ("head", task.head)):
        for key, p in source.named_parameters():
            old = before[f"{name}.{key}"]
            expected = p - (p - old) * task.sizes.teacher_keep**2
            assert torch.allclose(task.teacher[name].get_parameter(key), expected, atol=1e-5), key


def test_the_teacher_and_the_centre_are_part_of_the_state():
    task = task_of()
    fit(task, lambda step: batch_of(6, seed=step), 3)
    other = task_of()
    other.load_state_dict(task.state_dict())
    batch = batch_of(6)
    for each in (task, other):
        each.eval()
    losses = []
    for each in (task, other):
        torch.manual_seed(0)
        losses.append(each(batch))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
    assert {"centre", "teacher.head.prototypes"} <= task.state_dict().keys()
    assert not any("teacher" in name for name, p in task.named_parameters() if p.requires_grad)


def test_the_teacher_sees_the_clean_ecg_without_dropout_and_the_student_both():
    task = task_of().train()
    seen = []
    task.teacher["backbone"].register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0])))
    task.backbone.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0], args[1])))
    batch = batch_of(40)
    task(batch)
    students, teachers = (next(row for row in seen if row[0] is training) for training in (True, False))
    assert torch.equal(teachers[1], batch["signal"])
    clean, corrupted = students[1].chunk(2)
    assert torch.equal(clean, batch["signal"])
    mask = students[2].chunk(2)[1]
    noisy = mask.all(1)
    assert 5 < noisy.sum() < 35 and mask[~noisy].sum(1).max() <= 6  # each of both corruptions in one batch
    assert ((corrupted - clean)[noisy].square().mean((1, 2)) > 0).all()
    assert torch.equal(corrupted[~noisy], clean[~noisy] * mask[~noisy][..., None])
    task.eval()
    once, again = task(batch)["distilled"], task(batch)["distilled"]
    assert once != again  # the student is asked about the corrupted ones, which differ each time


# ---------------------------------------------------------------------------------------------------------------------
# Collapse


def sorted_into(task, seeds=(20, 21)):
    """How much the teacher's choice tells of an ECG, in nats: entropy of all choices less that of each one."""
    batch = batch_of(48, seed=seeds[0])
    logits = task.teacher["head"](vectors_of(task.teacher["backbone"], batch))
    chosen = ((logits - task.centre) / task.sizes.teacher_temperature).softmax(-1)
    entropy = lambda p: -(p * p.clamp(min=1e-12).log()).sum(-1)
    return float(entropy(chosen.mean(0)) - entropy(chosen).mean())


def test_centring_keeps_the_teacher_from_choosing_one_prototype_for_all():
    told = {}
    for keep in (0.9, 1.0):
        task = task_of(centre_keep=keep, teacher_keep=0.95)
        fit(task, lambda step: batch_of(16, seed=step % 8, told=False), 60)
        told[keep] = sorted_into(task)
    assert told[0.9] > 0.5
    assert told[1.0] < 0.05


# ---------------------------------------------------------------------------------------------------------------------
# The description


def test_own_findings_stay_and_unknown_ones_come_from_the_most_similar():
    findings = torch.tensor(
        [
            [1, 1, 0, -1],
            [1, 1, 0, 1],  # like the first
            [1, 1, -1, 1],  # like the first
            [0, 0, 1, 0],  # unlike it
        ],
        dtype=torch.int8,
    )
    described = retrieve(findings, 2)
    present, absent = described.chunk(2, dim=1)
    assert present[0].tolist() == [1, 1, 0, 1] and absent[0].tolist() == [0, 0, 1, 0]
    assert present[3].tolist() == [0, 0, 1, 0] and absent[3].tolist() == [1, 1, 0, 1]
    alone = retrieve(findings[:1], 2)
    assert alone[0, [3, 7]].tolist() == [0, 0]  # neither present nor absent
    assert retrieve(findings, 1)[0, 3] == 1


def test_an_ecg_of_which_nothing_is_told_is_not_described():
    task = task_of().eval()
    batch = batch_of(6)
    assert task(batch_of(6, told=False))["described"] == 0
    student = torch.randn(12, CONFIG.width)
    batch["findings"][2] = -1
    rest = torch.tensor([0, 1, 3, 4, 5])
    loss = task._described(student, batch["findings"])
    student[[2, 8]] = 9.0
    assert torch.equal(loss, task._described(student, batch["findings"]))
    fewer = task._described(student[torch.cat([rest, rest + 6])], batch["findings"][rest])
    assert loss.item() == pytest.approx(fewer.item(), abs=1e-5)


def test_new_ecgs_clean_and_corrupted_fit_their_own_description():
    task = task_of()
    fit(task, lambda step: batch_of(16, seed=step % 8), 60)
    new = batch_of(48, seed=9)
    task.eval()
    for half in (0, 1):  # of the student's vectors: clean, then corrupted
        torch.manual_seed(0)
        signal, mask = task._corrupted(new["signal"], new["mask"], new["length"])
        clean = {name: new[name] for name in ("signal", "mask", "length")}
        vectors = vectors_of(task.backbone, clean | ({"signal": signal, "mask": mask} if half else {}))
        own, others = (task._described(vectors.repeat(2, 1), new["findings"].roll(by, 0)) for by in (0, 1))
        assert own < others - 0.2


# ---------------------------------------------------------------------------------------------------------------------
# Learning


def test_it_learns_to_sort_corrupted_ecgs_as_clean_ones_and_does_not_collapse():
    task = task_of(teacher_keep=0.95)

    def mistakes():
        """Share of the other ECGs' clean views that are nearer to a corrupted one than its own; 0.5 is chance."""
        task.eval()
        batch = batch_of(48, seed=9)
        torch.manual_seed(0)
        signal, mask = task._corrupted(batch["signal"], batch["mask"], batch["length"])
        clean = F.normalize(vectors_of(task.backbone, batch), dim=-1)
        corrupted = F.normalize(vectors_of(task.backbone, batch | {"signal": signal, "mask": mask}), dim=-1)
        cosine = corrupted @ clean.T
        return float((cosine > cosine.diagonal()[:, None]).float().mean())

    before = mistakes()
    log = fit(task, lambda step: batch_of(16, seed=step % 8), 100)
    mean = lambda rows, name: sum(row[name] for row in rows) / len(rows)
    assert mean(log[-8:], "distilled") < 0.75 * math.log(32)  # of a student that knows nothing of the ECG
    assert mean(log[-8:], "described") < 0.8 * log[0]["described"]
    assert mistakes() < 0.75 * before
    rank, spread = rank_and_spread(vectors_of(task.backbone, batch_of(48, seed=9)))
    assert rank > 3 and spread > 0.05


# ---------------------------------------------------------------------------------------------------------------------
# Any batch


def test_masked_leads_and_padding_change_nothing():
    task = task_of()
    batch = batch_of(4)
    batch["mask"][0, 3:], batch["length"][1] = False, 120
    other = batch | {"signal": batch["signal"].clone()}
    other["signal"][0, 3:], other["signal"][1, :, 120:] = 50.0, -50.0
    losses = []
    for each in (batch, other):
        torch.manual_seed(1)
        losses.append(copy.deepcopy(task)(each))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


@pytest.mark.parametrize("bfloat16", [False, True])
def test_one_lead_and_an_empty_ecg_give_finite_gradients(bfloat16):
    task = task_of(build_backbone(CONFIG)).train()
    batch = batch_of(5)
    batch["mask"][:, 1:] = False
    batch["mask"][3], batch["length"][4] = False, 0
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        losses = task(batch)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.backbone.parameters())
    batch["length"][:] = 0
    nothing = task(batch)
    assert all(loss == 0 for loss in nothing.values())
    sum(nothing.values()).backward()  # a training goes on
    assert task.centre.isfinite().all()
