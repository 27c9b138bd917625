"""The state-space backbones: exact against the recurrence, linear in length, the same whatever is masked or padded."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ecgclip.networks.backbones import mamba
from ecgclip.networks.backbones.chimera import Chimera, ChimeraSizes, Head, scan_leads
from ecgclip.networks.backbones.mamba import Mamba, MambaSizes, SelectiveSSM, selective_scan
from ecgclip.networks.backbones.spacetime import (
    FILTER_STEPS,
    CompanionSSM,
    SpaceTime,
    SpaceTimeSizes,
    companion_filter,
    convolve,
    preprocessing,
)
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.scan import linear_scan, reverse_valid

WIDTH = 16
SMALL = {
    SpaceTime: SpaceTimeSizes(channels=8, layers=2, state=8, hidden=16),
    Mamba: MambaSizes(channels=(8, 8), layers=2, expand=1, state=4),
    Chimera: ChimeraSizes(channels=(4, 4), lead_width=8, layers=2, state=2, hidden=16),
}
ALL = torch.ones(2, 12, dtype=torch.bool)
backbones = pytest.mark.parametrize("backbone", SMALL)


def make(backbone, rate=100):
    torch.manual_seed(0)
    return backbone(ECGConfig(sampling_rate=rate, width=WIDTH), SMALL[backbone]).eval()


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def signal(samples, rows=2, seed=0):
    return randn(rows, 12, samples, seed=seed, dtype=torch.float32)


# --- every backbone ---------------------------------------------------------------------------------------------------


@backbones
@pytest.mark.parametrize("rate", [100, 250, 500])
@pytest.mark.parametrize("seconds, tokens", [(2, 25), (10, 125), (60, 750)])
def test_a_token_stands_for_80_ms(backbone, rate, seconds, tokens):
    with torch.inference_mode():
        out = make(backbone, rate)(signal(rate * seconds, rows=1), ALL[:1])
        assert out.shape == (1, tokens, WIDTH)
        assert out.isfinite().all()


@backbones
def test_a_started_token_counts(backbone):
    with torch.inference_mode():
        assert make(backbone)(signal(201), ALL).shape == (2, 26, WIDTH)


@backbones
def test_what_stands_in_a_masked_lead_changes_nothing(backbone):
    mask = ALL.clone()
    mask[0, [0, 3, 11]] = False
    mask[1, 1:] = False
    one, other = signal(300), signal(300, seed=1) * 100
    other[mask] = one[mask]
    other[1, 5] = float("nan")
    network = make(backbone)
    with torch.inference_mode():
        assert torch.equal(network(one, mask), network(other, mask))
        assert not torch.allclose(network(one, mask), network(one, ALL), atol=1e-3)
        assert network(one, ~ALL).isfinite().all(), "no lead at all"


@backbones
def test_padding_changes_nothing_before_it(backbone):
    """A padded recording has the tokens that it has alone, whatever stands in the padding."""
    network = make(backbone)
    padded, length = signal(500) * 10, torch.tensor([500, 301])
    with torch.inference_mode():
        together = network(padded, ALL, length)
        alone = network(padded[1:, :, :301], ALL[1:])
    torch.testing.assert_close(together[1:, :38], alone, atol=2e-5, rtol=1e-4)


@backbones
def test_a_token_knows_what_comes_before_and_after_it(backbone):
    network, x = make(backbone), signal(800).requires_grad_()
    network(x, ALL)[:, 50].square().sum().backward()
    assert (x.grad[..., :100].abs().amax() > 0) and (x.grad[..., -100:].abs().amax() > 0)


@backbones
@pytest.mark.parametrize("leads", [1, 12])
def test_all_parameters_have_a_finite_gradient(backbone, leads):
    network = make(backbone).train()
    mask = ALL & (torch.arange(12) < leads)
    (network(signal(300), mask, torch.tensor([300, 200])) * randn(1, 38, WIDTH, dtype=torch.float32)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if leads == 12:  # one lead has none before it to hear from
            assert parameter.grad.abs().sum() > 0, name


@backbones
def test_the_same_signal_has_the_same_tokens(backbone):
    network = make(backbone)
    with torch.inference_mode():
        assert torch.equal(network(signal(300), ALL), network(signal(300), ALL))


@backbones
def test_it_also_computes_in_bfloat16(backbone):
    network = make(backbone)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        out = network(signal(300), ALL)
    torch.testing.assert_close(out.float(), network(signal(300), ALL).detach(), atol=0.3, rtol=0.1)


@backbones
def test_the_cost_grows_linearly_with_length(backbone):
    network = make(backbone)

    def seconds(samples):
        x, best = signal(samples, rows=4), float("inf")
        for _ in range(3):
            start = time.process_time()
            network(x, ALL[:1].expand(4, 12))
            best = min(best, time.process_time() - start)
        return best

    with torch.inference_mode():
        short, long = seconds(1500), seconds(6000)
    assert long < 8 * short, "4 times the length; a cost that grows with its square would be 16 times"


# --- the scan ---------------------------------------------------------------------------------------------------------


def recurrence(decay, inputs):
    states = [inputs[:, 0]]
    for t in range(1, inputs.shape[1]):
        states.append(decay[:, t] * states[-1] + inputs[:, t])
    return torch.stack(states, 1)


@pytest.mark.parametrize("steps, block", [(1, None), (2, 1), (17, 4), (17, 5), (750, 28), (750, None), (750, 1)])
def test_the_scan_is_the_recurrence(steps, block):
    decay, inputs = randn(2, steps, 3).sigmoid(), randn(2, steps, 3, seed=1)
    torch.testing.assert_close(linear_scan(decay, inputs, block), recurrence(decay, inputs), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("block", [None, 28])
def test_the_scan_is_stable_where_decays_vanish_or_do_not_decay(block):
    """Scans that divide by a product of decays fail here."""
    inputs = randn(1, 750, 3, dtype=torch.float32)
    decay = torch.tensor([0.0, 1e-6, 1.0]).expand_as(inputs)
    exact = recurrence(decay.double(), inputs.double()).float()
    torch.testing.assert_close(linear_scan(decay, inputs, block), exact, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("block", [3, 7])
def test_the_gradient_of_the_scan_is_exact(dtype, block):
    decay, inputs = (randn(2, 7, 2, seed=s, dtype=dtype).mul(0.5).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: linear_scan(a, b, block), (decay, inputs))


def test_only_what_is_not_padding_is_reversed():
    x = torch.arange(10.0).view(2, 5)
    assert reverse_valid(x, torch.tensor([3, 5])).tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    assert reverse_valid(x, None).tolist() == [[4, 3, 2, 1, 0], [9, 8, 7, 6, 5]]


# --- SpaceTime --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [9, 40, FILTER_STEPS])
def test_the_filter_is_that_of_the_companion_matrix(steps):
    d = 8
    a, b, c = (randn(1, d, seed=s) for s in range(3))
    a = 0.95 * a / a.abs().sum()
    matrix = torch.diag(torch.ones(d - 1, dtype=a.dtype), -1)
    matrix[:, -1] += a[0]
    row = c[0] @ torch.linalg.inv(torch.eye(d, dtype=a.dtype) - torch.linalg.matrix_power(matrix, steps))
    state, taps = b[0], []
    for _ in range(steps):
        taps.append(row @ state)
        state = matrix @ state
    torch.testing.assert_close(companion_filter(a, b, c, steps)[0], torch.stack(taps), atol=1e-9, rtol=1e-6)


def test_filtering_is_the_recurrence_of_the_state():
    """Over a minute, from the parameters of a layer."""
    torch.manual_seed(0)
    layer, u = CompanionSSM(2, 6).double(), randn(1, 2, 1500)
    taps = layer.filter()
    naive = torch.stack([(taps[:, : k + 1].flip(1) * u[0, :, : k + 1]).sum(1) for k in range(1500)], 1)
    torch.testing.assert_close(layer(u)[0], naive + layer.d[:, None] * u[0], atol=1e-9, rtol=1e-6)
    assert (taps[:, -1].abs() <= taps.abs().amax(1)).all(), "it does not grow"


def test_the_first_layer_takes_differences_and_moving_averages_off():
    ramp = torch.arange(100.0)[None, None].expand(1, 8, 100)
    out = convolve(ramp, preprocessing(8))[0, :, 60:]
    torch.testing.assert_close(out[:4, 0], torch.tensor([60.0, 1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(out[4:, 0], torch.tensor([2.0, 4.5, 12.0, 24.5]), atol=1e-3, rtol=0)


# --- Mamba ------------------------------------------------------------------------------------------------------------


def test_the_selective_scan_is_its_recurrence():
    u, b, c = randn(5, 750, 3), randn(5, 750, 4, seed=1), randn(5, 750, 4, seed=2)
    delta, a = randn(5, 750, 3, seed=3).exp() * 0.1, -torch.arange(1.0, 5, dtype=u.dtype).expand(3, 4)
    state, outputs = torch.zeros(5, 3, 4, dtype=u.dtype), []
    for t in range(750):
        step = delta[:, t, :, None]
        state = (step * a).exp() * state + step * b[:, t, None] * u[:, t, :, None]
        outputs.append((state * c[:, t, None]).sum(-1))
    torch.testing.assert_close(selective_scan(u, delta, a, b, c), torch.stack(outputs, 1), atol=1e-9, rtol=1e-6)


def test_a_token_of_one_direction_depends_on_those_before_it():
    torch.manual_seed(0)
    layer, u = SelectiveSSM(16, 4), randn(1, 20, 16, dtype=torch.float32).requires_grad_()
    layer(u)[:, 9].sum().backward()
    assert (u.grad[:, 10:] == 0).all() and (u.grad[:, :10].abs().sum(-1) > 0).all()


def test_a_fused_kernel_is_used_if_it_is_installed(monkeypatch):
    """It has time last, and is given what the package mamba-ssm documents."""
    mamba.fused_kernel.cache_clear()
    monkeypatch.setattr(mamba, "find_spec", lambda name: None)
    assert mamba.fused_kernel() is None
    mamba.fused_kernel.cache_clear()
    monkeypatch.setattr(mamba, "find_spec", lambda name: name)
    monkeypatch.setattr(mamba, "import_module", lambda name: SimpleNamespace(selective_scan_fn=kernel))
    u, b = randn(2, 9, 3), randn(2, 9, 4)
    args = u, u.exp(), -randn(3, 4).exp(), b, b + 1
    time_last = [part.transpose(1, 2) if part.ndim == 3 else part for part in args]
    assert torch.equal(mamba.fused_kernel()(*time_last).transpose(1, 2), selective_scan(*args))
    mamba.fused_kernel.cache_clear()


def kernel(u, delta, a, b, c):
    u, delta, b, c = (part.transpose(1, 2) for part in (u, delta, b, c))
    return selective_scan(u, delta, a, b, c).transpose(1, 2)


# --- Chimera ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seasonal", [False, True])
def test_reading_lead_by_lead_is_the_recurrence_in_two_dimensions(seasonal):
    torch.manual_seed(0)
    leads, steps = 5, 40
    head = Head(3, 2, seasonal).double()
    u, log_step1, log_step2 = (randn(leads, 1, steps, 3, seed=s) for s in range(3))
    b1, b2 = (randn(leads, 1, steps, 2, seed=s) for s in (3, 4))
    rows = [head.discretise(*row) for row in zip(u, log_step1.exp(), log_step2.exp(), b1, b2, strict=True)]
    there = torch.tensor([True, False, True, True, False])
    states = scan_leads(rows, there[:, None])
    above = torch.zeros(2, steps, 3, 2, dtype=rows[0][0].dtype)  # h1 and h2 of the last recorded lead
    for v in torch.where(there)[0].tolist():
        a1, a2, a3, a4, u1, u2 = (part[0] for part in rows[v])
        h1, h2 = torch.zeros_like(a1), torch.zeros_like(a1)
        for t in range(steps):
            h2[t] = a3[t] * above[0, t] + a4[t] * above[1, t] + u2[t]
            h1[t] = u1[t] if t == 0 else a1[t] * h1[t - 1] + a2[t] * h2[t - 1] + u1[t]
        torch.testing.assert_close(states[v][0][0], h1, atol=1e-9, rtol=1e-6)
        torch.testing.assert_close(states[v][1][0], h2, atol=1e-9, rtol=1e-6)
        above = torch.stack([h1, h2])


def test_a_masked_lead_takes_no_part():
    """The leads that are there have the outputs that they have without it."""
    torch.manual_seed(0)
    head, u = Head(4, 2, seasonal=True), randn(3, 1, 20, 4, dtype=torch.float32)
    with torch.inference_mode():
        three = head(u, torch.tensor([[True], [False], [True]]))
        two = head(u[[0, 2]], torch.tensor([[True], [True]]))
    torch.testing.assert_close(three[[0, 2]], two)


@pytest.mark.parametrize("seasonal", [False, True])
def test_states_stay_bounded_over_leads_and_a_minute(seasonal):
    torch.manual_seed(0)
    head, u = Head(4, 2, seasonal), torch.ones(12, 1, 750, 4)
    nn.init.constant_(head.to_h1, 9.0)
    nn.init.constant_(head.to_h2, 9.0)
    with torch.inference_mode():
        assert head(u, torch.ones(12, 1, dtype=torch.bool)).abs().max() < 500
