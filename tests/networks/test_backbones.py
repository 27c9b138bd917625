"""Every backbone: a token for each 80 ms at any rate and length; what is not there changes nothing; it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ecgclip.ecg import EcgclipError
from ecgclip.networks.backbones import BACKBONES, backbone_sizes, build_backbone
from ecgclip.networks.backbones.scalogram import FLOOR_MV, Wavelets
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.simulate import simulate

# what is tested: name → backbone and small sizes; backbones that are not named here have their defaults
SMALL = {
    "conv-transformer": ("conv-transformer", {"channels": (8, 8, 16)}),
    "resnet": ("resnet", {"channels": (8, 8, 16, 16), "blocks": 1}),
    "vit": ("vit", {"layers": 2}),
    "vit of one lead": ("vit", {"leads": "one", "patch": 5, "layers": 1}),
    "scalogram": ("scalogram", {"frequencies": 9, "channels": (8, 8, 16, 16)}),
    "chimera": ("chimera", {"channels": (4, 8), "lead_width": 8, "layers": 1, "hidden": 32}),
}
SMALL |= {name: (name, {}) for name in BACKBONES.keys() - {backbone for backbone, _ in SMALL.values()}}
every = pytest.mark.parametrize("name", sorted(SMALL))
LENGTH = torch.tensor([1000, 437])


def config(name, rate=100):
    backbone, sizes = SMALL[name]
    return ECGConfig(sampling_rate=rate, width=16, heads=2, dim=16, measured=0, backbone=backbone, sizes=sizes)


def make(name, rate=100):
    torch.manual_seed(0)
    return build_backbone(config(name, rate)).eval()


def signals(rows=2, samples=1000, seed=0):
    return torch.randn(rows, 12, samples, generator=torch.Generator().manual_seed(seed))


def leads(rows=2, *masked):
    mask = torch.ones(rows, 12, dtype=torch.bool)
    mask[:, list(masked)] = False
    return mask


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_default_sizes_have_about_a_million_parameters(backbone):
    count = sum(p.numel() for p in build_backbone(ECGConfig(backbone=backbone)).parameters())
    assert 2e5 < count < 1.5e6


@every
@pytest.mark.parametrize("rate", [100, 250, 500])
def test_a_token_for_each_80_ms_at_any_rate_and_length(name, rate):
    backbone = make(name, rate)
    for seconds, count in ((2, 25), (10, 125), (9.99, 125), (60, 750)):
        with torch.inference_mode():
            tokens = backbone(signals(1, round(seconds * rate)), leads(1))
        assert tokens.shape == (1, count, 16)
        assert tokens.isfinite().all()


@every
def test_masked_leads_change_nothing_to_the_last_bit(name):
    backbone, x, flat = make(name), signals(), signals()
    mask = leads(2, 0, 7)
    other = x.clone()
    other[:, [0, 7]] = 1e3
    flat[:, [0, 7]] = 0
    with torch.inference_mode():
        tokens = backbone(x, mask)
        assert torch.equal(backbone(other, mask), tokens)
        assert not torch.equal(backbone(flat, leads()), tokens), "a masked lead is not a flat one"
        assert backbone(x, ~leads()).isfinite().all(), "not even one lead"


@every
def test_what_stands_in_the_padding_changes_nothing_to_the_last_bit(name):
    backbone, x = make(name), signals()
    other = x.clone()
    other[1, :, LENGTH[1] :] = 1e3
    with torch.inference_mode():
        assert torch.equal(backbone(x, leads(), LENGTH), backbone(other, leads(), LENGTH))


@pytest.mark.parametrize("name", ["vit", "vit of one lead"])
def test_a_vision_transformer_does_not_see_how_much_padding_there_is(name):
    backbone, x = make(name), signals(1)
    with torch.inference_mode():
        short, padded = backbone(x[..., :440], leads(1)), backbone(x, leads(1), torch.tensor([440]))
    torch.testing.assert_close(padded[:, :55], short)


@every
def test_records_stand_alone_and_come_out_the_same_again(name):
    backbone, x = make(name), signals(3)
    mask = torch.rand(3, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    with torch.inference_mode():
        tokens = backbone(x, mask)
        assert torch.equal(backbone(x, mask), tokens)
        for i in range(3):
            torch.testing.assert_close(backbone(x[i : i + 1], mask[i : i + 1]), tokens[i : i + 1], atol=1e-5, rtol=1e-4)


@every
@pytest.mark.parametrize("masked", [(), range(1, 12)])
def test_all_parameters_get_finite_gradients_also_from_one_lead(name, masked):
    backbone = make(name).train()
    tokens = backbone(signals(), leads(2, *masked), LENGTH)
    (tokens * signals(2, 16, seed=1)[:, :1]).sum().backward()
    for parameter in backbone.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.fixture(scope="module")
def rhythms():
    """Two rhythms: training and test signals (n, 12, 400) mV with 0 for the one and 1 for the other."""
    parts = []
    for seeds in (range(6), range(6, 10)):
        ecgs = [simulate(kind, seed=s, sampling_rate=100) for kind in ("normal", "vt") for s in seeds]
        x = torch.from_numpy(np.stack([ecg.signal[:, :400] for ecg in ecgs])).float()
        parts.append((x, torch.arange(2).repeat_interleave(len(seeds))))
    return parts


@every
def test_a_small_one_tells_two_rhythms_apart_after_a_few_steps(name, rhythms):
    (x, truth), (unseen, answer) = rhythms
    backbone, out = make(name).train(), nn.Linear(16, 2)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *out.parameters()], lr=1e-2)
    for _ in range(25):
        loss = nn.functional.cross_entropy(out(backbone(x, leads(len(x))).mean(1)), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        said = out(backbone.eval()(unseen, leads(len(unseen))).mean(1)).argmax(1)
    assert (said == answer).float().mean() > 0.8


@every
def test_the_encoder_takes_each(name):
    encoder = ECGEncoder(config(name)).eval()
    r_peaks = torch.arange(0.5, 9.5, 0.8).repeat(2, 1)
    with torch.inference_mode():
        features = encoder(signals(), leads(), r_peaks, LENGTH)
    assert features.rhythm.shape == (2, 16)
    assert features.beats.isfinite().all()


# --- choice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "lstm"}, "no ecg.backbone 'lstm'; there are conv-transformer, resnet"),
        ({"sizes": {"depth": 3}}, "ecg.sizes.depth: resnet has none; there are channels, blocks"),
        ({"sizes": {"blocks": "many"}}, "ecg.sizes.blocks 'many': give such a value as 2"),
        ({"sizes": {"blocks": 0}}, "ecg.sizes.blocks 0"),
        ({"sizes": {"blocks": True}}, "ecg.sizes.blocks True"),
        ({"sizes": {"channels": (8, 8)}}, r"ecg.sizes.channels \(8, 8\): give such a value as \(64, "),
        ({"backbone": "vit", "sizes": {"leads": "two"}}, "ecg.sizes.leads 'two': give all or one"),
        ({"backbone": "scalogram", "sizes": {"omega": -1.0}}, "ecg.sizes.omega -1.0"),
        ({"sizes": 3}, "ecg.sizes 3: give names and values"),
    ],
)
def test_what_there_is_not_is_one_line(change, words):
    with pytest.raises(EcgclipError, match=words) as error:
        build_backbone(replace(ECGConfig(backbone="resnet"), **change))
    assert "\n" not in str(error.value)


def test_sizes_of_a_file_overrule_the_defaults():
    stored = {"backbone": "resnet", "sizes": {"channels": [1, 2, 3, 4]}}
    sizes = backbone_sizes(ECGConfig.from_dict(stored))
    assert (sizes.channels, sizes.blocks) == ((1, 2, 3, 4), 2)
    assert backbone_sizes(ECGConfig(backbone="scalogram", sizes={"omega": 6})).omega == 6


def test_weights_of_version_0_7_and_older_load():
    older = ECGConfig.from_dict({"width": 16, "channels": [8, 8, 16], "layers": 2, "heads": 2, "dim": 16})
    assert older == ECGConfig(width=16, heads=2, dim=16, sizes={"channels": (8, 8, 16), "layers": 2})
    assert ECGConfig.from_dict({"width": 16}) == ECGConfig(width=16)
    one, other = ECGEncoder(older), ECGEncoder(older)
    state = {name.removeprefix("backbone."): tensor for name, tensor in one.state_dict().items()}
    assert {"position", "stem.enter.weight", "layers.1.qkv.bias", "beat_head.layers.0.qkv.bias"} <= state.keys()
    nn.ModuleDict({"ecg": other}).load_state_dict({f"ecg.{name}": tensor for name, tensor in state.items()})
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


# --- scalogram --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [100, 500])
def test_a_sine_shows_at_its_frequency_with_its_amplitude_and_a_constant_nowhere(rate):
    wavelets = Wavelets(rate, 24, 4.0)
    frequencies = np.geomspace(1, 40, 24)
    t = torch.arange(10 * rate, dtype=torch.float64) / rate
    for row in (0, 12, 20):  # the highest lie near half of 100 Hz, and see their mirror images
        sine = (0.5 * torch.sin(2 * torch.pi * frequencies[row] * t) + 2).float().expand(1, 12, -1)
        real, magnitude = millivolts(wavelets(sine))[0, :, :, 200:300].unflatten(0, (2, 12))
        assert magnitude.mean((0, 2)).argmax() == row
        torch.testing.assert_close(magnitude[:, row], torch.full((12, 100), 0.5), atol=0.02, rtol=0)
        assert real[:, row].min() < -0.4
    assert millivolts(wavelets(torch.full((1, 12, 10 * rate), 2.0)))[..., 200:300].abs().max() < 1e-3


def millivolts(images):
    return images.sign() * images.abs().expm1() * FLOOR_MV
