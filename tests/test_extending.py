"""The worked examples of docs/extending.md run as they are printed, in the places that the page names."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ecgclip.data.sets import DATA_SETS, DataSet
from ecgclip.data.splits import divide, load
from ecgclip.ecg import EcgclipError
from ecgclip.io import find_records, formats, read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.backbones import BACKBONES
from ecgclip.networks.config import MAX_TOKENS, ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.train.objectives.base import Encoded

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


def example(heading):
    """The names that the Python block below a heading defines."""
    block = re.search(rf"^## {heading}\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block[1], "docs/extending.md", "exec"), names)
    return SimpleNamespace(**names)


def test_a_file_format(tmp_path, monkeypatch):
    row = re.search(r'`(Format\("ACME".*?\)),`', PAGE)[1]
    format_ = eval(row, {"Format": formats.Format, "_begins": formats._begins})
    monkeypatch.setattr(formats, "FORMATS", (format_, *formats.FORMATS))
    monkeypatch.setitem(sys.modules, "ecgclip.io.acme", example("A file format"))
    samples = np.random.default_rng(0).integers(-900, 900, (500, 2)).astype("<i2")
    (tmp_path / "ecg.acme").write_bytes(b"ACME" + np.array([250, 63], "<u2").tobytes() + samples.tobytes())
    (tmp_path / "damaged.acme").write_bytes(b"ACME12345")
    ecg = read_ecg(tmp_path / "ecg.acme")
    assert (ecg.leads, ecg.seconds, ecg.metadata["age"], ecg.metadata["device"]) == (("I", "II"), 2, 63, "ACME")
    np.testing.assert_allclose(ecg.signal, samples.T / 1000, atol=1e-6)
    assert find_records(tmp_path) == [str(tmp_path / name) for name in ("damaged.acme", "ecg.acme")]
    with pytest.raises(EcgclipError, match="damaged.acme: the ACME file is truncated"):
        read_ecg(tmp_path / "damaged.acme")


def test_a_data_set(tmp_path, monkeypatch):
    rows = [f"r{i},p{i // 2},AF;LBBB;nothing known" for i in range(40)]
    (tmp_path / "findings.csv").write_text("\n".join(["file,patient,findings", *rows]), encoding="utf-8")
    names = example("A data set")
    cases = names.my_hospital(tmp_path, KnowledgeBase.load())
    assert cases[0].statements == {"atrial-fibrillation": True, "left-bundle-branch-block": True}
    assert cases[0].annotated == cases[0].statements.keys()
    row = re.search(r'"my-hospital": (DataSet\(.*?\)),`', PAGE)[1]
    monkeypatch.setitem(DATA_SETS, "my-hospital", eval(row, {"DataSet": DataSet}))
    monkeypatch.setitem(sys.modules, "ecgclip.data.my_hospital", names)
    loaded = load("my-hospital", tmp_path, KnowledgeBase.load())
    assert loaded == cases
    parts = divide("my-hospital", loaded)
    assert parts.test
    assert not {c.patient for c in parts.training} & {c.patient for c in parts.test}


@pytest.mark.parametrize("rate", [100, 250])
def test_a_backbone(rate, monkeypatch):
    row = re.search(r'"(patches)": "(patches:Patches)",`', PAGE)
    monkeypatch.setitem(BACKBONES, *row.groups())
    monkeypatch.setitem(sys.modules, "ecgclip.networks.backbones.patches", example("A backbone"))
    config = ECGConfig(sampling_rate=rate, width=32, heads=4, dim=16, backbone="patches", sizes={"hidden": 64})
    encoder = ECGEncoder(config).eval()
    signal, mask = torch.randn(2, 12, 10 * rate), torch.ones(2, 12, dtype=torch.bool)
    mask[:, 3] = False
    tokens, _ = encoder.tokens(signal, mask)
    assert tokens.shape == (2, MAX_TOKENS, 32)
    changed = signal.clone()
    changed[:, 3] = 5.0
    r_peaks = torch.tensor([[1.0, 2.0], [1.0, torch.nan]])
    with torch.inference_mode():
        torch.testing.assert_close(encoder(signal, mask, r_peaks).rhythm, encoder(changed, mask, r_peaks).rhythm)


def test_an_objective():
    loss = example("An objective").Margin(None)
    similarity = torch.tensor([[0.2, -0.2, 0.9], [0.0, 0.0, 0.9]])
    batch = {"statement_truth": torch.tensor([[1, 0, -1], [1, 0, -1]])}
    assert set(loss.columns) == batch.keys()
    assert loss.banks
    value = loss(Encoded(similarity={"statement": similarity}), batch)
    assert value.item() == pytest.approx(0.05), "two of four known pairs miss the margin by 0.1"
