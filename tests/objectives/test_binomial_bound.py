"""Binomial diffusion against sums over all states, and against data of which every reverse step is known."""

import itertools
import math

import pytest
import torch

from difflab.binary_denoiser import BinaryDenoiser
from difflab.binomial import drawn, kl, noised, posterior_mean, reverse_mean
from difflab.data import BinaryDigits, Digits, Heartbeat
from difflab.features import FeatureSet, PixelValuesExtractor
from difflab.likelihoods import BitsPerBit, BitsPerSequence
from difflab.metrics import KnownShare
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import BinomialBound
from difflab.objectives.time_samplers import Uniform
from difflab.parameterizations import X0
from difflab.samplers import DDIM, BinomialAncestral, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import LearnedBetas, harmonic, linear, own_chain
from difflab.types import Condition

STEPS = 20
SCHEDULE = harmonic(STEPS)
PATTERNS = Heartbeat(copies=1).images(range(5)).flatten(1).double() / 127.5 - 1
"""[5, 20]."""


class Knowing(Network):
    """For heartbeats: the log-odds of each bit, given all the others of x_t. It is told the schedule's step."""

    in_channels, out_channels, image_size = 1, 1, (1, 20)

    def forward(self, x, time, cond):
        a = SCHEDULE((time + 1) / STEPS).alpha[:, None, None] ** 2
        bits = x.flatten(1).double()[:, None]
        each = torch.log1p(a * bits * PATTERNS)  # [B, 5, 20]; the constant 1/2 cancels
        of_others = each.sum(-1, keepdim=True) - each
        above, below = (torch.where(sign * PATTERNS > 0, of_others, -torch.inf).logsumexp(1) for sign in (1, -1))
        return (above - below).to(x).reshape_as(x)


def exact() -> BinaryDenoiser:
    return BinaryDenoiser(Knowing(), SCHEDULE, X0())


def heartbeats(count: int) -> torch.Tensor:
    return Heartbeat(copies=-(-count // 5)).images(range(count)).float() / 127.5 - 1


def test_the_posterior_is_bayes_and_a_reverse_step_sums_over_x_0():
    """Of the kernel B(x_s (1 - beta) + beta / 2), by products of matrices over the two states."""

    def kernel(a):
        return a * torch.eye(2).double() + (1 - a) / 2

    a_s, a_t, states = 0.7, 0.4, torch.tensor([-1.0, 1.0]).double()
    s, t = torch.tensor([a_s]).double(), torch.tensor([a_t]).double()
    torch.testing.assert_close(kernel(a_s) @ kernel(a_t / a_s), kernel(a_t))
    for i, j in itertools.product(range(2), range(2)):
        joint = kernel(a_s)[i] * kernel(a_t / a_s)[:, j]
        wanted = (joint / joint.sum()) @ states
        found = posterior_mean(states[j].reshape(1, 1), states[i].reshape(1, 1), s, t)
        torch.testing.assert_close(found.squeeze(), wanted)
    x_t, up = torch.ones(1, 1).double(), 0.3
    parts = [posterior_mean(x_t, sign * x_t, s, t) for sign in (1, -1)]
    mixed = reverse_mean(x_t, torch.full_like(x_t, 2 * up - 1), s, t)
    torch.testing.assert_close(mixed, up * parts[0] + (1 - up) * parts[1])


def test_divergences_of_bits():
    p, q = torch.tensor([0.3, 1.0, 0.0]).double(), torch.tensor([0.6, 0.25, 0.5]).double()
    wanted = [0.3 * math.log(0.5) + 0.7 * math.log(0.7 / 0.4), math.log(4), math.log(2)]
    torch.testing.assert_close(kl(2 * p - 1, 2 * q - 1), torch.tensor(wanted).double())


def test_bits_are_kept_as_often_as_the_schedule_says():
    x_0 = torch.ones(40_000, 1)
    a = SCHEDULE(torch.full((40_000,), 0.75).double()).alpha ** 2
    x_t = noised(x_0, a, ImageNoise(0, torch.arange(40_000)).uniform("u", (1,)))
    assert set(x_t.unique().tolist()) == {-1.0, 1.0}
    assert x_t.mean().item() == pytest.approx(0.25, abs=0.02)
    assert (drawn(torch.tensor([1.0, -1.0]), torch.tensor([0.999, 0.0])) == torch.tensor([1.0, -1.0])).all()


def test_the_model_of_bits_adds_what_a_bit_says_itself():
    """Against the mean of x_0 over the patterns, weighted by Bayes' rule."""
    x_0 = heartbeats(50)
    t = torch.full((50,), 0.6).double()
    a = SCHEDULE(t).alpha ** 2
    x_t = noised(x_0, a, ImageNoise(0, torch.arange(50)).uniform("u", (1, 1, 20)))
    found = exact()(x_t, t, Condition()).x0.flatten(1).double()
    weights = torch.log1p(a[:, None, None] * x_t.flatten(1).double()[:, None] * PATTERNS).sum(-1).softmax(1)
    torch.testing.assert_close(found, weights @ PATTERNS, atol=1e-5, rtol=0)


def test_the_bound_is_above_the_entropy_by_what_bits_know_of_each_other():
    """Drawn one by one in 20 steps, heartbeats cost more than log2 5; a single bit of them costs its entropy, whatever the steps."""
    count = 2000
    x_0, noise, model, times = heartbeats(count), ImageNoise(1, torch.arange(count)), exact(), own_chain(SCHEDULE).times
    with torch.no_grad():
        found = BitsPerSequence()(model, model, x_0, Condition(), noise, times, 2 / 255)
        bits = found.prior + sum(step.vb for step in found.steps)
        losses = BinomialBound(Uniform())(model, x_0, Condition(), ImageNoise(2, torch.arange(count)))
        per_bit = BitsPerBit()(model, model, x_0[:10], Condition(), ImageNoise(1, torch.arange(10)), times, None)
    error = bits.std().item() / math.sqrt(count)
    assert math.log2(5) < bits.mean().item() < 2.7
    assert found.prior.abs().max() < 1e-9  # harmonic betas leave nothing
    spread = 20 * losses.total.std().item() / math.sqrt(count)
    assert 20 * losses.total.mean().item() == pytest.approx(bits.mean().item(), abs=4 * (spread + error))
    again = 20 * (per_bit.prior + sum(step.vb for step in per_bit.steps))
    torch.testing.assert_close(again, bits[:10], rtol=1e-4, atol=1e-5)


def test_independent_bits_cost_their_entropy():
    """Each reverse step is exact then, so that the bound is tight in the mean, however few the steps."""

    class Biased(Network):
        in_channels, out_channels, image_size = 1, 1, (1, 4)

        def forward(self, x, time, cond):
            return torch.full_like(x, math.log(0.2 / 0.8))

    count = 4000
    u = ImageNoise(0, torch.arange(count)).uniform("data", (1, 1, 4))
    x_0, schedule = torch.where(u < 0.2, 1.0, -1.0), linear(30)
    model = BinaryDenoiser(Biased(), schedule, X0())
    with torch.no_grad():
        found = BitsPerBit()(
            model, model, x_0, Condition(), ImageNoise(1, torch.arange(count)), own_chain(schedule).times, None
        )
        bits = found.prior + sum(step.vb for step in found.steps)
    entropy = -(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8))
    assert bits.mean().item() == pytest.approx(entropy, abs=4 * bits.std().item() / math.sqrt(count))
    images = draw(model, schedule, BinomialAncestral(UniformGrid(5)), (1, 1, 4), torch.arange(count), Condition())
    assert (images > 0).double().mean().item() == pytest.approx(0.2, abs=0.015)


def test_heartbeats_of_the_exact_model_are_the_patterns():
    """In as many steps as the schedule has, and all phases alike; an example does not depend on those that it is drawn with."""
    count, sampler = 1000, BinomialAncestral(UniformGrid(STEPS))
    drawn_all = draw(exact(), SCHEDULE, sampler, (1, 1, 20), torch.arange(count), Condition())
    some = draw(exact(), SCHEDULE, sampler, (1, 1, 20), torch.arange(100, 110), Condition())
    assert torch.equal(some, drawn_all[100:110])
    found = (drawn_all.flatten(1).double()[:, None] == PATTERNS).all(-1)
    shares = found.double().mean(0)
    assert shares.sum() > 0.9
    torch.testing.assert_close(shares, torch.full((5,), 0.19).double(), atol=0.05, rtol=0)
    extractor = PixelValuesExtractor()
    samples, data = (
        FeatureSet.of(extractor.identity, extractor(((x + 1) * 127.5).to(torch.uint8)))
        for x in (drawn_all, heartbeats(5))
    )
    metric = KnownShare()
    reference = type("Reference", (), {"features": data})()
    assert metric.measure(samples, reference)["known_pixel_values"] == pytest.approx(shares.sum().item())


def test_data_are_bits():
    hearts, digits = Heartbeat(copies=2), BinaryDigits()
    assert hearts.images(range(10)).shape == (10, 1, 1, 20)
    assert hearts.images(range(10)).flatten(1).unique(dim=0).shape == (5, 20)
    assert ((hearts.images(range(10)) == 255).flatten(1).sum(1) == 4).all()
    assert digits.images(range(99)).unique().tolist() == [0, 255]
    assert torch.equal(digits.images(range(99)) == 255, Digits().images(range(99)) >= 128)


def test_what_bits_cannot_have_is_refused():
    model = exact()
    with pytest.raises(ValueError, match=r"no gradient of the bound of bits reaches LearnedBetas"):
        BinomialBound(Uniform()).check(BinaryDenoiser(Knowing(), LearnedBetas(linear(30)), X0()))
    with pytest.raises(ValueError, match=r"bits_per_bit is of data whose values are 0 and 255 alone"):
        BitsPerBit()(
            model,
            model,
            heartbeats(2) / 2,
            Condition(),
            ImageNoise(0, torch.arange(2)),
            own_chain(SCHEDULE).times,
            None,
        )


@pytest.mark.parametrize(
    ("sampler", "process"), [(BinomialAncestral(UniformGrid(5)), "normal noise"), (DDIM(UniformGrid(5)), "bits")]
)
def test_a_sampler_of_another_process_is_refused(sampler, process):
    with pytest.raises(ValueError, match=f"a model of {process}: choose a sampler of {process}"):
        sampler.check(harmonic(10), process)
