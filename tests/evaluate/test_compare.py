"""Two models on the same records."""

import json

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.compare import compare
from ecgclip.evaluate.zeroshot import zeroshot


def test_two_models_are_compared_in_pairs(data, tiny_model, tmp_path):
    for name, options in (("a", {}), ("b", {"leads": ["I"]}), ("form", {"labelled": True})):
        zeroshot("ptb-xl", data, "superclass", tmp_path / name, fold=9, min_positives=2, weights=tiny_model, **options)
    first, second = (json.loads((tmp_path / n / "results.json").read_text()) for n in "ab")
    found = compare(tmp_path / "a" / "results.json", tmp_path / "b", tmp_path / "both")
    value, low, high = found["difference"]["auroc"]
    assert value == pytest.approx(second["macro"]["auroc"][0] - first["macro"]["auroc"][0], abs=2e-4)
    assert low <= value <= high
    assert [r["label"] for r in found["labels"]] == [r["label"] for r in first["labels"]]
    assert compare(tmp_path / "a", tmp_path / "a")["difference"]["auroc"] == [0, 0, 0]
    assert "+" in (tmp_path / "both" / "results.md").read_text()
    assert np.load(tmp_path / "a" / "scores.npz")["score"].shape == (20, 5)
    with pytest.raises(EcgclipError, match="differ in their records"):
        compare(tmp_path / "a", tmp_path / "form")
    with pytest.raises(EcgclipError, match=r"scores\.npz"):
        compare(tmp_path / "a", tmp_path / "nowhere")
