"""Heun's method for the probability-flow equation, with or without added noise: the sampler of EDM."""

from __future__ import annotations

from difflab.former_names import Neutral
from difflab.noise import Noise
from difflab.samplers.along import NOISE_LEVEL, Along
from difflab.samplers.churn import Churn
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk


class Heun(Sampler):
    """Heun's method along sigma / alpha, the sampler of EDM (Karras et al. 2022, algorithm 2; algorithm 1 without churn).

    d = (x - D(x; sigma)) / sigma;  x' = x + (sigma' - sigma) d;  x += (sigma' - sigma) (d + d') / 2, d' being d at (x', sigma'). The step
    to the clean image is not corrected.

    Second order; 2 N - 1 calls of the denoiser for N steps. x stands for x_t / alpha_t and sigma for sigma_t / alpha_t, so a model of any
    schedule can be sampled with it: the paper's sigma(t) = t, s(t) = 1.

    Args:
        grid: The times.
        s_churn: See `Churn`; for ImageNet at 64 x 64 the paper has 40 with 256 steps.
        s_min: See `Churn`; there the paper has 0.05.
        s_max: See `Churn`; there the paper has 50.
        s_noise: See `Churn`; there the paper has 1.003.
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
            d = at.begin.slope(x, x_0)
            ahead = x + at.width * d
            if at.end.at > 0:
                d_ahead = at.end.slope(ahead, walk.predict(at.end.scale * ahead, at.end.time).x0)
                ahead = x + at.width * (0.5 * d + 0.5 * d_ahead)
            return SamplerState(ahead, at.reached, state.step - 1, at.end.scale, x_0)

        return step
