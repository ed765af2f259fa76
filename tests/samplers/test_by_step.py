"""Coefficients that are worked out before a walk are those of each step, and a walk asks its device for nothing."""

import pytest
import torch
from torch import nn

from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, Clip, chained
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.parameterizations import Epsilon
from difflab.process import eps_from_x0, over, perturb, posterior_mean
from difflab.samplers import DDIM, DDPM, Euler, Heun, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.samplers.sampler import by_step
from difflab.schedules import Chain, cosine, linear
from difflab.types import AlphaSigma, Condition, Label, Prediction
from difflab.variances import FixedLarge, FixedSmall, LearnedRange

SHAPE = (3, 4, 4)
GRID = UniformGrid("ddim10")
SCHEDULE = linear(100)


def denoise(x_t, t, cond, /):
    return Prediction(torch.tanh(x_t + t.reshape(-1, 1, 1, 1)).to(x_t), torch.sin(x_t))


def by_hand(schedule, x, noise, step_of):
    """A walk that works out its coefficients step by step, for every image: step_of(x, x0, step, at_s, at_t, z)."""
    chain = Chain(schedule, GRID(schedule))
    for i in range(len(chain), 0, -1):
        index = torch.full((len(x),), i)
        prediction = denoise(x, chain.times[index], Condition())
        z = noise.normal("step", SHAPE, step=i).to(x)
        x = step_of(x, prediction, chain.transition(index), chain[index - 1], chain[index], z)
    return x


@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge(), LearnedRange()])
@pytest.mark.parametrize("schedule", [SCHEDULE, cosine(10)])
def test_ancestral_steps_are_to_the_bit_those_worked_out_one_by_one(variance, schedule):
    def step_of(x, prediction, step, at_s, at_t, z):
        mean = posterior_mean(step, prediction.x0, x)
        std = torch.exp(0.5 * variance.log_var(prediction.variance_fraction, step, x))
        return torch.where(over(step.final, x).bool(), mean, mean + std * z)

    sampler, noise = DDPM(GRID, variance), ImageNoise(0, torch.arange(3))
    x_T = sampler.initial_noise(schedule, SHAPE, noise).float()
    drawn = sampler(denoise, schedule, x_T, Condition(), noise)
    assert torch.equal(drawn, by_hand(schedule, x_T, noise, step_of))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_implicit_steps_are_to_the_bit_those_worked_out_one_by_one(eta):
    def step_of(x, prediction, step, at_s, at_t, z):
        v = eta**2 * step.posterior_var
        direction = AlphaSigma(at_s.alpha, (at_s.sigma**2 - v).clamp(min=0).sqrt())
        x = perturb(prediction.x0, eps_from_x0(x, prediction.x0, at_t), direction)
        return x + over(v.sqrt(), x) * z if eta else x

    sampler, noise = DDIM(GRID, eta), ImageNoise(0, torch.arange(3))
    x_T = sampler.initial_noise(SCHEDULE, SHAPE, noise).float()
    drawn = sampler(denoise, SCHEDULE, x_T, Condition(), noise)
    assert torch.equal(drawn, by_hand(SCHEDULE, x_T, noise, step_of))


def test_a_row_is_that_step_of_every_column_for_every_image():
    first, second = torch.arange(4).double(), torch.tensor([True, False, False, True])
    rows = by_step((first, second), torch.zeros(2, *SHAPE))
    assert [(a.tolist(), b.tolist()) for a, b in rows] == [
        ([0, 0], [True] * 2), ([1, 1], [False] * 2), ([2, 2], [False] * 2), ([3, 3], [True] * 2),
    ]  # fmt: skip


class ClassNetwork(Network):
    """Output [B, 2 C, H, W] made of image, time and class."""

    in_channels, out_channels, image_size = 3, 6, 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1)
        self.by_class = nn.Embedding(4, 6)

    def forward(self, x, time, cond):
        assert Label.of(cond) is not None
        return self.conv(x) + (self.by_class(Label.of(cond).number % 4) + time[:, None].to(x.dtype))[:, :, None, None]


@pytest.mark.parametrize(
    "sampler",
    [
        DDPM(GRID, LearnedRange()), DDIM(GRID), DDIM(GRID, eta=0.5), Heun(GRID), Euler(KarrasGrid(5), s_churn=2.0),
    ],
)  # fmt: skip
def test_a_walk_reads_no_number_from_its_device(sampler):
    """On a device that has shapes but no values, every question for one is an error: on a GPU it would stop the host."""
    schedule, device = linear(1000), torch.device("meta")
    denoiser = Denoiser(ClassNetwork(), schedule, Epsilon(), LearnedRange()).to(device)
    guided = chained([ClassifierFree(3.0), Clip()], denoiser)
    seeds = torch.arange(5, device=device)
    images = draw(guided, schedule, sampler, SHAPE, seeds, Condition(label=Label(seeds % 3)))
    assert images.device == device
    assert images.shape == (5, *SHAPE)
    with pytest.raises(RuntimeError):
        float(images.sum())  # it is such a device
