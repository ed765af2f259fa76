"""No formula asks for the number of axes: points, sequences, images and videos of the same numbers give the same numbers."""

import pytest
import torch
from torch import Tensor, nn

from difflab.data.mixture import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.guidance import (
    AdaptiveProjected,
    ClassifierFree,
    Clip,
    DynamicThreshold,
    MeanShiftAtImage,
    RescaledClassifierFree,
    ScoreThroughDenoiser,
    chained,
)
from difflab.guidance.scores import ChannelMeans
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import VLB, Hybrid, Simple
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import MinSNR, Unweighted
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, DDPM, Euler, Heun, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import cosine
from difflab.types import Condition, Label
from difflab.variances import FixedSmall, LearnedRange

SHAPES = {"points": (4,), "sequences": (1, 4), "images": (1, 2, 2), "videos": (1, 2, 2, 1)}
SCHEDULE = cosine(100)
GRID = UniformGrid(10)
MEANS = ImageNoise(0, torch.arange(3)).normal("means", (4,))
SEEDS = torch.arange(6)
COND = Condition(label=Label(SEEDS % 3))


def classify(x_t: Tensor, t: Tensor) -> Tensor:
    return x_t.flatten(1) @ MEANS.T


SAMPLERS = {
    "ddpm": lambda: DDPM(GRID, FixedSmall()),
    "ddim": lambda: DDIM(GRID, 0.5),
    "euler": lambda: Euler(KarrasGrid(8, 0.05, 5)),
    "heun": lambda: Heun(KarrasGrid(8, 0.05, 5), s_churn=2.0),
}
GUIDANCES = {
    "none": [],
    "classifier_free": [ClassifierFree(2.0)],
    "rescaled": [RescaledClassifierFree(2.0, 0.7)],
    "adaptive_projected": [AdaptiveProjected(2.0, 0.1, 1.5, -0.5)],
    "bounds": [Clip(), DynamicThreshold(0.9)],
}


def drawn(shape: tuple[int, ...], sampler, guidances) -> Tensor:
    exact = GaussianMixture(MEANS.reshape(3, *shape), torch.ones(3), 0.3).denoiser(SCHEDULE)
    found = draw(chained(guidances, exact), SCHEDULE, sampler, shape, SEEDS, COND, torch.float64)
    assert found.shape == (6, *shape)
    return found.flatten(1)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", GUIDANCES)
def test_samples_of_every_shape_are_the_same_numbers(sampler, guidance):
    found = {name: drawn(shape, SAMPLERS[sampler](), GUIDANCES[guidance]) for name, shape in SHAPES.items()}
    for name in SHAPES:
        torch.testing.assert_close(found[name], found["images"], rtol=1e-10, atol=1e-10)


def test_and_so_is_guidance_by_gradients():
    shift = MeanShiftAtImage(classify, SCHEDULE, GRID, FixedSmall(), 2.0)
    sampler = DDPM(GRID, FixedSmall())
    found = {name: drawn(shape, sampler, [shift]) for name, shape in SHAPES.items()}
    for name in SHAPES:
        torch.testing.assert_close(found[name], found["images"], rtol=1e-10, atol=1e-10)
    through = ScoreThroughDenoiser(ChannelMeans([0.4], 0.3), SCHEDULE, 2.0)
    sequences, images = (drawn(SHAPES[name], DDIM(GRID), [through]) for name in ("sequences", "images"))
    torch.testing.assert_close(sequences, images, rtol=1e-10, atol=1e-10)


class Linear(Network):
    """One matrix on all numbers of an example, and the time."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        torch.manual_seed(0)
        self.in_channels, self.out_channels, self.image_size = channels, outputs * channels, 2
        self.layer = nn.Linear(5, outputs * 4).double()

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        told = torch.cat([x.flatten(1), time[:, None].to(x) / 100], 1)
        return self.layer(told).reshape(len(x), self.out_channels, *x.shape[2:])


@pytest.mark.parametrize(
    ("objective", "variance"),
    [
        (Simple(Uniform(), Unweighted()), FixedSmall()),
        (Simple(Uniform(), MinSNR(5.0)), FixedSmall()),
        (VLB(Uniform()), FixedSmall()),
        (Hybrid(Uniform(), Unweighted(), 1.0), LearnedRange()),
    ],
)
def test_losses_of_every_shape_are_the_same_numbers(objective, variance):
    found = {}
    for name, shape in SHAPES.items():
        denoiser = Denoiser(Linear(shape[0], 1 + variance.channels), SCHEDULE, Epsilon(), variance)
        x_0 = MEANS.repeat(2, 1).reshape(6, *shape).clamp(-1, 1)
        found[name] = objective(denoiser, x_0, COND, ImageNoise(3, SEEDS)).total
        assert found[name].shape == (6,)
    for name in SHAPES:
        torch.testing.assert_close(found[name], found["images"], rtol=1e-10, atol=1e-10)
