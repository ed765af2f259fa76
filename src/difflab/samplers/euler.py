"""Euler's method for the probability-flow equation."""

from __future__ import annotations

from difflab.former_names import Neutral
from difflab.noise import Noise
from difflab.samplers.along import NOISE_LEVEL, Along
from difflab.samplers.churn import Churn
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk


class Euler(Sampler):
    """Euler: x += (sigma' - sigma) (x - D(x; sigma)) / sigma, first order (Karras et al. 2022, algorithm 1 without its correction).

    x stands for x_t / alpha_t and sigma for sigma_t / alpha_t, so any schedule will do. Without churn that is DDIM with eta = 0.

    Args:
        grid: The times.
        s_churn: See `Churn`.
        s_min: See `Churn`.
        s_max: See `Churn`.
        s_noise: See `Churn`.
        along: What it walks along.
    """

    def __init__(
        self,
        grid: Grid,
        s_churn: float = 0.0,
        s_min: float = 0.0,
        s_max: float = 1e6,
        s_noise: float = 1.0,
        along: Neutral[Along] = NOISE_LEVEL,
    ):
        self.grid = grid
        self.churn = Churn(s_churn, s_min, s_max, s_noise)
        self.along = along

    def steps(self, walk: Walk) -> Step:
        stages = self.along.stages(walk.schedule, walk.chain, self.churn)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            at = stages[state.step - 1]
            x = at.raised(state.over(at.scale), noise)
            x_0 = walk.predict(at.begin.scale * x, at.begin.time).x0
            x = x + at.width * at.begin.slope(x, x_0)
            return SamplerState(x, at.reached, state.step - 1, at.end.scale, x_0)

        return step
