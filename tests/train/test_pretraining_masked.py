"""The masked autoencoder: it rebuilds what is hidden; small waves count; prototypes are shared out at every grain."""

from dataclasses import replace

import pytest
import torch
from signals import (
    Seen,
    gradients,
    losses,
    make,
    rank_and_spread,
    seeded,
    simulated,
    sparse,
    train,
    with_other_padding,
)
from torch import nn
from toy_beats import tiny_backbone

from ecgclip.train.pretraining.masked import Masked, MaskedSizes, Prototypes, balanced, grains

SIZES = MaskedSizes(frequencies=4, grains=(8, 6, 4))


@pytest.fixture(scope="module")
def trained():
    """A task and its batch, the losses before the training, when a flat line is what is rebuilt, and those after it."""
    batch = simulated(seconds=4)
    task = make(Masked, replace(SIZES, share=0.3, stretch=2, leads=0.5, grains=(16, 12, 8)), backbone=tiny_backbone())
    start, apart = losses(task, batch), rank_and_spread(task.backbone, batch)
    train(task, batch, 80, lr=1e-2)
    return start, losses(task, batch), apart, rank_and_spread(task.backbone, batch)


def test_it_learns_to_rebuild_samples_and_spectrum_better_than_by_the_mean(trained):
    start, after, _, _ = trained
    assert after["samples"] < 0.95 * start["samples"]
    assert after["spectrum"] < 0.9 * start["spectrum"]


def test_it_learns_to_tell_prototypes(trained):
    start, after, _, _ = trained
    evenly = SIZES.prototypes * float(torch.tensor([16, 12, 8]).log().mean())  # whoever tells all alike
    assert after["prototypes"] < 0.6 * start["prototypes"]
    assert after["prototypes"] < 0.6 * evenly


def test_the_tokens_of_patients_stay_apart(trained):
    _, _, (rank, spread), after = trained
    assert after[0] > 0.4 * rank
    assert after[1] > 2 * spread


def test_the_backbone_sees_neither_hidden_stretches_nor_hidden_leads():
    batch, task = simulated(3), make(Masked, replace(SIZES, share=0.4, leads=0.25))
    part = Seen(task.backbone)
    seeded(task, batch)
    (seen, mask, _), (whole, all_leads, _) = part.arguments
    assert (mask.sum(1) == 9).all()
    assert (seen[~mask] == 0).all()
    seen, signal = (x.unflatten(2, (125, 8)).transpose(1, 2) for x in (seen, batch["signal"]))
    hidden = (seen == 0).all(3).all(2)
    assert (hidden.sum(1) == 50).all()
    recorded = mask[:, None] & ~hidden[..., None]
    torch.testing.assert_close(seen[recorded], signal[recorded])
    torch.testing.assert_close(whole, batch["signal"])  # whose prototypes are to be told
    assert all_leads.all()


def test_only_what_is_hidden_counts():
    task = make(Masked, SIZES)
    signal, there = simulated(2)["signal"], torch.ones(2, 12, 1000, dtype=torch.bool)
    lost = torch.zeros_like(there)
    lost[:, 3, 100:300] = True
    rebuilt = torch.randn(2, 125, 96, requires_grad=True)
    torch.stack(list(task._signal_losses(rebuilt, signal, there, lost).values())).sum().backward()
    counted = (rebuilt.grad != 0).unflatten(2, (12, 8)).transpose(1, 2).flatten(2)
    assert (counted <= lost).all()
    assert counted[lost].float().mean() > 0.99
    assert losses(make(Masked, replace(SIZES, share=0.0, leads=0.0)), simulated(2), draws=1) == dict.fromkeys(
        ("samples", "spectrum", "prototypes"), 0.0
    )


def test_a_small_wave_counts_in_the_spectrum_as_the_same_error_in_a_high_one_does_not():
    time = torch.arange(1000) / 100
    p, qrs = (amplitude * torch.exp(-(((time - at) / 0.03) ** 2)) for amplitude, at in ((0.1, 3.0), (1.0, 6.0)))
    signal = (p + qrs).expand(1, 12, -1)
    there = torch.ones_like(signal, dtype=torch.bool)

    def of(rebuilt):
        tokens = rebuilt.expand(1, 12, -1).unflatten(2, (125, 8)).transpose(1, 2).flatten(2)
        return make(Masked, SIZES)._signal_losses(tokens, signal, there, there)

    without_p, low_qrs, exact = of(qrs), of(p + 0.9 * qrs), of(p + qrs)
    torch.testing.assert_close(without_p["samples"], low_qrs["samples"], rtol=0.02, atol=0)
    assert without_p["spectrum"] > 3 * low_qrs["spectrum"]
    assert exact["samples"] == exact["spectrum"] == 0


def test_every_lead_counts_alike():
    task, there = make(Masked, SIZES), torch.ones(1, 12, 1000, dtype=torch.bool)
    signal = simulated(1)["signal"]
    high = signal.clone()
    high[:, 6] *= 3

    def lead(signal, hidden):
        lost = torch.zeros_like(there)
        lost[:, hidden] = True
        return task._signal_losses(torch.zeros(1, 125, 96), signal, there, lost)["samples"]

    torch.testing.assert_close(lead(signal, 6), lead(high, 6))


def test_no_prototype_gets_all():
    torch.manual_seed(0)
    rows = torch.randn(600, 8) * 0.1 + torch.tensor([1.0, *[0.0] * 7])  # all but one direction is rare
    directions = nn.functional.normalize(torch.eye(8) + 0.05, dim=1)
    cosines = nn.functional.normalize(rows, dim=1) @ directions.T
    assert (cosines.argmax(1) == 0).all()
    assigned = balanced(cosines)
    torch.testing.assert_close(assigned.sum(1), torch.ones(600))
    assert assigned.mean(0).min() > 0.5 / 8
    assert assigned.mean(0).max() < 2 / 8


def test_a_prototype_is_told_by_what_is_near_it_and_moves_towards_it():
    prototypes = Prototypes(2)
    x = torch.zeros(2, prototypes.directions.shape[1])
    x[0, 0] = x[1, 1] = 1.0
    with torch.no_grad():
        prototypes.directions.copy_(x + 0.1)
    right, wrong = prototypes(x, x), prototypes(x.flip(0), x)
    assert right < 0.1 < wrong
    right.backward()
    assert prototypes.directions.grad[0, 0] <= 0 <= prototypes.directions.grad[0, 1]
    assert prototypes(x[:0], x[:0]) == 0


def test_grains_are_tokens_heartbeats_and_windows():
    is_signal = torch.arange(20)[None] < torch.tensor([[20], [10]])
    r_peaks = torch.tensor([[0.4, 1.2, torch.nan], [0.4, torch.nan, torch.nan]])
    tokens, beats, windows = grains(is_signal, r_peaks)
    torch.testing.assert_close(tokens, torch.diag_embed(is_signal))
    assert beats[0, 0].nonzero().flatten().tolist() == list(range(1, 11))  # 0.08 s to 0.88 s
    assert beats[0, 1].nonzero().flatten().tolist() == list(range(11, 20))
    assert beats[1, 0].nonzero().flatten().tolist() == list(range(1, 10))  # then the padding begins
    assert not beats[:, 2].any()
    torch.testing.assert_close(windows[:, 0], is_signal)


@pytest.mark.parametrize("name", ["spectrum", "prototypes"])
def test_a_weight_of_0_leaves_a_loss_out(name):
    task = make(Masked, replace(SIZES, **{name: 0.0}))
    calls = Seen(task.backbone)
    drawn = seeded(task, simulated(2))
    assert drawn.keys() == {"samples", "spectrum", "prototypes"} - {name}
    assert len(calls.arguments) == (1 if name == "prototypes" else 2)
    double = seeded(make(Masked, replace(SIZES, **{name: 2 * getattr(SIZES, name)})), simulated(2))
    torch.testing.assert_close(double[name], 2 * seeded(make(Masked, SIZES), simulated(2))[name])


def test_what_is_not_recorded_changes_nothing():
    batch, task = sparse(), make(Masked, SIZES)
    assert seeded(task, batch) == seeded(task, with_other_padding(batch))


@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_are_finite_with_one_lead_and_without_any(mixed):
    drawn, grads = gradients(make(Masked, SIZES), sparse(), mixed)
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in drawn.values())
    assert all(torch.isfinite(grad).all() for grad in grads)
    batch = sparse()
    batch["r_peaks"][:] = torch.nan
    assert all(torch.isfinite(loss) for loss in seeded(make(Masked, SIZES), batch).values())
