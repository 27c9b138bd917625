"""A loaded tiny model, one that says what it was trained on, and files to damage."""

import dataclasses
import shutil

import pytest
import yaml

from ecgclip.knowledge.criteria import FEATURES
from ecgclip.model.calibration import Calibration, Witnesses
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def af():
    return simulate("af", seed=3)


@pytest.fixture
def taught(tiny_model):
    """A model that says which concepts it was trained on."""
    concepts = [
        "atrial-fibrillation",
        "left-bundle-branch-block",
        "normal-ecg",
        "myocardial-infarction",
        "inferior-myocardial-infarction",
    ]
    model = load_model(tiny_model)
    calibration = Calibration((8.0, 1.0, 0.0, 0.0), -4.0)
    model.config = dataclasses.replace(model.config, training={"concepts": concepts}, calibration=calibration)
    return model


@pytest.fixture
def listening(taught):
    """The same model, and it listens to the criteria."""
    witnesses = Witnesses((1.0,) * len(FEATURES), -1.0, trained=(0.5, 1.0, -0.5), untrained=(0.1, 1.0, -2.0))
    taught.config = dataclasses.replace(taught.config, witnesses=witnesses)
    return taught


@pytest.fixture
def two_concepts(tmp_path):
    """A knowledge base of two conditions; one has an alias that the shipped knowledge base lacks."""
    from ecgclip.files import asset_path

    source = asset_path("knowledge_base")
    shutil.copy(source / "sources.yaml", tmp_path)
    for concept in ("atrial-fibrillation", "left-bundle-branch-block"):
        entry = yaml.safe_load((source / f"{concept}.yaml").read_text(encoding="utf-8"))
        entry |= {"broader": [], "lookalikes": [], "explained_by": {}, "excludes": []}
        if concept == "atrial-fibrillation":
            entry["aliases"] = {"en": ["delirium cordis"], "de": []}
        (tmp_path / f"{concept}.yaml").write_text(yaml.safe_dump(entry, allow_unicode=True), encoding="utf-8")
    return tmp_path


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")
