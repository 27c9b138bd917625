"""The weights of the criteria: never negative, fitted on what is known, and without the conditions left out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.data.cases import Case  # noqa: E402
from ecgclip.knowledge.base import KnowledgeBase  # noqa: E402
from ecgclip.knowledge.criteria import FEATURES, Judge, weigh  # noqa: E402
from ecgclip.knowledge.criteria.readings import read  # noqa: E402
from ecgclip.measure.examined import examine  # noqa: E402
from ecgclip.model.calibration import Calibration, Witnesses, logistic  # noqa: E402
from ecgclip.simulate import simulate  # noqa: E402
from ecgclip.train import witnesses  # noqa: E402
from ecgclip.train.calibrate import Examples, calibrate, mix  # noqa: E402
from ecgclip.train.witnesses import (  # noqa: E402
    Evidences,
    Simulated,
    evidences,
    fit_criteria,
    fit_logistic,
    fit_mix,
    readings_of,
    real_evidences,
    shared_weight,
)

LBBB, AF = "left-bundle-branch-block", "atrial-fibrillation"


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


def drawn(seed=0, n=4000, weights=(1.5, 0.5, 1.0, 0.3, 2.0, 0.7, 1.2, 0.4), bias=-1.0, concepts=(LBBB, AF)):
    """Evidences whose truth is drawn from these weights."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, len(concepts), len(FEATURES)))
    truth = (rng.random((n, len(concepts))) < logistic(features @ np.array(weights) + bias)).astype(np.int8)
    return Evidences(tuple(concepts), features, np.ones(truth.shape, bool), truth)


NOTHING = drawn(n=0)


def even(n):
    """The weights of n examples that count alike."""
    return np.full(n, 1 / n)


def near(one, other, atol=1e-3):
    return np.allclose([*one.weights, one.bias], [*other.weights, other.bias], atol=atol)


class Split:
    """Windows of a split, two of each record, in which the data set's findings were not looked for."""

    def __init__(self, readings):
        self.case, self.readings = np.repeat(np.arange(len(readings)), 2), np.repeat(readings, 2, 0)
        self.finding_keys, self.findings = (), np.zeros((len(self.case), 0), np.int8)

    def __len__(self):
        return len(self.case)


# --- the fit ----------------------------------------------------------------------------------------------------------


def test_weights_are_found_again_and_none_is_negative():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 3))
    y = rng.random(20000) < logistic(x @ [2.0, 0.0, 0.5] - 1)
    assert fit_logistic(x, y, even(20000)) == pytest.approx([2, 0, 0.5, -1], abs=0.08)
    y = rng.random(20000) < logistic(x @ [2.0, -1.0, 0.5] - 1)
    found = fit_logistic(x, y, even(20000))
    assert found[1] == 0
    assert found[0] > 1.5
    assert found[2] > 0.3


def test_a_weight_counts_an_example_so_often_and_a_penalty_holds_weights_down():
    rng = np.random.default_rng(1)
    x, often = rng.normal(size=(300, 1)), rng.integers(1, 4, 300)
    y = rng.random(300) < logistic(x[:, 0] + 0.5)
    repeated = fit_logistic(np.repeat(x, often, 0), np.repeat(y, often), even(often.sum()))
    assert fit_logistic(x, y, often / often.sum()) == pytest.approx(repeated, abs=1e-3)
    assert fit_logistic(x, y, even(300), penalty=1.0)[0] < 0.3 * fit_logistic(x, y, even(300))[0]


def test_how_vector_and_criteria_mix_is_found_again():
    rng = np.random.default_rng(2)
    criteria = Witnesses((1.0,) * len(FEATURES), -3.0)
    by_vector, evidence = rng.uniform(0.05, 0.95, 20000), rng.normal(size=(20000, len(FEATURES)))
    truth = rng.random(20000) < replace(criteria, trained=(0.6, 0.5, -0.4)).together(by_vector, evidence, "trained")
    assert fit_mix(criteria, by_vector, evidence, truth, even(20000)) == pytest.approx((0.6, 0.5, -0.4), abs=0.08)
    wrong = rng.random(20000) < replace(criteria, trained=(-0.6, 0.5, 0.0)).together(by_vector, evidence, "trained")
    slope, share, _ = fit_mix(criteria, by_vector, evidence, wrong, even(20000))
    assert slope == 0, "more similar is never less probable"
    assert share > 0.3


# --- what the weights are fitted on -----------------------------------------------------------------------------------


def test_criteria_are_weighed_by_what_is_known_and_measured():
    whole = drawn()
    found = fit_criteria([whole], NOTHING)
    assert found.weights == pytest.approx((1.5, 0.5, 1.0, 0.3, 2.0, 0.7, 1.2, 0.4), abs=0.2)
    assert found.trained == found.untrained == (1.0, 1.0, 0.0)
    truth, measured = whole.truth.copy(), whole.measured.copy()
    truth[:1000, 0], measured[1000:2000] = -1, False
    features = whole.features.copy()
    features[1000:2000] = 99.0  # what was not measured
    partly = Evidences(whole.concepts, features, measured, truth)
    x, y = partly.pairs()
    assert len(x) == len(y) == 8000 - 1000 - 2000
    assert set(y) == {0, 1}
    assert near(found, fit_criteria([partly], NOTHING), atol=0.3)
    assert len(whole.pairs([AF])[1]) == 4000


def test_a_condition_that_is_left_out_is_not_seen():
    real, simulated = drawn(0), drawn(1, 500)
    turned = [replace(e, truth=np.column_stack([1 - e.truth[:, 0], e.truth[:, 1]])) for e in (real, simulated)]
    without = fit_criteria([real], simulated, without=[LBBB])
    assert near(without, fit_criteria([turned[0]], turned[1], without=[LBBB]), atol=1e-9)
    assert not near(fit_criteria([real], simulated), fit_criteria([turned[0]], turned[1]))


def test_simulated_ecgs_have_their_share_however_many_they_are():
    real, other = drawn(0, 2000), drawn(1, 500, bias=2.0)
    tenfold = [np.concatenate([getattr(other, name)] * 10) for name in ("features", "measured", "truth")]
    few, many = fit_criteria([real], other), fit_criteria([real], Evidences(other.concepts, *tenfold))
    assert near(few, many)
    assert fit_criteria([real], NOTHING).bias < few.bias < fit_criteria([], other).bias
    weight = shared_weight(30, 500)
    assert weight[30:].sum() == pytest.approx(witnesses.SIMULATED_SHARE)
    for sizes in ((30, 500), (30, 0), (0, 500)):
        assert len(shared_weight(*sizes)) == sum(sizes)
        assert shared_weight(*sizes).sum() == pytest.approx(1)


def test_simulated_evidence_has_the_truth_of_the_simulator(kb, monkeypatch):
    conditions = ("normal", "lbbb", "af")
    monkeypatch.setattr(witnesses, "CONDITIONS", conditions)
    simulated = Simulated.of([1, 2])
    found = simulated.evidences(kb, simulated.concepts(kb))
    assert found.features.shape == (6, len(found.concepts), len(FEATURES))
    assert set(found.concepts) <= kb.concepts.keys()
    column = {c: found.truth[:, found.concepts.index(c)].tolist() for c in (LBBB, AF, "normal-ecg")}
    assert column == {LBBB: [0, 0, 1, 1, 0, 0], AF: [0, 0, 0, 0, 1, 1], "normal-ecg": [1, 1, 0, 0, 0, 0]}
    lbbb = found.features[:, found.concepts.index(LBBB)].sum(1)
    assert lbbb[2:4].min() > lbbb[[0, 1, 4, 5]].max(), "and its criteria tell it"
    for i, (condition, seed) in enumerate((c, s) for c in conditions for s in (1, 2)):
        unknown = simulate(condition, seed).metadata["truth"]["unknown"]
        assert all((found.truth[i, j] == -1) == (c in unknown) for j, c in enumerate(found.concepts))


def test_real_evidence_is_that_of_each_window_and_of_conditions_with_enough_ecgs(kb):
    ecgs = [simulate(condition, seed) for condition in ("lbbb", "normal") for seed in range(3)]
    present = [True] * 3 + [False] * 3
    cases = [
        Case("s", str(i), str(i), {LBBB: there, **({AF: True} if i == 0 else {})}, age=60, sex="male")
        for i, there in enumerate(present)
    ]
    windows = Split(np.array([read(examine(e).measurements[0]) for e in ecgs]))
    found = real_evidences(kb, windows, cases)
    assert found.concepts == (LBBB,), "of atrial fibrillation there are two windows"
    assert found.truth[:, 0].tolist() == [1] * 6 + [0] * 6
    alone = weigh(Judge(readings_of(windows, cases), kb.concepts), kb.concepts[LBBB])
    assert np.array_equal(found.features[:, 0], alone.features)
    both = real_evidences(kb, windows, cases, min_positives=2)
    assert both.concepts == (AF, LBBB)
    assert both.truth[:, 0].tolist() == [1] * 2 + [-1] * 10
    assert readings_of(windows, cases).age == (60.0,) * 12
    assert readings_of(windows, cases).sex == ("male",) * 12


def test_of_no_condition_there_is_no_evidence(kb):
    nothing = evidences(kb, readings_of(SimpleNamespace(case=[], readings=np.empty(0)), []), (), np.zeros((0, 0)))
    assert nothing.features.shape == (0, 0, len(FEATURES))
    assert len(nothing.pairs()[0]) == 0


# --- beside the vector ------------------------------------------------------------------------------------------------


def examples_of(evidence, seed=0, strength=1.5):
    """The vector says something of its own of the same truth."""
    rng = np.random.default_rng(seed)
    features = np.zeros((*evidence.truth.shape, 4))
    features[..., 1] = rng.normal(evidence.truth * strength, 1)
    return Examples(features, evidence)


def test_where_nothing_was_measured_the_vector_answers_alone():
    whole = drawn()
    measured = whole.measured.copy()
    measured[::2] = False
    given = examples_of(replace(whole, measured=measured))
    curve, fitted = calibrate(given, examples_of(NOTHING), fit_criteria([whole], NOTHING))
    probability = given.probability(curve, fitted)
    assert np.array_equal(probability[::2], curve.curve(given.features)[::2])
    assert np.array_equal(given.probability(curve, None), curve.curve(given.features))
    heard = fitted.together(curve.curve(given.features), whole.features, "trained")
    assert np.array_equal(probability[1::2], heard[1::2])


def test_two_witnesses_say_more_than_either():
    whole = drawn()
    given = examples_of(whole)
    curve, fitted = calibrate(given, examples_of(NOTHING), fit_criteria([whole], NOTHING))

    def loss(probability):
        return -np.log(np.where(whole.truth == 1, probability, 1 - probability)).mean()

    vector, criteria = curve.curve(given.features), fitted.criteria(whole.features)
    assert loss(given.probability(curve, fitted)) < 0.9 * min(loss(vector), loss(criteria))
    assert 0.5 < fitted.trained[0] < 1.5
    assert fitted.untrained == (1.0, 1.0, 0.0)
    foreign = examples_of(drawn(1), strength=0.0)
    _, wary = calibrate(given, foreign, fit_criteria([whole], NOTHING))
    assert wary.trained[0] < fitted.trained[0], "where the vector knows nothing of simulated ECGs, it counts less"


def test_without_both_kinds_of_truth_the_witnesses_count_as_they_are():
    whole = drawn(n=20)
    for truth, foreign in ((np.zeros((20, 2)), NOTHING), (np.full((20, 2), -1), whole)):
        given = examples_of(replace(whole, truth=truth.astype(np.int8)))
        found = mix([given], [examples_of(foreign)], Calibration(), Witnesses((1.0,) * len(FEATURES), 0.0))
        assert found == (1.0, 1.0, 0.0)
