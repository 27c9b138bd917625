"""Recipes: the shipped one keeps its promises, and one that cannot be built is one line."""

import pytest
import yaml

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.train.objectives import OBJECTIVES
from ecgclip.train.recipe import Recipe

PRETRAINING = {"task": "reconstruct", "epochs": 1, "batch": 64, "lr": 1e-3}


def test_the_shipped_recipe_is_within_its_promises():
    shipped = Recipe.load(asset_path("recipes/default.yaml"))
    assert not {9, 10} & set(shipped.data["ptb-xl"]["folds"])
    assert "challenge-2020" not in shipped.data
    assert set(shipped.losses) == set(OBJECTIVES)
    assert shipped.ecg_config.sampling_rate == 100
    assert shipped.text_config.dim == shipped.ecg_config.dim


@pytest.mark.parametrize("text", ["name: x", "- a", "a: [", "nonsense: 1", ""])
def test_a_bad_recipe_is_one_line(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(EcgclipError, match=r"r\.yaml") as error:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"ecg": {"sampling_rate": 257}}, "multiple of 50 Hz"),
        ({"ecg": {"wide": 1}}, "wide"),
        ({"ecg": {"backbone": "lstm"}}, "no ecg.backbone 'lstm'"),
        ({"ecg": {"backbone": "vit", "sizes": {"depth": 3}}}, "ecg.sizes.depth: vit has none"),
        ({"measured": {"epochs": 0}}, "untrained"),
        ({"text": {"tall": 1}}, "tall"),
        ({"ecg": {"members": 0}}, "members 0"),
        ({"measured": {"epochs": 1, "lr": 1e-3, "statements": 1.0, "findings": 1.0}}, "measured lacks ranking"),
        ({"data": {"mimic": {"path": "x"}}}, "mimic"),
        ({"data": {"mitdb": {"path": "x", "per_step": 1}}}, "data needs one of ptb-xl"),
        ({"captions": {"epochs": 8}}, "captions"),
        ({"losses": {"clip": 0.5, "caption": 0.25}}, "no loss 'caption'"),
        ({"ecg_pretraining": "masked"}, "ecg_pretraining 'masked': give options such as"),
        ({"ecg_pretraining": {"task": "reconstruct"}}, "ecg_pretraining lacks batch, epochs, lr"),
        ({"ecg_pretraining": PRETRAINING | {"task": "guess"}}, "no ecg_pretraining.task 'guess'"),
        ({"ecg_pretraining": PRETRAINING | {"epochs": 0}}, "ecg_pretraining.epochs 0"),
        ({"ecg_pretraining": PRETRAINING | {"batch": True}}, "ecg_pretraining.batch True"),
        ({"ecg_pretraining": PRETRAINING | {"lr": "1e-3"}}, "ecg_pretraining.lr '1e-3'"),
        ({"ecg_pretraining": PRETRAINING | {"size": {}}}, "ecg_pretraining has no option 'size'"),
        ({"ecg_pretraining": PRETRAINING | {"data": "ptb-xl"}}, "ecg_pretraining.data 'ptb-xl'"),
        ({"ecg_pretraining": PRETRAINING | {"data": []}}, "ecg_pretraining.data"),
        ({"ecg_pretraining": PRETRAINING | {"data": ["mimic-iv-ecg"]}}, "ecg_pretraining.data has 'mimic-iv-ecg'"),
        (
            {"ecg_pretraining": PRETRAINING | {"sizes": {"depth": 3}}},
            "sizes.depth: reconstruct has none",
        ),
        ({"ecg_pretraining": PRETRAINING | {"sizes": {"shown": "all"}}}, "ecg_pretraining.sizes.shown 'all'"),
        ({"data": None}, "recipe"),
        ({"unseen": "left-bundle-branch-block"}, "not a list of concepts"),
        ({"unseen": 7}, "not a list of concepts"),
        ({"unseen": ["left-bundle-branch"]}, "no concept 'left-bundle-branch'"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_one_line(tmp_path, change, words):
    plan = yaml.safe_load(asset_path("recipes/default.yaml").read_text()) | change
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(EcgclipError, match=words) as error:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(error.value)
    assert "r.yaml" in str(error.value)
