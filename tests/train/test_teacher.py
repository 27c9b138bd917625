"""The teacher: it learns what the measurements tell, and has no opinion where there is nothing to learn from."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.train.teacher import opinions  # noqa: E402


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 4)).astype(np.float32)
    truth = np.stack([features[:, 0] > 0, rng.random(200) < 0.5, np.arange(200) < 2], 1).astype(np.int8)
    truth[150:, 0] = -1
    features[::7, 1] = np.nan
    return features, truth, opinions(features, truth, trees=30, seed=0)


def test_it_is_right_about_ecgs_that_its_trees_have_not_seen(told):
    features, _, soft = told
    assert soft.shape == (200, 3)
    assert ((soft[:, 0] > 0.5) == (features[:, 0] > 0)).mean() > 0.85
    assert ((soft[150:, 0] > 0.5) == (features[150:, 0] > 0)).mean() > 0.85, "where the statement is unknown, too"


def test_what_cannot_be_known_is_not_learned_by_heart(told):
    _, truth, soft = told
    assert ((soft[:, 1] > 0.5) == truth[:, 1]).mean() < 0.65, "a coin says nothing of the next one"
    assert np.isnan(soft[:, 2]).all(), "two positives are too few"
