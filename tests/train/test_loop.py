"""The training loop: its schedule, its log, and what it does with a loss that is no number."""

from types import SimpleNamespace

import pytest
import torch
from toy import read_log

from ecgclip.ecg import EcgclipError
from ecgclip.train.loop import Journal, Loop, MovingAverage, Stage, cosine


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [cosine(step, 100, 0.1) for step in range(100)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_a_row_of_the_log_replaces_those_that_an_interruption_left_behind(tmp_path):
    journal = Journal(tmp_path, ["clip", "beats"])
    for epoch in (1, 2, 3):
        journal.log(epoch, {"clip": epoch})
    journal.log(2, {"clip": 7, "beats": 0.5})
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(tmp_path)]
    assert rows == [
        {"epoch": "1", "clip": "1.0000", "beats": ""},
        {"epoch": "2", "clip": "7.0000", "beats": "0.5000"},
    ]


def test_a_log_without_given_columns_has_all_figures_that_any_epoch_has(tmp_path):
    journal = Journal(tmp_path, columns=None)
    journal.log(1, {"words": 1.0, "rank": 3.0})
    journal.log(2, {"words": 0.5, "beats": 2.0, "rank": 4.0})
    journal.log(3, {"beats": 1.0, "rank": 5.0})
    rows = read_log(tmp_path)
    assert list(rows[0]) == ["epoch", "seconds", "words", "rank", "beats"]
    assert [row["beats"] for row in rows] == ["", "2.0000", "1.0000"]
    assert rows[2]["words"] == ""


class Line(torch.nn.Module):
    """A loss that falls, or is no number."""

    def __init__(self, value):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(value))

    def forward(self, batch, weights):
        return {"squared": (self.weight * batch["x"]).square().mean()}


def loop(model, **options):
    recipe = SimpleNamespace(average=0.9, warmup=0.1)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    draw = lambda step: {"x": torch.ones(3)}
    device = torch.device("cpu")
    return Loop("line", recipe, model, optimiser, draw, lambda step: step, 5, device, mixed=False, **options)


def test_stages_follow_each_other_and_each_is_begun_once():
    model, begun = Line(1.0), []
    stages = [Stage(epochs, [0.1], {"squared": 1.0}, begun.append) for epochs in (2, 0, 1)]
    loop(model).run(stages)
    assert begun == [True, True], "a stage without epochs is none"
    assert abs(model.weight.item()) < 0.3


def test_the_average_lags_behind_what_is_trained():
    model, copy = Line(1.0), Line(1.0)
    loop(model, average=MovingAverage(copy, model, 0.99)).run([Stage(1, [0.1], {"squared": 1.0})])
    assert model.weight.item() < copy.weight.item() < 1.0


def test_a_loss_that_is_no_number_is_one_line():
    with pytest.raises(EcgclipError, match="no longer a number at step 0"):
        loop(Line(float("inf"))).run([Stage(1, [0.1], {"squared": 1.0})])
