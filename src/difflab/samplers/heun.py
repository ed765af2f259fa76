"""Heun's method along the noise level, with or without added noise: the sampler of EDM."""

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
            d = (x - x_0) / at.level
            ahead = x + (at.to - at.level) * d
            if at.to > 0:
                time = torch.full((len(x),), at.to_time, dtype=torch.float64, device=x.device)
                d_ahead = (ahead - denoise(at.to_alpha * ahead, time, cond).x0) / at.to
                ahead = x + (at.to - at.level) * (0.5 * d + 0.5 * d_ahead)
            x = ahead
            yield SamplerStep(at.left, at.to_alpha * x, x_0)
