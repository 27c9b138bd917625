"""Weak labels: the criteria speak where no annotation does, and the vectors learn from them."""

import copy

import numpy as np
import pytest
import torch
from toy import recipe

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.data.cases import UNKNOWN  # noqa: E402
from ecgclip.model.clip import ECGCLIP  # noqa: E402
from ecgclip.train.batches import Batches  # noqa: E402
from ecgclip.train.measured import train_measured  # noqa: E402
from ecgclip.train.targets import targets  # noqa: E402
from ecgclip.train.validation import embed_windows  # noqa: E402
from ecgclip.train.weak import WeakLabels  # noqa: E402

STEMI = "anterior-stemi"  # simulated, but the toy's cardiologists say no more than infarction
OTHERS_OFF = {"statements": 0.0, "findings": 0.0, "ranking": 0.0}


@pytest.fixture(scope="module")
def weak(splits, untrained):
    return WeakLabels(recipe(), splits, untrained.kb)


def of_the_wall(splits):
    """Which windows are of a simulated anterior STEMI, as the toy's reports tell."""
    split = splits["ptb-xl"]
    return np.array(["anterior" in split.cases[i].report for i in split.windows.case])


def test_criteria_speak_of_conditions_that_no_ecg_is_annotated_with(splits, weak):
    split, p = splits["ptb-xl"], weak.probability["ptb-xl"][:, weak.concepts.index(STEMI)]
    assert not any(STEMI in case.statements for case in split.cases)
    assert np.isfinite(p).all()
    assert p[of_the_wall(splits)].min() > p[~of_the_wall(splits)].max()


def test_an_annotation_silences_the_criteria(splits, weak):
    known = targets(splits["ptb-xl"].cases, splits["ptb-xl"].windows, weak.concepts) != UNKNOWN
    assert known.any()
    assert np.isnan(weak.probability["ptb-xl"][known]).all()


def test_a_view_of_few_leads_has_no_weak_labels_but_a_record_of_few_leads_has(weak):
    columns = {"criteria_soft": np.zeros((3, len(weak.concepts)), np.float32)}
    shown, recorded = np.zeros((3, 12), bool), np.zeros((3, 12), bool)
    shown[0, :6] = shown[1:, :1] = True
    recorded[:2] = recorded[2, :1] = True
    weak.hide_unshown(columns, shown, recorded)
    assert np.isnan(columns["criteria_soft"]).all(1).tolist() == [False, True, False]


def test_hidden_conditions_are_hidden_from_weak_labels(untrained, splits):
    hidden = untrained.kb.without(["stemi"])
    draw = Batches(recipe(), splits, ECGCLIP(untrained.config, untrained.tokenizer, hidden))
    asked = draw.questions.banks["criteria"].keys
    assert "st-elevation" in asked
    assert not {"stemi", STEMI} & set(asked)


def test_without_a_weight_nothing_is_judged(untrained, splits):
    without = {
        stage: {k: v for k, v in getattr(recipe(), stage).items() if k != "criteria"}
        for stage in ("losses", "measured")
    }
    locked = {**recipe().locked, "losses": {"statements": 5.0}}
    batch = Batches(recipe(**without, locked=locked), splits, untrained)(0)
    assert not [name for name in batch if name.startswith("criteria")]


def test_the_vectors_learn_a_condition_from_its_criteria_alone(untrained, splits):
    model = copy.deepcopy(untrained)
    plan = recipe(measured={**recipe().measured, **OTHERS_OFF, "criteria": 1.0, "epochs": 40, "lr": 1e-2}, wording=0.0)
    features = torch.from_numpy(splits["ptb-xl"].windows.features[:, 0].copy())
    model.ecg.measured.fit(features)
    model.ecg.signal_weight.fill_(0.0)
    draw = Batches(plan, splits, model)
    draw.whiten(model, 1.0)  # texts of an untrained encoder are all alike
    train_measured(model, draw, plan)
    similarity = embed_windows(model, splits["ptb-xl"].windows) @ model.concept_vector(STEMI)
    wall, others = similarity[of_the_wall(splits)], similarity[~of_the_wall(splits)]
    assert (wall[:, None] > others).mean() > 0.7, "0.5 is chance; other infarctions of the toy have raised ST, too"
