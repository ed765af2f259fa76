"""What an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.objectives.time_samplers import TimeSampler
from difflab.types import Condition, Losses


class Objective(ABC):
    """(denoiser, x_0, cond, noise) -> Losses. Everything that is random about training happens in here, drawn from `noise`.

    time_sampler   draws the times; a loss-aware one is told of the losses by whoever runs the optimizer
    """

    time_sampler: TimeSampler

    @abstractmethod
    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c h w"], cond: Condition, noise: Noise) -> Losses:
        """Losses of the images x_0."""

    @abstractmethod
    def check(self, denoiser: Denoiser) -> None:
        """Raises a ValueError that tells what to change if this denoiser cannot be trained with this objective."""
