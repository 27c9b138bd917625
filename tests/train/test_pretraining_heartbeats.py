"""HeartLang: heartbeats become words of a vocabulary, and hidden words are guessed from the rest of the ECG."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ecgclip.networks.backbones import build_backbone
from ecgclip.networks.config import ECGConfig
from ecgclip.simulate import simulate
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.heartbeats import Heartbeats, cut_beats, hide, places, vocabulary_beats

CONFIG = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32, dropout=0.0)
SIZES = {"codes": 48, "code_width": 8, "hidden": 32, "learning": 0.5}
V1 = 6
WORDS_ALONE, STEPS = 150, 60  # steps that teach the vocabulary alone, and those of a training


def batch_of(ecgs, columns=16):
    """A batch of simulated ECGs at 100 Hz, with the R peaks of their truth."""
    peaks = np.full((len(ecgs), columns), np.nan, np.float32)
    for row, ecg in zip(peaks, ecgs, strict=True):
        found = ecg.metadata["truth"]["r_peaks_s"][:columns]
        row[: len(found)] = found
    signal = torch.from_numpy(np.stack([ecg.signal for ecg in ecgs]))
    n, _, samples = signal.shape
    mask, length = torch.ones(n, 12, dtype=torch.bool), torch.full((n,), samples)
    return {"signal": signal, "mask": mask, "length": length, "r_peaks": torch.from_numpy(peaks)}


def task_of(**sizes):
    torch.manual_seed(0)
    return build_task("heartbeats", build_backbone(CONFIG), CONFIG, SIZES | sizes)


def losses_of(task, batch):
    torch.manual_seed(1)
    return task(batch)


@pytest.fixture(scope="module")
def ecgs():
    """Two patients with a normal conduction, two with LBBB, two with PVCs."""
    return [
        simulate(name, seed=seed, seconds=6, sampling_rate=100) for name in ("normal", "lbbb", "pvc") for seed in (1, 2)
    ]


@pytest.fixture
def batch(ecgs):
    return batch_of(ecgs)


@pytest.fixture(scope="module")
def training(ecgs):
    """A task after a short training, and its losses of each step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    task, batch = task_of(), batch_of(ecgs)
    optimiser = torch.optim.AdamW(task.parameters(), 3e-3)
    log = []
    signal, at = task.placed(batch)
    beats, inside = (part[at.there] for part in cut_beats(signal, at))
    for _ in range(WORDS_ALONE):  # a long training has as many steps; here the backbone would take too long
        optimiser.zero_grad()
        task.vocabulary(beats, inside)[1]["vocabulary"].backward()
        optimiser.step()
    for step in range(STEPS):
        torch.manual_seed(step)
        losses = task.train()(batch)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        task.after_step(step, STEPS)
        log.append({name: loss.item() for name, loss in losses.items()} | task.watched())
    torch.set_num_threads(threads)
    return task.eval(), log


# --- the QRS tokeniser ------------------------------------------------------------------------------------------------


def counting(peaks, length=1000):
    """The columns of an ECG whose samples count from 1, so that what is cut out says where it was."""
    signal = torch.arange(1.0, 1001).expand(1, 12, -1).clone()
    return signal, places(torch.tensor([peaks]), torch.ones(1, 12, dtype=torch.bool), torch.tensor([length]), CONFIG)


def test_a_beat_is_cut_around_its_r_peak():
    signal, at = counting([2.0, 4.0, float("nan")])
    beats, inside = cut_beats(signal, at)
    assert beats.shape == (1, 3, 12, 80)
    assert at.there[0].any(1).tolist() == [True, True, False]
    assert beats[0, 1, V1].tolist() == list(range(401 - 32, 401 + 48))
    assert inside[0, :2].all() and not inside[0, 2].any()


def test_of_two_beats_that_follow_soon_each_has_its_own_samples():
    signal, at = counting([2.0, 2.5])
    beats, inside = cut_beats(signal, at)
    first, second = beats[0, 0, V1], beats[0, 1, V1]
    assert first[first > 0].max() == 230 and second[second > 0].min() == 231  # 60 % of 0.5 s later
    assert not first[~inside[0, 0, V1]].any()


def test_a_beat_cut_off_at_an_edge_never_counts():
    _, at = counting([0.2, 0.4, 9.6], length=1000)
    assert at.there.any(-1)[0].tolist() == [False, True, False]


def test_a_beat_behind_the_padding_never_counts():
    _, at = counting([2.0, 5.0, 8.0], length=530)
    assert at.there.any(-1)[0].tolist() == [True, False, False]


def test_a_beat_of_a_masked_lead_never_counts(batch):
    batch["mask"][:, 1:] = False
    task = task_of()
    task(batch)
    words = task.words(batch)
    assert (words[..., 1:] == -1).all() and (words[..., 0] >= 0).any()


def test_beats_are_as_long_at_any_sampling_rate():
    signal = torch.arange(1.0, 5001).expand(1, 12, -1)
    config = ECGConfig(sampling_rate=500)
    at = places(torch.tensor([[2.0]]), torch.ones(1, 12, dtype=torch.bool), torch.tensor([5000]), config)
    assert cut_beats(signal, at)[0][0, 0, 0].tolist() == list(range(1001 - 160, 1001 + 240))


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_codes_tell_beats_far_better_than_their_mean_does(training, batch):
    task, _ = training
    signal, at = task.placed(batch)
    beats = cut_beats(signal, at)[0][at.there]
    told = vocabulary_beats(task)[0][task.words(batch)[at.there]]
    inside = cut_beats(signal, at)[1][at.there]
    lost = lambda told: ((told - beats) * inside).square().sum()
    assert lost(told) < 0.3 * lost(beats.mean(0))


def test_beats_of_different_shapes_have_different_words_and_those_of_the_same_shape_the_same(training, ecgs, batch):
    words = training[0].words(batch)[..., V1].numpy()
    of = lambda i: words[i][words[i] >= 0]
    assert not set(of(0)) & set(of(2))  # normal, LBBB
    classes = np.array(ecgs[4].metadata["truth"]["beat_classes"])
    row = words[4][: len(classes)]
    wide, usual = row[(classes == "wide") & (row >= 0)], row[(classes != "wide") & (row >= 0)]
    assert len(wide) and not set(wide) & set(usual)
    for same in (of(0), of(2), usual):
        assert np.bincount(same).max() >= 0.7 * len(same)


def test_the_gradient_passes_the_codes():
    vocabulary = task_of().vocabulary.eval()
    beats = torch.randn(len(vocabulary.used), 80)
    with torch.no_grad():  # a code for each beat: none of the loss is their distance
        vocabulary.sums.copy_(vocabulary.vectors(beats))
    loss = vocabulary(beats, torch.ones_like(beats, dtype=torch.bool))[1]["vocabulary"]
    loss.backward()
    assert vocabulary.encoder[0].weight.grad.abs().max() > 1e-4


def test_what_a_neighbour_begins_is_not_asked_for():
    vocabulary = task_of().vocabulary
    beats, inside = torch.randn(40, 80), torch.ones(40, 80, dtype=torch.bool)
    inside[:, 60:] = False
    vocabulary(beats * inside, inside)[1]["vocabulary"].backward()
    last = vocabulary.decoder[-1].bias.grad
    assert last[:60].any() and not last[60:].any()


def test_codes_that_stand_for_no_beat_begin_anew_at_beats_of_the_batch(batch):
    vocabulary = task_of(codes=16).vocabulary
    beats = torch.randn(200, 80)
    inside = torch.ones_like(beats, dtype=torch.bool)
    vocabulary(beats, inside)
    vocabulary.sums[8:] = -vocabulary.vectors(beats).mean(0).detach()
    vocabulary.used[8:] = 0
    vocabulary(beats, inside)
    near = vocabulary.codes @ vocabulary.vectors(beats).detach().T
    assert near.amax(1)[8:].min() > 0.98


def test_many_words_stay_in_use(training):
    _, log = training
    assert log[-1]["perplexity"] > SIZES["codes"] / 3
    assert log[-1].keys() == {"masked_beats", "perplexity"}


def test_of_words_that_are_used_alike_the_perplexity_is_their_number():
    vocabulary = task_of().vocabulary
    assert vocabulary.perplexity() == 0
    vocabulary.used[:5] = 0.2
    assert vocabulary.perplexity() == pytest.approx(5)


def test_a_frozen_vocabulary_learns_no_more(batch):
    task = task_of(learning=0.5)
    assert task(batch).keys() == {"masked_beats", "vocabulary"}
    task.after_step(4, 10)
    before = copy.deepcopy(task.vocabulary.state_dict())
    losses = task(batch)
    assert losses.keys() == {"masked_beats"}
    losses["masked_beats"].backward()
    assert all(p.grad is None for p in task.vocabulary.parameters())
    after = task.vocabulary.state_dict()
    assert all(after[name].equal(before[name]) for name in before if name != "used")
    assert not after["used"].equal(before["used"])  # still watched


def test_the_vocabulary_is_learnt_in_its_part_of_the_steps():
    task = task_of(learning=0.3)
    frozen = []
    for step in range(10):
        frozen.append(bool(task.vocabulary.frozen))  # while this step is made
        task.after_step(step, 10)
    assert frozen == [False] * 3 + [True] * 7


def test_what_is_kept_is_each_word_as_a_beat_and_how_often_it_is_used(training):
    task, _ = training
    kept = task.extras()
    beats, rate = vocabulary_beats(task)
    assert beats.shape == (48, 80) and beats.dtype == torch.float32 and rate == 100
    assert kept["beats"].equal(beats) and kept["sampling_rate"] == 100
    assert kept["vocabulary.used"].sum() == pytest.approx(1, abs=0.1)
    again = task_of()
    again.vocabulary.load_state_dict({k.removeprefix("vocabulary."): v for k, v in kept.items() if "." in k})
    assert vocabulary_beats(again)[0].equal(beats)


# --- the hidden words -------------------------------------------------------------------------------------------------


def test_hidden_words_are_guessed_better_than_by_how_often_each_is_used(training, batch):
    task, log = training
    words = task.words(batch)
    by_lead = [words[..., lead][words[..., lead] >= 0] for lead in range(12)]
    usual = np.mean([torch.special.entr(w.bincount() / len(w)).sum().item() for w in by_lead])  # nats, knowing the lead
    last = np.mean([row["masked_beats"] for row in log[-5:]])
    assert last < 0.8 * usual
    assert last < 0.5 * log[0]["masked_beats"]


def test_the_embedding_does_not_collapse(training, batch):
    tokens = training[0].backbone(batch["signal"], batch["mask"], batch["length"]).mean(1)
    spread = (tokens - tokens.mean(0)).detach()
    assert torch.linalg.matrix_rank(spread, rtol=0.01) >= 4  # of 6 ECGs: 5 at most
    assert spread.norm(dim=1).mean() > 0.05 * tokens.norm(dim=1).mean()


def test_hidden_beats_are_zero_and_all_else_is_as_it_was():
    signal, at = counting([2.0, 2.5, 5.0])
    hidden = torch.zeros(1, 3, 12, dtype=torch.bool)
    hidden[0, 0], hidden[0, 2, V1] = True, True
    left = hide(signal, at, hidden)
    assert set((left[0, 0] == 0).nonzero()[:, 0].tolist()) == set(range(168, 230))
    assert set((left[0, V1] == 0).nonzero()[:, 0].tolist()) == set(range(168, 230)) | set(range(468, 548))
    assert left[left != 0].equal(signal[left != 0])


def test_the_backbone_does_not_see_what_is_hidden(batch, monkeypatch):
    task, seen = task_of(), []
    signal, at = task.placed(batch)
    hidden = task.choose(at.there)
    monkeypatch.setattr(task, "choose", lambda there: hidden)
    task.backbone.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    task(batch)
    assert seen[0].equal(hide(signal, at, hidden)) and not seen[0].equal(signal)


def test_beats_are_hidden_in_all_leads_and_in_some():
    there = torch.ones(50, 20, 12, dtype=torch.bool)
    there[:, 10:] = False
    in_all, alone = task_of(beats=0.3, leads=0.0).choose(there), task_of(beats=0.0, leads=0.3).choose(there)
    assert not in_all[:, 10:].any() and not alone[:, 10:].any()
    assert in_all[:, :10].float().mean() == pytest.approx(0.3, abs=0.06)
    assert alone[:, :10].float().mean() == pytest.approx(0.3, abs=0.03)
    assert in_all.all(-1).equal(in_all.any(-1)) and not alone.all(-1).any()


def test_which_leads_are_hidden_and_which_is_asked_for_is_told(batch):
    task = task_of()
    task(batch)  # until then there are no codes
    losses_of(task, batch)["masked_beats"].backward()
    assert task.masked.weight.grad.abs().sum(0).all() and task.lead.grad.abs().sum(1).all()


# --- what must not count ----------------------------------------------------------------------------------------------


def test_masked_leads_and_padding_change_nothing(training, batch):
    task, _ = training
    batch["mask"][:, 3:6] = False
    batch["length"][:3] = 400
    clean = losses_of(task, batch)
    noise = batch | {"signal": batch["signal"].clone()}
    noise["signal"][:, 3:6] = 7.0
    noise["signal"][:3, :, 400:] = float("nan")
    assert losses_of(task, noise) == clean


@pytest.mark.parametrize("leads", [[0], [V1], list(range(12))])
def test_gradients_are_finite_with_any_leads(batch, leads):
    batch["mask"][:] = False
    batch["mask"][:, leads] = True
    task = task_of()
    losses = losses_of(task, batch)
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)


@pytest.mark.parametrize("columns", [16, 0])
def test_a_batch_without_beats_teaches_nothing(batch, columns):
    batch["r_peaks"] = torch.full((6, columns), torch.nan)
    task = task_of()
    losses = losses_of(task, batch)
    assert {name: loss.item() for name, loss in losses.items()} == {"masked_beats": 0, "vocabulary": 0}
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)
    assert task.watched() == {"perplexity": 0}


def test_an_ecg_without_beats_or_signal_harms_no_other(batch):
    batch["r_peaks"][0], batch["length"][1] = torch.nan, 0
    batch["mask"][2] = False
    task = task_of()
    losses = losses_of(task, batch)
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)
    assert (task.words(batch)[:3] == -1).all()


def test_losses_are_float32_in_bfloat16(batch):
    task = task_of()
    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(task, batch)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


def test_any_backbone_will_do(batch):
    class Mean(nn.Module):
        def forward(self, signal, mask, length=None):
            return signal.unflatten(-1, (-1, 8)).mean(-1).transpose(1, 2).repeat(1, 1, 3)[..., :32]

    task = Heartbeats(Mean(), CONFIG)
    assert all(loss.isfinite() for loss in task(batch).values())
