"""Calibration: unknown is not absent, and no patient is measured by a curve or a threshold that was fitted on him."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.data.cases import Case  # noqa: E402
from ecgclip.data.splits import patient_folds  # noqa: E402
from ecgclip.knowledge.base import KnowledgeBase  # noqa: E402
from ecgclip.knowledge.criteria import FEATURES  # noqa: E402
from ecgclip.knowledge.criteria.readings import read, width  # noqa: E402
from ecgclip.measure.examined import examine  # noqa: E402
from ecgclip.model.calibration import Calibration, Witnesses  # noqa: E402
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate
from ecgclip.train.calibrate import (
    Examples,
    absent_in_normal,
    calibrate,
    choose_threshold,
    cross_fit,
    cross_fitted,
    cross_fitted_f1,
    examples,
    fit,
    fit_untrained,
    reliability,
)
from ecgclip.train.witnesses import Evidences

# --- curves -----------------------------------------------------------------------------------------------------------

CONCEPTS = ("left-bundle-branch-block", "atrial-fibrillation", "paced-rhythm")


class Held:
    """A model and a validation split of 60 patients, two windows each, with ECG vectors drawn around their truth."""

    def __init__(self, tiny_model, monkeypatch, seed=0, unknown=()):
        rng = np.random.default_rng(seed)
        self.truth = rng.random((60, 3)) < 0.4
        cases = []
        for i, row in enumerate(self.truth):
            known = {
                c: bool(there) for j, (c, there) in enumerate(zip(CONCEPTS, row, strict=True)) if (i, j) not in unknown
            }
            cases.append(Case("s", f"r{i}", str(i), known, frozenset(c for c, there in known.items() if there)))
        self.ecgs = (np.repeat(self.truth, 2, 0) - 0.5 + rng.normal(0, 0.7, (120, 3))).astype(np.float32)
        self.model = load_model(tiny_model)
        self.model.config = replace(self.model.config, training={"concepts": list(CONCEPTS)})
        self.model.reference = rng.normal(0, 1, (50, 3)).astype(np.float32)
        vectors = dict(zip(CONCEPTS, np.eye(3, dtype=np.float32), strict=True))
        monkeypatch.setattr(self.model, "concept_vector", vectors.__getitem__, raising=False)
        windows = SplitWindows(case=np.repeat(np.arange(60), 2), ecgs=self.ecgs, readings=nothing_measured(120))
        monkeypatch.setattr("ecgclip.train.calibrate.embed_windows", lambda model, windows: windows.ecgs)
        self.split = {"ptb-xl": SimpleNamespace(cases=cases, windows=windows)}


class SplitWindows(SimpleNamespace):
    finding_keys, findings = (), None

    def __len__(self):
        return len(self.case)


def nothing_measured(windows):
    return np.full((windows, width()), np.nan, np.float32)


CRITERIA = Witnesses((1.0,) * len(FEATURES), 0.0)
NO_EVIDENCE = Evidences((), np.zeros((0, 0, len(FEATURES))), np.zeros((0, 0), bool), np.zeros((0, 0), np.int8))
NOTHING = Examples(np.zeros((0, 0, 4)), NO_EVIDENCE)  # no simulated ECGs


def curve_of(model, split, **options):
    """The curve of the vector alone."""
    return calibrate(examples(model, split, **options), NOTHING, CRITERIA)[0]


def near(one, other):
    return np.allclose([*one.weights, one.bias], [*other.weights, other.bias], atol=1e-3)


def test_what_is_unknown_counts_as_neither_present_nor_absent(tiny_model, monkeypatch):
    whole = Held(tiny_model, monkeypatch)
    # were these absent, the curve would be much flatter
    present = [(i, 0) for i in np.flatnonzero(whole.truth[:, 0])][:12]
    half = Held(tiny_model, monkeypatch, unknown=present)
    curve = curve_of(half.model, half.split)
    rng = np.random.default_rng(1)
    features, truth = rng.normal(size=(200, 3, 4)), rng.integers(0, 2, (200, 3))
    truth[:50] = -1
    assert near(fit(features, truth), fit(features[50:], truth[50:]))
    assert not near(fit(features, truth), fit(features, np.maximum(truth, 0)))
    absent = Held(tiny_model, monkeypatch)
    for i, j in present:
        absent.split["ptb-xl"].cases[i].statements[CONCEPTS[j]] = False
    assert not near(curve, curve_of(absent.model, absent.split))


def test_of_normal_ecgs_it_is_known_what_they_lack_unless_they_are_hidden_from_training(tiny_model, monkeypatch):
    held = Held(tiny_model, monkeypatch)
    cases = held.split["ptb-xl"].cases
    cases[0] = replace(cases[0], annotated=frozenset({"normal-ecg"}))
    truth = absent_in_normal(held.model, held.split["ptb-xl"], CONCEPTS).truth
    assert (truth[:2, :2] == 0).all(), "both windows of the normal ECG"
    assert (truth[2:] == -1).all()
    held.model.knowledge = SimpleNamespace(kb=held.model.kb.without(["normal-ecg"]))
    assert (absent_in_normal(held.model, held.split["ptb-xl"], CONCEPTS).truth == -1).all()


def test_where_nothing_can_be_fitted_the_curve_stays_as_it_was():
    features = np.random.default_rng(0).normal(size=(20, 2, 4))
    for truth in (np.zeros((20, 2)), np.full((20, 2), -1), np.ones((20, 2))):
        assert fit(features, truth) == Calibration()


def test_a_patients_probability_comes_from_a_curve_that_never_saw_him(tiny_model, monkeypatch):
    held = Held(tiny_model, monkeypatch)
    answers = cross_fit(held.model, held.split, NOTHING, CRITERIA)
    ece = cross_fitted(held.model, held.split, answers)["ece"][0]
    curves = [curve for curve, _ in answers]
    assert len(curves) == 5
    assert 0 < ece < 0.2
    cases = held.split["ptb-xl"].cases
    folds = patient_folds(cases)
    assert np.bincount(folds).tolist() == [12] * 5
    assert patient_folds([*cases, replace(cases[7], path="another")])[-1] == folds[7], "all records of a patient"
    for i in np.flatnonzero(folds == 2):  # what is said of his fold changes every curve but his
        statements = cases[i].statements
        statements |= {c: not there for c, there in statements.items()}
    answers = cross_fit(held.model, held.split, NOTHING, CRITERIA)
    worse = cross_fitted(held.model, held.split, answers)["ece"][0]
    changed = [curve for curve, _ in answers]
    assert near(changed[2], curves[2])
    assert not any(near(changed[k], curves[k]) for k in (0, 1, 3, 4))
    assert worse > ece
    assert not near(curve_of(held.model, held.split), curves[2])


def test_the_shares_beside_a_probability_are_those_of_other_patients(tiny_model, monkeypatch):
    held = Held(tiny_model, monkeypatch)
    sure, never = (Calibration((0.0,) * 4, bias) for bias in (9.0, -9.0))
    figures = cross_fitted(held.model, held.split, [(sure, None), *[(never, None)] * 4])
    low, high = reliability(figures)
    assert (low[:2], high[:2]) == ((0.0, 0.1), (0.9, 1.0))
    share = [held.truth[patient_folds(held.split["ptb-xl"].cases) == 0].mean(), held.truth.mean()]
    assert high[2] < share[0] < high[3]
    assert low[4] == 4 * high[4]
    config = replace(ModelConfig(), reliability=(low, high))
    assert config.observed(1.0) == config.observed(0.9) == high[2:4]
    assert config.observed(0.5) is None, "no validation ECG scored so"


def test_nor_does_what_the_criteria_weigh_beside_the_vector(tiny_model, monkeypatch):
    held = Held(tiny_model, monkeypatch)
    lbbb, normal = (read(examine(simulate(c, seed=1)).measurements[0]) for c in ("lbbb", "normal"))
    held.split["ptb-xl"].windows.readings = np.where(np.repeat(held.truth[:, :1], 2, 0), lbbb, normal)
    answers = cross_fit(held.model, held.split, NOTHING, CRITERIA)
    ece = cross_fitted(held.model, held.split, answers)["ece"][0]
    assert all(fitted.weights == CRITERIA.weights for _, fitted in answers)
    mixes = [fitted.trained for _, fitted in answers]
    assert all(slope > 0 and share > 0 for slope, share, _ in mixes)
    cases = held.split["ptb-xl"].cases
    for i in np.flatnonzero(patient_folds(cases) == 2):
        cases[i].statements.update({c: not there for c, there in cases[i].statements.items()})
    answers = cross_fit(held.model, held.split, NOTHING, CRITERIA)
    worse = cross_fitted(held.model, held.split, answers)["ece"][0]
    changed = [fitted.trained for _, fitted in answers]
    assert changed[2] == pytest.approx(mixes[2], abs=1e-3)
    assert not any(changed[k] == pytest.approx(mixes[k], abs=1e-3) for k in (0, 1, 3, 4))
    assert worse > ece


def test_the_threshold_is_chosen_and_measured_on_probabilities_from_other_patients(tiny_model, monkeypatch):
    held = Held(tiny_model, monkeypatch)
    never, always = ((Calibration((0.0,) * 4, bias), None) for bias in (-9.0, 9.0))
    good = curve_of(held.model, held.split), None
    held.model.config = replace(held.model.config, calibration=never[0])
    chosen = choose_threshold(held.model, held.split, [good] * 5)
    assert 0.2 < chosen < 0.7
    assert cross_fitted_f1(held.model, held.split, [good] * 5) > 0.7
    assert cross_fitted_f1(held.model, held.split, [never] * 5) == 0, "by the curves given, not by the model's own"
    mixed = cross_fitted_f1(held.model, held.split, [always, good, good, good, good])
    assert mixed < cross_fitted_f1(held.model, held.split, [good] * 5)


def test_the_curve_of_untrained_conditions_is_that_of_hidden_ones_in_all_models(tiny_model, monkeypatch, tmp_path):
    one, other = (Held(tiny_model, monkeypatch, seed) for seed in (0, 1))
    for held in (one, other):  # of the hidden one the ECGs say little, of the others much
        held.ecgs[:, 0] = held.ecgs[:, 0] * 0.1
    hidden = [examples(h.model, h.split, CONCEPTS[:1]) for h in (one, other)]
    curve = fit_untrained(hidden)
    assert not near(curve, curve_of(one.model, one.split)), "not of the conditions that these models know"
    assert not near(curve, fit_untrained(hidden[:1]))
    assert near(curve, fit_untrained(hidden[::-1]))
    one.model.config = replace(one.model.config, untrained=curve)
    one.model.save(tmp_path)
    assert load_model(tmp_path).config.untrained == curve
    assert load_model(tiny_model).config.untrained is None
    stored = {
        "ecg": {"channels": [1, 2, 3]},
        "text": {},
        "calibration": {"weights": [1], "bias": 0},
        "floor": 0,
        "training": {},
    }
    assert ModelConfig.from_dict(stored).untrained is None, "of version 0.1.0"


def test_what_is_given_seven_tenths_is_there_in_seven_of_ten(monkeypatch):
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0, 1, (1500, 3)).astype(np.float32)
    likely = 1 / (1 + np.exp(4 - 8 * similarity))
    truth = rng.random(likely.shape) < likely
    cases = [
        Case("s", f"r{i}", str(i), dict(zip(CONCEPTS, map(bool, row), strict=True))) for i, row in enumerate(truth)
    ]
    vectors = dict(zip(CONCEPTS, np.eye(3, dtype=np.float32), strict=True))
    model = SimpleNamespace(concept_vector=vectors.__getitem__, reference=similarity[::10], kb=KnowledgeBase.load())
    monkeypatch.setattr("ecgclip.train.calibrate.embed_windows", lambda model, windows: windows.ecgs)
    windows = SplitWindows(case=np.arange(1500), ecgs=similarity, readings=nothing_measured(1500))
    split = SimpleNamespace(cases=cases, windows=windows)
    curve = curve_of(model, {"s": split})
    assert np.abs(curve(similarity, model.reference) - likely).max() < 0.1
    for present in (True, False):
        alike = [replace(c, statements=dict.fromkeys(CONCEPTS, present)) for c in cases]
        assert curve_of(model, {"s": SimpleNamespace(cases=alike, windows=split.windows)}) == Calibration()
    rare = [replace(c, statements={**c.statements, CONCEPTS[0]: i < 3}) for i, c in enumerate(cases)]
    split = SimpleNamespace(cases=rare, windows=split.windows)
    one, three, four = (curve_of(model, {"s": split}, min_positives=n) for n in (1, 3, 4))
    assert near(one, three)
    assert not near(one, four), "a condition counts from so many ECGs on"


def test_no_label_becomes_less_probable_when_an_ecg_is_more_similar_to_it():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 1, 4))
    truth = rng.random((2000, 1)) < 1 / (1 + np.exp(-features @ [2.0, -1.0, 0.5, -1.5]))
    curve = fit(features, truth)
    assert curve.weights[1] == 0
    assert curve.weights[0] > 1
    assert curve.weights[2] > 0.2
    assert curve.weights[3] < -1, "of the bank's mean, which is the same for all ECGs"
