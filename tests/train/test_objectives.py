"""The losses of training: what pulls an ECG and a text together, and what leaves them alone."""

import pytest
import torch
import torch.nn.functional as F

from ecgclip.train.objectives.banks import SigmoidBank
from ecgclip.train.objectives.beats import attended_similarity
from ecgclip.train.objectives.clip import clip_loss
from ecgclip.train.objectives.ranking import ranking_loss


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_clip_loss_is_open_clips_where_all_texts_differ():
    ClipLoss = pytest.importorskip("open_clip.loss").ClipLoss
    ecg, text = unit(8, 16), unit(8, 16, seed=1)
    ours = clip_loss(ecg, text, torch.eye(8, dtype=torch.bool), torch.tensor(14.0))
    torch.testing.assert_close(ours, ClipLoss()(ecg, text, torch.tensor(14.0)))


def test_two_ecgs_with_the_same_report_may_share_a_vector():
    text = unit(4, 16)
    text[1] = text[0]
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    aligned = clip_loss(text, text, same, torch.tensor(50.0))
    assert aligned < clip_loss(text, text, torch.eye(4, dtype=torch.bool), torch.tensor(50.0)) + 1e-6
    apart = text.clone()
    apart[1] = unit(16, seed=9)
    assert aligned < clip_loss(apart, text, same, torch.tensor(50.0))
    # the gradient leaves a perfect pair of duplicates where it is, and tears it apart if they are not known as such
    pulls = []
    for positives in (same, torch.eye(4, dtype=torch.bool)):
        ecg = text.clone().requires_grad_()
        clip_loss(ecg, text, positives, torch.tensor(50.0)).backward()
        pulls.append(float((ecg.grad[0] @ text[0]).abs()))
    assert pulls[0] <= pulls[1] + 1e-6


def test_the_bank_ignores_what_is_unknown():
    bank, similarity = SigmoidBank(), torch.tensor([[0.9, -0.5, 0.3]])
    with_unknown = bank(similarity, torch.tensor([[1, 0, -1]]))
    torch.testing.assert_close(with_unknown, bank(similarity[:, :2], torch.tensor([[1, 0]])))
    assert bank(similarity, torch.full((1, 3), -1)) == 0
    assert bank(similarity, torch.tensor([[1, 0, -1]])) < bank(similarity, torch.tensor([[0, 1, -1]]))
    x = similarity.clone().requires_grad_()
    bank(x, torch.tensor([[1, 0, -1]])).backward()
    assert x.grad[0, 2] == 0
    assert x.grad[0, 0] < 0 < x.grad[0, 1]


def test_a_teacher_shares_the_say_and_has_it_alone_where_the_truth_is_unknown():
    bank, similarity, nan = SigmoidBank(), torch.tensor([[0.9, -0.5]]), torch.nan
    truth = torch.tensor([[1, -1]])
    torch.testing.assert_close(bank(similarity, truth, torch.tensor([[nan, nan]]), 0.5), bank(similarity, truth))
    agrees, differs = (bank(similarity, truth, torch.tensor([[p, nan]]), 0.5) for p in (1.0, 0.0))
    torch.testing.assert_close(agrees, bank(similarity, truth))
    assert differs > agrees
    x = similarity.clone().requires_grad_()
    bank(x, truth, torch.tensor([[nan, 1.0]]), 0.5).backward()
    assert x.grad[0, 1] < 0, "towards what the teacher thinks"


def test_ranking_asks_that_who_has_it_comes_first_whatever_the_level():
    truth = torch.tensor([[1, 1], [0, 0], [1, 0], [-1, 0]])
    right = torch.tensor([[0.9, 0.9], [-0.9, -0.9], [0.8, -0.9], [-0.9, -0.9]], requires_grad=True)
    low = ranking_loss(right, truth)
    torch.testing.assert_close(ranking_loss(right - torch.tensor([0.7, 0.0]), truth), low)
    assert low < 1e-6 < 10 < ranking_loss(-right, truth)
    wrong = [float(ranking_loss(right.detach() * torch.tensor(sign), truth)) for sign in ([-1.0, 1.0], [1.0, -1.0])]
    assert wrong[0] == pytest.approx(wrong[1], rel=0.05), "a statement counts for as much, however many pairs it has"
    low.backward()
    assert right.grad[3, 0] == 0, "what is unknown has no place in the order"
    assert ranking_loss(right[:1], truth[:1]) == 0, "and where all have it there is no order"


def test_a_text_attends_to_the_beats_that_are_there():
    beats, text = unit(2, 5, 8), unit(3, 8, seed=1)
    mask = torch.tensor([[True, True, False, False, False], [True] * 5])
    other = beats.clone()
    other[0, 2:] = text[0]
    found = attended_similarity(beats, mask, text)
    torch.testing.assert_close(attended_similarity(other, mask, text), found)
    cosine = beats @ text.T
    assert (found <= cosine.amax(1) + 1e-6).all()
    assert (found[1] >= cosine[1].mean(0)).all()
    one = attended_similarity(beats, torch.tensor([[True] + [False] * 4] * 2), text)
    torch.testing.assert_close(one, cosine[:, 0])
