"""The exported model answers as the model does: the same vectors, the same probabilities, and no torch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgclip import load_model
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.vector import feature_names
from ecgclip.model.onnx import ECG_ARRAYS, TEXT_ARRAYS, export_onnx

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "examples" / "records"
NAN = float("nan")

pytestmark = pytest.mark.skipif(not (ROOT / "ecgclip/weights/model.safetensors").exists(), reason="no weights")


@pytest.fixture(scope="module")
def shipped():
    return load_model()


@pytest.fixture(scope="module")
def exported(shipped, tmp_path_factory):
    """The folder of the exported shipped model."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs ecgclip[onnx]")
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(shipped, folder)
    return folder


@pytest.fixture(scope="module")
def constants(exported):
    return json.loads((exported / "ecgclip.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def session(exported):
    """session(name) → what runs that file, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    files = {
        name: onnxruntime.InferenceSession(exported / name, options, providers=["CPUExecutionProvider"])
        for name in ("ecg.onnx", "text.onnx")
    }
    return files.__getitem__


# --- the networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, meaning", [("ecg.onnx", ECG_ARRAYS), ("text.onnx", TEXT_ARRAYS)])
def test_names_types_and_axes_are_those_that_are_told(session, constants, name, meaning):
    assert constants[name] == meaning
    types = {"tensor(float)": "float32", "tensor(bool)": "bool", "tensor(int64)": "int64"}
    parts = [*session(name).get_inputs(), *session(name).get_outputs()]
    assert [part.name for part in parts] == list(meaning)
    config = constants["config"]
    sizes = {"samples": 1000, "features": len(constants["features"]), "dim": config["ecg"]["dim"], "12": 12}
    for part in parts:
        axes = meaning[part.name].partition("(")[2].partition(")")[0].split(", ")
        assert meaning[part.name].startswith(types[part.type])
        assert part.shape == [sizes.get(axis, axis) for axis in axes]


def windows(beats, masks, length, unknown, columns, seed):
    """Arrays as the ECG encoder reads them: a row for each of `beats`, the numbers of R peaks."""
    rng, n = np.random.default_rng(seed), len(beats)
    mask = np.array([[lead in leads for lead in range(12)] for leads in masks])
    signal = rng.standard_normal((n, 12, 1000)).astype(np.float32) * mask[..., None]
    signal[:, :, length:] = 0
    r_peaks = np.full((n, columns), NAN, np.float32)
    for row, count in zip(r_peaks, beats, strict=True):
        row[:count] = np.sort(rng.uniform(0, length / 100, count))
    measured = rng.standard_normal((n, len(feature_names()))).astype(np.float32) * 50
    measured[rng.random(measured.shape) < unknown] = NAN
    return {"signal": signal, "mask": mask, "r_peaks": r_peaks, "length": np.full(n, length), "measured": measured}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    beats=st.lists(st.integers(0, 30), min_size=1, max_size=9),
    leads=st.sets(st.integers(0, 11), min_size=1),
    length=st.sampled_from([200, 333, 1000]),
    unknown=st.sampled_from([0.0, 0.3, 1.0]),
    padding=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_the_encoder_gives_the_same_vectors(shipped, session, beats, leads, length, unknown, padding, seed):
    masks = [leads, *[range(12)] * (len(beats) - 1)]
    inputs = windows(beats, masks, length, unknown, max(1, *beats, 1) + padding, seed)
    rhythm, vectors = session("ecg.onnx").run(["rhythm", "beats"], inputs)
    (features,) = shipped.encode_windows(tuple(inputs.values()), [slice(None)])
    np.testing.assert_allclose(rhythm, features.rhythm.numpy(), atol=1e-4)
    real = ~np.isnan(inputs["r_peaks"])
    np.testing.assert_allclose(vectors[real], features.beats[:, : real.shape[1]].numpy()[real], atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_text_encoder_gives_the_same_vectors(shipped, session, count):
    texts = ["af", "acute inferior infarct with av block " * 9, "Linksschenkelblock", *map(str, range(4))][:count]
    ids, mask = (array.numpy() for array in shipped.tokenizer(texts))
    (vectors,) = session("text.onnx").run(["vector"], {"ids": ids, "mask": mask})
    np.testing.assert_allclose(vectors, shipped.embed_text(texts), atol=1e-4)


def test_a_file_says_what_it_is_and_not_where_it_was_made(exported):
    for name in ("ecg.onnx", "text.onnx"):
        content = (exported / name).read_bytes()
        assert b"not a medical device" in content
        assert b".py" not in content


# --- what lies beside them --------------------------------------------------------------------------------------------


def test_the_page_runs_as_written_and_its_answers_are_the_models(shipped, exported, tmp_path, monkeypatch):
    page = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")
    (tmp_path / "onnx").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
    score = shipped.classify(RECORDS / "af.hea", ["AF"])["AF"]
    assert names["probability"](shipped.embed(RECORDS / "af.hea").rhythm) == pytest.approx(score.by_vector, abs=1e-4)
    np.testing.assert_allclose(names["vector"], shipped.embed_text("atrial fibrillation"), atol=1e-4)


def test_the_folder_names_its_weights_and_its_measurements(shipped, exported, constants):
    assert constants["weights_sha256"] == shipped.weights_sha256
    assert constants["features"] == list(feature_names())
    stored = json.loads((exported / "knowledge_base.json").read_text(encoding="utf-8"))
    assert list(KnowledgeBase.from_dict(stored).concepts) == [label["id"] for label in constants["labels"]]


def test_the_example_scores_as_classify_does_and_without_torch(shipped, exported, records):
    labels = ["AF", "PVC", "STEMI", "normal ECG", "Linksschenkelblock"]
    program = "import runpy, sys; runpy.run_path(sys.argv.pop(1)); assert 'torch' not in sys.modules"
    example = ROOT / "examples" / "onnx_score.py"
    for record in (RECORDS / "af.hea", records / "pvc.hea"):  # one window, and several
        done = subprocess.run(
            [sys.executable, "-c", program, example, exported, record, *labels],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers = [line.rpartition(": ")[2].split()[0] for line in done.stdout.splitlines()]
        expected = [score.probability for score in shipped.classify(record, labels).scores]
        assert [float(answer) for answer in answers] == pytest.approx(expected, abs=1e-3)
