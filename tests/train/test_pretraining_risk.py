"""The risk task: a score from what is known, negatives weighed by it, and plain InfoNCE where nothing is known."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from toy_beats import CONFIG, fit, rank_and_spread, tiny_backbone, toy_ecgs

from ecgclip.measure.vector import feature_names
from ecgclip.networks.backbones import build_backbone
from ecgclip.train.pretraining import build_task
from ecgclip.train.pretraining.risk import TERMS, alignment, compare, risk_terms, weighted_contrast
from ecgclip.train.pretraining.views import mean_token

NAN = math.nan


def measured(count=1, **values):
    """Measurements, all normal but those that are given; `finding_x` names finding:x, __ a colon."""
    names = feature_names()
    row = torch.zeros(count, len(names))
    normal = {"heart_rate": 65.0, "pr_ms": 160.0, "qrs_ms": 90.0, "qtc_ms": 410.0}
    for name, value in (normal | values).items():
        row[:, names.index(name.replace("finding_", "finding:", 1).replace("__", ":"))] = value
    return row


def terms_of(age=60.0, male=0.0, **values):
    return risk_terms(torch.tensor([age]), torch.tensor([male]), measured(**values))[0]


def batch_of(count, seed=0, known=True):
    """Toy ECGs of patients who are old and have a wide QRS where the axis is left."""
    batch = toy_ecgs(count, seed)
    old = batch["left"].float()
    batch["measured"] = measured(count)
    batch["measured"][:, feature_names().index("qrs_ms")] = 90 + 60 * old
    batch["age"], batch["male"] = 30 + 50 * old, batch["fast"].float()
    if not known:
        batch["age"], batch["male"] = torch.full((count,), NAN), torch.full((count,), NAN)
    return batch


def task_of(backbone=None, **sizes):
    return build_task("risk", backbone or tiny_backbone(), CONFIG, {"dim": 16, **sizes})


def infonce(z, temperature):
    """InfoNCE of two views, written down as in its paper."""
    losses = []
    for i in range(len(z)):
        positive = (i + len(z) // 2) % len(z)
        others = [j for j in range(len(z)) if j != i]
        scores = torch.stack([z[i] @ z[j] / temperature for j in others])
        losses.append(scores.logsumexp(0) - z[i] @ z[positive] / temperature)
    return torch.stack(losses).mean()


# ---------------------------------------------------------------------------------------------------------------------
# The score


def test_age_and_sex_are_score2_with_all_else_at_its_reference():
    def ten_year_risk(age, male):
        return 1 - math.exp(-math.exp(float(terms_of(age, male)[0])))

    assert ten_year_risk(60, 1) == pytest.approx(1 - 0.9605, abs=1e-5)
    assert ten_year_risk(60, 0) == pytest.approx(1 - 0.9776, abs=1e-5)
    assert ten_year_risk(50, 1) == pytest.approx(1 - 0.9605 ** math.exp(2 * -0.3742), abs=1e-5)


@pytest.mark.parametrize(
    ("term", "ratio", "values"),
    [
        ("rate", 2.19, {"heart_rate": 81.0}),
        ("PR", 2.10, {"pr_ms": 221.0}),
        ("QRS", 2.05, {"qrs_ms": 111.0}),
        ("QTc", 1.27, {"qtc_ms": 461.0}),
        ("hypertrophy", 1.73, {"finding_cornell_voltage": 1.0}),
        ("T inversion", 2.29, {"finding_t_inversion__lateral": 1.0}),
        ("ST depression", 1.45, {"finding_st_depression__inferior": 1.0}),
        ("fibrillation", 1.9, {"finding_irregularly_irregular": 1.0, "finding_no_p_waves": 1.0}),
    ],
)
def test_each_abnormality_raises_its_own_term(term, ratio, values):
    normal, changed = terms_of(), terms_of(**values)
    differ = normal != changed
    assert differ.tolist() == [name == term for name in TERMS]
    assert math.exp(changed[TERMS.index(term)]) == pytest.approx(ratio, rel=1e-5)
    assert normal[TERMS.index(term)] == 0


def test_limits_and_ratios_depend_on_sex():
    qtc, fibrillation = TERMS.index("QTc"), TERMS.index("fibrillation")
    assert terms_of(male=1.0, qtc_ms=455.0)[qtc] > 0
    assert terms_of(male=0.0, qtc_ms=455.0)[qtc] == 0
    chaos = {"finding_irregularly_irregular": 1.0, "finding_no_p_waves": 1.0}
    assert math.exp(terms_of(male=1.0, **chaos)[fibrillation]) == pytest.approx(1.5, rel=1e-5)


def test_what_cannot_be_known_is_unknown_and_no_zero():
    def unknown(**values):
        return {name for name, value in zip(TERMS, terms_of(**values), strict=True) if value.isnan()}

    assert unknown() == set()
    assert unknown(heart_rate=NAN) == {"rate"}
    assert unknown(age=NAN) == {"age and sex"}
    assert unknown(male=NAN) == {"age and sex", "QTc", "fibrillation"}
    assert unknown(finding_cornell_voltage=NAN) == {"hypertrophy"}
    assert unknown(finding_cornell_voltage=NAN, finding_high_voltage_chest=1.0) == set()  # one is enough
    assert unknown(finding_no_p_waves=NAN, finding_irregularly_irregular=0.0) == set()  # no fibrillation without it


def test_a_pair_is_compared_by_what_is_known_of_both_and_trusted_by_how_much():
    rows = [terms_of(age=40.0), terms_of(age=70.0, qrs_ms=150.0), terms_of(age=40.0, qrs_ms=NAN), terms_of(age=NAN)]
    gap, confidence = compare(torch.stack(rows))
    by_age, by_qrs = 6 * 0.4648, math.log(2.05)
    expected = torch.tensor([0, by_age + by_qrs, 0, 0])
    assert torch.allclose(gap[0, :3], expected[:3], atol=1e-5)
    assert float(gap[1, 2]) == pytest.approx(by_age, abs=1e-5)  # the unknown QRS counts for nothing
    assert torch.equal(gap, gap.T)
    n = len(TERMS)
    assert torch.allclose(confidence[0], torch.tensor([1, 1, (n - 1) / n, 0]))
    assert not confidence[3].any() and not confidence[:, 3].any()  # without age there is no score


# ---------------------------------------------------------------------------------------------------------------------
# The losses


def test_without_age_and_sex_it_is_plain_infonce():
    task = task_of().eval()
    batch = batch_of(6, known=False)
    batch["measured"][:3, feature_names().index("qrs_ms")] = 160.0  # whatever is measured
    torch.manual_seed(3)
    losses = task(batch)
    torch.manual_seed(3)
    z = F.normalize(task.projection(task._views(batch)), dim=-1)
    assert losses["contrast"].item() == pytest.approx(infonce(z, task.sizes.temperature).item(), abs=1e-5)
    assert losses["alignment"] == 0
    torch.manual_seed(3)
    assert abs((task(batch_of(6))["contrast"] - losses["contrast"]).item()) > 1e-3


def test_one_unknown_patient_leaves_the_weights_of_the_others():
    task = task_of()
    batch = batch_of(5)
    nearness, confidence = task._nearness(batch)
    batch["age"][2] = NAN
    other_nearness, other_confidence = task._nearness(batch)
    rest = torch.tensor([0, 1, 3, 4])
    assert torch.equal(nearness[rest][:, rest], other_nearness[rest][:, rest])
    assert torch.equal(confidence[rest][:, rest], other_confidence[rest][:, rest])
    assert not other_confidence[2].any()


def test_a_negative_of_other_risk_is_pushed_away_harder():
    z = F.normalize(torch.tensor([[1.0, 0, 0], [0.5, 1, 0], [0.5, 0, 1]]).repeat(2, 1), dim=-1).requires_grad_()
    task = task_of()
    batch = batch_of(3)
    batch["age"], batch["male"], batch["measured"] = torch.tensor([40.0, 80.0, 40.0]), torch.zeros(3), measured(3)
    nearness, confidence = task._nearness(batch)
    weight = 1 + confidence * (1 - task.sizes.least) * (1 - 2 * nearness)
    assert float(weight[0, 2]) == pytest.approx(task.sizes.least)
    assert 1 < weight[0, 1] < 2 - task.sizes.least
    weighted_contrast(z, weight, 0.5).backward()
    # of the anchor's gradient, what points along each of the two negatives, which are equally near
    assert z.grad[0, 1] > 1.5 * z.grad[0, 2] > 0


def test_alignment_asks_for_the_similarity_that_the_risk_has():
    nearness = torch.tensor([[1.0, 0.25], [0.25, 1.0]])
    sure = torch.ones(2, 2)
    cosine = 2 * 0.25 - 1
    pair = torch.tensor([[1.0, 0.0], [cosine, math.sqrt(1 - cosine**2)]]).repeat(2, 1)
    assert float(alignment(pair, nearness, sure)) == pytest.approx(0, abs=1e-6)
    alike = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    assert float(alignment(alike, nearness, sure)) == pytest.approx(0.75**2)
    assert float(alignment(alike, nearness, 0.5 * sure)) == pytest.approx(0.75**2 / 2)  # less is known


# ---------------------------------------------------------------------------------------------------------------------
# Learning


def test_it_learns_to_find_the_other_view_and_does_not_collapse():
    task = task_of()
    log = fit(task, lambda step: batch_of(16, seed=step % 8), 60)
    start, end = log[0], {name: sum(row[name] for row in log[-8:]) / 8 for name in log[0]}
    chance = math.log(2 * 16 - 1)  # of a guess among all other views
    assert end["contrast"] < 0.75 * min(start["contrast"], chance)
    batch = batch_of(16, seed=9)
    task.eval()
    with torch.no_grad():
        vectors = mean_token(task.backbone, batch["signal"], batch["mask"], batch["length"], 100)
    rank, spread = rank_and_spread(vectors)
    assert rank > 5 and spread > 0.05


def test_views_of_new_ecgs_are_as_alike_as_their_risk_where_the_risk_was_known():
    new = batch_of(48, seed=9)

    def error(known):
        task = task_of(lose=0.0)
        fit(task, lambda step: batch_of(16, seed=step % 8, known=known), 80)
        torch.manual_seed(0)
        return task.eval()(new)["alignment"].item()

    nearness, _ = task_of()._nearness(new)
    pairs = nearness[~torch.eye(48, dtype=torch.bool)]
    learnt = error(known=True)
    assert learnt < 0.8 * pairs.var()  # of the same answer for all pairs
    assert learnt < 0.8 * error(known=False)


# ---------------------------------------------------------------------------------------------------------------------
# Any batch


def test_masked_leads_and_padding_change_nothing():
    task = task_of()
    batch = batch_of(4)
    batch["mask"][0, 3:], batch["length"][1] = False, 120
    other = batch | {"signal": batch["signal"].clone()}
    other["signal"][0, 3:], other["signal"][1, :, 120:] = 50.0, -50.0
    torch.manual_seed(1)
    losses = task(batch)
    torch.manual_seed(1)
    again = task(other)
    assert all(torch.equal(losses[name], again[name]) for name in losses)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_one_lead_and_an_empty_ecg_give_finite_gradients(bfloat16):
    task = task_of(build_backbone(CONFIG)).train()
    batch = batch_of(5)
    batch["mask"][:, 1:] = False
    batch["mask"][3], batch["length"][4], batch["age"][0] = False, 0, NAN
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        losses = task(batch)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.backbone.parameters())


def test_an_empty_ecg_changes_nothing_for_the_others():
    task = task_of()
    batch = batch_of(5)
    rest = {name: column[torch.tensor([0, 1, 3])] for name, column in batch.items()}
    batch["mask"][2], batch["length"][4] = False, 0
    losses = []
    for each in (batch, rest):
        torch.manual_seed(1)
        losses.append(copy.deepcopy(task)(each))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
    batch["length"][:] = 0
    nothing = task(batch)
    assert all(loss == 0 for loss in nothing.values())
    sum(nothing.values()).backward()  # a training goes on
