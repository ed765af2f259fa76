"""A network trained on a Gaussian mixture comes close to the best loss there is, which is known in closed form."""

import pytest
import torch
from torch import nn

from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.noise import ImageNoise
from difflab.objectives import Hybrid, Simple
from difflab.objectives.time_samplers import Stratified
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon, Velocity
from difflab.process import eps_from_x0, perturb
from difflab.schedules import cosine
from difflab.types import Condition
from difflab.variances import FixedSmall, LearnedRange

BATCH = 256
MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.1, seed=1)


class Perceptron(Network):
    """Four pixels and the time through two hidden layers."""

    in_channels, image_size = 1, 2

    def __init__(self, out_channels: int):
        super().__init__()
        self.out_channels = out_channels
        width = 128
        self.layers = nn.Sequential(
            nn.Linear(4 + 16, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 4 * out_channels)
        )

    def forward(self, x, time, cond):
        phase = (time[:, None] / 100 * 3.0 ** -torch.arange(-3, 5)).float()
        return self.layers(torch.cat([x.flatten(1), phase.sin(), phase.cos()], 1)).reshape(-1, self.out_channels, 2, 2)


def images(noise: ImageNoise) -> torch.Tensor:
    return MIXTURE.sample(noise, MIXTURE.sample_labels(noise)).float()


@pytest.mark.parametrize(
    ("parameterization", "objective", "variance", "channels"),
    [
        pytest.param(Epsilon(), Simple(Stratified(BATCH), Unweighted()), FixedSmall(), 1, id="epsilon"),
        pytest.param(Velocity(), Simple(Stratified(BATCH), Unweighted()), FixedSmall(), 1, id="velocity"),
        pytest.param(
            *(Epsilon(), Hybrid(Stratified(BATCH), Unweighted()), LearnedRange(), 2),
            marks=pytest.mark.slow,
            id="hybrid",
        ),
    ],
)
def test_the_loss_comes_close_to_the_known_optimum(parameterization, objective, variance, channels):
    torch.manual_seed(0)
    schedule = cosine(100)
    denoiser = Denoiser(Perceptron(channels), schedule, parameterization, variance)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for step in range(1500):
        noise = ImageNoise(0, torch.arange(step * BATCH, (step + 1) * BATCH))
        objective(denoiser, images(noise), Condition(), noise).total.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()

    noise = ImageNoise(1, torch.arange(64 * BATCH))
    x_0, eps = images(noise), noise.normal("eps", (1, 2, 2)).float()
    t, _ = objective.time_sampler(noise, schedule)
    with torch.no_grad():
        x_t = perturb(x_0, eps, schedule(t))
        raw = denoiser.raw(x_t, t, Condition())
        trained = ((raw.F - raw.target(x_0, eps)) ** 2).mean()
        exact = MIXTURE.denoiser(schedule)(x_t, t, Condition()).x0
        best = ((raw.target(exact, eps_from_x0(x_t, exact, raw.level)) - raw.target(x_0, eps)) ** 2).mean()
        trivial = (raw.target(x_0, eps) ** 2).mean()
    assert best < trained < best + 0.08 * (trivial - best)
