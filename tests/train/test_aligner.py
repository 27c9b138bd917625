"""The aligner: every loss can be switched off, reaches what it should train, and says what it reads."""

import pytest
from toy import recipe

from ecgclip.train.aligner import Aligner
from ecgclip.train.objectives import OBJECTIVES, columns_of


@pytest.mark.parametrize("off", OBJECTIVES)
def test_each_loss_can_be_switched_off_by_its_weight(batches, untrained, off):
    losses = Aligner(untrained, recipe())(batches(0), {**recipe().losses, off: 0})
    assert set(losses) == set(OBJECTIVES) - {off}
    assert all(v.isfinite() for v in losses.values())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_reads_no_column_but_those_it_names(batches, untrained, name):
    inputs = {"signal", "mask", "r_peaks", "length", "measured", "statement_ids", "statement_mask"}
    inputs |= {"finding_ids", "finding_mask", "criteria_ids", "criteria_mask"} | columns_of({name: 1.0})
    batch = {k: v for k, v in batches(0).items() if k in inputs}
    assert Aligner(untrained, recipe())(batch, {name: 1.0})[name].isfinite()


@pytest.mark.parametrize(
    "loss, part",
    [("clip", "text."), ("views", "ecg.rhythm_out"), ("beats", "ecg.beat_out"), ("ranking", "ecg.rhythm_out")],
)
def test_every_loss_reaches_what_it_should_train(batches, untrained, loss, part):
    aligner = Aligner(untrained, recipe())
    aligner.zero_grad()
    aligner.train()(batches(0), {loss: 1})[loss].backward()
    moved = [n for n, p in aligner.model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(n.startswith(part) for n in moved)
    assert any(n.startswith("ecg.backbone.stem") for n in moved)
