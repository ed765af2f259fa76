"""What the evaluations of the equations of docs/concepts/diffusion.md share: where each is kept, and images of a mixture that is known."""

from collections.abc import Callable

import torch

from difflab.data import GaussianMixture
from difflab.networks.network import Network
from difflab.noise import ImageNoise
from difflab.schedules import cosine, linear
from difflab.types import AlphaSigma, Condition

CHECKS: dict[str, Callable[[], None]] = {}
"""Heading of an equation -> what evaluates it."""

MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.5, std=0.2, seed=0)
LINEAR, COSINE = linear(1000), cosine(1000)
BETAS, ALPHA_BARS = LINEAR.betas, torch.cumprod(1 - LINEAR.betas, 0)
NOBODY = Condition()
IMAGES = 6
NOISE = ImageNoise(1, torch.arange(IMAGES))


def evaluates(equation: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def registered(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[equation] = check
        return check

    return registered


def close(a: torch.Tensor, b: torch.Tensor | float, within: float = 1e-9) -> None:
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=torch.float64).expand_as(a), rtol=within, atol=within)


def at(schedule, t: float) -> AlphaSigma:
    return schedule(torch.full((IMAGES,), t, dtype=torch.float64))


def times(t: float) -> torch.Tensor:
    return torch.full((IMAGES,), t, dtype=torch.float64)


def normal(purpose: str) -> torch.Tensor:
    return NOISE.normal(purpose, MIXTURE.shape)


X_0 = MIXTURE.sample(NOISE, MIXTURE.sample_labels(NOISE))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
"""A class for each image, not always its own."""


class Answers(Network):
    """A network that says what it was given, whatever it is asked."""

    image_size = 2
    in_channels = 1

    def __init__(self, answer: torch.Tensor):
        super().__init__()
        self.answer, self.out_channels = answer, answer.shape[1]

    def forward(self, x, time, cond):
        return self.answer
