"""Batches: drawn again the same, every window once an epoch, and only what the losses read."""

import numpy as np
import pytest
import torch
from toy import recipe

from ecgclip.measure.vector import feature_names
from ecgclip.model.clip import ECGCLIP
from ecgclip.train.aligner import Aligner
from ecgclip.train.batches import Batches
from ecgclip.train.questions import deny


def test_a_step_draws_the_same_batch_again_and_other_steps_another(batches):
    one, again, other = batches(3), batches(3), batches(4)
    assert one.keys() == again.keys()
    for name in one:
        assert torch.equal(one[name].nan_to_num(), again[name].nan_to_num()), name
    assert not torch.equal(one["signal"], other["signal"])


def test_an_epoch_shows_every_window_once_to_one_process_or_two(untrained, splits):
    n = len(splits["ptb-xl"].windows)
    plan = recipe(data={"ptb-xl": {**recipe().data["ptb-xl"], "per_step": n // 2}})
    alone = Batches(plan, splits, untrained).sampler
    assert sorted(np.concatenate([alone.rows("ptb-xl", s) for s in (0, 1)])) == list(range(n))
    pair = [Batches(plan, splits, untrained, rank, 2).sampler for rank in (0, 1)]
    assert sorted(np.concatenate([p.rows("ptb-xl", 0) for p in pair])) == list(range(n))
    assert len(alone.rows("ptb-xl", 5)) == n // 2


@pytest.mark.parametrize(
    "losses",
    [{"statements": 5.0, "ranking": 0.5, "findings": 2.5}, {"statements": 5.0, "clip": 0.5}],
    ids=["without clip", "with clip"],
)
def test_once_texts_are_locked_whole_ones_are_drawn_only_for_losses_that_read_them(untrained, splits, losses):
    plan = recipe(locked={**recipe().locked, "losses": losses})
    draw = Batches(plan, splits, untrained)
    draw.lock(untrained)
    batch = draw(0)
    assert ("text_ids" in batch) == ("clip" in losses)
    values = Aligner(untrained, plan)(batch, losses)
    assert set(values) == set(losses)
    assert all(v.isfinite() for v in values.values())


def test_the_truth_of_findings_goes_with_their_texts(untrained, splits):
    """Where a condition is hidden, and with it the findings that name it."""
    plan = recipe(unseen=["st-depression"])
    model = ECGCLIP(untrained.config, untrained.tokenizer, untrained.kb.without(plan.unseen))
    draw = Batches(plan, splits, model)
    assert not any(key.startswith("st_depression") for key in draw.questions.banks["finding"].keys)
    for step in range(4):
        batch = draw(step)
        assert batch["finding_truth"].shape[1] == len(batch["finding_ids"])


def test_measurements_follow_the_leads_and_the_gain(untrained, splits):
    draw = Batches(recipe(augment={**recipe().augment, "drop_leads": 0.5, "gain": 0.3}), splits, untrained)
    draw.lock(untrained)
    windows, rows = splits["ptb-xl"].windows, draw.sampler.rows("ptb-xl", 0)
    measured = draw.measurements(0)["measured"].numpy()
    names = list(feature_names())
    untouched = [names.index(n) for n in names if not n.split(":")[0].endswith("_mv")]
    variants = []
    for row, drawn in zip(rows, measured, strict=True):
        stored = windows.features[row]
        same = [v for v in range(len(stored)) if np.array_equal(stored[v, untouched], drawn[untouched], equal_nan=True)]
        assert same, "all but the voltages are those of one subset of the leads"
        variants.append(same[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = drawn / stored[same[0]]
        voltages = [i for i in range(len(names)) if i not in untouched and np.isfinite(ratio[i])]
        assert np.ptp(ratio[voltages]) < 1e-3
        assert abs(ratio[voltages[0]] - 1) > 1e-4
    assert 0 in variants
    assert max(variants) > 0


def test_where_a_text_denies_the_ones_who_have_it_are_the_negatives():
    truth = torch.tensor([[1, 1], [0, 0], [-1, -1]])
    assert deny(truth, torch.tensor([True, False])).tolist() == [[0, 1], [1, 0], [-1, -1]]


def test_a_branch_that_reads_age_and_sex_gets_them_and_some_are_made_unknown(untrained, splits):
    plan = recipe(ecg={**recipe().ecg, "demographics": True}, augment={**recipe().augment, "drop_demographics": 0.5})
    draw, plain = Batches(plan, splits, untrained), Batches(recipe(), splits, untrained)
    split, count, known = splits["ptb-xl"], len(feature_names()), 0
    for step in range(8):
        whole, rows = draw(step)["measured"].numpy(), draw.sampler.rows("ptb-xl", step)
        np.testing.assert_array_equal(whole[:, :count], plain(step)["measured"].numpy())
        ages = np.array([split.cases[i].age for i in split.windows.case[rows]])
        males = np.array([split.cases[i].sex == "male" for i in split.windows.case[rows]])
        for column, truth in ((whole[:, count], ages), (whole[:, count + 1], males)):
            shown = ~np.isnan(column)
            np.testing.assert_array_equal(column[shown], truth[shown])
            known += shown.sum()
        assert whole.shape[1] == count + 2
    assert 0.3 < known / (8 * 2 * len(rows)) < 0.7
    draw.lock(untrained)
    assert draw.measurements(0)["measured"].shape == (len(rows), count + 2)
