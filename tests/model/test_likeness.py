"""Likeness: similar ECGs are those that show the same conditions."""

import dataclasses

import numpy as np
import pytest

from ecgclip.model.calibration import Calibration
from ecgclip.model.store import load_model


def test_like_cases_are_searched_by_what_is_unusually_probable(taught, tiny_model):
    vector = taught.concept_vector("atrial-fibrillation")
    untold = load_model(tiny_model)  # it does not say what it was trained on
    assert np.array_equal(untold.like(vector), vector)
    query = taught.like(vector)
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)
    closeness = {c: float(query @ taught.concept_vector(c)) for c in taught.config.training["concepts"]}
    assert max(closeness, key=closeness.get) == "atrial-fibrillation", closeness


def test_likeness_goes_by_diagnostic_class_and_by_shared_statements(taught, monkeypatch):
    infarct, inferior, lbbb, normal = np.eye(taught.reference.shape[1])[:4].astype(np.float32)
    vectors = {"myocardial-infarction": infarct, "inferior-myocardial-infarction": inferior, "normal-ecg": normal}
    monkeypatch.setattr(taught, "concept_vector", lambda c: vectors.get(c, lbbb))
    calibration = Calibration((12.0, 0.0, 0.0, 0.0), -6.0)  # a statement is there or not
    taught.config = dataclasses.replace(taught.config, calibration=calibration)
    others = np.stack([infarct + inferior, infarct, infarct + lbbb, inferior, normal, lbbb])
    likeness, other_way = taught.likeness(np.stack([infarct + inferior, infarct]), others)
    assert likeness[0] > likeness[1] > likeness[3:].max()
    assert likeness[2] > likeness[3:].max()
    assert likeness[0] > 0.95
    assert likeness[4:].max() < 0.05
    assert other_way[0] == pytest.approx(likeness[1]), "mutual"
