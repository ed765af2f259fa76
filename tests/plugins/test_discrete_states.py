"""Processes of whole numbers: D3PM against sums over all states, the authors' numbers of discrete flows, and the entropy of digits."""

import itertools
import math

import numpy as np
import pytest
import torch
from d3pm import (
    Absorbing,
    Ancestral,
    Bound,
    Categorical,
    DiscreteBound,
    Levels,
    Linear,
    Uniform,
    generalized_kl,
    noised,
    velocity,
)
from edm import GOLDEN
from torch import nn

from difflab.data import Digits
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import time_samplers
from difflab.parameterizations import X0
from difflab.samplers import draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import own_chain
from difflab.types import Condition
from difflab.variances import FixedSmall

PEER = np.load(GOLDEN / "families.npz")
KERNELS = [Uniform(4), Absorbing(4)]
IDS = ["uniform", "absorbing"]


def matrix(kernel, a):
    """Q, state by state."""
    one = torch.eye(kernel.states, dtype=torch.float64)
    return a * one + (1 - a) * kernel.m.expand(kernel.states, -1)


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_posteriors_are_bayes(kernel):
    a_s, a_t = 0.7, 0.4
    Q_s, Q_ts, Q_t = matrix(kernel, a_s), matrix(kernel, a_t / a_s), matrix(kernel, a_t)
    torch.testing.assert_close(Q_s @ Q_ts, Q_t)
    for x_0, x_t in itertools.product(range(kernel.levels), range(kernel.states)):
        if Q_t[x_0, x_t] == 0:
            continue
        state, sure = torch.full((1, 1, 1, 1), x_t), torch.eye(kernel.states).double()[x_0].reshape(1, 1, 1, 1, -1)
        found = kernel.posterior(state, sure, torch.tensor([a_s]), torch.tensor([a_t])).flatten()
        torch.testing.assert_close(found, Q_s[x_0] * Q_ts[:, x_t] / Q_t[x_0, x_t])


def test_uniform_states_of_two_levels_are_binomial_diffusion():
    """x_t ~ Bernoulli(x_s (1 - beta) + beta / 2) (Sohl-Dickstein et al. 2015, arXiv 1503.03585, table C.1)."""
    beta, binary = 0.3, Uniform(2)
    bits = torch.tensor([0, 1]).reshape(2, 1, 1, 1)
    one = torch.nn.functional.one_hot(bits, 2).double()
    found = binary.spread(one, torch.full((2,), 1 - beta).double())[..., 1].flatten()
    torch.testing.assert_close(found, torch.tensor([beta / 2, 1 - beta + beta / 2]).double())
    assert torch.equal(binary.of_images(torch.tensor([-1.0, -0.1, 0.1, 1.0])), torch.tensor([0, 0, 1, 1]))


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_states_are_drawn_as_often_as_they_are_probable(kernel):
    x_0 = torch.full((20_000, 1, 1, 1), 2)
    u = ImageNoise(0, torch.arange(len(x_0))).uniform("u", (1, 1, 1))
    x_t = noised(kernel, x_0, torch.full((len(x_0),), 0.3).double(), u)
    shares = torch.bincount(x_t.flatten(), minlength=kernel.states) / len(x_0)
    torch.testing.assert_close(shares.double(), matrix(kernel, 0.3)[2], atol=0.015, rtol=0)


SCHEDULE = Linear(12)
P = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


class Pixels(Network):
    """Pixels that are independent of each other: the weights of the levels are their shares, whatever x_t is."""

    in_channels, out_channels, image_size = 1, 4, 2

    def forward(self, x, time, cond):
        return P.log().reshape(1, 4, 1, 1).expand(len(x), -1, 2, 2)


def exact(kernel):
    return Categorical(Pixels(), SCHEDULE, X0(), FixedSmall(), kernel, {})


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_the_bound_of_the_exact_model_is_the_entropy(kernel):
    """For independent pixels, each reverse step of the exact model is that of the process: the bound is tight, in the mean."""
    n = 1500
    noise = ImageNoise(3, torch.arange(n))
    levels = kernel.draw(P.expand(n, 1, 2, 2, -1), noise.uniform("data", (1, 2, 2)))
    x_0, likelihood, model = kernel.images(levels), DiscreteBound(), exact(kernel)
    assert torch.equal(kernel.of_images(x_0), levels)
    with torch.no_grad():
        found = likelihood(model, model, x_0, Condition(), noise, own_chain(SCHEDULE).times, 2 / 255)
        bits = found.prior + sum(step.vb for step in found.steps)
    entropy = -(P * P.log2()).sum().item()
    error = bits.std().item() / math.sqrt(n)
    assert found.prior.abs().max() < 1e-9  # nothing is left of an image at t = 1
    assert bits.mean().item() == pytest.approx(entropy, abs=4 * error)
    if isinstance(kernel, Uniform):  # and an objective that draws one of the steps has the same mean
        losses = Bound(time_samplers.Uniform(), share=0.0)(model, x_0, Condition(), noise)
        spread = losses.total.std().item() / math.sqrt(n)
        assert losses.total.mean().item() == pytest.approx(entropy, abs=4 * spread)


@pytest.mark.parametrize("kernel", KERNELS, ids=IDS)
def test_samples_of_the_exact_model_are_the_data(kernel):
    images = draw(
        exact(kernel), SCHEDULE, Ancestral(UniformGrid(6), kernel), (1, 2, 2), torch.arange(4000), Condition()
    )
    assert images.dtype == torch.float32
    shares = torch.bincount(kernel.of_images(images).flatten(), minlength=4) / images.numel()
    torch.testing.assert_close(shares.double(), P, atol=0.02, rtol=0)


@pytest.mark.parametrize("path", ["CondOT", "Poly2"])
def test_discrete_flows_are_those_of_flow_matching(path):
    """Velocity and generalized KL of its mixture path, kappa = t or t^2."""
    t = torch.tensor([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99], dtype=torch.float64)
    kept, rate = (t, torch.ones_like(t)) if path == "CondOT" else (t**2, 2 * t)
    logits = torch.from_numpy(np.random.RandomState(11143).randn(7, 6, 9))
    x_1 = torch.from_numpy(np.random.RandomState(11141).randint(0, 9, (7, 6)))
    x_t = torch.from_numpy(PEER[f"discrete/{path}/x_t"])
    np.testing.assert_allclose(
        velocity(logits.softmax(-1), x_t, kept, rate), PEER[f"discrete/{path}/velocity"], rtol=1e-9, atol=1e-12
    )
    loss = generalized_kl(logits, x_1, x_t, kept, rate)
    np.testing.assert_allclose(loss, PEER[f"discrete/{path}/gkl_none"], rtol=1e-9, atol=1e-12)


class Dense(Network):
    """Two hidden layers on all pixels of digits."""

    in_channels, out_channels, image_size = 1, 8, 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(130, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 512))

    def forward(self, x, time, cond):
        told = torch.cat([x.flatten(1), (x == 0).flatten(1).to(x), (time[:, None] / 1000).to(x), x[:, 0, 0, :1]], 1)
        return self.layers(told).reshape(-1, 8, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [Uniform(8), Absorbing(8)], ids=IDS)
def test_digits_cost_less_than_their_pixels_one_by_one(kernel):
    """A trained model knows more of digits of 8 grey levels than how often each pixel has each of them."""
    torch.manual_seed(0)
    images = Digits().images(range(1797)).float() / 127.5 - 1
    levels = kernel.of_images(images)
    shares = torch.stack([(levels == k).double().mean(0) for k in range(8)])
    entropy = -(shares * shares.clamp(min=1e-30).log2()).sum(0).mean().item()
    schedule = Linear(30)
    model = Categorical(Dense(), schedule, X0(), FixedSmall(), kernel, {})
    objective, optimizer = Bound(time_samplers.Uniform(), 0.1), torch.optim.Adam(model.parameters(), 2e-3)
    for step in range(1000):
        number = torch.arange(64) + 64 * step
        x_0 = images[number % 1500]
        loss = objective(model, x_0, Condition(), ImageNoise(0, number)).total.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        held_out, number = images[1500:], torch.arange(297)
        found = DiscreteBound()(
            model, model, held_out, Condition(), ImageNoise(1, number), own_chain(schedule).times, 2 / 255
        )
        bits = (found.prior + sum(step.vb for step in found.steps)).mean().item()
    assert isinstance(model(levels[:2], torch.ones(2).double(), Condition()), Levels)
    assert bits < entropy - 0.05
