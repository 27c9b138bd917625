"""The random encoder beside a model."""

import torch

from ecgclip.evaluate.vectors import random_encoder
from ecgclip.measure.vector import feature_names
from ecgclip.model.store import load_model


def test_the_random_encoder_differs_in_weights_alone(tiny_model):
    model = load_model(tiny_model)
    model.ecg.measured.fit(torch.randn(50, len(feature_names())) * 30 + 70)
    other = random_encoder(model, 1)
    buffers = dict(model.ecg.measured.named_buffers())
    assert {"mean", "sd", "edges"} <= buffers.keys()
    for name, scale in other.ecg.measured.named_buffers():
        assert torch.equal(scale, buffers[name]), name
    assert not torch.equal(other.ecg.rhythm_out.weight, model.ecg.rhythm_out.weight)
    assert model.ecg is not other.ecg
    assert other.kb is model.kb
