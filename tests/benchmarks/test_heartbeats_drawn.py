"""benchmarks/heartbeats.py: the words of a vocabulary are drawn true to scale, the most frequent first."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError

FILE = Path(__file__).parents[2] / "benchmarks/heartbeats.py"


@pytest.fixture(scope="module")
def heartbeats():
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("heartbeats", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """What a training keeps: 20 words, of which two are in use."""
    from safetensors.numpy import save_file

    beats = np.zeros((20, 80), np.float32)
    beats[3, 32], beats[7, 32] = 1.0, -0.5
    used = np.zeros(20, np.float32)
    used[3], used[7], used[9] = 0.3, 0.7, 0.001
    kept = {"beats": beats, "vocabulary.used": used, "sampling_rate": np.array(100)}
    save_file(kept, tmp_path / "task.safetensors")
    return tmp_path


def test_words_in_use_are_drawn_true_to_scale_with_how_often_each_is_used(heartbeats, run, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "plot")
    from pictures import Picture

    monkeypatch.setattr(sys, "argv", ["heartbeats.py", str(run), "-o", str(run / "words.svg")])
    heartbeats.main()
    picture = Picture(run / "words.svg")
    assert picture.names("word-") == ["word-7", "word-3"]
    assert {"7: 69.9 %", "3: 30.0 %"} <= set(picture.texts)
    assert any(text.startswith("2 of 20 words in use; perplexity 2;") for text in picture.texts)
    line = picture.lines("word-3")[0]
    assert np.ptp(line[:, 0]) == pytest.approx(0.79 * 25, abs=0.1)
    assert np.ptp(line[:, 1]) == pytest.approx(1.0 * 5, abs=0.1)


def test_a_run_of_another_task_has_no_vocabulary(heartbeats, tmp_path):
    with pytest.raises(EcgclipError, match="no vocabulary here"):
        heartbeats.read_vocabulary(tmp_path)
