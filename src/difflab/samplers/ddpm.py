"""Ancestral sampling."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.process import over, posterior_mean
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerStep
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn
from difflab.variances import Variance


class DDPM(Sampler):
    """x_s ~ N(posterior mean(x_0, x_t), variance); no noise in the step that ends at t = 0 (Ho et al. 2020, algorithm 2).

    grid       the times; fewer than the schedule's respace the chain (Nichol and Dhariwal 2021, section 4)
    variance   the model's
    """

    def __init__(self, grid: Grid, variance: Variance):
        self.grid = grid
        self.variance = variance

    def trajectory(
        self, denoise: DenoiseFn, schedule: NoiseSchedule, x_T: Float[Tensor, "b c h w"], cond: Condition, noise: Noise
    ) -> Iterator[SamplerStep]:
        times = self.grid(schedule)  # stay on the CPU: asking a GPU for a number makes everything wait for it
        chain, x = Chain(schedule, times).to(x_T.device), x_T
        for i in range(len(chain), 0, -1):
            t = chain.times[i].expand(len(x))
            prediction = denoise(x, t, cond)
            step = chain.transition(torch.full((len(x),), i, device=x.device))
            mean = posterior_mean(step, prediction.x0, x)
            std = torch.exp(0.5 * self.variance.log_var(prediction.variance_fraction, step, x))
            z = noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
            x = torch.where(over(step.final, x).bool(), mean, mean + std * z)
            yield SamplerStep(float(times[i]), x, prediction.x0)
