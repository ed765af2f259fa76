"""Annealed Langevin dynamics (Song and Ermon 2019, arXiv 1907.05600, algorithm 1), from uniform images."""

from __future__ import annotations

import math

from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers import Prior, Sampler, SamplerState, Step, Walk
from difflab.samplers.grids import Grid
from difflab.schedules import NoiseSchedule


class UniformPrior(Prior):
    """Every pixel uniform from black to white."""

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        return 2 * noise.uniform("x_T", shape) - 1


class AnnealedLangevin(Sampler):
    """x += e_i score + sqrt(2 e_i) z, e_i = rate (sigma_i / sigma_1)^2, so many times at each level, the noisiest first.

    Args:
        grid: Its times are the levels.
        rate: Step size at the cleanest level.
        repeats: Steps at each level.
        denoised: Whether the last image is the denoiser's x_0 of it (Song and Ermon 2020, arXiv 2006.09011, appendix).
    """

    prior = UniformPrior()

    def __init__(self, grid: Grid, rate: float, repeats: int, denoised: bool = True):
        self.grid, self.rate, self.repeats, self.denoised = grid, rate, repeats, denoised

    def steps(self, walk: Walk) -> Step:
        times, sigma = walk.chain.times.tolist(), walk.chain.level.sigma.tolist()
        if not (walk.chain.level.alpha == 1).all():
            raise ValueError(
                "annealed Langevin dynamics adds noise and scales nothing: use schedule=variance_exploding"
            )

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            size = self.rate * (sigma[i] / sigma[1]) ** 2
            for k in range(self.repeats):
                x_0 = walk.predict(x, state.t).x0
                z = noise.normal("langevin", tuple(x.shape[1:]), step=i * self.repeats + k).to(x)
                x = x + size * (x_0 - x) / sigma[i] ** 2 + math.sqrt(2 * size) * z
            if i == 1 and self.denoised:
                x = x_0 = walk.predict(x, state.t).x0
            return SamplerState(x, times[i - 1], i - 1, x0=x_0)

        return step
