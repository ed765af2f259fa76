"""Ancestral sampling."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.process import Transition, posterior_mean
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerStep, by_step
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn
from difflab.variances import Variance


class DDPM(Sampler):
    """x_s ~ N(posterior mean(x_0, x_t), variance); no noise in the step that ends at t = 0 (Ho et al. 2020, algorithm 2).

    Args:
        grid: The times; fewer than the schedule's respace the chain (Nichol and Dhariwal 2021, section 4).
        variance: The model's.
    """

    def __init__(self, grid: Grid, variance: Variance):
        self.grid = grid
        self.variance = variance

    def trajectory(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
    ) -> Iterator[SamplerStep]:
        chain, x = Chain(schedule, self.grid(schedule)), x_T
        transitions = chain.transition(torch.arange(1, len(chain) + 1))
        steps, times = by_step(transitions, x), chain.times.tolist()
        for i in range(len(chain), 0, -1):
            t = torch.full((len(x),), times[i], dtype=torch.float64, device=x.device)
            prediction, step = denoise(x, t, cond), Transition(*steps[i - 1])
            mean = posterior_mean(step, prediction.x0, x)
            if transitions.final[i - 1]:
                x = mean
            else:
                std = torch.exp(0.5 * self.variance.log_var(prediction.variance_fraction, step, x))
                x = mean + std * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
            yield SamplerStep(times[i], x, prediction.x0)
