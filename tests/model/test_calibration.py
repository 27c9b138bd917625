"""Calibration: a curve that is defined for any label, and the criteria beside it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.knowledge.criteria import FEATURES
from ecgclip.knowledge.criteria.evidence import HIGHEST
from ecgclip.model.calibration import LIKELY, Calibration, Witnesses, logistic, logit, yielding
from ecgclip.model.store import load_model


def test_calibration_is_defined_with_and_without_a_reference_bank():
    curve = Calibration((1.0, 1.0, 1.0, 0.0), -1.0)
    bank = np.random.default_rng(0).normal(size=(50, 2))
    p = curve(np.array([[-1.0, 0.0], [1.0, 2.0]]), bank)
    assert p.shape == (2, 2)
    assert ((p > 0) & (p < 1)).all()
    assert (p[1] > p[0]).all(), "more similar, more probable"


def test_a_probability_is_a_logistic_curve_of_four_features():
    bank = np.array([[0.0, 1], [1, 1], [2, 1], [3, 1]])
    columns = Calibration().features(np.array([[2.5, 1], [-1, 0]]), bank)
    sd = np.sqrt(1.25)
    assert columns.shape == (2, 2, 4)
    assert np.allclose(columns[0, 0], [2.5, 1 / sd, 0.75, 1.5])
    assert np.allclose(columns[1, 0], [-1, -2.5 / sd, 0, 1.5])
    assert np.allclose(columns[0, 1], [1, 0, 0, 1]), "none of a bank of equals is less similar"
    p = Calibration((0.5, -1.0, 2.0, 0.25), 0.1)(np.array([[2.5, 1], [-1, 0]]), bank)
    assert p[0, 0] == pytest.approx(1 / (1 + np.exp(-(0.5 * 2.5 - 1 / sd + 2 * 0.75 + 0.25 * 1.5 + 0.1))))
    assert Calibration()(np.array([[2.0 + 1.5 * sd - 0.5 * sd, 1]]), bank)[0, 1] == pytest.approx(1 / (1 + np.exp(2)))


# --- the criteria beside the vector -----------------------------------------------------------------------------------

WEIGHTS = (2.0, 1.0, 0.0, 0.5, 1.5, 0.25, 1.0, 3.0)
WITNESSES = Witnesses(WEIGHTS, -1.5, trained=(0.8, 0.6, 0.3), untrained=(0.2, 1.2, -1.0), simulated=(0.5, 0.9, -0.2))
FEATURE = st.lists(st.floats(-3, 3), min_size=len(FEATURES), max_size=len(FEATURES)).map(np.array)
UP = st.lists(st.floats(0, 3), min_size=len(FEATURES), max_size=len(FEATURES)).map(np.array)


KNOWN = ("trained", "simulated", "untrained")


@given(FEATURE, UP, st.floats(0, 1), st.floats(0, 1), st.sampled_from(KNOWN))
def test_more_of_either_witness_never_lowers_a_probability(evidence, more, one, other, known):
    low, high = sorted((one, other))
    assert WITNESSES.criteria(evidence + more) >= WITNESSES.criteria(evidence)
    assert WITNESSES.together(low, evidence + more, known) >= WITNESSES.together(low, evidence, known)
    assert WITNESSES.together(high, evidence, known) >= WITNESSES.together(low, evidence, known)
    assert 0 <= WITNESSES.together(high, evidence, known) <= 1


@given(FEATURE, st.floats(0, 1), st.sampled_from(KNOWN))
def test_no_evidence_makes_more_of_a_vector_than_the_highest(evidence, by_vector, known):
    possible = np.minimum(evidence, HIGHEST)
    most = WITNESSES.at_most(np.array(by_vector), known)
    assert most >= WITNESSES.together(np.array(by_vector), possible, known) - 1e-12
    assert most >= by_vector


def test_the_odds_of_both_witnesses_are_added():
    by_vector, evidence = np.array([0.2, 0.9]), np.random.default_rng(0).normal(size=(2, len(FEATURES)))
    mixes = (0.8, 0.6, 0.3), (0.5, 0.9, -0.2), (0.2, 1.2, -1.0)
    for known, (slope, share, bias) in zip(KNOWN, mixes, strict=True):
        odds = slope * np.log(by_vector / (1 - by_vector)) + share * (evidence @ WEIGHTS) + bias
        assert WITNESSES.together(by_vector, evidence, known) == pytest.approx(1 / (1 + np.exp(-odds)))
    assert WITNESSES.criteria(evidence) == pytest.approx(1 / (1 + np.exp(-(evidence @ WEIGHTS - 1.5))))
    nothing, plain = np.zeros((2, len(FEATURES))), Witnesses(WEIGHTS, -1.5)
    assert plain.together(by_vector, nothing, "trained") == pytest.approx(by_vector)


def test_a_certain_probability_has_finite_odds():
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    p = np.array([1e-4, 0.3, 0.999])
    assert logistic(logit(p)) == pytest.approx(p)
    assert logistic(np.array([-1e6, 0, 1e6])).tolist() == [0, 0.5, 1]


def test_the_witnesses_are_kept_with_the_model_and_older_models_have_none(tiny_model, tmp_path):
    assert Witnesses.from_dict(json.loads(json.dumps(asdict(WITNESSES)))) == WITNESSES
    model = load_model(tiny_model)
    assert model.config.witnesses is None
    model.config = replace(model.config, witnesses=WITNESSES)
    model.save(tmp_path)
    assert load_model(tmp_path).config.witnesses == WITNESSES
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["witnesses"]["simulated"]
    assert type(model.config).from_dict(stored).witnesses == replace(WITNESSES, simulated=(1.0, 1.0, 0.0))
    del stored["witnesses"]
    assert type(model.config).from_dict(stored).witnesses is None


# --- what excludes each other -----------------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_condition_yields_to_what_it_excludes_and_the_more_the_more_probable_that_is(own, rival, more):
    less, most = sorted((rival, more))
    beside = yielding(np.array([own, own, own]), np.array([np.nan, less, most]))
    assert beside[0] == pytest.approx(own), "what is unknown takes nothing"
    assert 0 <= beside[2] <= beside[1] + 1e-12 <= own + 1e-9
    if rival <= LIKELY:
        assert yielding(np.array(own), np.array(rival)) == pytest.approx(own)


def test_what_is_certain_leaves_nothing_to_what_it_excludes():
    beside = yielding(np.array([0.5, 0.9, 1.0]), np.array([1.0, 0.97, 0.0]))
    assert beside[0] < 1e-4
    assert beside[1] == pytest.approx(0.9 * 0.1 / (0.9 * 0.1 + 0.1)), "a tenth of the odds where 0.03 are left of 0.3"
    assert beside[2] == 1
