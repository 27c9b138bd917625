"""Where a model runs: "meta" plays a GPU, and an operation on tensors of both the GPU and the CPU is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.vectors import random_encoder
from ecgclip.model.store import load_model
from ecgclip.networks import heads
from ecgclip.networks.devices import find_device, find_dtype
from ecgclip.simulate import simulate

MOVING = ("copy_", "to", "__set__", "_has_compatible_shallow_copy_type")


class OneDevice(TorchFunctionMode):
    """Fails where a tensor was left behind; "meta" itself lets some products and indices pass."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        places = {t.device.type for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.ndim}
        if len(places) > 1 and func.__name__ not in MOVING:
            raise AssertionError(f"{func.__name__} on tensors of {places}")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def gpu(monkeypatch):
    """Meta tensors have no values: a copy on the CPU is all ones. `.numpy()` without `.cpu()` fails by itself."""
    cpu = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda x: torch.ones(x.shape, dtype=x.dtype) if x.is_meta else cpu(x))
    with OneDevice():
        yield "meta"


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model)


def test_no_tensor_is_left_behind(model, gpu):
    model.to(gpu)  # before the text encoder is built
    assert model.device.type == gpu
    ecgs = [simulate("af", seed=1), simulate("pvc", seed=1, seconds=24)]
    assert [e.rhythm.shape for e in model.embed_many(ecgs)] == [(1, 32), (3, 32)]
    assert model.embed_text(["purple zebra sign"]).shape == (1, 32)
    assert len(model.classify(ecgs, ["AF", "purple zebra sign"])) == 2
    assert model.lead_evidence(model.embed(ecgs[0]), model.prompts(["AF"])).shape == (1, 12)
    assert random_encoder(model, 0).embed_ecg(ecgs).shape == (2, 32)


def test_the_text_encoder_moves_with_the_model(model, gpu):
    model.build_text()
    model.to(gpu)
    assert {p.device.type for p in model.parameters()} | {b.device.type for b in model.buffers()} == {gpu}
    assert model.embed_text("x").shape == (1, 32)


def test_a_tensor_that_is_left_behind_is_caught(model, gpu, monkeypatch):
    rr_features = heads.rr_features
    monkeypatch.setattr(heads, "rr_features", lambda peaks: rr_features(peaks) + torch.zeros(5))
    with pytest.raises((AssertionError, RuntimeError), match="meta"):
        model.to(gpu).embed(simulate("af"))


def test_back_on_the_cpu_it_answers_as_before(model):
    ecg = simulate("af", seed=3)
    before = model.embed_ecg(ecg)
    assert np.array_equal(model.to("cpu").embed_ecg(ecg), before)


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "xla"])
def test_a_device_that_is_not_there_is_one_line(tiny_model, name):
    with pytest.raises(EcgclipError, match="device") as error:
        load_model(tiny_model, device=name)
    assert "cpu" in str(error.value)
    assert "\n" not in str(error.value)


def test_auto_finds_a_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto") == torch.device("cuda")


def test_half_precision_keeps_the_scores(tiny_model):
    single, half = load_model(tiny_model), load_model(tiny_model, dtype="float16")
    artefact, volts = (dataclasses.replace(e, signal=e.signal.copy()) for e in [simulate("pvc", seed=4)] * 2)
    artefact.signal[0, :200] = 300.0  # mV
    volts.signal[:] *= 1e5
    ecgs = [simulate("af", seed=3), simulate("pvc", seed=1, seconds=24), artefact, volts]
    labels = ["AF", "LBBB", "anterior STEMI", "PVC"]
    different = False
    for ecg in ecgs:  # one by one, as volts are computed again with all their batch
        a, b = single.classify(ecg, labels), half.classify(ecg, labels)
        different = different or a.scores != b.scores
        for one, other in zip(a.scores, b.scores, strict=True):
            assert other.similarity == pytest.approx(one.similarity, abs=1e-3)
            assert other.probability == pytest.approx(one.probability, abs=1e-3)
    assert different, "it did not compute in half precision"


def test_a_precision_that_changes_scores_is_refused(tiny_model, model):
    assert find_dtype(torch.float16) == find_dtype("float16") == torch.float16
    for dtype in ("bfloat16", torch.float64, "half"):
        with pytest.raises(EcgclipError, match="float32 or float16"):
            load_model(tiny_model, dtype=dtype)
    for lower in (model.half, model.bfloat16, lambda: model.to(torch.bfloat16)):
        with pytest.raises(EcgclipError, match="dtype="):
            lower()
