"""What a sampler is, and coefficients per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.churn import Churn, levels
from difflab.samplers.grids import Grid
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn


class SamplerStep(NamedTuple):
    """Where a trajectory is after a step.

    Attributes:
        t: The time that was left.
        x_s: The image at the time that was reached, [B, C, H, W].
        x0: The clean image that the denoiser saw at t, [B, C, H, W].
    """

    t: float
    x_s: Tensor
    x0: Tensor


class Sampler(ABC):
    """(denoise, schedule, x_T, cond, noise) -> x_0, walking down the times of a grid.

    The noise of each step comes from `noise` by image, so an image does not depend on those that it is sampled with.

    Attributes:
        grid: The times.
        churn: Noise that is added on the way down, and removed by the step that follows; none by default.
        along_levels: Whether it walks along sigma / alpha, which then has to be finite where the grid begins.
    """

    grid: Grid
    along_levels: bool = False
    churn: Churn = Churn(s_churn=0.0, s_min=0.0, s_max=0.0, s_noise=1.0)

    def check(self, schedule: NoiseSchedule) -> None:
        """Checks that the sampler can walk down a schedule.

        Raises:
            ValueError: It cannot.
        """
        chain = Chain(schedule, self.grid(schedule))
        if self.along_levels:
            levels(chain)

    @abstractmethod
    def trajectory(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
    ) -> Iterator[SamplerStep]:
        """The steps from the grid's last time to 0; the last step's x_s is the sample.

        Args:
            denoise: The denoiser, guided or not.
            schedule: The model's.
            x_T: Noise of the grid's last time, see `initial_noise`.
            cond: What the images are drawn for.
            noise: That of the steps, by image.
        """

    @torch.no_grad()
    def __call__(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
    ) -> Float[Tensor, "b c *size"]:
        """Samples from noise x_T."""
        x = x_T
        for step in self.trajectory(denoise, schedule, x_T, cond.kept(), noise):
            x = step.x_s
        return x


def initial_noise(schedule: NoiseSchedule, grid: Grid, shape: tuple[int, ...], noise: Noise) -> Tensor:
    """x_T, float64: normal, with the standard deviation sqrt(alpha^2 + sigma^2) that standardised data have at the grid's last time.

    It is 1 for a variance-preserving schedule.

    Args:
        schedule: The model's.
        grid: The sampler's.
        shape: (C, H, W) of an image.
        noise: That of the images.
    """
    alpha, sigma = schedule(grid(schedule)[-1:])
    return torch.hypot(alpha, sigma).to(noise.number.device) * noise.normal("x_T", shape)


def by_step(columns: Iterable[Shaped[Tensor, " n"]], images: Tensor) -> list[tuple[Shaped[Tensor, " b"], ...]]:
    """For each of N steps its value of each column, said of every image [B, C, H, W].

    Coefficients are the same for all images of a batch and known before the first step. Computed for all steps at once, on the CPU, they
    cost a step nothing but views, in place of some thirty operations on a handful of numbers; and no GPU is asked for a number, which would
    make everything wait for it.

    Args:
        columns: One value per step each, [N].
        images: The images, of which only their number and device are of interest.

    Returns:
        For each step a value [B] of each column.
    """
    rows = (column.to(images.device)[:, None].expand(-1, len(images)).unbind() for column in columns)
    return list(zip(*rows, strict=True))
