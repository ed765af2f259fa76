"""Pseudo linear multi-step sampling (Liu et al. 2022, arXiv 2202.09778, eq. 12): DDIM's transfer with an eps made of the last four."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.noise import Noise
from difflab.process import eps_from_x0, perturb
from difflab.samplers import Sampler, SamplerState, Step, Walk
from difflab.samplers.grids import Grid
from difflab.types import AlphaSigma

ADAMS_BASHFORTH = (
    torch.tensor([1.0]),
    torch.tensor([3.0, -1.0]) / 2,
    torch.tensor([23.0, -16.0, 5.0]) / 12,
    torch.tensor([55.0, -59.0, 37.0, -9.0]) / 24,
)


class PLMS(Sampler):
    """The first step is a pseudo improved Euler step, with a second call of the denoiser; each later one has one call.

    Args:
        grid: The times.
    """

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        times = walk.chain.times.tolist()

        def eps_at(x: Tensor, i: int) -> tuple[Tensor, Tensor]:
            x_0 = walk.predict(x, times[i]).x0
            return x_0, eps_from_x0(x, x_0, level(i, x))

        def level(i: int, x: Tensor) -> AlphaSigma:
            return AlphaSigma(*(value.to(x.device).expand(len(x)) for value in walk.chain[i]))

        def transferred(x: Tensor, eps: Tensor, i: int) -> Tensor:
            at = level(i, x)
            x_0 = (x - at.sigma[0].to(x) * eps) / at.alpha[0].to(x)
            return perturb(x_0, eps, level(i - 1, x))

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            x_0, eps = eps_at(x, i)
            past = (eps, *(state.memory or ()))[:4]
            factors = ADAMS_BASHFORTH[len(past) - 1].tolist()
            used = sum(factor * one for factor, one in zip(factors, past, strict=True))
            if len(past) == 1 and i > 1:
                used = (eps + eps_at(transferred(x, eps, i), i - 1)[1]) / 2
            return SamplerState(transferred(x, used, i), times[i - 1], i - 1, x0=x_0, memory=past)

        return step
