"""Grids that are laid out in the noise level sigma / alpha."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids.grid import Grid, times_at
from difflab.schedules import NoiseSchedule, noise_level


class KarrasGrid(Grid):
    """sigma_i^(1/rho) at equal distances from sigma_max down to sigma_min, then 0 (Karras et al. 2022, eq. 5).

    sigma means the noise level sigma_t / alpha_t of any schedule. Where the schedule's t = 1 lies below sigma_max the grid begins there.

    Args:
        steps: How many, the last one from sigma_min to the clean image.
        sigma_min: The smallest level.
        sigma_max: The largest level.
        rho: 1 is equal distances; the larger, the denser near sigma_min.
    """

    def __init__(self, steps: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0):
        if steps < 1:
            raise ValueError(f"a grid needs at least one step, not {steps}")
        if not 0 < sigma_min < sigma_max or rho <= 0:
            raise ValueError(
                f"sigma_min = {sigma_min} must be positive and below sigma_max = {sigma_max}, and rho = {rho} positive"
            )
        self.steps = steps
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.rho = rho

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        ends = noise_level(schedule, torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        highest = min(self.sigma_max, ends[1])
        if not ends[0] < self.sigma_min < highest:
            raise ValueError(
                f"{type(schedule).__name__} has noise levels from {ends[0]:.4g} to {ends[1]:.4g}, so the grid cannot end at "
                f"sigma_min = {self.sigma_min}: set sampler.grid.sigma_min to a level in between"
            )
        rising = torch.linspace(0, 1, self.steps, dtype=torch.float64) if self.steps > 1 else torch.ones(1).double()
        low, high = self.sigma_min ** (1 / self.rho), highest ** (1 / self.rho)
        level = (low + rising * (high - low)) ** self.rho
        return times_at(schedule, level)


class LogSNRGrid(Grid):
    """lambda = log(alpha / sigma) at equal distances from sigma_max to sigma_min, then the clean image (DPM-Solver, section 3.4).

    Lu et al. 2022, arXiv 2206.00927. Levels fall in geometric progression, which k-diffusion and diffusers call exponential, and which is
    the limit of Karras's grid for large rho. Where the schedule's t = 1 lies below sigma_max the grid begins there; where the first step of
    a table lies above sigma_min it ends with that step: a network knows no time before it.

    Args:
        steps: How many, the last one from sigma_min to the clean image.
        sigma_min: The smallest level.
        sigma_max: The largest level.
    """

    def __init__(self, steps: int, sigma_min: float = 0.002, sigma_max: float = 80.0):
        if steps < 1:
            raise ValueError(f"a grid needs at least one step, not {steps}")
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min = {sigma_min} must be positive and below sigma_max = {sigma_max}")
        self.steps = steps
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        first = 0.0 if schedule.steps is None else 1 / schedule.steps
        start, known, end = noise_level(schedule, torch.tensor([0.0, first, 1.0], dtype=torch.float64)).tolist()
        low, high = max(self.sigma_min, 0.0 if schedule.steps is None else known), min(self.sigma_max, end)
        if not start < low or (low >= high and self.steps > 1):
            raise ValueError(
                f"{type(schedule).__name__} has noise levels from {max(start, known):.4g} to {end:.4g}, so the grid cannot go from "
                f"sigma_max = {self.sigma_max:g} to sigma_min = {self.sigma_min:g}: set sampler.grid.sigma_min to a level in between"
            )
        rising = torch.linspace(0, 1, self.steps, dtype=torch.float64) if self.steps > 1 else torch.ones(1).double()
        log_low, log_high = torch.tensor([low, high], dtype=torch.float64).log()
        return times_at(schedule, torch.exp(log_low + rising * (log_high - log_low)))
