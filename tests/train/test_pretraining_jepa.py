"""JEPA: a teacher that sees everything, a predictor that does not, and tokens that do not collapse."""

import pytest
import torch
import torch.nn.functional as F
from signals import Seen, gradients, losses, make, rank_and_spread, seeded, simulated, sparse, train, with_other_padding

from ecgclip.train.pretraining.jepa import JEPA, JEPASizes


@pytest.fixture(scope="module")
def trained():
    """A task before and after training, and its batch."""
    batch, task = simulated(6), make(JEPA, JEPASizes())
    start = losses(task, batch)["jepa"], rank_and_spread(task.backbone, batch)
    train(task, batch, 60)
    return start, task, batch


def test_it_learns_what_the_teacher_sees(trained):
    (start, _), task, batch = trained
    loss = losses(task, batch)["jepa"]
    targets = task.targets(batch["signal"], batch["mask"], batch["length"])
    mean = targets.mean((0, 1)).expand_as(targets)
    assert loss < 0.7 * start
    assert loss < 0.9 * F.smooth_l1_loss(mean, targets)


def test_the_tokens_of_patients_stay_apart(trained):
    (_, (rank, spread)), task, batch = trained
    after = rank_and_spread(task.backbone, batch)
    assert after[0] > 0.6 * rank
    assert after[1] > 0.6 * spread


def test_the_teacher_sees_the_signal_and_the_backbone_only_a_part():
    batch, task = simulated(3), make(JEPA, JEPASizes(share=0.6, stretch=5))
    whole, part = Seen(task.teacher), Seen(task.backbone)
    seeded(task, batch)
    torch.testing.assert_close(whole.arguments[0][0], batch["signal"])
    seen, signal = (x.unflatten(2, (125, 8)).transpose(1, 2) for x in (part.arguments[0][0], batch["signal"]))
    hidden = (seen == 0).all(3).all(2)
    assert (hidden.sum(1) == 75).all()
    torch.testing.assert_close(seen[~hidden], signal[~hidden])


def test_only_hidden_tokens_are_predicted():
    task, made = make(JEPA, JEPASizes(share=0.6)), []
    part = Seen(task.backbone)
    task.out.register_forward_hook(lambda _, __, output: (output.retain_grad(), made.append(output))[0])
    gradients(task, simulated(2))
    hidden = (part.arguments[0][0].unflatten(2, (125, 8)) == 0).all(3).all(1)
    assert (made[0].grad[~hidden] == 0).all()
    assert (made[0].grad[hidden] != 0).any(1).all()


def test_targets_have_no_scale_no_dropout_and_no_gradient():
    batch, task = simulated(2), make(JEPA, JEPASizes()).train()
    first, second = (task.targets(batch["signal"], batch["mask"], batch["length"]) for _ in range(2))
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first.mean(-1), torch.zeros(2, 125), atol=1e-4, rtol=0)
    assert ((first.var(-1, correction=0) - 1).abs() < 0.05).all()
    assert not any(p.requires_grad for p in task.teacher.parameters())


def test_the_teacher_follows_ever_slower():
    task = make(JEPA, JEPASizes(momentum=0.9))
    old, new = next(task.teacher.parameters()), next(task.backbone.parameters())
    torch.nn.init.zeros_(old), torch.nn.init.ones_(new)
    task.after_step(0, 10)
    torch.testing.assert_close(old, torch.full_like(old, 0.1))
    torch.nn.init.zeros_(old)
    task.after_step(9, 10)
    torch.testing.assert_close(old, torch.full_like(old, 0.01))
    assert (new == 1).all()


def test_a_checkpoint_has_the_teacher(trained):
    _, task, batch = trained
    resumed = make(JEPA, JEPASizes())
    assert seeded(resumed, batch)["jepa"] != seeded(task, batch)["jepa"]
    resumed.load_state_dict(task.state_dict())
    assert seeded(resumed, batch)["jepa"] == seeded(task, batch)["jepa"]


def test_what_is_not_recorded_changes_nothing():
    batch, task = sparse(), make(JEPA, JEPASizes())
    assert seeded(task, batch) == seeded(task, with_other_padding(batch))


@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_are_finite_with_one_lead_and_without_any(mixed):
    drawn, grads = gradients(make(JEPA, JEPASizes()), sparse(), mixed)
    assert drawn["jepa"].dtype == torch.float32
    assert torch.isfinite(drawn["jepa"])
    assert all(torch.isfinite(grad).all() for grad in grads)
