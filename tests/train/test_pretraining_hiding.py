"""What is hidden of a signal: a share of what is there, in stretches, never all; and what predicts it."""

import pytest
import torch
from signals import CONFIG

from ecgclip.train.pretraining.hiding import Predictor, draw_hidden, mean_where, samples_of, sines


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("stretch", [1, 5, 200])
def test_each_row_hides_its_share_of_what_is_there_and_shows_one_at_least(share, stretch):
    torch.manual_seed(0)
    there = torch.arange(125) < torch.tensor([125, 50, 1, 0])[:, None]
    hidden = draw_hidden(there, share, stretch)
    assert not (hidden & ~there).any()
    expected = [min(round(share * n), n - 1) for n in (125, 50, 1)]
    assert hidden.sum(1).tolist() == [*expected, 0]


def test_neighbours_are_hidden_together_at_other_places_each_time():
    torch.manual_seed(0)
    hidden = draw_hidden(torch.ones(200, 120, dtype=torch.bool), 0.5, 6)
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(1).float()
    assert edges.mean() < 25  # 60 if each is drawn by itself
    assert 0.35 < hidden.float().mean(0).min() < hidden.float().mean(0).max() < 0.65


def test_a_token_stands_for_the_samples_of_its_80_ms():
    chosen = torch.tensor([[False, True, False]])
    assert samples_of(chosen, 20, 100)[0].nonzero().flatten().tolist() == list(range(8, 16))
    assert samples_of(chosen, 90, 500)[0].nonzero().flatten().tolist() == list(range(40, 80))


def test_the_mean_of_nothing_is_0():
    values = torch.tensor([[1.0, 5.0], [3.0, torch.inf]])
    assert mean_where(values[:, :1], torch.ones(2, 1, dtype=torch.bool)) == 2
    assert mean_where(values[:1], torch.zeros(1, 2, dtype=torch.bool)) == 0


def test_the_predictor_knows_where_something_is_hidden_but_not_what():
    torch.manual_seed(0)
    predictor = Predictor(CONFIG, 1).eval()
    tokens, is_signal = torch.randn(1, 20, 32), torch.arange(20)[None] < 16
    hidden = torch.zeros(1, 20, dtype=torch.bool)
    hidden[:, 5:9] = True
    predicted = predictor(tokens, hidden, is_signal)
    others = tokens.clone()
    others[:, 5:9] = 9.0  # hidden
    others[:, 16:] = 9.0  # padding
    torch.testing.assert_close(predictor(others, hidden, is_signal)[:, :16], predicted[:, :16])
    assert not torch.allclose(predicted[:, 5], predicted[:, 6])
    others[:, 4] = 9.0
    assert not torch.allclose(predictor(others, hidden, is_signal)[:, 5], predicted[:, 5])


def test_no_two_positions_are_the_same_up_to_a_minute():
    positions = sines(torch.zeros(1, 750, 32))
    assert positions.shape == (750, 32)
    apart = torch.cdist(positions, positions) + torch.eye(750)
    assert apart.min() > 0.05
