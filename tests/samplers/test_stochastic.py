"""Stochastic samplers of flows: the marginals of the flow with any diffusion coefficient, and what they refuse."""

import pytest
import torch

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.samplers import Euler, StochasticEuler, StochasticHeun, draw
from difflab.samplers.along import Time
from difflab.samplers.diffusions import SBDM, Constant, Falling, LinearInTime, NoiseScale, SquaredSine
from difflab.samplers.grids import ShortLastStep, UniformGrid
from difflab.samplers.last_steps import Flow, Mean, Tweedie
from difflab.schedules import CosinePath, LinearPath, VariancePreserving, cosine
from difflab.types import Condition
from one_pass import each

MIXTURE = GaussianMixture([[1.0, 0.5], [-0.6, 0.8], [0.2, -1.0]], [1.0, 2.0, 3.0], 0.3)
SEEDS = torch.arange(3000)
CASES = {
    "constant": (StochasticEuler, Constant(), LinearPath(), Mean()),
    "falling": (StochasticHeun, Falling(), LinearPath(), Mean()),
    "linear in time": (StochasticEuler, LinearInTime(), CosinePath(), Tweedie()),
    "noise scale": (StochasticEuler, NoiseScale(), LinearPath(), Mean()),
    "sbdm": (StochasticHeun, SBDM(), VariancePreserving(), Mean()),
    "sbdm without signal": (StochasticEuler, SBDM(eta=0.1), LinearPath(), Mean()),
    "squared sine": (StochasticHeun, SquaredSine(2.0), CosinePath(), Flow()),
}


@each("case", list(CASES))
def test_samples_have_the_distribution_of_the_data(case):
    kind, diffusion, schedule, last = CASES[case]
    sampler = kind(ShortLastStep(100, last=0.02), diffusion, last)
    x = draw(MIXTURE.denoiser(schedule), schedule, sampler, (2,), SEEDS, Condition(), torch.float64)
    assert MIXTURE.frechet_distance(x.mean(0), torch.cov(x.T)) < 0.03
    nearest = torch.cdist(x, MIXTURE.means).argmin(1)
    assert (torch.bincount(nearest, minlength=3) / 3000 - MIXTURE.weights).abs().max() < 0.03


def test_without_noise_they_are_the_solvers_of_the_flow():
    schedule, noise = LinearPath(), ImageNoise(0, torch.arange(5))
    x, denoise = noise.normal("x_T", (2,)), MIXTURE.denoiser(schedule)
    flow = Euler(UniformGrid(10), along=Time())(denoise, schedule, x, Condition(), noise)
    still = StochasticEuler(UniformGrid(10), Constant(0.0), Flow())(denoise, schedule, x, Condition(), noise)
    torch.testing.assert_close(still, flow, rtol=1e-12, atol=1e-12)


def test_an_image_does_not_depend_on_its_batch():
    schedule, sampler = LinearPath(), StochasticHeun(ShortLastStep(5), NoiseScale(), Mean())
    drawn = [
        draw(MIXTURE.denoiser(schedule), schedule, sampler, (2,), seeds, Condition(), torch.float64)
        for seeds in (torch.arange(6), torch.tensor([4]))
    ]
    torch.testing.assert_close(drawn[0][4:5], drawn[1], rtol=1e-12, atol=1e-12)


def test_what_a_schedule_cannot_serve_is_refused_in_one_line():
    sampler = StochasticEuler(ShortLastStep(10), SBDM(), Mean())
    with pytest.raises(ValueError, match="SBDM is infinite at t = 1, where LinearPath leaves no signal") as refused:
        sampler.check(LinearPath())
    assert "\n" not in str(refused.value)
    StochasticEuler(ShortLastStep(10, begin=0.999), SBDM(), Mean()).check(LinearPath())
    with pytest.raises(ValueError, match="is a table of 50 steps"):
        sampler.check(cosine(50))
    with pytest.raises(ValueError, match="is a table of 50 steps"):
        StochasticEuler(UniformGrid(10), NoiseScale(), Mean()).check(cosine(50))
    with pytest.raises(ValueError, match="0 < last < begin"):
        ShortLastStep(10, last=0.5, begin=0.4)
    with pytest.raises(ValueError, match="would be negative"):
        NoiseScale(-1.0)
