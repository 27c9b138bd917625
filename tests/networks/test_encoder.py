"""The ECG encoder: any leads, any beats, any length; what is not there changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.networks.intervals import rr_features, rr_statistics

NAN = float("nan")
SIZES = {"width": 32, "sizes": {"channels": (8, 16, 24)}, "heads": 4, "dim": 16}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return ECGEncoder(ECGConfig(**SIZES)).eval()


def signal(rows=1, samples=1000, seed=0):
    return torch.randn(rows, 12, samples, generator=torch.Generator().manual_seed(seed))


def peaks(*times, columns=40):
    return torch.tensor([[*times, *[NAN] * (columns - len(times))]])


ALL = torch.ones(1, 12, dtype=torch.bool)
REGULAR = peaks(*np.arange(0.5, 9.8, 0.8).tolist())


@settings(max_examples=25, deadline=None)
@given(
    leads=st.lists(st.booleans(), min_size=12, max_size=12),
    beats=st.lists(st.floats(0, 9.99), max_size=40, unique=True).map(sorted),
    length=st.integers(200, 1000),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 50.0]),
)
def test_any_leads_beats_and_length_give_finite_unit_vectors(encoder, leads, beats, length, scale):
    mask = torch.tensor([leads])
    beats = [b for b in beats if b < length / 100]
    x = signal() * scale * mask[..., None] * (torch.arange(1000) < length)
    with torch.inference_mode():
        out = encoder(x, mask, peaks(*beats), torch.tensor([length]))
    assert out.rhythm.shape == (1, 16)
    assert out.beats.shape == (1, 40 + 4, 16)
    assert out.rhythm.isfinite().all()
    assert out.beats.isfinite().all()
    torch.testing.assert_close(out.rhythm.norm(dim=-1), torch.ones(1))
    torch.testing.assert_close(out.beats.norm(dim=-1), torch.ones(1, 44))
    assert out.beat_mask.sum() == (len(beats) or 4), (
        "the learned queries stand in where there is no beat, and only there"
    )


@pytest.mark.parametrize("members", [1, 3])
def test_measurements_count_by_their_scale_and_may_be_unknown(members):
    torch.manual_seed(0)
    model = ECGEncoder(ECGConfig(**SIZES, members=members)).eval()
    rows = torch.randn(64, len(feature_names())) * 5 + 3
    rows[:, 1] = NAN
    rows[5:, 2] = 7.0
    model.measured.fit(rows)
    with torch.inference_mode():
        alone = model(signal(), ALL, REGULAR).rhythm
        none = model(signal(), ALL, REGULAR, None, torch.full((1, len(feature_names())), NAN)).rhythm
        mean = model(signal(), ALL, REGULAR, None, model.measured.mean[None]).rhythm
        some = model(signal(), ALL, REGULAR, None, rows[:1]).rhythm
        wild = model(signal(), ALL, REGULAR, None, torch.full((1, len(feature_names())), 1e30)).rhythm
        model.signal_weight.fill_(0.0)
        numbers = model(signal(), ALL, REGULAR, None, rows[:1]).rhythm
    for one, other in ((alone, none), (none, mean), (mean, some), (some, numbers)):
        assert not torch.allclose(one, other)
    assert torch.allclose(numbers, model.measured(rows[:1]), atol=1e-6), "the signal has no weight"
    assert wild.isfinite().all()


def test_the_branch_over_measurements_can_be_left_out():
    model = ECGEncoder(ECGConfig(**SIZES, measured=0)).eval()
    assert not any(name.startswith("measured") for name in model.state_dict())
    with torch.inference_mode():
        measurements = torch.ones(1, len(feature_names()))
        without = model(signal(), ALL, REGULAR).rhythm
        torch.testing.assert_close(model(signal(), ALL, REGULAR, None, measurements).rhythm, without)


@pytest.mark.parametrize("columns", [0, 1, 2, 40])
def test_no_beat_and_one_beat_however_padded(encoder, columns):
    x = signal()
    with torch.inference_mode():
        none = encoder(x, ALL, peaks(columns=columns)).rhythm
        torch.testing.assert_close(none, encoder(x, ALL, peaks(columns=40)).rhythm)
        if columns:
            one = encoder(x, ALL, peaks(3.0, columns=columns)).rhythm
            torch.testing.assert_close(one, encoder(x, ALL, peaks(3.0)).rhythm)
            assert not torch.allclose(one, none)


@pytest.mark.parametrize("beats", [1, 2, 15, 16, 17, 30])
def test_the_median_beat_is_that_of_the_first_16_bit_for_bit(encoder, beats):
    x, at = signal(samples=1000), np.arange(beats) * 29 + 50
    rows = np.stack([x[0, :, i - 32 : i + 48].numpy() for i in at[:16]])
    lower_median = np.sort(rows, axis=0)[(len(rows) - 1) // 2]
    median = encoder.average_beat._median(x, peaks(*(at / 100).tolist(), columns=beats))
    assert np.array_equal(median[0].numpy(), lower_median)


@pytest.mark.parametrize("rate", [100, 250, 500])
def test_every_sampling_rate_gives_a_token_for_each_80_ms(rate):
    model = ECGEncoder(ECGConfig(sampling_rate=rate, **SIZES)).eval()
    with torch.inference_mode():
        x, mask, length = signal(2, 10 * rate), ALL.expand(2, -1), torch.tensor([10 * rate, 5 * rate])
        tokens, token_mask = model.tokens(x, mask, length)
        rhythm = model(x, mask, REGULAR.expand(2, -1), length).rhythm
    assert tokens.shape == (2, 125, 32)
    assert tokens.isfinite().all()
    assert token_mask.sum(1).tolist() == [125, 63]
    assert rhythm.isfinite().all()


def test_masked_leads_are_ignored_to_the_last_bit(encoder):
    mask = ALL.clone()
    mask[0, [0, 7]] = False
    other = signal()
    other[0, [0, 7]] = 1e3
    with torch.inference_mode():
        a, b = (encoder(x, mask, REGULAR) for x in (signal(), other))
        assert torch.equal(a.rhythm, b.rhythm)
        assert torch.equal(a.beats, b.beats)
        flat = signal()
        flat[0, [0, 7]] = 0
        assert not torch.equal(a.rhythm, encoder(flat, ALL, REGULAR).rhythm), "a masked lead is not a flat one"


def test_tokens_after_the_end_take_no_part(encoder):
    x = signal()
    x[..., 500:] = 0
    beats = peaks(0.5, 1.4, 2.3, 3.2)
    with torch.inference_mode():
        short, whole = encoder(x, ALL, beats, torch.tensor([500])), encoder(x, ALL, beats)
        assert not torch.allclose(short.rhythm, whole.rhythm), "silence is not the end of a recording"
        position = encoder.backbone.position
        position.data, original = position.data.clone(), position.data
        position.data[70:] += 5.0  # whatever stands in the tokens of the padding
        try:
            torch.testing.assert_close(encoder(x, ALL, beats, torch.tensor([500])).rhythm, short.rhythm)
        finally:
            position.data = original


def test_each_record_of_a_batch_stands_alone(encoder):
    x, mask = signal(4), torch.rand(4, 12, generator=torch.Generator().manual_seed(1)) < 0.6
    beats = torch.cat([REGULAR, peaks(), peaks(5.0), peaks(1.0, 2.0, 2.5)])
    length = torch.tensor([1000, 300, 700, 999])
    order = torch.tensor([2, 0, 3, 1])
    with torch.inference_mode():
        a = encoder(x, mask, beats, length)
        b = encoder(x[order], mask[order], beats[order], length[order])
        torch.testing.assert_close(a.rhythm[order], b.rhythm)
        torch.testing.assert_close(a.beats[order], b.beats)
        torch.testing.assert_close(a.rhythm[2:3], encoder(x[2:3], mask[2:3], beats[2:3], length[2:3]).rhythm)


def test_a_beat_is_about_its_own_place(encoder):
    beats = peaks(1.0, 5.0, 9.0, columns=3)
    near = signal()
    near[..., 480:530] += 1.0
    with torch.inference_mode():
        change = (encoder(signal(), ALL, beats).beats - encoder(near, ALL, beats).beats).norm(dim=-1)[0]
    assert change[1] > 2 * change[0]
    assert change[1] > 2 * change[2]


def test_members_over_the_measurements_are_taught_apart_and_answer_together():
    torch.manual_seed(0)
    branch = ECGEncoder(ECGConfig(**SIZES, members=3)).measured.eval()
    rows, last = torch.randn(2, len(feature_names())), branch.layers[-1]
    apart = branch.members(rows)
    assert apart.shape == (2, 3, SIZES["dim"])
    assert (apart[:, 0] * apart[:, 1]).sum(-1).max() < 0.99
    together = branch(rows)
    torch.testing.assert_close(together, torch.nn.functional.normalize(apart.mean(1), dim=-1))
    apart[:, 0].sum().backward()
    taught = last.bias.grad.unflatten(0, (3, -1)).abs().sum(1) > 0
    assert taught.tolist() == [True, False, False], "what one learns leaves the others' last layer alone"
    with torch.no_grad():  # with the same last layer, what enters still sets them apart
        for p in (last.weight, last.bias):
            p.copy_(p.unflatten(0, (3, -1))[:1].repeat(3, *[1] * p.ndim).flatten(0, 1))
        apart = branch.members(rows)
    assert not torch.allclose(apart[:, 0], apart[:, 1], atol=1e-3)


def test_a_beat_follows_its_r_peak(encoder):
    with torch.inference_mode():
        a = encoder(signal(), ALL, peaks(1.0, 4.0, 9.0, columns=3)).beats[0]
        b = encoder(signal(), ALL, peaks(1.0, 6.0, 9.0, columns=3)).beats[0]
    assert (a[1] - b[1]).norm() > (a[0] - b[0]).norm()


def test_attention_that_learns_is_the_one_that_answers(encoder):
    batch = signal(2), ALL.expand(2, -1), torch.cat([REGULAR, peaks()]), torch.tensor([1000, 620])
    with torch.inference_mode():
        answer = encoder(*batch)
    torch.testing.assert_close(encoder(*batch).rhythm, answer.rhythm, atol=1e-5, rtol=0)


def test_all_parts_learn(encoder):
    model = ECGEncoder(ECGConfig(**SIZES))
    x, mask = signal(2), ALL.expand(2, -1)
    out, views = model.with_views(x, mask, torch.cat([REGULAR, peaks()]), torch.tensor([1000, 600]))
    assert len(views) == 2
    assert not torch.equal(*views), "two dropout masks, two views"
    numbers = model.measured(torch.randn(2, len(feature_names())))
    (out.rhythm.sum() + out.beats.sum() + numbers.sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_the_default_sizes_fit_the_budget():
    assert sum(p.numel() for p in ECGEncoder().parameters()) < 4e6


# --- R-R intervals ----------------------------------------------------------------------------------------------------


def test_intervals_of_a_regular_rhythm():
    features = rr_features(peaks(0.0, 0.8, 1.6, 2.4, columns=6))[0]
    expected = torch.tensor([[0, 0.8, 0, 0, 0], [0.8, 0.8, 0, 0, 0], [0.8, 0.8, 0, 0, 0], [0.8, 0, 0, 0, 0]])
    torch.testing.assert_close(features[:4], expected.float(), atol=1e-5, rtol=0)
    assert (features[4:] == 0).all()


def test_intervals_of_bigeminy():
    features = rr_features(peaks(0.0, 0.5, 1.5, 2.0, 3.0))[0]
    torch.testing.assert_close(features[1, :2], torch.tensor([0.5, 1.0]))  # premature, then a pause
    torch.testing.assert_close(features[2, :2], torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(features[1:3, 4], torch.tensor([0.5, 2.0]).log())


def test_statistics_of_known_rhythms():
    regular, bigeminy = (
        rr_statistics(p)[0] for p in (peaks(*np.arange(0, 8.1, 0.8).tolist()), peaks(0.0, 0.5, 1.5, 2.0, 3.0, 3.5, 4.5))
    )
    torch.testing.assert_close(regular, torch.tensor([0.8, 1.25, 0, 0, 0, 1, 1, 1.0]), atol=1e-4, rtol=0)
    mean = 0.75
    expected = [0.5, 2.0, 0.25 / mean, 0.5 / mean, 1.0, 0.5 / mean, 1.0 / mean, 0.6]
    torch.testing.assert_close(bigeminy, torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("times", [(), (2.0,), (2.0, 3.0)])
def test_nothing_is_said_of_rhythm_below_two_intervals(times):
    assert (rr_statistics(peaks(*times)) == 0).all()
    assert rr_features(peaks(*times)).isfinite().all()


@given(st.lists(st.floats(0, 10), max_size=40, unique=True).map(sorted), st.integers(0, 5))
def test_rr_numbers_are_finite_and_padding_does_not_count(times, more):
    columns = max(len(times), 1)
    short, long = peaks(*times, columns=columns), peaks(*times, columns=columns + more)
    assert rr_statistics(short).isfinite().all()
    assert rr_features(short).isfinite().all()
    torch.testing.assert_close(rr_statistics(short), rr_statistics(long))
    torch.testing.assert_close(rr_features(short), rr_features(long)[:, :columns])
