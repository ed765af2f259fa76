"""Objectives on data whose optimal denoiser is known: where the minimum lies, how large it is, what the bound adds up to."""

import math

import numpy as np
import pytest
import torch
from feeds import FixedOutput, FixedTimes, MixtureNetwork, SuppliedNoise
from recipes import gmm
from torch import Tensor, nn

from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.noise import ImageNoise
from difflab.objectives import VLB, Hybrid, Simple, bound_term
from difflab.objectives.time_samplers import LossSecondMoment, Uniform
from difflab.objectives.weightings import SNR, MinSNR, Unweighted
from difflab.parameterizations import X0, Epsilon, PreviousX, Velocity
from difflab.process import normal_kl, over, perturb, snr
from difflab.schedules import ContinuousCosine, cosine, linear, own_chain
from difflab.types import Condition
from difflab.variances import FixedLarge, FixedSmall, Learned, LearnedRange

SCHEDULE = cosine(50)
N = 4000


def mixture_images(n: int, seed: int) -> Tensor:
    """Samples of the recipes' Gaussian mixture."""
    mu, weights, std = gmm()
    random = np.random.RandomState(seed)
    which = random.choice(len(weights), n, p=weights)
    return torch.from_numpy(mu[which] + std * random.randn(n, *mu.shape[1:]))


class Perturbed(Network):
    """The exact answer plus `size` times something else, in any parameterization; optionally with a log-variance of its own."""

    in_channels, image_size = 3, 4

    def __init__(self, schedule, parameterization, says_variance: bool):
        super().__init__()
        self.exact = MixtureNetwork(schedule)
        self.schedule, self.parameterization = schedule, parameterization
        self.size = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.log_var = nn.Parameter(torch.zeros((), dtype=torch.float64)) if says_variance else None
        self.out_channels = 6 if says_variance else 3

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        t = (time + 1) / self.schedule.steps
        level = self.schedule(t)
        c = self.parameterization(t, level.alpha, level.sigma, time)
        F = (self.exact(x, time, cond) - over(c.c_skip, x) * x) / over(c.c_out, x)
        F = F + self.size * torch.sin(3 * x + 1) * F.flatten(1).std(1).reshape(-1, 1, 1, 1)
        return F if self.log_var is None else torch.cat([F, self.log_var.expand_as(F)], dim=1)


PARAMETERIZATIONS = {"epsilon": Epsilon(), "x0": X0(), "velocity": Velocity(), "previous_x": PreviousX(SCHEDULE)}
OBJECTIVES = {
    "simple": (Simple(Uniform(), Unweighted()), FixedLarge()),
    "min_snr": (Simple(Uniform(), MinSNR()), FixedLarge()),
    "vlb": (VLB(Uniform()), FixedLarge()),
    "hybrid": (Hybrid(Uniform(), Unweighted()), LearnedRange()),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_the_exact_denoiser_is_the_minimum(objective, parameterization):
    """The derivative of the expected loss in any direction away from it is zero, and the loss rises on both sides."""
    criterion, variance = OBJECTIVES[objective]
    network = Perturbed(SCHEDULE, PARAMETERIZATIONS[parameterization], bool(variance.channels))
    denoiser = Denoiser(network, SCHEDULE, PARAMETERIZATIONS[parameterization], variance)
    x_0, noise = mixture_images(N, 1), ImageNoise(0, torch.arange(N))

    def losses(size: float) -> Tensor:
        with torch.no_grad():
            network.size.fill_(size)
            found = criterion(denoiser, x_0, Condition(), noise)
            # the first step's likelihood of grey levels is no squared error: its minimum lies elsewhere
            return found.total[found.t > 1.5 / SCHEDULE.steps]

    middle, low, high = losses(0.0), losses(-0.05), losses(0.05)
    slope = (high - low) / 0.1
    curvature = (high + low - 2 * middle).mean()
    assert abs(slope.mean()) < 4 * slope.std() / math.sqrt(len(slope))
    assert curvature > 0
    assert min(losses(-0.5).mean(), losses(0.5).mean()) > middle.mean()


@pytest.mark.parametrize("step", [1, 10, 25, 45, 50])
def test_the_loss_of_the_exact_denoiser_is_the_conditional_variance(step):
    """E |x_0 - E[x_0 | x_t]|^2 = E Var(x_0 | x_t), for the mixture a function of x_t in closed form."""
    mu, weights, std = gmm()
    denoiser = Denoiser(MixtureNetwork(SCHEDULE), SCHEDULE, X0(), FixedSmall())
    t = torch.full((N,), step / 50, dtype=torch.float64)
    x_0, noise = mixture_images(N, 2), ImageNoise(1, torch.arange(N))
    loss = Simple(FixedTimes(t), Unweighted())(denoiser, x_0, Condition(), noise).total
    alpha, sigma = (value[0].item() for value in SCHEDULE(t))
    # an independent sample of x_t
    x_t = alpha * mixture_images(N, 3).numpy() + sigma * np.random.RandomState(4).randn(N, 3, 4, 4)
    between = sigma**2 * std**2 / (alpha**2 * std**2 + sigma**2)
    variance = alpha**2 * std**2 + sigma**2
    log_w = np.log(weights) - ((x_t[:, None] - alpha * mu) ** 2).sum((2, 3, 4)) / (2 * variance)
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    w = (w / w.sum(1, keepdims=True))[:, :, None, None, None]
    centres = mu + alpha * std**2 / variance * (x_t[:, None] - alpha * mu)
    spread = (w * centres**2).sum(1) - (w * centres).sum(1) ** 2
    known = (between + spread).mean((1, 2, 3))
    error = math.sqrt(loss.var() / N + known.var() / N)
    assert loss.mean().item() == pytest.approx(known.mean(), abs=4 * error)


MU, S = 0.2, 0.6
"""Gaussian data N(MU, S^2), independent pixels."""


class GaussianNetwork(Network):
    """The exact E[x_0 | x_t] for Gaussian data, and the exact log-variance of the reverse step of the schedule's own chain."""

    in_channels, out_channels, image_size = 1, 2, 2

    def __init__(self, schedule):
        super().__init__()
        self.chain = own_chain(schedule)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        i = time.round().long() + 1
        alpha, sigma = (over(value, x) for value in self.chain[i])
        step, marginal = self.chain.transition(i), alpha**2 * S**2 + sigma**2
        x_0 = MU + alpha * S**2 / marginal * (x - alpha * MU)
        # p(x_s | x_t) = integral of q(x_s | x_t, x_0) p(x_0 | x_t): its variance is the posterior's plus what x_0 adds
        var = over(step.posterior_var, x) + over(step.coef_x0, x) ** 2 * S**2 * sigma**2 / marginal
        return torch.cat([x_0, torch.log(var).expand_as(x)], dim=1)


@pytest.mark.parametrize("step", [1, 20, 49])
def test_losses_of_gaussian_data_in_closed_form(step):
    """x_0, eps and v errors of the exact denoiser, weighted and not."""
    schedule = SCHEDULE
    t = torch.full((20000,), step / 50, dtype=torch.float64)
    level = schedule(t[:1])
    alpha, sigma = level.alpha.item(), level.sigma.item()
    error_of_x0 = S**2 * sigma**2 / (alpha**2 * S**2 + sigma**2)
    x_0 = MU + S * torch.from_numpy(np.random.RandomState(9).randn(20000, 1, 2, 2))

    class ExactX0(GaussianNetwork):
        out_channels = 1

        def forward(self, x, time, cond):
            return super().forward(x, time, cond)[:, :1]

    denoiser = Denoiser(ExactX0(schedule), schedule, X0(), FixedSmall())
    for weighting, weight in (
        (Unweighted(), 1.0),
        (SNR(), snr(level).item()),
        (MinSNR(2.0), min(2.0, snr(level).item())),
    ):
        loss = Simple(FixedTimes(t), weighting)(denoiser, x_0, Condition(), ImageNoise(3, torch.arange(20000))).total
        assert loss.mean().item() == pytest.approx(weight * error_of_x0, rel=4 / math.sqrt(20000 * 4 / 2))


def test_the_bound_of_the_exact_chain_is_the_information_that_noise_destroys():
    """With the exact reverse chain, E[-log p(x_0)] = H(x_0).

    The likelihood given x_1 is H(x_0 | x_1), so the other terms, and that of the prior, add up to the mutual information of x_0 and x_1:
    1/2 log2(1 + alpha_1^2 S^2 / sigma_1^2) bits per dimension.
    """
    schedule = linear(80)
    denoiser = Denoiser(GaussianNetwork(schedule), schedule, X0(), Learned())
    chain, n = own_chain(schedule), 400
    x_0 = MU + S * torch.from_numpy(np.random.RandomState(5).randn(n, 1, 2, 2))
    total = torch.zeros(n, dtype=torch.float64)
    for step in range(2, 81):
        i = torch.full((n,), step)
        x_t = perturb(x_0, ImageNoise(0, torch.arange(n)).normal("eps", (1, 2, 2), step), chain[i])
        total += bound_term(x_0, x_t, denoiser(x_t, chain.times[i], Condition()), denoiser.variance, chain, i)
    last = chain[80]
    zero = torch.zeros((), dtype=torch.float64)
    # the chain starts at the data's own marginal at T, N(alpha MU, alpha^2 S^2 + sigma^2)
    marginal = torch.log(last.alpha**2 * S**2 + last.sigma**2)
    total += normal_kl(last.alpha * x_0, torch.log(last.sigma**2), zero + last.alpha * MU, marginal).flatten(1).mean(
        1
    ) / math.log(2)
    first = chain[1]
    information = 0.5 * math.log2(1 + (first.alpha**2 * S**2 / first.sigma**2).item())
    assert total.mean().item() == pytest.approx(information, abs=4 * total.std().item() / math.sqrt(n))
    assert total.std() / math.sqrt(n) < 0.02 * information


def test_vlb_is_an_estimate_of_the_sum_of_its_terms():
    """T times one random term: over all T times, the mean is the sum."""
    schedule = cosine(20)
    denoiser = Denoiser(GaussianNetwork(schedule), schedule, X0(), Learned())
    x_0 = torch.full((20, 1, 2, 2), 0.3, dtype=torch.float64)
    t = torch.arange(1, 21).double() / 20
    noise = SuppliedNoise({"eps": np.random.RandomState(1).randn(20, 1, 2, 2)})
    estimates = VLB(FixedTimes(t))(denoiser, x_0, Condition(), noise).total
    chain, i = own_chain(schedule), torch.arange(1, 21)
    x_t = perturb(x_0, noise.normal("eps", (1, 2, 2)), chain[i])
    terms = bound_term(x_0, x_t, denoiser(x_t, t, Condition()), denoiser.variance, chain, i)
    torch.testing.assert_close(estimates.mean(), terms.sum())


def fixed(channels: int) -> Denoiser:
    output = torch.from_numpy(np.random.RandomState(0).randn(8, 6, 4, 4)[:, :channels].copy())
    return Denoiser(FixedOutput(output, 3), SCHEDULE, Epsilon(), LearnedRange() if channels == 6 else FixedLarge())


def gradient(objective, denoiser) -> Tensor:
    x_0 = torch.from_numpy(np.random.RandomState(1).uniform(-1, 1, (8, 3, 4, 4)))
    losses = objective(denoiser, x_0, Condition(), ImageNoise(0, torch.arange(8)))
    (grad,) = torch.autograd.grad(losses.total.sum(), denoiser.network.output)
    return grad


def test_the_bound_in_hybrid_teaches_the_variance_only():
    both, simple = (
        gradient(Hybrid(Uniform(), Unweighted(), 0.5), fixed(6)),
        gradient(Simple(Uniform(), Unweighted()), fixed(3)),
    )
    torch.testing.assert_close(both[:, :3], simple, rtol=1e-12, atol=0)
    torch.testing.assert_close(both[:, 3:], 0.5 * gradient(VLB(Uniform()), fixed(6))[:, 3:])
    assert (gradient(VLB(Uniform()), fixed(6))[:, :3] != 0).all()


def test_hybrid_is_the_sum_of_its_parts():
    losses = Hybrid(Uniform(), MinSNR(), 0.25)(
        fixed(6), mixture_images(8, 0), Condition(), ImageNoise(0, torch.arange(8))
    )
    torch.testing.assert_close(losses.terms["loss"], losses.terms["simple"] + 0.25 * losses.terms["vlb"])
    assert torch.equal(losses.total, losses.terms["loss"])


def test_importance_weights_are_in_the_total_and_not_in_the_terms():
    sampler = LossSecondMoment(50, history=1)
    sampler.update(torch.arange(1, 51).double() / 50, torch.arange(1, 51).double())
    noise, x_0 = ImageNoise(0, torch.arange(8)), mixture_images(8, 0)
    weight = sampler(noise, SCHEDULE).weight
    assert (weight != 1).all()
    objectives = [(Simple(sampler, Unweighted()), 3), (VLB(sampler), 6), (Hybrid(sampler, Unweighted()), 6)]
    for objective, channels in objectives:
        losses = objective(fixed(channels), x_0, Condition(), noise)
        torch.testing.assert_close(losses.total, weight * losses.terms["loss"])
        assert torch.equal(losses.t, sampler(noise, SCHEDULE).t)


def test_an_image_has_the_same_loss_in_any_batch():
    x_0, number = mixture_images(8, 0), torch.arange(100, 108)
    denoiser = Denoiser(MixtureNetwork(SCHEDULE), SCHEDULE, X0(), FixedLarge())
    for objective in (Simple(Uniform(), Unweighted()), VLB(Uniform())):
        whole = objective(denoiser, x_0, Condition(), ImageNoise(0, number)).total
        half = objective(denoiser, x_0[4:], Condition(), ImageNoise(0, number[4:])).total
        torch.testing.assert_close(whole[4:], half, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("objective", "denoiser", "message"),
    [
        (Simple(Uniform(), Unweighted()), fixed(6), "use objective=hybrid or vlb, or variance=fixed_small"),
        (Hybrid(Uniform(), Unweighted()), fixed(3), "use variance=learned_range or learned, or objective=simple"),
        (VLB(LossSecondMoment(1000)), fixed(6), "history of 1000 steps, but the schedule has 50"),
        (Simple(LossSecondMoment(1000), Unweighted()), fixed(3), "history of 1000 steps, but the schedule has 50"),
    ],
)
def test_what_does_not_fit_is_refused(objective, denoiser, message):
    with pytest.raises(ValueError, match=message):
        objective.check(denoiser)


def test_a_bound_needs_steps():
    continuous = Denoiser(FixedOutput(torch.zeros(1, 6, 4, 4), 3), ContinuousCosine(4, 4), Epsilon(), LearnedRange())
    for objective in (VLB(Uniform()), Hybrid(Uniform(), Unweighted())):
        with pytest.raises(ValueError, match="use a discrete schedule"):
            objective.check(continuous)
