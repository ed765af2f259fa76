"""Ancestral sampling."""

from __future__ import annotations

import torch

from difflab.noise import Noise
from difflab.process import Transition, posterior_mean
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk, by_step
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

    def steps(self, walk: Walk) -> Step:
        chain = walk.chain
        transitions = chain.transition(torch.arange(1, len(chain) + 1))
        rows, times = by_step(transitions, walk.like), chain.times.tolist()

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            prediction, at = walk.predict(x, state.t), Transition(*rows[i - 1])
            mean = posterior_mean(at, prediction.x0, x)
            if transitions.final[i - 1]:
                x = mean
            else:
                std = torch.exp(0.5 * self.variance.log_var(prediction.variance_fraction, at, x))
                x = mean + std * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
            return SamplerState(x, times[i - 1], i - 1, x0=prediction.x0)

        return step
