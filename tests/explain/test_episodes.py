"""Episodes: what a part of a long recording shows is stated with its time, and is not lost in the whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgclip.explain.episodes import LEAST_S, find_episodes, when_words
from ecgclip.explain.sentences import describe
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate

WEIGHTS = Path(__file__).parents[2] / "ecgclip" / "weights" / "model.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="ecgclip/weights is missing")


@given(st.lists(st.sets(st.sampled_from(["af", "pvc"])), max_size=30))
def test_an_episode_is_as_long_as_windows_state_it_one_after_another(windows):
    starts = [10.0 * i for i in range(len(windows))]
    stops = [start + 10 for start in starts]
    found = find_episodes([{c: 0.5 + i / 100 for c in w} for i, w in enumerate(windows)], starts, stops)
    for concept in ("af", "pvc"):
        inside = {i for e in found.get(concept, []) for i in range(e.first, e.last + 1)}
        assert all(concept in windows[i] for i in inside)
        for e in found.get(concept, []):
            assert (e.start_s, e.stop_s) == (starts[e.first], stops[e.last])
            assert e.stop_s - e.start_s >= LEAST_S
            assert e.probability == pytest.approx(0.5 + (e.first + e.last) / 200)
            assert not {e.first - 1, e.last + 1} & {i for i, w in enumerate(windows) if concept in w}
        outside = [concept in w and i not in inside for i, w in enumerate(windows)]
        assert not any(all(outside[i : i + 3]) for i in range(len(outside) - 2))


def test_when_an_episode_was():
    assert when_words([(120.0, 220.4)]) == "2:00–3:40 min"
    assert when_words([(0.0, 30.0), (3590.0, 3720.0)]) == "0:00:00–0:00:30, 0:59:50–1:02:00 h"
    assert when_words([(60.0 * i, 60.0 * i + 30) for i in range(5)]) == "0:00–0:30, 1:00–1:30, 2:00–2:30 min, … (5 ×)"


@needs_weights
def test_a_paroxysm_is_stated_and_the_recording_is_not_called_normal():
    parts = [simulate(condition, 1, seconds) for condition, seconds in (("normal", 60), ("af", 50), ("normal", 40))]
    ecg = replace(parts[0], signal=np.concatenate([part.signal for part in parts], axis=1))
    said = {s.concept: s for s in describe(load_model(), ecg)}
    af = said["atrial-fibrillation"]
    ((start, stop),) = af.episodes
    assert (start, stop) == (pytest.approx(60, abs=10), pytest.approx(110, abs=10))
    assert af.probability > 0.8
    assert any("irregularity" in value for value in af.met), "measured in the episode"
    assert said["sinus-rhythm"].episodes == ()
    assert "normal-ecg" not in said
    assert af.said.startswith("Atrial fibrillation. (1:")
