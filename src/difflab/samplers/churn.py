"""Noise that is added on the way down, and removed by the step that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import Chain, NoiseSchedule, noise_level, time_beyond, time_of


@dataclass(frozen=True)
class Churn:
    """sigma_hat = (1 + gamma) sigma, x_hat = x + s_noise sqrt(sigma_hat^2 - sigma^2) eps (Karras et al. 2022, algorithm 2, lines 4 to 6).

    gamma = min(s_churn / N, sqrt(2) - 1) at levels in [s_min, s_max], else 0. A grid that begins at the schedule's end is raised above it
    where the schedule is endless: from 80 to 113.1 at s_churn / N >= 0.414, as EDM's code and k-diffusion do. Where it ends, as a table
    does, no level is raised above its last.

    Attributes:
        s_churn: How much noise is added on the whole; 0 adds nothing: the sampler is deterministic.
        s_min: The lowest level at which noise is added.
        s_max: The highest level at which noise is added.
        s_noise: Factor of the added noise; slightly above 1 makes up for detail that the denoiser removes in excess.
    """

    s_churn: float
    s_min: float
    s_max: float
    s_noise: float

    def __post_init__(self) -> None:
        if self.s_churn < 0 or self.s_noise < 0:
            raise ValueError(f"s_churn = {self.s_churn} and s_noise = {self.s_noise} must not be negative")
        if self.s_min > self.s_max:
            raise ValueError(f"s_min = {self.s_min} is above s_max = {self.s_max}: noise would be added nowhere")

    def above_end(self, schedule: NoiseSchedule, chain: Chain) -> float | None:
        """The level above the schedule's end to which the first step raises an image; None if it does not."""
        raised, time = self.raised(schedule, chain, chain.level.sigma / chain.level.alpha)
        return float(raised[-1]) if time[-1] > 1 else None

    def raised(
        self, schedule: NoiseSchedule, chain: Chain, level: Float64[Tensor, " n"]
    ) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
        """The levels with the noise that is added, and their times."""
        gamma = min(self.s_churn / len(chain), math.sqrt(2) - 1)
        if not gamma:
            return level, chain.times
        churned = (level >= self.s_min) & (level <= self.s_max)
        highest = noise_level(schedule, torch.ones_like(level))
        wanted = torch.where(churned, level * (1 + gamma), level)
        beyond = time_beyond(schedule, torch.maximum(wanted, highest))
        raised = torch.where(wanted > highest, wanted if schedule.endless else highest, wanted)
        time = torch.where(wanted > highest, beyond, time_of(schedule, raised))
        return raised, torch.where(raised > level, time, chain.times)
