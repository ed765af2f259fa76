"""Denoising diffusion implicit models."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.process import eps_from_x0, over, perturb
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk, by_step
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Condition, DenoiseFn


class DDIM(Sampler):
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - v) eps + sqrt(v) z, v = eta^2 times the posterior variance (Song et al. 2021, eq. 12 and 16).

    eps is always derived from the (guided, clipped) x_0. Where rounding makes sigma_s^2 - v negative (eta = 1) it is taken as 0.
    guided-diffusion takes this difference in float32: in cosine chains of at most ten steps it is rounding alone, and its samples are up to
    3.7e-4 off, or NaN.

    Args:
        grid: The times.
        eta: 0 is deterministic, 1 as noisy as DDPM.
    """

    def __init__(self, grid: Grid, eta: float = 0.0):
        if eta < 0:
            raise ValueError(f"eta = {eta} must not be negative")
        self.grid = grid
        self.eta = eta

    def steps(self, walk: Walk) -> Step:
        chain = walk.chain
        (alpha_s, alpha_t), (sigma_s, sigma_t) = ((level[:-1], level[1:]) for level in chain.level)
        v = self.eta**2 * chain.transition(torch.arange(1, len(chain) + 1)).posterior_var
        direction = (sigma_s**2 - v).clamp(min=0).sqrt()
        rows, times = by_step((alpha_t, sigma_t, alpha_s, direction, v.sqrt()), walk.like), chain.times.tolist()

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            x_0 = walk.predict(x, state.t).x0
            *levels, std = rows[i - 1]
            at_t, at_s = AlphaSigma(*levels[:2]), AlphaSigma(*levels[2:])
            x = perturb(x_0, eps_from_x0(x, x_0, at_t), at_s)
            if self.eta:
                x = x + over(std, x) * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
            return SamplerState(x, times[i - 1], i - 1, x0=x_0)

        return step

    @torch.no_grad()
    def encode(
        self, denoise: DenoiseFn, schedule: NoiseSchedule, x_0: Float[Tensor, "b c *size"], cond: Condition
    ) -> Float[Tensor, "b c *size"]:
        """The x_T at which the deterministic sampler (eta = 0) would have started to end at x_0, up to discretisation.

        The ordinary differential equation run upwards (Song et al. 2021, section 4.3). The image stands in for the slightly noisy one at
        the chain's first time, and the walk ends at its last.

        Args:
            denoise: The denoiser with which would be sampled.
            schedule: Its schedule.
            x_0: The images.
            cond: Their condition.

        Returns:
            x_T.
        """
        chain, x, cond = self.chain(schedule).to(x_0.device), x_0, cond.kept()
        for i in range(1, len(chain)):
            index = torch.full((len(x),), i, device=x.device)
            predicted = denoise(x, chain.times[index], cond).x0
            x = perturb(predicted, eps_from_x0(x, predicted, chain[index]), chain[index + 1])
        return x
