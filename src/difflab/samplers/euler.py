"""Euler's method along the noise level."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.churn import Churn
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerStep
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn


class Euler(Sampler):
    """Euler: x += (sigma' - sigma) (x - D(x; sigma)) / sigma, first order (Karras et al. 2022, algorithm 1 without its correction).

    x stands for x_t / alpha_t and sigma for sigma_t / alpha_t, so any schedule will do. Without churn that is DDIM with eta = 0.

    Args:
        grid: The times.
        s_churn: See `Churn`.
        s_min: See `Churn`.
        s_max: See `Churn`.
        s_noise: See `Churn`.
    """

    along_levels = True

    def __init__(self, grid: Grid, s_churn: float = 0.0, s_min: float = 0.0, s_max: float = 1e6, s_noise: float = 1.0):
        self.grid = grid
        self.churn = Churn(s_churn, s_min, s_max, s_noise)

    def trajectory(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
    ) -> Iterator[SamplerStep]:
        chain = Chain(schedule, self.grid(schedule))
        x = x_T / float(chain.level.alpha[-1])
        for at in self.churn.stages(schedule, chain):
            x = at.raised(x, noise)
            time = torch.full((len(x),), at.time, dtype=torch.float64, device=x.device)
            x_0 = denoise(at.alpha * x, time, cond).x0
            x = x + (at.to - at.level) * ((x - x_0) / at.level)
            yield SamplerStep(at.left, at.to_alpha * x, x_0)
