"""After training: the signal's weight is chosen by validation, and measured on patients that did not choose it."""

from types import SimpleNamespace

import numpy as np
import torch
from toy import recipe

from ecgclip.data.cases import Case
from ecgclip.model.store import load_model
from ecgclip.train.finish import SIGNAL_WEIGHTS, weigh_signal, weight_scores, weighted_similarity
from ecgclip.train.sources import Split, load_split
from ecgclip.train.validation import encode_windows


def test_the_signal_is_weighed_by_validation(trained, toy):
    model = load_model(trained / "model")
    held_out = load_split(recipe(), toy, model.kb, validation=True)
    scores = weight_scores(*weighted_similarity(model, held_out))
    assert len(scores) == len(SIGNAL_WEIGHTS)
    assert float(model.ecg.signal_weight) == SIGNAL_WEIGHTS[int(scores.argmax())]


def test_the_branches_are_added_with_the_signals_weight(trained, toy):
    model = load_model(trained / "model")
    windows = load_split(recipe(), toy, model.kb, validation=True)["ptb-xl"].windows
    both = encode_windows(model, windows).rhythm
    alone = encode_windows(model, windows, measured=False).rhythm
    measured = model.ecg.measured(torch.from_numpy(windows.features[:, 0].copy()))
    expected = torch.nn.functional.normalize(measured + model.ecg.signal_weight * alone, dim=-1)
    assert torch.allclose(both, expected, atol=1e-5)


def test_the_figure_that_is_kept_is_not_the_one_that_the_choice_was_made_by(trained, monkeypatch):
    """Signals that say nothing: the best of six is above chance, what the others' best says of a fold is not."""
    model = load_model(trained / "model")
    cases = [Case("s", f"r{i}", str(i)) for i in range(100)]
    held_out = {"ptb-xl": Split(cases, SimpleNamespace(case=np.arange(100)))}
    best, cross_fitted = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(len(SIGNAL_WEIGHTS), 2, 100, 3)), (rng.random((100, 3)) < 0.5).astype(np.int8)
        monkeypatch.setattr("ecgclip.train.finish.weighted_similarity", lambda *_, noise=noise: noise)
        figures = weigh_signal(model, held_out)
        best.append(max(weight_scores(*noise)))
        cross_fitted.append(figures["auroc"])
        assert len(figures["signal_weights"]) == 5
        assert float(model.ecg.signal_weight) == SIGNAL_WEIGHTS[int(np.argmax(weight_scores(*noise)))]
    assert np.mean(best) > 0.52
    assert abs(np.mean(cross_fitted) - 0.5) < 0.015
