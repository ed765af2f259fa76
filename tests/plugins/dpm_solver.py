"""DPM-Solver++ of second order, multi-step (Lu et al. 2022, arXiv 2211.01095, algorithm 2)."""

from __future__ import annotations

import math

from difflab.noise import Noise
from difflab.samplers import Sampler, SamplerState, Step, Walk
from difflab.samplers.grids import Grid


class DPMSolver2M(Sampler):
    """x_s = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D, with D extrapolated from the last two predictions of x_0.

    h = lambda_s - lambda_t, lambda = log(alpha / sigma). The first step and the one to the clean image are of first order.

    Args:
        grid: The times.
    """

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        times = walk.chain.times.tolist()
        alpha, sigma = (value.tolist() for value in walk.chain.level)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            x_0 = walk.predict(x, state.t).x0
            now = math.log(alpha[i] / sigma[i])
            if i == 1:
                return SamplerState(x_0, times[0], 0, x0=x_0)
            h = math.log(alpha[i - 1] / sigma[i - 1]) - now
            D = x_0
            if state.memory is not None:
                before, earlier = state.memory
                r = (now - earlier) / h
                D = (1 + 1 / (2 * r)) * x_0 - 1 / (2 * r) * before
            x = sigma[i - 1] / sigma[i] * x - alpha[i - 1] * math.expm1(-h) * D
            return SamplerState(x, times[i - 1], i - 1, x0=x_0, memory=(x_0, now))

        return step
