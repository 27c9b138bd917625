"""The threshold of a description: chosen on validation data, and kept with the model."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.knowledge.criteria.readings import width
from ecgclip.model.calibration import Calibration
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.train import calibrate


def test_the_threshold_is_kept_and_older_models_have_one_half(tiny_model, tmp_path):
    model = load_model(tiny_model)
    model.config = replace(model.config, threshold=0.325)
    model.save(tmp_path)
    assert load_model(tmp_path).config.threshold == 0.325
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["threshold"]
    assert ModelConfig.from_dict(stored).threshold == 0.5


def test_the_threshold_is_the_one_that_parts_stated_from_unstated(tiny_model, monkeypatch):
    concepts = ("left-bundle-branch-block", "atrial-fibrillation")
    model = load_model(tiny_model)
    calibration = Calibration((4.0, 0.0, 0.0, 0.0), -2.0)
    model.config = replace(model.config, training={"concepts": list(concepts)}, calibration=calibration)
    vectors = {c: np.eye(32, dtype=np.float32)[i] for i, c in enumerate(concepts)}
    monkeypatch.setattr(model, "concept_vector", vectors.__getitem__, raising=False)
    cases = [
        Case("s", "p", str(i), {c: c == concepts[i % 2] for c in concepts}, frozenset({concepts[i % 2]}))
        for i in range(6)
    ]
    # the condition of each record has the probability 0.6, the other one 0.4
    ecgs = np.stack([vectors[concepts[i % 2]] * 0.6 + vectors[concepts[(i + 1) % 2]] * 0.4 for i in range(6)])
    monkeypatch.setattr("ecgclip.train.calibrate.embed_windows", lambda model, windows: ecgs)
    windows = SimpleNamespace(case=np.arange(6), readings=np.full((6, width()), np.nan))
    split = SimpleNamespace(cases=cases, windows=windows)
    assert 0.4 < calibrate.choose_threshold(model, {"ptb-xl": split}) <= 0.6
    bare = SimpleNamespace(cases=[replace(c, annotated=frozenset()) for c in cases], windows=split.windows)
    assert calibrate.choose_threshold(model, {"ptb-xl": bare}) == 0.5
