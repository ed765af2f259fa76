"""The likelihood weight and times that suit it, against score_sde's losses, the bound of many steps and closed forms."""

import math

import numpy as np
import pytest
import torch
from feeds import FakeNetwork, FixedTimes, SuppliedNoise
from recipes import rs_images
from score_sde import SCORE_SDE, SDES

from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.objectives import VLB, LikelihoodWeighted, Simple
from difflab.objectives.importance_times import UniformLogSNR
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import SNR, Unweighted
from difflab.parameterizations import Epsilon, Parameterization
from difflab.schedules import (
    ContinuousCosine,
    SubVariancePreserving,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    cosine,
    diffusion,
    noise_level,
)
from difflab.types import Condition, Preconditioning
from difflab.variances import FixedSmall, LearnedRange

VP = VariancePreserving()
SCHEDULES = {
    "vp": VP,
    "subvp": SubVariancePreserving(),
    "ve": VarianceExploding(0.01, 50.0),
    "cosine": ContinuousCosine(32, 32),
}


class Score(Parameterization):
    """F is the score of x_t, and is told sigma: what the peer's networks for the exploding process say. x_0 = (x_t + sigma^2 F) / alpha."""

    def __call__(self, t, alpha, sigma, time):
        return Preconditioning(1 / alpha, sigma**2 / alpha, torch.ones_like(alpha), sigma)


class NegativeEpsilon(Parameterization):
    """The peer's score is -F / std; F is told 999 t."""

    def __call__(self, t, alpha, sigma, time):
        return Preconditioning(1 / alpha, -sigma / alpha, torch.ones_like(alpha), 999 * t)


@pytest.mark.parametrize("name", [name for name in SCORE_SDE.files if name.startswith("loss/")])
def test_losses_are_the_peers(name):
    """Its mean over pixels or half their sum, of the likelihood weight or of sigma^2 on the score, which is 1 on eps."""
    _, sde, weighted, mean, _ = name.split("/")
    schedule, _ = SDES[sde]
    draws = np.random.RandomState(9100).rand(6), np.random.RandomState(9101).randn(6, 3, 4, 4)
    t = torch.from_numpy(draws[0] * (1 - 1e-5) + 1e-5)
    parameterization = Score() if sde.startswith("ve") else NegativeEpsilon()
    denoiser = Denoiser(FakeNetwork(False), schedule, parameterization, FixedSmall())
    pixels, times = 48, FixedTimes(t)
    if weighted == "lw=1":
        objective, scale = LikelihoodWeighted(times), 2 * math.log(2)
    else:
        objective, scale = Simple(times, SNR()), 1.0
    x_0 = torch.from_numpy(rs_images(9010, 6, 3, 4, 4)).double()
    losses = objective(denoiser, x_0, Condition(), SuppliedNoise({"eps": draws[1]}))
    scale *= 1.0 if mean == "mean=1" else pixels / 2
    assert losses.total.mean().item() * scale == pytest.approx(float(SCORE_SDE[name][0]), rel=1e-5)


def test_the_bound_of_many_steps_comes_to_the_likelihood_weight():
    count, t = 20000, torch.tensor([0.05, 0.2, 0.5, 0.9], dtype=torch.float64)
    signal = VP(torch.arange(count + 1, dtype=torch.float64) / count).alpha ** 2
    table, one = Tabulated(1 - signal[1:] / signal[:-1]), torch.ones(4, dtype=torch.float64)
    bound = VLB(Uniform()).x0_weight(table, t, one)
    found = LikelihoodWeighted(Uniform()).x0_weight(VP, t, one)
    torch.testing.assert_close(found, bound, rtol=2e-3, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_times_of_importance_have_their_density_and_its_weight(name):
    """E[weight f(t)] is the mean of f over uniform times, and weight g^2 / sigma^2 the same for all of them."""
    schedule, sampler = SCHEDULES[name], UniformLogSNR(1e-3)
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    t, weight = sampler.quantile(u, schedule)
    assert (t.diff() >= 0).all()
    product = weight * diffusion(schedule, t).power / schedule(t).sigma ** 2
    torch.testing.assert_close(product, product[:1].expand_as(product), rtol=1e-9, atol=0)
    log_snr = -2 * noise_level(schedule, t).log()
    torch.testing.assert_close(log_snr.diff(), log_snr.diff()[:1].expand(3999), rtol=1e-6, atol=1e-9)
    assert (weight * t**2).mean().item() == pytest.approx((1 - 1e-9) / 3 / (1 - 1e-3), rel=2e-3)
    drawn = sampler(ImageNoise(0, torch.arange(2000)), schedule).t
    assert drawn.log().mean().item() == pytest.approx(t.log().mean().item(), abs=0.15)


def test_the_closed_form_of_the_variance_preserving_process():
    """F(t) = log((1 - e^-B) / e^-B), B the integral of beta: the inverse of the authors' distribution function."""
    u = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = UniformLogSNR(1e-5).quantile(u, VP).t

    def function(t):
        integral = torch.as_tensor(0.1 * t + 19.9 / 2 * t**2)
        return torch.log(torch.expm1(integral))

    share = (function(t) - function(1e-5)) / (function(1.0) - function(1e-5))
    torch.testing.assert_close(share, u, rtol=1e-6, atol=1e-9)


def test_importance_takes_the_variance_away():
    """The same mean of the loss, with a fraction of the spread."""
    denoiser = Denoiser(FakeNetwork(False), VariancePreserving(time_min=0.01), Epsilon(), FixedSmall())
    number = torch.arange(3000)
    x_0 = torch.zeros(3000, 3, 4, 4, dtype=torch.float64)
    found = {}
    for sampler in (Uniform(), UniformLogSNR(0.01)):
        total = LikelihoodWeighted(sampler)(denoiser, x_0, Condition(), ImageNoise(0, number)).total
        found[type(sampler).__name__] = (total.mean().item(), total.std().item() / math.sqrt(3000))
    (plain, error), (importance, less) = found["Uniform"], found["UniformLogSNR"]
    assert abs(plain - importance) < 4 * math.hypot(error, less)
    assert less < error / 2


@pytest.mark.parametrize(
    ("schedule", "variance", "objective", "message"),
    [
        (cosine(10), FixedSmall(), LikelihoodWeighted(Uniform()), "use objective=vlb"),
        (cosine(10), FixedSmall(), Simple(UniformLogSNR(), Unweighted()), "Tabulated is a table of 10"),
        (VP, LearnedRange(), LikelihoodWeighted(Uniform()), "use variance=fixed_small"),
    ],
)
def test_what_has_no_such_weight_is_refused(schedule, variance, objective, message):
    network = FakeNetwork(variance.channels == 1)
    with pytest.raises(ValueError, match=message):
        objective.check(Denoiser(network, schedule, Epsilon(), variance))


def test_a_time_of_no_importance_is_refused():
    with pytest.raises(ValueError, match=r"begin = 0\.0 must be in"):
        UniformLogSNR(0.0)
