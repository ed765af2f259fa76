"""Schedules that learn, against the best ones that another optimizer finds for data whose denoiser is known."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from difflab.data import Digits
from difflab.data.mixture import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.likelihoods import VariationalBound
from difflab.networks import MLP, Network
from difflab.noise import ImageNoise
from difflab.noise_conditioning import LogSNR
from difflab.objectives import VLB
from difflab.objectives.time_samplers import Stratified
from difflab.parameterizations import X0, Epsilon
from difflab.samplers import DDPM, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import LearnedBetas, MonotoneLogSNR, Tabulated, linear, own_chain
from difflab.types import Condition
from difflab.variances import FixedSmall

STEPS, STD, MEAN = 6, 0.3, 0.1
FIRST = 0.02
"""beta_1, which does not learn."""
START = [FIRST, 0.1, 0.1, 0.2, 0.2, 0.3]


class Knowing(Network):
    """E[x_0 | x_t] of normal data, told the log-SNR of a schedule that preserves variance."""

    in_channels, out_channels, image_size = 1, 1, (1, 1)

    def forward(self, x, time, cond):
        level = torch.sigmoid(time).sqrt(), torch.sigmoid(-time).sqrt()
        return GaussianMixture(torch.full((1, *x.shape[1:]), MEAN), [1.0], STD).denoise(x, *level).to(x)


def exact(schedule) -> Denoiser:
    return Denoiser(Knowing(), schedule, X0(), FixedSmall(), LogSNR())


def expected(betas: np.ndarray, grey_levels: bool = True) -> float:
    """The bound of the exact denoiser on N(MEAN, STD^2), in bits, from its formulas: no draws, and none of difflab's code.

    KL terms are (snr_s - snr_t) E|x_0 - x_0^|^2 / 2; that of the first step is an integral over x_0 and eps, and of a density
    log(2 pi std^2) / 2 + E|x_0 - x_0^|^2 / (2 std^2).
    """
    alpha_bar = np.cumprod(1 - betas)
    snr = alpha_bar / (1 - alpha_bar)
    mmse = 1 / (1 / STD**2 + snr)
    nats = float(0.5 * ((snr[:-1] - snr[1:]) * mmse[1:]).sum())
    a, s2 = alpha_bar[-1], 1 - alpha_bar[-1]
    nats += 0.5 * (s2 + a * (STD**2 + MEAN**2) - 1 - math.log(s2))
    # the decoder is as wide as the posterior of the second step (Ho et al. 2020, section 3.2)
    std = math.sqrt(betas[1] * (1 - alpha_bar[0]) / (1 - alpha_bar[1]))
    if not grey_levels:
        nats += 0.5 * math.log(2 * math.pi * std**2) + 0.5 * mmse[0] / std**2
        return nats / math.log(2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    x_0 = MEAN + STD * nodes[:, None]
    x_1 = math.sqrt(alpha_bar[0]) * x_0 + math.sqrt(1 - alpha_bar[0]) * nodes[None]
    seen = (MEAN / STD**2 + math.sqrt(alpha_bar[0]) / (1 - alpha_bar[0]) * x_1) * mmse[0]

    def cdf(z):
        return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))

    inside = np.clip(cdf((x_0 - seen + 1 / 255) / std) - cdf((x_0 - seen - 1 / 255) / std), 1e-12, None)
    nats -= float((weights[:, None] * weights[None] * np.log(inside)).sum() / weights.sum() ** 2)
    return nats / math.log(2)


def levels(count: int, first: int) -> torch.Tensor:
    """Pixels, drawn anew for each step; so few lie beyond +-1 that the outermost grey levels do not matter."""
    number = torch.arange(first, first + count)
    return (MEAN + STD * ImageNoise(7, number).normal("data", (1, 1, 1))).clamp(-0.998, 0.998)


def trained(schedule, steps: int, lr: float, count: int = 512):
    """The weights' mean over the second half of the training."""
    model, objective = exact(schedule), VLB(Stratified(count))
    optimizer = torch.optim.Adam(schedule.parameters(), lr, betas=(0.9, 0.95))
    kept = []
    for step in range(steps):
        x_0 = levels(count, step * count)
        noise = ImageNoise(1, torch.arange(step * count, (step + 1) * count))
        loss = objective(model, x_0, Condition(), noise).total.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= steps // 2:
            kept.append([p.detach().clone() for p in schedule.parameters()])
    for p, *past in zip(schedule.parameters(), *kept, strict=True):
        p.data = torch.stack(past).mean(0)
    return schedule


def betas_of(schedule) -> np.ndarray:
    alpha = own_chain(schedule).level.alpha.detach().numpy()
    return 1 - (alpha[1:] / alpha[:-1]) ** 2


def best(first: float | None) -> np.ndarray:
    """The betas with the smallest bound, by scipy; with a given first one, or with it."""

    def betas(logits):
        found = 1 / (1 + np.exp(-logits))
        return found if first is None else np.append([first], found)

    begin = np.log(START) - np.log1p(-np.array(START))
    found = minimize(lambda z: expected(betas(z)), begin if first is None else begin[1:], method="BFGS")
    return betas(found.x)


def test_the_estimate_of_the_bound_has_the_mean_that_its_formulas_have():
    schedule = LearnedBetas(Tabulated(START))
    assert betas_of(schedule) == pytest.approx(START, rel=1e-9)
    count = 20_000
    losses = VLB(Stratified(count))(exact(schedule), levels(count, 0), Condition(), ImageNoise(1, torch.arange(count)))
    error = losses.total.std().item() / math.sqrt(count)
    assert losses.total.mean().item() == pytest.approx(expected(np.array(START)), abs=4 * error)
    assert losses.terms["prior"].mean() > 0.05


def test_points_have_a_bound_on_their_density():
    """Not of grey levels, of which points know nothing: by the objective, and term by term by `evaluate.py`'s likelihood."""
    schedule, count = LearnedBetas(Tabulated(START)), 20_000
    noise = ImageNoise(1, torch.arange(count))
    x_0 = MEAN + STD * ImageNoise(7, noise.number).normal("data", (1,))
    model, wanted = exact(schedule), expected(np.array(START), grey_levels=False)
    assert wanted > 0.5 * math.log2(2 * math.pi * math.e * STD**2), "no bound is below the entropy"
    with torch.no_grad():
        losses = VLB(Stratified(count))(model, x_0, Condition(), noise).total
        found = VariationalBound()(model, model, x_0, Condition(), noise, own_chain(schedule).times, None)
        terms = found.prior + sum(step.vb for step in found.steps)
    for bits in (losses, terms):
        assert bits.mean().item() == pytest.approx(wanted, abs=4 * bits.std().item() / math.sqrt(count))


def test_betas_come_to_the_smallest_bound():
    schedule = trained(LearnedBetas(Tabulated(START)), 300, 0.03)
    found, wanted = betas_of(schedule), best(FIRST)
    assert found[0] == pytest.approx(FIRST, rel=1e-9)
    assert expected(np.array(START)) - expected(wanted) > 0.1
    assert expected(found) == pytest.approx(expected(wanted), abs=0.005)
    assert found == pytest.approx(wanted, rel=0.2, abs=0.01)


@pytest.mark.slow
def test_a_monotone_log_snr_comes_to_the_smallest_bound():
    """Its ends are free, and the smallest bound of all six betas is another one: a normal decoder needs no steps for normal data."""
    schedule = trained(MonotoneLogSNR(STEPS, 4.0, -2.0, width=16), 300, 0.05)
    found, wanted = betas_of(schedule), best(None)
    assert expected(found) == pytest.approx(expected(wanted), abs=0.02)
    assert (found > 0).all()


@pytest.mark.parametrize("schedule", [LearnedBetas(Tabulated(START)), MonotoneLogSNR(STEPS, 4.0, -2.0, width=3)])
def test_gradients_are_those_of_finite_differences(schedule):
    """Of the whole bound with its last term, through the levels, the posteriors and the exact denoiser."""
    schedule.double()
    count = 12
    x_0, noise = levels(count, 0).double(), ImageNoise(1, torch.arange(count))

    def bound():
        return VLB(Stratified(count))(exact(schedule), x_0, Condition(), noise).total.mean()

    bound().backward()
    for name, p in schedule.named_parameters():
        for i in range(p.numel()):
            flat, h = p.data.view(-1), 1e-5
            flat[i] += h
            above = float(bound())
            flat[i] -= 2 * h
            below = float(bound())
            flat[i] += h
            assert float(p.grad.view(-1)[i]) == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize(
    "schedule",
    [LearnedBetas(linear(25)), MonotoneLogSNR(25), MonotoneLogSNR(25, width=1)],
    ids=["betas", "log_snr", "narrow"],
)
def test_levels_fall_and_samplers_walk_down_them(schedule):
    t = torch.linspace(0.01, 1, 200, dtype=torch.float64)
    with torch.no_grad():
        alpha, sigma = schedule(t)
        assert ((alpha / sigma).diff() < 0).all()
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), atol=0.1, rtol=0)  # linear between rows
        sampler, seeds = DDPM(UniformGrid(5), FixedSmall()), torch.arange(100)
        as_table = Tabulated(betas_of(schedule))
        points, others = (draw(exact(one), one, sampler, (1,), seeds, Condition()) for one in (schedule, as_table))
    torch.testing.assert_close(points, others)
    assert schedule.network_time(torch.ones(1).double()).item() == 24
    torch.testing.assert_close(schedule.time(torch.tensor([0.01, 0.99]).double()), torch.tensor([0.04, 1.0]).double())


def test_what_cannot_learn_is_refused():
    with pytest.raises(ValueError, match=r"betas that learn begin with at least two steps and below 1"):
        LearnedBetas(Tabulated([0.1, 1.0]))
    with pytest.raises(ValueError, match=r"log_snr_min=8.0 below log_snr_max=-8.0"):
        MonotoneLogSNR(10, -8.0, 8.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "learned", [lambda: LearnedBetas(linear(25)), lambda: MonotoneLogSNR(25)], ids=["betas", "log_snr"]
)
def test_digits_cost_no_more_with_a_schedule_that_learns(learned):
    """The bound of held-out digits after the same training: under linear betas of 25 steps, and under what they become."""
    images = Digits().images(range(1797)).float() / 127.5 - 1

    def bits(schedule) -> tuple[float, float]:
        torch.manual_seed(0)
        network = MLP(8, 1, 1, embedders={}, width=192, depth=3)
        model, objective = Denoiser(network, schedule, Epsilon(), FixedSmall()), VLB(Stratified(128))
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        for step in range(1500):
            number = torch.arange(128) + 128 * step
            loss = objective(model, images[number % 1500], Condition(), ImageNoise(0, number)).total.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        held_out, number = images[1500:].repeat(4, 1, 1, 1), torch.arange(4 * 297)
        with torch.no_grad():
            found = VariationalBound()(
                model, model, held_out, Condition(), ImageNoise(1, number), own_chain(schedule).times, 2 / 255
            )
            total = found.prior + sum(step.vb for step in found.steps)
        return total.mean().item(), total.std().item() / math.sqrt(len(total))

    (fixed, _), (free, error) = bits(linear(25)), bits(learned())
    assert free < fixed - 4 * error
